"""RELAX over the parts of a text: importance, uncertainty and error from random subsets, or from all of them."""

from __future__ import annotations

import torch

from relax.estimators.budget import CHECK
from relax.estimators.control import ControlledMoments
from relax.words.game import Game, Values
from relax.words.masks import PartMasks, PartSurrogate, all_subsets, design_for


def relax(game: Game) -> Values:
    """The maps of RELAX, with words for pixels: see `relax.explanation.Explanation`.

    With at most as many subsets as masks, all of them are taken, each with its chance, and there is no error.

    Source: RELAX (Wickstrøm et al., IJCV 2023), equations for importance and uncertainty.
    """
    return _exact(game) if game.enumerable else _sampled(game)


def _exact(game: Game) -> Values:
    masks = all_subsets(game.count)
    scores, shown = game(masks), masks.double()
    chances = (shown * game.keep + (1 - shown) * (1 - game.keep)).prod(1)
    weights = chances[:, None] * shown / game.keep
    importance = scores @ weights
    uncertainty = ((scores[:, None] - importance).square() * weights).sum(0)
    estimator = {"name": "exact", "subsets": len(masks)}
    return Values(
        importance, float(scores @ chances), uncertainty, torch.zeros_like(importance), {"estimator": estimator}
    )


def _sampled(game: Game) -> Values:
    grid = PartMasks(game.count, game.keep, game.seed, design_for(game.count, game.masks))
    moments = ControlledMoments(PartSurrogate(grid))
    for start in range(0, game.masks, CHECK):
        moments.add(game(grid.subsets(start, min(start + CHECK, game.masks))))
    maps = (getattr(moments, name)[0] for name in ("importance", "uncertainty", "standard_error"))
    importance, uncertainty, error = maps
    return Values(
        importance,
        float(moments.scores.mean()),
        uncertainty,
        error,
        {"estimator": moments.record(), "subsets": {**grid.recipe(), "count": game.masks}},
    )
