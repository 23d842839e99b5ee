"""Concept activation vectors: the direction in a layer's activations that tells a concept's pictures from others.

"logistic" is the normal of a logistic regression, a linear classifier as published; "means" is the difference of the
two means, which is not bent by what is else in the activations (pattern CAVs). Directions have length 1.

Sources: Kim et al., Interpretability Beyond Feature Attribution: TCAV (ICML 2018); pattern CAVs: Pahde et al.,
Navigating Neural Space (2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FITS = {
    "logistic": "the normal of a logistic regression, as published up to the kind of linear classifier",
    "means": "the difference of the means",
}
STRENGTH = 0.01  # of the L2 penalty of a mean loss, as captum's classifier has
HELD_OUT = 1 / 3  # of each side, to judge the vector


@dataclass(frozen=True)
class Vector:
    """One CAV.

    Attributes:
        direction: (P,) float64 of length 1; zeros where both sides are the same.
        accuracy: Of the held-out pictures, both sides counting half, in [0, 1].
    """

    direction: NDArray[np.float64]
    accuracy: float


def concept_vector(
    concept: NDArray[np.float64], others: NDArray[np.float64], *, fit: str, rng: np.random.Generator
) -> Vector:
    """The CAV of a concept against other pictures: fitted to two thirds of each, judged by the rest.

    Args:
        concept: (m, P) activations, of comparable scale in each of the P directions.
        others: (k, P).
        fit: A key of `FITS`.
        rng: Draws what is held out.
    """
    kept, tested = zip(*(_split(len(side), rng) for side in (concept, others)), strict=True)
    first, second = concept[kept[0]], others[kept[1]]
    normal, offset = (_logistic if fit == "logistic" else _means)(first, second)
    on = (concept[tested[0]] @ normal > offset).mean()
    off = (others[tested[1]] @ normal <= offset).mean()
    length = float(np.linalg.norm(normal))
    return Vector(normal / length if length > 0 else normal, float((on + off) / 2) if length > 0 else 0.5)


def _split(count: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The numbers of those that are fitted to, and of those that are held out, at least one."""
    order, held_out = rng.permutation(count), max(1, round(count * HELD_OUT))
    return order[held_out:], order[:held_out]


def _logistic(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    from sklearn.linear_model import LogisticRegression

    both, labels = np.concatenate([first, second]), np.repeat([1, 0], [len(first), len(second)])
    model = LogisticRegression(C=1 / (STRENGTH * len(both)), class_weight="balanced", max_iter=1000)
    model.fit(both, labels)
    return model.coef_[0].astype(np.float64), -float(model.intercept_[0])


def _means(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    centres = first.mean(0), second.mean(0)
    normal = centres[0] - centres[1]
    return normal, float(normal @ (centres[0] + centres[1]) / 2)


@dataclass(frozen=True)
class Space:
    """Activations in fewer numbers, without loss for what is linear: the span of the pictures, centred and scaled.

    Attributes:
        centre: (P,) mean of the activations.
        scale: Root mean square of all their numbers.
        basis: (K, P) orthonormal rows; None where P is small already.
    """

    centre: NDArray[np.float64]
    scale: float
    basis: NDArray[np.float64] | None

    @classmethod
    def of(cls, activations: NDArray[np.float64]) -> Space:
        """The space of activations (n, P)."""
        centre = activations.mean(0)
        moved = activations - centre
        scale = float(np.sqrt((moved**2).mean())) or 1.0
        if moved.shape[1] <= len(moved):
            return cls(centre, scale, None)
        _, sizes, rows = np.linalg.svd(moved, full_matrices=False)
        return cls(centre, scale, rows[sizes > sizes[0] * 1e-10])

    def into(self, activations: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, P) activations to (n, K)."""
        return self.turned(activations - self.centre) / self.scale

    def turned(self, directions: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, P) directions to (n, K): their part in the space."""
        return directions if self.basis is None else directions @ self.basis.T

    def back(self, direction: NDArray[np.float64]) -> NDArray[np.float64]:
        """(K,) direction to (P,)."""
        return direction if self.basis is None else direction @ self.basis
