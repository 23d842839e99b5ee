"""`relax audit`: how an encoder lays out a folder of images, what drives it, and what it should not be looking at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, SOME_FAILED, Stopped, complain, progress_bar
from relax.cli.options import (
    DEFAULT_OUT,
    EXECUTION,
    HIDING_PANEL,
    RUN_PANEL,
    Debug,
    EncoderSpec,
    Out,
    Quiet,
    listed,
    takes,
    usage_errors,
)
from relax.text import printable

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from relax.auditing.result import Audit

EXAMPLES = """[bold]Examples[/bold]

relax audit photos
    relax-out/audit/report.html, with the bundled encoder; made again, it takes up only what is new

relax audit scans --encoder timm:vit_small_patch14_dinov2.lvd142m --metadata scans.csv --colour-by scanner
    scans.csv has the columns path,scanner,site,...: which of them does the embedding give away?

relax audit photos --explain 60 --hide 300 --masks 1000
    more pictures looked into: weaker shortcuts are found, maps have less noise
"""

SPACE_PANEL = "What is looked for"


@takes(("masks", "seed"), EXECUTION, masks=512)
def audit(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The images; those in folders below it count too.")],
    settings: dict[str, Any],
    encoder: EncoderSpec = "default",
    metadata: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV or Parquet with a column path (relative to DIR) and others, to look for in the space.",
            rich_help_panel=SPACE_PANEL,
        ),
    ] = None,
    colour_by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Colours the map of the space; default: the most predictable column.",
            rich_help_panel=SPACE_PANEL,
        ),
    ] = None,
    clusters: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="How many; default: as many as the silhouette says.", rich_help_panel=SPACE_PANEL
        ),
    ] = None,
    duplicates: Annotated[
        float | None,
        typer.Option(
            metavar="COSINE",
            help="From which a pair is a near-duplicate; default: relative to the typical neighbour.",
            rich_help_panel=SPACE_PANEL,
        ),
    ] = None,
    layouts: Annotated[
        str, typer.Option(metavar="NAMES", help="Maps of the space: pca, tsne, umap.", rich_help_panel=SPACE_PANEL)
    ] = "pca,tsne",
    explain: Annotated[
        int, typer.Option(metavar="N", help="Pictures that are explained; 0 for none.", rich_help_panel=RUN_PANEL)
    ] = 24,
    hide: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Pictures hidden cell by cell, to see which change cluster.",
            rich_help_panel=HIDING_PANEL,
        ),
    ] = 96,
    out: Out = DEFAULT_OUT / "audit",
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Ask how an encoder lays out a folder of images, and what it should not be looking at.

    Near-duplicates, outliers, clusters, hubs, the link to metadata, and places in the frame that matter in many
    pictures (shortcuts). Written: report.html, and tables (.csv, .parquet, .json) beside it. What was embedded
    and explained is kept, so that a second run, or one after Ctrl-C, goes on from there.
    """
    from relax.auditing.layout import METHODS
    from relax.auditing.run import audit as run

    progress = _Progress(shown=not quiet)
    try:
        with usage_errors(debug=debug, of_images=True), progress.bar:
            result = run(
                folder,
                encoder,
                out,
                metadata=metadata,
                colour_by=colour_by,
                explain=explain,
                hide=hide,
                clusters=clusters,
                duplicates=duplicates,
                layouts=listed("--layouts", layouts, METHODS),
                progress=progress.tell,
                **settings,
            )
    except KeyboardInterrupt:
        kept = f"what was embedded and explained is kept in {out}, the same command goes on from there"
        raise Stopped(kept) from None
    for path, reason in result.failed.items():
        complain(reason if path in reason else f"{path}: {reason}")
    if result.failed:
        complain(
            f"{len(result.failed)} of {len(result.failed) + len(result.paths)} images could not be used, see above"
        )
    if not quiet:
        _print(result)
    return SOME_FAILED if result.failed else DONE


class _Progress:
    """One bar, told of each stage; draws nothing where nobody watches."""

    def __init__(self, *, shown: bool) -> None:
        self.bar = progress_bar(shown=shown)
        self.task = self.bar.add_task("reading the folder", total=None)
        self.stage = ""

    def tell(self, stage: str, done: int, most: int) -> None:
        """How far a stage has come."""
        if stage != self.stage:
            self.stage = stage
            self.bar.reset(self.task, description=stage)
        self.bar.update(self.task, completed=done, total=most)


def _print(result: Audit) -> None:
    """The findings and where everything is, to stdout."""
    for finding in result.findings:
        typer.echo(f"- {printable(finding)}")
    typer.echo(f"written: {result.report}, and the tables beside it")
