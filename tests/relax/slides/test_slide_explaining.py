"""The map of a slide is the average over all subsets, within its standard error, and its exact numbers are exact."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from relax.slides.explaining import explain_slide, slide_embedding
from relax.slides.tiles import SlideTiles
from similarity.measures import MEASURES

N, K, D = 9, 3, 5
RNG = np.random.default_rng(0)
FEATURES = (RNG.normal(size=(N, D)) + 0.7).astype(np.float32)
OTHER = RNG.normal(size=D).astype(np.float32)
WEIGHTS = RNG.uniform(0.2, 2, N)
TILES = SlideTiles("nine", FEATURES, np.arange(2 * N).reshape(N, 2), 1, None)


def by_definition(similarity, reference, weights):
    """Importance and uncertainty over all 84 subsets of three of the nine tiles, in plain loops."""
    weights = np.ones(N) if weights is None else weights
    mean = np.average(FEATURES.astype(np.float64), 0, weights)
    goal = torch.from_numpy(mean if reference is None else reference.astype(np.float64))
    scores = {}
    for shown in combinations(range(N), K):
        seen = np.average(FEATURES[list(shown)].astype(np.float64), 0, weights[list(shown)])
        scores[shown] = float(MEASURES[similarity](torch.from_numpy(seen)[None], goal))
    of_tile = [[score for shown, score in scores.items() if tile in shown] for tile in range(N)]
    return np.array([np.mean(values) for values in of_tile]), np.array([np.var(values) for values in of_tile])


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize("reference", [None, OTHER], ids=["itself", "vector"])
@pytest.mark.parametrize("similarity", ["cosine", "l2", "dot", "rbf"])
def test_the_map_is_the_average_over_all_subsets(similarity, reference, weights):
    importance, uncertainty = by_definition(similarity, reference, weights)

    slide_map = explain_slide(
        TILES, reference=reference, similarity=similarity, weights=weights, masks=1024, keep=K / N, progress=False
    )

    errors = np.abs(slide_map.importance - importance) / slide_map.standard_error
    assert errors.max() < 4.5
    np.testing.assert_allclose(slide_map.uncertainty, uncertainty, rtol=0.35, atol=0.02 * uncertainty.max())


def test_the_standard_error_is_honest():
    """Over 40 seeds the errors of the importance are as large as they are said to be."""
    importance, _ = by_definition("cosine", OTHER, None)
    maps = [explain_slide(TILES, reference=OTHER, masks=256, keep=K / N, seed=seed) for seed in range(40)]

    squares = [((slide_map.importance - importance) / slide_map.standard_error) ** 2 for slide_map in maps]

    assert 0.6 < np.mean(squares) < 1.6


def test_far_fewer_subsets_are_needed_than_for_plain_averages(small_tiles):
    from relax.estimators.moments import RelaxMoments
    from relax.slides.explaining import tile_score
    from relax.slides.subsets import Subsets

    reference = np.eye(8, dtype=np.float32)[0]
    score, _ = tile_score(small_tiles, reference)
    plain, grid = RelaxMoments.empty((1, 30)), Subsets(30, 0.25)
    masks = grid.masks(0, 1024)
    plain.add(score(masks[:, 0, 0]), masks)

    slide_map = explain_slide(small_tiles, reference=reference, masks=1024, keep=0.25)

    assert np.median(slide_map.standard_error) < 0.2 * float(plain.standard_error.median())
    np.testing.assert_allclose(slide_map.importance, plain.importance[0], atol=4 * float(plain.standard_error.max()))
    assert slide_map.provenance["estimator"]["explained"] > 0.9


def test_the_numbers_beside_the_map_are_exact():
    slide_map = explain_slide(TILES, reference=OTHER, masks=64)

    mean = FEATURES.astype(np.float64).mean(0)
    others = [np.delete(FEATURES.astype(np.float64), tile, 0).mean(0) for tile in range(N)]
    cosines = cosine_similarity(torch.tensor(np.array([mean, *others, *FEATURES])), torch.tensor(OTHER).double(), 1)
    assert slide_map.score == pytest.approx(float(cosines[0]), abs=1e-7)
    np.testing.assert_allclose(slide_map.without, cosines[1 : N + 1], atol=1e-6)
    np.testing.assert_allclose(slide_map.alone, cosines[N + 1 :], atol=1e-6)
    np.testing.assert_allclose(slide_map.influence, float(cosines[0]) - cosines[1 : N + 1], atol=1e-6)


def test_a_tile_that_alone_points_to_the_reference_comes_first(small_tiles):
    features = small_tiles.features.copy()
    features[17] = 6 * np.eye(8)[3]
    tiles = SlideTiles("planted", features, small_tiles.corners, 100, None)

    slide_map = explain_slide(tiles, reference=np.eye(8)[3], masks=256)

    assert slide_map.top(1).tolist() == [17]
    assert slide_map.effect.sum() == pytest.approx(0, abs=1e-9)


def test_another_slide_is_a_reference_and_a_foil(small_tiles):
    other = SlideTiles("other", np.roll(small_tiles.features, 3, 1) + 1, small_tiles.corners, 100, None)

    to_slide = explain_slide(small_tiles, reference=other, masks=128)
    to_vector = explain_slide(small_tiles, reference=slide_embedding(other), masks=128)
    against = explain_slide(small_tiles, foil=other, masks=128)
    itself = explain_slide(small_tiles, masks=128)

    np.testing.assert_allclose(to_slide.importance, to_vector.importance)
    assert to_slide.provenance["reference"] == "other (slide)"
    assert against.score == pytest.approx(1 - to_slide.score)
    np.testing.assert_allclose(against.alone, itself.alone - to_slide.alone, atol=1e-12)


def test_a_picture_is_embedded_by_the_encoder_of_the_tiles(small_tiles, mean_colours):
    features = np.random.default_rng(0).uniform(size=(30, 12)).astype(np.float32)
    tiles = SlideTiles("coloured", features, small_tiles.corners, 100, None)
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255

    with pytest.raises(ValueError, match=r"coloured do not say by which encoder .* \(--encoder\)"):
        explain_slide(tiles, reference=red, masks=64)
    slide_map = explain_slide(tiles, reference=red, encoder=mean_colours(), masks=64)

    vector = np.repeat([1, 0, 0], 4)
    np.testing.assert_allclose(slide_map.score, explain_slide(tiles, reference=vector.astype(float), masks=64).score)


def test_the_same_seed_gives_the_same_map_and_the_fraction_of_many_tiles_survives_rounding():
    """Of 1,000 tiles each moves the slide by about 1e-7: two seeds must still agree on which do."""
    rng = np.random.default_rng(0)
    clusters = (rng.normal(size=(4, 16)) + 1)[rng.choice(4, 1000, p=[0.6, 0.3, 0.08, 0.02])]
    features = (clusters + 0.3 * rng.normal(size=clusters.shape)).astype(np.float32)
    tiles = SlideTiles("many", features, np.zeros((1000, 2), np.int64), 1, None)

    first, again, second = (explain_slide(tiles, masks=512, keep=0.25, seed=seed) for seed in (0, 0, 1))

    np.testing.assert_array_equal(first.importance, again.importance)
    assert np.corrcoef(first.effect, second.effect)[0, 1] > 0.6
    assert np.ptp(first.importance) < 1e-4


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"masks": 10}, "masks must be 64 subsets or more; got 10"),
        ({"keep": 2}, "keep"),
        ({"reference": np.ones(3)}, "reference must have the 5 numbers .* got 3"),
        ({"weights": np.ones(4)}, "weights must be one number per tile, here 9"),
        ({"weights": -np.ones(N)}, "weights must be one number per tile, here 9, 0 or more"),
        ({"similarity": "nearness"}, "similarity must be one of"),
    ],
)
def test_impossible_questions_are_refused(choice, message):
    with pytest.raises(ValueError, match=message):
        explain_slide(TILES, **choice)


def test_a_single_tile_has_no_map():
    with pytest.raises(ValueError, match="a map needs two tiles or more; one has 1"):
        explain_slide(SlideTiles("one", FEATURES[:1], np.zeros((1, 2), np.int64), 1, None))


def test_progress_is_told_and_ends():
    told = []

    explain_slide(TILES, masks=600, progress=lambda done, total: told.append((done, total)))

    assert told == [(256, 600), (512, 600), (600, 600)]
