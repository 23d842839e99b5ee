"""`relax slide tissue`, `embed`, `index`, `explain`: whole slides, and which of their tiles make the embedding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from relax.cli.console import DONE, WRONG_USAGE, Stopped, UsageError, progress_bar
from relax.cli.options import (
    DEFAULT_OUT,
    EXECUTION,
    HIDING_PANEL,
    OUT_PANEL,
    QUESTION_PANEL,
    RUN_PANEL,
    SIMILARITY,
    Debug,
    EncoderSpec,
    Out,
    Quiet,
    option_name,
)
from relax.cli.usage import choice, takes, usage_errors

TISSUE_EXAMPLES = """[bold]Examples[/bold]

relax slide tissue biopsy.svs --out biopsy-tissue.png
    where tissue was found, and the tiles on it, before anything is embedded

relax slide tissue biopsy.svs --saturation 0.08 --least-area 0.1 --out biopsy-tissue.png
    a lower threshold than Otsu's, without pieces below 0.1 square millimetres

relax slide tissue biopsy.svs --tissue drawn.png --out biopsy-tissue.png
    a mask drawn by hand over a picture of the whole slide, white where tissue is
"""

EMBED_EXAMPLES = """[bold]Examples[/bold]

relax slide embed biopsy.svs --out biopsy.h5
    the tiles that hold tissue, 224 px at 0.5 micrometres per pixel; the same command continues after a kill

relax slide embed biopsy.svs --encoder timm:vit_small_patch14_dinov2.lvd142m --tile-mpp 1 --out biopsy.h5
    another encoder, at 10x

relax slide embed scan.tif --mpp 0.23 --out scan.h5
    a file that does not say how many micrometres a pixel spans
"""

EXPLAIN_EXAMPLES = """[bold]Examples[/bold]

relax slide explain biopsy.h5 --slide biopsy.svs
    which tiles make the slide's embedding: a figure, biopsy.geojson and overlays for QuPath, in relax-out

relax slide explain biopsy.h5 --slide biopsy.svs --reference tumour.h5 --foil normal.h5 --top 6
    which tiles make it closer to one slide than to another, and where in the six most important ones

relax slide explain trident/20x_256px/features_uni/case.h5 --reference prototype.npy
    tiles that TRIDENT embedded, and a vector: no slide and no encoder is needed

relax slide explain biopsy.h5 --weights attention.npy --drop
    a mean weighted with a network's attention, and how the map fares against attention, alone and chance
"""

INDEX_EXAMPLES = """[bold]Examples[/bold]

relax slide index biopsy.h5 --slide biopsy.svs --out biopsy-archive
    its tiles as an archive; nothing is embedded again

relax search biopsy-archive "biopsy.svs#x=4480&y=448&mpp=0.5" --sheet alike.html
    the tiles closest to one of them, or to any picture

relax audit "biopsy.svs#tiles=biopsy.h5" --metadata biopsy-archive/tiles.csv --out biopsy-archive
    clusters, outliers and duplicates among them, with the embeddings of the archive
"""

OPTIONS = ("mpp", "tile_mpp", "tile_size", "least_tissue", "saturation", "least_area", "weights", "top", "foil")

slide_app = typer.Typer(
    help="Whole slides: which tiles make the slide's embedding (extra 'pathology').",
    invoke_without_command=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

SlidePath = Annotated[
    Path, typer.Argument(metavar="SLIDE", help="SVS, NDPI, MRXS, SCN, BIF, pyramid TIFF, OME-TIFF, ...")
]
TilesPath = Annotated[Path, typer.Argument(metavar="TILES", help="A .h5 file of `relax slide embed`, TRIDENT or CLAM.")]
TileSpan = Annotated[
    int | None,
    typer.Option("--tile-span", metavar="PX", help="Side of a tile in pixels of level 0, if the file does not say."),
]
Mpp = Annotated[
    float | None,
    typer.Option(metavar="UM", help="Micrometres per pixel of the slide's finest level, if the file does not say."),
]
TileMpp = Annotated[
    float,
    typer.Option("--tile-mpp", metavar="UM", help="Micrometres per pixel of a tile.", rich_help_panel=HIDING_PANEL),
]
TileSize = Annotated[
    int, typer.Option("--tile-size", metavar="PX", help="Side of a tile in pixels.", rich_help_panel=HIDING_PANEL)
]
LeastTissue = Annotated[
    float,
    typer.Option(metavar="SHARE", help="Share of a tile that must be tissue.", rich_help_panel=HIDING_PANEL),
]
Saturation = Annotated[
    float | None,
    typer.Option(
        metavar="S",
        help="Tissue is what is more saturated than this, in [0, 1].",
        show_default="Otsu's threshold, at least 0.05",
        rich_help_panel=HIDING_PANEL,
    ),
]
LeastArea = Annotated[
    float,
    typer.Option(
        metavar="MM2", help="Least area of a piece of tissue, in square millimetres.", rich_help_panel=HIDING_PANEL
    ),
]
TissueMask = Annotated[
    Path | None,
    typer.Option(
        "--tissue",
        metavar="IMAGE",
        help="A mask over the whole slide instead of the rule, of any size; white is tissue.",
        rich_help_panel=HIDING_PANEL,
    ),
]
TILE_MPP, TILE_SIZE, LEAST_TISSUE, LEAST_AREA = 0.5, 224, 0.5, 0.02  # as in `relax.slides`, which loads torch


@slide_app.callback()
def _slide(context: typer.Context) -> None:
    """Whole slides: which tiles make the slide's embedding (extra 'pathology')."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(WRONG_USAGE)


@slide_app.command(epilog=TISSUE_EXAMPLES)
def tissue(
    slide: SlidePath,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The picture: .png, .svg or .pdf.")],
    mpp: Mpp = None,
    tile_mpp: TileMpp = TILE_MPP,
    tile_size: TileSize = TILE_SIZE,
    least_tissue: LeastTissue = LEAST_TISSUE,
    saturation: Saturation = None,
    least_area: LeastArea = LEAST_AREA,
    mask: TissueMask = None,
    debug: Debug = False,
) -> int:
    """Show where tissue is found on a slide, and which tiles would be embedded.

    Tissue is what is colourful when the slide is seen from afar; pens and dyed edges are, too, so look at it.
    """
    with slide_errors(debug):
        from relax.slides.drawing import draw_tissue
        from relax.slides.opening import open_slide
        from relax.slides.tiles import lay_tiles
        from relax.slides.tissue import find_tissue

        with open_slide(slide, mpp=mpp) as opened:
            found = find_tissue(opened, saturation=saturation, least_area=least_area, mask=mask)
            grid = lay_tiles(opened, found, mpp=tile_mpp, size=tile_size, least_tissue=least_tissue)
            write_figure(draw_tissue(found, grid, opened.name), out)
    typer.echo(f"{len(grid):,} tiles, {found.share:.1%} of the slide is tissue\nwritten: {out}")
    return DONE


@slide_app.command(epilog=EMBED_EXAMPLES)
@takes(EXECUTION)
def embed(
    slide: SlidePath,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The .h5 file of the tiles, continued if it is not finished.")
    ],
    options: dict[str, Any],
    encoder: EncoderSpec = "default",
    mpp: Mpp = None,
    tile_mpp: TileMpp = TILE_MPP,
    tile_size: TileSize = TILE_SIZE,
    least_tissue: LeastTissue = LEAST_TISSUE,
    saturation: Saturation = None,
    least_area: LeastArea = LEAST_AREA,
    mask: TissueMask = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Embed the tiles of a slide that hold tissue, in a stream: memory does not grow with the slide.

    Writes one HDF5 file in the layout of TRIDENT: features, and coords in pixels of level 0. It can be stopped or
    killed at any time; the same command then continues.
    """
    batch_size = options.pop("batch_size")
    try:
        with slide_errors(debug), progress_bar("tiles", visible=not quiet) as bar:
            from relax.scene import load_encoder
            from relax.slides.embedding import embed_slide

            task = bar.add_task("searching for tissue", total=None)
            tiles = embed_slide(
                slide,
                load_encoder(encoder, **options),
                out,
                mpp=mpp,
                tile_mpp=tile_mpp,
                tile_size=tile_size,
                least_tissue=least_tissue,
                saturation=saturation,
                least_area=least_area,
                tissue=mask,
                batch_size=batch_size,
                progress=lambda done, total: bar.update(task, description="embedding", completed=done, total=total),
            )
    except KeyboardInterrupt:
        raise Stopped("the tiles so far are kept; run the same command to continue") from None
    if not quiet:
        typer.echo(f"{tiles!r}\nwritten: {out}")
    return DONE


@slide_app.command(epilog=INDEX_EXAMPLES)
def index(
    tiles: TilesPath,
    slide: Annotated[Path, typer.Option(metavar="SLIDE", help="The slide itself, for the pictures of tiles.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The archive: created or updated.")],
    encoder: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="Of tiles that do not say it.", show_default="the one that made the tiles"),
    ] = None,
    kind: Annotated[str, typer.Option(metavar="KIND", help="As for `relax index`: flat, hnsw or ivfpq.")] = "flat",
    metric: Annotated[str, typer.Option(metavar="METRIC", help="cosine, or l2 (negative distance).")] = "cosine",
    tile_span: TileSpan = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Make an archive of embedded tiles, to search and audit them as a folder of pictures.

    The embeddings are those of the file; one tile is embedded, to see that slide and encoder are those of the tiles.
    Writes an archive as `relax index` does, and tiles.csv: the slide, x, y and span of each tile.
    """
    with slide_errors(debug):
        from relax.slides.indexing import index_tiles
        from similarity.index import KINDS, METRICS

        choice("--kind", kind, KINDS)
        choice("--metric", metric, METRICS)
        archive = index_tiles(tiles, slide, out, encoder=encoder, span=tile_span, kind=kind, metric=metric)
    if not quiet:
        typer.echo(f"{archive!r}\nwritten: {out}")
    return DONE


@slide_app.command(epilog=EXPLAIN_EXAMPLES)
@takes(SIMILARITY, ("seed",))
def explain(
    tiles: TilesPath,
    options: dict[str, Any],
    slide: Annotated[
        Path | None,
        typer.Option(
            metavar="SLIDE", help="The slide itself, for the figure and for --top.", rich_help_panel=OUT_PANEL
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            help="Another slide's .h5, an embedding (.npy), a picture or 'text:...'.",
            show_default="the slide itself",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    foil: Annotated[
        str | None,
        typer.Option(metavar="WHAT", help="Likewise; its similarity is subtracted.", rich_help_panel=QUESTION_PANEL),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="NPY", help="A number per tile, such as attention: a weighted mean.", rich_help_panel=QUESTION_PANEL
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="For pictures as reference and for --top.",
            show_default="the one that made the tiles",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    masks: Annotated[
        int, typer.Option(metavar="N", help="Random subsets of the tiles.", rich_help_panel=RUN_PANEL)
    ] = 4096,
    keep: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the tiles in a subset.", rich_help_panel=HIDING_PANEL)
    ] = 0.05,
    top: Annotated[
        int,
        typer.Option(
            metavar="N", help="Also look inside so many of the most important tiles.", rich_help_panel=OUT_PANEL
        ),
    ] = 0,
    drop: Annotated[
        bool,
        typer.Option(
            "--drop", help="Also judge the map: drop the tiles in its order, and others.", rich_help_panel=OUT_PANEL
        ),
    ] = False,
    report: Annotated[
        bool,
        typer.Option(
            "--report",
            help="Also write a page: the map over the slide, values under the pointer.",
            rich_help_panel=OUT_PANEL,
        ),
    ] = False,
    mpp: Mpp = None,
    tile_span: TileSpan = None,
    out: Out = DEFAULT_OUT,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there already.", rich_help_panel=OUT_PANEL)
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Show which tiles make the slide's embedding, the mean of the tiles', or its closeness to something.

    Random subsets of the tiles are shown, and no encoder is run. Writes STEM.npz (the map), STEM.geojson (a square per
    tile, with its numbers), STEM-overlay.tif (colours) and STEM-values.ome.tif (numbers) for QuPath and other viewers,
    and with --slide a figure, STEM.png; with --report a page, STEM.html.
    """
    from relax.cli.slide_outputs import explain_and_write

    with slide_errors(debug):
        lines = explain_and_write(
            tiles,
            slide,
            out,
            {"reference": reference, "foil": foil},
            weights=weights,
            encoder=encoder,
            masks=masks,
            keep=keep,
            top=top,
            drop=drop,
            report=report,
            mpp=mpp,
            span=tile_span,
            overwrite=overwrite,
            visible=not quiet,
            **options,
        )
    if not quiet:
        for line in lines:
            typer.echo(line)
    return DONE


def write_figure(figure: Any, out: Path) -> None:
    """Write a figure in the format that its name ends in."""
    from relax.files import written_aside
    from relax.plotting.drawing import file_of
    from relax.plotting.tables import FORMATS

    format = out.suffix.lstrip(".").lower()
    if format not in FORMATS:
        raise UsageError(f"--out must end in {', '.join('.' + name for name in FORMATS)}; got {out.name!r}")
    content = file_of(figure, format)
    with written_aside(out) as aside:
        aside.write_bytes(content)


@contextmanager
def slide_errors(debug: bool) -> Iterator[None]:
    """As `usage_errors`, for keywords that are options of these commands alone."""
    try:
        with usage_errors(debug=debug):
            yield
    except UsageError as error:
        keyword, separator, text = str(error).partition(" ")
        named = keyword in OPTIONS
        raise UsageError(f"{option_name(keyword)}{separator}{text}" if named else str(error)) from None
