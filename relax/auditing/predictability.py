"""How well a metadata column (scanner, site, year) can be predicted from the embeddings.

Each image's value is predicted from its k nearest other images. What can be predicted is in the space, desirable, as a
diagnosis may be, or not, as a scanner. That something cannot be predicted this way does not prove that it is absent.

Groups: majority vote, scored by balanced accuracy (mean recall of the groups). Numbers: mean of the neighbours, scored
by R^2. The p-value is the share of random permutations of the column that score as well, (1 + hits) / (1 + P)
(Phipson & Smyth, 2010); it assumes independent images, which frames of one video or copies are not. Over several
columns the p-values are corrected by Holm's method (1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relax.auditing.neighbours import nearest

MIN_GROUP = 5  # images in a group; smaller groups are left out
MAX_GROUPS = 12  # distinct values up to which numbers are treated as names of groups
PERMUTATIONS = 999
ASKED = 5000  # images whose value is predicted, drawn at random where there are more; all others may be neighbours

Value = str | float | int | bool | None


@dataclass(frozen=True)
class Predictability:
    """How well one column can be predicted from the neighbours.

    Attributes:
        column: Its name.
        kind: "groups" or "numbers".
        score: Balanced accuracy in [0, 1], or R^2, at most 1.
        chance: Mean score of permuted columns.
        p: Share of permutations that score as well as the column.
        p_corrected: After Holm's correction for the number of columns.
        images: Number of images used.
        asked: Number of these whose value was predicted.
        groups: Number of groups; 0 for numbers.
        largest: Share of the largest group, the accuracy of always predicting it; NaN for numbers.
    """

    column: str
    kind: str
    score: float
    chance: float
    p: float
    p_corrected: float
    images: int
    asked: int
    groups: int
    largest: float


def predictability(
    embeddings: NDArray[np.float32],
    column: str,
    values: Sequence[Value],
    *,
    k: int = 10,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
) -> Predictability | None:
    """Predict the value of every image from its k nearest other images by cosine.

    Args:
        embeddings: (N, D).
        column: Name of the column.
        values: One per image; None where unknown. Images without a value, or of a group of fewer than 5, are left out.
        k: Neighbours that vote; of equally many votes, the nearer neighbour's wins.
        seed: Draws the permutations.
        permutations: Number of permutations.

    Returns:
        The result; None if the column holds neither groups nor numbers: a single value, or names of single images.
    """
    kind, used, codes = _coded(values)
    if kind == "" or len(used) <= MIN_GROUP:
        return None
    k = min(k, len(used) - 1)
    draws = np.random.default_rng(seed)
    asked = np.arange(len(used)) if len(used) <= ASKED else np.sort(draws.permutation(len(used))[:ASKED])
    indices = nearest(embeddings[used], k, of=asked).indices
    score = _balanced_accuracy if kind == "groups" else _r_squared
    observed = score(codes, asked, indices)
    permuted = np.array([score(draws.permutation(codes), asked, indices) for _ in range(permutations)])
    p = (1 + int((permuted >= observed - 1e-12).sum())) / (1 + permutations)
    sizes = np.bincount(codes.astype(np.int64)) if kind == "groups" else np.array([0])
    return Predictability(
        column=column,
        kind=kind,
        score=observed,
        chance=float(permuted.mean()),
        p=p,
        p_corrected=p,
        images=len(used),
        asked=len(asked),
        groups=len(sizes) if kind == "groups" else 0,
        largest=float(sizes.max() / len(used)) if kind == "groups" else float("nan"),
    )


def corrected(columns: Sequence[Predictability]) -> list[Predictability]:
    """Holm's correction of the p-values for the number of columns; most predictable columns first."""
    ordered = sorted(columns, key=lambda column: column.p)
    adjusted, worst = [], 0.0
    for rank, column in enumerate(ordered):
        worst = max(worst, min(1.0, (len(ordered) - rank) * column.p))
        adjusted.append(replace(column, p_corrected=worst))
    return sorted(adjusted, key=lambda column: (column.p_corrected, -(column.score - column.chance)))


def _coded(values: Sequence[Value]) -> tuple[str, NDArray[np.int64], NDArray[np.float64]]:
    """The kind ("groups", "numbers" or neither: ""), the images used, and their values as numbers."""
    known = [index for index, value in enumerate(values) if not _unknown(value)]
    distinct = {values[index] for index in known}
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in distinct)
    if numeric and len(distinct) > MAX_GROUPS:
        return "numbers", np.array(known), np.array([values[index] for index in known], dtype=np.float64)
    counts: dict[Value, int] = {}
    for index in known:
        counts[values[index]] = counts.get(values[index], 0) + 1
    kept = sorted((value for value, count in counts.items() if count >= MIN_GROUP), key=str)
    if len(kept) < 2:
        return "", np.array([], dtype=np.int64), np.array([])
    numbers = {value: code for code, value in enumerate(kept)}
    used = [index for index in known if values[index] in numbers]
    return "groups", np.array(used), np.array([float(numbers[values[index]]) for index in used])


def _unknown(value: Value) -> bool:
    return value is None or value == "" or (isinstance(value, float) and not np.isfinite(value))


def _balanced_accuracy(codes: NDArray[np.float64], asked: NDArray[np.int64], neighbours: NDArray[np.int64]) -> float:
    """Over the groups that those asked belong to."""
    groups = codes.astype(np.int64)
    truth, votes = groups[asked], groups[neighbours]  # (M, k), nearest first
    k = votes.shape[1]
    counts = (votes[:, :, None] == votes[:, None, :]).sum(-1)  # neighbours with the same vote, for each
    guess = votes[np.arange(len(votes)), (counts * (k + 1) - np.arange(k)).argmax(1)]
    hits, sizes = np.bincount(truth, weights=guess == truth), np.bincount(truth)
    return float((hits[sizes > 0] / sizes[sizes > 0]).mean())


def _r_squared(values: NDArray[np.float64], asked: NDArray[np.int64], neighbours: NDArray[np.int64]) -> float:
    truth = values[asked]
    error = ((truth - values[neighbours].mean(1)) ** 2).sum()
    return float(1 - error / ((truth - truth.mean()) ** 2).sum())
