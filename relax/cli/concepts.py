"""`relax concepts dissect`, `tcav`, `find`: what the units and directions of a layer stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from relax.cli.console import DONE, SOME_FAILED, UsageError, complain, progress_bar
from relax.cli.options import (
    DEFAULT_OUT,
    DIRECTION,
    OUT_PANEL,
    QUESTION_PANEL,
    RUN_PANEL,
    Debug,
    EncoderSpec,
    Out,
    Quiet,
)
from relax.cli.usage import check_out, command_group, takes, usage_errors
from relax.files import file_names
from relax.text import printable

OPTIONS = (
    "layer",
    "quantile",
    "iou",
    "side",
    "shuffles",
    "show",
    "cells",
    "fit",
    "runs",
    "random",
    "how",
    "count",
    "judged",
)

DISSECT_EXAMPLES = """[bold]Examples[/bold]

relax concepts dissect CONCEPTS --encoder timm:resnet50 --layer layer4
    CONCEPTS/images/x.png with CONCEPTS/masks/stripes/x.png: which of the 2,048 units follows which concept?

relax concepts dissect cells --encoder timm:resnet50 --quantile 0.05
    cells/images/x.jpg with cells/annotations/x.xml (Pascal VOC); large concepts need a larger share of the cells

relax layers timm:resnet50
    the names of its layers
"""

TCAV_EXAMPLES = """[bold]Examples[/bold]

relax concepts tcav polyps --concept marker-box --concept text --random others --encoder timm:resnet50 --layer layer3
    without labels: does either concept move what the pictures in polyps have in common?

relax concepts tcav zebras --concept stripes --random others --encoder timm:resnet50 --head network --target zebra
    the logit of a class; relax-out/concepts/tcav.html, with tcav.csv, tcav.json, tcav.png and cavs.safetensors
"""

FIND_EXAMPLES = """[bold]Examples[/bold]

relax concepts find pictures --encoder timm:resnet50 --layer layer3
    relax-out/concepts/concepts.html: 2 to 10 groups of patches, and what the embedding loses without each

relax concepts find pictures --encoder timm:resnet50 --how nmf --count 8
    eight factors that are never negative
"""

Layer = Annotated[
    str | None,
    typer.Option(
        "--layer",
        metavar="NAME",
        help="As `relax layers` names it.",
        show_default="the last with a map of more than one cell",
        rich_help_panel=QUESTION_PANEL,
    ),
]

concepts_app = command_group(
    "What units and directions of a layer stand for, from pictures with masks or folders of pictures."
)


@concepts_app.command(epilog=DISSECT_EXAMPLES)
@takes(("seed", "device", "pooling", "view"))
def dissect(
    concepts: Annotated[
        Path,
        typer.Argument(
            metavar="CONCEPTS",
            help="A folder with images/x.png and masks/CONCEPT/x.png (or masks/x.png, labels/x.png with labels.csv, "
            "annotations/x.xml of Pascal VOC).",
        ),
    ],
    options: dict[str, Any],
    encoder: EncoderSpec = "default",
    layer: Layer = None,
    quantile: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Of a unit's cells that exceed its threshold; 0.005 as published.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = 0.005,
    iou: Annotated[
        float,
        typer.Option("--iou", metavar="LIMIT", help="Of a detector; 0.04 as published.", rich_help_panel=RUN_PANEL),
    ] = 0.04,
    side: Annotated[
        int,
        typer.Option(
            metavar="PX", help="Longer side of the masks that areas are compared with.", rich_help_panel=RUN_PANEL
        ),
    ] = 112,
    shuffles: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="How often masks are laid on other pictures, for what chance gives; 0 for never.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = 99,
    show: Annotated[
        int, typer.Option(metavar="N", help="Detectors whose pictures are shown.", rich_help_panel=OUT_PANEL)
    ] = 12,
    out: Out = DEFAULT_OUT / "concepts",
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Find the units of a layer that detect concepts, by Network Dissection.

    A unit's area is where it is among its highest activations; it detects a concept that its areas overlap with, beyond
    what they reach with the masks of other pictures. Writes dissection.html, with units.csv, pairs.csv, dissection.json
    and dissection.png beside it.
    """
    with usage_errors(debug=debug, of_images=True, own=OPTIONS), progress_bar("pictures", visible=not quiet) as bar:
        from relax.concepts.dissecting import dissect as run

        check_out(out)
        task = bar.add_task("reading", total=None)
        result = run(
            concepts,
            encoder,
            layer=layer,
            quantile=quantile,
            iou=iou,
            side=side,
            shuffles=shuffles,
            show=show,
            progress=lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
            **options,
        )
        files = result.save(out)
    return _told(result, files, quiet)


@concepts_app.command(epilog=TCAV_EXAMPLES)
@takes(("head", "target"), DIRECTION, ("seed", "device", "pooling", "view"))
def tcav(
    pictures: Annotated[str, typer.Argument(metavar="PICTURES", help="A folder of pictures whose score is asked.")],
    concept: Annotated[
        list[Path],
        typer.Option(
            metavar="DIR",
            help="A folder of a concept's pictures, 5 or more, better 30; named as the folder. Repeat it for several.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ],
    random: Annotated[
        str,
        typer.Option(
            metavar="DIR",
            help="Other pictures, of the kind that the concepts' were chosen from, twice as many or more.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ],
    options: dict[str, Any],
    encoder: EncoderSpec = "default",
    layer: Layer = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE",
            help="Ask for the cosine to this picture.",
            show_default="the projection on the pictures' mean",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    cells: Annotated[
        str,
        typer.Option(
            metavar="HOW", help="mean: of the cells; all: every cell, as published.", rich_help_panel=RUN_PANEL
        ),
    ] = "mean",
    fit: Annotated[
        str,
        typer.Option(
            metavar="HOW", help="Of the vectors: logistic, or means: their difference.", rich_help_panel=RUN_PANEL
        ),
    ] = "logistic",
    runs: Annotated[
        int,
        typer.Option(
            metavar="N", help="Draws of random pictures that a vector is fitted against.", rich_help_panel=RUN_PANEL
        ),
    ] = 5,
    shuffles: Annotated[
        int,
        typer.Option(metavar="N", help="Sets of pictures that are no concept, for p.", rich_help_panel=RUN_PANEL),
    ] = 99,
    out: Out = DEFAULT_OUT / "concepts",
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Test whether concepts move a score of pictures (TCAV): a class, or without labels what the pictures share.

    A concept is a folder of pictures, and its vector what tells them from random ones in a layer. A vector that does
    not tell held-out pictures apart says nothing, and is told so.
    """
    with usage_errors(debug=debug, of_images=True, own=OPTIONS), progress_bar("", visible=not quiet) as bar:
        from relax.cli.prepare import load_with_head
        from relax.concepts.testing import tcav as run

        check_out(out)
        names = {folder.resolve().name: folder for folder in concept}
        if len(names) < len(concept):
            raise UsageError("--concept folders must have different names, by which they are told apart")
        network, head = load_with_head(encoder, options.pop("head"), options)
        asked = {name: options.pop(name) for name in ("target", "dimension", "direction", "seed")}
        task = bar.add_task("reading", total=None)
        result = run(
            pictures,
            names,
            random,
            network,
            layer=layer,
            head=head,
            reference=reference,
            cells=cells,
            fit=fit,
            runs=runs,
            shuffles=shuffles,
            progress=lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
            **asked,
        )
        files = result.save(out)
    return _told(result, files, quiet)


@concepts_app.command(epilog=FIND_EXAMPLES)
@takes(("seed", "device", "pooling", "view"))
def find(
    pictures: Annotated[str, typer.Argument(metavar="PICTURES", help="A folder of pictures.")],
    options: dict[str, Any],
    encoder: EncoderSpec = "default",
    layer: Layer = None,
    how: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="clusters: spherical k-means; nmf: factors that are never negative.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = "clusters",
    count: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Groups.",
            show_default="2 to 10 clusters by the silhouette, 6 factors",
            rich_help_panel=RUN_PANEL,
        ),
    ] = None,
    judged: Annotated[
        int,
        typer.Option(
            metavar="N", help="Pictures in which the groups are removed; 0 for none.", rich_help_panel=RUN_PANEL
        ),
    ] = 30,
    out: Out = DEFAULT_OUT / "concepts",
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Find groups of cells that look alike to a layer, over a folder: concepts that nobody named.

    Each is shown by its patches, with what the embedding loses without it, beside as many other cells, and with how
    well it is found again from another start.
    """
    with usage_errors(debug=debug, of_images=True, own=OPTIONS), progress_bar("", visible=not quiet) as bar:
        from relax.concepts.finding import find_concepts as run

        check_out(out)
        task = bar.add_task("reading", total=None)
        result = run(
            pictures,
            encoder,
            layer=layer,
            how=how,
            count=count,
            judged=judged,
            progress=lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
            **options,
        )
        files = result.save(out)
    return _told(result, files, quiet)


def _told(result: Any, files: list[Path], quiet: bool) -> int:
    """Print what was found and what failed; the exit code."""
    for name, reason in result.failed.items():
        complain(reason if name in reason else f"{name}: {reason}")
    if not quiet:
        for sentence in result.sentences():
            typer.echo(printable(sentence))
        typer.echo(f"written: {file_names(files)}")
    return SOME_FAILED if result.failed else DONE
