"""Encoders whose answer is known: one follows the picture, one looks at a place, one knows two halves."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from PIL import Image

import relax
from encoders import EncoderWarning, load
from relax.cli.app import run
from relax.plotting.caption import trust_in_words
from relax.questions.trust import changed_embeddings, changes, moved_back, shifted

ENCODER = "random:timm:test_resnet"
WINDOWS = {"regions": "windows", "cells": 8, "masks": None}  # not random, and the same from both sides


def blob(row=40, column=12):
    """(1, 3, 64, 64) dark, with a bright spot."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    spot = torch.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 60)
    return (0.1 + 0.8 * spot).expand(1, 3, -1, -1)


def brightest(pixels):
    """(B, 2) the same wherever the spot lies."""
    return torch.stack([pixels.square().mean((1, 2, 3)), torch.full((len(pixels),), 0.05)], 1)


def left_middle(pixels):
    """(B, 2) of the only place that it sees."""
    return torch.stack([pixels[:, :, 32:48, 4:20].mean((1, 2, 3)), torch.full((len(pixels),), 0.3)], 1)


def halves(pixels):
    """(B, 2) brightness of the left and of the right half."""
    return torch.stack([half.mean((1, 2, 3)) for half in pixels.chunk(2, dim=3)], 1)


def two_halves():
    """Left 0.8, right 0.2."""
    return torch.full((1, 3, 60, 60), 0.2).index_fill(3, torch.arange(30), 0.8)


def test_a_map_that_follows_the_picture_is_told_from_one_that_stays_in_its_place():
    follows = relax.assess(blob(), brightest, **WINDOWS)
    stays = relax.assess(blob(), left_middle, **WINDOWS)

    assert follows.ceiling == stays.ceiling == 1  # windows are not random
    assert follows.mirrored == pytest.approx(1, abs=1e-3)
    assert follows.shifted > 0.8  # windows every 4 px, moved by 6
    assert stays.mirrored < 0.3
    assert stays.shifted < follows.shifted - 0.1


def test_a_region_moves_with_the_picture():
    """A mask of a fifth of the picture at its left: mirrored it lies at the right, and the maps follow."""
    inside = np.zeros((64, 64), dtype=bool)
    inside[24:56, 2:24] = True
    windows = {**WINDOWS, "cells": 5, "within": inside}

    follows = relax.assess(blob(), brightest, **windows)
    stays = relax.assess(blob(), left_middle, **windows)

    assert follows.mirrored == pytest.approx(1, abs=1e-3)
    assert follows.shifted > 0.8
    assert not stays.mirrored > 0.3


def test_what_is_moved_comes_back_to_its_place():
    pixels = torch.rand(1, 3, 30, 40, generator=torch.Generator().manual_seed(0))

    moved = shifted(pixels)
    back = moved_back(moved[0, 0].numpy())

    assert moved.shape == pixels.shape
    assert np.isnan(back).sum() == 30 * 40 - 27 * 36
    np.testing.assert_array_equal(back[:27, :36], pixels[0, 0, :27, :36])
    torch.testing.assert_close(moved[..., 3:, 3], pixels[..., :-3, 1])  # the strip mirrors what lies beside it


@pytest.fixture(scope="module")
def view():
    """(1, 3, 40, 60) with values over all of [0, 1]."""
    return torch.rand(1, 3, 40, 60, generator=torch.Generator().manual_seed(5))


def test_the_changes_come_in_their_order_after_the_picture_as_it_is(view):
    names, views = zip(*changes(view, 0), strict=True)

    assert names == ("unchanged", "mirrored", "shifted", "darker", "brighter", "blurred", "noisy")
    assert torch.equal(views[0], view)
    for changed in views[1:]:
        assert changed.shape == view.shape
        assert changed.dtype == torch.float32
        assert not torch.equal(changed, view)
        assert changed.min() >= 0
        assert changed.max() <= 1


def test_mirrored_swaps_left_and_right(view):
    mirrored = dict(changes(view, 0))["mirrored"]

    for column in range(60):
        assert torch.equal(mirrored[..., column], view[..., 59 - column])


def test_shifted_moves_by_a_tenth_of_each_side_and_mirrors_what_lies_beside_the_free_strip(view):
    """4 rows down and 6 columns to the right: row 4 is the old row 0, and row 3, beside it, the old row 1."""
    shifted_view = dict(changes(view, 0))["shifted"]

    for row in range(40):
        for column in range(60):
            assert torch.equal(shifted_view[..., row, column], view[..., abs(row - 4), abs(column - 6)])


def test_darker_and_brighter_are_a_fifth_of_the_brightness_within_the_range(view):
    darker, brighter = (dict(changes(view, 0))[name] for name in ("darker", "brighter"))

    torch.testing.assert_close(darker, view * 0.8)
    torch.testing.assert_close(brighter, torch.where(view > 1 / 1.2, 1.0, view * 1.2))
    assert (brighter == 1).any()


def test_blurred_is_a_gaussian_of_a_hundredth_of_the_shorter_side():
    """200 x 300 px: sigma 2 px. A point becomes the product of two sampled bells, cut off beyond 3 sigma."""
    point = torch.zeros(1, 1, 200, 300)
    point[0, 0, 100, 150] = 1

    blurred = dict(changes(point, 0))["blurred"]

    steps = torch.arange(-6, 7, dtype=torch.float64)
    bell = torch.exp(-(steps**2) / (2 * 2.0**2))
    expected = torch.zeros(200, 300, dtype=torch.float64)
    expected[94:107, 144:157] = torch.outer(bell, bell) / bell.sum() ** 2
    torch.testing.assert_close(blurred[0, 0].double(), expected, atol=1e-7, rtol=1e-5)


def test_noisy_adds_seeded_normal_noise_of_3_percent_within_the_range(view):
    grey = torch.full((1, 3, 100, 100), 0.5)

    noise = dict(changes(grey, 0))["noisy"] - grey

    assert noise.mean().abs() < 4 * 0.03 / 30000**0.5
    assert noise.std() == pytest.approx(0.03, rel=0.02)
    inside = (noise.abs() < 0.03).double().mean()
    assert inside == pytest.approx(0.683, abs=0.012)  # normal, not uniform: 68.3 % within one standard deviation
    assert torch.equal(dict(changes(grey, 0))["noisy"], grey + noise)
    assert not torch.equal(dict(changes(grey, 1))["noisy"], grey + noise)
    assert dict(changes(torch.ones(1, 3, 9, 9), 0))["noisy"].max() == 1


def test_the_encoder_sees_every_change_once_and_its_embeddings_are_made_unit_vectors(view):
    encoder = load(halves, device="cpu")

    embeddings, names = changed_embeddings(view, encoder, 3)

    assert names == ["mirrored", "shifted", "darker", "brighter", "blurred", "noisy"]
    for embedding, (_, changed) in zip(embeddings, changes(view, 3), strict=True):
        left, right = halves(changed)[0].double()
        torch.testing.assert_close(embedding, torch.stack([left, right]) / (left**2 + right**2).sqrt())


def test_stability_is_the_mean_cosine_and_names_the_worst_change():
    """Mirrored, (0.8, 0.2) becomes (0.2, 0.8): cosine 0.32 / 0.68. All else leaves it near 1, shades exactly there."""
    trust = relax.assess(two_halves(), halves, **WINDOWS)

    assert trust.moved_most_by == "mirrored"
    by_hand = 0.32 / 0.68
    assert (by_hand + 4.9) / 6 < trust.stability < (by_hand + 5) / 6


def test_neighbours_are_kept_unless_a_change_brings_others_near():
    """Two members beside (0.8, 0.2), two beside its mirror image; itself, which does not count."""
    members = torch.tensor([[0.8, 0.2], [0.8, 0.21], [0.79, 0.2], [0.2, 0.8], [0.21, 0.8]])

    trust = relax.assess(two_halves(), halves, corpus=relax.Corpus(members), neighbours=2, **WINDOWS)
    all_of_them = relax.assess(two_halves(), halves, corpus=relax.Corpus(members), neighbours=50, **WINDOWS)

    assert (trust.neighbours, trust.k) == (round(5 / 6, 4), 2)
    assert (all_of_them.neighbours, all_of_them.k) == (1, 4)
    with pytest.raises(ValueError, match="corpus must hold a picture other than the one assessed; got only that one"):
        relax.assess(two_halves(), halves, corpus=relax.Corpus(members[:1]), **WINDOWS)
    with pytest.raises(ValueError, match="neighbours must be 1 or more; got 0"):
        relax.assess(two_halves(), halves, neighbours=0)


@pytest.mark.parametrize("scale", [1, 3])
def test_many_copies_of_the_picture_in_the_corpus_are_no_neighbours_of_it(scale):
    """As with one copy above: were a single one left in, it would be among the two nearest of all but the mirrored."""
    copies = scale * torch.tensor([[0.8, 0.2]]).expand(40, -1)
    members = torch.tensor([[0.8, 0.21], [0.79, 0.2], [0.2, 0.8], [0.21, 0.8]])

    trust = relax.assess(
        two_halves(), halves, corpus=relax.Corpus(torch.cat([copies, members])), neighbours=2, **WINDOWS
    )
    fewer = relax.assess(
        two_halves(), halves, corpus=relax.Corpus(torch.cat([copies, members])), neighbours=50, **WINDOWS
    )

    assert (trust.neighbours, trust.k) == (round(5 / 6, 4), 2)
    assert (fewer.neighbours, fewer.k) == (1, 4)
    with pytest.raises(ValueError, match="corpus must hold a picture other than"):
        relax.assess(two_halves(), halves, corpus=relax.Corpus(copies), **WINDOWS)


def test_the_ceiling_rises_with_the_number_of_masks_and_progress_counts_all_maps():
    calls = []
    few, more = (
        relax.assess(blob(), ENCODER, masks=masks, seed=3, progress=lambda *now: calls.append(now))
        for masks in (16, 64)
    )

    assert few.ceiling < more.ceiling < 1
    assert (16 * 4, 16 * 4) in calls
    assert calls[-1] == (64 * 4, 64 * 4)
    assert [done for done, total in calls if total == 256] == sorted(done for done, total in calls if total == 256)
    assert relax.assess(blob(), ENCODER, masks=16, seed=3) == few


def test_the_numbers_stand_beside_the_map_and_undefined_ones_are_said():
    explanation = relax.explain(blob(), ENCODER, masks=16)
    with pytest.warns(EncoderWarning, match="one and the same embedding"):
        constant = relax.assess(blob(), lambda pixels: torch.ones(len(pixels), 2), masks=16)

    beside = constant.beside(explanation)

    assert "trust" not in explanation.provenance
    record = json.loads(beside.to_json())["trust"]
    assert record["mirrored"] is None  # a constant map has no correlation
    assert record["stability"] == 1
    assert trust_in_words(record) == trust_in_words(asdict(constant))
    assert "undefined mirrored" in str(constant)
    drawn = relax.figure(beside).texts
    assert "embedding under small changes 1.00" in " ".join(" ".join(text.get_text() for text in drawn).split())


def test_the_command_line_writes_trust_and_takes_neighbours_from_a_folder_or_an_index(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"photos/{number}.png")
    fast = ("--encoder", ENCODER, "--cells", "3", "--device", "cpu", "--masks", "8", "--quiet")
    assert run(["index", "photos", "--encoder", ENCODER, "--out", "archive", "--quiet"]) == 0

    for neighbours in ("photos", "archive"):
        assert run(["explain", "photos/0.png", *fast, "--trust", "--neighbours", neighbours]) == 0
        trust = json.loads((tmp_path / "relax-out" / "0.json").read_text())["trust"]
        assert (trust["masks"], trust["k"]) == (8, 3)
        assert trust["neighbours"] == 1  # there are only three others

    assert run(["explain", "photos/0.png", *fast, "--neighbours", "photos"]) == 2
    assert "--neighbours needs --trust" in capsys.readouterr().err
    other = ("--encoder", "random:timm:test_vit", "--trust", "--neighbours", "archive")
    assert run(["explain", "photos/0.png", *fast, *other]) == 2
    assert "holds embeddings of encoder" in capsys.readouterr().err
