"""What embeddings are scored against: one reference, a corpus, and either of them minus a foil.

The similarity to a corpus is the mean of the similarities to its members. For the cosine that is a product with
one vector, the mean of the members' unit vectors, so a corpus of any size costs no more than one reference.

Source: COCOA (Lin et al., ICLR 2023, arXiv 2210.00107) for corpus minus foil.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from similarity.measures import _checked, cosine, dot, measure_named

Score = Callable[[Tensor], Tensor]

MEMBERS_AT_ONCE = 256  # distances to every member are needed at once for so many


@dataclass(frozen=True)
class Target:
    """What embeddings are scored against: the similarity to a reference, minus that to a foil where there is one.

    Attributes:
        similarity: "cosine", "l2", "dot" or "rbf".
        reference: (D,) one vector, or (K, D) a corpus, to which the mean similarity counts.
        foil: The same, for what is taken away; None takes nothing away.

    Raises:
        ValueError: If the measure is unknown, or a vector or set is empty, of another shape, NaN or infinite.
    """

    similarity: str
    reference: Tensor
    foil: Tensor | None = None

    def __post_init__(self) -> None:
        measure_named(self.similarity)
        _ = self._to_reference, self._to_foil

    def __call__(self, embeddings: Tensor) -> Tensor:
        """Score embeddings (N, D): (N,) float64, higher = closer to the reference and farther from the foil.

        Raises:
            ValueError: If the embeddings have another D, or hold NaN or infinity.
        """
        scores = self._to_reference(embeddings)
        return scores if self._to_foil is None else scores - self._to_foil(embeddings)

    @cached_property
    def _to_reference(self) -> Score:
        return mean_similarity(self.similarity, self.reference, "reference")

    @cached_property
    def _to_foil(self) -> Score | None:
        return None if self.foil is None else mean_similarity(self.similarity, self.foil, "foil")


def mean_similarity(similarity: str, against: Tensor, argument: str = "reference") -> Score:
    """The function from embeddings (N, D) to their mean similarity (N,) float64 to the members of a set.

    Args:
        similarity: Name of the measure.
        against: (K, D), or (D,) for a single reference. What can be computed once is computed here.
        argument: What to call it in errors.

    Raises:
        ValueError: If the measure is unknown, or the set is empty, of another shape, NaN or infinite.
    """
    measure = measure_named(similarity)
    if against.ndim == 1:
        reference = check_reference(against)
        return lambda embeddings: measure(embeddings, reference)
    if against.ndim != 2 or 0 in against.shape:
        raise ValueError(f"{argument} must be one vector (D,) or a corpus (K, D) with K at least 1; got "
                         f"{tuple(against.shape)}")  # fmt: skip
    if not against.isfinite().all():
        bad = int((~against.isfinite()).any(1).sum())
        raise ValueError(f"{argument} must be finite; {bad} of {len(against)} embeddings hold NaN or infinity")
    members = against.double()
    if similarity == "cosine":
        middle = _unit(members).mean(0)
        length = middle.norm()
        return lambda embeddings: cosine(embeddings, middle) * length
    if similarity == "dot":
        middle = members.mean(0)
        return lambda embeddings: dot(embeddings, middle)
    of_distance = _rbf_of_distance if similarity == "rbf" else _l2_of_distance
    return lambda embeddings: _mean_of_distances(embeddings, members, of_distance)


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


def _unit(vectors: Tensor) -> Tensor:
    """Vectors (K, D) of length 1; a zero vector stays zero, as its cosine to anything is."""
    largest = vectors.abs().amax(1, keepdim=True)
    vectors = vectors / torch.where(largest > 0, largest, 1.0)  # huge and tiny squares stay inside the range
    lengths = vectors.norm(dim=1, keepdim=True)
    return vectors / torch.where(lengths > 0, lengths, 1.0)


def _mean_of_distances(embeddings: Tensor, members: Tensor, of_distance: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    embeddings, _ = _checked(embeddings, members[0])
    total = torch.zeros(len(embeddings), dtype=torch.float64, device=embeddings.device)
    for some in torch.split(members, MEMBERS_AT_ONCE):
        # The faster way through inner products would lose small distances to rounding.
        distances = torch.cdist(embeddings, some, compute_mode="donot_use_mm_for_euclid_dist")
        total += of_distance(distances, some).sum(1)
    return total / len(members)


def _l2_of_distance(distances: Tensor, members: Tensor) -> Tensor:
    return -distances


def _rbf_of_distance(distances: Tensor, members: Tensor) -> Tensor:
    """As `similarity.rbf`: each member has a width of its own, its length."""
    widths = members.square().sum(1)
    near = torch.exp(-distances.square() / torch.where(widths > 0, widths, 1.0))
    return torch.where(widths > 0, near, (distances == 0).double())
