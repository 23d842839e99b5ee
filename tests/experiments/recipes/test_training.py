"""A training that was stopped ends, bit for bit, where one that was not stopped ends."""

import pickle

import pytest
import torch
from torch import nn

from experiments.recipes.training import Checkpoint, descend, learning_rate

STEPS = 6


def run(path, epochs):
    """A linear layer with momentum, two steps an epoch on numbers of that epoch's seed, up to `epochs` epochs."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1, momentum=0.9)
    checkpoint = Checkpoint(path, {"network": layer, "optimizer": optimizer})
    log = checkpoint.resume()
    for epoch in range(len(log), epochs):
        random = torch.Generator().manual_seed(epoch)
        for number in range(2):
            loss = layer(torch.randn(4, 3, generator=random)).square().mean()
            value = descend(optimizer, loss, learning_rate(2 * epoch + number, STEPS, 0.1, 2))
        log.append({"epoch": epoch + 1, "loss": value})
        checkpoint.keep(log)
    return layer.state_dict(), log


@pytest.mark.parametrize("stops", [(1,), (2,), (1, 2)])
def test_a_stopped_run_ends_where_one_without_a_stop_does(tmp_path, stops):
    """Without the state of the optimiser it would lose its momentum, and end elsewhere."""
    weights, log = run(tmp_path / "through.pt", 3)
    for epochs in stops:
        run(tmp_path / "stopped.pt", epochs)

    resumed, resumed_log = run(tmp_path / "stopped.pt", 3)

    assert all(torch.equal(resumed[name], weights[name]) for name in weights)
    assert resumed_log == log
    assert [row["epoch"] for row in log] == [1, 2, 3]


def test_a_finished_run_is_not_repeated(tmp_path):
    weights, log = run(tmp_path / "last.pt", 2)
    before = (tmp_path / "last.pt").read_bytes()

    repeated, repeated_log = run(tmp_path / "last.pt", 2)

    assert torch.equal(repeated["weight"], weights["weight"])
    assert repeated_log == log
    assert (tmp_path / "last.pt").read_bytes() == before


def test_a_checkpoint_that_could_not_be_written_leaves_the_one_before(tmp_path):
    run(tmp_path / "last.pt", 1)
    before = (tmp_path / "last.pt").read_bytes()

    with pytest.raises((AttributeError, pickle.PicklingError)):
        Checkpoint(tmp_path / "last.pt", {}).keep([{"epoch": lambda: 0}])

    assert (tmp_path / "last.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Harm:
        def __reduce__(self):
            return (print, ("harm",))

    torch.save({"log": Harm()}, tmp_path / "last.pt")

    with pytest.raises(pickle.UnpicklingError):
        Checkpoint(tmp_path / "last.pt", {}).resume()


def test_the_learning_rate_rises_in_a_line_and_falls_as_half_a_cosine():
    """Two steps up to the peak; half-way between the peak and the end, the cosine is at a half."""
    rates = [learning_rate(step, 6, 0.8, 2) for step in range(6)]

    assert rates[:3] == [0.4, 0.8, 0.8]
    assert rates[4] == pytest.approx(0.4)
    assert rates[3] > rates[4] > rates[5] > 0
