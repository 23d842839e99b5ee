"""Does the importance lie where a person says the object is? A map against a mask of the same picture.

The mask is (H, W), True = inside, in the frame of the map. Pixels where the map is NaN are left out of both. A mask
without a known pixel inside has no answer: NaN. Where pixels of equal importance compete for a place, the result is
the mean over all their orders, so that a constant map is worth as much as chance.
"""

from __future__ import annotations

import numpy as np

from relax.metrics.maps import UNDEFINED, Base, Map, Mask, Values, checked_map, mid_ranks, relevance

TOP_SHARE = 0.02  # of the known pixels: 1,000 of 224 x 224, Quantus' default


def pointing_game(importance: Map, truth: Mask, *, tolerance: float = 0) -> float:
    """Whether the most important pixel is inside: 1 or 0; between, if several are the most important.

    Quantus differs where several are: one of them inside is a hit there, here their share counts.

    Args:
        importance: (H, W).
        truth: (H, W) bool.
        tolerance: A miss by up to so many pixels of the map's frame is a hit; 15 in the paper, for photographs of
            500 px. NaN pixels inside the mask still draw the hits near them.

    Source: Excitation Backprop (Zhang et al., IJCV 2018), section 5.1.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be 0 px or more; got {tolerance}")
    values, inside = _pair(importance, truth)
    if not inside.any():
        return UNDEFINED
    near = inside
    if tolerance:
        from skimage.morphology import isotropic_dilation  # takes a second, which the other metrics need not wait

        near = np.asarray(isotropic_dilation(truth, tolerance), dtype=bool)[~np.isnan(checked_map(importance))]
    return float(near[values == values.max()].mean())


def top_k_intersection(importance: Map, truth: Mask, *, k: int | None = None) -> float:
    """Share of the k most important pixels that are inside, in [0, 1].

    Args:
        importance: (H, W).
        truth: (H, W) bool.
        k: How many pixels, 1 or more; None = 2 % of the known ones.

    Source: Concept Influence (Theiner et al., WACV 2022), as in Quantus.
    """
    values, inside = _pair(importance, truth)
    k = max(1, round(TOP_SHARE * len(values))) if k is None else k
    if not 1 <= k <= len(values):
        raise ValueError(f"k must be from 1 to the {len(values)} known pixels; got {k}")
    return _share_inside(values, inside, k) if inside.any() else UNDEFINED


def relevance_rank(importance: Map, truth: Mask) -> float:
    """Share of the K most important pixels that are inside, with K the pixels of the mask: 1 if they are the mask.

    Source: CLEVR-XAI (Arras, Osman & Samek, Information Fusion 2022), relevance rank accuracy.
    """
    values, inside = _pair(importance, truth)
    return _share_inside(values, inside, int(inside.sum())) if inside.any() else UNDEFINED


def relevance_mass(importance: Map, truth: Mask, *, base: Base = "lowest") -> float:
    """Share of the relevance that is inside: relevance inside, over relevance.

    Args:
        importance: (H, W).
        truth: (H, W) bool.
        base: What counts as relevance. "lowest", the default for every method: the importance above the map's lowest
            value, so the result is in [0, 1]. "zero": the importance as it is, as in Quantus. Of a RELAX map, that is
            little more than the share of the mask in the picture; with negative importance it may leave [0, 1].

    Returns:
        The share; NaN where the relevance adds up to 0, as that of a constant map does above its lowest value.

    Source: CLEVR-XAI (Arras, Osman & Samek, Information Fusion 2022), relevance mass accuracy.
    """
    _, inside = _pair(importance, truth)
    mass = relevance(importance, base)
    total = float(mass.sum())
    return float(mass[inside].sum()) / total if inside.any() and total != 0 else UNDEFINED


def auc(importance: Map, truth: Mask) -> float:
    """Chance that a pixel inside is more important than one outside, ties counting half: the area under the ROC curve.

    0.5 is chance, as for a constant map. NaN also where no known pixel is outside.

    Source: Fawcett (Pattern Recognition Letters, 2006), section 7.
    """
    values, inside = _pair(importance, truth)
    positives, negatives = int(inside.sum()), int((~inside).sum())
    if not positives or not negatives:
        return UNDEFINED
    above = mid_ranks(values)[inside].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def best_iou(importance: Map, truth: Mask) -> float:
    """Intersection over union of the mask and the pixels above a threshold, for the best threshold there is.

    An oracle: the threshold is chosen with the mask at hand, so this says how good a segmentation the map contains,
    not how good one it gives. The best that a constant map can do is everything: the share of the mask.

    Source: as in weakly supervised localisation, MaxBoxAcc's pixel-wise sibling (Choe et al., CVPR 2020).
    """
    values, inside = _pair(importance, truth)
    if not inside.any():
        return UNDEFINED
    order = np.argsort(-values, kind="stable")
    values, inside = values[order], inside[order]
    hits = np.cumsum(inside)
    taken = np.arange(1, len(values) + 1)
    ends = np.append(values[1:] != values[:-1], True)  # a threshold takes all of equal importance
    return float((hits / (taken + inside.sum() - hits))[ends].max())


def _pair(importance: Map, truth: Mask) -> tuple[Values, Mask]:
    """(K,) importance and (K,) whether inside, of the known pixels."""
    values, inside = checked_map(importance), np.asarray(truth)
    if inside.dtype != np.bool_ or inside.shape != values.shape:
        raise ValueError(
            f"truth must be bool of the map's size {values.shape}, True = inside; got {inside.dtype} {inside.shape}"
        )
    known = ~np.isnan(values)
    return values[known], inside[known]


def _share_inside(values: Values, inside: Mask, k: int) -> float:
    """Share of the k highest that are inside, as a mean over the orders of equal values."""
    lowest = np.partition(values, len(values) - k)[len(values) - k]
    above, level = values > lowest, values == lowest
    return float((inside[above].sum() + (k - above.sum()) * inside[level].mean()) / k)
