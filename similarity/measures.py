"""Measures of closeness between embeddings and one reference: (N, D) and (D,) to (N,), higher = closer.

Sums over the dimensions are taken in float64: the cosines of masked images lie in a narrow band near 1,
where rounding would show as noise in the map. torch is imported for its types only, so that captions and
the command line can read the table of measures at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Score = Callable[["Tensor"], "Tensor"]
"""A function from embeddings (N, D) to scores (N,) float64."""

MEMBERS_AT_ONCE = 256  # members of a set whose distances are held in memory together


@dataclass(frozen=True)
class Measure:
    """A measure of closeness between embeddings and a reference.

    Attributes:
        name: The value that selects it, in Python and on the command line.
        unit: The name of its values in captions.
        function: From embeddings (N, D) and a reference (D,) to (N,) float64, higher = closer.
        limits: Smallest and largest possible value; None if it is unbounded.
        stationary: Whether its maximum is at the reference itself, where its gradient is 0 or undefined.
        symmetric: Whether swapping embedding and reference leaves it unchanged.
        direction: Whether it compares directions, which an embedding of one number or of zeros does not have.
        to: How its values are told, before the name of the reference.
        over_members: From members (K, D) float64 to the function that computes the mean similarity to them, where
            that is faster than one member at a time; None computes one member at a time.
    """

    name: str
    unit: str
    function: Callable[[Tensor, Tensor], Tensor]
    limits: tuple[float, float] | None = None
    stationary: bool = True
    symmetric: bool = True
    direction: bool = False
    to: str = "to"
    over_members: Callable[[Tensor], Score] | None = None

    def __call__(self, embeddings: Tensor, reference: Tensor) -> Tensor:
        """Similarity (N,) float64 of embeddings (N, D) to a reference (D,).

        Raises:
            ValueError: If the shapes do not fit, or either holds NaN or infinity.
        """
        return self.function(embeddings, reference)

    def mean_over(self, members: Tensor) -> Score:
        """The function from embeddings (N, D) to their mean similarity (N,) float64 to members (K, D)."""
        members = members.double()
        if self.over_members is not None:
            return self.over_members(members)
        return partial(self._mean_over_each, members)

    def _mean_over_each(self, members: Tensor, embeddings: Tensor) -> Tensor:
        total = self(embeddings, members[0])
        for member in members[1:]:
            total = total + self(embeddings, member)
        return total / len(members)


def cosine(embeddings: Tensor, reference: Tensor) -> Tensor:
    """Cosine of the angle, in [-1, 1]; 0 where either vector is zero.

    Args:
        embeddings: (N, D).
        reference: (D,).

    Returns:
        (N,) float64.

    Raises:
        ValueError: If the shapes do not fit, or either holds NaN or infinity.
    """
    embeddings, reference = _checked(embeddings, reference)
    # Scaled by the largest entry, squares of huge and tiny vectors stay within the range of float64.
    embeddings = _over_largest(embeddings)
    reference = _over_largest(reference)
    lengths = embeddings.norm(dim=1) * reference.norm()
    product = embeddings @ reference
    cosines: Tensor = (product / lengths).where(lengths > 0, 0.0).clamp(-1, 1)
    return cosines


def l2(embeddings: Tensor, reference: Tensor) -> Tensor:
    """Negative Euclidean distance, in (-inf, 0]. Arguments and errors as for `cosine`."""
    embeddings, reference = _checked(embeddings, reference)
    distance: Tensor = (embeddings - reference).norm(dim=1)
    return -distance


def dot(embeddings: Tensor, reference: Tensor) -> Tensor:
    """Inner product, unbounded. Arguments and errors as for `cosine`."""
    embeddings, reference = _checked(embeddings, reference)
    return embeddings @ reference


def projection(embeddings: Tensor, reference: Tensor) -> Tensor:
    """<z, r> / |r|, how far the embedding reaches along the direction of the reference; 0 where that is zero.

    Unbounded, in the unit of the embeddings, whatever the length of the reference; linear in the embeddings. Arguments
    and errors as for `cosine`.
    """
    embeddings, reference = _checked(embeddings, reference)
    reference = _over_largest(reference)  # see `cosine`
    length = reference.norm()
    along: Tensor = (embeddings @ reference) / length.where(length > 0, 1.0)
    return along


def rbf(embeddings: Tensor, reference: Tensor) -> Tensor:
    """exp(-|z - r|^2 / |r|^2), in [0, 1]: a Gaussian whose width is the length of the reference.

    That width makes the measure independent of the scale of the embeddings. A zero reference has no width:
    the value is then 1 for a zero embedding and 0 for any other. Arguments and errors as for `cosine`.
    """
    embeddings, reference = _checked(embeddings, reference)
    distance = (embeddings - reference).square().sum(1)
    width = reference.square().sum()
    equal = (distance == 0).double()
    return (-distance / width).exp().where(width > 0, equal)


def _over_largest(vectors: Tensor) -> Tensor:
    largest = vectors.abs().amax(-1, keepdim=True)
    return vectors / largest.where(largest > 0, 1.0)


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


def _unit(vectors: Tensor) -> Tensor:
    """Vectors (K, D) scaled to length 1; a zero vector stays zero, and so does its cosine."""
    vectors = _over_largest(vectors)  # see `cosine`
    lengths = vectors.norm(dim=1, keepdim=True)
    units: Tensor = vectors / lengths.where(lengths > 0, 1.0)
    return units


def _cosine_over(members: Tensor) -> Score:
    """The mean of cosines is a product with one vector, the mean of the members' unit vectors."""
    mean = _unit(members).mean(0)
    length = mean.norm()
    return lambda embeddings: cosine(embeddings, mean) * length


def _dot_over(members: Tensor) -> Score:
    mean = members.mean(0)
    return lambda embeddings: dot(embeddings, mean)


def _projection_over(members: Tensor) -> Score:
    """The mean of projections is a product with one vector, the mean of the members' unit vectors."""
    mean = _unit(members).mean(0)
    return lambda embeddings: dot(embeddings, mean)


def _over_distances(of_distance: Callable[[Tensor, Tensor], Tensor], members: Tensor) -> Score:
    """For measures of the Euclidean distance: the distances to a chunk of members, then the measure of each."""
    import torch  # loaded already, by the members

    def mean_similarity(embeddings: Tensor) -> Tensor:
        embeddings, _ = _checked(embeddings, members[0])
        total = embeddings.new_zeros(len(embeddings))
        for chunk in members.split(MEMBERS_AT_ONCE):
            # The faster way through inner products loses small distances to rounding.
            distances = torch.cdist(embeddings, chunk, compute_mode="donot_use_mm_for_euclid_dist")
            total += of_distance(distances, chunk).sum(1)
        return total / len(members)

    return mean_similarity


def _l2_of_distance(distances: Tensor, members: Tensor) -> Tensor:
    return -distances


def _rbf_of_distance(distances: Tensor, members: Tensor) -> Tensor:
    """As `rbf`, with the length of each member as its width."""
    widths = members.square().sum(1)
    kernel = (-distances.square() / widths.where(widths > 0, 1.0)).exp()
    return kernel.where(widths > 0, (distances == 0).double())


MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("cosine", "cosine similarity", cosine, (-1, 1), direction=True, over_members=_cosine_over),
        Measure("l2", "negative L2 distance", l2, over_members=partial(_over_distances, _l2_of_distance)),
        Measure("dot", "dot product", dot, stationary=False, over_members=_dot_over),
        Measure(
            "projection",
            "projection",
            projection,
            stationary=False,
            symmetric=False,
            to="on",
            over_members=_projection_over,
        ),
        Measure(
            "rbf",
            "RBF similarity",
            rbf,
            (0, 1),
            symmetric=False,
            over_members=partial(_over_distances, _rbf_of_distance),
        ),
    )
}


PROJECTION = "projection"  # of directions


def measure_to(name: str) -> str:
    """How values of a measure are told before the name of a reference, "cosine to" or "projection on"."""
    return f"{name} {MEASURES[name].to if name in MEASURES else 'to'}"


def measure_named(name: str) -> Measure:
    """The measure with this name.

    Raises:
        ValueError: If the name is unknown; the message lists the names.
    """
    if not isinstance(name, str) or name not in MEASURES:
        got = repr(name) if isinstance(name, str) else type(name).__name__
        raise ValueError(f"similarity must be one of {', '.join(MEASURES)}; got {got}")
    return MEASURES[name]
