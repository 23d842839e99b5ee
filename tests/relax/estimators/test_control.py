"""Control variates estimate the same maps as the plain averages, from fewer masks, with an honest error."""

import numpy as np
import pytest
import torch

import relax
from masking import DESIGNS, GridSurrogate, RandomGrid
from relax.estimators.control import ControlledMoments
from relax.estimators.moments import RelaxMoments

SIZE, CELLS = (14, 14), 4
WEIGHTS = torch.randn(14, 14, generator=torch.Generator().manual_seed(0)) / 14


def curved(masks):
    """Scores (N,) of masks that are not linear in them, nor a sum over pairs."""
    return torch.tanh((masks[:, 0] * WEIGHTS).sum((1, 2)) * 2) + masks[:, 0, 3, 3] * masks[:, 0, 9, 9]


def controlled(grid, scores, first=0):
    moments = ControlledMoments(GridSurrogate(grid), first)
    moments.add(scores, torch.empty(0))
    return moments


def estimate(seed, count, design="independent", scores_of=curved, keep=0.5):
    grid = RandomGrid(SIZE, CELLS, keep, seed, design)
    return controlled(grid, scores_of(grid.masks(0, count)))


@pytest.fixture(scope="module")
def truth():
    """Plain averages over 100,000 independent masks."""
    moments = RelaxMoments.empty(SIZE)
    grid = RandomGrid(SIZE, CELLS, seed=999)
    for start in range(0, 100_000, 4000):
        masks = grid.masks(start, start + 4000)
        moments.add(curved(masks), masks)
    return moments


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("count", [40, 300])
def test_the_importance_is_unbiased_however_few_the_masks(truth, design, count):
    """Mean of 80 estimates, within 5 of its errors at every pixel and of the ratio's own bias, 1 / count."""
    maps = torch.stack([estimate(seed, count, design).importance for seed in range(80)])

    error = (maps.var(0) / len(maps) + truth.standard_error.square()).sqrt()

    assert ((maps.mean(0) - truth.importance).abs() < 5 * error + truth.importance.std() / count).all()


@pytest.mark.parametrize("design", DESIGNS)
def test_intervals_cover_the_truth_as_often_as_they_say(truth, design):
    """100 estimates from 512 masks each. The two Sobol blocks are too few to learn what the design saves."""
    covered = torch.zeros(SIZE, dtype=torch.float64)
    for seed in range(100):
        moments = estimate(seed, 512, design)
        error = (moments.standard_error.square() + truth.standard_error.square()).sqrt()
        covered += (moments.importance - truth.importance).abs() <= 1.96 * error

    assert 0.92 <= covered.mean() / 100 <= {"orthogonal": 0.99, "sobol": 1}.get(design, 0.97)


def test_each_residual_counts_on_the_map_of_its_own_fit():
    """By the definitions, from eight blocks in four folds: only so are differences between fits no error."""
    grid = RandomGrid(SIZE, CELLS, seed=3, design="orthogonal")
    masks = grid.masks(0, 8 * grid.block)
    scores, shown = curved(masks).double(), masks[:, 0].double()
    moments = controlled(grid, scores)
    values = []
    for fold in moments._current.folds:
        predicted = moments.surrogate.features(fold.start, fold.stop) @ fold.weights[:-1]
        residuals = (scores - scores.mean())[fold.start : fold.stop] - predicted
        values.append(residuals[:, None, None] + moments.surrogate.conditional_mean(fold.weights[:-1]))
    values = torch.cat(values)
    mean = (shown * values).sum(0) / shown.sum(0)
    products = shown * (values - mean)
    level = products.view(8, grid.block, *SIZE).sum(1).square().sum() / 7 * 8 / 7 / grid.block
    level /= products.square().sum() / (len(masks) - 1)
    alone = (products.square().sum(0) * len(masks) / (len(masks) - 1)).sqrt() / shown.sum(0)

    assert level < 0.5
    torch.testing.assert_close(moments.importance, mean + scores.mean(), rtol=1e-6, atol=0)
    torch.testing.assert_close(moments.standard_error, alone * level.sqrt(), rtol=1e-4, atol=0)


def test_the_error_is_a_fraction_of_the_plain_one(truth):
    """The standard deviation over seeds, and what the standard error says of it, both are less than 40 %.

    From four blocks only it says a sixth too much, on purpose, as Student's t does.
    """
    plain, controlled_maps, stated = [], [], []
    for seed in range(60):
        grid = RandomGrid(SIZE, CELLS, seed=seed)
        masks = grid.masks(0, 512)
        averaged = RelaxMoments.empty(SIZE)
        averaged.add(curved(masks), masks)
        estimated = estimate(seed, 512, "orthogonal")
        plain.append(averaged.importance)
        controlled_maps.append(estimated.importance)
        stated.append(estimated.standard_error)

    spread, less = torch.stack(plain).std(0).mean(), torch.stack(controlled_maps).std(0).mean()
    assert less < 0.4 * spread
    assert torch.stack(stated).mean() < 0.4 * spread
    assert 1.05 * less < torch.stack(stated).mean() < 1.25 * less


@pytest.mark.parametrize("keep", [0.5, 0.3])
def test_uncertainty_agrees_with_the_plain_one_after_many_masks(keep):
    grid = RandomGrid(SIZE, CELLS, keep, seed=1)
    masks = grid.masks(0, 40_000)
    plain = RelaxMoments.empty(SIZE)
    plain.add(curved(masks), masks)

    moments = controlled(grid, curved(masks))

    torch.testing.assert_close(moments.uncertainty, plain.uncertainty, rtol=0.03, atol=0)
    torch.testing.assert_close(moments.importance, plain.importance, rtol=0, atol=4 * float(plain.standard_error.max()))


@pytest.mark.parametrize("design", DESIGNS)
def test_a_score_that_is_the_visible_share_of_one_region_has_next_to_no_error(design):
    """That is a feature itself, so that its map is known: only the penalty of the fit leaves something to average."""
    first, second = (estimate(seed, 256, design, lambda masks: regions(masks)[:, 1, 1]) for seed in (0, 1))

    assert 0.999 < first.explained <= 1
    assert (first.importance - second.importance).abs().max() < 0.02 * first.importance.std()
    assert first.standard_error.max() < 0.01 * first.importance.std()


def regions(masks):
    return torch.nn.functional.adaptive_avg_pool2d(masks[:, 0].double(), CELLS)


@pytest.mark.parametrize("count", [12, 50])
def test_a_constant_score_has_a_flat_map_without_uncertainty(count):
    moments = estimate(0, count, "orthogonal", lambda masks: torch.full((len(masks),), 0.7))

    torch.testing.assert_close(moments.importance, torch.full(SIZE, 0.7, dtype=torch.float64), atol=1e-7, rtol=0)
    assert moments.uncertainty.abs().max() < 1e-12
    assert moments.explained == 0


def test_the_record_names_the_estimator_and_rounds_what_it_explains_to_four_digits():
    moments = estimate(0, 300)

    record = moments.record()

    assert set(record) == {"name", "explained"}
    assert record["name"] == "controlled"
    assert 0.5 < moments.explained < 1
    assert record["explained"] != moments.explained
    assert abs(record["explained"] - moments.explained) <= 0.5e-4
    assert record["explained"] * 10_000 == pytest.approx(round(record["explained"] * 10_000), abs=1e-8)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_handful_of_masks_has_maps_too(count):
    """A single mask leaves nothing to learn from: its score is the map, and there is no error."""
    moments = estimate(0, count)

    assert moments.importance.isfinite().all()
    assert moments.uncertainty.min() >= 0
    if count == 1:
        torch.testing.assert_close(moments.importance, moments.scores.expand(SIZE))
        assert moments.standard_error.isnan().all()


def test_scores_that_owe_nothing_to_the_masks_get_no_surrogate():
    noise = torch.randn(400, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    moments = estimate(0, 400, scores_of=lambda masks: noise)

    assert moments.explained < 0.05


def test_batches_and_where_they_begin_change_nothing():
    grid = RandomGrid(SIZE, CELLS, seed=2, design="orthogonal")
    scores = curved(grid.masks(100, 500))
    whole = controlled(grid, scores, first=100)

    cut = ControlledMoments(GridSurrogate(grid), first=100)
    for chunk in scores.split(37):
        cut.add(chunk, torch.empty(0))
        assert cut.count >= len(chunk)

    assert torch.equal(cut.importance, whole.importance)
    assert cut.count == 400
    shifted = controlled(grid, scores, first=0)
    assert not torch.equal(shifted.importance, whole.importance)


def test_more_scores_make_the_maps_anew():
    grid = RandomGrid(SIZE, CELLS, seed=2)
    scores = curved(grid.masks(0, 600))
    moments = controlled(grid, scores[:300])
    before = moments.importance

    moments.add(scores[300:], torch.empty(0))

    assert not torch.equal(moments.importance, before)
    assert torch.equal(moments.importance, controlled(grid, scores).importance)


def test_explain_takes_control_variates_on_the_grid_and_the_plain_average_elsewhere():
    image = torch.rand(3, 24, 24, generator=torch.Generator().manual_seed(0))

    def explanation(**settings):
        return relax.explain(image, lambda pixels: pixels.flatten(1) + 0.1, masks=300, cells=3, **settings)

    assert explanation().provenance["estimator"]["name"] == "controlled"
    assert explanation().provenance["estimator"]["explained"] > 0.5
    assert explanation().provenance["masks"]["design"] == "orthogonal"
    for plain in (
        explanation(estimator="plain"),
        explanation(regions="superpixels"),
        explanation(preset="paper"),
        explanation(preset="paper-rise"),
    ):
        assert plain.provenance["estimator"] == {"name": "plain"}
    assert explanation(preset="paper-rise").provenance["masks"]["design"] == "independent"


def test_a_probe_gives_the_maps_of_explain():
    image = torch.rand(3, 24, 24, generator=torch.Generator().manual_seed(0))

    def encoder(pixels):
        return torch.nn.functional.avg_pool2d(pixels, 6).flatten(1)

    explained = relax.explain(image, encoder, masks=300)
    probed = relax.probe(image, encoder, masks=300).explain()

    for name in ("importance", "uncertainty", "standard_error"):
        np.testing.assert_array_equal(getattr(explained, name), getattr(probed, name))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"estimator": "exact"}, r"estimator must be one of auto, controlled, plain; got 'exact'"),
        ({"design": "latin"}, r"design must be one of orthogonal, .*; got 'latin'"),
        ({"estimator": "controlled", "regions": "superpixels"}, r'needs regions "grid" .* got \'superpixels\' with 7'),
        ({"estimator": "controlled", "cells": 40}, r"at most 36 cells; got 'grid' with 40"),
    ],
)
def test_what_cannot_be_controlled_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        relax.explain(torch.rand(3, 64, 64), lambda pixels: pixels.flatten(1), masks=10, **settings)
