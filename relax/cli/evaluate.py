"""`relax evaluate`: score methods on a folder of pictures, with masks or boxes if available."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import (
    DONE,
    SOME_FAILED,
    Stopped,
    UsageError,
    complain,
    progress_bar,
)
from relax.cli.options import (
    DEFAULT_OUT,
    DIRECTION,
    ESTIMATION,
    EXECUTION,
    HEAD,
    HIDING,
    LAYER,
    OUT_PANEL,
    QUESTION_PANEL,
    SEVERAL,
    SIMILARITY,
    Debug,
    EncoderSpec,
    Methods,
    Out,
    Quiet,
    RayAddress,
    Workers,
)
from relax.cli.scores import print_failures, print_strangers, print_summary
from relax.cli.usage import listed, takes, usage_errors
from relax.files import WriteError
from relax.io.choice import name_within, split_choice
from relax.io.sources import Row, Sources, names_several
from relax.lock import sole_run
from relax.text import counted, shortened

if TYPE_CHECKING:  # torch comes with these, and `relax --help` does not need it
    from relax.crew import Crew
    from relax.metrics import Evaluation, Truth
    from relax.questions.keeping import Kept
    from relax.questions.plan import Plan
    from relax.questions.strangers import Strangers

EXAMPLES = """[bold]Examples[/bold]

relax evaluate photos
    no labels needed: does hiding what a map marks as important move the embedding, and is the map simple

relax evaluate polyps/images --truth polyps/masks --methods relax,lafam,gradcam,random
    in addition: does the importance lie inside the masks (polyps/masks/NAME.png; above 0 is inside)

relax evaluate cells --truth boxes.csv --metrics localisation,insertion,deletion
    boxes: columns image,xmin,ymin,xmax,ymax; or a folder of Pascal VOC files NAME.xml

relax evaluate photos --metrics sanity,robustness --masks 500
    explains every picture a dozen times over: does the map depend on the network, the reference, the seed

relax evaluate photos --encoder torchvision:resnet50 --head network --methods rise,gradcam,lime,random
    maps of a class, judged by its probability; maps of relax are judged by the similarity, and ranked apart

relax evaluate polyps --metrics coverage --strange blood-smears --masks 500
    do the standard errors hold what they promise, and does the uncertainty tell pictures of another kind

relax evaluate photos --reference query.png --methods relax,random
    maps of what brings each picture closer to the query, judged by the similarity to it

relax evaluate photos --workers 4 --metrics robustness
    four processes share pictures and methods, by Ray: pip install "relax-explainer[ray]"

relax evaluate cats --corpus other-cats --foil dogs --metrics contrastive-insertion
    what brings the picture closer to the cats than to the dogs
"""

DEFAULT_METHODS = "relax,lafam,gradcam,occlusion,random"


@takes((*SIMILARITY, "reference", *DIRECTION, *LAYER), HEAD, HIDING, ESTIMATION, EXECUTION)
def evaluate(
    images: Annotated[str, typer.Argument(metavar="DIR", help=f"A folder of pictures, or one picture. {SEVERAL}")],
    options: dict[str, Any],
    truth: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="A folder of masks or Pascal VOC files with the names of the pictures, or a CSV of boxes.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    methods: Methods = DEFAULT_METHODS,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Metrics or families, comma-separated; `relax metrics` lists them. Default: faithfulness, complexity "
            "and, where there is a truth, localisation.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    encoder: EncoderSpec = "default",
    corpus: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="For the contrastive metrics: images to be close to.", rich_help_panel=QUESTION_PANEL
        ),
    ] = None,
    foil: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="For the contrastive metrics: images to be far from.", rich_help_panel=QUESTION_PANEL
        ),
    ] = None,
    strange: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Pictures of another kind: does the uncertainty, or the distance to DIR, tell them from those?",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page as well: an HTML file.", rich_help_panel=OUT_PANEL),
    ] = None,
    out: Out = DEFAULT_OUT,
    workers: Workers = None,
    ray: RayAddress = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Score methods on pictures: which are faithful to the encoder and point at the truth, and at what cost?

    Writes to --out evaluation.csv (image, method, metric, value), curves.csv (insertion and deletion), summary.csv and
    summary.json (mean, 95 % interval over the pictures, rank, which method is ahead) and evaluation.png (all of it);
    with --strange also strange.csv, .json and .png. Results are kept as they come: a run with the same settings, also
    after Ctrl-C, a kill or a full disk, computes only what is missing in --out.
    """
    from relax.cli.prepare import encoder_of, keep_passed_over
    from relax.crew import Crew
    from relax.questions.keeping import Kept, digest_of

    with ExitStack() as stack:
        with usage_errors(debug=debug, of_images=True):
            if report is not None and report.is_dir():
                raise ValueError(f"--report must be a file; {report} is a folder")
            crew = Crew(workers, ray, partial(encoder_of, encoder, options))
            paths, truths, passed_over = _pictures(images, truth)
            plan = _plan(encoder, methods, metrics, (corpus, foil), options, out, len(paths), truth is not None)
            names = _names(images, paths)
            digests = {name: digest_of(path, mask) for name, path, mask in zip(names, paths, truths, strict=True)}
            stack.enter_context(sole_run(out, "relax evaluate"))
            kept = Kept.open(out, plan, digests)
        if truth is not None and None in truths:
            note = f"{truths.count(None)} of {len(paths)} pictures have no truth and are left out of localisation"
            complain(f"note: {note}")
        try:
            stopped = _carry_out(crew, kept, paths, names, truths, quiet=quiet)
            evaluation, files = kept.save(crew)
            if report is not None and evaluation.metrics:
                files.append(_page(evaluation, report))
        except WriteError as error:
            complain(f"{error}; {len(kept.outcomes)} maps are scored and kept: run the same command to continue")
            return SOME_FAILED
        kept.forget()
        if strange is not None and not stopped:
            with usage_errors(debug=debug, of_images=True):
                strangers, written = print_strangers(paths, strange, plan, out, quiet=quiet)
                files += written
                if report is not None and evaluation.metrics:
                    _page(evaluation, report, strangers)
    keep_passed_over(out, [*passed_over, *_left_out(evaluation, dict(zip(names, paths, strict=True)))])
    print_failures(evaluation)
    if stopped:
        raise Stopped(f"what is done is in {out}; run the same command to continue")
    if not quiet:
        print_summary(evaluation, files)
    return SOME_FAILED if evaluation.failures else DONE


def metrics() -> int:
    """List the metrics: which direction is better, what each needs and costs, and its source."""
    from relax.metrics import METRICS, NEEDS

    for metric in METRICS.values():
        cost = counted(metric.passes, "pass") if metric.passes else counted(metric.explanations, "explanation")
        cost = cost if metric.passes or metric.explanations else "nothing"
        typer.echo(f"{metric.name:<25} {metric.family:<13} {metric.direction} is better; costs {cost}")
        typer.echo(f"{'':<25} needs {NEEDS[metric.needs]}; {metric.source}")
    return DONE


def _left_out(evaluation: Evaluation, paths: Mapping[str, Path]) -> list[Row]:
    """Each picture that cannot be used for any method, and why."""
    from relax.io.sources import unusable

    failures = [outcome for outcome in evaluation.failures if not outcome.method]
    return [unusable(paths[each.image], each.failure.removeprefix(f"{each.image}: ")) for each in failures]


def _page(evaluation: Evaluation, path: Path, strangers: Strangers | None = None) -> Path:
    """Write the report; returns its path."""
    from relax.report import evaluation_report, write_report

    return write_report(evaluation_report(evaluation, strangers=strangers), path)


def _pictures(images: str, truth: str | None) -> tuple[list[Path], list[Truth | None], list[Row]]:
    """The pictures, the truth of each, and what is passed over."""
    from relax.cli.prepare import named_pictures
    from relax.metrics import find_truths
    from relax.references import image_files

    if not names_several(images) and not split_choice(images)[0].is_file():
        image_files(images)  # which says why not
    pictures, passed_over = named_pictures([images], leave_out=None if truth is None else Path(truth))
    paths = list(map(Path, pictures))
    return paths, [None] * len(paths) if truth is None else find_truths(paths, truth), passed_over


def _plan(
    encoder: str,
    methods: str,
    metrics: str | None,
    contrast: tuple[str | None, str | None],
    options: dict[str, Any],
    out: Path,
    images: int,
    has_truth: bool,
) -> Plan:
    """What is to be computed; everything that can be checked before a picture is read is checked."""
    from relax.baselines.methods import METHODS
    from relax.cli.prepare import prepared
    from relax.metrics import FAMILIES, METRICS
    from relax.questions.plan import Plan, check_images, judged_by_class
    from relax.references import Corpus

    names = listed("--methods", methods, METHODS)
    selected = None if metrics is None else listed("--metrics", metrics, [*METRICS, *FAMILIES])
    corpus, foil = contrast
    if (corpus is None) != (foil is None):
        raise UsageError("--corpus and --foil belong together: give both, or neither")
    head = options["head"] is not None
    itself = options["reference"] is None
    checked = Plan.check(names, selected, contrast=corpus is not None, head=head, itself=itself)
    only_classes = all(judged_by_class(name, head=head) for name in names)
    check_images(checked, images, has_truth, only_classes=only_classes)
    network, settings = prepared(encoder, options, out)
    corpora = None if corpus is None or foil is None else (Corpus(corpus), Corpus(foil))
    return Plan.of(network, names, selected, corpora, settings)


def _carry_out(
    crew: Crew,
    kept: Kept,
    paths: list[Path],
    names: list[str],
    truths: list[Truth | None],
    *,
    quiet: bool,
) -> bool:
    """Add the missing outcomes one by one; whether Ctrl-C ended it early."""
    from relax.questions.workers import outcomes_by

    plan, done = kept.plan, kept.done
    with progress_bar("maps", visible=not quiet) as bar:
        task = bar.add_task("", total=len(paths) * len(plan.methods), completed=len(done))

        def started(image: str, method: str) -> None:
            bar.update(task, description=f"{shortened(image, 32)} {method}")

        try:
            with closing(outcomes_by(crew, plan, paths, truths, names, done, started)) as outcomes:
                for outcome in outcomes:
                    kept.add(outcome)
                    bar.advance(task, 1 if outcome.method else len(plan.methods))
        except KeyboardInterrupt:
            return True
        return False


def _names(images: str, paths: list[Path]) -> list[str]:
    """The names of the pictures in the tables: paths in the folder, or hashes where they identify the patient."""
    root = Path(images) if Path(images).is_dir() else split_choice(images)[0]
    folder = root if root.is_dir() else root.parent
    return [name_within(folder, Sources(folder, []).name(str(path))) for path in paths]
