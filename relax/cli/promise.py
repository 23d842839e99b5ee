"""`relax promise calibrate` and `apply`: cells that keep the embedding in a stated share of an archive's pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from relax.cli.console import DONE, SOME_FAILED, Stopped, complain, prefixed, progress_bar
from relax.cli.early import check_named, check_there
from relax.cli.enough import AtLeast, Fills, fill_values
from relax.cli.options import (
    DEFAULT_OUT,
    EXECUTION,
    IMAGE_HELP,
    OUT_PANEL,
    QUESTION_PANEL,
    SEVERAL,
    Debug,
    EncoderSpec,
    Format,
    Out,
    Quiet,
    ThemeName,
)
from relax.cli.usage import check_out, choice, command_group, takes, usage_errors
from relax.files import file_names, write_files
from relax.io.choice import discreet_name
from relax.io.errors import ImageError
from relax.plotting.tables import FORMATS
from relax.plotting.themes import THEMES

CALIBRATE_EXAMPLES = """[bold]Examples[/bold]

relax promise calibrate photos --out promise.json
    half of the pictures say how many cells to take, so that 95 % keep a cosine of 0.8; the others check that

relax promise calibrate photos --at-least 0.9 --share 0.9 --confidence 0.9 --out promise.json
    a higher similarity, in 9 of 10 pictures or more, and that with a confidence of 90 %
"""
APPLY_EXAMPLES = """[bold]Examples[/bold]

relax promise apply promise.json cat.png
    the cells that the promise takes of the cat, from its map alone: cat-promise.png, .npz, .json

relax promise apply promise.json photos --check
    one further pass for each picture and fill, which says whether this one is among those that keep it
"""

OWN = ("similarity_at_least", "share", "confidence", "rule", "fills", "held_out")

promise_app = command_group("Cells that keep the embedding in a stated share of the pictures of an archive.")


@promise_app.command(epilog=CALIBRATE_EXAMPLES)
@takes(("regions", "cells", "seed", "masks"), EXECUTION, masks=256)
def calibrate(
    pictures: Annotated[str, typer.Argument(metavar="DIR", help=f"Pictures such as later ones will be. {SEVERAL}")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The promise, a JSON file.", rich_help_panel=OUT_PANEL)],
    options: dict[str, Any],
    encoder: EncoderSpec = "default",
    at_least: AtLeast = 0.8,
    share: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Of pictures that keep the similarity.", rich_help_panel=QUESTION_PANEL),
    ] = 0.95,
    confidence: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="That the share is no smaller.",
            show_default="in expectation",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    rule: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            help="Which cells, in the order of a map: steady (a share of its importance, the smaller the higher scores "
            "stay whatever is shown), importance (a share of it), count (as many for each picture), predicted (as many "
            "as a fit to its scores predicts a similarity with).",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = "steady",
    fill: Fills = None,
    held_out: Annotated[
        float,
        typer.Option(
            metavar="SHARE", help="Of the pictures, which only check the promise.", rich_help_panel=QUESTION_PANEL
        ),
    ] = 0.5,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Calibrate how many cells a map needs, so that they keep the embedding in a stated share of pictures.

    Each picture takes its map and a pass for every number of cells and every fill. Ctrl-C leaves nothing behind.
    """
    with usage_errors(debug=debug):
        check_out(out.parent)
        if out.is_dir():
            raise ValueError(f"--out must be a file; {out} is a folder")
    from relax.cli.prepare import check_fill, encoder_of
    from relax.enough.calibrating import promise_sets

    try:
        fills = fill_values(fill)
        with usage_errors(debug=debug, own=OWN), progress_bar("pictures", visible=not quiet) as bar:
            for value in fills:
                check_fill(value)
            task = bar.add_task("calibrating", total=None)
            promise = promise_sets(
                pictures,
                encoder_of(encoder, {**options, "head": None}),
                similarity_at_least=at_least,
                share=share,
                confidence=confidence,
                rule=rule,
                fills=fills,
                held_out=held_out,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
                **options,
            )
    except KeyboardInterrupt:
        raise Stopped("nothing is written: a promise needs all of its pictures") from None
    promise.save(out)
    if not quiet:
        typer.echo(f"{promise}\nwritten: {out}")
    return DONE


@promise_app.command(name="apply", epilog=APPLY_EXAMPLES)
def apply_promise(
    promise: Annotated[Path, typer.Argument(metavar="PROMISE", help="A file of `relax promise calibrate`.")],
    images: Annotated[list[str], typer.Argument(metavar="IMAGE|DIR", help=f"{IMAGE_HELP} Or folders of images.")],
    check: Annotated[
        bool, typer.Option("--check", help="Embed the cells, one pass for each fill.", rich_help_panel=QUESTION_PANEL)
    ] = False,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="As of `relax explain`.")] = "auto",
    format: Format = "png",
    theme: ThemeName = "light",
    out: Out = DEFAULT_OUT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Show the cells that a promise takes of a picture, from its map alone.

    Writes IMAGE-promise.png, .npz (mask and members) and .json. What is promised is a share of pictures such as those
    that the promise was calibrated on, not this picture.
    """
    check_named("PROMISE", promise)
    check_there(*images)
    choice("--format", format, FORMATS)
    choice("--theme", theme, THEMES)
    from relax.cli.outputs import targets
    from relax.cli.prepare import keep_passed_over, named_pictures
    from relax.enough.promise import Promise
    from relax.io.sources import unusable
    from relax.scene import load_encoder

    with usage_errors(debug=debug):
        check_out(out)
        kept = Promise.load(promise)
        pooling, view = (kept.encoder.get(name, "auto") for name in ("pooling", "view"))
        network = load_encoder(kept.encoder["name"], device, pooling, view=view)
        kept.check_encoder(network)
        pictures, passed_over = named_pictures(images)
    endings = [f"-promise.{format}", "-promise.npz", "-promise.json"]
    written = 0
    with progress_bar("pictures", visible=not quiet) as bar, usage_errors(debug=debug):
        task = bar.add_task("showing", total=len(pictures))
        for picture, target in zip(pictures, targets(pictures, out, endings=endings), strict=True):
            try:
                promised = kept.sets_of(picture, network, check=check)
            except ImageError as error:
                if len(pictures) == 1:
                    raise
                complain(prefixed(discreet_name(picture), error))
                passed_over.append(unusable(picture, error))
                continue
            contents = {
                f".{format}": promised.figure_file(kept, format, theme),
                ".npz": promised.to_bytes(),
                ".json": (json.dumps({**promised.record(), "promise": kept.record()}, indent=2) + "\n").encode(),
            }
            files = write_files(target.with_name(f"{target.name}-promise"), contents)
            written += 1
            bar.update(task, advance=1)
            if not quiet:
                typer.echo(f"{discreet_name(picture)}: {promised}; written: {file_names(files)}")
    keep_passed_over(out, passed_over)
    return DONE if written == len(pictures) else SOME_FAILED
