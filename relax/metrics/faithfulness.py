"""Does hiding what the map calls important change what it explains: a similarity, without labels, or a class?

A `Trial` is one picture before one encoder; the map is (h, w) in the frame of its view (`Trial.in_view` resamples a
map to it). Pixels are taken in the order of their importance, equal ones in random order, unknown ones (NaN) last.
Hidden pixels show the fill of the scene. Scores keep the unit of what is explained (of a class: the probability), so
they compare methods on the same pictures, encoder and question, not encoders with each other.

Holes scattered over the picture disturb an encoder more than one hidden region of the same area, so that pixel by
pixel a random map may delete best of all: read these metrics beside the control "random", or region by region, with
`cells`, where a rough map has no such advantage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from relax.metrics.maps import Map, Mask, Values, checked_map, pearson, spearman

if TYPE_CHECKING:  # torch comes with it, and the table of metrics does not need it
    from relax.metrics.trial import Trial

STEPS = 20
SUBSETS = 30
REGIONS = 8  # along a side, for insertion and deletion by regions
CELLS = 16  # along a side: finer than RELAX's own regions, so that its masks are not what it is judged by
STREAM = 5  # of the seed's random numbers; masks and fills have others
Scores: TypeAlias = Callable[[Mask], Values]


@dataclass(frozen=True)
class Curve:
    """What is explained, while pixels are shown or hidden.

    Attributes:
        shares: (S,) share of the pixels that were touched, from 0 to 1.
        scores: (S,) similarity to the reference, or probability of the class.
    """

    shares: Values
    scores: Values

    @property
    def area(self) -> float:
        """The area under the curve: the score, averaged over the number of pixels touched."""
        return float(np.trapezoid(self.scores, self.shares))


def insertion_curve(
    trial: Trial,
    importance: Map,
    *,
    steps: int = STEPS,
    cells: int | None = None,
    seed: int = 0,
    scores: Scores | None = None,
) -> Curve:
    """Show the most important pixels first, from nothing to everything: `steps` + 1 encoder passes.

    Args:
        trial: The picture and its encoder.
        importance: (h, w) in the frame of the view.
        steps: Of about as many pixels each, 2 or more.
        cells: Take whole cells of a regular grid, so many along a side, in the order of their mean importance; None =
            single pixels.
        seed: For the order of pixels or cells of equal importance.
        scores: From visible pixels (N, h, w) to scores (N,), where hidden ones show something else than the fill of the
            scene; None = `trial.scores`.

    Source: RISE (Petsiuk, Das & Saenko, BMVC 2018), section 4.2; with a similarity: COCOA (Lin et al., ICLR 2023).
    """
    return _curve(trial, importance, steps, cells, seed, scores or trial.scores, show=True)


def deletion_curve(
    trial: Trial,
    importance: Map,
    *,
    steps: int = STEPS,
    cells: int | None = None,
    seed: int = 0,
    scores: Scores | None = None,
) -> Curve:
    """Hide the most important pixels first, from everything to nothing. Arguments and cost as for `insertion_curve`.

    Source: as there; pixel flipping (Bach et al., PLOS ONE 2015); by cells: region perturbation (Samek et al., TNNLS
    2017).
    """
    return _curve(trial, importance, steps, cells, seed, scores or trial.scores, show=False)


def insertion(trial: Trial, importance: Map, *, steps: int = STEPS, cells: int | None = None, seed: int = 0) -> float:
    """Area under `insertion_curve`; higher: the similarity is back with few pixels."""
    return insertion_curve(trial, importance, steps=steps, cells=cells, seed=seed).area


def deletion(trial: Trial, importance: Map, *, steps: int = STEPS, cells: int | None = None, seed: int = 0) -> float:
    """Area under `deletion_curve`; lower: the similarity is gone with few pixels.

    `quantus.PixelFlipping` starts its curve after the first step; the areas then differ by that first strip.
    """
    return deletion_curve(trial, importance, steps=steps, cells=cells, seed=seed).area


def representation_shift(trial: Trial, importance: Map, *, share: float = 0.2, seed: int = 0) -> float:
    """Euclidean distance that the embedding moves when the most important pixels are hidden: one encoder pass.

    Args:
        trial: The picture and its encoder.
        importance: (h, w) in the frame of the view.
        share: Of the pixels, in (0, 1].
        seed: For the order of pixels of equal importance.

    Source: Label-Free Explainability (Crabbé & van der Schaar, ICML 2022), section 4.1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is a share of the pixels, in (0, 1]; got {share}")
    places = pixel_order(trial, importance, seed)
    hidden = trial.embeddings((places >= round(share * places.size))[None])[0]
    return float((hidden.double() - trial.image_embedding.double()).norm())


def faithfulness_correlation(
    trial: Trial,
    importance: Map,
    *,
    subsets: int = SUBSETS,
    share: float = 0.25,
    cells: int | None = CELLS,
    seed: int = 0,
) -> float:
    """Correlation of what random parts are worth to the map with what hiding them costs: `subsets` encoder passes.

    Single pixels scattered at random are texture to an encoder, so parts are made of the cells of a regular grid; with
    `cells=None` of pixels, as in the paper and in Quantus. Importance counts above its lowest value, to which unknown
    pixels are set: where all cells have the same size, no such constant makes a difference.

    Args:
        trial: The picture and its encoder.
        importance: (h, w) in the frame of the view.
        subsets: How many random parts, 2 or more.
        share: Of the cells (or pixels) in a part, in (0, 1).
        cells: Along each side; None = single pixels.
        seed: The only source of randomness.

    Returns:
        Pearson's correlation in [-1, 1]; NaN where importance or similarity are constant.

    Source: Evaluating and Aggregating Feature-based Model Explanations (Bhatt et al., IJCAI 2020), definition 3.
    """
    if subsets < 2 or not 0 < share < 1:
        raise ValueError(f"subsets must be 2 or more and share in (0, 1); got {subsets} and {share}")
    values = filled(trial, importance)
    labels = grid_labels(values.shape, cells)
    worth = np.bincount(labels.ravel(), (values - values.min()).ravel())
    size = min(len(worth) - 1, max(1, round(share * len(worth))))
    random = np.random.default_rng((STREAM, seed))
    parts = np.zeros((subsets, len(worth)), dtype=bool)
    for part in parts:
        part[random.choice(len(worth), size, replace=False)] = True
    return pearson(parts @ worth, -trial.scores(~parts[:, labels]))  # the whole picture's score is a constant


def monotonicity(trial: Trial, importance: Map, *, steps: int = STEPS, seed: int = 0) -> float:
    """Share of the steps that do not lower the similarity when the least important pixels are shown first.

    The paper, and `quantus.Monotonicity`, ask whether that holds for all steps: whether this is 1. (Quantus 0.6 puts
    its baseline over the baseline, so that it never shows a pixel and every map passes, unless a `perturb_func` is
    given.) Takes `steps` encoder passes.

    Source: One Explanation Does Not Fit All (Arya et al., arXiv 1909.03012), monotonicity.
    """
    places = pixel_order(trial, importance, seed)
    ends = _ends(steps, places.size)[1:]
    scores = trial.scores(places[None] >= places.size - ends[:, None, None])
    return float((np.diff(scores) >= 0).mean())


def monotonicity_correlation(trial: Trial, importance: Map, *, steps: int = STEPS, seed: int = 0) -> float:
    """Rank correlation between the importance of a group of pixels and what hiding that group changes.

    Groups hold pixels of about equal importance; the change is the squared difference of the similarity. The fill is
    one value, where the paper averages over random ones. Takes `steps` encoder passes.

    Returns:
        Spearman's correlation in [-1, 1]; NaN where groups do not differ.

    Source: On Quantitative Aspects of Model Interpretability (Nguyen & Martínez, arXiv 2007.07584), section 3.2.
    """
    places, values = pixel_order(trial, importance, seed), filled(trial, importance)
    group = np.searchsorted(_ends(steps, places.size)[1:], places, side="right")
    numbers = np.arange(group.max() + 1)
    worth = np.bincount(group.ravel(), values.ravel()) / np.bincount(group.ravel())
    changes = trial.scores(group[None] != numbers[:, None, None]) - trial.image_score
    return spearman(worth, changes**2)


def _curve(
    trial: Trial, importance: Map, steps: int, cells: int | None, seed: int, scores: Scores, *, show: bool
) -> Curve:
    places = pixel_order(trial, importance, seed, cells)
    ends = _ends(steps, places.size)
    touched = places[None] < ends[:, None, None]
    return Curve(ends / places.size, scores(touched if show else ~touched))


def pixel_order(trial: Trial, importance: Map, seed: int, cells: int | None = None) -> NDArray[np.int64]:
    """(h, w) place of each pixel in the order of importance, its own or its cell's: 0 is the most important."""
    values = _in_view(trial, importance)
    labels = grid_labels(values.shape, cells).ravel()
    if cells is None:
        values = np.where(np.isnan(values), -np.inf, values).ravel()
    else:
        values = (np.bincount(labels, filled(trial, importance).ravel()) / np.bincount(labels))[labels]
    chance = np.random.default_rng((STREAM, seed)).permutation(labels.max() + 1)[labels]
    places = np.empty(values.size, dtype=np.int64)
    places[np.lexsort((chance, -values))] = np.arange(values.size)
    return places.reshape(trial.scene.size)


def _ends(steps: int, pixels: int) -> NDArray[np.int64]:
    """How many pixels are touched after each step: 0, ..., all of them."""
    if steps < 2:
        raise ValueError(f"steps must be 2 or more; got {steps}")
    return np.unique(np.round(np.linspace(0, pixels, steps + 1)).astype(np.int64))


def filled(trial: Trial, importance: Map) -> Values:
    """The map with its lowest value where it is not known."""
    values = _in_view(trial, importance)
    return np.where(np.isnan(values), np.nanmin(values), values)


def _in_view(trial: Trial, importance: Map) -> Values:
    values = checked_map(importance)
    if values.shape != trial.scene.size:
        raise ValueError(
            f"importance must have the size that the encoder sees, {trial.scene.size}; got {values.shape}: "
            "trial.in_view(importance) brings a map of the picture there"
        )
    return values


def grid_labels(size: tuple[int, ...], cells: int | None) -> NDArray[np.int64]:
    """(h, w) number of the cell that each pixel is in."""
    height, width = size
    if cells is None:
        return np.arange(height * width).reshape(height, width)
    if cells < 2:
        raise ValueError(f"cells must be 2 or more along a side, or None for pixels; got {cells}")
    down, across = min(cells, height), min(cells, width)
    rows, columns = np.arange(height) * down // height, np.arange(width) * across // width
    return cast(NDArray[np.int64], rows[:, None] * across + columns[None])
