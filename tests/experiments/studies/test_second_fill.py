"""The tables of the studies of fills, on values made up so that the answers are plain."""

import numpy as np
import pytest
import torch

from experiments.studies.fine_tuned import Adapter, unchanged
from experiments.studies.imputations import told_apart
from experiments.studies.second_fill import BLURRED, agreement, ahead, controls, table, twins

METHODS = ("relax", "lime", "random")


def rows_of(values):
    """From {metric: {method: value of the first and the second picture}}."""
    return [
        {"encoder": "e", "picture": number, "metric": metric, "method": method, "value": value}
        for metric, of in values.items()
        for method, pair in of.items()
        for number, value in enumerate(pair)
    ]


def test_ranks_and_who_is_behind_the_random_map():
    lines = table(rows_of({"road": {"relax": (0.5, 0.7), "lime": (0.1, 0.1), "random": (0.2, 0.2)}}), METHODS)

    assert {line["method"]: line["rank"] for line in lines} == {"relax": 1, "lime": 3, "random": 2}
    (line,) = controls(lines)
    assert (line["best"], line["relax"], line["random"], line["behind_random"]) == ("relax", 1, 2, ["lime"])


def test_relax_is_ahead_by_the_mean_of_the_differences_on_the_same_pictures():
    first, second = ahead(rows_of({"road": {"relax": (0.5, 0.7), "lime": (0.2, 0.6), "random": (0, 0)}}), METHODS)

    assert (first["of"], first["gain"], first["gain_low"], first["gain_high"]) == ("lime", 0.2, 0.1, 0.3)
    assert (second["of"], second["gain"]) == ("random", 0.6)


def test_metrics_agree_by_the_ranks_of_the_same_methods():
    orders = {
        "road": {"relax": (3, 3), "lime": (2, 2), "random": (1, 1)},
        "deletion": {"relax": (1, 3), "lime": (2, 2), "random": (3, 1)},  # against it in the first picture
    }

    (line,) = agreement(rows_of(orders), METHODS)

    assert line["within_pictures"] == pytest.approx(0)
    assert (line["first"], line["second"]) == ("road", "deletion")


def test_the_twin_effect_is_half_of_what_each_map_gains_before_its_own_fill():
    values = {
        "region-insertion": {"relax": (0.6, 0.6), BLURRED: (0.4, 0.4)},
        "region-deletion": {"relax": (0.0, 0.0), BLURRED: (0.0, 0.0)},
        "region-insertion, blur": {"relax": (0.5, 0.5), BLURRED: (0.6, 0.6)},
        "region-deletion, blur": {"relax": (0.0, 0.0), BLURRED: (0.0, 0.0)},
        **{
            metric: {"relax": (0.0, 0.0), BLURRED: (0.0, 0.0)}
            for metric in ("mirrored-insertion", "mirrored-deletion", "road")
        },
    }

    (line,) = twins(rows_of(values))

    assert line["twin_effect"] == pytest.approx((0.2 + 0.1) / 2)
    assert (line["mean_ahead_under_mean"], line["under_blur"]) == (0.2, -0.1)


def test_an_adapter_learns_what_holes_do_and_leaves_alone_what_they_do_not():
    random = np.random.default_rng(0)
    whole = unchanged(torch.from_numpy(random.normal(size=(200, 4)))).numpy()
    turn = np.linalg.qr(random.normal(size=(4, 4)))[0]
    groups = np.repeat(np.arange(20), 10)

    turned = Adapter.of(whole @ turn.T, whole, groups)
    same = Adapter.of(whole, whole, groups)

    np.testing.assert_allclose(turned(torch.from_numpy(whole @ turn.T)).numpy(), whole, atol=0.01)
    np.testing.assert_allclose(same(torch.from_numpy(whole)).numpy(), whole, atol=1e-9)


def test_pictures_with_a_fill_are_told_apart_by_what_differs_and_not_by_what_does_not():
    whole = np.random.default_rng(0).normal(size=(60, 5))

    assert told_apart(whole, whole + np.array([9, 0, 0, 0, 0]))["auroc"] == 1
    assert told_apart(whole, whole)["auroc"] == pytest.approx(0.5, abs=0.05)
