"""Which labelled pictures made a linear head's answer, and which speak against it.

The head is fitted to its optimum on the pictures' embeddings (`relax.influence.optimum`), and what each picture
contributes is counted by one of the formulas of `relax.influence.formulas`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from encoders.heads.base import Head
from encoders.heads.kinds import load_head
from relax.archive.archive import Archive
from relax.influence.answer import Member, largest, member_of
from relax.influence.formulas import FORMULAS, formula_named
from relax.influence.labels import FOLDERS, Labels, Named
from relax.influence.optimum import Optimum, Values, softmax
from relax.influence.query import Query, whole_number
from relax.influence.trained import PENALTY, Ranked, by_row, in_words, names_of_rows, settings_of, trained_on
from relax.io.images import ImageSource
from relax.text import number, one_of

PICTURES = 10
HELPFUL, HARMFUL = "most helpful", "most harmful"


@dataclass(frozen=True)
class Influence(Ranked):
    """The pictures that help and harm a head's answer most, with what they contribute as `value`.

    Attributes:
        label: The answer that is explained.
        probability: That the head gives it.
    """

    title: ClassVar[str] = "Influence on a head"

    label: str
    probability: float

    @property
    def quantity(self) -> str:
        """What the value of a picture is."""
        return "contribution"

    @property
    def unit(self) -> str:
        """Of the contributions."""
        return FORMULAS[self.settings["how"]].unit

    def shown(self, member: Member) -> str:
        """The contribution with its sign."""
        return f"{'+' if member.value > 0 else ''}{number(member.value)}"


def influential(
    archive: Archive | str | Path,
    query: ImageSource,
    *,
    label: str | None = None,
    labels: str | Path | Labels = FOLDERS,
    how: str = "leave-one-out",
    penalty: float = PENALTY,
    most: int = PICTURES,
    head: Head | str | Path | None = None,
    seed: int = 0,
) -> Influence:
    """Which labelled pictures of an archive support a linear head's answer for a query, and which speak against it.

    Args:
        archive: Of `relax.make_archive`, or its folder: the training set.
        query: An image as for `read_image`, or an embedding (D,).
        label: The answer to explain; None is the one that the head gives.
        labels: "folders", "clusters", a table, or one per row, see `relax.influence.labels`.
        how: "leave-one-out", "influence", "tracin" or "representer", see `relax.influence.formulas`.
        penalty: Of half the squared weights beside the mean cross entropy: above 0.
        most: Pictures of each group.
        head: A head that was trained on them: how often it agrees with the one that is explained is stated.
        seed: For clusters.

    Raises:
        ImageError: If the picture cannot be used.
        ValueError: If an argument is impossible, there are fewer than two labels, or the encoder has changed.
    """
    formula, most = formula_named(how), whole_number("most", most)
    archive, named, fitted = trained_on(archive, labels, penalty, seed)
    asked = Query.of(archive, query)
    point = fitted.axes(asked.embedding[None])[0]
    chances = softmax((fitted.weight @ point)[None])[0]
    number_of = (
        named.classes.index(one_of("label", label, named.classes)) if label is not None else int(chances.argmax())
    )
    values = by_row(formula.function(fitted, point, number_of), named)
    groups = _extremes(archive, values, named, asked.row, most)
    chance = float(chances[number_of])
    record = settings_of(archive, named, fitted, how=how, label=named.classes[number_of])
    findings = [
        _answer(named, chances, number_of, label),
        _span(values, asked.row, formula.unit),
        in_words(fitted),
    ]
    if asked.row is not None:
        findings.append("The query is one of the pictures; what it does for itself is not shown.")
    if head is not None:
        share = _agreement(head, archive, named, fitted)
        record["agreement with the head"] = share
        findings.append(f"The given head says the same as this one for {share:.1%} of the pictures.")
    return Influence(
        asked.name, asked.source, groups, tuple(findings), record, values, names_of_rows(archive), named.of,
        named.classes[number_of], chance,
    )  # fmt: skip


def _extremes(
    archive: Archive, values: Values, named: Named, own: int | None, most: int
) -> Mapping[str, tuple[Member, ...]]:
    """The largest values above 0, and the smallest below, without the query itself."""
    others = np.nan_to_num(values, nan=0.0)
    if own is not None:
        others[own] = 0

    def group(signed: Values) -> tuple[Member, ...]:
        return tuple(
            member_of(archive, row, values[row], named.of[row]) for row in largest(signed, most) if signed[row] > 0
        )

    return {HELPFUL: group(others), HARMFUL: group(-others)}


def _answer(named: Named, chances: Values, place: int, asked: str | None) -> str:
    chance, best = f"{chances[place]:.1%}", int(chances.argmax())
    if asked is None or best == place:
        return f"The head says {named.classes[place]} ({chance})."
    said = f"it says {named.classes[best]} ({chances[best]:.1%})"
    return f"For {named.classes[place]}, which the head gives {chance}; {said}."


def _span(values: Values, own: int | None, unit: str) -> str:
    others = values.copy()
    if own is not None:
        others[own] = np.nan
    known = np.abs(others[np.isfinite(others)])
    order = np.sort(known)[::-1]
    half = int(np.searchsorted(np.cumsum(order), order.sum() / 2)) + 1
    return (
        f"{int(np.nansum(others > 0)):,} pictures support it and {int(np.nansum(others < 0)):,} speak against it, from "
        f"{number(float(np.nanmin(others)), 0.001)} to {number(float(np.nanmax(others)), 0.001)} {unit}; {half:,} of "
        f"{len(known):,} make half of all contributions."
    )


def _agreement(head: Head | str | Path, archive: Archive, named: Named, fitted: Optimum) -> float:
    """Share of the labelled pictures for which a given head says the same."""
    given = head if isinstance(head, Head) else load_head(head)
    if set(given.classes) != set(named.classes):
        raise ValueError(
            f"head knows {', '.join(given.classes)}, the labels are {', '.join(named.classes)}: they must agree"
        )
    scores = given.scores(torch.from_numpy(np.ascontiguousarray(archive.embeddings[named.known])))
    said = np.array(given.classes)[scores.argmax(1).numpy()]
    own = (fitted.coordinates @ fitted.weight.T).argmax(1)
    return float(np.mean(said == np.array(named.classes)[own]))
