"""`relax enough`: the fewest cells of a picture that keep its embedding, and the fewest without which it is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, SOME_FAILED, Stopped, complain, prefixed, progress_bar
from relax.cli.early import check_there
from relax.cli.options import (
    DEFAULT_OUT,
    EXECUTION,
    HIDING_PANEL,
    IMAGE_HELP,
    QUESTION_PANEL,
    RUN_PANEL,
    Debug,
    EncoderSpec,
    Format,
    Out,
    Quiet,
    ThemeName,
    fill_value,
)
from relax.cli.usage import check_out, checked, choice, takes, usage_errors
from relax.files import file_names, write_files
from relax.io.choice import discreet_name
from relax.io.errors import ImageError
from relax.plotting.tables import FORMATS
from relax.plotting.themes import THEMES

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from relax.enough.result import SmallestSets

EXAMPLES = """[bold]Examples[/bold]

relax enough cat.png
    which cells keep a cosine of 0.8 to the whole picture, and without which it is lost: cat-enough.png, .npz, .json

relax enough cat.png --fill mean --fill blur --fill noise --backgrounds photos
    whatever the hidden part shows, and at last before each of the pictures in photos

relax enough cat.png --cells 3
    few cells: the smallest sets are proven, since all smaller ones are tried

relax enough cat.png --ranking cat.npz --at-least 0.9 --passes 3000
    from a map that is there, for a higher similarity, with a longer search
"""

Fills = Annotated[
    list[str] | None,
    typer.Option(
        "--fill",
        "--fills",
        metavar="FILL",
        help="What hidden cells show, as of `relax explain`; repeat it: the answer has to hold under all of them.",
        show_default="mean",
        rich_help_panel=HIDING_PANEL,
    ),
]
AtLeast = Annotated[
    float,
    typer.Option(
        "--at-least",
        "--similarity-at-least",  # as errors of the library call it
        metavar="T",
        help="The similarity to the whole picture to keep.",
        rich_help_panel=QUESTION_PANEL,
    ),
]
OWN = ("similarity_at_least", "fills", "backgrounds", "passes", "ranking")


@takes(("similarity", "regions", "cells", "seed", "masks"), EXECUTION, masks=256)
def enough(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE|DIR", help=f"{IMAGE_HELP} Or folders of images.")],
    options: dict[str, Any],
    encoder: EncoderSpec = "default",
    at_least: AtLeast = 0.8,
    fill: Fills = None,
    backgrounds: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Pictures before each of which what is enough is shown at last, in place of a fill.",
            rich_help_panel=HIDING_PANEL,
        ),
    ] = None,
    passes: Annotated[
        int,
        typer.Option(
            metavar="N", help="Most passes of the search for each of the two sets.", rich_help_panel=RUN_PANEL
        ),
    ] = 1000,
    ranking: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Start from this map of the picture, an .npz of `relax explain`, instead of making one.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = None,
    format: Format = "png",
    theme: ThemeName = "light",
    out: Out = DEFAULT_OUT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Find the fewest cells that are enough to keep a picture's embedding, and the fewest that are needed to keep it.

    Writes IMAGE-enough.png (the picture, what is enough of it, and what is left without what is needed), .npz
    (`relax.SmallestSets.load` reads it) and .json. Ctrl-C writes the smallest sets so far.
    """
    check_there(*images)
    fills = fill_values(fill)
    choice("--format", format, FORMATS)
    choice("--theme", theme, THEMES)
    if ranking is not None:
        check_there(str(ranking))
    with usage_errors(debug=debug):
        check_out(out)
    from relax.cli.outputs import targets
    from relax.cli.prepare import check_fill, encoder_of, keep_passed_over, named_pictures
    from relax.enough.finding import SetsInterrupted, smallest_sets_with
    from relax.explanation import Explanation
    from relax.io.sources import unusable
    from relax.settings import Settings

    with usage_errors(debug=debug, of_images=True):
        for value in fills:
            check_fill(value)
        keywords: dict[str, Any] = {
            "similarity_at_least": at_least,
            "fills": fills,
            "backgrounds": [] if backgrounds is None else backgrounds,
            "passes": passes,
            "ranking": None if ranking is None else Explanation.load(ranking),
        }
        network, settings = encoder_of(encoder, {**options, "head": None}), Settings.of(options)
    with usage_errors(debug=debug):
        pictures, passed_over = named_pictures(images)
    endings = [f"-enough.{format}", "-enough.npz", "-enough.json"]
    written = 0
    with progress_bar("passes", visible=not quiet) as bar, usage_errors(debug=debug, own=OWN):
        task = bar.add_task("searching", total=None)
        keywords["progress"] = lambda done, total: bar.update(task, completed=done, total=total)
        for picture, target in zip(pictures, targets(pictures, out, endings=endings), strict=True):
            bar.update(task, description=Path(discreet_name(picture)).name)
            try:
                sets = smallest_sets_with(picture, network, settings, **keywords)
            except ImageError as error:
                if len(pictures) == 1:
                    raise
                complain(prefixed(discreet_name(picture), error))
                passed_over.append(unusable(picture, error))
                continue
            except SetsInterrupted as stop:
                files = write(stop.sets, target, format, theme)
                raise Stopped(f"the smallest sets so far are in {file_names(files)}") from None
            files = write(sets, target, format, theme)
            written += 1
            if not quiet:
                typer.echo(f"{discreet_name(picture)}\n{sets}\nwritten: {file_names(files)}")
    keep_passed_over(out, passed_over)
    return DONE if written == len(pictures) else SOME_FAILED


def fill_values(texts: list[str] | None) -> list[Any]:
    """The fills of `--fill`, each of which may be a word, a value or the path of a picture.

    Raises:
        UsageError: If one is like a word and none.
    """
    return [checked({"fill": fill_value(text)})["fill"] for text in texts or ["mean"]]


def write(sets: SmallestSets, target: Path, format: str, theme: str) -> list[Path]:
    """Write the figure, the arrays and the record, each file whole. Returns their paths."""
    from relax.plotting.drawing import file_of

    return write_files(
        target.with_name(f"{target.name}-enough"),
        {
            f".{format}": file_of(sets.plot(theme), format),
            ".npz": sets.to_bytes(),
            ".json": (json.dumps(sets.record(), indent=2) + "\n").encode(),
        },
    )
