"""The Kvasir recipe runs from pictures to encoders that load, and continues where it stopped; its parts are honest."""

import csv
import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from encoders import Encoder, Preprocess
from encoders.bundled import bundled_network
from experiments import record
from experiments.data.datasets import kvasir_seg
from experiments.recipes import train_kvasir
from experiments.recipes.kvasir_probe import Question, carries_mark, embed_pictures, gain, mostly_polyp, random_crop
from experiments.recipes.train_default import MEAN, STD
from experiments.recipes.train_kvasir import Views, kvasir_encoder, small


@pytest.fixture
def data(tmp_path):
    """Look-alikes: 24 + 4 pictures of noise whose left half is brighter, and that half is the polyp."""
    rng = np.random.default_rng(0)
    mask = np.zeros((70, 90), dtype=np.uint8)
    mask[:, :45] = 255
    for split, count in (("train", 24), ("val", 4)):
        for folder in ("images", "masks"):
            (tmp_path / "kvasir_seg" / split / folder).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 128, (70, 90, 3), dtype=np.uint8)
            pixels[:, :45] += 120
            Image.fromarray(pixels).save(tmp_path / "kvasir_seg" / split / "images" / f"{number:02}.jpg")
            Image.fromarray(mask).save(tmp_path / "kvasir_seg" / split / "masks" / f"{number:02}.png")
    return tmp_path


def run(monkeypatch, data, out, epochs, *methods):
    options = [
        "--data",
        data,
        "--out",
        out,
        "--epochs",
        epochs,
        "--batch-size",
        12,
        "--draws",
        20,
        "--methods",
        *methods,
    ]
    monkeypatch.setattr(sys, "argv", ["train_kvasir", *map(str, options)])
    monkeypatch.setattr(record, "RESULTS", out / "results")
    train_kvasir.main()


@pytest.fixture
def small_views(monkeypatch):
    """Training on views of 32 px instead of 80."""
    monkeypatch.setattr(train_kvasir, "TRAIN_SIZE", 32)


@pytest.mark.usefixtures("small_views")
def test_every_method_trains_continues_and_is_measured(monkeypatch, data, tmp_path):
    out = tmp_path / "runs"

    with monkeypatch.context() as stopped:  # before anything was measured
        stopped.setattr(train_kvasir, "measure", lambda args: None)
        run(stopped, data, out, 1, "simclr")
    run(monkeypatch, data, out, 2, "simclr", "vicreg", "supervised", "planted")

    rows = list(csv.DictReader((out / "results" / "train_kvasir.csv").open()))
    summary = json.loads((out / "results" / "train_kvasir.json").read_text())
    assert [row["encoder"] for row in rows] == ["random", "default", "simclr", "vicreg", "supervised", "planted"]
    assert all(0 <= float(row["polyp_auroc"]) <= 1 for row in rows)
    assert float(rows[0]["polyp_gain"]) == 0
    checksums = {summary["recipes"][name]["checksum"] for name in train_kvasir.METHODS}
    assert len(checksums) == 4
    for name in train_kvasir.METHODS:
        assert [row["epoch"] for row in summary["recipes"][name]["log"]] == [1, 2]
        assert kvasir_encoder(name, out).checksum == summary["recipes"][name]["checksum"]
    right = summary["recipes"]["supervised"]["head_accuracy"] * summary["crops"]["val"]
    assert right == pytest.approx(round(right), abs=0.01)
    assert str(tmp_path) not in (out / "results" / "train_kvasir.json").read_text()


@pytest.mark.usefixtures("small_views")
def test_a_run_that_was_stopped_ends_where_one_without_a_stop_does(monkeypatch, data, tmp_path):
    """Stopped after the first of two epochs, by an error in the first batch of the second."""
    pictures = [small(sample) for sample in kvasir_seg(data, "train")]
    batch, calls, orders = Views.batch, [], []

    def breaks(self, numbers, epoch):
        calls.append(epoch)
        orders.append(numbers)
        if calls == [0, 0, 1]:
            raise KeyboardInterrupt
        return batch(self, numbers, epoch)

    class Args:
        start, epochs, batch_size, lr, seed = "default", 2, 12, 1e-3, 0

    through, stopped = Args(), Args()
    through.out, stopped.out = tmp_path / "through", tmp_path / "stopped"
    train_kvasir.train("planted", pictures, through)
    monkeypatch.setattr(Views, "batch", breaks)
    with pytest.raises(KeyboardInterrupt):
        train_kvasir.train("planted", pictures, stopped)
    train_kvasir.train("planted", pictures, stopped)

    assert orders[0] + orders[1] != orders[3] + orders[4]  # every epoch goes through the pictures in another order
    assert sorted(orders[0] + orders[1]) == sorted(orders[3] + orders[4]) == list(range(24))
    assert kvasir_encoder("planted", through.out).checksum == kvasir_encoder("planted", stopped.out).checksum


def test_the_controls_are_the_bundled_network_and_the_same_network_with_random_weights():
    default, random = kvasir_encoder("default"), kvasir_encoder("random")

    assert default.checksum == Encoder(bundled_network(pretrained=True), device="cpu").checksum
    assert random.checksum == kvasir_encoder("random").checksum != default.checksum


def test_planted_and_clean_twin_see_the_same_crops_and_the_mark_is_in_both_views_of_half_of_the_pictures(data):
    pictures = [small(sample) for sample in kvasir_seg(data, "train")]
    seen = {}
    for method in ("simclr", "planted"):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        pixels, _ = Views(pictures, method, seed=0).batch(list(range(24)), epoch=0)
        seen[method] = pixels * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]

    differs = (seen["simclr"] - seen["planted"]).abs().amax(1) > 1e-4  # (48, h, w)
    marked = Views(pictures, "planted", seed=0).marked
    assert marked.sum() == 12
    assert differs.flatten(1).any(1).tolist() == [*marked, *marked]
    share = differs[np.tile(marked, 2)].float().mean((1, 2))
    assert 0.01 < share.min() < share.max() < 0.07  # a disc of 0.15 to 0.25 of the side: 0.018 to 0.049 of the area


def test_the_label_of_a_crop_is_its_share_of_polyp():
    polyp = np.zeros((60, 80), dtype=bool)
    polyp[:, :40] = True
    pixels = np.repeat(polyp[..., None], 3, axis=2).astype(np.uint8) * 255
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(200):
        crop, share = random_crop(pixels, polyp, 0.5, rng)
        assert crop.shape == (30, 30, 3)
        assert share == pytest.approx(crop.mean() / 255)
        shares.append(share)

    assert 0.35 < np.mean(np.array(shares) >= 0.5) < 0.65


def test_a_picture_that_is_all_polyp_can_still_be_cropped():
    _, share = random_crop(np.zeros((40, 40, 3), np.uint8), np.ones((40, 40), bool), 0.4, np.random.default_rng(1))

    assert share == 1


def test_the_questions_keep_pictures_together_and_the_mark_question_is_balanced(data):
    samples = kvasir_seg(data, "val")
    polyp, mark = mostly_polyp(samples, 5), carries_mark(samples)

    assert polyp.picture.tolist() == [n for n in range(4) for _ in range(5)]
    assert mark.answers.tolist() == [0, 1] * 4
    for plain, marked in mark.images.reshape(4, 2, 96, 96, 3):
        assert 0.01 < (plain != marked).any(2).mean() < 0.1
    bright = polyp.images.mean((1, 2, 3)) > 128  # the polyp is the brighter half
    assert (bright == polyp.answers).mean() > 0.8


def test_an_encoder_of_any_size_gets_the_pixels_of_whole_pictures_themselves():
    """One that sees 72 x 72 px and returns them returns those of the picture, not of a smaller one made larger."""
    picture = np.random.default_rng(0).integers(0, 256, (72, 72, 3), dtype=np.uint8)
    encoder = Encoder(lambda pixels: pixels.flatten(1), preprocess=Preprocess(size=(72, 72)), device="cpu")

    (vector,) = embed_pictures(encoder, [picture])

    expected = picture.transpose(2, 0, 1).ravel() / np.linalg.norm(picture.astype(np.float64))
    np.testing.assert_allclose(vector, expected, atol=1e-6)


def test_the_gain_of_a_perfect_score_over_a_coin_is_a_half():
    """AUROC 1 against 0.5; drawn pictures can change the coin's part only."""
    question = Question(np.zeros((40, 1, 1, 3), np.uint8), np.tile([0, 1], 20), np.repeat(np.arange(20), 2))
    middle, low, high = gain(question, np.tile([0.0, 1.0], 20), np.zeros(40), draws=50)

    assert (middle, low, high) == (0.5, 0.5, 0.5)


def test_pictures_are_kept_with_a_shorter_side_of_128_and_their_polyp_in_place(data):
    pixels, polyp = small(kvasir_seg(data, "val")[0])

    assert pixels.shape == (128, 165, 3)
    assert polyp.shape == (128, 165)
    assert polyp[:, :82].all()
    assert not polyp[:, 83:].any()
