"""Vectors in clusters, as embeddings lie: as many as are wanted, a chunk at a time."""

from __future__ import annotations

import numpy as np

from similarity.vectors import Vectors

PER_CLUSTER = 200
CLOUD = 0.7  # length of a typical deviation from the centre, whose length is 1


class Mixture:
    """Centres evenly over the unit sphere, around each a Gaussian cloud; lengths vary by 10 %.

    Attributes:
        centres: (C, D) float32, one for each 200 vectors.
        frame: (D, D) float32, the axes of a cloud, all clouds having the same.
    """

    def __init__(self, cloud: str, count: int, dimension: int, rng: np.random.Generator) -> None:
        """Draw centres and axes.

        Args:
            cloud: "flat", of the same width in every direction, or "falling", as 1 / sqrt(i) along the i-th axis, which
                makes about 26 effective dimensions of 384.
            count: Vectors that will be drawn.
            dimension: D.
            rng: Source of randomness.
        """
        self.centres = rng.standard_normal((max(1, count // PER_CLUSTER), dimension), dtype=np.float32)
        self.centres /= np.linalg.norm(self.centres, axis=1, keepdims=True)
        widths = np.ones(dimension) if cloud == "flat" else np.arange(1, dimension + 1) ** -0.5
        axes = np.linalg.qr(rng.standard_normal((dimension, dimension)))[0]
        self.frame = (axes * (CLOUD * widths / np.linalg.norm(widths))).T.astype(np.float32)

    def draw(self, count: int, rng: np.random.Generator) -> Vectors:
        """(count, D) float32."""
        chunk = self.centres[rng.integers(0, len(self.centres), count)]
        chunk += rng.standard_normal((count, len(self.frame)), dtype=np.float32) @ self.frame
        chunk *= rng.normal(1, 0.1, (count, 1)).astype(np.float32) / np.linalg.norm(chunk, axis=1, keepdims=True)
        return chunk
