"""How close several texts are: the cosine beside Euclidean distance, on a map, and their nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.values import described
from encoders.words.loading import load_text_encoder
from relax.auditing.layout import MIN_IMAGES, lay_out
from relax.estimators.budget import Progress
from relax.progress import Silent, shown
from relax.words.question import TextSource, checked_text
from relax.words.tables import ENCODER, MOST_TEXTS

if TYPE_CHECKING:  # matplotlib takes a while to load
    from matplotlib.figure import Figure

BATCH = 32  # texts between two reports of progress


@dataclass(frozen=True)
class SimilarTexts:
    """K texts in the space of their encoder.

    Attributes:
        texts: K texts.
        embeddings: (K, D) float32.
        cosine: (K, K) float64, cosines of the angles.
        euclidean: (K, K) float64, distances.
        points: (K, 2) float64, places on a map.
        layout: "pca" or "tsne", which made the map.
        explained: Share of the variance that the two axes of PCA have; None for t-SNE.
        encoder: What determines the embeddings, as JSON types.
    """

    texts: tuple[str, ...]
    embeddings: NDArray[np.float32]
    cosine: NDArray[np.float64]
    euclidean: NDArray[np.float64]
    points: NDArray[np.float64]
    layout: str
    explained: float | None
    encoder: dict[str, Any]

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return f"SimilarTexts of {len(self):,} texts through {self.encoder.get('name')}, laid out by {self.layout}"

    @property
    def nearest(self) -> NDArray[np.int64]:
        """(K, 2) numbers of the nearest other text of each: by the cosine, and by Euclidean distance."""
        own = np.eye(len(self), dtype=bool)
        by_cosine = np.where(own, -np.inf, self.cosine).argmax(1)
        return np.stack([by_cosine, np.where(own, np.inf, self.euclidean).argmin(1)], 1)

    @property
    def agreement(self) -> float:
        """Share of the texts whose nearest other text is the same by both; 1 where all embeddings are of one length."""
        return float((self.nearest[:, 0] == self.nearest[:, 1]).mean())

    @property
    def lengths(self) -> NDArray[np.float64]:
        """(K,) lengths of the embeddings: where they are equal, both measures put pairs in the same order."""
        lengths: NDArray[np.float64] = np.linalg.norm(self.embeddings.astype(np.float64), axis=1)
        return lengths

    def record(self) -> dict[str, Any]:
        """All of it but the embeddings, as JSON types."""
        return {
            "texts": list(self.texts),
            "encoder": self.encoder,
            "cosine": self.cosine.round(6).tolist(),
            "euclidean": self.euclidean.round(6).tolist(),
            "nearest": {"cosine": self.nearest[:, 0].tolist(), "euclidean": self.nearest[:, 1].tolist()},
            "agreement": self.agreement,
            "lengths": self.lengths.round(6).tolist(),
            "map": {"layout": self.layout, "explained": self.explained, "points": self.points.round(6).tolist()},
        }

    def plot(self, *, theme: str = "light") -> Figure:
        """Draw both measures as matrices, and the map.

        Args:
            theme: "light" or "dark".
        """
        from relax.words.drawing import similar_figure  # matplotlib takes a while to load

        return similar_figure(self, theme=theme)

    def _repr_png_(self) -> bytes:
        """The figure, for notebooks."""
        from relax.plotting.drawing import file_of

        content: bytes = file_of(self.plot())
        return content


def similar_texts(
    texts: Sequence[str],
    *,
    encoder: TextSource = ENCODER,
    layout: str = "pca",
    pooling: str = "auto",
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: Progress | Silent | None = None,
) -> SimilarTexts:
    """Embed texts and compare all of them with each other.

    Args:
        texts: From 2 to 2,000 texts.
        encoder: As for `explain_text`.
        layout: Of the map: "pca", or "tsne" for five texts or more.
        pooling: As for `explain_text`.
        seed: Of random weights and of t-SNE.
        device: A torch device, or "auto".
        progress: Called with (texts done, texts in all); otherwise as for `relax.explain`.

    Raises:
        ValueError: If there are too few or too many texts, one is empty, or the layout is unknown.
        EncoderError: If the encoder cannot be used, or a text is too long for it.
    """
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise ValueError(f"texts must be a list of texts; got {described(texts)}")
    if not 2 <= len(texts) <= MOST_TEXTS:
        raise ValueError(f"texts must be from 2 to {MOST_TEXTS:,} to be compared; got {len(texts):,}")
    checked = [checked_text(text, f"text {number}") for number, text in enumerate(texts, 1)]
    if layout not in ("pca", "tsne"):
        raise ValueError(f"layout must be pca or tsne; got {described(layout)}")
    if layout == "tsne" and len(checked) < MIN_IMAGES:
        raise ValueError(f"tsne needs {MIN_IMAGES} texts or more; got {len(checked)}: take pca")
    network = load_text_encoder(encoder, device, pooling, seed)
    rows = []
    with shown(progress, "texts") as report:
        for start in range(0, len(checked), BATCH):
            rows.append(network(checked[start : start + BATCH]).cpu())
            if report is not None:
                report(min(start + BATCH, len(checked)), len(checked))
    vectors = torch.cat(rows).double().numpy()
    if not vectors.any(1).all():
        raise ValueError("the encoder gives zeros for a text, which have no direction: check the encoder")
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    placed = lay_out(vectors.astype(np.float32), layout, seed=seed)
    return SimilarTexts(
        tuple(checked),
        vectors.astype(np.float32),
        np.clip(units @ units.T, -1, 1),
        _distances(vectors),
        placed.points,
        placed.method,
        placed.explained,
        network.record(),
    )


def _distances(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, K) Euclidean distances, one row at a time, so that memory does not grow with D."""
    return np.stack([np.linalg.norm(vectors - row, axis=1) for row in vectors])
