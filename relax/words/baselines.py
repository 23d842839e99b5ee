"""Other ways to say what each word does, on the same function from subsets to similarities: the game.

LIME and Kernel SHAP are captum's, with the least squares in float64 that pictures use (`relax.baselines.surrogates`).
Where all subsets are few, what Kernel SHAP estimates is computed from all of them: the Shapley values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from captum.attr import KernelShap, LimeBase
from torch import Tensor

from relax.baselines.surrogates import Linear, forked, proximity
from relax.words.game import Game, Values
from relax.words.masks import all_subsets

RIDGE = 1.0  # as LIME has it for texts; the width of its kernel is that for pictures, 0.25


def leave_one_out(game: Game) -> Values:
    """The similarity of the whole text less that without each part."""
    ones = torch.ones(1, game.count)
    scores = game(torch.cat([ones, ones - torch.eye(game.count)]))
    return Values(scores[0] - scores[1:])


def kernel_shap(game: Game) -> Values:
    """Shapley values: exact over all subsets where these are no more than the masks, else by captum's Kernel SHAP.

    They add up to the similarity of the whole text less that with everything hidden.

    Source: A Unified Approach to Interpreting Model Predictions (Lundberg & Lee, NeurIPS 2017), theorem 2.
    """
    if game.count == 1 or game.enumerable:
        return Values(_shapley(game), settings={"estimator": {"name": "exact", "subsets": 2**game.count}})
    _check_samples(game, "kernel_shap")
    method = KernelShap(_change(game))
    method.interpretable_model = Linear()
    ones = torch.ones(1, game.count)
    with torch.inference_mode(), forked(game.seed):
        weights: Tensor = method.attribute(
            ones, baselines=torch.zeros_like(ones), n_samples=game.masks, perturbations_per_eval=64
        )
    return Values(weights[0].double(), settings={"samples": game.masks})


def lime(game: Game) -> Values:
    """Coefficients of a ridge regression of the similarity on which parts are shown, near the whole text.

    A sample leaves out a random number of parts, from one to all; it weighs exp(-d^2 / width^2)^(1/2), where d is the
    cosine distance between its parts and all of them.

    Source: "Why Should I Trust You?" (Ribeiro, Singh & Guestrin, KDD 2016), with the defaults of the authors' package
    for texts: ridge 1, kernel width 25 for 100 times the distance.
    """
    _check_samples(game, "lime")
    shown = torch.from_numpy(_left_out(game)).float()

    def draw(_: Tensor, **__: Any) -> Iterator[Tensor]:
        yield from shown[:, None]

    method = LimeBase(
        _change(game),
        interpretable_model=Linear(RIDGE),
        similarity_func=proximity,
        perturb_func=draw,
        perturb_interpretable_space=True,
        from_interp_rep_transform=lambda sample, *_, **__: sample,
        to_interp_rep_transform=None,
    )
    with torch.inference_mode(), forked(game.seed):
        weights: Tensor = method.attribute(torch.ones(1, game.count), n_samples=game.masks, perturbations_per_eval=64)
    return Values(weights.flatten().double(), settings={"samples": game.masks, "kernel_width": 0.25, "ridge": RIDGE})


def _shapley(game: Game) -> Tensor:
    """(P,) over all subsets: the weighted mean of what a part adds to those without it."""
    count = game.count
    masks = all_subsets(count)
    scores = game(masks)
    sizes = masks.sum(1).long()
    chance = torch.tensor([1 / (count * math.comb(count - 1, size)) for size in range(count)], dtype=torch.float64)
    values = []
    for part in range(count):
        step = 2 ** (count - 1 - part)  # from a subset without the part to the same with it
        without = (masks[:, part] == 0).nonzero()[:, 0]
        values.append((chance[sizes[without]] * (scores[without + step] - scores[without])).sum())
    return torch.stack(values)


def _left_out(game: Game) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(N, P) which parts are shown in each of LIME's samples; the first is the whole text."""
    rng = np.random.default_rng(game.seed)
    hidden = rng.integers(1, game.count + 1, game.masks)
    hidden[0] = 0
    order = rng.random((game.masks, game.count)).argsort(1).argsort(1)
    result: np.ndarray[Any, np.dtype[np.bool_]] = order >= hidden[:, None]
    return result


def _change(game: Game) -> Callable[[Tensor], Tensor]:
    """The similarity less that of the whole text: captum's float32 would lose the digits in which they differ."""
    whole = game(torch.ones(1, game.count))
    return lambda masks: game(masks) - whole


def _check_samples(game: Game, method: str) -> None:
    if game.masks <= game.count:
        raise ValueError(
            f"masks must be more than the parts of the text for {method}, here {game.count}; got {game.masks}"
        )
