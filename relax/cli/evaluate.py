"""`relax evaluate`: score methods on a folder of pictures, with masks or boxes where there are some."""

from __future__ import annotations

import traceback
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, SOME_FAILED, Stopped, UsageError, complain, progress_bar
from relax.cli.options import DEVICE_HELP
from relax.cli.options import names as listed

if TYPE_CHECKING:  # torch comes with these, and `relax --help` does not need it
    from relax.metrics import Evaluation, Mean, Outcome, Truth
    from relax.questions.evaluation import Plan

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


def evaluate(
    images: Annotated[str, typer.Argument(metavar="DIR", help="A folder of pictures, or one picture.")],
    truth: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="A folder of masks or Pascal VOC files of the same names, or a CSV of boxes."
        ),
    ] = None,
    methods: Annotated[
        str, typer.Option(metavar="NAMES", help="With commas; `relax methods` lists what each needs and costs.")
    ] = DEFAULT_METHODS,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Metrics or families, with commas; `relax metrics` lists them. Default: localisation where there is a "
            "truth, faithfulness and complexity.",
        ),
    ] = None,
    encoder: Annotated[
        str, typer.Option(metavar="SPEC", help="Who looks; `relax encoders` lists the choice.")
    ] = "default",
    corpus: Annotated[
        str | None, typer.Option(metavar="DIR", help="For the contrastive metrics: images to be close to.")
    ] = None,
    foil: Annotated[str | None, typer.Option(metavar="DIR", help="And images to be far from.")] = None,
    similarity: Annotated[str, typer.Option(metavar="MEASURE", help="cosine, l2, dot or rbf.")] = "cosine",
    masks: Annotated[int, typer.Option(metavar="N", help="For relax and rise; others take their own number.")] = 3000,
    cells: Annotated[int, typer.Option(metavar="N", help="Regions along each side, for all that hide some.")] = 7,
    keep: Annotated[float, typer.Option(metavar="P", help="Chance that a region stays visible, in (0, 1).")] = 0.5,
    fill: Annotated[
        str, typer.Option(metavar="FILL", help="mean, blur or noise: what hidden pixels show, in metrics as well.")
    ] = "mean",
    seed: Annotated[int, typer.Option(metavar="N", help="Same seed, same values.")] = 0,
    device: Annotated[str, typer.Option(metavar="DEVICE", help=DEVICE_HELP)] = "auto",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go; made if need be.")] = Path("relax-out"),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no table; errors are still said.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where in the code an error came from.")] = False,
) -> int:
    """Which method tells the truth about these pictures, and at what cost?

    Written to --out: evaluation.csv (image, method, metric, value), summary.csv and summary.json (mean, 95 % interval
    over the pictures, rank). Asked again with the same settings, what is in --out already is not computed again,
    also after Ctrl-C.
    """
    from relax.questions.evaluation import evaluation_of

    settings = {"similarity": similarity, "masks": masks, "cells": cells, "keep": keep, "fill": fill, "seed": seed}
    try:
        paths, truths = _pictures(images, truth)
        plan = _plan(encoder, methods, metrics, corpus, foil, {**settings, "device": device}, len(paths), truth)
        out.mkdir(parents=True, exist_ok=True)
        digests = {path.name: _digest(path, found) for path, found in zip(paths, truths, strict=True)}
        outcomes = _done(out, plan, digests)
    except (ValueError, OSError, ImportError) as error:
        if debug:
            traceback.print_exc()
        raise UsageError(str(error)) from None
    if truth is not None and None in truths:
        complain(f"note: {truths.count(None)} of {len(paths)} pictures have no truth, and no localisation")
    stopped = False
    try:
        _carry_out(plan, paths, truths, outcomes, quiet=quiet)
    except KeyboardInterrupt:
        stopped = True
    found = evaluation_of(plan, outcomes)
    found.settings["digests"] = digests
    try:
        files = found.save(out)
    except OSError as error:
        complain(f"cannot write to {out}: {error.strerror}")
        return SOME_FAILED
    _complain_of(found)
    if stopped:
        raise Stopped(f"what is done is in {out}, and the same command goes on from there")
    if not quiet:
        print_summary(found, files)
    return SOME_FAILED if found.failures else DONE


def metrics() -> int:
    """List the metrics: which way is better, what each needs and costs, and where it is from."""
    from relax.metrics import METRICS, NEEDS

    for metric in METRICS.values():
        cost = f"{metric.passes} passes" if metric.passes else f"{metric.explanations} explanations"
        cost = cost if metric.passes or metric.explanations else "nothing"
        typer.echo(f"{metric.name:<25} {metric.family:<13} {metric.direction} is better; costs {cost}")
        typer.echo(f"{'':<25} needs {NEEDS[metric.needs]}; {metric.source}")
    return DONE


def print_summary(found: Evaluation, files: list[Path]) -> None:
    """Print a table to stdout: a metric a line, a method a column, with intervals, ranks and cost."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    means = found.summary()
    cells = {(one.metric, one.method): one for one in means}
    names = list(dict.fromkeys(one.method for one in means))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric")
    table.add_column("better")
    for name in names:
        table.add_column(Text(name), justify="right")
    for metric in found.metrics:
        table.add_row(metric.name, metric.direction, *(_cell(cells.get((metric.name, name))) for name in names))
    passes = found.passes
    table.add_row("passes a picture", "", *(f"{passes[name]:,.0f}" for name in names))
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, 200)
    console.print(table)
    images = len({one.image for one in found.outcomes if not one.failure})
    console.print(
        Text(
            f"mean over {images} pictures (rank), below it the 95 % bootstrap interval over pictures\n"
            f"written: {', '.join(map(str, files))}"
        ),
        soft_wrap=True,
    )


def _cell(one: Mean | None) -> str:
    if one is None or not one.images:
        return "undefined" if one is not None else ""
    interval = f"{one.low:.3f} to {one.high:.3f}" if one.images > 1 else ""
    return f"{one.mean:.3f} ({one.rank})\n{interval}"


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
    corpus: str | None,
    foil: str | None,
    settings: dict[str, Any],
    images: int,
    truth: str | None,
) -> Plan:
    from masking import FILLS
    from relax.questions.evaluation import Plan, check_images
    from relax.references import Corpus

    if settings["fill"] not in FILLS:
        raise ValueError(f"--fill must be {', '.join(FILLS)}; got {settings['fill']!r}")
    if (corpus is None) != (foil is None):
        raise ValueError("--corpus and --foil belong together: give both, or neither")
    contrast = None if corpus is None or foil is None else (Corpus(corpus), Corpus(foil))
    chosen = None if metrics is None else listed(metrics)
    plan = Plan.of(encoder, listed(methods), chosen, contrast, **settings)
    check_images(plan, images, truth is not None)
    return plan


def _carry_out(
    plan: Plan, paths: list[Path], truths: list[Truth | None], outcomes: list[Outcome], *, quiet: bool
) -> None:
    """Add to `outcomes` what is missing there, one by one, so that Ctrl-C leaves what is done."""
    from relax.text import shortened

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
