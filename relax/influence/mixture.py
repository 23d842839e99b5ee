"""The embedding of a query as a mixture of pictures of an archive: which ones, how much of each, and what is left.

With weights that are not negative and add up to 1, the mixture lies between the pictures, as an example of what was
seen; what no mixture reaches is the residual, which the archive does not explain. `unexplained` is its squared length
as a share of that from the query to the archive's mean: 0 is a query made of the archive, 1 one that a mixture of it
reaches no better than its mean. How large it is for pictures of the archive, each explained by the others, is given
beside it.

Source: SimplEx (Crabbé et al., NeurIPS 2021), there by gradient descent on softmax weights; exact here
(`relax.influence.simplex`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from relax.archive.archive import Archive
from relax.influence.answer import Answer, about, counted, largest, member_of
from relax.influence.labels import Labels, labels_of
from relax.influence.query import Query, nearest_rows, opened, whole_number
from relax.influence.simplex import Weights, mixture_weights, sparse_mixture
from relax.io.images import ImageSource
from relax.text import number

MOST, AMONG, YARDSTICKS = 10, 1000, 50
PARTS = "parts of the mixture"


@dataclass(frozen=True)
class Mixture(Answer):
    """The pictures of the mixture, with their weights as `value`.

    Attributes:
        unexplained: Squared residual over the squared distance to the archive's mean, 0 or more.
        unexplained_by_all: The same of the mixture of all candidates, with as many parts as it likes.
        usual: (M,) the same, with as many parts, for pictures of the archive drawn at random.
        residual: (D,) what is left of the embedding.
    """

    title: ClassVar[str] = "Mixture of the archive"

    unexplained: float
    unexplained_by_all: float
    usual: tuple[float, ...]
    residual: NDArray[np.float32]

    @property
    def stranger_than(self) -> float:
        """Share of the pictures of the archive that the others explain better than they do the query; NaN without."""
        return float(np.mean(np.array(self.usual) < self.unexplained)) if self.usual else float("nan")

    @property
    def quantity(self) -> str:
        """What the value of a picture is."""
        return "weight"

    def shown(self, member: Any) -> str:
        """The weight."""
        return f"{member.value:.1%}"

    def record(self) -> dict[str, Any]:
        """As for every answer, and what is unexplained."""
        return {
            **super().record(),
            "unexplained": self.unexplained,
            "unexplained by all candidates": self.unexplained_by_all,
            "unexplained of other pictures": list(self.usual),
        }


def decompose(
    archive: Archive | str | Path,
    query: ImageSource,
    *,
    most: int = MOST,
    among: int = AMONG,
    labels: str | Path | Labels | None = None,
    yardsticks: int = YARDSTICKS,
    seed: int = 0,
) -> Mixture:
    """The embedding of a query as a mixture of at most so many pictures of an archive, and what that leaves.

    Embeddings are taken as the encoder gives them. A picture of the archive is not part of its own mixture.

    Args:
        archive: Of `relax.make_archive`, or its folder.
        query: An image as for `read_image`, or an embedding (D,).
        most: Parts at most.
        among: Only so many of the nearest pictures can be parts: an archive of 100,000 takes no longer than one of
            1,000, and pictures beyond them, which might fill a corner of the hull, are not looked at.
        labels: As for `relax.evidence`.
        yardsticks: How many pictures of the archive, drawn at random, are decomposed likewise; 0 for none.
        seed: For their choice, and for clusters.

    Raises:
        ImageError: If the picture cannot be used.
        ValueError: If an argument is impossible, or the encoder has changed.
    """
    archive = opened(archive)
    most, among = whole_number("most", most), whole_number("among", among)
    if yardsticks:
        whole_number("yardsticks", yardsticks)
    named = labels_of(archive, labels, seed=seed)
    asked = Query.of(archive, query)
    mean = np.asarray(archive.embeddings).mean(0, dtype=np.float64)
    rows, weights, bare = _mixed(archive, asked, most, among, mean)
    others = np.random.default_rng(seed).permutation(len(archive))[:yardsticks]
    usual = tuple(
        _mixed(archive, _own(archive, int(row)), most, among, mean)[2][0] for row in others if row != asked.row
    )
    parts = [place for place in largest(weights, most) if weights[place] > 0]
    members = tuple(member_of(archive, int(rows[p]), weights[p], named.of[rows[p]]) for p in parts)
    left = asked.embedding - weights @ np.asarray(archive.embeddings[rows])
    shares = counted([member.label for member in members], [m.value for m in members]) if named.classes else {}
    mixture = Mixture(
        asked.name,
        asked.source,
        {PARTS: members},
        (),
        about(archive, named.source, most=most, candidates=len(rows), yardsticks=len(usual), seed=seed),
        *bare,
        usual,
        left.astype(np.float32),
    )
    return Mixture(**{**vars(mixture), "findings": _findings(mixture, shares, len(rows), len(archive))})


def _own(archive: Archive, row: int) -> Query:
    return Query("", None, np.asarray(archive.embeddings[row]), row)


def _mixed(
    archive: Archive, query: Query, most: int, among: int, mean: NDArray[np.float64]
) -> tuple[NDArray[np.int64], Weights, tuple[float, float]]:
    """Candidates (rows), their weights with at most so many above 0, and what these and all leave unexplained."""
    rows = nearest_rows(archive, query, among)
    if not len(rows):
        raise ValueError(f"archive {archive.folder} has no picture but the query itself")
    vectors, target = np.asarray(archive.embeddings[rows], np.float64), query.embedding.astype(np.float64)
    full = mixture_weights(vectors, target)
    sparse = sparse_mixture(vectors, target, most, full)
    spread = np.square(target - mean).sum() or 1.0
    bare = [float(np.square(target - weights @ vectors).sum() / spread) for weights in (sparse, full)]
    return rows, sparse, (bare[0], bare[1])


def _findings(mixture: Mixture, shares: dict[str, float], candidates: int, pictures: int) -> tuple[str, ...]:
    parts = len(mixture.members)
    sentences = [
        f"{parts} picture{'s' * (parts != 1)} explain {1 - mixture.unexplained:.1%} of what sets the query apart "
        f"from the archive's mean; as many as one likes of the candidates explain {1 - mixture.unexplained_by_all:.1%}."
    ]
    if mixture.usual:
        middle = number(float(np.median(mixture.usual)), 0.01)
        sentences.append(
            f"Unexplained are {number(mixture.unexplained, 0.01)}, of {len(mixture.usual)} pictures of the archive "
            f"{middle} in the middle: the query is stranger than {mixture.stranger_than:.0%} of them."
        )
    if shares:
        sentences.append(
            "Weights: " + ", ".join(f"{name} {share:.1%}" for name, share in list(shares.items())[:5]) + "."
        )
    if candidates < pictures - 1:
        sentences.append(
            f"Candidates are the {candidates:,} nearest of {pictures:,} pictures; the others are not looked at."
        )
    return tuple(sentences)
