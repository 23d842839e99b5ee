"""What the commands of `relax slide` ask for alike, and the examples at the end of their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relax.cli.options import HIDING_PANEL

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
