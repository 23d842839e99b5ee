"""The numbers of Network Dissection, each against its definition, a hand computation or another library."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from relax.concepts.chance import corrected_p, shuffled_orders
from relax.concepts.overlap import Overlaps, areas
from relax.concepts.parts import PartCounts, parts_of
from relax.concepts.quantiles import LargestValues
from relax.concepts.ranking import rank_scores


@pytest.mark.parametrize(("share", "batch", "missing"), [(0.005, 7, 0), (0.25, 100, 0), (0.5, 33, 12), (0.999, 50, 3)])
def test_levels_equal_numpys_quantile_of_all_values_however_they_come(share, batch, missing):
    values = np.random.default_rng(0).normal(size=(5, 400)).astype(np.float32)
    values[2, :390] = 0  # a unit that is mostly silent

    largest = LargestValues(5, 400 + missing, share)  # pictures that fail are announced, too
    for start in range(0, 400, batch):
        largest.add(torch.from_numpy(values[:, start : start + batch]))

    expected = np.quantile(values.astype(np.float64), 1 - share, axis=1)
    np.testing.assert_allclose(largest.levels().numpy(), expected, rtol=1e-12, atol=1e-12)
    assert largest.kept <= (400 + missing) * share + 2


def test_iou_of_two_pictures_worked_out_by_hand():
    """One unit, one concept, cells as large as pixels, level 1.

    Picture 1: the unit covers 2 px, the concept 3, both 1. Picture 2: 1, 0 and 0. IoU = 1 / (3 + 3 - 1).
    """
    level, overlaps = torch.tensor([1.0]), Overlaps.empty(1, 1)
    pictures = [
        ([[2.0, 3.0], [1.0, 0.0]], [[True, False], [True, True]]),  # 1 is not above 1
        ([[0.0, 0.0], [0.0, 5.0]], [[False, False], [False, False]]),
    ]

    for maps, mask in pictures:
        active, regions = areas(torch.tensor([maps]), level, (2, 2))
        overlaps.add(active, regions, torch.tensor([mask]))

    assert overlaps.iou().item() == pytest.approx(1 / 5)
    assert (overlaps.units.item(), overlaps.concepts.item(), overlaps.both.item()) == (3, 3, 1)


def test_a_map_is_enlarged_bilinearly_with_cells_at_the_centres_of_their_parts():
    """Between 0 at 2 px and 1 at 6 px of 8, the level 0.25 is crossed at 3 px."""
    _, regions = areas(torch.tensor([[[0.0, 1.0]]]), torch.tensor([0.25]), (1, 8))

    assert regions[0, 0].tolist() == [False] * 3 + [True] * 5


def test_shuffled_overlaps_are_those_with_the_masks_of_the_other_pictures():
    rng = np.random.default_rng(1)
    regions = torch.from_numpy(rng.random((3, 4, 6, 6)) < 0.3)  # pictures, units
    masks = torch.from_numpy(rng.random((3, 2, 6, 6)) < 0.4)
    orders = shuffled_orders(3, 5, seed=0)
    overlaps = Overlaps.empty(4, 2, shuffles=5)

    for place in range(3):
        overlaps.add(torch.arange(4), regions[place], masks[place], masks[orders[:, place]])

    for order, table in zip(orders, overlaps.shuffled_iou(), strict=True):
        alone = Overlaps.empty(4, 2)
        for place in range(3):
            alone.add(torch.arange(4), regions[place], masks[order[place]])
        torch.testing.assert_close(table, alone.iou())


def test_auc_and_ap_are_those_of_scikit_learn_with_ties():
    rng = np.random.default_rng(2)
    activations = np.maximum(rng.normal(size=(300, 4)), 0).astype(np.float32)  # half of them 0
    inside = rng.random((300, 3)) < [0.1, 0.5, 0.0]

    auc, ap = rank_scores(activations, inside)

    for unit in range(4):
        for concept in range(2):
            truth, values = inside[:, concept], activations[:, unit]
            assert auc[unit, concept] == pytest.approx(roc_auc_score(truth, values), abs=1e-12)
            assert ap[unit, concept] == pytest.approx(average_precision_score(truth, values), abs=1e-12)
    assert np.isnan(auc[:, 2]).all()  # no cell on it


def test_chance_names_a_unit_in_at_most_one_of_twenty_data_sets():
    """40 units and 3 concepts that have nothing to do with each other: 120 pairs, 200 data sets."""
    rng, called = torch.Generator().manual_seed(3), 0
    for _ in range(200):
        tables = torch.rand(60, 40, 3, generator=rng) ** 3
        called += bool((corrected_p(tables[0], tables[1:]) <= 0.05).any())

    assert called <= 18  # expected 10, and more than 18 with a chance below 1 %


def test_units_that_meet_a_concept_now_and_then_do_not_hide_one_that_follows_it():
    rng = torch.Generator().manual_seed(1)
    shuffled = torch.rand(99, 500, 1, generator=rng) * 0.05 * (torch.rand(99, 500, 1, generator=rng) < 0.01)
    shuffled[:, 0] = torch.rand(99, 1, generator=rng) * 0.1
    true = torch.zeros(500, 1)
    true[0] = 0.3

    assert corrected_p(true, shuffled)[0, 0] == pytest.approx(0.01)


def test_what_exceeds_every_shuffle_is_called_and_what_never_varies_is_not():
    shuffled = torch.rand(99, 5, 2, generator=torch.Generator().manual_seed(0)) / 10
    shuffled[:, 4] = 0.3
    true = shuffled.mean(0)
    true[1, 0] = 0.9

    p = corrected_p(true, shuffled)

    assert p[1, 0] == pytest.approx(0.01)
    assert (p > 0.05).sum() == 9
    assert p[4].tolist() == [1, 1]


def test_parts_of_a_square_and_where_a_unit_is_densest():
    mask = np.zeros((12, 12), bool)
    mask[3:9, 3:9] = True

    inside, rim, outside = parts_of(mask, 1)
    counts = PartCounts.empty(2, 1)
    counts.add(torch.from_numpy(np.stack([inside, outside | rim])), torch.tensor([0, 1]), mask[None], 1)

    assert (inside.sum(), rim.sum(), outside.sum()) == (16, 20 + 24, 144 - 16 - 44)
    assert (inside.astype(int) + rim + outside == 1).all()
    density = counts.density()[:, 0]
    assert density[0].tolist() == pytest.approx([144 / 16, 0, 0])
    assert density[1].tolist() == pytest.approx([0, 144 / 128, 144 / 128])


def test_the_frame_of_the_picture_is_no_rim():
    mask = np.zeros((6, 6), bool)
    mask[:, :3] = True

    assert parts_of(mask, 1)[1].sum(0).tolist() == [0, 0, 6, 6, 0, 0]
