"""Maps of the space in two dimensions, for viewing only: distances between separate groups mean little.

PCA preserves large distances, t-SNE and UMAP preserve neighbourhoods. Of more than 5,000 images, t-SNE and UMAP arrange
a random 5,000, and each other image is placed amid its nearest ones among these, in the space itself. So 100,000 take
little longer than 5,000; a group shows as one if some of its images are among the 5,000.

Sources: van der Maaten & Hinton, t-SNE (JMLR 9, 2008); McInnes, Healy & Melville, UMAP (arXiv 1802.03426).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relax.auditing.neighbours import check, unit

METHODS = ("pca", "tsne", "umap")
SAMPLE = 5000
AMID = 5  # of them, among which another image is placed
INSTALL = 'install it with: pip install "relax-explainer[umap]"'
MIN_IMAGES = 5  # images for t-SNE and UMAP


@dataclass(frozen=True)
class Layout:
    """Coordinates of every image on a map.

    Attributes:
        method: "pca", "tsne" or "umap".
        points: (N, 2) float64.
        arranged: How many of them the method arranged itself; the others were placed amid these.
        explained: Share of the variance explained by the two axes, for PCA; None for the others.
    """

    method: str
    points: NDArray[np.float64]
    arranged: int
    explained: float | None = None


def lay_out(embeddings: NDArray[np.float32], method: str = "tsne", *, seed: int = 0) -> Layout:
    """Project the directions of the embeddings on a plane.

    Args:
        embeddings: (N, D).
        method: "pca", "tsne" or, with the extra `umap`, "umap".
        seed: The only source of randomness.

    Raises:
        ValueError: If the method is unknown, or there are too few images for it.
        ImportError: If UMAP is not installed.
    """
    check(embeddings)
    if method not in METHODS:
        raise ValueError(f"layout must be one of {', '.join(METHODS)}; got {method!r}")
    vectors = unit(embeddings)
    if method == "pca":
        return _pca(vectors)
    if len(vectors) < MIN_IMAGES:
        raise ValueError(f"{method} needs at least {MIN_IMAGES} images; got {len(vectors)}: take pca")
    order = np.random.default_rng(seed).permutation(len(vectors))
    sample, others = np.sort(order[:SAMPLE]), np.sort(order[SAMPLE:])
    points = np.empty((len(vectors), 2))
    points[sample] = (_tsne if method == "tsne" else _umap)(vectors[sample], seed)
    if len(others):
        points[others] = placed_amid(vectors[others], vectors[sample], points[sample])
    return Layout(method, points, len(sample))


def placed_amid(
    vectors: NDArray[np.float64], arranged: NDArray[np.float64], places: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Places of further vectors on a map.

    Args:
        vectors: (M, D).
        arranged: (K, D) vectors that are on the map already, K at least 5.
        places: (K, 2) their places.

    Returns:
        (M, 2) the means of the places of the 5 nearest, weighted by 1 / squared distance.
    """
    import faiss

    centre = arranged.mean(0)  # FAISS's float32 squares stay small
    index = faiss.IndexFlatL2(arranged.shape[1])
    index.add(np.ascontiguousarray(arranged - centre, dtype=np.float32))
    squares, nearest = index.search(np.ascontiguousarray(vectors - centre, dtype=np.float32), AMID)
    weights = 1 / (squares.astype(np.float64) + 1e-9)
    weights /= weights.sum(1, keepdims=True)
    amid: NDArray[np.float64] = (weights[..., None] * places[nearest]).sum(1)
    return amid


def _pca(vectors: NDArray[np.float64]) -> Layout:
    centred = vectors - vectors.mean(0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    points = centred @ axes[:, ::-1][:, :2]
    points *= np.where(np.abs(points).max(0) == points.max(0), 1, -1)  # the sign of an axis is arbitrary
    points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
    total = float((centred**2).sum())
    return Layout("pca", points, len(points), float((points**2).sum()) / total if total > 0 else 1.0)


def _tsne(vectors: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(vectors) - 1) / 3)
    start = _pca(vectors).points
    spread = float(start[:, 0].std())
    start = start / spread * 1e-4 if spread > 0 else np.random.default_rng(seed).normal(0, 1e-4, start.shape)
    model = TSNE(perplexity=perplexity, init=start.astype(np.float32), learning_rate="auto", random_state=seed)
    return np.asarray(model.fit_transform(vectors.astype(np.float32)), dtype=np.float64)


def _umap(vectors: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    try:
        from umap import UMAP
    except ImportError:
        raise ImportError(f"layout umap needs umap-learn; {INSTALL}") from None
    model = UMAP(n_neighbors=min(15, len(vectors) - 1), metric="cosine", random_state=seed, n_jobs=1)
    return np.asarray(model.fit_transform(vectors.astype(np.float32)), dtype=np.float64)
