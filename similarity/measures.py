"""Measures of closeness between embeddings and one reference: (N, D) and (D,) to (N,), higher = closer.

Sums over the dimensions are taken in float64: cosines of a masked image lie in a narrow band near 1,
and rounding there would be noise in the map.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Measure = Callable[[Tensor, Tensor], Tensor]


def cosine(embeddings: Tensor, reference: Tensor) -> Tensor:
    """Cosine of the angle, in [-1, 1]; 0 where either vector is zero.

    Args:
        embeddings: (N, D).
        reference: (D,).

    Returns:
        (N,) float64.

    Raises:
        ValueError: For other shapes, or NaN or infinity in either.
    """
    embeddings, reference = _checked(embeddings, reference)
    # Scaling by the largest entry keeps squares of huge and tiny vectors inside the range of float64.
    embeddings = _over_largest(embeddings)
    reference = _over_largest(reference)
    lengths = embeddings.norm(dim=1) * reference.norm()
    product = embeddings @ reference
    return torch.where(lengths > 0, product / lengths, 0.0).clamp(-1, 1)


def l2(embeddings: Tensor, reference: Tensor) -> Tensor:
    """Negative Euclidean distance, in (-inf, 0]. Arguments and errors as for `cosine`."""
    embeddings, reference = _checked(embeddings, reference)
    distance: Tensor = (embeddings - reference).norm(dim=1)
    return -distance


def dot(embeddings: Tensor, reference: Tensor) -> Tensor:
    """Inner product, unbounded. Arguments and errors as for `cosine`."""
    embeddings, reference = _checked(embeddings, reference)
    return embeddings @ reference


def rbf(embeddings: Tensor, reference: Tensor) -> Tensor:
    """exp(-|z - r|^2 / |r|^2), in [0, 1]: a Gaussian as wide as the reference is long.

    The width makes the measure independent of the embedding's scale. A zero reference has no width:
    the result is then 1 for a zero embedding and 0 for any other. Arguments and errors as for `cosine`.
    """
    embeddings, reference = _checked(embeddings, reference)
    distance = (embeddings - reference).square().sum(1)
    width = reference.square().sum()
    at_zero = (distance == 0).double()
    return torch.where(width > 0, torch.exp(-distance / width), at_zero)


MEASURES: dict[str, Measure] = {"cosine": cosine, "l2": l2, "dot": dot, "rbf": rbf}


def measure_named(name: str) -> Measure:
    """The measure of that name.

    Raises:
        ValueError: If there is none; the message lists the names.
    """
    if name not in MEASURES:
        raise ValueError(f"similarity must be one of {', '.join(MEASURES)}; got {name!r}")
    return MEASURES[name]


def _over_largest(vectors: Tensor) -> Tensor:
    largest = vectors.abs().amax(-1, keepdim=True)
    return vectors / torch.where(largest > 0, largest, 1.0)


def _checked(embeddings: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    if embeddings.ndim != 2 or reference.shape != embeddings.shape[1:]:
        raise ValueError(
            f"similarity needs embeddings (N, D) and a reference (D,); "
            f"got {tuple(embeddings.shape)} and {tuple(reference.shape)}"
        )
    _check_finite("embeddings", embeddings)
    _check_finite("reference", reference)
    return embeddings.double(), reference.double()


def _check_finite(name: str, vectors: Tensor) -> None:
    if not vectors.isfinite().all():
        raise ValueError(
            f"{name} must be finite; got {int(vectors.isnan().sum())} NaN "
            f"and {int(vectors.isinf().sum())} infinite entries"
        )
