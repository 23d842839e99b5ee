"""What an embedding is compared with: one embedding, or the mean of a set."""

from __future__ import annotations

from torch import Tensor


def mean_embedding(embeddings: Tensor) -> Tensor:
    """The mean of a set of embeddings, such as a corpus or a cluster: (N, D) to (D,).

    The embeddings count as they are, long ones for more. Added up in float64, returned as they came.

    Raises:
        ValueError: If the set is empty or holds NaN or infinity.
    """
    if embeddings.ndim != 2 or len(embeddings) == 0:
        raise ValueError(f"the mean of a set needs embeddings (N, D) with N at least 1; got {tuple(embeddings.shape)}")
    return check_reference(embeddings.double().mean(0).to(embeddings.dtype))


def check_reference(reference: Tensor) -> Tensor:
    """Return a (D,) reference as it is, or refuse it.

    Raises:
        ValueError: If it is not a vector, or holds NaN or infinity.
    """
    if reference.ndim != 1:
        raise ValueError(f"reference must be one vector (D,); got the shape {tuple(reference.shape)}")
    if not reference.isfinite().all():
        raise ValueError(
            f"reference must be finite; {int((~reference.isfinite()).sum())} of {len(reference)} entries are not"
        )
    return reference
