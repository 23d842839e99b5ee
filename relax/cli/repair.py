"""`relax repair`: what rests on a mark, and the encoder without it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relax.cli.console import DONE, UsageError, plain_table, print_table, progress_bar
from relax.cli.early import check_early
from relax.cli.index import escaped
from relax.cli.influence_options import ArchivePath
from relax.cli.options import DEFAULT_OUT, OUT_PANEL, QUESTION_PANEL, RUN_PANEL, Debug, Out, Quiet
from relax.cli.usage import check_out, choice, usage_errors
from relax.files import file_names
from relax.repair.defaults import DIRECTIONS, FILL, HIDING, NEIGHBOURS, PICTURES

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from relax.repair.result import Repair

EXAMPLES = """[bold]Examples[/bold]

relax index photos --out photos-archive
relax repair photos-archive --marks marks
    marks holds a mask for each picture that carries the mark: marks/cat.png for photos/cat.jpg

relax repair scans-archive --marks boxes.csv --labels diagnoses.csv --name ruler
    boxes (image,xmin,ymin,xmax,ymax); a head learns the diagnoses, and is asked about scans whose ruler has moved

relax explain scan.png --encoder repaired:relax-out/ruler.safetensors
    a map through the repaired encoder; likewise index, audit, pair, compare
"""


def repair(
    archive: ArchivePath,
    marks: Annotated[
        Path,
        typer.Option(
            metavar="WHERE",
            help="Where the mark is: a folder of masks or Pascal VOC files, or a CSV of boxes. A picture without one "
            "carries no mark.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ],
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help="What a head learns: folders, clusters, or a table with a column path, as TABLE or TABLE#COLUMN.",
            show_default="no head",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    directions: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="How many are taken out: more leave less of the mark, and fewer of the other neighbours.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = DIRECTIONS,
    fill: Annotated[
        str,
        typer.Option(metavar="FILL", help=f"What hides marks: {', '.join(HIDING)}.", rich_help_panel=QUESTION_PANEL),
    ] = FILL,
    k: Annotated[
        int, typer.Option("-k", "--k", metavar="K", help="Neighbours that count.", rich_help_panel=QUESTION_PANEL)
    ] = NEIGHBOURS,
    pictures: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="With the mark, and as many without, that are asked about, at most; three passes each.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = PICTURES,
    seed: Annotated[int, typer.Option(metavar="N", help="Which pictures these are.", rich_help_panel=RUN_PANEL)] = 0,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Of the files, without ending.", rich_help_panel=OUT_PANEL)
    ] = "repair",
    out: Out = DEFAULT_OUT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Take out of an encoder what a mark does to its embeddings, and say what rested on the mark before.

    A mark may be a ruler, a label or a watermark that `relax audit` found. Pictures get twins, with the mark hidden or
    pasted in; half of them tell the directions in which it moves embeddings, the other half judges: does a head still
    tell the mark, do neighbours share it, do neighbours and a head's answers change when it moves?

    Writes NAME.safetensors, for --encoder repaired:NAME.safetensors, NAME.json, the numbers with their intervals, and
    NAME.png, a figure.
    """
    with usage_errors(debug=debug):
        check_early({"archive": archive, "marks": marks}, {})
        choice("--fill", fill, HIDING)
        if not name or Path(name).name != name:
            raise UsageError(f"--name must be a file name without folders; got {name!r}")
        check_out(out)
        with progress_bar("pictures", visible=not quiet) as bar, usage_errors(debug=debug, of_images=True):
            from relax.repair.repairing import repair_encoder

            task = bar.add_task("twins", total=None)
            mended = repair_encoder(
                archive,
                marks,
                labels=labels,
                directions=directions,
                fill=fill,
                neighbours=k,
                pictures=pictures,
                seed=seed,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
            files = mended.save(out / name)
    if not quiet:
        tell(mended)
        typer.echo(f"written: {file_names(files)}")
    return DONE


def tell(mended: Repair) -> None:
    """Print the findings and the numbers."""
    rows = plain_table(["question", "encoder"], ["mean (95 % interval)", "pictures"])
    for line in mended.lines():
        rows.add_row(*map(escaped, line))
    print_table(*map(escaped, mended.findings), "", rows)
