"""The options of `relax units` that are its own, and the examples in its help."""

from __future__ import annotations

from typing import Annotated

import typer

from relax.cli.options import QUESTION_PANEL, RUN_PANEL

OPTIONS = (
    "unit",
    "layer",
    "where",
    "steps",
    "rate",
    "penalty",
    "spectrum",
    "size",
    "real",
    "judge",
    "target",
)
FILTERS_EXAMPLES = """[bold]Examples[/bold]

relax units filters timm:resnet50
    the 64 kernels of its first convolution, on one scale, in relax-out/filters.png

relax units filters timm:vit_small_patch14_dinov2.lvd142m
    28 principal components of its patch embedding

relax units filters torchvision:resnet50 --scale each
    each on a scale of its own, since what follows normalises them
"""
EXCITING_EXAMPLES = """[bold]Examples[/bold]

relax units exciting default photos --layer layer3 --unit 3 --unit 17
    the nine pictures in photos that excite each most, with the place: relax-out/exciting.png, .csv, .npz, .json

relax units exciting default photos-archive --unit 5
    a dimension of the embedding, from an archive of `relax index`: no encoder passes

relax units exciting timm:vit_small_patch14_dinov2.lvd142m photos --layer blocks.8 --direction cavs.safetensors#stripes
    a direction, such as a concept vector, in the tokens of a block
"""
MAXIMISE_EXAMPLES = """[bold]Examples[/bold]

relax units maximise default --layer layer4 --unit 3 --real photos
    a picture made for a channel: relax-out/maximised.png, and what real pictures reach

relax units maximise default --embedding-of cat.png
    a picture with the embedding of the cat: what the encoder keeps of it

relax units maximise timm:resnet50 --head network --target tench --form fourier
    a class of the network's own classifier

relax units maximise default --layer layer4 --unit 3 --form pixels
    the textbook form, which fools the network
"""

EncoderName = Annotated[str, typer.Argument(metavar="ENCODER", help="The encoder; `relax encoders` lists them.")]
LayerName = Annotated[
    str | None,
    typer.Option(
        "--layer",
        metavar="NAME",
        help="The layer; `relax layers` lists them.",
        show_default="the embedding",
        rich_help_panel=QUESTION_PANEL,
    ),
]
Units = Annotated[
    list[int] | None,
    typer.Option(
        "--unit",
        metavar="N",
        help="Number of a channel of the layer, or of a dimension, from 0; repeat it for several.",
        rich_help_panel=QUESTION_PANEL,
    ),
]
Device = Annotated[
    str, typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda, mps.", rich_help_panel=RUN_PANEL)
]
