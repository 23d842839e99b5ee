"""`relax inside`: a picture in the layers of an encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, progress_bar
from relax.cli.early import check_there
from relax.cli.options import (
    DEFAULT_OUT,
    IMAGE_HELP,
    OUT_PANEL,
    QUESTION_PANEL,
    Debug,
    EncoderSpec,
    Out,
    Quiet,
)
from relax.cli.usage import check_out, choice, listed, takes, usage_errors
from relax.files import file_names, write_files
from relax.inside.tables import EFFECTS, FACTORS, MOST_CHANNELS, MOST_PARTS, ORDERS, PLANS
from relax.io.choice import stem_of
from relax.text import number

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from relax.inside.result import Inside

EXAMPLES = """[bold]Examples[/bold]

relax inside cat.png
    the picture in the stages of the bundled encoder: cat-inside.html to walk through, cat-inside.png and .json

relax inside cat.png --encoder timm:vit_small_patch14_dinov2.lvd142m --layers more
    a vision transformer, attention and parts of its blocks

relax inside scan.png --encoder timm:resnet50 --layers layer3,layer4 --effect ablation --write page,arrays
    two layers, with the exact effect of each channel, as a page and as arrays (.npz)
"""
FILES = {
    "page": ".html, to walk through the layers in a browser, offline",
    "figure": ".png, the leading channels and the parts of each layer",
    "record": ".json, layers, leading channels, fields, how it was made",
    "arrays": ".npz, everything; `relax.Inside.load` reads it",
}
USUAL = "page,figure,record"


def _rows(rows: Mapping[str, str]) -> str:
    """Names with their meanings, for a help text."""
    return "; ".join(f"{name}: {what}" for name, what in rows.items())


@takes(("seed", "device", "pooling", "view"))
def inside(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help=IMAGE_HELP)],
    options: dict[str, Any],
    encoder: EncoderSpec = "default",
    layers: Annotated[
        str,
        typer.Option(
            metavar="LAYERS",
            help=f"{_rows(PLANS)}; or names with commas, as `relax layers` lists them.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = "auto",
    effect: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="How far the embedding turns (its cosine to itself falls) when a channel is set to its mean over the "
            f"cells: {_rows(EFFECTS)}.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = "gradient",
    factors: Annotated[
        str,
        typer.Option(metavar="METHOD", help=f"Parts of each layer: {_rows(FACTORS)}.", rich_help_panel=QUESTION_PANEL),
    ] = "auto",
    parts: Annotated[
        int,
        typer.Option(metavar="N", help=f"How many parts, 1 to {MOST_PARTS}.", rich_help_panel=QUESTION_PANEL),
    ] = 6,
    fields: Annotated[
        bool,
        typer.Option(
            "--fields/--no-fields", help="Find out which pixels each cell depends on.", rich_help_panel=QUESTION_PANEL
        ),
    ] = True,
    sort: Annotated[
        str,
        typer.Option(metavar="ORDER", help=f"Of the figure's channels: {_rows(ORDERS)}.", rich_help_panel=OUT_PANEL),
    ] = "energy",
    channels: Annotated[
        int,
        typer.Option(
            metavar="N", help=f"Channels of each layer in the figure, 1 to {MOST_CHANNELS}.", rich_help_panel=OUT_PANEL
        ),
    ] = 3,
    write: Annotated[
        str,
        typer.Option(metavar="FILES", help=f"With commas: {_rows(FILES)}.", rich_help_panel=OUT_PANEL),
    ] = USUAL,
    out: Out = DEFAULT_OUT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Look inside the encoder: a picture in its layers, channel by channel, head by head, and as parts.

    Writes IMAGE-inside.html, a page that works offline: click a layer, a channel and a place, and see what it sees and
    how its number came about; IMAGE-inside.png, a figure; and IMAGE-inside.json. The encoder must be one whose layers
    torch sees: not an ONNX graph or a function.
    """
    check_there(image)
    with usage_errors(debug=debug):
        choice("--effect", effect, EFFECTS)
        choice("--factors", factors, FACTORS)
        choice("--sort", sort, ORDERS)
        chosen = listed("--write", write, FILES)
        check_out(out)
        with progress_bar("steps", visible=not quiet) as bar, usage_errors(debug=debug, of_images=False):
            from relax.inside.looking import look_inside
            from relax.scene import load_encoder

            task = bar.add_task("looking inside", total=None)
            network = load_encoder(encoder, options["device"], options["pooling"], view=options["view"])
            looked = look_inside(
                image,
                network,
                layers=layers,
                effect=effect,
                factors=factors,
                parts=parts,
                fields=fields,
                seed=options["seed"],
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
            contents = _contents(looked, chosen, sort, channels)
        files = write_files(out / f"{stem_of(image)}-inside", contents)
    if not quiet:
        typer.echo(in_words(looked))
        typer.echo(f"written: {file_names(files)}")
    return DONE


def _contents(inside: Inside, chosen: list[str], sort: str, channels: int) -> dict[str, bytes]:
    """The bytes of the files, by ending."""
    from relax.inside.page import page
    from relax.plotting.drawing import file_of

    make: dict[str, tuple[str, Callable[[], bytes]]] = {
        "page": (".html", lambda: page(inside).encode()),
        "figure": (".png", lambda: file_of(inside.plot(by=sort, channels=channels))),
        "record": (".json", lambda: (inside.to_json() + "\n").encode()),
        "arrays": (".npz", inside.to_bytes),
    }
    return {ending: content() for ending, content in (make[name] for name in chosen)}


def in_words(inside: Inside) -> str:
    """A line for each layer: its shape, what its middle cell sees, and its leading channels."""
    lines = []
    width = max(len(stage.name) for stage in inside)
    for stage in inside:
        shape = " x ".join(map(str, stage.activations.shape))
        words = [f"{stage.name:<{width}}  {shape}"]
        if stage.field is not None:
            top, left, bottom, right = stage.field.box(stage.grid[0] // 2, stage.grid[1] // 2)
            words.append(f"the middle cell sees {bottom - top} x {right - left} px")
        words.append(f"most energy in channels {', '.join(map(str, stage.order('energy')[:3].tolist()))}")
        if stage.effect is not None:
            leading = stage.order("effect")[:3].tolist()
            falls = ", ".join(f"{channel} ({number(float(stage.effect[channel]))})" for channel in leading)
            words.append(f"most effect {falls}")
        lines.append("; ".join(words))
    left_out = inside.provenance.get("left_out") or []
    return "\n".join([*lines, *(f"left out: {sentence}" for sentence in left_out)])
