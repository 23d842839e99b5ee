"""`relax compare`: methods, or encoders, side by side on one image or on many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, SOME_FAILED, MaskProgress, UsageError, complain, prefixed
from relax.cli.early import check_there
from relax.cli.options import (
    DEFAULT_OUT,
    ESTIMATION,
    EXECUTION,
    HEAD,
    HIDING,
    IMAGE_HELP,
    OUT_PANEL,
    QUESTION,
    QUESTION_PANEL,
    TOLERANCE,
    WITHIN,
    Debug,
    EncoderSpec,
    Format,
    Methods,
    Out,
    Panels,
    Quiet,
    ThemeName,
    encoder_specs,
)
from relax.cli.usage import check_out, choice, listed, takes, usage_errors
from relax.io.choice import discreet_name
from relax.io.errors import ImageError
from relax.plotting.tables import COMPARED, FORMATS, KINDS
from relax.plotting.themes import THEMES

if TYPE_CHECKING:  # torch comes with these, and `relax --help` does not need it
    from relax.cli.compared import ComparedImage
    from relax.questions.comparison import Comparison

EXAMPLES = """[bold]Examples[/bold]

relax compare cat.png --methods relax,gradcam,lime,occlusion,random
    no labels needed: each method explains the similarity of the image to itself

relax compare cat.png --encoder torchvision:resnet50 --head network --methods relax,rise,gradcam,lime
    the network's own classifier; --target names the class, by default the predicted one

relax compare cat.png --head probe --methods rise,lime
    a head trained by `relax head train`

relax compare cat.png --encoders default,random:default
    RELAX through several encoders: same masks, each map on its own scale; --shared-scale draws all on one

relax compare photos --encoders default,sscd
    a folder: a figure for each image, and how alike the maps of the two are on average (likeness.csv)
"""

SHOWN = ",".join(COMPARED)
DEFAULT_METHODS = "relax,lafam,gradcam,lime,occlusion,random"


@takes(HEAD, QUESTION, HIDING, WITHIN, ESTIMATION, TOLERANCE, EXECUTION)
def compare(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE|DIR", help=f"{IMAGE_HELP} Or folders of images.")],
    options: dict[str, Any],
    methods: Methods = DEFAULT_METHODS,
    encoders: Annotated[
        str | None,
        typer.Option(
            metavar="SPECS",
            help="Encoder specs, comma-separated: RELAX through each of them, instead of several methods.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    encoder: EncoderSpec = "default",
    shared_scale: Annotated[
        bool,
        typer.Option(
            "--shared-scale",
            help="Draw the maps of --encoders on one colour scale, instead of each on its own.",
            rich_help_panel=OUT_PANEL,
        ),
    ] = False,
    panels: Panels = SHOWN,
    format: Format = "png",
    theme: ThemeName = "light",
    out: Out = DEFAULT_OUT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Compare methods, or encoders, on one image or many, with the cost of each and how alike their maps are.

    Writes STEM-compare.png (the figure), STEM-compare.json (costs, likeness, settings, failures) and the maps of each,
    STEM-NAME.npz; of several images likeness.csv (a row per image and pair) and likeness.json (means with intervals).
    A method that fails is reported in one line, and the others are still drawn. --masks is for relax and rise; each
    other method has its own number of samples.
    """
    if len(images) == 1:
        check_there(*images)
    from relax.baselines.methods import METHODS
    from relax.cli.compared import as_file_name, print_costs, print_likeness, write, write_likeness
    from relax.cli.outputs import targets
    from relax.cli.prepare import keep_passed_over, named_pictures
    from relax.io.sources import unusable

    if encoders is not None and (options["head"], options["target"]) != (None, None):
        raise UsageError("--head and --target are for --methods; --encoders compares RELAX, which explains no class")
    drawn = {"panels": listed("--panels", panels, KINDS), "theme": choice("--theme", theme, THEMES)}
    choice("--format", format, FORMATS)
    names = listed("--methods", methods, METHODS) if encoders is None else encoder_specs(encoders)
    with usage_errors(debug=debug):
        pictures, passed_over = named_pictures(images)
    progress = MaskProgress(len(names) * len(pictures), visible=not quiet)
    compared: list[ComparedImage] = []
    with progress.bar, usage_errors(debug=debug):
        if encoders is None:
            compare_image = _by_methods(names, encoder, options, out, progress, debug=debug)
        else:
            compare_image = _through_encoders(names, options, out, progress, shared_scale=shared_scale)
        endings = [f"-compare.{format}", "-compare.json", *(f"-{as_file_name(name)}.npz" for name in names)]
        for picture, target in zip(pictures, targets(pictures, out, endings=endings), strict=True):
            try:
                comparison = compare_image(picture)
                if not comparison.explanations:
                    raise ValueError("; ".join(f"{name}: {why}" for name, why in comparison.failures.items()))
                compared.append(write(comparison, picture, target, format, drawn))
            except ImageError as error:
                if len(pictures) == 1:
                    raise
                complain(prefixed(discreet_name(picture), error))
                passed_over.append(unusable(picture, error))
                continue
            for name, reason in comparison.failures.items():
                complain(prefixed(name, reason))
        written = write_likeness(compared, out) if len(pictures) > 1 and compared else None
    if not quiet and written is not None:
        print_likeness(compared, *written)
    elif not quiet and compared:
        print_costs(comparison, compared[0].files)
    keep_passed_over(out, passed_over)
    failed = len(compared) < len(pictures) or any(image.failures for image in compared)
    return SOME_FAILED if failed else DONE


def methods() -> int:
    """List the methods that can be compared: what each explains, needs and costs."""
    from relax.baselines.methods import METHODS

    needs = {name: f"needs {', '.join(sorted(method.needs)) or 'nothing'}" for name, method in METHODS.items()}
    width = max(map(len, needs.values()))
    for name, method in METHODS.items():
        typer.echo(f"{name:<21} {method.family:<11} {needs[name]:<{width}}  passes: {method.passes_in_words}")
        typer.echo(f"{'':<21} {method.source}")
    return DONE


def _by_methods(
    names: Sequence[str], spec: str, options: dict[str, Any], out: Path, progress: MaskProgress, *, debug: bool
) -> Callable[[str], Comparison]:
    """Compares methods on one image after the other, with one encoder."""
    from relax.cli.prepare import prepared
    from relax.questions.comparison import compare_with

    with usage_errors(debug=debug, of_images=True):
        network, settings = prepared(spec, options, out)
    return lambda image: compare_with(image, names, network, settings, progress.advance, progress.masks)


def _through_encoders(
    names: Sequence[str], options: dict[str, Any], out: Path, progress: MaskProgress, *, shared_scale: bool
) -> Callable[[str], Comparison]:
    """Compares encoders on one image after the other; each is loaded once."""
    from relax.cli.prepare import check_fill
    from relax.questions.comparison import compare_encoders_with, load_each
    from relax.settings import Settings

    check_out(out)
    check_fill(options["fill"])
    settings = Settings.of({name: value for name, value in options.items() if name not in HEAD})
    networks, failures = load_each(names, settings)

    def compare_image(image: str) -> Comparison:
        comparison = compare_encoders_with(image, networks, settings, shared_scale, progress.advance, progress.masks)
        return replace(comparison, failures={**failures, **comparison.failures})

    return compare_image
