"""The stages of an audit between the embeddings and the files: the space, the columns, single pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from relax.auditing.clusters import Clusters, find_clusters
from relax.auditing.duplicates import near_duplicates
from relax.auditing.hubs import hubness
from relax.auditing.layout import lay_out
from relax.auditing.metadata import Metadata
from relax.auditing.neighbours import agreement, nearest
from relax.auditing.outliers import outliers
from relax.auditing.pictures import CELLS, Pictures, in_view
from relax.auditing.positions import mirror_of, standardised
from relax.auditing.predictability import Predictability, corrected, predictability
from relax.auditing.result import Space
from relax.auditing.shortcuts import CellEvidence, hiding_effects
from relax.io.errors import ImageError

Stages = Callable[[str, int, int], None]
"""Called with (stage, done, in all)."""

VIEW = 56  # cells along each side of a mean importance map
NEIGHBOURS = 10


def look_at_space(
    embeddings: NDArray[np.float32],
    clusters: int | None,
    duplicates: float | None,
    layouts: Sequence[str],
    seed: int,
    tell: Stages,
) -> Space:
    """Everything that the embeddings alone say."""
    tell("analysing", 0, 3)
    k = min(NEIGHBOURS, len(embeddings) - 1)
    near = nearest(embeddings, k)
    tell("analysing", 1, 3)
    groups = find_clusters(embeddings, count=clusters, seed=seed)
    tell("analysing", 2, 3)
    drawn = tuple(lay_out(embeddings, method, seed=seed) for method in layouts)
    tell("analysing", 3, 3)
    return Space(
        neighbours=near,
        agreement=agreement(near, nearest(embeddings, k, "l2")),
        duplicates=near_duplicates(embeddings, near, duplicates),
        outliers=outliers(embeddings, near),
        hubs=hubness(near),
        clusters=groups,
        layouts=drawn,
    )


def look_at_columns(
    embeddings: NDArray[np.float32], known: Metadata | None, seed: int, tell: Stages
) -> list[Predictability]:
    """How well the neighbours tell each column, most predictable first."""
    columns = {} if known is None else known.columns
    found = []
    for place, (name, values) in enumerate(columns.items()):
        tell("metadata", place, len(columns))
        found.append(predictability(embeddings, name, values, k=NEIGHBOURS, seed=seed))
    return corrected([one for one in found if one is not None])


def spread_over(clusters: Clusters, seed: int) -> list[int]:
    """All images in an order of which every beginning holds each cluster in its share, at random within it."""
    places = np.empty(len(clusters.labels))
    draws = np.random.default_rng(seed)
    for number, size in enumerate(clusters.sizes):
        places[clusters.labels == number] = draws.permutation((np.arange(size) + draws.random()) / size)
    return [int(one) for one in np.argsort(places, kind="stable")]


def look_at_maps(
    pictures: Pictures, paths: Sequence[str], chosen: Sequence[int], failed: dict[str, str], tell: Stages
) -> tuple[list[int], list[NDArray[np.float64]], CellEvidence]:
    """Explain pictures and their mirror images.

    Returns:
        The images that could be, their standardised maps (56, 56), and what the test of positions needs.
    """
    done, maps, own, mirrored = [], [], [], []
    for place, image in enumerate(chosen):
        tell("explaining", place, len(chosen))
        try:
            plain = pictures.explain(paths[image]).importance
            turned = pictures.explain(paths[image], mirror_of(place)).importance
        except ImageError as error:
            failed[paths[image]] = str(error)
            continue
        done.append(image)
        maps.append(standardised(in_view(plain, pictures.encoder, VIEW)[None])[0])
        own.append(in_view(plain, pictures.encoder, CELLS))
        mirrored.append(in_view(turned, pictures.encoder, CELLS))
    return done, maps, CellEvidence(_stack(own), _stack(mirrored), tuple(done))


def look_behind(
    pictures: Pictures,
    paths: Sequence[str],
    chosen: Sequence[int],
    clusters: Clusters,
    failed: dict[str, str],
    tell: Stages,
) -> tuple[CellEvidence, NDArray[np.bool_] | None]:
    """Hide pictures and their mirror images cell by cell.

    Returns:
        What the test of positions needs, and (n, s, s) whether the nearest centre changes, None without pictures.
    """
    done, own, mirrored, moved = [], [], [], []
    for place, image in enumerate(chosen):
        tell("hiding", place, len(chosen))
        try:
            plain = pictures.hide(paths[image])
            turned = pictures.hide(paths[image], mirror_of(place))
        except ImageError as error:
            failed[paths[image]] = str(error)
            continue
        done.append(image)
        effects, changes = hiding_effects(*plain, clusters.centres)
        own.append(effects.reshape(CELLS, CELLS))
        moved.append(changes.reshape(CELLS, CELLS))
        mirrored.append(hiding_effects(*turned, clusters.centres)[0].reshape(CELLS, CELLS))
    return CellEvidence(_stack(own), _stack(mirrored), tuple(done)), np.stack(moved) if moved else None


def means_by_cluster(
    maps: Sequence[NDArray[np.float64]], labels: Sequence[int]
) -> tuple[dict[int, NDArray[np.float64]], dict[int, int]]:
    """The mean map of each cluster that has some, and of how many."""
    counts = {number: labels.count(number) for number in sorted(set(labels))}
    means = {
        number: np.mean([one for one, label in zip(maps, labels, strict=True) if label == number], axis=0)
        for number in counts
    }
    return means, counts


def _stack(grids: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.stack(grids) if grids else np.zeros((0, CELLS, CELLS))
