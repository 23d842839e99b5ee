"""A promise: kept in its share of later pictures, saved and read again, and refused where it cannot be made."""

import json

import numpy as np
import pytest
import torch

import relax
from encoders import load
from relax.enough.calibrating import promised
from relax.enough.rules import RULES
from relax.enough.trails import Trail, over_splits
from relax.keywords import PromiseKeywords
from relax.settings import Settings
from tests.relax.enough.planted import SIZE, Tangle

SMALL = {"cells": 3, "masks": 32, "fills": (0.0,)}
SETTINGS = Settings.of({"cells": 3, "masks": 32}, PromiseKeywords, "promise_sets")


def pictures(count, seed=0):
    random = torch.Generator().manual_seed(seed)
    return [torch.rand(1, SIZE, SIZE, generator=random) * 0.5 + 0.25 for _ in range(count)]


@pytest.fixture(scope="module")
def encoder():
    return load(Tangle(3).eval(), device="cpu")


@pytest.fixture(scope="module")
def promise(encoder):
    return relax.promise_sets(pictures(48), encoder, similarity_at_least=0.7, share=0.9, **SMALL, progress=False)


def trails_of(count, seed):
    """Trails whose similarity comes back after a random number of cells, which the prediction knows to within noise."""
    random, trails = np.random.default_rng(seed), []
    for number in range(count):
        needed = random.integers(1, 20)
        scores = np.where(np.arange(21) >= needed, 1.0, 0.0)
        predicted = np.maximum.accumulate(np.linspace(0, 1, 21) * 10 / needed + 0.05 * random.normal(size=21))
        levels = {"predicted": predicted, "count": np.linspace(0, 1, 21), "importance": np.linspace(0, 1, 21)}
        levels["steady"] = np.linspace(0, 1, 21) / needed
        trails.append(Trail(str(number), scores, levels, random.normal(size=4)))
    return trails


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("confidence", [None, 0.9])
def test_over_splits_the_share_that_is_promised_is_kept(rule, confidence):
    splits = over_splits(
        trails_of(200, 1), 100, rule, 0.5, 0.1, confidence, seed=2, count=60 if confidence is None else 20
    )

    assert splits["share"] >= 0.9 - 0.01
    if confidence is not None:
        assert splits["share"] > 0.92


def test_a_rule_that_knows_the_picture_takes_fewer_cells_for_the_same_promise():
    sizes = {
        rule: over_splits(trails_of(200, 1), 100, rule, 0.5, 0.1, None, 3, count=40)["mean_share"] for rule in RULES
    }

    assert sizes["predicted"] < 0.8 * sizes["count"]
    assert sizes["steady"] < 0.8 * sizes["count"]


def test_a_promise_says_what_it_was_calibrated_and_checked_on(promise):
    assert promise.calibration["pictures"] == 24
    assert promise.held_out["pictures"] == 24
    assert promise.held_out["share"] == promise.held_out["kept"] / 24
    assert 0 < promise.calibration["mean_share"] <= 1
    assert 0 <= promise.calibration["pairs_at_least"] <= 1
    assert "similarity 0.70 in 90% of pictures in expectation" in str(promise)
    assert "held out: kept in" in str(promise)


def test_a_promise_names_the_rules_that_take_fewer_cells(encoder):
    """Every picture needs 2 of 4 cells, which half of them have only above a level at which the others take all 4."""
    scores = np.array([0.0, 0.0, 1.0, 1.0, 1.0])
    rising = np.linspace(0, 1, 5)
    levels = {name: rising for name in RULES} | {"steady": np.array([0.0, 0.1, 0.9, 0.9, 1.0])}
    late = {**levels, "count": np.array([0.0, 0.9, 0.95, 0.99, 1.0])}
    trails = [Trail(str(number), scores, late if number % 2 else levels, np.ones(4)) for number in range(40)]

    promise = promised(trails, 40, encoder, SETTINGS, (0.0,), 0.5, 0.1, None, "count")

    assert promise.calibration["mean_share"] == pytest.approx((4 + 2) / 2 / 4)  # above level 0.9
    assert promise.calibration["other_rules"] == {name: 0.5 for name in RULES if name != "count"}
    assert "fewer cells for the same promise by another rule: 'steady' 50%, 'importance' 50%, 'predicted' 50%" in str(
        promise
    )


def test_a_set_is_that_of_the_map_alone_and_a_check_embeds_it(promise, encoder):
    picture = pictures(1, seed=9)[0]

    unchecked, checked = (promise.sets_of(picture, encoder, check=check) for check in (False, True))

    assert unchecked.similarities is None
    np.testing.assert_array_equal(unchecked.members, checked.members)
    masked = torch.where(torch.from_numpy(checked.mask), picture[None], torch.tensor(0.0))
    cosine = torch.nn.functional.cosine_similarity(encoder(masked), encoder(picture[None]))
    assert checked.similarities["0.0"] == pytest.approx(float(cosine), abs=1e-5)
    assert "not embedded" in str(unchecked)
    assert len(checked.to_bytes()) > 100


def test_what_is_promised_holds_in_later_pictures(promise, encoder):
    """90 % in expectation; of 60 pictures 46 or fewer have a chance of less than 1 in 200."""
    kept = [
        promise.sets_of(picture, encoder, check=True).similarities["0.0"] >= 0.7 for picture in pictures(60, seed=77)
    ]

    assert sum(kept) > 46


def test_a_promise_is_saved_and_read_again(promise, encoder, tmp_path):
    again = relax.Promise.load(promise.save(tmp_path / "promise.json"))

    assert again == promise
    picture = pictures(1, seed=4)[0]
    np.testing.assert_array_equal(again.sets_of(picture, encoder).members, promise.sets_of(picture, encoder).members)


def test_the_encoder_is_loaded_as_it_was_by_its_name_pooling_and_view(tmp_path):
    encoder = relax.load_encoder("default", "cpu", view="pad")
    promise = promised(trails_of(30, 0), 20, encoder, SETTINGS, ("mean",), 0.5, 0.1, None, "count")

    promised_set = promise.sets_of(torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(0)), device="cpu")

    assert 0 < promised_set.share <= 1
    with pytest.raises(ValueError, match="which differs in preprocess"):
        promise.check_encoder(relax.load_encoder("default", "cpu"))


def test_an_infinite_level_is_saved_too_and_says_that_it_says_nothing(encoder, tmp_path):
    promise = promised(trails_of(50, 0), 45, encoder, SETTINGS, (0.0,), 2.0, 0.05, 0.9, "count")

    again = relax.Promise.load(promise.save(tmp_path / "promise.json"))

    assert (promise.level, again.level) == (np.inf, np.inf)
    assert "it says nothing: only all of each picture keeps the promise" in str(again)


@pytest.mark.parametrize(
    ("entry", "value"), [("rule", "guess"), ("level", "high"), ("format", 9), ("settings", None), ("encoder", {})]
)
def test_damaged_files_are_refused(promise, tmp_path, entry, value):
    record = json.loads(promise.save(tmp_path / "promise.json").read_text())
    record[entry] = value
    (tmp_path / "promise.json").write_text(json.dumps(record))

    with pytest.raises(ValueError, match=r"promise\.json"):
        relax.Promise.load(tmp_path / "promise.json")


def test_another_encoder_is_refused(promise):
    with pytest.raises(ValueError, match="encoder must be that of the promise"):
        promise.sets_of(pictures(1)[0], load(Tangle(4).eval(), device="cpu"))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"share": 0.99}, "99 or more; got 24"),
        ({"share": 1.0}, "share is the share of pictures"),
        ({"confidence": 1.0}, r"confidence must be in \(0, 1\)"),
        ({"held_out": 1.0}, "held_out must be a share of the pictures"),
        ({"rule": "predict"}, "rule must be one of steady, importance, count, predicted; got 'predict': did you mean"),
        ({"similarity_at_least": 1.5}, "similarity_at_least must be a cosine"),
        ({"fills": (np.zeros((3, 3)),)}, "fills of a promise must be words or grey values"),
        ({"fills": ("mean", "sky.png")}, "fills of a promise must be words or grey values"),
    ],
)
def test_what_cannot_be_promised_is_refused_before_a_picture_is_explained(encoder, keywords, message):
    def unasked(done, total):
        raise AssertionError

    with pytest.raises(ValueError, match=message):
        relax.promise_sets(pictures(48), encoder, **{**SMALL, **keywords}, progress=unasked)
