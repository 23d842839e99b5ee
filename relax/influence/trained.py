"""What questions about a linear head share: the labelled pictures that train it, and a number for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.values import described, is_number
from relax.archive.archive import Archive
from relax.influence.answer import Answer, about, largest
from relax.influence.formulas import left_out_logits
from relax.influence.labels import Labels, Named, labels_of
from relax.influence.optimum import Optimum, Values
from relax.influence.query import opened
from relax.io.choice import name_within
from relax.text import csv_text

PENALTY, LEAST = 0.1, 2


@dataclass(frozen=True)
class Ranked(Answer):
    """An answer that has a number for every labelled picture.

    Attributes:
        values: (N,) by row of the archive, NaN for pictures without a label.
        names: (N,) of the pictures.
        labels: (N,) None where unknown.
    """

    values: NDArray[np.float64]
    names: tuple[str, ...]
    labels: tuple[str | None, ...]

    def table(self) -> str:
        """All labelled pictures as CSV, the largest value first: rank, picture, label, value."""
        known = np.flatnonzero(np.isfinite(self.values))
        ranked = [known[place] for place in largest(self.values[known], len(known))]
        rows = [(rank, self.names[row], self.labels[row], self.values[row]) for rank, row in enumerate(ranked, 1)]
        return csv_text([("rank", "picture", "label", self.quantity), *rows])


def trained_on(
    archive: Archive | str | Path, labels: str | Path | Labels, penalty: float, seed: int
) -> tuple[Archive, Named, Optimum]:
    """The archive, its labels, and the head of its labelled pictures.

    Raises:
        ValueError: If there are fewer than two labels, one has a single picture, or the penalty is not above 0.
    """
    if not is_number(penalty) or not 0 < penalty < float("inf"):
        raise ValueError(f"penalty must be above 0; got {described(penalty)}")
    archive = opened(archive)
    named = labels_of(archive, labels, seed=seed)
    counts = {name: named.of.count(name) for name in named.classes}
    if len(counts) < 2:
        raise ValueError(f"labels must be at least 2 to tell apart; got {', '.join(counts) or 'none'}")
    if rare := [name for name, count in counts.items() if count < LEAST]:
        raise ValueError(
            f"every label needs at least {LEAST} pictures, so that one can be left out; {rare[0]!r} has 1: "
            "add pictures or leave the label out"
        )
    embeddings = np.asarray(archive.embeddings[named.known])
    return archive, named, Optimum.fit(embeddings, named.numbers, penalty=float(penalty))


def by_row(values: Values, named: Named) -> Values:
    """(N,) by row of the archive, of values of the labelled pictures; NaN for the others."""
    column = np.full(len(named.of), np.nan)
    column[named.known] = values
    return column


def names_of_rows(archive: Archive) -> tuple[str, ...]:
    """(N,) what results call the pictures."""
    return tuple(name_within(archive.root, row.path) for row in archive.rows)


def in_words(fitted: Optimum) -> str:
    """How good the head is, and what it sees, in a sentence."""
    right = (fitted.residuals + np.eye(fitted.classes)[fitted.labels]).argmax(1) == fitted.labels
    unseen = left_out_logits(fitted).argmax(1) == fitted.labels
    kept = "" if fitted.axes.variance > 1 - 1e-6 else (
        f"; it sees {fitted.coordinates.shape[1] - 1} axes of the embeddings, which hold {fitted.axes.variance:.1%} of "
        "their variance"
    )  # fmt: skip
    return (
        f"The head is right for {right.mean():.1%} of the {len(right):,} pictures of {fitted.classes} labels, and for "
        f"{unseen.mean():.1%} with each left out{kept}."
    )


def settings_of(archive: Archive, named: Named, fitted: Optimum, **settings: Any) -> dict[str, Any]:
    """How an answer about the head was made."""
    return about(
        archive,
        named.source,
        labelled=len(fitted.labels),
        classes=list(named.classes),
        penalty=fitted.penalty,
        axes=fitted.coordinates.shape[1] - 1,
        variance=fitted.axes.variance,
        **settings,
    )
