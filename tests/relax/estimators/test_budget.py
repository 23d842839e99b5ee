"""A mask budget is spent exactly, or stops as soon as the error is small enough, whatever the batch size."""

import numpy as np
import pytest
import torch

import relax
from relax.estimators.budget import Budget


def image():
    return torch.rand(3, 24, 24, generator=torch.Generator().manual_seed(0))


def mean_of_rows(pixels):
    return pixels.mean(3).flatten(1)


@pytest.mark.parametrize("batch", [1, 100, 256, 5000])
@pytest.mark.parametrize("tolerance", [None, 0.1])
def test_batches_cover_every_mask_once_in_order(batch, tolerance):
    stretches = list(Budget(1000, tolerance, batch).stretches(1000, torch.empty(1, 3, 8, 8)))

    assert [n for start, stop in stretches for n in range(start, stop)] == list(range(1000))
    assert max(stop - start for start, stop in stretches) <= batch


def test_batches_end_wherever_the_error_is_looked_at():
    stops = {stop for _, stop in Budget(1000, 0.1, 100).stretches(1000, torch.empty(1, 3, 8, 8))}

    assert {256, 512, 768} <= stops


@pytest.mark.parametrize("batch_size", [17, 100, 1024])
def test_a_tolerance_is_met_with_the_same_masks_for_any_batch_size(batch_size):
    explanation = relax.explain(image(), mean_of_rows, tolerance=0.0008, batch_size=batch_size)

    reference = relax.explain(image(), mean_of_rows, tolerance=0.0008)
    used = explanation.provenance["masks"]["count"]
    assert used == reference.provenance["masks"]["count"]
    assert used % 256 == 0
    assert explanation.provenance["converged"] is True
    assert np.nanmax(explanation.standard_error) <= 0.0008
    before = relax.explain(image(), mean_of_rows, masks=used - 256)
    assert np.nanmax(before.standard_error) > 0.0008


def test_a_tolerance_out_of_reach_says_so_and_gives_what_there_is():
    with pytest.warns(UserWarning, match="standard error is .* after 600 masks, above the tolerance 1e-09"):
        explanation = relax.explain(image(), mean_of_rows, tolerance=1e-9, masks=600)

    assert explanation.provenance["converged"] is False
    assert explanation.provenance["masks"]["count"] == 600


def test_the_default_is_the_papers_three_thousand():
    assert relax.explain(image(), mean_of_rows).provenance["masks"]["count"] == 3000


def test_hoeffding_gives_the_number_of_the_paper():
    assert relax.hoeffding_masks(0.03, 0.01) == 2944


@pytest.mark.parametrize(("error", "risk"), [(0, 0.1), (0.1, 0), (0.1, 1)])
def test_hoeffding_refuses_impossible_wishes(error, risk):
    with pytest.raises(ValueError, match="error must be above 0 and risk between 0 and 1"):
        relax.hoeffding_masks(error, risk)
