"""`relax explain`: the maps of pictures, with a figure and a record each."""

from __future__ import annotations

import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, SOME_FAILED, UsageError, progress_bar
from relax.cli.options import DEVICE_HELP, make_out
from relax.cli.options import batch_size as whole_or_auto

if TYPE_CHECKING:  # torch comes with these, and `relax --help` does not need it
    from encoders import Encoder
    from relax.cli.batch import Assess
    from relax.references import Corpus
    from relax.settings import Fill

EXAMPLES = """[bold]Examples[/bold]

relax explain cat.png
    cat.png, cat.npz and cat.json in relax-out, with the bundled encoder

relax explain *.jpg --encoder timm:vit_small_patch14_dinov2.lvd142m --out maps
    many images, another encoder; `relax encoders` lists what can be loaded

relax explain cat.png --tolerance 0.002
    as many masks as it takes until no pixel's standard error is above 0.002

relax explain cat.png --reference dog1.png --reference dog2.png
    why is the cat close to the dogs (to the mean of their embeddings)

relax explain cat.png --reference cats --foil animals
    what makes it closer to the images of one folder than to those of another

relax explain cat.png --trust --neighbours photos
    beside the maps: do they follow the picture, does the embedding stay put and keep its neighbours

relax explain cells.tif --cells 12 --masks 8000 --fill blur
    finer detail needs more masks; hidden pixels are blurred instead of grey
"""

WHO, WHAT, HOW, OUT = "Which question", "What is hidden", "How it is computed", "What comes out"


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"must be a whole number; got {text!r}") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"must be a number; got {text!r}") from None


def explain(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE", help="PNG, JPEG, TIFF, WebP or BMP; 8 or 16 bits.")],
    encoder: Annotated[
        str, typer.Option(metavar="SPEC", help="Who looks; `relax encoders` lists the choice.", rich_help_panel=WHO)
    ] = "default",
    similarity: Annotated[
        str,
        typer.Option(metavar="MEASURE", help="cosine, l2 (negative distance), dot or rbf.", rich_help_panel=WHO),
    ] = "cosine",
    reference: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGE",
            help="Compare with this image instead of the image itself; repeat it for the mean of several. A folder is "
            "a corpus: the mean similarity to its images. 'text:a cat' is a prompt, for open_clip encoders.",
            rich_help_panel=WHO,
        ),
    ] = None,
    foil: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGE",
            help="Take the similarity to this away: closer to the reference than to the foil. As --reference.",
            rich_help_panel=WHO,
        ),
    ] = None,
    pooling: Annotated[
        str,
        typer.Option(
            metavar="HOW", help="auto, cls or mean, for encoders that return tokens or maps.", rich_help_panel=WHO
        ),
    ] = "auto",
    regions: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="What is hidden together: grid, authors-grid, windows, superpixels or patches (of a ViT).",
            rich_help_panel=WHAT,
        ),
    ] = "grid",
    cells: Annotated[
        int,
        typer.Option(
            metavar="N", parser=_whole, help="Regions along each side; more show finer detail.", rich_help_panel=WHAT
        ),
    ] = 7,
    keep: Annotated[
        float,
        typer.Option(
            metavar="P", parser=_number, help="Chance that a region stays visible, in (0, 1).", rich_help_panel=WHAT
        ),
    ] = 0.5,
    fill: Annotated[
        str,
        typer.Option(
            metavar="FILL",
            help="What hidden pixels show: mean (of the encoder), blur, noise, a grey 0.5, a colour 0.5,0.4,0.3 "
            "or the path of an image; drop, with --regions patches, leaves hidden patches out.",
            rich_help_panel=WHAT,
        ),
    ] = "mean",
    design: Annotated[
        str,
        typer.Option(
            metavar="DESIGN",
            help="How the masks of the grid are drawn together: orthogonal, sobol, antithetic or independent. "
            "It changes the error, not what is estimated.",
            rich_help_panel=WHAT,
        ),
    ] = "orthogonal",
    estimator: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="auto, controlled (the same maps from fewer masks) or plain (the paper's average).",
            rich_help_panel=WHAT,
        ),
    ] = "auto",
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="paper: the masks of the authors' package; paper-rise: RISE's.", rich_help_panel=WHAT
        ),
    ] = None,
    masks: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=_whole,
            help="How many masks (default: 3000; with --tolerance: at most 100000).",
            rich_help_panel=HOW,
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            metavar="E",
            parser=_number,
            help="Stop when every pixel's standard error is at most this.",
            rich_help_panel=HOW,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Same seed, same masks, same maps.", rich_help_panel=HOW)] = 0,
    device: Annotated[str, typer.Option(metavar="DEVICE", help=DEVICE_HELP, rich_help_panel=HOW)] = "auto",
    batch_size: Annotated[
        str,
        typer.Option(metavar="N", help="Masked images at a time, or auto: speed, not result.", rich_help_panel=HOW),
    ] = "auto",
    precision: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="exact (float32); auto: half precision where it is faster and agrees; fast: where it is faster.",
            rich_help_panel=HOW,
        ),
    ] = "exact",
    trust: Annotated[
        bool,
        typer.Option(
            "--trust",
            help="Ask as well how far the map can be trusted: does it follow the picture when that is mirrored or "
            "shifted, does the embedding stay under small changes. Takes 2,048 more masks.",
            rich_help_panel=OUT,
        ),
    ] = False,
    neighbours: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="With --trust: does the embedding keep its neighbours in this folder of images, or in this output "
            "of relax index.",
            rich_help_panel=OUT,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the files go; made if need be.", rich_help_panel=OUT)
    ] = Path("relax-out"),
    quiet: Annotated[
        bool, typer.Option("--quiet", help="No progress and no table; errors are still said.", rich_help_panel=OUT)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where in the code an error came from.", rich_help_panel=OUT)
    ] = False,
) -> int:
    """Show which parts of each image made its embedding, and how sure that is.

    Parts of the image are hidden at random, thousands of times; a part is important if showing it keeps the embedding
    close. Per image: a figure (.png), the maps (.npz) and how they were made (.json).
    """
    settings: dict[str, Any] = {
        "masks": masks,
        "tolerance": tolerance,
        "similarity": similarity,
        "reference": reference or None,
        "foil": foil or None,
        "regions": regions,
        "cells": cells,
        "keep": keep,
        "fill": _fill(fill),
        "seed": seed,
        "design": design,
        "estimator": estimator,
        "preset": preset,
    }
    try:
        settings["batch_size"] = whole_or_auto(batch_size)
        if neighbours is not None and not trust:
            raise UsageError("--neighbours goes with --trust, which is not there")
        loaded = _prepare(encoder, device, pooling, precision, settings, out)
        assess = _assess(loaded, settings, neighbours) if trust else None
    except (ValueError, OSError, ImportError) as error:
        if debug:
            traceback.print_exc()
        raise UsageError(str(error)) from None
    from relax.cli.batch import explain_files

    failed = explain_files(images, loaded, settings, out, assess=assess, quiet=quiet, debug=debug)
    return SOME_FAILED if failed else DONE


def _prepare(encoder: str, device: str, pooling: str, precision: str, settings: dict[str, Any], out: Path) -> Encoder:
    """Find what is wrong with the options before an image is touched, the cheapest first; load the encoder.

    Folders among reference and foil become corpora, embedded once.
    """
    import relax

    relax.explain([], lambda pixels: pixels, **{**settings, "reference": None, "foil": None})
    for name in ("reference", "foil"):
        settings[name] = _corpus(settings[name])
    make_out(out)
    loaded = relax.load_encoder(encoder, device, pooling, precision=precision)
    for name in ("reference", "foil"):
        if isinstance(settings[name], relax.Corpus):
            settings[name] = _embedded(settings[name], loaded, name)
    relax.explain([], loaded, **settings)  # reads and embeds the reference
    return loaded


def _assess(loaded: Encoder, settings: dict[str, Any], neighbours: Path | None) -> Assess:
    """`relax.assess` for maps with these settings, though with no more masks than it takes by itself."""
    from relax.questions.trust import MASKS, assess

    own = {name: value for name, value in settings.items() if name != "tolerance"}
    own["masks"] = min(settings["masks"] or MASKS, MASKS)
    return partial(assess, encoder=loaded, corpus=_members(neighbours, loaded) if neighbours else None, **own)


def _members(folder: Path, loaded: Encoder) -> Corpus:
    """The pictures of a folder, or those of an archive."""
    import numpy as np

    from relax.archive.archive import load_archive
    from relax.archive.files import RECORD
    from relax.archive.update import check_same_encoder
    from relax.references import Corpus

    if not (folder / RECORD).is_file():
        return _embedded(Corpus(folder), loaded, "neighbours")
    archive = load_archive(folder)
    check_same_encoder(archive.record["encoder"], loaded, folder)
    return Corpus(np.array(archive.embeddings), str(folder))


def _corpus(paths: list[str] | None) -> list[str] | Corpus | None:
    """The images, or a corpus as soon as there is a folder among them."""
    from relax.references import Corpus, image_files

    folders = [path for path in paths or [] if Path(path).is_dir()]
    if not paths or not folders:
        return paths
    if len(paths) == 1:
        return Corpus(paths[0])
    return Corpus([one for path in paths for one in (image_files(path) if path in folders else [path])])


def _embedded(corpus: Corpus, encoder: Encoder, name: str) -> Corpus:
    with progress_bar("images") as bar:
        task = bar.add_task(f"embedding the {name}", total=len(corpus))
        return corpus.embedded(encoder, lambda done, most: bar.update(task, completed=done, total=most))


def _fill(text: str) -> Fill:
    """The fill that a word, a number, numbers or a path mean."""
    from masking import FILLS

    if text in (*FILLS, "drop"):
        return text
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        from relax.io.errors import ImageError
        from relax.io.images import read_image

        try:
            read_image(text)
        except ImageError as error:
            raise UsageError(
                f"--fill is {', '.join(FILLS)}, a number, three numbers r,g,b or the path of an image: {error}"
            ) from None
        return Path(text)
    if not all(0 <= value <= 1 for value in values):
        raise UsageError(f"--fill takes values from 0 to 1; got {text}")
    return values[0] if len(values) == 1 else values
