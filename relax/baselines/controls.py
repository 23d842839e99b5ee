"""Maps that ignore the encoder: baselines that any method should beat."""

from __future__ import annotations

import torch

from masking.source import random_rows
from relax.baselines.task import Maps, Task

SPREAD = 1 / 4  # standard deviation of the Gaussian, as a share of each side
STREAM = 3  # masks take stream 0 of a seed, noise to fill with 1


def random_map(task: Task) -> Maps:
    """An independent uniform number in [0, 1) for every pixel; it depends on the seed alone."""
    values = random_rows(task.hiding.seed, 0, *task.scene.size, stream=STREAM)
    return Maps(values.double(), "uniform random number", settings={"seed": task.hiding.seed})


def centre(task: Task) -> Maps:
    """A Gaussian at the centre of the view, where photographers tend to put their subject.

    Its standard deviation is a quarter of the height and of the width; the peak is at most 1.

    Source: the centre baseline of the saliency benchmark (Judd, Durand & Torralba, MIT report 2012-001).
    """
    axes = [((torch.arange(side, dtype=torch.float64) + 0.5) / side - 0.5) / SPREAD for side in task.scene.size]
    down, across = (torch.exp(-axis.square() / 2) for axis in axes)
    return Maps(torch.outer(down, across), "height of the Gaussian", settings={"standard_deviation": SPREAD})
