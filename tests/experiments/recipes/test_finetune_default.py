"""The second step of the bundled encoder goes on from the first, also where it stopped, and writes weights and card."""

import json

import torch
from safetensors.torch import load_file

from experiments.recipes import finetune_default, simclr


def test_it_goes_on_from_the_first_step_and_keeps_its_card(train, tmp_path):
    train("first", 1, "--weights-only")
    options = ("--weights-only", "--lr", 1e-4, "--start", tmp_path / "first")

    train("second", 1, *options, recipe=finetune_default)

    first, second = (load_file(tmp_path / step / "default.safetensors") for step in ("first", "second"))
    change = (second["conv1.0.weight"] - first["conv1.0.weight"]).norm() / first["conv1.0.weight"].norm()
    assert 0 < change < 0.01
    card = json.loads((tmp_path / "second" / "default.json").read_text())
    assert card["start"] == json.loads((tmp_path / "first" / "default.json").read_text())
    assert card["checksum"] != card["start"]["checksum"]


def test_a_run_that_was_stopped_ends_where_one_without_a_stop_does(train, tmp_path, stopped_after):
    """Stopped after the four steps of the first epoch: 8 photographs of Caltech 101 and one other, 8 times."""
    train("first", 1, "--weights-only")
    options = ("--weights-only", "--start", tmp_path / "first", "--photo-repeat", 8)

    train("through", 2, *options, recipe=finetune_default)
    stopped_after(simclr, 4, lambda: train("stopped", 2, *options, recipe=finetune_default))
    train("stopped", 2, *options, recipe=finetune_default)

    through, stopped = (load_file(tmp_path / name / "default.safetensors") for name in ("through", "stopped"))
    assert all(torch.equal(stopped[name], through[name]) for name in through)
