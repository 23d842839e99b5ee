"""How few cells a map needs: by hand, from an encoder that is a sum over cells."""

import numpy as np
import pytest
import torch

from encoders import load
from relax.metrics import METRICS, Case, Trial, clopper_pearson, enough, needed
from relax.references import Question
from relax.scene import Scene
from relax.settings import Hiding

WORTH = np.kron([[4.0, 3.0], [2.0, 1.0]], np.ones((2, 2)))  # of 10 in all


def trial(sign=1.0):
    weights = torch.from_numpy(WORTH / 4).float()
    encoder = load(lambda pixels: sign * (pixels[:, 0] * weights).sum((1, 2))[:, None], device="cpu")
    scene = Scene.of(torch.ones(1, 1, 4, 4), encoder, Hiding(fill=0.0, cells=2))
    return Trial.of(scene, Question.of("dot", torch.ones(1), None, encoder))


@pytest.mark.filterwarnings("ignore:tensor")
def test_cells_are_counted_until_the_score_is_kept_and_until_it_is_lost():
    """8 of 10 are kept by 4 + 3 + 2 and lost without 4; by the wrong order 1 + 2 + 3 + 4, and without 1 + 2."""
    right, wrong = (enough(trial(), sign * WORTH, cells=2) for sign in (1, -1))
    assert (right, wrong) == (0.75, 1.0)
    assert (needed(trial(), WORTH, cells=2), needed(trial(), -WORTH, cells=2)) == (0.25, 0.5)
    assert enough(trial(), WORTH, kept=0.4, cells=2) == 0.25
    assert needed(trial(), WORTH, kept=0.1, cells=2) == 1.0  # 4 + 3 + 2 leave 1 of 10, which is not less


@pytest.mark.filterwarnings("ignore:tensor")
def test_it_is_undefined_where_there_is_nothing_to_keep_or_nothing_can_be_lost():
    assert np.isnan(enough(trial(-1.0), WORTH, cells=2))
    encoder = load(lambda pixels: torch.ones(len(pixels), 2), device="cpu")
    blind = Trial.of(Scene.of(torch.ones(1, 1, 4, 4), encoder, Hiding(fill=0.0, cells=2)))
    assert enough(blind, WORTH, cells=2) == 0
    assert np.isnan(needed(blind, WORTH, cells=2))
    with pytest.raises(ValueError, match=r"kept is a share of the picture's score, strictly between 0 and 1; got 1"):
        enough(trial(), WORTH, kept=1)
    with pytest.raises(ValueError, match="metric needed needs the picture and the encoder"):
        METRICS["needed"](Case(WORTH))


def test_the_exact_interval_leaves_a_fortieth_at_either_end():
    from scipy.stats import binom

    low, high = clopper_pearson(7, 20)
    assert binom.sf(6, 20, low) == pytest.approx(0.025)
    assert binom.cdf(7, 20, high) == pytest.approx(0.025)
    assert clopper_pearson(0, 10) == (0, pytest.approx(0.3085, abs=1e-4))
    assert clopper_pearson(10, 10) == (pytest.approx(0.6915, abs=1e-4), 1)
