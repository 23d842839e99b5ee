"""Clusters: spherical k-means by FAISS, their number chosen by the silhouette.

Sources: spherical k-means: Dhillon & Modha (Machine Learning 42, 2001); silhouette: Rousseeuw (J. Comput. Appl. Math.
20, 1987), here with cosine distance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relax.auditing.neighbours import check, directions, unit

MAX_CLUSTERS = 10
MIN_IMAGES = 4
SAMPLE = 2000  # images in the silhouette, which needs all pairs


@dataclass(frozen=True)
class Clusters:
    """A partition of the images; cluster 0 is the largest.

    Attributes:
        labels: (N,) int64.
        centres: (K, D) float32, of length 1.
        silhouettes: Mean silhouette by number of clusters found, in [-1, 1]: 1 = compact and well separated, about 0 =
            overlapping; -1 where it is undefined, as for copies of one image, which are 1 cluster.
        closeness: (N,) float32, the cosine of each image to the centre of its cluster.
        sums: (K, D) float64, the sum of the unit vectors of each cluster.
    """

    labels: NDArray[np.int64]
    centres: NDArray[np.float32]
    silhouettes: dict[int, float]
    closeness: NDArray[np.float32]
    sums: NDArray[np.float64]

    @property
    def count(self) -> int:
        """Number of clusters, K."""
        return len(self.centres)

    @property
    def sizes(self) -> list[int]:
        """Images in each cluster."""
        return [int(size) for size in np.bincount(self.labels, minlength=self.count)]

    @property
    def silhouette(self) -> float:
        """Mean silhouette of this number of clusters."""
        return self.silhouettes[self.count]

    def members(self, number: int) -> list[int]:
        """The images of a cluster, from the most typical one, nearest the centre, to its rim; of equals, the first."""
        images = np.flatnonzero(self.labels == number)
        ordered: list[int] = images[np.argsort(-self.closeness[images], kind="stable")].tolist()
        return ordered

    def centres_without(self, embeddings: NDArray[np.float32], image: int) -> NDArray[np.float64]:
        """(K, D) the centres if one image had taken no part in them; that of a cluster of one stays.

        A centre is close to its own members, above all in a small cluster, so an image that did take part cannot be
        compared with one that did not, such as its mirror image.
        """
        centres = self.centres.astype(np.float64)
        label = self.labels[image]
        if np.count_nonzero(self.labels == label) > 1:
            centres[label] = unit(self.sums[label, None] - unit(embeddings[image, None]))[0]
        return centres


def find_clusters(
    embeddings: NDArray[np.float32],
    *,
    count: int | None = None,
    maximum: int = MAX_CLUSTERS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Clusters:
    """Cluster by direction, into the number of clusters with the best mean silhouette; of equals, the smaller.

    Args:
        embeddings: (N, D).
        count: Number of clusters; None tries 2 to `maximum`.
        maximum: Largest number to try; never more than N / 2.
        seed: The only source of randomness (starting points, and the sample of a large set for the silhouette).
        progress: Called with (numbers of clusters tried, to be tried).

    Raises:
        ValueError: With fewer than 4 images, or an impossible count.
    """
    check(embeddings)
    if len(embeddings) < MIN_IMAGES:
        raise ValueError(f"clusters need at least {MIN_IMAGES} images; got {len(embeddings)}")
    largest = len(embeddings) // 2
    if count is not None and not 2 <= count <= largest:
        raise ValueError(f"clusters must be from 2 to {largest}, half of the images; got {count}")
    if maximum < 2:
        raise ValueError(f"maximum must be at least 2 clusters; got {maximum}")
    vectors = directions(embeddings)
    numbers = range(count, count + 1) if count is not None else range(2, min(maximum, largest) + 1)
    sample = np.random.default_rng(seed).permutation(len(vectors))[:SAMPLE]
    best: tuple[float, NDArray[np.int64], NDArray[np.float32]] | None = None
    silhouettes: dict[int, float] = {}
    for place, number in enumerate(numbers):
        if progress is not None:
            progress(place, len(numbers))
        labels, centres = _kmeans(vectors, number, seed)
        clusters = len(centres)  # less than the number where images are copies
        silhouette = _silhouette(vectors[sample], labels[sample])
        if best is None or silhouette > best[0]:
            best = silhouette, labels, centres
        silhouettes[clusters] = max(silhouette, silhouettes.get(clusters, silhouette))
    assert best is not None  # noqa: S101 - at least one number was tried
    _, labels, centres = best
    closeness = np.empty(len(vectors), dtype=np.float32)
    sums = np.zeros(centres.shape)
    for number in range(len(centres)):
        members = labels == number
        closeness[members] = vectors[members] @ centres[number]
        sums[number] = unit(embeddings[members]).sum(0)
    return Clusters(labels, centres, silhouettes, closeness, sums)


def _kmeans(vectors: NDArray[np.float32], number: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    import faiss

    kmeans = faiss.Kmeans(
        vectors.shape[1],
        number,
        niter=50,
        nredo=5,
        spherical=True,
        seed=seed + 1,  # FAISS takes 0 for "no seed"
        min_points_per_centroid=1,
        max_points_per_centroid=10_000,
    )
    kmeans.train(vectors)
    centres = np.asarray(kmeans.centroids, dtype=np.float32)
    labels = (vectors @ centres.T).argmax(1)
    used, labels = np.unique(labels, return_inverse=True)  # duplicates can leave a cluster empty
    order = np.argsort(-np.bincount(labels), kind="stable")
    return np.argsort(order)[labels], np.ascontiguousarray(centres[used][order])


def _silhouette(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Mean silhouette by cosine; -1, the worst value, where it is undefined."""
    from sklearn.metrics import silhouette_score

    if not 1 < len(np.unique(labels)) < len(labels):
        return -1.0
    return float(silhouette_score(vectors, labels, metric="cosine"))
