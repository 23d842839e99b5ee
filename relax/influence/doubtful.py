"""Which labels of an archive's pictures are doubtful: flipped ones come first.

left-out-loss    the loss at the picture's label of a head that has not seen the picture, by one Newton step
self-influence   how much the head moves its own loss by the picture, to first order     (Koh & Liang, ICML 2017, 5.4)
neighbours       the share of the nearest pictures that are called otherwise             (Wilson, 1972: edited k-NN)

A high number is a reason to look, not a proof: rare views of a class have one as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from relax.archive.archive import Archive
from relax.auditing.neighbours import nearest
from relax.influence.answer import Member, largest, member_of
from relax.influence.formulas import left_out_logits, self_influence
from relax.influence.labels import FOLDERS, Labels
from relax.influence.optimum import Optimum, Values, cross_entropy
from relax.influence.query import whole_number
from relax.influence.trained import PENALTY, Ranked, by_row, in_words, names_of_rows, settings_of, trained_on
from relax.text import number, one_of

PICTURES, NEIGHBOURS = 20, 20
HEADING = "most doubtful labels"


@dataclass(frozen=True)
class Ranking:
    """A way to rank labels by how doubtful they are.

    Attributes:
        name: In Python and on the command line.
        what: What its number is.
        unit: Of the number; "" for a share.
        function: From the head and the (N, k) nearest other pictures to (N,) numbers, higher = more doubtful.
    """

    name: str
    what: str
    unit: str
    function: Callable[[Optimum, NDArray[np.int64]], Values]


def _left_out_loss(head: Optimum, around: NDArray[np.int64]) -> Values:
    return cross_entropy(left_out_logits(head), head.labels)


def _self_influence(head: Optimum, around: NDArray[np.int64]) -> Values:
    return self_influence(head)


def _neighbours(head: Optimum, around: NDArray[np.int64]) -> Values:
    share: Values = (head.labels[around] != head.labels[:, None]).mean(1)
    return share


RANKINGS: dict[str, Ranking] = {
    ranking.name: ranking
    for ranking in (
        Ranking("left-out-loss", "loss of a head that has not seen the picture", "nats", _left_out_loss),
        Ranking("self-influence", "what the picture does to its own loss", "nats", _self_influence),
        Ranking("neighbours", "share of the nearest pictures that are called otherwise", "", _neighbours),
    )
}


@dataclass(frozen=True)
class Doubts(Ranked):
    """The pictures with the most doubtful labels, the number of the ranking as `value`; `notes` has what others say."""

    title: ClassVar[str] = "Doubtful labels"

    @property
    def quantity(self) -> str:
        """What is ranked by."""
        return RANKINGS[self.settings["by"]].what

    @property
    def unit(self) -> str:
        """Of the values."""
        return RANKINGS[self.settings["by"]].unit

    def shown(self, member: Member) -> str:
        """The number, and what the other pictures say where that is something else."""
        said = str(member.notes["others say"])
        return number(member.value) + (f" · others say {said}" if said != member.label else "")


def doubtful_labels(
    archive: Archive | str | Path,
    *,
    labels: str | Path | Labels = FOLDERS,
    by: str = "left-out-loss",
    penalty: float = PENALTY,
    most: int = PICTURES,
    seed: int = 0,
) -> Doubts:
    """Which labels of an archive's pictures are doubtful, the most doubtful first.

    Args:
        archive: Of `relax.make_archive`, or its folder.
        labels: "folders", "clusters", a table, or one per row, see `relax.influence.labels`.
        by: "left-out-loss", "self-influence" or "neighbours", see `relax.influence.doubtful`.
        penalty: As for `relax.influential`.
        most: Pictures that are shown.
        seed: For clusters.

    Raises:
        ValueError: If an argument is impossible, or there are fewer than two labels.
    """
    ranking, most = RANKINGS[one_of("by", by, RANKINGS)], whole_number("most", most)
    archive, named, head = trained_on(archive, labels, penalty, seed)
    around = _around(archive, named.known, head.classes)
    own = ranking.function(head, around)
    others, shares = left_out_logits(head).argmax(1), _neighbours(head, around)
    members = tuple(
        member_of(
            archive,
            int(named.known[place]),
            own[place],
            named.classes[head.labels[place]],
            {"others say": named.classes[others[place]], "neighbours otherwise": float(shares[place])},
        )
        for place in largest(own, most)
    )
    wrong = int((others != head.labels).sum())
    findings = (
        f"{wrong:,} of {len(own):,} labelled pictures are something else to a head that has not seen them "
        f"({wrong / len(own):.1%}): wrong labels, or pictures that the embedding does not tell apart.",
        f"Ranked by the {ranking.what}: {number(float(np.median(own)), 0.01)} in the middle, "
        f"{number(float(own.max()), 0.01)} at most.",
        in_words(head),
    )
    record = settings_of(archive, named, head, by=by)
    return Doubts("", None, {HEADING: members}, findings, record, by_row(own, named), names_of_rows(archive), named.of)


def _around(archive: Archive, rows: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """(N, k) the nearest of the labelled pictures, by cosine, as places among them; fewer than a label has."""
    k = min(NEIGHBOURS, max(1, len(rows) // classes - 1))
    return nearest(np.asarray(archive.embeddings[rows]), k).indices
