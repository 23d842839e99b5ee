"""How far groups stand for pictures that they were not made from: the share of the variance of embeddings explained.

    1 - sum |z - m(z)|^2 / sum |z - m|^2

over held-out embeddings z, where m is the mean of all that were grouped, and m(z) the mean of the group that z is
placed in, or the embedding of the picture that represents it. Beside it stand random groups of the same sizes, and what
the same procedure reaches where there is nothing to find: in normally distributed points with the covariance of the
embeddings (the null of Liu et al., JASA 2008), since cutting any cloud in pieces explains some of its variance; or, for
groups that were made of features, where features and embeddings are shuffled among the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relax.influence.hierarchy.nested import means_of, nested_groups, placed

DRAWS, RESAMPLES, LEVEL = 19, 1000, 0.05

Vectors = NDArray[np.float64]
Groups = NDArray[np.int64]


@dataclass(frozen=True)
class Standing:
    """How far the groups of a level stand for held-out pictures.

    Attributes:
        groups: How many there are.
        explained: Share of the variance, by the mean of each group; at most 1, below 0 if worse than one mean for all.
        low, high: Its 95 % interval, by a bootstrap of the held-out pictures.
        representatives: The same, by the embedding of each group's picture.
        random: The mean of random groups of the same sizes.
        nothing: The mean where there is nothing to find.
        p: (1 + draws with nothing to find that explain as much) / (1 + draws), at least 0.05.
        pictures: How many were held out.
    """

    groups: int
    explained: float
    low: float
    high: float
    representatives: float
    random: float
    nothing: float
    p: float
    pictures: int

    @property
    def beyond_chance(self) -> bool:
        """Whether p is at most 0.05: none of the draws with nothing to find explains as much."""
        return self.p <= LEVEL + 1e-9


@dataclass(frozen=True)
class Halves:
    """What groups are made of, and what they are to stand for, of the grouped and the held-out pictures.

    Attributes:
        points, held_points: (S, F) and (M, F), in which groups are made.
        vectors, held_vectors: (S, D) and (M, D) embeddings; the same arrays as the points where those are grouped.
    """

    points: Vectors
    held_points: Vectors
    vectors: Vectors
    held_vectors: Vectors

    @property
    def of_embeddings(self) -> bool:
        """Whether the embeddings themselves are grouped."""
        return self.points is self.vectors


def standings(
    halves: Halves,
    groups: Groups,
    medoids: list[dict[int, int]],
    linkage: str,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Standing]:
    """One per level, for (S, L) groups of the points and, per level, the place of each group's representative."""
    at = placed(halves.held_points, halves.points, groups)
    explained = shares(halves.vectors, groups, halves.held_vectors, at)
    rng = np.random.default_rng(seed)
    by_chance = np.mean([_shuffled(halves, groups, rng) for _ in range(DRAWS)], axis=0)
    nothing = np.array([*_nothing(halves, groups, at, linkage, rng, progress)])
    total = np.square(halves.held_vectors - halves.vectors.mean(0)).sum(1)
    results = []
    for level in range(groups.shape[1]):
        rest = np.square(halves.held_vectors - means_of(halves.vectors, groups[:, level])[at[:, level]]).sum(1)
        drawn = rng.integers(0, len(total), (RESAMPLES, len(total)))
        low, high = np.quantile(1 - rest[drawn].sum(1) / total[drawn].sum(1), [0.025, 0.975])
        chosen = halves.vectors[[medoids[level][group] for group in at[:, level].tolist()]]
        by_medoids = 1 - np.square(halves.held_vectors - chosen).sum() / total.sum()
        hits = int((nothing[:, level] >= explained[level] - 1e-12).sum())
        results.append(
            Standing(
                int(groups[:, level].max()) + 1, float(explained[level]), float(low), float(high), float(by_medoids),
                float(by_chance[level]), float(nothing[:, level].mean()), (1 + hits) / (1 + DRAWS), len(total),
            )
        )  # fmt: skip
    return results


def shares(vectors: Vectors, groups: Groups, held_out: Vectors, at: Groups) -> NDArray[np.float64]:
    """(L,) share of the variance of held-out vectors that the means of their groups explain."""
    total = np.square(held_out - vectors.mean(0)).sum()
    return np.array(
        [
            1 - np.square(held_out - means_of(vectors, groups[:, level])[at[:, level]]).sum() / total
            for level in range(groups.shape[1])
        ]
    )


def _shuffled(halves: Halves, groups: Groups, rng: np.random.Generator) -> NDArray[np.float64]:
    """Random groups of the same sizes, within each other as before."""
    drawn = groups[rng.permutation(len(groups))]
    return shares(halves.vectors, drawn, halves.held_vectors, placed(halves.held_points, halves.points, drawn))


def _nothing(
    halves: Halves,
    groups: Groups,
    at: Groups,
    linkage: str,
    rng: np.random.Generator,
    progress: Callable[[int, int], None] | None,
) -> Iterator[NDArray[np.float64]]:
    """What is explained where there is nothing to find, draw by draw."""
    levels = (groups.max(0) + 1).tolist()
    everything = np.vstack([halves.vectors, halves.held_vectors])
    for draw in range(1, DRAWS + 1):
        if halves.of_embeddings:
            cloud = cloud_like(everything, rng)
            some, others = cloud[: len(groups)], cloud[len(groups) :]
            drawn = nested_groups(some, levels, linkage)
            yield shares(some, drawn, others, placed(others, some, drawn))
        else:
            mixed = rng.permutation(everything)
            yield shares(mixed[: len(groups)], groups, mixed[len(groups) :], at)
        if progress is not None:
            progress(draw, DRAWS)


def cloud_like(vectors: Vectors, rng: np.random.Generator) -> Vectors:
    """As many normally distributed points with the mean and covariance of these (N, D)."""
    centre = vectors.mean(0)
    draws = rng.normal(size=(len(vectors), len(vectors)) if len(vectors) < vectors.shape[1] else vectors.shape)
    if len(vectors) < vectors.shape[1]:
        spread: Vectors = draws @ (vectors - centre) / np.sqrt(len(vectors) - 1)
    else:
        values, axes = np.linalg.eigh(np.cov(vectors.T).reshape(vectors.shape[1], -1))
        spread = (draws * np.sqrt(np.maximum(values, 0))) @ axes.T
    cloud: Vectors = centre + spread
    return cloud
