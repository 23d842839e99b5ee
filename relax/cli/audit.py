"""`relax audit`: how an encoder lays out a folder of images, what drives it, and what it should not be looking at."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relax.cli.console import DONE, SOME_FAILED, Stopped, UsageError, complain, progress_bar
from relax.cli.options import DEVICE_HELP, names
from relax.cli.options import batch_size as whole_or_auto
from relax.text import printable

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from relax.auditing.result import Audit

EXAMPLES = """[bold]Examples[/bold]

relax audit photos
    relax-audit/report.html, with the bundled encoder; made again, it takes up only what is new

relax audit scans --encoder timm:vit_small_patch14_dinov2.lvd142m --metadata scans.csv --colour-by scanner
    scans.csv has the columns path,scanner,site,...: which of them does the embedding give away?

relax audit photos --explain 60 --hide 300 --masks 1000
    more pictures looked into: weaker shortcuts are found, maps have less noise
"""

WHO, WHAT, HOW, OUT = "Which space", "What is looked for", "How it is computed", "What comes out"


def audit(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The images; those in folders below it count too.")],
    encoder: Annotated[
        str, typer.Option(metavar="SPEC", help="Who looks; `relax encoders` lists the choice.", rich_help_panel=WHO)
    ] = "default",
    pooling: Annotated[
        str,
        typer.Option(
            metavar="HOW", help="auto, cls or mean, for encoders that return tokens or maps.", rich_help_panel=WHO
        ),
    ] = "auto",
    metadata: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV or Parquet with a column path (relative to DIR) and others, to look for in the space.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    colour_by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Colours the map of the space; default: the most predictable column.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    clusters: Annotated[
        int | None,
        typer.Option(metavar="N", help="How many; default: as many as the silhouette says.", rich_help_panel=WHAT),
    ] = None,
    duplicates: Annotated[
        float | None,
        typer.Option(
            metavar="COSINE",
            help="From which a pair is a near-duplicate; default: relative to the typical neighbour.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    layouts: Annotated[
        str, typer.Option(metavar="NAMES", help="Maps of the space: pca, tsne, umap.", rich_help_panel=WHAT)
    ] = "pca,tsne",
    explain: Annotated[
        int, typer.Option(metavar="N", help="Pictures that are explained; 0 for none.", rich_help_panel=HOW)
    ] = 24,
    masks: Annotated[int, typer.Option(metavar="N", help="Masks of each explanation.", rich_help_panel=HOW)] = 512,
    hide: Annotated[
        int,
        typer.Option(
            metavar="N", help="Pictures hidden cell by cell, to see which change cluster.", rich_help_panel=HOW
        ),
    ] = 96,
    seed: Annotated[int, typer.Option(metavar="N", help="Same seed, same result.", rich_help_panel=HOW)] = 0,
    device: Annotated[str, typer.Option(metavar="DEVICE", help=DEVICE_HELP, rich_help_panel=HOW)] = "auto",
    batch_size: Annotated[
        str, typer.Option(metavar="N", help="Images at a time, or auto: speed, not result.", rich_help_panel=HOW)
    ] = "auto",
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the files go; made if need be.", rich_help_panel=OUT)
    ] = Path("relax-audit"),
    quiet: Annotated[
        bool, typer.Option("--quiet", help="No progress and no findings; errors are still said.", rich_help_panel=OUT)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where in the code an error came from.", rich_help_panel=OUT)
    ] = False,
) -> int:
    """Ask how an encoder lays out a folder of images, and what it should not be looking at.

    Near-duplicates, outliers, clusters, hubs, the link to metadata, and places in the frame that matter in many
    pictures (shortcuts). Written: report.html, and tables (.csv, .parquet, .json) beside it. What was embedded
    and explained is kept, so that a second run, or one after Ctrl-C, goes on from there.
    """
    from relax.auditing.run import audit as run

    progress = _Progress(shown=not quiet)
    try:
        with progress.bar:
            found = run(
                folder,
                encoder,
                out,
                metadata=metadata,
                colour_by=colour_by,
                explain=explain,
                hide=hide,
                masks=masks,
                clusters=clusters,
                duplicates=duplicates,
                layouts=names(layouts),
                seed=seed,
                pooling=pooling,
                device=device,
                batch_size=whole_or_auto(batch_size),
                progress=progress.tell,
            )
    except KeyboardInterrupt:
        kept = f"what was embedded and explained is kept in {out}, the same command goes on from there"
        raise Stopped(kept) from None
    except (ValueError, OSError, ImportError) as error:
        if debug:
            traceback.print_exc()
        raise UsageError(str(error)) from None
    for path, why in found.failed.items():
        complain(why if path in why else f"{path}: {why}")
    if found.failed:
        complain(f"{len(found.failed)} of {len(found.failed) + len(found.paths)} images could not be used, see above")
    if not quiet:
        _print(found)
    return SOME_FAILED if found.failed else DONE


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


def _print(found: Audit) -> None:
    """The findings and where everything is, to stdout."""
    for finding in found.findings:
        typer.echo(f"- {printable(finding)}")
    typer.echo(f"written: {found.report}, and the tables beside it")
