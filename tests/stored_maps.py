"""Maps that are kept as files, so that a change of their numbers is seen. To renew them: python -m tests.stored_maps

A map is added by a line in `MAPS`. Renew the file only with an entry under *Numbers that change* in the CHANGELOG.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import relax
from encoders.heads.kinds import LinearHead
from relax.baselines import METHODS

FILE = Path(__file__).parent / "stored_maps.npz"
SIDE = 32
CLASSES = ("a", "b", "c", "d")


def waves(*shape: int, pace: float) -> Tensor:
    """Numbers in [-1, 1] by a formula, the same on every machine: sin(pace k) for k = 1, 2, ..."""
    count = int(np.prod(shape))
    return torch.from_numpy(np.sin(pace * np.arange(1, count + 1, dtype=np.float64))).float().reshape(shape)


def picture() -> Tensor:
    """(3, 32, 32): waves, with a bright disc to the upper left."""
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    disc = ((rows - 10) ** 2 + (columns - 12) ** 2 < 36).float()
    return (0.4 + 0.2 * waves(3, SIDE, SIDE, pace=0.7) + 0.35 * disc).clamp(0, 1)


class Network(nn.Module):
    """A small convolutional network whose weights are waves; in float64, so that processors agree on its numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.relu, self.pool, self.last = nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Linear(8 * 16, 6)
        for index, (name, weight) in enumerate(self.named_parameters()):
            scale = 0.0 if name.endswith("bias") else 1.5 / float(weight[0].numel()) ** 0.5
            weight.data = scale * waves(*weight.shape, pace=1.1 + 0.3 * index).double()

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.relu(self.second(self.relu(self.first(pixels - 0.4))))
        return 20 * self.last(self.pool(features).flatten(1))


def head() -> LinearHead:
    return LinearHead(CLASSES, 3 * waves(4, 6, pace=1.9), 0.1 * waves(4, pace=0.9))


def keywords() -> dict[str, dict[str, Any]]:
    """What each map is made with."""
    few = {"masks": 128, "cells": 4}
    maps: dict[str, dict[str, Any]] = {
        "default": few,
        "paper": {**few, "preset": "paper"},
        "paper-rise": {**few, "preset": "paper-rise"},
        "l2": {**few, "similarity": "l2", "fill": "blur"},
        "superpixels": {**few, "regions": "superpixels"},
        "windows": {"regions": "windows", "cells": 4},
    }
    for name, method in METHODS.items():
        if name == "relax" or method.needs & {"attention"}:
            continue
        samples = {"masks": 64} if method.samples or method.hides == "any" else {}
        class_of = {"head": head(), "target": "b"} if "head" in method.needs or method.explains == "class" else {}
        maps[name] = {"method": name, "cells": 4, **samples, **class_of}
    return maps


def maps_of(name: str) -> dict[str, NDArray[np.float32]]:
    """The maps of one explanation, on the processor with one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        explanation = relax.explain(picture(), Network(), device="cpu", batch_size=16, **keywords()[name])
    finally:
        torch.set_num_threads(threads)
    maps = {"importance": explanation.importance}
    if np.isfinite(explanation.uncertainty).any():
        maps["uncertainty"] = explanation.uncertainty
    return maps


def write() -> None:
    """Make all maps anew and write them to the file."""
    np.savez_compressed(
        FILE, **{f"{name}/{kind}": values for name in keywords() for kind, values in maps_of(name).items()}
    )


if __name__ == "__main__":
    write()
