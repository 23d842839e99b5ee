"""`relax audit`: how an encoder arranges a folder of images, and which shortcuts and artefacts drive it."""

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
    SEVERAL,
    Debug,
    EncoderSpec,
    Out,
    Quiet,
    RayAddress,
    Workers,
)
from relax.cli.usage import listed, takes, usage_errors
from relax.io.sources import PASSED_OVER
from relax.text import printable

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from relax.auditing.result import Audit

EXAMPLES = """[bold]Examples[/bold]

relax audit photos
    relax-out/audit/report.html, with the bundled encoder; run again, it processes only new images

relax audit scans --encoder timm:vit_small_patch14_dinov2.lvd142m --metadata scans.csv --colour-by scanner
    scans.csv has the columns path,scanner,site,...: which of them does the embedding reveal?

relax audit photos --workers 4
    four processes embed and explain, by Ray: pip install "relax-explainer[ray]"

relax audit photos --explain 60 --hide 300 --masks 1000
    more pictures examined: weaker shortcuts are found, and maps have less noise
"""

SPACE_PANEL = "What is examined"


@takes(("masks", "seed"), EXECUTION, masks=512)
def audit(
    folder: Annotated[str, typer.Argument(metavar="DIR", help=f"The images, including those in subfolders. {SEVERAL}")],
    options: dict[str, Any],
    encoder: EncoderSpec = "default",
    metadata: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV or Parquet with a column path (relative to DIR) and columns to predict from the embeddings.",
            rich_help_panel=SPACE_PANEL,
        ),
    ] = None,
    colour_by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column that colours the map of the embeddings; default: the most predictable.",
            rich_help_panel=SPACE_PANEL,
        ),
    ] = None,
    clusters: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Number of clusters; default: chosen by the silhouette.", rich_help_panel=SPACE_PANEL
        ),
    ] = None,
    duplicates: Annotated[
        float | None,
        typer.Option(
            metavar="COSINE",
            help="Cosine from which a pair counts as near-duplicates; default: relative to the typical neighbour.",
            rich_help_panel=SPACE_PANEL,
        ),
    ] = None,
    layouts: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Maps of the embeddings, comma-separated: pca, tsne, umap.",
            rich_help_panel=SPACE_PANEL,
        ),
    ] = "pca,tsne",
    explain: Annotated[
        int, typer.Option(metavar="N", help="Number of pictures to explain; 0 for none.", rich_help_panel=RUN_PANEL)
    ] = 24,
    hide: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Number of pictures to hide cell by cell, to see which change cluster.",
            rich_help_panel=HIDING_PANEL,
        ),
    ] = 96,
    workers: Workers = None,
    ray: RayAddress = None,
    out: Out = DEFAULT_OUT / "audit",
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Audit how an encoder arranges a folder of images, and what it should not rely on.

    Reports near-duplicates, outliers, clusters, hubs, links to metadata, and places in the frame that matter in many
    pictures (shortcuts). Writes report.html, with tables (.csv, .parquet, .json) beside it. Embeddings and
    explanations are kept, so that a later run, also after Ctrl-C, continues from them.
    """
    from relax.auditing.layout import METHODS
    from relax.auditing.run import audit as run

    progress = StageBar(visible=not quiet)
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
                workers=workers,
                ray=ray,
                progress=progress.update,
                told=None if quiet else lambda forecast: complain(f"note: {forecast}"),
                **options,
            )
    except KeyboardInterrupt:
        raise Stopped(
            f"what is done is kept in {out}: embeddings, neighbours, measures, maps; run the same command to continue"
        ) from None
    for path, reason in result.failed.items():
        complain(reason if path in reason else f"{path}: {reason}")
    if result.failed:
        complain(
            f"{len(result.failed)} of {len(result.failed) + len(result.paths)} images could not be used; see above"
        )
    if (out / PASSED_OVER).is_file():
        complain(f"note: {out / PASSED_OVER} lists what is passed over or left out, and why")
    if not quiet:
        _print_findings(result)
    return SOME_FAILED if result.failed else DONE


class StageBar:
    """One bar over all stages; nothing is drawn if stderr is not a terminal."""

    def __init__(self, *, visible: bool) -> None:
        self.bar = progress_bar(visible=visible)
        self.task = self.bar.add_task("reading the folder", total=None)
        self.stage = ""

    def update(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage has come."""
        if stage != self.stage:
            self.stage = stage
            self.bar.reset(self.task, description=stage)
        self.bar.update(self.task, completed=done, total=total)


def _print_findings(result: Audit) -> None:
    """Print the findings and the path of the report to stdout."""
    for finding in result.findings:
        typer.echo(f"- {printable(finding)}")
    typer.echo(f"written: {result.report}, and the tables beside it")
