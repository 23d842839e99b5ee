"""An explanation that is running can be watched: each look is what an explanation from so many masks would be."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import relax
from relax.estimators.convergence import Convergence
from relax.estimators.moments import RelaxMoments
from relax.method import image_watcher
from relax.settings import Settings

MAPS = ("importance", "uncertainty", "standard_error")
IMAGE = torch.rand(3, 40, 48, generator=torch.Generator().manual_seed(0))


def weights(pixels):
    """An encoder of four numbers, as a function: sums of the picture's quarters."""
    return torch.nn.functional.adaptive_avg_pool2d(pixels.mean(1, keepdim=True), 2).flatten(1) + 0.1


def looks(**keywords):
    return list(relax.explaining(IMAGE, weights, batch_size=64, **keywords))


@pytest.mark.parametrize(
    "settings",
    [
        {"cells": 3},
        {"cells": 3, "design": "sobol"},
        {"estimator": "plain"},
        {"design": "independent", "estimator": "plain"},
    ],
    ids=str,
)
def test_each_look_is_the_explanation_from_so_many_masks(settings):
    *partial, last = looks(masks=700, every=192, **settings)

    assert [look.provenance["masks"]["count"] for look in (*partial, last)] == [192, 384, 576, 700]
    for look in (*partial, last):
        alone = relax.explain(IMAGE, weights, masks=look.provenance["masks"]["count"], batch_size=64, **settings)
        for name in (*MAPS, "scores"):
            np.testing.assert_allclose(getattr(look, name), getattr(alone, name), rtol=1e-6, atol=1e-7)


def test_watching_changes_no_number():
    watched, alone = looks(masks=500, every=100)[-1], relax.explain(IMAGE, weights, masks=500, batch_size=64)

    for name in (*MAPS, "scores"):
        assert np.array_equal(getattr(watched, name), getattr(alone, name)), name


@pytest.mark.parametrize("within", [None, (12, 0, 48, 20)])
def test_a_small_look_has_the_maps_of_the_large_one_and_the_last_is_whole(within):
    """Half the size: the small map is interpolated at other places, so it is the mean of four values but for bends."""
    settings = Settings.of({"masks": 300, "batch_size": 64, "cells": 3, "within": within})
    watch = image_watcher(relax.load_encoder(weights), settings)

    *whole, last = watch(IMAGE, None, 128)
    *small, same = watch(IMAGE, None, 128, longest=24)

    assert [look.importance.shape for look in small] == [(20, 24)] * 2
    assert np.array_equal(same.importance, last.importance, equal_nan=True)
    for few, many in zip(small, whole, strict=True):
        assert few.image.shape == (20, 24, 3)
        means = many.importance.reshape(20, 2, 24, 2).mean((1, 3))
        np.testing.assert_allclose(few.importance, means, rtol=1e-3)
        assert np.isnan(few.importance[10:]).all() == (within is not None)


def test_all_looks_but_the_last_say_that_masks_are_missing():
    *partial, last = looks(masks=300, every=128)

    assert [look.provenance["stopped_early"] for look in partial] == [
        {"after": 128, "of": 300},
        {"after": 256, "of": 300},
    ]
    assert "stopped_early" not in last.provenance


def test_later_looks_are_a_quarter_of_the_masks_so_far_apart():
    counts = [look.provenance["masks"]["count"] for look in looks(masks=1700, every=64, estimator="plain")]

    assert counts == [64, 128, 192, 256, 320, 448, 576, 768, 960, 1216, 1536, 1700]


def test_the_curve_has_the_error_of_each_look():
    watched = looks(masks=600, every=200)

    curve = watched[-1].provenance["convergence"]

    assert curve["masks"] == [256, 512, 600]  # the ends of batches
    for look, largest, median in zip(watched, curve["largest"], curve["median"], strict=True):
        assert largest == pytest.approx(np.nanmax(look.standard_error), rel=1e-5)
        assert median <= largest
    assert watched[0].provenance["convergence"]["masks"] == [256]


def test_plain_averages_are_looked_at_each_time_the_masks_double_and_control_variates_only_at_last():
    plain = relax.explain(IMAGE, weights, masks=1200, batch_size=64, estimator="plain")
    controlled = relax.explain(IMAGE, weights, masks=1200, batch_size=64)

    assert plain.provenance["convergence"]["masks"] == [256, 512, 1024, 1200]
    assert controlled.provenance["convergence"]["masks"] == [1200]


def test_the_curve_of_control_variates_is_estimated_from_the_scores_when_it_is_asked_for(tmp_path):
    explanation = relax.explain(IMAGE, weights, masks=600, batch_size=64, cells=3)
    loaded = relax.Explanation.load(explanation.save(tmp_path / "map.npz"))

    curve = loaded.convergence()

    assert curve["masks"] == [256, 512, 600]
    errors = [relax.explain(IMAGE, weights, masks=masks, cells=3).standard_error.max() for masks in curve["masks"]]
    assert curve["largest"] == pytest.approx(errors, rel=1e-4)
    assert relax.probe(IMAGE, weights, masks=600, batch_size=64, cells=3).explain().convergence() == curve


def test_a_curve_for_which_masks_would_have_to_be_drawn_without_a_limit_is_refused():
    explanation = relax.explain(IMAGE, weights, masks=300, cells=3)
    record = explanation.provenance
    huge = {**record, "masks": {**record["masks"], "image_size": [40, 10**9]}}

    with pytest.raises(ValueError, match=r"masks must be at most 2048 pixels high and wide; got \[40, 1000000000\]"):
        replace(explanation, provenance=huge).convergence()
    with pytest.raises(ValueError, match="there is no convergence: the masks are not random"):
        relax.explain(IMAGE, weights, regions="windows").convergence()


def test_a_tolerance_leaves_the_error_at_all_its_looks():
    explanation = relax.explain(IMAGE, weights, masks=4000, tolerance=0.0005, estimator="plain")

    curve, used = explanation.provenance["convergence"], explanation.provenance["masks"]["count"]
    assert used < 4000
    assert curve["masks"] == [
        256,
        *(look for look in (512, 768, 1024, 1280, 1536, 1792, 2048, 2560, 3072) if look <= used),
    ]
    assert curve["largest"][-1] <= 0.0005 < curve["largest"][-2]
    assert "stopped_early" not in explanation.provenance


def test_masks_that_are_not_random_have_no_curve():
    assert relax.explain(IMAGE, weights, regions="windows").provenance["convergence"] is None


def test_a_point_of_the_curve_is_the_largest_error_and_the_median_of_pixels_that_have_one():
    """Two masks, the scores 1 and 0. The first shows the first two pixels, both show the third, none the fourth."""
    moments, curve = RelaxMoments.empty((1, 4)), Convergence()
    masks = torch.tensor([[1.0, 1, 1, 0], [0, 0, 1, 0]]).view(2, 1, 1, 4)
    moments.add(torch.tensor([1.0, 0.0]), masks)

    curve.add(moments)
    curve.add(moments)

    # The third: mean 1/2, sqrt(2 / 1 (1/4 + 1/4)) / 2 = 1/2. The first two: one score each, which is their mean.
    assert curve.record() == {"masks": [2], "largest": [0.5], "median": [0.0]}


def test_rise_is_watched_too_and_other_methods_give_their_only_map():
    head = TwoClasses()

    rise = looks(method="rise", head=head, masks=500, every=192)
    alone = relax.explain(IMAGE, weights, method="rise", head=head, masks=384, batch_size=64)

    assert [look.provenance["masks"]["count"] for look in rise] == [192, 384, 500]
    np.testing.assert_allclose(rise[1].importance, alone.importance, rtol=1e-6)
    assert rise[1].provenance["stopped_early"] == {"after": 384, "of": 500}
    assert len(looks(method="occlusion")) == 1


class TwoClasses:
    """The first number of an embedding is the probability of the first class."""

    classes = ("first", "second")

    def scores(self, embeddings):
        return torch.stack([embeddings[:, 0], 1 - embeddings[:, 0]], 1)

    logits = scores

    def class_index(self, name_or_index):
        return self.classes.index(name_or_index)

    def check(self, encoder):
        pass


def test_a_watched_explanation_is_refused_for_several_pictures_and_for_no_number_of_masks():
    with pytest.raises(ValueError, match="image must be one picture, of which explaining gives"):
        relax.explaining([IMAGE, IMAGE], weights)
    with pytest.raises(ValueError, match="every is the least number of masks between two looks, 1 or more; got 0"):
        relax.explaining(IMAGE, weights, every=0)
    with pytest.raises(TypeError, match=r"explaining\(\) has no keyword 'mask': did you mean 'masks'\?"):
        relax.explaining(IMAGE, weights, mask=3)


class Pressed:
    """Ctrl-C in the middle of a batch: the encoder is interrupted in its third."""

    def __init__(self, batch):
        self.batch, self.seen = batch, 0

    def __call__(self, pixels):
        self.seen += len(pixels) == 64
        if self.seen == self.batch:
            raise KeyboardInterrupt
        return weights(pixels)


@pytest.mark.parametrize("settings", [{}, {"estimator": "plain"}], ids=str)
def test_ctrl_c_keeps_the_maps_so_far_with_their_honest_error(settings):
    with pytest.raises(relax.Interrupted, match="one has 128 of 900 masks") as stop:
        relax.explain(IMAGE, Pressed(3), masks=900, batch_size=64, **settings)

    alone = relax.explain(IMAGE, weights, masks=128, batch_size=64, **settings)
    for name in (*MAPS, "scores"):
        np.testing.assert_allclose(getattr(stop.value.explanation, name), getattr(alone, name), rtol=1e-6, atol=1e-7)
    assert stop.value.explanation.provenance["stopped_early"] == {"after": 128, "of": 900}
    assert isinstance(stop.value, KeyboardInterrupt)


def test_ctrl_c_before_the_first_masks_is_an_ordinary_one():
    with pytest.raises(KeyboardInterrupt) as stop:
        relax.explain(IMAGE, Pressed(1), masks=900, batch_size=64)

    assert not isinstance(stop.value, relax.Interrupted)


def test_ctrl_c_between_two_sums_of_a_batch_leaves_no_half_of_it(monkeypatch):
    """The plain sums have the second batch, the squared ones do not: all are added up again."""
    add, calls = RelaxMoments.add, []

    def interrupted(self, scores, masks):
        calls.append(len(scores))
        if len(calls) == 2:
            self.plain.add(scores.double(), masks.squeeze(1))
            raise KeyboardInterrupt
        add(self, scores, masks)

    monkeypatch.setattr(RelaxMoments, "add", interrupted)
    with pytest.raises(relax.Interrupted) as stop:
        relax.explain(IMAGE, weights, masks=900, batch_size=64, estimator="plain")
    monkeypatch.undo()

    alone = relax.explain(IMAGE, weights, masks=128, batch_size=64, estimator="plain")
    np.testing.assert_allclose(stop.value.explanation.importance, alone.importance, rtol=1e-6)
    np.testing.assert_allclose(stop.value.explanation.standard_error, alone.standard_error, rtol=1e-5)


def test_ctrl_c_among_several_pictures_keeps_those_that_are_done():
    with pytest.raises(relax.Interrupted, match="1 explanations are done and one has 64 of 128 masks") as stop:
        relax.explain([IMAGE, IMAGE.flip(-1)], Pressed(4), masks=128, batch_size=64)

    done, partial = stop.value.explanations
    assert "stopped_early" not in done.provenance
    assert partial.provenance["masks"]["count"] == 64
