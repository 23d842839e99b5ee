"""Targets that embeddings are scored against: a reference or a corpus, with or without a foil.

The similarity to a corpus is the mean of the similarities to its members. For the cosine this is a product with
one vector, the mean of the members' unit vectors, so that a corpus of any size costs no more than one reference.

Source: COCOA (Lin et al., ICLR 2023, arXiv 2210.00107) for corpus minus foil.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from similarity.measures import Score, measure_named


@dataclass(frozen=True)
class Target:
    """The similarity to a reference, minus that to a foil if there is one.

    Attributes:
        similarity: A key of `MEASURES`.
        reference: (D,) one vector, or (K, D) a corpus, scored by the mean similarity to its members.
        foil: A vector or corpus likewise, whose similarity is subtracted; None subtracts nothing.

    Raises:
        ValueError: If the measure is unknown, or the reference or foil is empty, misshapen, NaN or infinite.
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
        against: (K, D), or (D,) for a single reference. What does not depend on the embeddings is computed once, here.
        argument: Its name in error messages.

    Raises:
        ValueError: If the measure is unknown, or the set is empty, misshapen, NaN or infinite, or for the cosine has
            no direction.
    """
    measure = measure_named(similarity)
    if measure.direction and against.ndim in (1, 2):
        _check_directions(similarity, against, argument)
    if against.ndim == 1:
        reference = check_reference(against, argument)
        return lambda embeddings: measure(embeddings, reference)
    if against.ndim != 2 or 0 in against.shape:
        raise ValueError(f"{argument} must be one vector (D,) or a corpus (K, D) with K at least 1; got "
                         f"{tuple(against.shape)}")  # fmt: skip
    if not against.isfinite().all():
        bad = int((~against.isfinite()).any(1).sum())
        raise ValueError(f"{argument} must be finite; {bad} of {len(against)} embeddings hold NaN or infinity")
    return measure.mean_over(against)


def _check_directions(similarity: str, against: Tensor, argument: str) -> None:
    """Refuse vectors of one number, whose cosine is 1 or -1 whatever they are, and a set of nothing but zeros."""
    if against.shape[-1] == 1:
        raise ValueError(
            f"{argument} must have two numbers or more for the {similarity}, which compares directions; got one: "
            'choose similarity="l2"'
        )
    if against.numel() and not against.any():
        raise ValueError(
            f"{argument} must have a direction for the {similarity}; got an embedding of zeros: check the encoder and "
            'the picture, or choose similarity="l2"'
        )


def mean_embedding(embeddings: Tensor) -> Tensor:
    """The mean of a set of embeddings, such as a corpus or a cluster: (N, D) to (D,).

    The embeddings are not normalised, so longer ones weigh more. Summed in float64, returned in their own dtype.

    Raises:
        ValueError: If the set is empty or holds NaN or infinity.
    """
    if embeddings.ndim != 2 or len(embeddings) == 0:
        raise ValueError(f"the mean of a set needs embeddings (N, D) with N at least 1; got {tuple(embeddings.shape)}")
    return check_reference(embeddings.double().mean(0).to(embeddings.dtype))


def check_reference(reference: Tensor, argument: str = "reference") -> Tensor:
    """Return a (D,) reference unchanged, or refuse it.

    Raises:
        ValueError: If it is not a vector, or holds NaN or infinity; the message begins with the argument.
    """
    if reference.ndim != 1 or not len(reference):
        raise ValueError(f"{argument} must be one vector (D,); got the shape {tuple(reference.shape)}")
    if not reference.isfinite().all():
        raise ValueError(
            f"{argument} must be finite; {int((~reference.isfinite()).sum())} of {len(reference)} entries are not"
        )
    return reference
