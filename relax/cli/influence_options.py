"""The arguments and options of `relax influence`, and the examples in its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relax.cli.options import OUT_PANEL, QUESTION_PANEL, RUN_PANEL

NEIGHBOURS_EXAMPLES = """[bold]Examples[/bold]

relax influence neighbours photos-archive cat.png
    the twenty nearest pictures vote: the share of each, and of each label (the folders of the pictures)

relax influence neighbours photos-archive cat.png -k 5 --labels sites.csv#site --sheet cat.html
    labels from a column of a table; the pictures on a page
"""

MIXTURE_EXAMPLES = """[bold]Examples[/bold]

relax influence mixture photos-archive cat.png
    at most ten pictures whose weighted mean is nearest to the cat, and how much that leaves unexplained

relax influence mixture photos-archive cat.png --most 3 --sheet cat.pdf --json
    three; a figure, and JSON for other programs
"""

HEAD_EXAMPLES = """[bold]Examples[/bold]

relax influence head photos-archive cat.png
    the pictures that support the answer of a linear head most, and those that speak against it

relax influence head photos-archive cat.png --label dog --how representer --table all.csv
    for another answer, by each picture's part in its logit; all pictures in a table
"""

LABELS_EXAMPLES = """[bold]Examples[/bold]

relax influence labels photos-archive --sheet doubtful.html
    the labels that a head would not give had it not seen them: flipped ones come first

relax influence labels scans-archive --labels diagnoses.csv --most 50 --table ranked.csv
    labels from a table; all pictures, the most doubtful first
"""

RULES_EXAMPLES = """[bold]Examples[/bold]

relax influence rules photos-archive
    what drives the clusters of the embeddings: brightness, tint, sharpness, size?

relax influence rules scans-archive --metadata scans.csv --no-measures
    the columns of a table alone: scanner, site, age, or scores of concepts

relax influence rules photos-archive --target similarity --of cat.png --sheet rules.html
    what makes pictures similar to the cat; a page with pictures of every rule
"""

HIERARCHY_EXAMPLES = """[bold]Examples[/bold]

relax influence hierarchy photos-archive --sheet tree.png
    two, four and eight groups within each other, the picture of each, and what sets it apart; drawn as a tree

relax influence hierarchy scans-archive --levels 3,12 --metadata scans.csv --sheet tree.html
    other levels, compared by the columns of a table, too; a page

relax influence hierarchy photos-archive --on features
    group what people see, and learn how much of the embedding that explains
"""

ArchivePath = Annotated[Path, typer.Argument(metavar="ARCHIVE", help="A folder written by `relax index`.")]
QueryPath = Annotated[
    Path,
    typer.Argument(metavar="IMAGE", help="The picture, such as us.dcm#frame=3; it need not be in the archive."),
]
LabelsOption = Annotated[
    str | None,
    typer.Option(
        "--labels",
        metavar="WHERE",
        help="folders: the first folder of each picture; clusters: of the embeddings; or a CSV or Parquet table with a "
        "column path, as TABLE or TABLE#COLUMN.",
        show_default="folders, where there are some",
        rich_help_panel=QUESTION_PANEL,
    ),
]
Sheet = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write the pictures as well: .html is a page, .png, .svg and .pdf are figures.",
        rich_help_panel=OUT_PANEL,
    ),
]
Table = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write all pictures as CSV, the most first.", rich_help_panel=OUT_PANEL),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.", rich_help_panel=OUT_PANEL)]
Seed = Annotated[int, typer.Option(metavar="N", help="For clusters and samples.", rich_help_panel=RUN_PANEL)]
Metadata = Annotated[
    Path | None,
    typer.Option(
        metavar="TABLE",
        help="A CSV or Parquet table with a column path: its columns become features.",
        rich_help_panel=QUESTION_PANEL,
    ),
]
Measures = Annotated[
    bool,
    typer.Option(
        "--measures/--no-measures",
        help="Whether brightness, tint, sharpness and size become features.",
        rich_help_panel=QUESTION_PANEL,
    ),
]
Penalty = Annotated[
    float,
    typer.Option(
        metavar="P",
        help="Of half the head's squared weights beside the mean cross entropy; above 0.",
        rich_help_panel=RUN_PANEL,
    ),
]
Voters = Annotated[
    int, typer.Option("-k", "--k", metavar="K", help="Pictures that vote.", rich_help_panel=QUESTION_PANEL)
]
Temperature = Annotated[
    float,
    typer.Option(metavar="T", help="A vote weighs exp(cosine / T).", rich_help_panel=QUESTION_PANEL),
]
Among = Annotated[
    int,
    typer.Option(
        metavar="N", help="Only so many of the nearest pictures can be parts.", rich_help_panel=QUESTION_PANEL
    ),
]
Yardsticks = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Pictures of the archive that are decomposed likewise, to compare with; 0 for none.",
        rich_help_panel=RUN_PANEL,
    ),
]
LabelOption = Annotated[
    str | None,
    typer.Option(
        metavar="LABEL",
        help="The answer to explain.",
        show_default="the head's own",
        rich_help_panel=QUESTION_PANEL,
    ),
]
How = Annotated[
    str,
    typer.Option(
        metavar="HOW",
        help="leave-one-out: how much the answer's loss rises without the picture; influence: to first order; "
        "tracin: by one step of training; representer: its part in the logit.",
        rich_help_panel=QUESTION_PANEL,
    ),
]
Trained = Annotated[
    Path | None,
    typer.Option(
        "--head",
        metavar="PATH",
        help="A head of `relax head train`: says how often it agrees with the one that is explained.",
        rich_help_panel=QUESTION_PANEL,
    ),
]
By = Annotated[
    str,
    typer.Option(
        metavar="HOW",
        help="left-out-loss: of a head that has not seen the picture; self-influence: what the picture does to its "
        "own loss; neighbours: the share of the nearest that are called otherwise.",
        rich_help_panel=QUESTION_PANEL,
    ),
]
Target = Annotated[
    str,
    typer.Option(
        metavar="WHAT",
        help="clusters; folders; similarity or neighbourhood (with --of); or a table of labels, as for --labels of "
        "the other commands.",
        rich_help_panel=QUESTION_PANEL,
    ),
]
Of = Annotated[
    Path | None,
    typer.Option(
        metavar="IMAGE", help="The picture, for similarity and neighbourhood.", rich_help_panel=QUESTION_PANEL
    ),
]
NeighbourhoodSize = Annotated[
    int | None,
    typer.Option(
        "-k",
        "--k",
        metavar="K",
        help="Pictures of a neighbourhood.",
        show_default="a fifth",
        rich_help_panel=QUESTION_PANEL,
    ),
]
Depth = Annotated[int, typer.Option(metavar="N", help="Questions in a row at most.", rich_help_panel=QUESTION_PANEL)]
Levels = Annotated[
    str | None,
    typer.Option(
        metavar="N,N,...",
        help="Numbers of groups, increasing.",
        show_default="2,4,8, as far as there are pictures",
        rich_help_panel=QUESTION_PANEL,
    ),
]
On = Annotated[
    str,
    typer.Option(
        metavar="WHAT",
        help="What is grouped: embeddings, or features (measures and columns).",
        rich_help_panel=QUESTION_PANEL,
    ),
]
