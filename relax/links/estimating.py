"""Links between the parts of two sides, from masks of each that are drawn independently, with their errors.

The link of part a of one side and part b of the other is the weighted Banzhaf interaction of the two in the similarity
s(m, m') of both sides under masks,

    L_ab = E[s(a, b shown) - s(a shown, b hidden) - s(a hidden, b shown) + s(a, b hidden)],

over random masks m, m' of all other parts. It is a first-order effect twice: of a on the first-order effect of b. From
N masks of one side and M of the other the similarities of all N M pairs are known, and since the sides are independent
the product of two estimates without bias has none. For the cosine of unit embeddings u(m), v(m') it is

    L_ab = <U_a, V_b>,      U_a = E[u | a shown] - E[u | a hidden], V_b likewise,

so that links are one product of matrices, and N + M passes suffice.

The error. With X_r and Y_s the estimates of independent groups of masks of the two sides, r = 1..R and s = 1..S, and
P_rs = <X_r, Y_s>, the link is the mean of all P_rs, a table with two random factors:

    P_rs = L + row_r + column_s + rest_rs      Var(mean) = Vr / R + Vc / S + Ve / (R S).

The mean squares of rows, columns and rest, MS_r = S Vr + Ve and so on, give it without bias: (MS_r + MS_c - MS_e) /
(R S), which is V' Cov(X) V / R + U' Cov(Y) U / S - tr(Cov(X) Cov(Y)) / (R S) with estimates in the place of U and V.
Where neither side has an effect it may fall below 0; the larger of MS_r / (R S) and MS_c / (R S), each of which expects
no more than the whole, is taken if that is larger.

Source: weighted Banzhaf interactions, Marichal & Mathonet (2011); as links of two encoders' inputs, FIxLIP (Baniecki et
al., NeurIPS 2025), who regress on pairs of masks; two-way random effects, Searle, Casella & McCulloch, "Variance
Components" (1992), chapter 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from relax.links.effects import Replicates
from similarity.measures import Measure, measure_named

BILINEAR: dict[str, Callable[[Tensor], Tensor]] = {
    "cosine": lambda embeddings: F.normalize(embeddings, dim=1, eps=1e-300),
    "dot": lambda embeddings: embeddings,
}
"""Measures that are an inner product, and of what."""


@dataclass(frozen=True)
class Side:
    """One of the two things that are linked.

    Attributes:
        replicates: The masks of its parts.
        embeddings: (N, D), one per mask.
        whole: (D,) with nothing hidden.
    """

    replicates: Replicates
    embeddings: Tensor
    whole: Tensor


def products(a: Side, b: Side, similarity: str) -> Tensor:
    """(R, S, G, G') float64: the links by each pair of groups of masks of the two sides.

    The similarity is that of embeddings of `a` to embeddings of `b` as references.
    """
    measure = measure_named(similarity)
    if similarity in BILINEAR:
        vectors = BILINEAR[similarity]
        first, second = (side.replicates.effects(vectors(side.embeddings.double().cpu())) for side in (a, b))
        return torch.einsum("rgk,shk->rsgh", first, second)
    table = similarities(measure, a.embeddings.double().cpu(), b.embeddings.double().cpu())
    first = a.replicates.effects(table)  # (R, G, M): on the similarity to every masked b
    second = b.replicates.effects(first.flatten(0, 1).T)  # (S, G', R G)
    by_groups: Tensor = second.unflatten(2, first.shape[:2]).permute(2, 0, 3, 1)
    return by_groups


def similarities(measure: Measure, embeddings: Tensor, references: Tensor) -> Tensor:
    """(N, M) float64 similarities of embeddings (N, D) to references (M, D)."""
    return torch.stack([measure(embeddings, reference) for reference in references], 1)


def links_of(by_groups: Tensor) -> tuple[Tensor, Tensor]:
    """The links (G, G') and their standard errors, of (R, S, G, G') by pairs of groups; both float64."""
    rows, columns = by_groups.shape[:2]
    links = by_groups.mean((0, 1))
    of_row, of_column = by_groups.mean(1) - links, by_groups.mean(0) - links
    rest = by_groups - links - of_row[:, None] - of_column
    by_row = of_row.square().sum(0) / (rows * (rows - 1))  # MS_r / (R S)
    by_column = of_column.square().sum(0) / (columns * (columns - 1))
    by_rest = rest.square().sum((0, 1)) / (rows * (rows - 1) * columns * (columns - 1))
    variance = torch.maximum(by_row + by_column - by_rest, torch.maximum(by_row, by_column))
    return links, variance.sqrt()


def effects_on(side: Side, scores: Tensor) -> tuple[Tensor, Tensor]:
    """The effects (G,) of the parts of a side on scores (N,) under its masks, and their standard errors."""
    estimates = side.replicates.effects(scores.cpu()[:, None])[..., 0]
    return estimates.mean(0), estimates.std(0) / len(estimates) ** 0.5
