"""`relax influence`: which pictures of an archive stand behind an answer, and which rules describe its embeddings."""

from __future__ import annotations

from typing import Annotated

import typer

from relax.cli.console import progress_bar
from relax.cli.influence_files import check_asked, tell, write_table
from relax.cli.influence_options import (
    HEAD_EXAMPLES,
    HIERARCHY_EXAMPLES,
    LABELS_EXAMPLES,
    MIXTURE_EXAMPLES,
    NEIGHBOURS_EXAMPLES,
    RULES_EXAMPLES,
    Among,
    ArchivePath,
    AsJson,
    By,
    Depth,
    How,
    LabelOption,
    LabelsOption,
    Levels,
    Measures,
    Metadata,
    NeighbourhoodSize,
    Of,
    On,
    Penalty,
    QueryPath,
    Seed,
    Sheet,
    Table,
    Target,
    Temperature,
    Trained,
    Voters,
    Yardsticks,
)
from relax.cli.options import OUT_PANEL, QUESTION_PANEL, RUN_PANEL, Debug, Quiet
from relax.cli.usage import choice, command_group, usage_errors
from relax.io.choice import discreet_name

influence_app = command_group("Which pictures of an archive stand behind an answer.")


@influence_app.command(epilog=NEIGHBOURS_EXAMPLES)
def neighbours(
    archive: ArchivePath,
    image: QueryPath,
    k: Voters = 20,
    labels: LabelsOption = None,
    temperature: Temperature = 0.1,
    seed: Seed = 0,
    sheet: Sheet = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """The nearest pictures of an archive, and the share of a k-NN decision that each carries."""
    with usage_errors(debug=debug, of_images=True):
        check_asked(archive, image, sheet)
        from relax.influence.evidence import evidence

        answer = evidence(archive, image, k=k, labels=labels, temperature=temperature, seed=seed)
        return tell(answer, sheet, as_json=as_json)


@influence_app.command(epilog=MIXTURE_EXAMPLES)
def mixture(
    archive: ArchivePath,
    image: QueryPath,
    most: Annotated[int, typer.Option(metavar="N", help="Parts at most.", rich_help_panel=QUESTION_PANEL)] = 10,
    among: Among = 1000,
    labels: LabelsOption = None,
    yardsticks: Yardsticks = 50,
    seed: Seed = 0,
    sheet: Sheet = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """The embedding as a mixture of pictures of the archive, and what no mixture explains (SimplEx)."""
    with usage_errors(debug=debug, of_images=True):
        check_asked(archive, image, sheet)
        from relax.influence.mixture import decompose

        answer = decompose(archive, image, most=most, among=among, labels=labels, yardsticks=yardsticks, seed=seed)
        return tell(answer, sheet, as_json=as_json)


@influence_app.command(epilog=HEAD_EXAMPLES)
def head(
    archive: ArchivePath,
    image: QueryPath,
    label: LabelOption = None,
    labels: LabelsOption = None,
    how: How = "leave-one-out",
    penalty: Penalty = 0.1,
    most: Annotated[int, typer.Option(metavar="N", help="Pictures of each group.", rich_help_panel=OUT_PANEL)] = 10,
    trained: Trained = None,
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
        check_asked(archive, image, sheet, head=trained)
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
    by: By = "left-out-loss",
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
        check_asked(archive, None, sheet)
        from relax.influence.doubtful import RANKINGS, doubtful_labels

        choice("--by", by, RANKINGS)
        answer = doubtful_labels(archive, labels=labels or "folders", by=by, penalty=penalty, most=most, seed=seed)
        write_table(table, answer.table())
        return tell(answer, sheet, as_json=as_json)


@influence_app.command(epilog=RULES_EXAMPLES)
def rules(
    archive: ArchivePath,
    target: Target = "clusters",
    of: Of = None,
    k: NeighbourhoodSize = None,
    metadata: Metadata = None,
    measures: Measures = True,
    depth: Depth = 3,
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
        check_asked(archive, of, sheet, metadata=metadata)
        from relax.influence.rules.surrogate import surrogate_tree

        task = bar.add_task("measuring", total=None)
        answer = surrogate_tree(
            archive, target, query=of, metadata=metadata, measures=measures, depth=depth, k=k, seed=seed,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    with usage_errors(debug=debug):
        return tell(answer, sheet, as_json=as_json, tree=answer.lines())


@influence_app.command(epilog=HIERARCHY_EXAMPLES)
def hierarchy(
    archive: ArchivePath,
    levels: Levels = None,
    on: On = "embeddings",
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
        check_asked(archive, None, sheet, metadata=metadata)
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
        return tell(answer, sheet, as_json=as_json, tree=answer.lines())


def numbers_of(text: str) -> list[int]:
    """The numbers of "2,4,8".

    Raises:
        ValueError: The message names the option.
    """
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--levels must be whole numbers, such as 2,4,8; got {discreet_name(text)}") from None
