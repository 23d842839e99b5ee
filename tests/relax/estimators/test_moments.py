"""The streamed moments equal the definition, however the masks are cut, ordered or merged."""

from itertools import product

import pytest
import torch

from relax.estimators.moments import RelaxMoments
from tests.reference import importance_by_definition, standard_error_by_definition


def drawn(count=40, size=(5, 6), seed=0):
    rng = torch.Generator().manual_seed(seed)
    masks = torch.rand(count, 1, *size, generator=rng, dtype=torch.float64)
    return torch.rand(count, generator=rng, dtype=torch.float64), masks


def streamed(scores, masks, batch):
    moments = RelaxMoments.empty(masks.shape[-2:])
    for batch_scores, batch_masks in zip(scores.split(batch), masks.split(batch), strict=True):
        moments.add(batch_scores, batch_masks)
    return moments


@pytest.mark.parametrize("batch", [1, 7, 40])
def test_equal_the_definition_for_any_batch_size(batch):
    scores, masks = drawn()

    moments = streamed(scores, masks, batch)

    importance, uncertainty = importance_by_definition(scores, masks[:, 0])
    torch.testing.assert_close(moments.importance, importance)
    torch.testing.assert_close(moments.uncertainty, uncertainty)
    torch.testing.assert_close(moments.standard_error, standard_error_by_definition(scores, masks[:, 0]))
    assert moments.count == 40


def test_all_masks_of_a_2x2_image_give_the_values_worked_out_by_hand():
    """An encoder that sees only the top-left pixel scores 1 if it is visible, else 0.

    Over all 16 masks, the masks showing any other pixel show top-left half the time:
    importance 1/2, variance 1/4. The masks showing top-left always show it: 1 and 0.
    """
    masks = torch.tensor(list(product([0.0, 1.0], repeat=4)), dtype=torch.float64).reshape(16, 1, 2, 2)

    moments = streamed(masks[:, 0, 0, 0], masks, batch=3)

    assert moments.importance.tolist() == [[1, 0.5], [0.5, 0.5]]
    assert moments.uncertainty.tolist() == [[0, 0.25], [0.25, 0.25]]
    # Off the corner, each of 8 showing masks misses the mean by 1/2: sqrt(16/15 x 8/4) / 8.
    off = (16 / 15 * 8 / 4) ** 0.5 / 8
    torch.testing.assert_close(moments.standard_error, torch.tensor([[0, off], [off, off]], dtype=torch.float64))


def test_masks_in_float32_give_the_maps_of_float64_far_within_their_error():
    """A ten-thousandth of the Monte-Carlo error, however many masks a batch has."""
    scores, masks = drawn(count=3000)
    exact = streamed(scores, masks.float().double(), 100)

    rounded = streamed(scores, masks.float(), 3000)

    small = 1e-4 * float(exact.standard_error.mean())
    torch.testing.assert_close(rounded.importance, exact.importance, rtol=0, atol=small)
    torch.testing.assert_close(rounded.uncertainty, exact.uncertainty, rtol=1e-6, atol=0)
    torch.testing.assert_close(rounded.standard_error, exact.standard_error, rtol=1e-6, atol=0)


def test_the_order_of_the_masks_does_not_matter():
    scores, masks = drawn()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))

    in_order, shuffled = streamed(scores, masks, 9), streamed(scores[order], masks[order], 9)

    for name in ("importance", "uncertainty", "standard_error"):
        torch.testing.assert_close(getattr(in_order, name), getattr(shuffled, name), rtol=1e-12, atol=1e-14)


def test_merging_is_as_if_all_had_been_added_in_one_place():
    scores, masks = drawn()
    left, right, whole = (
        streamed(scores[:13], masks[:13], 5),
        streamed(scores[13:], masks[13:], 5),
        RelaxMoments.empty((5, 6)),
    )
    whole.merge(left)
    whole.merge(right)

    together = streamed(scores, masks, 40)

    assert whole.count == 40
    for name in ("importance", "uncertainty", "standard_error"):
        torch.testing.assert_close(getattr(whole, name), getattr(together, name), rtol=1e-12, atol=1e-14)


def test_a_narrow_band_of_scores_keeps_its_digits():
    """Cosines near 1 that differ by 1e-7: naive float64 sums of squares would lose them."""
    scores, masks = drawn(count=500, size=(3, 3))
    narrow = 1e4 + 1e-7 * scores

    moments = streamed(narrow, masks, 50)

    wide = streamed((narrow - 1e4), masks, 50)
    torch.testing.assert_close(moments.uncertainty, wide.uncertainty, rtol=1e-3, atol=0)


def test_masks_lifted_by_a_constant_score_give_it_back_with_no_doubt():
    _, masks = drawn()

    moments = streamed(torch.full((40,), -0.3), masks, 7)

    torch.testing.assert_close(moments.importance, torch.full((5, 6), -0.3).double(), rtol=0, atol=1e-15)
    assert moments.uncertainty.max() < 1e-30
    assert moments.standard_error.max() < 1e-15


def test_a_pixel_that_no_mask_shows_is_unknown_and_the_others_are_not():
    scores, masks = drawn()
    masks[:, :, 2, 3] = 0

    moments = streamed(scores, masks, 7)

    for values in (moments.importance, moments.uncertainty, moments.standard_error):
        assert values.isnan().nonzero().tolist() == [[2, 3]]


def test_a_pixel_shown_late_has_the_moments_of_the_masks_that_show_it():
    scores, masks = drawn()
    masks[:20, :, 1, 1] = 0

    late = streamed(scores, masks, 10)

    alone = streamed(scores[20:], masks[20:], 10)
    torch.testing.assert_close(late.importance[1, 1], alone.importance[1, 1])
    torch.testing.assert_close(late.uncertainty[1, 1], alone.uncertainty[1, 1])


def test_one_mask_has_no_standard_error():
    scores, masks = drawn(count=1)

    assert streamed(scores, masks, 1).standard_error.isnan().all()


def test_the_arguments_are_left_as_they_were():
    scores, masks = drawn()
    before = scores.clone(), masks.clone()

    streamed(scores, masks, 10)

    assert torch.equal(scores, before[0])
    assert torch.equal(masks, before[1])
