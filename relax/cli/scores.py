"""What `relax evaluate` prints: metrics in rows, methods in columns, which method is ahead, and what failed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from relax.cli.console import complain, plain_table, print_table, progress_bar
from relax.files import file_names

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from relax.metrics import Evaluation, Mean
    from relax.questions.plan import Plan
    from relax.questions.strangers import Strangers


def print_summary(evaluation: Evaluation, files: list[Path]) -> None:
    """Print a table to stdout: metrics in rows, methods in columns, with intervals, ranks and costs."""
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
    print_table(table, note, *scored(evaluation), *evaluation.sentences(), f"written: {file_names(files)}")


def scored(evaluation: Evaluation) -> list[str]:
    """What faithfulness judges the maps by, a line each; nothing where that is the similarity to the image itself."""
    scores: dict[str, list[str]] = {}
    for method, score in (evaluation.settings.get("scores") or {}).items():
        scores.setdefault(score, []).append(method)
    if [*scores] == ["cosine to the image itself"] or not any(m.needs == "trial" for m in evaluation.metrics):
        return []
    apart = ", ranked apart" if len(scores) > 1 else ""
    return [f"faithfulness of {', '.join(names)}: to the {score}{apart}" for score, names in scores.items()]


def print_strangers(
    paths: list[Path], strange: str, plan: Plan, out: Path, *, quiet: bool
) -> tuple[Strangers, list[Path]]:
    """Find out what tells strange pictures from the known, print it, and write it. Returns it, and the files."""
    from relax.questions.strangers import strangers_with
    from relax.references import image_files

    others = image_files(strange)
    with progress_bar("pictures", visible=not quiet) as bar:
        task = bar.add_task("known and strange", total=len(paths) + len(others))
        answer = strangers_with(
            paths, others, plan.encoder, plan.settings, progress=lambda done, _: bar.update(task, completed=done)
        )
    if not quiet:
        typer.echo(answer)
    return answer, answer.save(out)


def print_failures(evaluation: Evaluation) -> None:
    """Write each reason for failures to stderr once, with the first picture it concerns and the number of others."""
    images_by_reason: dict[str, list[str]] = {}
    for failure in evaluation.failures:
        reason = failure.failure.removeprefix(f"{failure.image}: ")
        images_by_reason.setdefault(reason, []).append(failure.image)
    for reason, images in images_by_reason.items():
        others = f" (and {len(images) - 1} more pictures)" if len(images) > 1 else ""
        complain(f"{reason}{others}" if reason.startswith(images[0]) else f"{images[0]}{others}: {reason}")


def _cell(mean: Mean | None) -> str:
    if mean is None or not mean.images:
        return "undefined" if mean is not None else ""
    interval = f"{mean.low:.3f} to {mean.high:.3f}" if mean.images > 1 else ""
    return f"{mean.mean:.3f} ({mean.rank})\n{interval}"
