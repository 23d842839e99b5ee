"""Sampling where residuals are large: by hand, and no gain where they are all alike."""

import pytest
import torch

from experiments.studies.adaptive import sampled


def test_the_error_of_sampling_by_the_true_size_by_hand():
    """Residuals of size 1 and 3: E[e^2] = 5, and (E|e|)^2 = 4 with the best sampling."""
    squares = torch.tensor([1.0, 9.0]).double()

    assert sampled(squares, squares) == pytest.approx(4 / 5)
    assert sampled(squares, torch.full((2,), 5.0).double()) == pytest.approx(1)


def test_a_wrong_prediction_costs():
    """Sizes taken the wrong way round: (1/3 + 9/1) / 2 x 2 / 5."""
    squares = torch.tensor([1.0, 9.0]).double()

    assert sampled(squares, squares.flip(0)) == pytest.approx((1 / 3 + 9) / 2 * 2 / 5)
