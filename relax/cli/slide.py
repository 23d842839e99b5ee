"""`relax slide tissue`, `embed`, `index`, `explain`: whole slides, and which of their tiles make the embedding."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from relax.cli.console import DONE, Stopped, UsageError, progress_bar
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
)
from relax.cli.slide_options import (
    EMBED_EXAMPLES,
    EXPLAIN_EXAMPLES,
    INDEX_EXAMPLES,
    TISSUE_EXAMPLES,
    LeastArea,
    LeastTissue,
    Mpp,
    Saturation,
    SlidePath,
    TileMpp,
    TileSize,
    TileSpan,
    TilesPath,
    TissueMask,
)
from relax.cli.usage import choice, command_group, takes, usage_errors
from relax.slides.defaults import KEEP, LEAST_AREA, LEAST_TISSUE, MASKS, TILE_MPP, TILE_SIZE

OPTIONS = ("mpp", "tile_mpp", "tile_size", "least_tissue", "saturation", "least_area", "weights", "top", "foil")

slide_app = command_group("Whole slides: which tiles make the slide's embedding (extra 'pathology').")


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
    with usage_errors(debug=debug, own=OPTIONS):
        from relax.slides.drawing import draw_tissue
        from relax.slides.opening import open_slide
        from relax.slides.tiles import lay_tiles
        from relax.slides.tissue import find_tissue

        with open_slide(slide, mpp=mpp) as opened:
            tissue_map = find_tissue(opened, saturation=saturation, least_area=least_area, mask=mask)
            grid = lay_tiles(opened, tissue_map, mpp=tile_mpp, size=tile_size, least_tissue=least_tissue)
            write_figure(draw_tissue(tissue_map, grid, opened.name), out)
    typer.echo(f"{len(grid):,} tiles, {tissue_map.share:.1%} of the slide is tissue\nwritten: {out}")
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
        with usage_errors(debug=debug, own=OPTIONS), progress_bar("tiles", visible=not quiet) as bar:
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
    with usage_errors(debug=debug, own=OPTIONS):
        from relax.slides.indexing import index_tiles
        from similarity.kinds import KINDS, METRICS

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
    ] = MASKS,
    keep: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the tiles in a subset.", rich_help_panel=HIDING_PANEL)
    ] = KEEP,
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

    with usage_errors(debug=debug, own=OPTIONS):
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
