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


def error_of(*values):
    return torch.tensor([values], dtype=torch.float64)


def test_a_tolerance_is_met_by_the_largest_error_of_all_pixels_that_have_one():
    budget = Budget(1000, 0.5)

    assert budget.met_by(error_of(0.5, 0.1))
    assert budget.met_by(error_of(0.5))
    assert not budget.met_by(error_of(0.1, 0.500001))
    assert budget.met_by(error_of(0.5, torch.nan))
    assert not budget.met_by(error_of(torch.nan, torch.nan))
    assert not Budget(1000).met_by(error_of(0.0))


def test_the_error_is_looked_at_after_512_masks_and_then_after_about_a_quarter_more():
    """From 2,048 masks on a quarter is more than 256; always whole steps of 256."""
    budget = Budget(10_000, 0.1)

    looks = [count for count in range(1, 6001) if budget.checked_at(count)]

    assert looks == [512, 768, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3840, 4608, 5632]
    assert not Budget(10_000).checked_at(512)


@pytest.mark.parametrize(
    ("masks", "tolerance", "expected"),
    [(None, None, 3000), (None, 0.1, 100_000), (2, None, 2), (700, 0.1, 700)],
)
def test_the_number_of_masks_is_the_callers_or_the_default(masks, tolerance, expected):
    assert Budget.of(masks, tolerance, 1) == Budget(expected, tolerance, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, None, 1), "masks must be a whole number, 2 or more; got 1"),
        ((2.0, None, 1), "masks must be a whole number, 2 or more; got 2.0"),
        ((True, None, 1), "masks must be a whole number, 2 or more; got True"),
        (("3", None, 1), "masks must be a whole number, 2 or more; got '3'"),
        ((9, 0, 1), "tolerance is the largest acceptable standard error, above 0; got 0"),
        ((9, float("inf"), 1), "tolerance is the largest acceptable standard error, above 0; got inf"),
        ((9, float("nan"), 1), "tolerance is .* got nan"),
        ((9, None, 0), 'batch_size must be a whole number, 1 or more, or "auto"; got 0'),
        ((9, None, 1.5), 'batch_size must be a whole number, 1 or more, or "auto"; got 1.5'),
        ((9, None, True), 'batch_size must be a whole number, 1 or more, or "auto"; got True'),
        ((9, None, "all"), "batch_size must be a whole number, 1 or more, or \"auto\"; got 'all'"),
    ],
)
def test_an_impossible_budget_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Budget.of(*arguments)


@pytest.mark.parametrize(
    ("size", "batch"),
    [((224, 224), 20), ((223, 225), 19 + (223 * 225 * 20 <= 20 * 224**2)), ((32, 32), 64), ((1000, 1000), 16)],
)
def test_a_processor_takes_20_views_of_224_px_at_once_and_16_to_64_in_all(size, batch):
    view = torch.empty(1, 3, *size)

    assert Budget(1000).batch(view) == batch
    assert Budget(1000).batch(view, devices=3) == 3 * batch
    assert Budget(1000, batch_size=7).batch(view, devices=3) == 7
    assert next(Budget(1000).stretches(1000, view)) == (0, batch)
    assert type(Budget(1000).batch(view)) is int


def test_hoeffding_rounds_up_and_follows_its_formula():
    """ln(2 / 0.1) / (2 x 0.2^2) = 37.4."""
    assert relax.hoeffding_masks(0.2, 0.1) == 38
    with pytest.raises(ValueError, match=r"got -1 and 0\.5"):
        relax.hoeffding_masks(-1, 0.5)
