"""The variance of scores comes apart by how many cells act together, as it was put together."""

from __future__ import annotations

import pytest
import torch

from experiments.studies.orders import PAIRS, shares, stable_cells, standard_errors


def test_a_score_made_of_known_orders_is_taken_apart_into_them():
    """Signs of cells are uncorrelated with variance 1, and so are their products: shares are squared coefficients."""
    signs = 2 * stable_cells((3, 3), 20_000, torch.Generator().manual_seed(0)).double().flatten(2) - 1
    shift = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    single, pair, triple = signs[..., 0], signs[..., 1] * signs[..., 2], signs[..., 3] * signs[..., 4] * signs[..., 5]

    result = shares(0.3 * shift + 0.7 * single + 0.5 * pair + 0.4 * triple)

    total = 0.09 + 0.49 + 0.25 + 0.16
    expected = {"shift": 0.09, "single": 0.49, "pairs": 0.25, "odd_beyond": 0.16, "even_beyond": 0.0}
    assert result == pytest.approx({name: share / total for name, share in expected.items()}, abs=0.04)


def test_the_cells_of_a_group_correlate_as_stated():
    signs = 2 * stable_cells((4, 4), 4000, torch.Generator().manual_seed(0)) - 1

    for correlation, pairs in PAIRS.items():
        for first, second in pairs:
            assert float((signs[:, first] * signs[:, second]).mean()) == pytest.approx(correlation, abs=0.02)


def test_the_stated_errors_are_those_of_groups_drawn_anew():
    def scores(seed):
        signs = 2 * stable_cells((3, 3), 200, torch.Generator().manual_seed(seed)).double().flatten(2) - 1
        return signs[..., 0] + signs[..., 1] * signs[..., 2]

    again = [shares(scores(seed))["single"] for seed in range(60)]

    stated = sum(standard_errors(scores(seed), seed)["single"] for seed in range(8)) / 8

    assert stated == pytest.approx(torch.tensor(again).std().item(), rel=0.4)
