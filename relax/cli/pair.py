"""`relax pair`: why are two images close?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, MaskProgress, UsageError
from relax.cli.early import check_there
from relax.cli.options import (
    DEFAULT_OUT,
    ESTIMATION,
    EXECUTION,
    HIDING,
    IMAGE_HELP,
    LAYER,
    OUT_PANEL,
    QUESTION_PANEL,
    SIMILARITY,
    Debug,
    EncoderSpec,
    Out,
    Quiet,
)
from relax.cli.usage import takes, usage_errors
from relax.files import file_names, write_files
from relax.io.choice import stem_of
from relax.text import number, shortened

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from relax.questions.pairs import PairExplanation

EXAMPLES = """[bold]Examples[/bold]

relax pair cat.png dog.png
    what in the cat brings it closer to the dog, and what in the dog brings it closer to the cat

relax pair scan1.png scan2.png --encoder timm:vit_small_patch14_dinov2.lvd142m --similarity l2 --out pairs
    another encoder and measure

relax pair scan1.png scan2.png --report pair.html
    a page as well: every map in the viewer, and what carries the similarity; `relax report` makes it later, too

relax pair cat.png dog.png --links --report links.html
    which part of the cat is close to which part of the dog; on the page a part of either lights up its partners

relax pair cat.png "text:a photo of a cat" --links --encoder open_clip:ViT-B-32:laion2b_s34b_b79k
    which part of the picture is close to which word, through an encoder with a text tower
"""


@takes(SIMILARITY, LAYER, HIDING, ESTIMATION, EXECUTION)
def pair(
    a: Annotated[str, typer.Argument(metavar="A", help=IMAGE_HELP)],
    b: Annotated[
        str,
        typer.Argument(
            metavar="B", help="The image to compare it with; with --links also a text, 'text:a photo of a cat'."
        ),
    ],
    options: dict[str, Any],
    encoder: EncoderSpec = "default",
    links: Annotated[
        bool,
        typer.Option(
            "--links",
            help="Instead of the maps, which part of A is close to which part of B: cells of a grid that stands still, "
            "--cells along each side.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = False,
    text_encoder: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="With --links and a text: what embeds it into the space of the encoder's pictures.",
            show_default="the encoder's own text tower",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page as well: an HTML file.", rich_help_panel=OUT_PANEL),
    ] = None,
    out: Out = DEFAULT_OUT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Show what in each of two images brings it closer to the other, and what of that goes beyond its own content.

    Writes A-B-pair.png (the figure), A-B-pair.json (similarity, settings) and for each image the maps for the other,
    for itself and beyond: A-B-pair-a-to-other.npz, ... With --links instead A-B-links.npz and its figure.
    """
    if links:
        from relax.cli.links import links as linked

        return linked(a, b, options, encoder, text_encoder, report, out, quiet=quiet, debug=debug)
    if text_encoder is not None:
        raise UsageError("--text-encoder is for --links: give both, or neither")
    check_there(a, b)
    from relax.cli.prepare import prepared
    from relax.probing import probe_scene, scene_of
    from relax.questions.pairs import pair_of
    from relax.report import pair_report, write_report

    if report is not None and report.is_dir():
        raise UsageError(f"--report must be a file; {report} is a folder")
    progress = MaskProgress(2, visible=not quiet)
    with progress.bar, usage_errors(debug=debug):
        with usage_errors(debug=debug, of_images=True):
            network, settings = prepared(encoder, options, out)
        scenes = [scene_of(image, network, settings) for image in (a, b)]  # both are read before either is masked
        probes = []
        for image, scene in zip((a, b), scenes, strict=True):
            progress.advance(image)
            probes.append(probe_scene(scene, settings, progress.masks))
        explained = pair_of(*probes, similarity=settings.request.similarity)
        files = write(explained, out, a, b)
        if report is not None:
            files.append(write_report(pair_report(explained), report))
    if not quiet:
        typer.echo(in_words(explained))
        typer.echo(f"written: {file_names(files)}")
    return DONE


def in_words(pair: PairExplanation) -> str:
    """The numbers of a pair, and why its maps may say little, one per line."""
    from relax.scale import doubts

    measure = pair.a.to_other.provenance["similarity"]
    lines = [f"{measure} of the whole images: {number(pair.similarity)}"]
    for direction in (pair.a, pair.b):
        image = shortened(direction.to_other.provenance["image"], 60)
        lines.append(
            f"{image}: over the masks, the similarity to the other and that to itself correlate "
            f"{number(direction.correlation)}, slope {number(direction.slope)}"
        )
        lines += [f"{image}: {doubt}" for doubt in doubts(direction.to_other)]
    return "\n".join(lines)


def write(pair: PairExplanation, out: Path, a: str, b: str) -> list[Path]:
    """Write the figure, the numbers and the maps, each file whole or not at all. Returns their paths."""
    from relax.cli.outputs import FreeNames
    from relax.plotting.drawing import file_of
    from relax.plotting.questions import pair_figure

    maps = {
        f"-{side}-{part.replace('_', '-')}.npz": getattr(direction, part)
        for side, direction in (("a", pair.a), ("b", pair.b))
        for part in ("to_other", "to_itself", "beyond")
    }
    stem = FreeNames(out, (a, b), [".png", ".json", *maps]).numbered(f"{stem_of(a)}-{stem_of(b)}-pair")
    return write_files(
        out / stem,
        {
            ".png": file_of(pair_figure(pair)),
            ".json": (json.dumps(pair.record(), indent=2) + "\n").encode(),
            **{ending: explanation.to_bytes() for ending, explanation in maps.items()},
        },
    )
