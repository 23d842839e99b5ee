"""What `relax compare` writes and prints: figures, records and maps of each image, and how alike the maps are."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from relax.cli.console import plain_table, print_table
from relax.files import file_names, write_files
from relax.io.choice import discreet_name
from relax.plotting.drawing import file_of
from relax.plotting.figure import figure
from relax.questions.comparison import Comparison, costs
from relax.questions.likeness import Likeness, MeanLikeness, mean_likenesses
from relax.scale import doubts
from relax.text import csv_text, number


@dataclass(frozen=True)
class ComparedImage:
    """What is kept of an image that was compared.

    Attributes:
        image: Its name: its path, or a hash if that identifies the patient.
        files: Those written.
        likenesses: Of every two maps.
        failures: Why there is no map, by name.
    """

    image: str
    files: list[Path]
    likenesses: list[Likeness]
    failures: dict[str, str]


def write(comparison: Comparison, image: str, target: Path, format: str, drawn: dict[str, Any]) -> ComparedImage:
    """Write the figure, the record and the maps of an image, each file whole or not at all.

    Args:
        comparison: Of the image.
        image: Its path.
        target: The path of the files, without their endings.
        format: Of the figure.
        drawn: Options of `relax.figure`.
    """
    explanations, likenesses = comparison.explanations, comparison.likenesses()
    record = {
        "costs": costs(comparison),
        "likeness": [_as_json(likeness) for likeness in likenesses],
        "failures": comparison.failures,
        "provenance": {name: explanation.provenance for name, explanation in explanations.items()},
    }
    files = write_files(
        target,
        {
            f"-compare.{format}": file_of(figure(comparison, **drawn), format),
            "-compare.json": (json.dumps(record, indent=2) + "\n").encode(),
            **{f"-{as_file_name(name)}.npz": explanation.to_bytes() for name, explanation in explanations.items()},
        },
    )
    return ComparedImage(discreet_name(image), files, likenesses, comparison.failures)


def write_likeness(compared: Sequence[ComparedImage], out: Path) -> tuple[list[MeanLikeness], list[Path]]:
    """Write the likeness of every two maps of every image, and the means over the images, which are returned."""
    means = mean_likenesses(likeness for image in compared for likeness in image.likenesses)
    rows = [
        (image.image, likeness.first, likeness.second, likeness.rank_correlation, likeness.ssim)
        for image in compared
        for likeness in image.likenesses
    ]
    record = {
        "images": len(compared),
        "means": [_as_json(mean) for mean in means],
        "failures": {image.image: image.failures for image in compared if image.failures},
    }
    table = csv_text([("image", "first", "second", "rank_correlation", "ssim"), *rows])
    return means, write_files(
        out / "likeness", {".csv": table.encode(), ".json": (json.dumps(record, indent=2) + "\n").encode()}
    )


def print_costs(comparison: Comparison, files: list[Path]) -> None:
    """Print passes, seconds and range of each map, how alike they are, why one may say little, and the files."""
    table = plain_table(["name"], ["passes", "seconds", "lowest", "highest"])
    table.add_column("unit", overflow="fold")
    for row in costs(comparison):
        span = row["highest"] - row["lowest"]
        ends = number(row["lowest"], span), number(row["highest"], span)
        table.add_row(Text(row["name"]), f"{row['passes']:,}", f"{row['seconds']:.1f}", *ends, Text(row["unit"]))
    pairs = plain_table(["map", "and map"], ["rank correlation", "SSIM"])
    for likeness in comparison.likenesses():
        numbers = _two_digits(likeness.rank_correlation), _two_digits(likeness.ssim)
        pairs.add_row(Text(likeness.first), Text(likeness.second), *numbers)
    reasons = {name: doubts(explanation) for name, explanation in comparison.explanations.items()}
    lines = [f"{name}: {doubt}" for name, of_map in reasons.items() for doubt in of_map]
    alike: list[Any] = ["", pairs] if pairs.row_count else []
    print_table(table, *alike, *lines, f"written: {file_names(files)}")


def print_likeness(compared: Sequence[ComparedImage], means: Sequence[MeanLikeness], files: list[Path]) -> None:
    """Print how alike the maps of every two are on average, and the files."""
    table = plain_table(["map", "and map", "measure"], ["mean", "95 % interval", "images"])
    for mean in means:
        interval = f"{_two_digits(mean.low)} to {_two_digits(mean.high)}" if mean.images > 1 else ""
        words = Text(mean.first), Text(mean.second), mean.measure.replace("rank_correlation", "rank correlation")
        table.add_row(*words, _two_digits(mean.mean), interval, f"{mean.images}")
    count = sum(len(image.files) for image in compared)
    print_table(table, f"written: {file_names(files)}, and {count} files of {len(compared)} images")


def _two_digits(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "undefined"


def _as_json(row: Likeness | MeanLikeness) -> dict[str, Any]:
    """The row as JSON types; what is undefined is null."""
    return {name: None if value != value else value for name, value in asdict(row).items()}


def as_file_name(name: str) -> str:
    """The name with all but letters, digits, + and . replaced by hyphens, such as the : and / of a spec."""
    return "".join(character if character.isalnum() or character in "+.-" else "-" for character in name)[:100]
