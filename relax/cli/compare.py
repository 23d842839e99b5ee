"""`relax compare`: methods, or encoders, side by side on one image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, SOME_FAILED, UsageError, complain
from relax.cli.options import DEVICE_HELP
from relax.cli.options import names as listed

if TYPE_CHECKING:  # torch comes with these, and `relax --help` does not need it
    from encoders import Encoder, Head
    from relax.questions.comparison import Comparison

EXAMPLES = """[bold]Examples[/bold]

relax compare cat.png --methods relax,gradcam,lime,occlusion,random
    without labels: each method explains the similarity of the image to itself

relax compare cat.png --encoder torchvision:resnet50 --head network --methods relax,rise,gradcam,lime
    the network's own classifier; --target names the class, otherwise the one it predicts

relax compare cat.png --head probe --methods rise,lime
    a head that `relax head train` made

relax compare cat.png --encoders default,random:default
    RELAX through several encoders: same masks, one colour scale
"""

DEFAULT_METHODS = "relax,lafam,gradcam,lime,occlusion,random"


def compare(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="PNG, JPEG, TIFF, WebP or BMP; 8 or 16 bits.")],
    methods: Annotated[
        str, typer.Option(metavar="NAMES", help="With commas; `relax methods` lists what each needs and costs.")
    ] = DEFAULT_METHODS,
    encoders: Annotated[
        str | None, typer.Option(metavar="SPECS", help="With commas: RELAX through each of these encoders instead.")
    ] = None,
    encoder: Annotated[str, typer.Option(metavar="SPEC", help="Who looks, when methods are compared.")] = "default",
    head: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Explain a class: a head of `relax head train`, or network for its own."),
    ] = None,
    target: Annotated[str | None, typer.Option(metavar="CLASS", help="The class; default: the predicted one.")] = None,
    similarity: Annotated[str, typer.Option(metavar="MEASURE", help="cosine, l2, dot or rbf.")] = "cosine",
    masks: Annotated[int, typer.Option(metavar="N", help="For relax and rise; others take their own number.")] = 3000,
    cells: Annotated[int, typer.Option(metavar="N", help="Regions along each side, for all that hide some.")] = 7,
    keep: Annotated[float, typer.Option(metavar="P", help="Chance that a region stays visible, in (0, 1).")] = 0.5,
    fill: Annotated[str, typer.Option(metavar="FILL", help="mean, blur or noise: what hidden pixels show.")] = "mean",
    seed: Annotated[int, typer.Option(metavar="N", help="Same seed, same maps.")] = 0,
    device: Annotated[str, typer.Option(metavar="DEVICE", help=DEVICE_HELP)] = "auto",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go; made if need be.")] = Path("relax-out"),
) -> int:
    """Lay methods, or encoders, side by side on one image, with what each costs.

    Written: STEM-compare.png (the figure), STEM-compare.json (costs, settings, what failed) and the maps of each,
    STEM-NAME.npz. What cannot be done is said in one line, and the others are still drawn.
    """
    from relax.cli.batch import MaskProgress
    from relax.io.choice import stem_of
    from relax.io.errors import ImageError
    from relax.questions.comparison import compare_encoders, compare_methods

    settings: dict[str, Any] = {"similarity": similarity, "cells": cells, "keep": keep, "fill": fill, "seed": seed}
    names = listed(methods if encoders is None else encoders)
    progress = MaskProgress(len(names), shown=True)
    settings |= {"masks": masks, "progress": progress.masks, "started": progress.turn}
    try:
        with progress.bar:
            if encoders is not None:
                found = compare_encoders(image, names, device=device, **settings)
            else:
                loaded, classifier = _with_head(encoder, head, device)
                found = compare_methods(image, names, loaded, head=classifier, target=target, **settings)
        if not found.explanations:
            raise ValueError("; ".join(f"{name}: {why}" for name, why in found.failures.items()))
        files = write(found, out, stem_of(image))
    except ImageError as error:
        complain(str(error))
        return SOME_FAILED
    except (ValueError, OSError, ImportError) as error:
        raise UsageError(str(error)) from None
    for name, why in found.failures.items():
        complain(why if why.startswith(name) else f"{name}: {why}")
    print_costs(found, files)
    return SOME_FAILED if found.failures else DONE


def methods() -> int:
    """List the methods that can be compared: what each explains, needs and costs."""
    from relax.baselines import METHODS

    for method in METHODS.values():
        needs = f"needs {', '.join(sorted(method.needs))}" if method.needs else "needs nothing"
        typer.echo(f"{method.name:<21} {method.family:<11} {needs:<27} passes: {method.passes_in_words}")
        typer.echo(f"{'':<21} {method.source}")
    return DONE


def write(found: Comparison, out: Path, stem: str) -> list[Path]:
    """Write the figure, the costs and the maps of each; whole files or none. Returns their paths."""
    from relax.files import written_aside
    from relax.plotting.comparison import comparison_figure
    from relax.plotting.panels import png_of
    from relax.questions.comparison import costs

    figure, table = out / f"{stem}-compare.png", out / f"{stem}-compare.json"
    picture = png_of(comparison_figure(found.explanations, found.failures, found.limits))
    maps = []
    for name, one in found.explanations.items():
        maps.append(one.save(out / f"{stem}-{_as_file_name(name)}.npz"))
    with written_aside(table) as aside:
        how = {name: one.provenance for name, one in found.explanations.items()}
        text = {"costs": costs(found), "failures": found.failures, "provenance": how}
        aside.write_text(json.dumps(text, indent=2) + "\n", encoding="utf-8")
    with written_aside(figure) as aside:
        aside.write_bytes(picture)
    return [figure, table, *maps]


def print_costs(found: Comparison, files: list[Path]) -> None:
    """Print passes, seconds and range of each map, and where the files are, to stdout."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from relax.questions.comparison import costs
    from relax.text import number

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name")
    for title in ("passes", "seconds", "lowest", "highest"):
        table.add_column(title, justify="right")
    table.add_column("unit", overflow="fold")
    for row in costs(found):
        span = row["highest"] - row["lowest"]
        ends = number(row["lowest"], span), number(row["highest"], span)
        table.add_row(Text(row["name"]), f"{row['passes']:,}", f"{row['seconds']:.1f}", *ends, Text(row["unit"]))
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, 160)
    console.print(table)
    console.print(Text(f"written: {files[0]}, {files[1]} and {len(files) - 2} maps (.npz) beside them"))


def _with_head(encoder: str, head: str | None, device: str) -> tuple[Encoder, Head | None]:
    from encoders import load, load_head, network_head

    if head == "network":
        return network_head(encoder, device=device)
    loaded = load(encoder, device=device)
    if head is None:
        return loaded, None
    found = load_head(head)
    found.check(loaded)
    return loaded, found


def _as_file_name(name: str) -> str:
    """Letters, digits and a few signs; everything else, as the : and / of a spec, becomes a line."""
    return "".join(letter if letter.isalnum() or letter in "+.-" else "-" for letter in name)[:100]
