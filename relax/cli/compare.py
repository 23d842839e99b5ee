"""`relax compare`: methods, or encoders, side by side on one image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, SOME_FAILED, MaskProgress, UsageError, complain, plain_table, prefixed, print_table
from relax.cli.options import (
    DEFAULT_OUT,
    ESTIMATION,
    EXECUTION,
    HEAD,
    HIDING,
    IMAGE_HELP,
    QUESTION,
    QUESTION_PANEL,
    TOLERANCE,
    Debug,
    EncoderSpec,
    Methods,
    Out,
    Quiet,
)
from relax.cli.usage import check_out, encoder_specs, listed, takes, usage_errors
from relax.files import file_names, write_files
from relax.text import number

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from relax.questions.comparison import Comparison

EXAMPLES = """[bold]Examples[/bold]

relax compare cat.png --methods relax,gradcam,lime,occlusion,random
    no labels needed: each method explains the similarity of the image to itself

relax compare cat.png --encoder torchvision:resnet50 --head network --methods relax,rise,gradcam,lime
    the network's own classifier; --target names the class, by default the predicted one

relax compare cat.png --head probe --methods rise,lime
    a head trained by `relax head train`

relax compare cat.png --encoders default,random:default
    RELAX through several encoders: same masks, one colour scale
"""

DEFAULT_METHODS = "relax,lafam,gradcam,lime,occlusion,random"


@takes(HEAD, QUESTION, HIDING, ESTIMATION, TOLERANCE, EXECUTION)
def compare(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help=IMAGE_HELP)],
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
    out: Out = DEFAULT_OUT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Compare methods, or encoders, on one image, with the cost of each.

    Writes STEM-compare.png (the figure), STEM-compare.json (costs, settings, failures) and the maps of each,
    STEM-NAME.npz. A method that fails is reported in one line, and the others are still drawn. --masks is for relax
    and rise; each other method has its own number of samples.
    """
    from relax.baselines.methods import METHODS
    from relax.cli.prepare import check_fill, prepared
    from relax.questions.comparison import compare_encoders, compare_with

    if encoders is not None and (options["head"], options["target"]) != (None, None):
        raise UsageError("--head and --target are for --methods; --encoders compares RELAX, which explains no class")
    names = listed("--methods", methods, METHODS) if encoders is None else encoder_specs(encoders)
    progress = MaskProgress(len(names), visible=not quiet)
    with progress.bar, usage_errors(debug=debug):
        if encoders is None:
            with usage_errors(debug=debug, of_images=True):
                network, settings = prepared(encoder, options, out)
            comparison = compare_with(image, names, network, settings, progress.advance, progress.masks)
        else:
            check_out(out)
            check_fill(options["fill"])
            keywords: Any = {name: value for name, value in options.items() if name not in HEAD}
            comparison = compare_encoders(image, names, started=progress.advance, progress=progress.masks, **keywords)
        if not comparison.explanations:
            raise ValueError("; ".join(f"{name}: {reason}" for name, reason in comparison.failures.items()))
        files = write(comparison, out, image)
    for name, reason in comparison.failures.items():
        complain(prefixed(name, reason))
    if not quiet:
        print_costs(comparison, files)
    return SOME_FAILED if comparison.failures else DONE


def methods() -> int:
    """List the methods that can be compared: what each explains, needs and costs."""
    from relax.baselines.methods import METHODS

    for method in METHODS.values():
        needs = f"needs {', '.join(sorted(method.needs))}" if method.needs else "needs nothing"
        typer.echo(f"{method.name:<21} {method.family:<11} {needs:<27} passes: {method.passes_in_words}")
        typer.echo(f"{'':<21} {method.source}")
    return DONE


def write(comparison: Comparison, out: Path, image: str) -> list[Path]:
    """Write the figure, the costs and the maps, each file whole or not at all. Returns their paths."""
    from relax.cli.outputs import targets
    from relax.plotting.comparison import comparison_figure
    from relax.plotting.drawing import file_of
    from relax.questions.comparison import costs

    explanations = comparison.explanations
    maps = {f"-{_as_file_name(name)}.npz": explanation for name, explanation in explanations.items()}
    (target,) = targets([image], out, endings=["-compare.png", "-compare.json", *maps])
    provenance = {name: explanation.provenance for name, explanation in explanations.items()}
    record = {"costs": costs(comparison), "failures": comparison.failures, "provenance": provenance}
    return write_files(
        target,
        {
            "-compare.png": file_of(comparison_figure(explanations, comparison.failures, comparison.limits)),
            "-compare.json": (json.dumps(record, indent=2) + "\n").encode(),
            **{ending: explanation.to_bytes() for ending, explanation in maps.items()},
        },
    )


def print_costs(comparison: Comparison, files: list[Path]) -> None:
    """Print passes, seconds and range of each map, why it may say little, and the files written, to stdout."""
    from rich.text import Text

    from relax.questions.comparison import costs
    from relax.scale import doubts

    table = plain_table(["name"], ["passes", "seconds", "lowest", "highest"])
    table.add_column("unit", overflow="fold")
    for row in costs(comparison):
        span = row["highest"] - row["lowest"]
        ends = number(row["lowest"], span), number(row["highest"], span)
        table.add_row(Text(row["name"]), f"{row['passes']:,}", f"{row['seconds']:.1f}", *ends, Text(row["unit"]))
    reasons = {name: doubts(explanation) for name, explanation in comparison.explanations.items()}
    lines = [f"{name}: {doubt}" for name, of_map in reasons.items() for doubt in of_map]
    print_table(table, *lines, f"written: {file_names(files)}")


def _as_file_name(name: str) -> str:
    """The name with all but letters, digits, + and . replaced by hyphens, such as the : and / of a spec."""
    return "".join(character if character.isalnum() or character in "+.-" else "-" for character in name)[:100]
