"""The stages of an audit between the embeddings and the files: the space, the metadata, single pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from relax.auditing.clusters import Clusters, find_clusters
from relax.auditing.duplicates import Duplicates, near_duplicates
from relax.auditing.hubs import hubness
from relax.auditing.kept import kept_nearest
from relax.auditing.layout import lay_out
from relax.auditing.metadata import Metadata
from relax.auditing.neighbours import Neighbours, agreement, nearest, unit
from relax.auditing.options import Options
from relax.auditing.outliers import outliers
from relax.auditing.pictures import CELLS, Pictures, in_view
from relax.auditing.positions import mirror_of, standardised
from relax.auditing.predictability import Predictability, corrected, predictability
from relax.auditing.result import Space
from relax.auditing.shortcuts import CellEvidence, hiding_effects, recurrences
from relax.estimators.budget import Progress
from relax.io.errors import ImageError

StageProgress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""

Result = TypeVar("Result")

VIEW = 56  # cells along each side of a mean importance map
NEIGHBOURS = 10
AGREEING = 5000  # images whose neighbours by L2 are compared with those by cosine


def analyse_space(embeddings: NDArray[np.float32], options: Options, keep: Path, report: StageProgress) -> Space:
    """Everything that follows from the embeddings (N, D) alone; neighbours are kept in a file."""
    k = min(NEIGHBOURS, len(embeddings) - 1)
    neighbours = kept_nearest(keep, embeddings, k, partial(report, "neighbours"))
    clusters = find_clusters(
        embeddings, count=options.clusters, seed=options.seed, progress=partial(report, "clusters")
    )
    layouts = []
    for place, method in enumerate(options.layouts):
        report("maps of the space", place, len(options.layouts))
        layouts.append(lay_out(embeddings, method, seed=options.seed))
    report("comparing cosine and L2", 0, 1)
    return Space(
        neighbours=neighbours,
        agreement=_agreement(embeddings, neighbours, options.seed),
        duplicates=near_duplicates(embeddings, neighbours, options.duplicates),
        outliers=outliers(embeddings, neighbours, clusters.labels),
        hubs=hubness(neighbours),
        clusters=clusters,
        layouts=tuple(layouts),
    )


def _agreement(embeddings: NDArray[np.float32], neighbours: Neighbours, seed: int) -> NDArray[np.float64]:
    """(N,) the share of the neighbours that cosine and L2 have in common; of very many images, for a sample alone."""
    count, k = neighbours.indices.shape
    asked = np.sort(np.random.default_rng(seed).permutation(count)[:AGREEING])
    shares = np.full(count, np.nan)
    shares[asked] = agreement(neighbours.of(asked), nearest(embeddings, k, "l2", of=asked))
    return shares


def analyse_columns(
    embeddings: NDArray[np.float32], metadata: Metadata | None, seed: int, report: StageProgress
) -> list[Predictability]:
    """How well the neighbours predict each column, most predictable first."""
    columns = {} if metadata is None else metadata.columns
    results = []
    for place, (name, values) in enumerate(columns.items()):
        report("metadata", place, len(columns))
        results.append(predictability(embeddings, name, values, k=NEIGHBOURS, seed=seed))
    return corrected([result for result in results if result is not None])


def spread_over(clusters: Clusters, seed: int) -> list[int]:
    """All images in an order of which every prefix holds each cluster in proportion, at random within it."""
    places = np.empty(len(clusters.labels))
    draws = np.random.default_rng(seed)
    for number, size in enumerate(clusters.sizes):
        places[clusters.labels == number] = draws.permutation((np.arange(size) + draws.random()) / size)
    order: list[int] = np.argsort(places, kind="stable").tolist()
    return order


def distinct(order: Sequence[int], duplicates: Duplicates) -> list[int]:
    """The images in their order, but only the first of each group of near-duplicates."""
    groups = {image: number for number, group in enumerate(duplicates.groups) for image in group}
    firsts = {groups[image]: image for image in reversed(order) if image in groups}
    return [image for image in order if image not in groups or firsts[groups[image]] == image]


def explain_pictures(
    pictures: Pictures, paths: Sequence[str], chosen: Sequence[int], failed: dict[str, str], report: StageProgress
) -> tuple[list[NDArray[np.float64]], CellEvidence]:
    """Explain pictures and their mirror images.

    Args:
        pictures: Computes and keeps the explanations.
        paths: All images.
        chosen: Indices of those to explain.
        failed: Receives the reason for each image that cannot be used.
        report: Receives progress.

    Returns:
        The standardised maps (56, 56) of the pictures that could be explained, and the evidence for the position test.
    """
    images, maps, plain, mirrored = [], [], [], []
    steps = _with_mirror_images(pictures.explain, paths, chosen, failed, partial(report, "explaining"))
    for image, explanation, mirror_explanation in steps:
        images.append(image)
        maps.append(standardised(in_view(explanation.importance, pictures.encoder, VIEW)[None])[0])
        plain.append(in_view(explanation.importance, pictures.encoder, CELLS))
        mirrored.append(in_view(mirror_explanation.importance, pictures.encoder, CELLS))
    return maps, CellEvidence(_stack(plain), _stack(mirrored), tuple(images))


def hide_cells(
    pictures: Pictures,
    paths: Sequence[str],
    chosen: Sequence[int],
    embeddings: NDArray[np.float32],
    clusters: Clusters,
    failed: dict[str, str],
    report: StageProgress,
) -> tuple[dict[str, CellEvidence], NDArray[np.bool_] | None]:
    """Hide each cell of pictures and of their mirror images in turn; arguments as for `explain_pictures`.

    A picture and its mirror image are compared with centres in which it had no part.

    Returns:
        The evidence on "hiding" and "recurrence", and (n, s, s) whether the nearest centre changes, None without
        pictures.
    """
    images, plain, mirrored, moved, changes, mirror_changes = [], [], [], [], [], []
    steps = _with_mirror_images(pictures.hide, paths, chosen, failed, partial(report, "hiding"))
    for image, hidden, mirror_hidden in steps:
        images.append(image)
        centres = clusters.centres_without(embeddings, image)
        effects, other_nearest = hiding_effects(*hidden, centres)
        plain.append(effects.reshape(CELLS, CELLS))
        moved.append(other_nearest.reshape(CELLS, CELLS))
        mirrored.append(hiding_effects(*mirror_hidden, centres)[0].reshape(CELLS, CELLS))
        changes.append(change(*hidden))
        mirror_changes.append(change(*mirror_hidden))
    if not images:
        return {}, None
    grid = (len(images), CELLS, CELLS)
    recurring = recurrences(np.stack(changes), np.stack(mirror_changes))
    return {
        "hiding": CellEvidence(_stack(plain), _stack(mirrored), tuple(images)),
        "recurrence": CellEvidence(recurring[0].reshape(grid), recurring[1].reshape(grid), tuple(images)),
    }, np.stack(moved)


def change(image_embedding: NDArray[np.float32], hidden: NDArray[np.float32]) -> NDArray[np.float32]:
    """(s^2, D) the embedding of a picture minus that with each cell hidden, all of length 1."""
    return (unit(image_embedding[None]) - unit(hidden)).astype(np.float32)


def _with_mirror_images(
    measure: Callable[[str, str], Result],
    paths: Sequence[str],
    chosen: Sequence[int],
    failed: dict[str, str],
    report: Progress,
) -> Iterator[tuple[int, Result, Result]]:
    """The image, its measurement and that of its mirror image, for every chosen picture that can be used."""
    for place, image in enumerate(chosen):
        report(place, len(chosen))
        try:
            plain, mirrored = measure(paths[image], ""), measure(paths[image], mirror_of(place))
        except ImageError as error:
            failed[paths[image]] = str(error)
            continue
        yield image, plain, mirrored


def means_by_cluster(
    maps: Sequence[NDArray[np.float64]], labels: Sequence[int]
) -> tuple[dict[int, NDArray[np.float64]], dict[int, int]]:
    """The mean map of each cluster that has maps, and their number."""
    counts = {number: labels.count(number) for number in sorted(set(labels))}
    means = {
        number: np.mean([values for values, label in zip(maps, labels, strict=True) if label == number], axis=0)
        for number in counts
    }
    return means, counts


def _stack(grids: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.stack(grids) if grids else np.zeros((0, CELLS, CELLS))
