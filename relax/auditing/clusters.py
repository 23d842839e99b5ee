"""Clusters: spherical k-means by FAISS, as many as the silhouette says.

Sources: spherical k-means: Dhillon & Modha (Machine Learning 42, 2001); silhouette: Rousseeuw (J. Comput. Appl. Math.
20, 1987), here with cosine distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relax.auditing.neighbours import check, unit

MOST = 10  # clusters that are tried
SAMPLE = 2000  # images whose silhouette is computed: it takes all pairs
LEAST = 4  # images


@dataclass(frozen=True)
class Clusters:
    """A partition of the images; cluster 0 is the largest.

    Attributes:
        labels: (N,) int64.
        centres: (K, D) float32, of length 1.
        silhouettes: Mean silhouette for every number of clusters that was tried, in [-1, 1]: 1 = tight and far apart,
            about 0 = overlapping.
        nearest: (K,) int64, the image closest to each centre.
    """

    labels: NDArray[np.int64]
    centres: NDArray[np.float32]
    silhouettes: dict[int, float]
    nearest: NDArray[np.int64]

    @property
    def count(self) -> int:
        """How many clusters there are, K."""
        return len(self.centres)

    @property
    def sizes(self) -> list[int]:
        """Images in each cluster."""
        return [int(size) for size in np.bincount(self.labels, minlength=self.count)]

    @property
    def silhouette(self) -> float:
        """Mean silhouette of this number of clusters."""
        return self.silhouettes[self.count]


def find_clusters(
    embeddings: NDArray[np.float32], *, count: int | None = None, most: int = MOST, seed: int = 0
) -> Clusters:
    """Cluster by direction; the number with the best mean silhouette wins, the smaller one of equals.

    Args:
        embeddings: (N, D).
        count: Number of clusters; None tries 2 to `most`.
        most: The most clusters to try; never more than N / 2.
        seed: The only source of randomness (starting points, and the sample of a large set for the silhouette).

    Raises:
        ValueError: With fewer than 4 images, or an impossible count.
    """
    check(embeddings)
    if len(embeddings) < LEAST:
        raise ValueError(f"clusters need at least {LEAST} images; got {len(embeddings)}")
    largest = len(embeddings) // 2
    if count is not None and not 2 <= count <= largest:
        raise ValueError(f"clusters must be from 2 to {largest}, half of the images; got {count}")
    if most < 2:
        raise ValueError(f"most must be at least 2 clusters; got {most}")
    vectors = np.ascontiguousarray(unit(embeddings), dtype=np.float32)
    tried = range(count, count + 1) if count is not None else range(2, min(most, largest) + 1)
    sample = np.random.default_rng(seed).permutation(len(vectors))[:SAMPLE]
    best: Clusters | None = None
    silhouettes = {}
    for number in tried:
        labels, centres = _kmeans(vectors, number, seed)
        silhouettes[number] = _silhouette(vectors[sample], labels[sample])
        if best is None or silhouettes[number] > silhouettes[best.count]:
            best = Clusters(labels, centres, silhouettes, (vectors @ centres.T).argmax(0))
    assert best is not None  # noqa: S101 - at least one number was tried
    return best


def _kmeans(vectors: NDArray[np.float32], number: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    import faiss

    kmeans = faiss.Kmeans(
        vectors.shape[1],
        number,
        niter=50,
        nredo=5,
        spherical=True,
        seed=seed + 1,  # FAISS takes 0 as "none given"
        min_points_per_centroid=1,
        max_points_per_centroid=10_000,
    )
    kmeans.train(vectors)
    centres = np.asarray(kmeans.centroids, dtype=np.float32)
    labels = (vectors @ centres.T).argmax(1)
    used, labels = np.unique(labels, return_inverse=True)  # copies can leave a cluster empty
    order = np.argsort(-np.bincount(labels), kind="stable")
    return np.argsort(order)[labels], np.ascontiguousarray(centres[used][order])


def _silhouette(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Mean silhouette by cosine; -1, the worst there is, where it is not defined."""
    from sklearn.metrics import silhouette_score

    if not 1 < len(np.unique(labels)) < len(labels):
        return -1.0
    return float(silhouette_score(vectors, labels, metric="cosine"))
