"""The recipe of the bundled encoder trains weights that load, goes on where it stopped, and judges them."""

import json

import torch
from safetensors.torch import load_file

from encoders import Encoder
from experiments.recipes import knn, simclr, train_default


def test_it_judges_its_weights_beside_the_bundled_ones_and_writes_their_card(train, tmp_path):
    train("run", 1, "--warmup", 0, "--weights-only")
    weights = (tmp_path / "run" / "default.safetensors").read_bytes()
    written = train("run", 1)  # judged now, and not trained again

    rows = written["train_default"]
    assert (tmp_path / "run" / "default.safetensors").read_bytes() == weights
    assert json.loads(written["settings"])["recipe"]["epochs"] == 1
    assert [(row["weights"], row["size"]) for row in rows] == [
        ("bundled", 96), ("random", 96), *(("trained", size) for size in (64, 80, 96, 112, 128))
    ]  # fmt: skip
    assert all(row["caltech"] == 0.5 and 0 <= row["cifar10"] <= 1 for row in rows)
    card = json.loads((tmp_path / "run" / "default.json").read_text())
    assert (card["input_size"], card["train_size"], len(card["log"]), card["nearest_neighbours"]) == (96, 32, 1, rows)
    network = train_default.backbone()
    network.load_state_dict(load_file(tmp_path / "run" / "default.safetensors"))
    assert Encoder(network, device="cpu").checksum == card["checksum"]
    assert (tmp_path / "run" / "default.safetensors").stat().st_size <= 12_000_000


def test_a_run_that_was_stopped_ends_where_one_without_a_stop_does(train, tmp_path, stopped_after):
    """Stopped after the seven steps of the first epoch."""
    options = ("--weights-only", "--caltech-repeat", 2, "--photo-repeat", 8)
    train("through", 2, *options)
    stopped_after(simclr, 7, lambda: train("stopped", 2, *options))
    train("stopped", 2, *options)

    through, stopped = (load_file(tmp_path / name / "default.safetensors") for name in ("through", "stopped"))
    assert all(torch.equal(stopped[name], through[name]) for name in through)


def test_an_epoch_shows_every_picture_as_often_as_it_says():
    """Pictures of one brightness each stay that bright to within the jitter, so that they can be told apart."""
    levels = torch.tensor([20, 60, 120, 230], dtype=torch.uint8)
    pictures = levels[:, None, None, None].expand(4, 3, 8, 8).contiguous()
    views = train_default.Views(pictures, torch.tensor([0, 1, 1, 1, 3, 3]), batch_size=2)
    views.view = torch.nn.Identity()

    batches = list(views)

    assert len(batches) == len(views) == 3
    shown = torch.cat([first for first, _ in batches])[:, 0, 0, 0] * 255
    assert sorted(shown.round().tolist()) == [20, 60, 60, 60, 230, 230]


def test_views_are_normalised_crops_of_the_training_size():
    """A picture of one colour that is neither jittered nor grey: cropping, flipping and blurring leave the colour."""
    pictures = torch.full((64, 3, 128, 128), 255, dtype=torch.uint8)
    torch.manual_seed(0)

    first, second = next(iter(train_default.Views(pictures, torch.arange(64), batch_size=64)))

    size = train_default.TRAIN_SIZE
    assert first.shape == second.shape == (64, 3, size, size)
    white = (1 - torch.tensor(train_default.MEAN)) / torch.tensor(train_default.STD)
    assert first.amax() <= white.amax() + 1e-4
    untouched = (first - white[:, None, None]).abs().flatten(1).amax(1) < 1e-3
    assert untouched.sum() >= 5  # four in five are jittered, and half of these made darker


def test_neighbours_vote_for_the_class_of_a_held_out_picture(default_data):
    """Embedded by their class, all held-out pictures are recognised; embedded alike, the first class gets all votes."""
    labels = iter([0] * 4 + [1] * 4 + [0, 1])

    accuracy = knn.caltech_knn(
        lambda pixels: torch.nn.functional.one_hot(torch.tensor([next(labels)]), 2).float(),
        knn.caltech_splits(default_data),
        k=3,
    )

    assert (accuracy["caltech"], accuracy["caltech_by_class"]) == (1.0, 1.0)
