"""The numbers of the chain: what rests on a mark, step by step, with an interval over pictures for each.

Every step is asked of the encoder as it is and of the encoder without the directions of the mark, and where it makes a
difference of pictures whose mark is hidden. All of it is measured on pictures that did not tell the directions.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from relax.auditing.neighbours import unit
from relax.influence.labels import Named
from relax.influence.optimum import Optimum
from relax.influence.trained import PENALTY
from relax.metrics.summary import bootstrap_interval
from relax.repair.directions import told, without
from relax.repair.marked import Rows, Twins, Vectors

BLOCK = 256  # pictures whose neighbours are searched at once
Condition = Literal["as it is", "mark hidden", "repaired", "taught with twins"]
AS_IS: Condition = "as it is"
HIDDEN: Condition = "mark hidden"
REPAIRED: Condition = "repaired"
TAUGHT: Condition = "taught with twins"


@dataclass(frozen=True)
class Question:
    """What a step asks.

    Attributes:
        name: In tables and files.
        what: What its number is.
        wanted: What a repair should bring: "0.5", "low", "as low as elsewhere", "high".
    """

    name: str
    what: str
    wanted: str


QUESTIONS = {
    question.name: question
    for question in (
        Question("told", "share of twins in which a head tells which carries the mark; 0.5 is chance", "0.5"),
        Question("moved", "1 - cosine between a picture and its twin", "low"),
        Question("moved elsewhere", "the same for as large a change elsewhere, or by another picture's pixels", "any"),
        Question(
            "marked neighbours",
            "share of marked pictures among the neighbours of a marked picture, less their share of the archive",
            "as with the mark hidden",
        ),
        Question("new neighbours", "share of a picture's neighbours that change when the mark is pasted in", "low"),
        Question("new neighbours, elsewhere", "the same when another picture's pixels are pasted in", "any"),
        Question("accuracy", "share of pictures that a head of the labels gets right, as they are", "high"),
        Question(
            "accuracy, mark moved", "the same with the mark hidden where it was and pasted where it was not", "high"
        ),
        Question("accuracy lost", "the first less the second: what the head's answers owe to the mark", "0"),
        Question("neighbours kept", "share of a picture's neighbours, without a mark, that the repair leaves", "high"),
    )
}


@dataclass(frozen=True)
class Step:
    """One number of the chain.

    Attributes:
        question: A key of `QUESTIONS`.
        condition: "as it is", "mark hidden", "repaired", or "taught with twins", a head of the encoder as it is.
        value: Mean over pictures.
        low, high: Ends of its 95 % bootstrap interval over pictures.
        pictures: How many there were.
    """

    question: str
    condition: Condition
    value: float
    low: float
    high: float
    pictures: int

    @classmethod
    def of(cls, question: str, condition: Condition, values: NDArray[np.float64]) -> Step:
        """From a number per picture; those that are NaN have none."""
        known = values[np.isfinite(values)]
        low, high = bootstrap_interval(known) if len(known) > 1 else (np.nan, np.nan)
        return cls(question, condition, float(known.mean()) if len(known) else np.nan, low, high, len(known))

    def record(self) -> dict[str, Any]:
        """As JSON types, None for what there is no number of."""
        return {name: None if value != value else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Bench:
    """What the steps are measured with.

    Attributes:
        embeddings: (N, D) of the archive.
        carriers: (N,) bool: which of its pictures carry the mark.
        learned: Twins that told the directions.
        judged: Twins that did not.
        labels: Of the archive; None where there are none.
        neighbours: How many count.
    """

    embeddings: Vectors
    carriers: NDArray[np.bool_]
    learned: Twins
    judged: Twins
    labels: Named | None
    neighbours: int

    def steps(self, directions: Vectors) -> list[Step]:
        """All of them, in the order of `QUESTIONS`."""
        as_is, repaired = (Space.of(self.embeddings, removed) for removed in (directions[:0], directions))
        spaces: dict[Condition, Space] = {AS_IS: as_is, REPAIRED: repaired}
        steps: list[Step] = []
        for condition, space in spaces.items():
            steps += self._of_the_mark(condition, space)
            steps += self._of_neighbours(condition, space)
            if self.labels is not None:
                steps += self._of_a_head(condition, space, self.labels)
        if self.labels is not None:
            steps += self._of_a_head(TAUGHT, as_is, self.labels)
        marked = self.judged.some(self.judged.marked)
        steps.append(Step.of("marked neighbours", HIDDEN, self._marked_share(marked.rows, marked.absent, as_is)))
        clean = self.judged.some(~self.judged.marked)
        before, after = (space.nearest(clean.rows, clean.itself, self.neighbours) for space in (as_is, repaired))
        steps.append(Step.of("neighbours kept", REPAIRED, 1 - _changed(before, after)))
        order = list(QUESTIONS)
        return sorted(steps, key=lambda step: order.index(step.question))

    def _of_the_mark(self, condition: Condition, space: Space) -> list[Step]:
        judged = self.judged
        itself = judged.itself
        return [
            Step.of("told", condition, told(judged, space.removed)),
            Step.of("moved", condition, space.distances(itself, judged.twin)),
            Step.of("moved elsewhere", condition, space.distances(itself, judged.aside)),
        ]

    def _of_neighbours(self, condition: Condition, space: Space) -> list[Step]:
        marked, clean = self.judged.some(self.judged.marked), self.judged.some(~self.judged.marked)
        before, pasted, replaced = (
            space.nearest(clean.rows, values, self.neighbours) for values in (clean.itself, clean.present, clean.aside)
        )
        elsewhere = np.where(np.isfinite(clean.aside[:, 0]), _changed(before, replaced), np.nan)
        return [
            Step.of("marked neighbours", condition, self._marked_share(marked.rows, marked.itself, space)),
            Step.of("new neighbours", condition, _changed(before, pasted)),
            Step.of("new neighbours, elsewhere", condition, elsewhere),
        ]

    def _of_a_head(self, condition: Condition, space: Space, labels: Named) -> list[Step]:
        """A head that learns the labels from all pictures that are not judged, and perhaps from twins of some."""
        numbers = np.full(len(labels.of), -1)
        numbers[labels.known] = labels.numbers
        taught = np.setdiff1d(labels.known, self.judged.rows)
        lessons, answers = self.embeddings[taught], numbers[taught]
        if condition == TAUGHT:
            twins = self.learned.some(numbers[self.learned.rows] >= 0)
            lessons, answers = np.concatenate([lessons, twins.twin]), np.concatenate([answers, numbers[twins.rows]])
        head = Optimum.fit(space.of_length_1(lessons), answers, penalty=PENALTY)
        asked = self.judged.some(numbers[self.judged.rows] >= 0)
        as_they_are, moved = (
            (head.logits(space.of_length_1(values)).argmax(1) == numbers[asked.rows]).astype(np.float64)
            for values in (asked.itself, asked.twin)
        )
        return [
            Step.of("accuracy", condition, as_they_are),
            Step.of("accuracy, mark moved", condition, moved),
            Step.of("accuracy lost", condition, as_they_are - moved),
        ]

    def _marked_share(self, rows: Rows, queries: Vectors, space: Space) -> NDArray[np.float64]:
        """(n,) share of carriers among the neighbours of each query, less that among all other pictures."""
        others = (self.carriers.sum() - self.carriers[rows]) / (len(self.carriers) - 1)
        near = space.nearest(rows, queries, self.neighbours)
        shares: NDArray[np.float64] = self.carriers[near].mean(1) - others
        return shares


@dataclass(frozen=True)
class Space:
    """An archive without some directions.

    Attributes:
        removed: (k, D) the directions, orthonormal.
        known: (N, D) of the pictures, at length 1.
    """

    removed: Vectors
    known: Vectors

    @classmethod
    def of(cls, embeddings: Vectors, removed: Vectors) -> Space:
        """That of embeddings (N, D)."""
        return cls(removed, unit(without(embeddings, removed)))

    def of_length_1(self, values: Vectors) -> Vectors:
        """(n, D) embeddings without the directions, at length 1."""
        return unit(without(values, self.removed))

    def distances(self, itself: Vectors, other: Vectors) -> NDArray[np.float64]:
        """(n,) 1 - cosine."""
        distances: NDArray[np.float64] = 1 - (self.of_length_1(itself) * self.of_length_1(other)).sum(1)
        return distances

    def nearest(self, rows: Rows, queries: Vectors, count: int) -> Rows:
        """(n, count) rows of the archive that are nearest to each query, other than the picture it is of."""
        parts = []
        for start in range(0, len(rows), BLOCK):
            chosen = slice(start, start + BLOCK)
            cosines = self.of_length_1(np.nan_to_num(queries[chosen])) @ self.known.T
            cosines[np.arange(len(cosines)), rows[chosen]] = -np.inf
            parts.append(np.argpartition(-cosines, count - 1, axis=1)[:, :count])
        return np.concatenate(parts)


def _changed(before: Rows, after: Rows) -> NDArray[np.float64]:
    """(n,) share of the first neighbours (n, k) that are not among the second."""
    kept = (before[:, :, None] == after[:, None, :]).any(2)
    shares: NDArray[np.float64] = 1 - kept.mean(1)
    return shares
