"""`relax influence`: which pictures of an archive stand behind an answer, and which rules describe its embeddings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, complain, plain_table, print_table, progress_bar
from relax.cli.index import check_sheet, escaped
from relax.cli.options import OUT_PANEL, QUESTION_PANEL, RUN_PANEL, Debug, Quiet
from relax.cli.usage import choice, command_group, usage_errors
from relax.files import written_aside
from relax.io.choice import discreet_name
from relax.io.sources import names_several

if TYPE_CHECKING:
    from relax.influence.answer import Answer

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

influence_app = command_group("Which pictures of an archive stand behind an answer.")

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


@influence_app.command(epilog=NEIGHBOURS_EXAMPLES)
def neighbours(
    archive: ArchivePath,
    image: QueryPath,
    k: Annotated[
        int, typer.Option("-k", "--k", metavar="K", help="Pictures that vote.", rich_help_panel=QUESTION_PANEL)
    ] = 20,
    labels: LabelsOption = None,
    temperature: Annotated[
        float,
        typer.Option(metavar="T", help="A vote weighs exp(cosine / T).", rich_help_panel=QUESTION_PANEL),
    ] = 0.1,
    seed: Seed = 0,
    sheet: Sheet = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """The nearest pictures of an archive, and the share of a k-NN decision that each carries."""
    with usage_errors(debug=debug, of_images=True):
        check_query(image, sheet)
        from relax.influence.evidence import evidence

        answer = evidence(archive, image, k=k, labels=labels, temperature=temperature, seed=seed)
        return tell(answer, sheet, as_json=as_json)


@influence_app.command(epilog=MIXTURE_EXAMPLES)
def mixture(
    archive: ArchivePath,
    image: QueryPath,
    most: Annotated[int, typer.Option(metavar="N", help="Parts at most.", rich_help_panel=QUESTION_PANEL)] = 10,
    among: Annotated[
        int,
        typer.Option(
            metavar="N", help="Only so many of the nearest pictures can be parts.", rich_help_panel=QUESTION_PANEL
        ),
    ] = 1000,
    labels: LabelsOption = None,
    yardsticks: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Pictures of the archive that are decomposed likewise, to compare with; 0 for none.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = 50,
    seed: Seed = 0,
    sheet: Sheet = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """The embedding as a mixture of pictures of the archive, and what no mixture explains (SimplEx)."""
    with usage_errors(debug=debug, of_images=True):
        check_query(image, sheet)
        from relax.influence.mixture import decompose

        answer = decompose(archive, image, most=most, among=among, labels=labels, yardsticks=yardsticks, seed=seed)
        return tell(answer, sheet, as_json=as_json)


@influence_app.command(epilog=HEAD_EXAMPLES)
def head(
    archive: ArchivePath,
    image: QueryPath,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="LABEL",
            help="The answer to explain.",
            show_default="the head's own",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    labels: LabelsOption = None,
    how: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="leave-one-out: how much the answer's loss rises without the picture; influence: to first order; "
            "tracin: by one step of training; representer: its part in the logit.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = "leave-one-out",
    penalty: Penalty = 0.1,
    most: Annotated[int, typer.Option(metavar="N", help="Pictures of each group.", rich_help_panel=OUT_PANEL)] = 10,
    trained: Annotated[
        Path | None,
        typer.Option(
            "--head",
            metavar="PATH",
            help="A head of `relax head train`: says how often it agrees with the one that is explained.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    seed: Seed = 0,
    sheet: Sheet = None,
    table: Table = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """The labelled pictures that support a linear head's answer most, and those that speak against it.

    The head is trained on the archive's embeddings until it rests, since formulas of influence hold at an optimum only.
    """
    with usage_errors(debug=debug, of_images=True):
        check_query(image, sheet)
        from relax.influence.formulas import FORMULAS
        from relax.influence.influential import influential

        choice("--how", how, FORMULAS)
        answer = influential(
            archive, image, label=label, labels=labels or "folders", how=how, penalty=penalty, most=most, head=trained,
            seed=seed,
        )  # fmt: skip
        write_table(table, answer.table())
        return tell(answer, sheet, as_json=as_json)


@influence_app.command("labels", epilog=LABELS_EXAMPLES)
def doubtful(
    archive: ArchivePath,
    labels: LabelsOption = None,
    by: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="left-out-loss: of a head that has not seen the picture; self-influence: what the picture does to its "
            "own loss; neighbours: the share of the nearest that are called otherwise.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = "left-out-loss",
    penalty: Penalty = 0.1,
    most: Annotated[int, typer.Option(metavar="N", help="Pictures that are shown.", rich_help_panel=OUT_PANEL)] = 20,
    seed: Seed = 0,
    sheet: Sheet = None,
    table: Table = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """The labels that are most doubtful: flipped ones come first.

    A reason to look, not a proof: rare views of a class are among them.
    """
    with usage_errors(debug=debug, of_images=True):
        if sheet is not None:
            check_sheet(sheet, None)
        from relax.influence.doubtful import RANKINGS, doubtful_labels

        choice("--by", by, RANKINGS)
        answer = doubtful_labels(archive, labels=labels or "folders", by=by, penalty=penalty, most=most, seed=seed)
        write_table(table, answer.table())
        return tell(answer, sheet, as_json=as_json)


@influence_app.command(epilog=RULES_EXAMPLES)
def rules(
    archive: ArchivePath,
    target: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="clusters; folders; similarity or neighbourhood (with --of); or a table of labels, as for --labels of "
            "the other commands.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = "clusters",
    of: Annotated[
        Path | None,
        typer.Option(
            metavar="IMAGE", help="The picture, for similarity and neighbourhood.", rich_help_panel=QUESTION_PANEL
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(
            "-k",
            "--k",
            metavar="K",
            help="Pictures of a neighbourhood.",
            show_default="a fifth",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    metadata: Metadata = None,
    measures: Measures = True,
    depth: Annotated[
        int, typer.Option(metavar="N", help="Questions in a row at most.", rich_help_panel=QUESTION_PANEL)
    ] = 3,
    seed: Seed = 0,
    sheet: Sheet = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """What drives clusters, labels, a neighbourhood or a similarity, as a few rules, and how far to believe them.

    A small tree over measures and metadata stands in for the embedding. A third of the pictures is held out: support,
    confidence and fidelity are counted on it, and the fidelity is held against chance.
    """
    with usage_errors(debug=debug, of_images=True), progress_bar("pictures", visible=not quiet) as bar:
        if of is not None:
            check_query(of, sheet)
        elif sheet is not None:
            check_sheet(sheet, None)
        from relax.influence.rules.surrogate import surrogate_tree

        task = bar.add_task("measuring", total=None)
        answer = surrogate_tree(
            archive, target, query=of, metadata=metadata, measures=measures, depth=depth, k=k, seed=seed,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    with usage_errors(debug=debug):
        return tell(answer, sheet, as_json=as_json, members=False)


@influence_app.command(epilog=HIERARCHY_EXAMPLES)
def hierarchy(
    archive: ArchivePath,
    levels: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,...",
            help="Numbers of groups, increasing.",
            show_default="2,4,8, as far as there are pictures",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="What is grouped: embeddings, or features (measures and columns).",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = "embeddings",
    linkage: Annotated[str, typer.Option(metavar="HOW", help="ward or average.", rich_help_panel=RUN_PANEL)] = "ward",
    metadata: Metadata = None,
    measures: Measures = True,
    seed: Seed = 0,
    sheet: Sheet = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """Groups of pictures within groups, a picture for each, what sets it apart, and how far it stands for the others.

    A third of the pictures is held out. The share of their embeddings' variance that each level explains is held
    against random groups and against a cloud without groups.
    """
    with usage_errors(debug=debug, of_images=True), progress_bar("pictures", visible=not quiet) as bar:
        if sheet is not None:
            check_sheet(sheet, None)
        from relax.influence.hierarchy.grouping import ON
        from relax.influence.hierarchy.grouping import hierarchy as grouped
        from relax.influence.hierarchy.nested import LINKAGES

        choice("--on", on, ON)
        choice("--linkage", linkage, LINKAGES)
        task = bar.add_task("measuring", total=None)
        answer = grouped(
            archive, None if levels is None else numbers_of(levels), on=on, linkage=linkage, metadata=metadata,
            measures=measures, seed=seed, progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    with usage_errors(debug=debug):
        done = tell(answer, sheet, as_json=as_json, members=False)
        if not as_json:
            print_table("", *map(escaped, answer.lines()))
        return done


def numbers_of(text: str) -> list[int]:
    """The numbers of "2,4,8".

    Raises:
        ValueError: The message names the option.
    """
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--levels must be whole numbers, such as 2,4,8; got {discreet_name(text)}") from None


def check_query(image: Path, sheet: Path | None) -> None:
    """Refuse what names several pictures, and a sheet that cannot be written, before anything is embedded.

    Raises:
        ValueError: The message names the argument.
    """
    if names_several(image):
        raise ValueError(f"IMAGE must be one picture, such as scan.dcm#frame=3; got {discreet_name(str(image))}")
    if sheet is not None:
        check_sheet(sheet, image)


def write_table(table: Path | None, text: str) -> None:
    """Write a CSV, if one is wanted."""
    if table is not None:
        with written_aside(table) as aside:
            aside.write_text(text, encoding="utf-8", newline="")
        complain(f"written: {table}")


def tell(answer: Answer, sheet: Path | None, *, as_json: bool, members: bool = True) -> int:
    """Write the sheet, if one is wanted, and print the answer: its sentences, then its pictures (`members`)."""
    from rich.text import Text

    if sheet is not None:
        answer.save(sheet)
        complain(f"written: {sheet}")  # to stderr: the answer may go to another program
    if as_json:
        typer.echo(json.dumps(answer.record(), indent=2, allow_nan=False))
        return DONE
    parts: list[Any] = [*answer.findings]
    for heading, group in answer.groups.items():
        if not group or not members:
            continue
        rows = plain_table([heading, "label"], [answer.unit or answer.quantity])
        for member in group:
            rows.add_row(Text(escaped(member.name)), Text(escaped(member.label)), Text(answer.shown(member)))
        parts += ["", rows]
    print_table(*parts)
    return DONE
