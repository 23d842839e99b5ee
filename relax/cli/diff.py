"""`relax diff`: which pictures of an archive one encoder takes for near and another does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.audit import StageBar
from relax.cli.console import DONE, Stopped, complain
from relax.cli.early import check_named
from relax.cli.options import (
    DEFAULT_OUT,
    EXECUTION,
    OUT_PANEL,
    QUESTION_PANEL,
    RUN_PANEL,
    SEVERAL,
    Debug,
    Out,
    Quiet,
    encoder_specs,
)
from relax.cli.usage import check_out, choice, takes, usage_errors
from relax.files import file_names
from relax.text import printable

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from relax.differences.result import Differences

EXAMPLES = """[bold]Examples[/bold]

relax diff photos --encoders default,sscd
    relax-out/diff/diff.html: both spaces side by side, groups on which the two differ, what parts make the difference

relax diff photos-a photos-b
    the same from two archives of `relax index`, one by each encoder

relax diff scans --encoders default,timm:vit_small_patch14_dinov2.lvd142m --metadata scans.csv --explain 0
    what the pictures of a group have in common in scans.csv (path,scanner,site,...); no maps
"""

FILES = ("diff.html", "diff.json", "diff.csv", "diff.npz")


@takes(("masks", "seed"), EXECUTION, masks=512)
def diff(
    places: Annotated[
        list[str],
        typer.Argument(metavar="DIR [DIR]", help=f"A folder of images, or two archives of one. {SEVERAL}"),
    ],
    options: dict[str, Any],
    encoders: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="The two encoders of a folder; `relax encoders` lists them. Archives have theirs.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = "",
    metadata: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV or Parquet with a column path (relative to DIR): what do the pictures of a group share?",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    neighbours: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="Nearest pictures of each.",
            show_default="one in 10, from 5 to 20",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    groups: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Groups by each encoder to choose from; only those beyond chance are shown.",
            show_default="the best of 1 to 12",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    redraws: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="How often features are drawn again, to know what groups noise gives; 19 or more.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = 20,
    explain: Annotated[
        int, typer.Option(metavar="N", help="Groups whose parts are probed; 0 for none.", rich_help_panel=RUN_PANEL)
    ] = 3,
    central: Annotated[
        int, typer.Option(metavar="N", help="Pictures of each of these groups.", rich_help_panel=RUN_PANEL)
    ] = 3,
    layout: Annotated[
        str, typer.Option(metavar="NAME", help="Maps of the spaces: pca, tsne, umap.", rich_help_panel=OUT_PANEL)
    ] = "tsne",
    out: Out = DEFAULT_OUT / "diff",
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Find the pictures that one encoder takes for near and another does not, and what parts make the difference.

    Writes diff.html (the two spaces side by side and linked, groups with their pictures and maps), diff.csv (a row for
    each picture), diff.json and diff.npz (for relax.Differences.load). A group is shown if it is stronger than any
    between draws of one encoder's own features. Embeddings are kept, so that a later run, also after Ctrl-C, continues
    from them.
    """
    if len(places) > 2:
        raise typer.BadParameter(f"takes a folder, or two archives; got {len(places)} names")
    check_named("DIR", *places)
    specs = encoder_specs(encoders)
    progress = StageBar(visible=not quiet)
    own = ("encoders", "neighbours", "groups", "redraws", "explain", "central", "metadata", "layout")
    try:
        with usage_errors(debug=debug, of_images=True, own=own), progress.bar:
            check_out(out)
            from relax.auditing.layout import METHODS
            from relax.differences.running import diff_encoders

            choice("--layout", layout, METHODS)
            differences = diff_encoders(
                places[0] if len(places) == 1 else places,
                specs or None,
                out,
                neighbours=neighbours,
                groups=groups,
                redraws=redraws,
                explain=explain,
                central=central,
                metadata=metadata,
                layout=layout,
                progress=progress.update,
                **options,
            )
            out.mkdir(parents=True, exist_ok=True)
            files = [differences.save(out / name) for name in FILES]
    except KeyboardInterrupt:
        raise Stopped(f"the embeddings that are done are kept in {out}; run the same command to continue") from None
    _tell(differences, files, quiet=quiet)
    return DONE


def _tell(differences: Differences, files: list[Path], *, quiet: bool) -> None:
    """Print the findings and the files to stdout, and what was left out to stderr."""
    from relax.differences.findings import findings

    if left_out := differences.settings["left_out"]:
        complain(f"note: {left_out} pictures are left out, which only one archive has or which changed between the two")
    if not quiet:
        for finding in findings(differences):
            typer.echo(f"- {printable(finding)}")
        typer.echo(f"written: {file_names(files)}")
