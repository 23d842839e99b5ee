"""`relax pair`: why are two images close?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, SOME_FAILED, UsageError, complain
from relax.cli.options import DEVICE_HELP, make_out

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from relax.questions.pairs import PairExplanation

EXAMPLES = """[bold]Examples[/bold]

relax pair cat.png dog.png
    what in the cat brings it to the dog, and what in the dog to the cat

relax pair scan1.png scan2.png --encoder timm:vit_small_patch14_dinov2.lvd142m --similarity l2 --out pairs
    another encoder and measure
"""


def pair(
    a: Annotated[str, typer.Argument(metavar="A", help="PNG, JPEG, TIFF, WebP or BMP; 8 or 16 bits.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The image to which it is close, or not.")],
    encoder: Annotated[str, typer.Option(metavar="SPEC", help="Who looks.")] = "default",
    similarity: Annotated[str, typer.Option(metavar="MEASURE", help="cosine, l2, dot or rbf.")] = "cosine",
    masks: Annotated[int, typer.Option(metavar="N", help="For each of the two images.")] = 3000,
    cells: Annotated[int, typer.Option(metavar="N", help="Regions along each side; more show finer detail.")] = 7,
    keep: Annotated[float, typer.Option(metavar="P", help="Chance that a region stays visible, in (0, 1).")] = 0.5,
    fill: Annotated[str, typer.Option(metavar="FILL", help="mean, blur or noise: what hidden pixels show.")] = "mean",
    seed: Annotated[int, typer.Option(metavar="N", help="Same seed, same maps.")] = 0,
    device: Annotated[str, typer.Option(metavar="DEVICE", help=DEVICE_HELP)] = "auto",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go; made if need be.")] = Path("relax-out"),
) -> int:
    """Show what in each of two images brings it close to the other, and what of that goes beyond its own content.

    Written: A-B-pair.png (the figure), A-B-pair.json (similarity, settings) and for each image the maps for the other,
    for itself and beyond: A-B-pair-a-to-other.npz, ...
    """
    from relax.cli.batch import MaskProgress
    from relax.io.choice import stem_of
    from relax.io.errors import ImageError
    from relax.probing import probe
    from relax.questions.pairs import pair_of
    from relax.scene import load_encoder
    from similarity import measure_named

    progress = MaskProgress(2, shown=True)
    try:
        measure_named(similarity)
        if fill not in (words := ("mean", "blur", "noise")):
            raise ValueError(f"--fill is {', '.join(words)}; got {fill!r}")
        make_out(out)
        loaded = load_encoder(encoder, device)
        with progress.bar:
            probes = []
            for image in (a, b):
                progress.turn(image)
                settings: dict[str, Any] = {"masks": masks, "cells": cells, "keep": keep, "fill": fill, "seed": seed}
                probes.append(probe(image, loaded, progress=progress.masks, **settings))
        found = pair_of(*probes, similarity=similarity)
        files = write(found, out, f"{stem_of(a)}-{stem_of(b)}-pair")
    except ImageError as error:
        complain(str(error))
        return SOME_FAILED
    except (ValueError, OSError, ImportError) as error:
        raise UsageError(str(error)) from None
    typer.echo(in_words(found))
    typer.echo(f"written: {files[0]}, {files[1]} and {len(files) - 2} maps (.npz) beside them")
    return DONE


def in_words(found: PairExplanation) -> str:
    """The numbers of a pair, one line each."""
    from relax.text import number, shortened

    made = found.a.to_other.provenance
    lines = [f"{made['similarity']} of the whole images: {number(found.similarity)}"]
    for one in (found.a, found.b):
        how = one.to_other.provenance
        lines.append(
            f"{shortened(how['image'], 60)}: over the masks, the similarity to the other and that to itself correlate "
            f"{number(one.correlation)}, slope {number(one.slope)}"
        )
    return "\n".join(lines)


def write(found: PairExplanation, out: Path, stem: str) -> list[Path]:
    """Write the figure, the numbers and the maps; whole files or none. Returns their paths."""
    from relax.files import written_aside
    from relax.plotting.panels import png_of
    from relax.plotting.questions import pair_figure

    picture = png_of(pair_figure(found))
    maps = [
        getattr(one, name).save(out / f"{stem}-{which}-{name.replace('_', '-')}.npz")
        for which, one in (("a", found.a), ("b", found.b))
        for name in ("to_other", "to_itself", "beyond")
    ]
    numbers, figure = out / f"{stem}.json", out / f"{stem}.png"
    with written_aside(numbers) as aside:
        aside.write_text(json.dumps(found.record(), indent=2) + "\n", encoding="utf-8")
    with written_aside(figure) as aside:
        aside.write_bytes(picture)
    return [figure, numbers, *maps]
