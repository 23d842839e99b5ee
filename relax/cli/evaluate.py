"""`relax evaluate`: score methods on a folder of pictures, with masks or boxes where there are some."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, SOME_FAILED, Stopped, UsageError, complain, plain_table, print_table, progress_bar
from relax.cli.options import (
    DEFAULT_OUT,
    ESTIMATION,
    EXECUTION,
    HEAD,
    HIDING,
    QUESTION_PANEL,
    SIMILARITY,
    Debug,
    EncoderSpec,
    Out,
    Quiet,
    listed,
    takes,
    usage_errors,
)
from relax.files import file_names
from relax.text import shortened

if TYPE_CHECKING:  # torch comes with these, and `relax --help` does not need it
    from relax.metrics import Evaluation, Mean, Outcome, Truth
    from relax.questions.plan import Plan

EXAMPLES = """[bold]Examples[/bold]

relax evaluate photos
    without labels: does hiding what a map calls important move the embedding, and is the map simple

relax evaluate polyps/images --truth polyps/masks --methods relax,lafam,gradcam,random
    also: does the importance lie inside the masks (polyps/masks/NAME.png; above 0 is inside)

relax evaluate cells --truth boxes.csv --metrics localisation,insertion,deletion
    boxes: columns image,xmin,ymin,xmax,ymax; or a folder with Pascal VOC files NAME.xml

relax evaluate photos --metrics sanity,robustness --masks 500
    explains every picture again, a dozen times: does the map depend on the network, the reference, the seed

relax evaluate cats --corpus other-cats --foil dogs --metrics contrastive-insertion
    what brings the picture closer to the cats than to the dogs
"""

DEFAULT_METHODS = "relax,lafam,gradcam,occlusion,random"


@takes(SIMILARITY, HEAD, HIDING, ESTIMATION, EXECUTION)
def evaluate(
    images: Annotated[str, typer.Argument(metavar="DIR", help="A folder of pictures, or one picture.")],
    settings: dict[str, Any],
    truth: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="A folder of masks or Pascal VOC files of the same names, or a CSV of boxes.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    methods: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="With commas; `relax methods` lists what each needs and costs.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = DEFAULT_METHODS,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Metrics or families, with commas; `relax metrics` lists them. Default: localisation where there is a "
            "truth, faithfulness and complexity.",
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
        str | None, typer.Option(metavar="DIR", help="And images to be far from.", rich_help_panel=QUESTION_PANEL)
    ] = None,
    out: Out = DEFAULT_OUT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Score methods on pictures: which is faithful to the encoder and points at the truth, and at what cost?

    Written to --out: evaluation.csv (image, method, metric, value), summary.csv and summary.json (mean, 95 % interval
    over the pictures, rank). With the same settings, what is in --out already is not computed again, also after Ctrl-C.
    """
    from relax.questions.evaluation import evaluation_of

    with usage_errors(debug=debug, of_images=True):
        paths, truths = _pictures(images, truth)
        plan = _plan(encoder, methods, metrics, (corpus, foil), settings, out, len(paths), truth is not None)
        digests = {path.name: _digest(path, mask) for path, mask in zip(paths, truths, strict=True)}
        outcomes = _done(out, plan, digests)
    if truth is not None and None in truths:
        complain(f"note: {truths.count(None)} of {len(paths)} pictures have no truth, and no localisation")
    stopped = False
    try:
        _carry_out(plan, paths, truths, outcomes, quiet=quiet)
    except KeyboardInterrupt:
        stopped = True
    evaluation = evaluation_of(plan, outcomes)
    evaluation.settings["digests"] = digests
    try:
        files = evaluation.save(out)
    except OSError as error:
        complain(f"cannot write to {out}: {error.strerror}")
        return SOME_FAILED
    _complain_of(evaluation)
    if stopped:
        raise Stopped(f"what is done is in {out}, and the same command goes on from there")
    if not quiet:
        print_summary(evaluation, files)
    return SOME_FAILED if evaluation.failures else DONE


def metrics() -> int:
    """List the metrics: which way is better, what each needs and costs, and where it is from."""
    from relax.metrics import METRICS, NEEDS

    for metric in METRICS.values():
        cost = f"{metric.passes} passes" if metric.passes else f"{metric.explanations} explanations"
        cost = cost if metric.passes or metric.explanations else "nothing"
        typer.echo(f"{metric.name:<25} {metric.family:<13} {metric.direction} is better; costs {cost}")
        typer.echo(f"{'':<25} needs {NEEDS[metric.needs]}; {metric.source}")
    return DONE


def print_summary(evaluation: Evaluation, files: list[Path]) -> None:
    """Print a table to stdout: a metric a line, a method a column, with intervals, ranks and cost."""
    from rich.text import Text

    means = evaluation.summary()
    cells = {(mean.metric, mean.method): mean for mean in means}
    names = list(dict.fromkeys(mean.method for mean in means))
    table = plain_table(["metric", "better"])
    for name in names:
        table.add_column(Text(name), justify="right")
    for metric in evaluation.metrics:
        table.add_row(metric.name, metric.direction, *(_cell(cells.get((metric.name, name))) for name in names))
    passes = evaluation.passes
    table.add_row("passes a picture", "", *(f"{passes[name]:,.0f}" for name in names))
    images = len({outcome.image for outcome in evaluation.outcomes if not outcome.failure})
    note = f"mean over {images} pictures (rank), below it the 95 % bootstrap interval over pictures"
    print_table(table, note, f"written: {file_names(files)}")


def _cell(mean: Mean | None) -> str:
    if mean is None or not mean.images:
        return "undefined" if mean is not None else ""
    interval = f"{mean.low:.3f} to {mean.high:.3f}" if mean.images > 1 else ""
    return f"{mean.mean:.3f} ({mean.rank})\n{interval}"


def _pictures(images: str, truth: str | None) -> tuple[list[Path], list[Truth | None]]:
    from relax.metrics import find_truths
    from relax.references import image_files

    paths = [Path(images)] if Path(images).is_file() else image_files(images)
    if truth is not None:
        return paths, find_truths(paths, truth)
    return paths, [None] * len(paths)


def _plan(
    encoder: str,
    methods: str,
    metrics: str | None,
    contrast: tuple[str | None, str | None],
    options: dict[str, Any],
    out: Path,
    images: int,
    some_truth: bool,
) -> Plan:
    """What is to be computed, with everything checked that can be before a picture is read."""
    from relax.baselines.methods import METHODS
    from relax.cli.prepare import prepared
    from relax.metrics import FAMILIES, METRICS
    from relax.questions.plan import Plan, check_images
    from relax.references import Corpus

    names = listed("--methods", methods, METHODS)
    chosen = None if metrics is None else listed("--metrics", metrics, [*METRICS, *FAMILIES])
    corpus, foil = contrast
    if (corpus is None) != (foil is None):
        raise UsageError("--corpus and --foil belong together: give both, or neither")
    wanted = Plan.check(names, chosen, contrast=corpus is not None, head=options["head"] is not None)
    check_images(wanted, images, some_truth)
    network, settings = prepared(encoder, options, out)
    pair = None if corpus is None or foil is None else (Corpus(corpus), Corpus(foil))
    return Plan.of(network, names, chosen, pair, settings)


def _carry_out(
    plan: Plan, paths: list[Path], truths: list[Truth | None], outcomes: list[Outcome], *, quiet: bool
) -> None:
    """Add to `outcomes` what is missing there, one by one, so that Ctrl-C leaves what is done."""
    done = {(one.image, one.method) for one in outcomes}
    with progress_bar("maps", shown=not quiet) as bar:
        task = bar.add_task("", total=len(paths) * len(plan.methods), completed=len(done))

        def started(image: str, method: str) -> None:
            bar.update(task, description=f"{shortened(image, 32)} {method}")

        names = [path.name for path in paths]
        for outcome in plan.outcomes(paths, truths, names, done, started):
            outcomes.append(outcome)
            bar.advance(task, 1 if outcome.method else len(plan.methods))


def _done(out: Path, plan: Plan, digests: dict[str, str]) -> list[Outcome]:
    """What an earlier run left that this one would compute again."""
    from relax.metrics import read_outcomes

    outcomes, settings = read_outcomes(out)
    before = settings.pop("digests", {})
    if settings != plan.record:
        return []
    return [
        one
        for one in outcomes
        if one.method in plan.methods and one.image in digests and digests[one.image] == before.get(one.image)
    ]


def _digest(path: Path, truth: Truth | None) -> str:
    """SHA-256 of a picture and its truth, as files."""
    return sha256(path.read_bytes()).hexdigest() + ("" if truth is None else truth.digest)


def _complain_of(found: Evaluation) -> None:
    """Say what failed, the same trouble of many pictures once."""
    troubles: dict[str, list[Outcome]] = {}
    for one in found.failures:
        troubles.setdefault(one.failure.removeprefix(f"{one.image}: "), []).append(one)
    for why, some in troubles.items():
        more = f" (and {len(some) - 1} more pictures)" if len(some) > 1 else ""
        complain(f"{some[0].image}{more}: {why}" if not why.startswith(some[0].image) else why + more)
