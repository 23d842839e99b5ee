"""Further questions to a probe: its cluster, its neighbours, several measures. None of them encodes the image again.

    probe = relax.probe("cat.png", encoder)
    explain_centre(probe, centres)               what ties the image to its cluster rather than to the next
    neighbour_consensus(probe, embeddings)       do its nearest neighbours agree on what matters?
    compare_measures(probe)                      where do cosine and L2 disagree?

For images, corpora, prompts and foils, ask the probe itself: `probe.explain(reference=..., foil=...)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relax.explanation import Explanation
from relax.metrics.maps import spearman
from relax.probing import Probe
from relax.references import Question, Reference
from similarity import MEASURES, measure_named
from similarity.measures import PROJECTION
from similarity.references import Target

Vectors = Tensor | NDArray[Any]


def explain_centre(
    probe: Probe, centres: Vectors, *, cluster: int | None = None, similarity: str = "cosine", contrast: bool = False
) -> Explanation:
    """The maps of an image for the centre of its cluster.

    Args:
        probe: The image under many masks.
        centres: (C, D), one per cluster, as from `similarity.mean_embedding` or k-means.
        cluster: The image's cluster, from 0; None is the one with the closest centre.
        similarity: Name of the measure.
        contrast: Subtract the similarity to the closest other centre: what keeps the image in this cluster rather
            than in the next. Needs two centres.

    Returns:
        The explanation; its provenance has "cluster" and, with `contrast`, "next_cluster".

    Raises:
        ValueError: If the centres have the wrong shape, or there is no such cluster.
    """
    vectors = _checked(probe, centres, "centres")
    if cluster is not None and not 0 <= cluster < len(vectors):
        raise ValueError(f"cluster must be from 0 to {len(vectors) - 1}; got {cluster}")
    if contrast and len(vectors) < 2:
        raise ValueError("contrast needs at least two centres; got one")
    order = _closest(probe.image_embedding, vectors, similarity).tolist()
    cluster = order[0] if cluster is None else cluster
    name = f"centre of cluster {cluster} of {len(vectors)}"
    question: dict[str, Any] = {"similarity": similarity, "reference": name, "cluster": cluster}
    foil = None
    if contrast:
        rival = next(other for other in order if other != cluster)
        foil = vectors[rival]
        question |= {"foil": f"that of cluster {rival}", "next_cluster": rival}
        question["map"] = f"mean {similarity} minus that to the foil"
    return probe.answer(Target(similarity, vectors[cluster], foil)(probe.embeddings), question)


@dataclass(frozen=True)
class Consensus:
    """What in an image matters for each of its nearest neighbours.

    Attributes:
        explanation: The maps for the neighbours as a corpus. Its importance is the mean of their maps (with
            control variates to within the standard error, exactly with `estimator="plain"`).
        maps: (K, H, W) float32, the importance for each neighbour, the nearest first.
        neighbours: (K,) row of each in the embeddings that were searched.
        similarities: (K,) of the whole image to each, in descending order.
    """

    explanation: Explanation
    maps: NDArray[np.float32]
    neighbours: NDArray[np.int64]
    similarities: NDArray[np.float64]

    def agreement(self, top: float = 0.2) -> NDArray[np.float64]:
        """The share of neighbours for which each pixel is among the most important.

        A_ij = 1/K sum over k of [R_k,ij >= quantile of R_k at 1 - top]. Its mean over the pixels is `top`, or
        slightly more with ties, whatever the neighbours; if they all agree, A is 1 on that share and 0 elsewhere.

        Args:
            top: Share of the pixels that count as most important, in (0, 1).

        Returns:
            (H, W) in [0, 1]; NaN where the encoder never saw the pixel.
        """
        if not 0 < top < 1:
            raise ValueError(f"top is a share of the pixels, above 0 and below 1; got {top}")
        limits = np.nanquantile(self.maps, 1 - top, axis=(1, 2), keepdims=True)
        share = (self.maps >= limits).mean(0)
        return np.where(np.isfinite(self.maps).all(0), share, np.nan)


def neighbour_consensus(probe: Probe, embeddings: Vectors, *, k: int = 10, similarity: str = "cosine") -> Consensus:
    """Show what in the image matters for each of its k nearest neighbours.

    Args:
        probe: The image under many masks.
        embeddings: (M, D) to search, without that of the image itself. With M = k, the neighbours themselves.
        k: How many neighbours, 1 to M.
        similarity: Name of the measure, for the search and the maps.

    Raises:
        ValueError: If the embeddings have the wrong shape, or k is out of range.
    """
    vectors = _checked(probe, embeddings, "embeddings")
    if not 1 <= k <= len(vectors):
        raise ValueError(f"k must be from 1 to {len(vectors)}, the number of embeddings; got {k}")
    nearest = _closest(probe.image_embedding, vectors, similarity)[:k]
    neighbours = vectors[nearest]
    scores = torch.stack([measure_named(similarity)(probe.embeddings, neighbour) for neighbour in neighbours])
    question = {"similarity": similarity, "reference": f"the {k} nearest of {len(vectors)} embeddings"}
    return Consensus(
        explanation=probe.answer(scores.mean(0), question),
        maps=np.stack([probe.scene.to_image(probe.moments(row).importance) for row in scores]),
        neighbours=nearest.cpu().numpy(),
        similarities=_similarities(probe.image_embedding, neighbours, similarity).cpu().numpy(),
    )


@dataclass(frozen=True)
class MeasureComparison:
    """One question under several measures of similarity, whose maps differ in unit.

    Attributes:
        explanations: By the measure's name.
    """

    explanations: dict[str, Explanation]

    def rank_correlations(self) -> dict[tuple[str, str], float]:
        """Spearman's correlation of every pair of importance maps over the pixels, in [-1, 1]; NaN if one is flat."""
        pairs = combinations(self.explanations, 2)
        return {(a, b): rank_correlation(self._map(a), self._map(b)) for a, b in pairs}

    def disagreement(self, first: str = "cosine", second: str = "l2") -> NDArray[np.float64]:
        """Where two measures disagree: the difference of their importance maps, each in standard deviations.

        (R_1 - mean R_1) / sd R_1 - (R_2 - mean R_2) / sd R_2, with mean and standard deviation over the pixels; a
        constant map counts as 0. Positive: the pixel matters more under the first measure.

        Returns:
            (H, W), no unit; NaN where the encoder never saw the pixel.

        Raises:
            ValueError: If a measure is not among those compared.
        """
        return _standardised(self._map(first)) - _standardised(self._map(second))

    def _map(self, name: str) -> NDArray[np.float32]:
        if name not in self.explanations:
            raise ValueError(f"measure must be one of {', '.join(self.explanations)}; got {name!r}")
        return self.explanations[name].importance


COMPARED = tuple(name for name in MEASURES if name != PROJECTION)  # whose map is that of dot, on another scale


def compare_measures(
    probe: Probe, reference: Reference = None, *, foil: Reference = None, measures: Sequence[str] = COMPARED
) -> MeasureComparison:
    """Answer one question under several measures; reference and foil as for `Probe.explain`.

    Raises:
        ValueError: If a measure is unknown, or none is given.
    """
    if not measures:
        raise ValueError(f"measures must be one or more of {', '.join(MEASURES)}; got none")
    for name in measures:
        measure_named(name)
    question = Question.of(measures[0], reference, foil, probe.scene.encoder)  # embeds reference and foil once
    return MeasureComparison({name: probe.ask(replace(question, similarity=name)) for name in measures})


def rank_correlation(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]) -> float:
    """Spearman's rank correlation of two maps over the pixels where both are defined; ties share their mean rank.

    NaN if a map is constant, since its ranks have no spread.
    """
    both = np.isfinite(first) & np.isfinite(second)
    return spearman(first[both], second[both])


def _standardised(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Deviations from the mean in standard deviations; 0 for a constant map, NaN where the values are NaN."""
    values = values.astype(np.float64)
    spread = np.nanstd(values)
    flat = not spread > 1e-7 * np.nanmax(np.abs(values), initial=0.0)  # the rounding of a float32 map
    standardised: NDArray[np.float64] = (values - np.nanmean(values)) * (0.0 if flat else 1 / spread)
    return standardised


def _checked(probe: Probe, vectors: Vectors, argument: str) -> Tensor:
    """Vectors (K, D), checked, on the device of the probe's embeddings."""
    rows = torch.as_tensor(vectors)
    width = probe.embeddings.shape[1]
    if rows.ndim != 2 or rows.shape[1] != width or not len(rows):
        raise ValueError(f"{argument} must be (K, {width}) with K at least 1; got {tuple(rows.shape)}")
    if not rows.isfinite().all():
        raise ValueError(f"{argument} must be finite; got NaN or infinity")
    return rows.to(probe.embeddings.device)


def _similarities(embedding: Tensor, vectors: Tensor, similarity: str) -> Tensor:
    """(K,) float64 similarity of an image (D,) to each vector (K, D)."""
    measure = measure_named(similarity)
    if measure.symmetric:
        return measure(vectors, embedding)
    return torch.stack([measure(embedding[None], vector)[0] for vector in vectors])


def _closest(embedding: Tensor, vectors: Tensor, similarity: str) -> Tensor:
    """(K,) rows of the vectors, the closest to the image first."""
    return _similarities(embedding, vectors, similarity).argsort(descending=True, stable=True)
