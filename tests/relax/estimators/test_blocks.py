"""The standard error under designs: masks depend on each other inside blocks, and the error knows it."""

import math

import pytest
import torch

import relax
from masking import RandomGrid
from masking.designs import DESIGNS
from relax.estimators.blocks import BlockedMoments, BlockSums
from relax.estimators.moments import RelaxMoments

SIZE, CELLS = (14, 14), 4
PAIRS = [(3, 3, 10, 9), (1, 12, 8, 5), (6, 6, 12, 2), (2, 8, 12, 12)]


def even(masks):
    """Scores that a mask and its opposite share, so that the second of an antithetic pair says nothing new."""
    signs = 2 * masks[:, 0].double() - 1
    return sum(signs[:, a, b] * signs[:, c, d] for a, b, c, d in PAIRS)


def linear(masks):
    return masks[:, 0, 2:5, 8:12].double().mean((1, 2))


def moments_of(masks, scores, block, batch=100):
    moments = BlockedMoments.empty(SIZE, block)
    for batch_scores, batch_masks in zip(scores.split(batch), masks.split(batch), strict=True):
        moments.add(batch_scores, batch_masks)
    return moments


@pytest.fixture(scope="module", params=[even, linear], ids=["even", "linear"])
def truth(request):
    moments = RelaxMoments.empty(SIZE)
    for start in range(0, 120_000, 4000):
        masks = RandomGrid(SIZE, CELLS, seed=999).masks(start, start + 4000)
        moments.add(request.param(masks), masks)
    return request.param, moments


@pytest.mark.parametrize("design", [design for design in DESIGNS if design != "independent"])
def test_plain_intervals_cover_the_truth_as_often_as_they_say(truth, design):
    """100 estimates from 2,048 masks each, which is eight blocks of the orthogonal design and of Sobol's."""
    score, known = truth
    covered, missed, stated = (torch.zeros(SIZE, dtype=torch.float64) for _ in range(3))
    for seed in range(100):
        grid = RandomGrid(SIZE, CELLS, seed=seed, design=design)
        masks = grid.masks(0, 2048)
        moments = moments_of(masks, score(masks), grid.block)
        error = (moments.standard_error.square() + known.standard_error.square()).sqrt()
        covered += (moments.importance - known.importance).abs() <= 1.96 * error
        missed += (moments.importance - known.importance).square()
        stated += error.square()

    assert 0.91 <= covered.mean() / 100 <= 0.98
    assert 0.85 < math.sqrt(missed.sum() / stated.sum()) < 1.15


def random_masks(count):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(count, generator=generator, dtype=torch.float64)
    return torch.rand(count, 1, *SIZE, generator=generator), scores + 3 * (torch.arange(count) // 32 % 2)


@pytest.mark.parametrize("batch", [7, 32, 50, 1000])
def test_the_level_is_that_of_its_definition_whatever_the_batches(batch):
    """Five blocks of 32 masks, and a rest that is in the mean but in no block."""
    masks, scores = random_masks(171)
    weights = masks[:, 0].double()
    mean = (scores[:, None, None] * weights).sum(0) / weights.sum(0)
    products = weights * (scores[:, None, None] - mean)
    of_blocks = products[:160].view(5, 32, *SIZE).sum(1).square().sum() / 4 / 32 * 5 / 4
    of_masks = products.square().sum() / 170
    plain = RelaxMoments.empty(SIZE)
    plain.add(scores, masks)

    moments = moments_of(masks, scores, 2, batch)

    level = math.sqrt(of_blocks / of_masks)
    assert level > 2  # blocks differ, on purpose
    assert moments.blocks.level(moments.moments) == pytest.approx(level, rel=1e-4)
    torch.testing.assert_close(moments.standard_error, plain.standard_error * level, rtol=1e-4, atol=0)


def test_the_level_of_scores_in_a_narrow_band_is_the_same():
    masks, scores = random_masks(320)
    wide, narrow = (moments_of(masks, values, 2) for values in (scores, 0.9 + 1e-8 * scores))

    assert narrow.blocks.level(narrow.moments) == pytest.approx(wide.blocks.level(wide.moments), rel=1e-3)


def test_sums_over_blocks_are_kept_in_float64():
    masks, scores = random_masks(64)

    sums = moments_of(masks, scores.float(), 2).blocks

    assert sums.products.dtype == sums.open.dtype == torch.float64
    shown = masks[:, 0].double()
    for row, values in enumerate((scores.float().double() - sums.middle, torch.ones(64))):
        blocks = (shown * values[:, None, None]).view(2, 32, *SIZE).sum(1)
        torch.testing.assert_close(sums.products[2 * row], blocks.square().sum(0), rtol=1e-6, atol=1e-9)


def test_too_few_blocks_say_nothing():
    masks, scores = random_masks(4 * 32)

    assert moments_of(masks[:-1], scores[:-1], 2).blocks.level(RelaxMoments.empty(SIZE)) == 1
    whole = moments_of(masks, scores, 2)
    assert whole.blocks.level(whole.moments) != 1
    assert BlockSums.of(SIZE, 256).length == 256


def test_explaining_with_plain_averages_knows_the_design():
    """The embedding is the mean of some pixels and a constant: nearly linear, as the orthogonal design likes it."""
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))

    def encoder(pixels):
        return torch.stack([pixels[:, :, 8:20, 8:20].mean((1, 2, 3)), torch.ones(len(pixels))], 1)

    errors = [
        relax.explain(image, encoder, masks=2048, estimator="plain", design=design, fill=0.0).standard_error.mean()
        for design in ("orthogonal", "independent")
    ]

    assert errors[0] < 0.6 * errors[1]


def test_parts_shifted_and_merged_are_the_whole():
    """Three parts of whole blocks, whose scores lack a number that is added afterwards, and a rest in no block."""
    masks, scores = random_masks(300)
    whole, merged = moments_of(masks, scores, 2), BlockedMoments.empty(SIZE, 2)
    for start, stop, lacking in ((0, 64, 0.5), (64, 192, -2.0), (192, 300, 0.0)):
        part = moments_of(masks[start:stop], scores[start:stop] - lacking, 2)
        part.shift(torch.full(SIZE, lacking, dtype=torch.float64))
        merged.merge(part)

    assert (merged.count, merged.blocks.blocks) == (300, 9)
    torch.testing.assert_close(merged.importance, whole.importance, rtol=1e-6, atol=0)
    torch.testing.assert_close(merged.uncertainty, whole.uncertainty, rtol=1e-5, atol=0)
    torch.testing.assert_close(merged.standard_error, whole.standard_error, rtol=1e-4, atol=0)
