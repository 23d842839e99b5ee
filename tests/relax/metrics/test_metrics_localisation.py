"""Localisation: hand values on tiny maps, what a perfect and a constant map must get, and Quantus on random maps."""

import numpy as np
import pytest
import quantus
from sklearn.metrics import roc_auc_score

from relax.metrics import auc, best_iou, pointing_game, relevance_mass, relevance_rank, top_k_intersection

ALL = (auc, best_iou, pointing_game, relevance_mass, relevance_rank, top_k_intersection)
NAN = float("nan")

MAP = np.array([[4.0, 3.0, 1.0], [2.0, 0.0, 5.0]])
TRUTH = np.array([[True, True, False], [False, False, True]])


def random_pair(seed, size=(12, 15)):
    rng = np.random.default_rng(seed)
    return rng.normal(size=size), rng.random(size) < 0.3


def test_values_worked_out_by_hand():
    """The order is 5 4 3 2 1 0, the first three of which are inside."""
    truth = np.array([[True, True, False], [True, False, False]])  # holds 4, 3 and 2; the rest is 1, 0 and 5

    assert pointing_game(MAP, truth) == 0
    assert top_k_intersection(MAP, truth, k=2) == 0.5
    assert relevance_rank(MAP, truth) == pytest.approx(2 / 3)
    assert relevance_mass(MAP, truth) == pytest.approx(9 / 15)
    assert relevance_mass(MAP + 1, truth, base="zero") == pytest.approx(12 / 21)
    assert auc(MAP, truth) == pytest.approx(6 / 9)  # of 9 pairs, the three with the 5 are in the wrong order
    assert best_iou(MAP, truth) == pytest.approx(3 / 4)  # the four highest: three of the mask, one outside


@pytest.mark.parametrize("metric", ALL)
def test_a_map_that_is_the_mask_gets_1(metric):
    truth = np.zeros((9, 11), dtype=bool)
    truth[2:5, 3:7] = True

    assert metric(truth.astype(np.float32), truth) == 1


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (auc, 0.5),
        (best_iou, 0.25),
        (pointing_game, 0.25),
        (relevance_rank, 0.25),
        (top_k_intersection, 0.25),
        (relevance_mass, NAN),
        (lambda *pair: relevance_mass(*pair, base="zero"), 0.25),
    ],
)
def test_a_constant_map_is_worth_chance(metric, expected):
    """A quarter of the pixels is inside, wherever: order among equals must not matter."""
    for place in (np.s_[:4, :4], np.s_[4:, 4:]):
        truth = np.zeros((8, 8), dtype=bool)
        truth[place] = True

        assert metric(np.full((8, 8), 0.93, np.float32), truth) == pytest.approx(expected, nan_ok=True)


def test_ties_are_worth_the_mean_over_their_orders():
    importance, truth = np.array([[3.0, 2.0, 2.0, 2.0, 1.0]]), np.array([[False, True, False, False, True]])

    # One place for the three 2s, one of which is inside: the mean of 1/2, 0 and 0.
    assert top_k_intersection(importance, truth, k=2) == pytest.approx(1 / 6)
    assert relevance_rank(importance, truth) == pytest.approx(1 / 6)
    assert pointing_game(np.array([[2.0, 2.0, 1.0, 2.0, 0.0]]), truth) == pytest.approx(1 / 3)


@pytest.mark.parametrize("seed", range(3))
def test_the_area_is_that_of_scikit_learn_also_with_ties(seed):
    importance, truth = random_pair(seed)
    importance = importance.round(1)

    assert auc(importance, truth) == pytest.approx(roc_auc_score(truth.ravel(), importance.ravel()), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_reversing_a_map_mirrors_its_area(seed):
    importance, truth = random_pair(seed)

    assert auc(-importance, truth) == pytest.approx(1 - auc(importance, truth))


@pytest.mark.parametrize("seed", range(3))
def test_the_best_threshold_is_the_best_of_all(seed):
    importance, truth = random_pair(seed)
    importance = importance.round(1)
    every = [
        (truth & (importance >= level)).sum() / (truth | (importance >= level)).sum() for level in np.unique(importance)
    ]

    assert best_iou(importance, truth) == pytest.approx(max(every))


@pytest.mark.parametrize("metric", ALL)
def test_pixels_that_are_not_known_are_left_out(metric):
    importance, truth = random_pair(1)
    wide = np.full((12, 19), np.nan)
    wide[:, 2:17] = importance
    inside = np.ones((12, 19), dtype=bool)  # what lies inside the mask but is not known must not count
    inside[:, 2:17] = truth

    assert metric(wide, inside) == pytest.approx(metric(importance, truth))


@pytest.mark.parametrize("metric", ALL)
def test_an_empty_mask_has_no_answer(metric):
    assert np.isnan(metric(MAP, np.zeros_like(TRUTH)))


def test_a_mask_without_outside_has_no_area():
    assert np.isnan(auc(MAP, np.ones_like(TRUTH)))


def test_a_miss_by_up_to_the_tolerance_is_a_hit():
    importance, truth = np.zeros((9, 9)), np.zeros((9, 9), dtype=bool)
    importance[1, 1], truth[4, 5] = 1, True  # 3 down and 4 across: 5 px away

    assert pointing_game(importance, truth) == 0
    assert pointing_game(importance, truth, tolerance=4.9) == 0
    assert pointing_game(importance, truth, tolerance=5) == 1


def test_a_constant_added_to_a_map_changes_only_the_raw_mass():
    """As RELAX's narrow band far from zero: what is above the lowest stays, the raw share goes to chance."""
    importance, truth = random_pair(2)

    assert relevance_mass(importance + 100, truth) == pytest.approx(relevance_mass(importance, truth))
    assert relevance_mass(importance + 1e6, truth, base="zero") == pytest.approx(truth.mean(), abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda a, s: pointing_game(a, s), quantus.PointingGame),
        (lambda a, s: auc(a, s), quantus.AUC),
        (lambda a, s: relevance_rank(a, s), quantus.RelevanceRankAccuracy),
        (lambda a, s: relevance_mass(a, s, base="zero"), quantus.RelevanceMassAccuracy),
        (lambda a, s: top_k_intersection(a, s, k=20), lambda **keywords: quantus.TopKIntersection(k=20, **keywords)),
    ],
)
def test_agrees_with_quantus(ours, theirs, seed):
    importance, truth = random_pair(seed)
    importance += 0.5  # a sum away from zero
    metric = theirs(abs=False, normalise=False, disable_warnings=True, display_progressbar=False)

    scores = metric(
        model=None,
        x_batch=importance[None, None],
        y_batch=np.zeros(1, int),
        a_batch=importance[None, None].copy(),
        s_batch=truth[None, None],
    )

    assert ours(importance, truth) == pytest.approx(float(scores[0]), abs=1e-6)


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(ValueError, match=r"truth must be bool of the map's size \(2, 3\).*got int64 \(2, 3\)"):
        auc(MAP, TRUTH.astype(np.int64))
    with pytest.raises(ValueError, match=r"truth must be bool of the map's size \(2, 3\).*got bool \(3, 2\)"):
        auc(MAP, TRUTH.T)
    with pytest.raises(ValueError, match=r"importance must be finite or NaN; got 1 infinite"):
        auc(np.where(MAP == 5, np.inf, MAP), TRUTH)
    with pytest.raises(ValueError, match=r"known for at least one pixel"):
        auc(MAP * np.nan, TRUTH)
    with pytest.raises(ValueError, match=r"k must be from 1 to the 6 known pixels; got 7"):
        top_k_intersection(MAP, TRUTH, k=7)
    with pytest.raises(ValueError, match=r"tolerance must be 0 px or more; got -1"):
        pointing_game(MAP, TRUTH, tolerance=-1)
    with pytest.raises(ValueError, match=r'base must be "lowest" or "zero"; got \'mean\''):
        relevance_mass(MAP, TRUTH, base="mean")


@pytest.mark.parametrize(("size", "k"), [((10, 20), 4), ((5, 5), 1), ((1, 2), 1)])
def test_two_percent_of_the_known_pixels_are_taken_by_default_and_at_least_one(size, k):
    importance, truth = random_pair(4, size)
    truth.flat[0] = True
    wide = np.pad(importance, ((0, 30), (0, 0)), constant_values=np.nan)

    assert top_k_intersection(importance, truth) == top_k_intersection(importance, truth, k=k)
    assert top_k_intersection(wide, np.pad(truth, ((0, 30), (0, 0)))) == top_k_intersection(importance, truth, k=k)
    assert top_k_intersection(importance, truth, k=importance.size) == pytest.approx(truth.mean())


@pytest.mark.parametrize("importance", [np.zeros((2, 3, 1)), np.zeros(6), np.array([["a", "b"]])])
def test_what_is_no_map_is_refused(importance):
    with pytest.raises(ValueError, match=r"importance must be numbers \(H, W\); got"):
        auc(importance, np.zeros(importance.shape, dtype=bool))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.int64, np.uint8, bool])
def test_numbers_of_any_kind_are_a_map(kind):
    """Sums over 8 bits would overflow."""
    importance = np.array([[1, 1, 0, 1]] * 300, dtype=kind)

    assert relevance_mass(importance, np.array([[True, False, True, False]] * 300)) == pytest.approx(1 / 3)


def test_of_a_few_pixels_the_most_important_alone_is_taken():
    assert top_k_intersection(MAP, MAP == 5) == 1
    assert top_k_intersection(MAP, MAP == 4) == 0
