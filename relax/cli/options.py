"""The options that several commands share, each defined once: its name, its help, and how its text is parsed.

An option of this table sets the keyword of the same name of the public functions, whose default and checks are in
`relax.settings`. A command names the groups that it takes, see `relax.cli.usage.takes`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from encoders import POOLINGS, PRECISIONS, VIEWS
from encoders.choices import CLASS
from masking import DESIGNS, FILLS, REGIONS
from relax.estimators.defaults import DEFAULT_MASKS
from relax.plotting.tables import FORMATS, KINDS
from relax.plotting.themes import THEMES
from relax.settings import ESTIMATORS, MAX_MASKS, PRESETS
from similarity.measures import MEASURES

QUESTION_PANEL, HIDING_PANEL, RUN_PANEL, BULK_PANEL, OUT_PANEL = (
    "What is explained",
    "What is hidden",
    "How it is computed",
    "Many images",
    "What is written",
)

DEFAULT_OUT = Path("relax-out")

SEVERAL = "Or a DICOMDIR, or DIR#series=3, FILE#frame=all, FILE#axial=all, SLIDE#tiles=FILE.h5."
IMAGE_HELP = (
    "PNG, JPEG, TIFF, WebP or BMP, 8 or 16 bits; DICOM and NIfTI with the extra 'medical': scan.dcm#frame=3 or "
    "#frame=all, brain.nii.gz#axial=40, a folder, DIR#series=3, a DICOMDIR."
)
EncoderSpec = Annotated[
    str,
    typer.Option(
        "--encoder", metavar="SPEC", help="The encoder; `relax encoders` lists them.", rich_help_panel=QUESTION_PANEL
    ),
]
Methods = Annotated[
    str,
    typer.Option(
        "--methods",
        metavar="NAMES",
        help="Comma-separated; `relax methods` lists them with their needs and costs.",
        rich_help_panel=QUESTION_PANEL,
    ),
]
Out = Annotated[
    Path,
    typer.Option("--out", metavar="DIR", help="Output folder; created if needed.", rich_help_panel=OUT_PANEL),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", help="No progress and no summary; errors are still printed.", rich_help_panel=OUT_PANEL),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=OUT_PANEL)]

Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        help="Processes that share the work, by Ray (the extra 'ray'); the result does not depend on it.",
        min=1,
        show_default="1",
        rich_help_panel=BULK_PANEL,
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="A Ray cluster, such as 10.0.0.5:6379, or auto for one on this machine; its machines see pictures and "
        "--out under the same paths. One worker for each GPU, or else for each CPU, unless --workers says how many.",
        rich_help_panel=BULK_PANEL,
    ),
]


def _rows(rows: Mapping[str, str]) -> str:
    """Names with their meanings, for a help text."""
    return "; ".join(f"{name}: {what}" for name, what in rows.items())


Format = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help=f"Of the figure: {_rows({name: row.what for name, row in FORMATS.items()})}.",
        rich_help_panel=OUT_PANEL,
    ),
]
Panels = Annotated[
    str,
    typer.Option(
        "--panels",
        metavar="NAMES",
        help=f"What the figure shows, comma-separated: {_rows({name: row.what for name, row in KINDS.items()})}.",
        rich_help_panel=OUT_PANEL,
    ),
]
ThemeName = Annotated[
    str,
    typer.Option("--theme", metavar="THEME", help=f"Of the figure: {', '.join(THEMES)}.", rich_help_panel=OUT_PANEL),
]


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        help: What it does; names every word of its table.
        metavar: Placeholder for its value.
        panel: Heading under which the help lists it.
        read: Parses its text; None = the text itself.
        several: Whether it can be repeated.
        without: What its absence means, where the default of the keyword is None.
    """

    help: str
    metavar: str
    panel: str
    read: Callable[[str], Any] | None = None
    several: bool = False
    without: str = ""


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"must be a whole number; got {text!r}") from None


def number(text: str) -> float:
    """A number."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"must be a number; got {text!r}") from None


def whole_or_auto(text: str) -> int | str:
    """A whole number, or "auto"."""
    try:
        return text if text == "auto" else int(text)
    except ValueError:
        raise typer.BadParameter(f'must be a whole number or "auto"; got {text!r}') from None


def place(text: str) -> str | tuple[int, ...]:
    """A token: "class", or whole numbers after commas."""
    if text == CLASS:
        return text
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f'must be "class" or row and column, such as 3,7; got {text!r}') from None


def fill_value(text: str) -> str | float | list[float]:
    """The fill given as a word, a number, comma-separated numbers or a path."""
    if text in FILLS:
        return text
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        return text
    return values[0] if len(values) == 1 else values


METHOD = ("method",)
HEAD = ("head", "target")
SIMILARITY = ("similarity",)
LAYER = ("layer", "token")
DIRECTION = ("dimension", "direction")
QUESTION = (*SIMILARITY, "reference", "foil", *DIRECTION, *LAYER)
HIDING = ("regions", "cells", "keep", "fill", "design", "seed")
WITHIN = ("within",)
ESTIMATION = ("masks", "estimator", "preset")
TOLERANCE = ("tolerance",)
EXECUTION = ("device", "batch_size", "precision", "pooling", "view")

OPTIONS = {
    "method": Option(
        "A method other than relax, such as gradcam or lime; `relax methods` lists them.", "NAME", QUESTION_PANEL
    ),
    "head": Option(
        "Explain a class: a head trained by `relax head train`, or `network` for the network's own classifier.",
        "PATH",
        QUESTION_PANEL,
    ),
    "target": Option("The class of the head.", "CLASS", QUESTION_PANEL, without="the predicted one"),
    "similarity": Option(
        f"The measure: {_rows({name: measure.unit for name, measure in MEASURES.items()})}.", "MEASURE", QUESTION_PANEL
    ),
    "reference": Option(
        "Compare with this image instead of the image itself; repeat the option for the mean of several. A folder is a "
        "corpus: the mean similarity to its images. 'text:a cat' is a prompt, for encoders with a text tower.",
        "IMAGE",
        QUESTION_PANEL,
        several=True,
    ),
    "foil": Option(
        "Subtract the similarity to this: what makes the image closer to the reference than to the foil. Given like "
        "--reference.",
        "IMAGE",
        QUESTION_PANEL,
        several=True,
    ),
    "dimension": Option(
        "Explain one number of the embedding, from 0: what makes it large.", "K", QUESTION_PANEL, whole
    ),
    "direction": Option(
        "Explain how far the embedding reaches along a vector, such as a concept, a principal component or a unit of a "
        "sparse autoencoder: vector.npy, pca.npy#row=0, probe.npz#weight&row=3, sae.safetensors#W_enc&column=1207.",
        "FILE",
        QUESTION_PANEL,
    ),
    "layer": Option(
        "Explain what this layer returns instead of the embedding: the mean of its cells, or its class token; of "
        "gradcam, lafam or attention the layer that is shown. `relax layers` lists them.",
        "NAME",
        QUESTION_PANEL,
        without="the embedding",
    ),
    "token": Option(
        "Of the layer, the cell or patch in this row and column, from 0: 3,7; or the token `class`.",
        "PLACE",
        QUESTION_PANEL,
        place,
        without="all of them, pooled",
    ),
    "pooling": Option(f"How encoders that return tokens or maps are pooled: {_rows(POOLINGS)}.", "HOW", QUESTION_PANEL),
    "view": Option(f"How pictures get to the encoder's input: {_rows(VIEWS)}.", "HOW", QUESTION_PANEL),
    "regions": Option(
        f"What is hidden together: {_rows({name: row.what for name, row in REGIONS.items()})}.", "KIND", HIDING_PANEL
    ),
    "cells": Option("Regions along each side; more show finer detail.", "N", HIDING_PANEL, whole),
    "keep": Option("Probability that a region stays visible, in (0, 1).", "P", HIDING_PANEL, number),
    "fill": Option(
        f"What hidden pixels show: {_rows({name: row.what for name, row in FILLS.items()})}; or a grey 0.5, a colour "
        "0.5,0.4,0.3 or the path of an image.",
        "FILL",
        HIDING_PANEL,
        fill_value,
    ),
    "design": Option(
        f"How the masks of the grid depend on each other: {_rows({name: row.what for name, row in DESIGNS.items()})}. "
        "Changes the error, not what is estimated.",
        "DESIGN",
        HIDING_PANEL,
    ),
    "within": Option(
        "Hide only parts of this region, the rest stays visible: a mask file of the picture's size (0 outside), a "
        "folder of masks named as the pictures, a box 40,60,200,180 (left, top, right, bottom in pixels), a label "
        "lung.nii.gz#label=2 of the picture's volume, or a segment lesion.dcm#segment=1 of a DICOM SEG that refers to "
        "it. Cells are fitted to its box.",
        "REGION",
        HIDING_PANEL,
        without="the whole picture",
    ),
    "seed": Option("Same seed, same masks, same maps.", "N", RUN_PANEL, whole),
    "masks": Option(
        "Number of masks.",
        "N",
        RUN_PANEL,
        whole,
        without=f"{DEFAULT_MASKS}; with --tolerance as many as needed, at most {MAX_MASKS}",
    ),
    "tolerance": Option("Stop as soon as no pixel's standard error exceeds this.", "E", RUN_PANEL, number),
    "estimator": Option(f"How maps are averaged: {_rows(ESTIMATORS)}.", "NAME", RUN_PANEL),
    "preset": Option(
        f"Several choices at once: {_rows({name: preset.what for name, preset in PRESETS.items()})}.", "NAME", RUN_PANEL
    ),
    "device": Option(
        "auto, cpu, cuda, cuda:1, mps; several share the masked images: cuda:0,cuda:1, or all GPUs.",
        "DEVICE",
        RUN_PANEL,
    ),
    "batch_size": Option(
        "Images in one forward pass, or auto; changes the speed, not the result.", "N", RUN_PANEL, whole_or_auto
    ),
    "precision": Option(
        f"How exactly masked images are embedded: {_rows(PRECISIONS)}.",
        "HOW",
        RUN_PANEL,
    ),
}
COMMAND_LINE_DEFAULTS = {"precision": "exact"}  # in the library None, which keeps that of a loaded encoder


def option_name(keyword: str) -> str:
    """The option that sets a keyword."""
    return f"--{keyword.replace('_', '-')}"


def encoder_specs(text: str) -> list[str]:
    """Comma-separated encoder specs, each once; a comma before a number belongs to a spec, as in mean=0.5,0.4,0.3."""
    return list(dict.fromkeys(spec.strip() for spec in re.split(r",(?!\s*[-+.\d])", text) if spec.strip()))
