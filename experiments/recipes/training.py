"""What the recipes share: the learning rate, a step of the optimiser, the checkpoint of every epoch, the weights.

A recipe draws the random numbers of every epoch from a seed of that epoch. The checkpoint holds everything else that
goes on from one epoch to the next, so a run that was stopped continues after its last whole epoch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import save_file
from torch import Tensor

from relax.files import written_aside

Row = dict[str, float]
Log = list[Row]
"""A row per epoch."""


class Stateful(Protocol):
    """A network, a loss with weights of its own, or an optimiser."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that training changes."""

    def load_state_dict(self, state: dict[str, Any], /) -> object:
        """Put that back."""


@dataclass(frozen=True)
class Checkpoint:
    """A training after its last whole epoch, in one file.

    Attributes:
        path: The file; it appears whole or not at all.
        parts: What training changes, by the name under which the file holds its state.
    """

    path: Path
    parts: Mapping[str, Stateful]

    def resume(self) -> Log:
        """Put the parts back into the state of the file, wherever it was trained, and return its log, [] without one.

        Raises:
            pickle.UnpicklingError: If the file holds anything but tensors, numbers, strings and containers of them.
            KeyError: If it holds no state of one of the parts.
        """
        if not self.path.exists():
            return []
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        log: Log = state["log"]
        return log

    def keep(self, log: Log) -> None:
        """Write the state of every part, and the log."""
        with written_aside(self.path) as aside:
            torch.save({**{name: part.state_dict() for name, part in self.parts.items()}, "log": log}, aside)


def learning_rate(step: int, steps: int, peak: float, warmup: int) -> float:
    """Linear warm-up over `warmup` steps, then a half cosine down to 0."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, rate: float) -> float:
    """Take one step against the gradient of the loss, at this learning rate; return the loss."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.item()


def write_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a network's state as safetensors."""
    with written_aside(path) as aside:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, aside, metadata={"format": "pt"})
