"""Maps within a region: what is estimated, without bias, with an honest error, and nothing else changes."""

from functools import cache

import numpy as np
import pytest
import torch

import relax
from encoders import Encoder, Preprocess
from tests.reference import rise_mask

IMAGE = torch.rand(3, 18, 20, generator=torch.Generator().manual_seed(0))
BOX = (4, 5, 12, 11)  # left, top, right, bottom
INSIDE = np.zeros((18, 20), dtype=bool)
INSIDE[5:11, 4:12] = True
CORNER = np.zeros_like(INSIDE)
CORNER[5, 4] = True
INSIDE[5, 4] = INSIDE[10, 11] = False
WEIGHTS = torch.randn(18, 20, generator=torch.Generator().manual_seed(1)) / 6
AXIS = torch.tensor([1.0, 0.0])
MAPS = ("importance", "uncertainty", "standard_error")


def curved(pixels):
    """(N, 2): not linear in the pixels, nor a sum over parts of the picture; its dot product with AXIS is the score."""
    grey = pixels.mean(1)
    score = torch.tanh((grey * WEIGHTS).sum((1, 2))) + 2 * grey[:, 6, 5] * grey[:, 9, 10] + grey[:, 0, 0]
    return torch.stack([score, torch.ones_like(score)], 1)


def explain(**settings):
    return relax.explain(IMAGE, curved, **{"similarity": "dot", "reference": AXIS, "within": INSIDE, **settings})


def assert_same(first, second):
    for name in MAPS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"estimator": "plain", "design": "independent"},
        {"preset": "paper"},
        {"regions": "superpixels"},
        {"regions": "windows", "masks": 20},
        {"masks": torch.rand(40, 1, 18, 20, generator=torch.Generator().manual_seed(3))},
        {"method": "occlusion", "masks": None},
        {"fill": "blur"},
    ],
    ids=str,
)
def test_a_region_that_is_everything_changes_no_bit(settings):
    settings = {"masks": 300, "cells": 4, "reference": IMAGE, "similarity": "cosine", **settings}
    with pytest.warns(UserWarning, match="within covers the whole picture, so that the map is the one without it"):
        everywhere = explain(**settings, within=(0, 0, 20, 18))

    assert_same(everywhere, explain(**settings, within=None))
    assert everywhere.provenance["within"]["share"] == 1


@pytest.mark.parametrize("settings", [{}, {"regions": "superpixels"}, {"method": "occlusion", "masks": None}], ids=str)
def test_maps_are_known_in_the_region_only(settings):
    explanation = explain(**{"masks": 300, "cells": 3, **settings, "reference": IMAGE, "similarity": "l2"})

    np.testing.assert_array_equal(np.isfinite(explanation.importance), INSIDE)
    record = explanation.provenance["within"]
    assert (record["named"], record["box"]) == ("array (18, 20)", [5, 4, 11, 12])
    assert record["share"] == pytest.approx(INSIDE.mean(), rel=1e-3)
    assert explanation.provenance["masks"]["image_size"] == [6, 8]


def test_the_encoder_sees_the_photograph_outside_the_region_and_the_masks_of_the_box_inside():
    seen = []

    def encoder(pixels):
        seen.append(pixels.clone())
        return curved(pixels)

    probe = relax.probe(IMAGE, encoder, masks=50, cells=3, within=INSIDE, fill=0.25)

    views = torch.cat(seen)[-50:]
    outside = torch.from_numpy(~INSIDE).expand(50, 3, -1, -1)
    assert torch.equal(views[outside], IMAGE.expand(50, -1, -1, -1)[outside])
    masks = probe.scene.source.masks(0, 50)
    expected = masks * IMAGE[:, 5:11, 4:12] + (1 - masks) * 0.25
    inside = torch.from_numpy(INSIDE[5:11, 4:12]).expand(50, 3, -1, -1)
    torch.testing.assert_close(views[..., 5:11, 4:12][inside], expected[inside])


@cache
def truth_by_enumeration(steps=8):
    """(6, 8) of the box: E[s M] / E[M] over all 16 patterns of one cell's 2 x 2 points, and a lattice of shifts."""
    total, weight = torch.zeros(2, 6, 8, dtype=torch.float64)
    for pattern in range(16):
        cells = torch.tensor(
            [[float(pattern >> bit & 1) for bit in (0, 1)], [float(pattern >> bit & 1) for bit in (2, 3)]]
        )
        for down in range(steps):
            for right in range(steps):
                mask = rise_mask(cells, ((down + 0.5) / steps, (right + 0.5) / steps), (6, 8))
                picture = IMAGE.double().clone()
                hidden = torch.zeros(18, 20, dtype=torch.float64)
                hidden[5:11, 4:12] = (1 - mask) * torch.from_numpy(INSIDE[5:11, 4:12])
                total += mask * float(curved((picture * (1 - hidden))[None])[0, 0])
                weight += mask
    return total / weight


@pytest.mark.parametrize(
    ("masks", "settings"),
    [(40, {}), (300, {}), (300, {"preset": "paper-rise"})],
    ids=str,
)
def test_the_importance_is_that_of_all_masks(masks, settings):
    """The mean of 40 maps within 5 of its errors of what all masks of one cell give, and of the ratio's bias, 1 / N."""
    truth = truth_by_enumeration()

    maps = np.stack([explain(masks=masks, cells=1, seed=seed, **settings).importance for seed in range(40)])

    box = maps[:, 5:11, 4:12].astype(np.float64)
    error = box.std(0, ddof=1) / np.sqrt(len(box))
    known = INSIDE[5:11, 4:12]
    assert (np.abs(box.mean(0) - truth.numpy()) < 5 * error + float(truth.std()) / masks + 1e-4)[known].all()


@pytest.mark.parametrize("settings", [{}, {"preset": "paper-rise"}, {"regions": "superpixels"}], ids=str)
def test_intervals_cover_the_truth_as_often_as_they_say(settings):
    """40 maps of 512 masks, against one of 12,000 others, inside the region."""
    settings = {"cells": 3, **settings}
    other = {} if "regions" in settings else {"preset": "paper-rise"}
    truth = explain(masks=12_000, seed=10_000, **{**settings, **other})
    covered = np.zeros(INSIDE.shape)
    for seed in range(40):
        explanation = explain(masks=512, seed=seed, **settings)
        error = np.hypot(explanation.standard_error, truth.standard_error)
        covered += np.abs(explanation.importance - truth.importance) <= 1.96 * error

    share = covered[INSIDE].mean() / 40
    assert 0.9 <= share <= 0.99
    assert not covered[~INSIDE].any()


def test_control_variates_work_within_a_region_as_in_the_whole_picture():
    """The spread over seeds, and what the standard error says of it, are a fraction of those of plain averages."""
    spread, stated = {}, {}
    for estimator in ("controlled", "plain"):
        maps = [explain(masks=256, cells=3, seed=seed, estimator=estimator, design="independent") for seed in range(30)]
        spread[estimator] = np.nanmean(np.std([explanation.importance for explanation in maps], 0))
        stated[estimator] = np.nanmean([explanation.standard_error for explanation in maps])

    assert spread["controlled"] < 0.5 * spread["plain"]
    assert stated["controlled"] == pytest.approx(spread["controlled"], rel=0.2)
    assert maps[0].provenance["estimator"] == {"name": "plain"}


@pytest.mark.filterwarnings("ignore:.*largest standard error")
def test_a_tolerance_is_of_the_region_and_so_is_the_convergence():
    """In the box of an L the largest error is that of a pixel outside, 2 % above all inside, which must not count."""
    corner = np.zeros_like(INSIDE)
    corner[5:11, 4:5] = corner[10:11, 4:12] = True

    explanation = explain(masks=512, cells=3, tolerance=1e-9, design="independent", within=corner)

    assert explanation.provenance["converged"] is False
    largest = explanation.provenance["convergence"]["largest"][-1]
    assert largest == pytest.approx(float(np.nanmax(explanation.standard_error)), rel=1e-5)


def test_the_convergence_is_kept_where_nobody_looked():
    curve = explain(masks=1100, cells=3).convergence()

    assert curve["masks"] == [256, 512, 1024, 1100]
    assert curve["largest"][-1] < curve["largest"][0]


def test_more_masks_are_added_within_the_same_region_only():
    earlier = explain(masks=300, cells=3)

    more = explain(masks=500, cells=3, earlier=earlier)

    whole = explain(masks=500, cells=3)
    for name in MAPS:
        np.testing.assert_allclose(getattr(more, name), getattr(whole, name), rtol=1e-5, atol=1e-6)
    for other in (None, BOX):
        with pytest.raises(ValueError, match=r"earlier cannot be continued: .*within is [0-9a-f]{8}.* there and"):
            explain(masks=500, cells=3, earlier=earlier, within=other)


def test_rise_and_probes_answer_within_the_region_too():
    probe = relax.probe(IMAGE, curved, masks=300, cells=3, within=INSIDE)

    assert_same(probe.explain(AXIS, similarity="dot"), explain(masks=300, cells=3))
    votes = probe.repeat(3, AXIS, similarity="dot").votes()
    np.testing.assert_array_equal(np.isfinite(votes), INSIDE)
    assert set(np.unique(votes[INSIDE]).round(3)) <= {0, 0.333, 0.667, 1}


def test_occlusion_hides_windows_of_the_box_and_shows_the_rest():
    """The corner pixel of the box is under one window only, of which it is the one pixel outside the region."""
    explanation = explain(method="sbsm", masks=None, cells=3, within=INSIDE | CORNER)

    assert explanation.provenance["settings"] == {"window": 2, "stride": 1}
    assert explanation.provenance["masks"]["count"] == 5 * 7
    hidden = IMAGE.clone()
    hidden[:, 5:7, 4:6] = 0
    drop = curved(IMAGE[None])[0, 0] - curved(hidden[None])[0, 0]
    assert explanation.importance[5, 4] == pytest.approx(float(drop), rel=1e-5)

    without = explain(method="sbsm", masks=None, cells=3)
    hidden[:, 5, 4] = IMAGE[:, 5, 4]
    window = curved(IMAGE[None])[0, 0] - curved(hidden[None])[0, 0]
    hidden[:, 5:7, 4:6] = IMAGE[:, 5:7, 4:6]
    hidden[:, 5:7, 5:7] = 0
    beside = curved(IMAGE[None])[0, 0] - curved(hidden[None])[0, 0]
    assert without.importance[5, 5] == pytest.approx(float(window + beside) / 2, rel=1e-4)


def encoder_of(preprocess):
    def network(pixels):
        return torch.nn.functional.adaptive_avg_pool2d(pixels.mean(1, keepdim=True), 4).flatten(1) + 0.1

    return Encoder(network, preprocess=preprocess)


def test_what_the_encoder_crops_away_cannot_be_asked_about():
    cropping = encoder_of(Preprocess((16, 16), 16))
    wide = torch.rand(3, 16, 32, generator=torch.Generator().manual_seed(2))

    with pytest.raises(ValueError, match="within must lie where the encoder looks; the box 0,0,6,16 is in the border"):
        relax.explain(wide, cropping, masks=50, cells=2, within=(0, 0, 6, 16))
    with pytest.warns(UserWarning, match="50 % of what within names is cropped away by the encoder"):
        explanation = relax.explain(wide, cropping, masks=50, cells=2, within=(4, 4, 12, 12))
    known = np.isfinite(explanation.importance)
    assert known[4:12, 8:12].all()
    assert known.sum() == 8 * 4


def test_a_region_is_resized_with_the_picture_and_its_map_comes_back_to_its_pixels():
    large = torch.rand(3, 60, 90, generator=torch.Generator().manual_seed(2))
    inside = np.zeros((60, 90), dtype=bool)
    inside[11:41, 20:61] = True

    explanation = relax.explain(large, encoder_of(Preprocess((30, 30))), masks=100, cells=3, within=inside)

    np.testing.assert_array_equal(np.isfinite(explanation.importance), inside)
    assert explanation.provenance["within"]["box"] == [5, 6, 21, 21]  # 5.5 to 20.5 rows, 6.67 to 20.33 columns


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cells": 7}, "cells must be at most 6 here, as within is 8 x 6 px where the encoder sees 20 x 18; got 7"),
        ({"method": "gradcam"}, r"within is for methods that hide parts .*lime.*; gradcam hides none"),
        ({"regions": "patches", "fill": "drop"}, 'within leaves the rest visible, and fill "drop" withholds whole'),
    ],
)
def test_what_cannot_be_done_within_a_region_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        explain(**{"masks": 50, "reference": None, **settings})


def test_patches_of_a_transformer_are_those_that_the_region_touches():
    picture = torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(0))
    encoder = relax.load_encoder("random:timm:vit_tiny_patch16_224?img_size=96")

    explanation = relax.explain(picture, encoder, masks=20, regions="patches", within=(20, 40, 60, 70))

    assert explanation.provenance["masks"]["grid"] == [3, 3]
    assert explanation.provenance["within"]["box"] == [32, 16, 80, 64]
    assert np.isfinite(explanation.importance).sum() == 40 * 30
