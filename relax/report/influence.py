"""The page of an answer about pictures of an archive: its sentences, its pictures, and a table of its numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relax.plotting.drawing import file_of
from relax.plotting.influence import AnswerLike
from relax.report.collection import Collection, Column
from relax.report.content import Chart, Grid, Report, Section

SIDE = 512  # px of a picture's longer side


def answer_report(answer: AnswerLike) -> Report:
    """The report on an answer, for `write_report`; its first picture is the query, if there is one."""
    members = [
        (heading, rank, member) for heading, group in answer.groups.items() for rank, member in enumerate(group, 1)
    ]
    first = [None] if answer.query else []
    pictures = [*first, *(member for _, _, member in members)]

    def small(picture: int) -> NDArray[np.uint8] | None:
        return answer.small(pictures[picture], SIDE)

    unit = f"{answer.quantity} ({answer.unit})" if answer.unit else answer.quantity
    ahead = [None] * len(first)
    notes = list(dict.fromkeys(name for _, _, member in members for name in member.notes))
    collection = Collection(
        [*(f"query: {answer.query}" for _ in first), *(member.name for _, _, member in members)],
        (
            Column("group", [*("query" for _ in first), *(heading for heading, _, _ in members)]),
            Column("rank", [*ahead, *(rank for _, rank, _ in members)]),
            Column(answer.labelled, [*ahead, *(member.label or None for _, _, member in members)]),
            Column(unit, [*ahead, *(member.value for _, _, member in members)]),
            *(Column(name, [*ahead, *(member.notes.get(name) for _, _, member in members)]) for name in notes),
        ),
        small=small,
        captions=[
            *("" for _ in first),
            *(" · ".join(filter(None, (answer.shown(member), member.label))) for _, _, member in members),
        ],
        order="group and rank",
        side=SIDE,
    )
    grids = tuple(
        Grid(
            heading,
            ("rank", "picture", answer.labelled, unit, *notes),
            tuple(
                (rank, member.name, member.label or None, member.value, *(member.notes.get(name) for name in notes))
                for rank, member in enumerate(group, 1)
            ),
        )
        for heading, group in answer.groups.items()
        if group
    )
    title = f"{answer.title}: {answer.query}" if answer.query else answer.title
    return Report(
        title,
        tuple(answer.findings),
        (*_tree(answer), Section("The numbers", blocks=grids)),
        settings=dict(answer.settings),
        collection=collection,
        about_maps=False,
    )


def _tree(answer: AnswerLike) -> tuple[Section, ...]:
    """The section with the answer as a drawn tree, if it is one."""
    figure = answer.drawn()
    if figure is None:
        return ()
    chart = Chart(file_of(figure), "", f"{answer.title} as a tree: {' '.join(answer.findings)}")
    return (Section("As a tree", blocks=(chart,)),)
