"""RELAX asked twice: what carries the embedding alone, and what it misses in an otherwise whole picture.

With half of the picture visible a map shows what is enough for the embedding; with nine tenths visible, what is needed.
Each is blind to some of what the other sees; what their mean gains and loses against RELAX is in docs/results.md.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from encoders.passes import Passes
from relax.baselines.task import Maps, Task

MUCH = 0.9  # the second keep probability
ROUNDING = 1e-8  # a map that varies by less of its largest value has no differences to show


def mixed(task: Task) -> Maps:
    """The mean of two RELAX maps from half of the masks each, in standard deviations over the pixels of each map.

    The first has the caller's keep probability, the second 0.9 and the next seed, so that their errors are independent.
    A map without any differences counts as 0.
    """
    maps, errors = [], []
    for place, keep in enumerate((task.hiding.keep, MUCH)):
        hiding = replace(task.hiding, keep=keep, seed=task.hiding.seed + place)
        source = hiding.source(task.scene.view)
        surrogate = hiding.surrogate(source, task.scene.home)
        scene = replace(task.scene, source=source, surrogate=surrogate, run=Passes(task.encoder))
        moments = scene.estimator()
        for masks, embeddings in scene.passes(replace(task.budget, masks=task.samples // 2), score=task.scalar):
            moments.add(task.scalar(embeddings), masks)
            task.count(len(masks))
        importance = moments.importance
        spread = importance.std(correction=0)
        differs = spread > ROUNDING * importance.abs().max()
        maps.append(torch.where(differs, (importance - importance.mean()) / spread, 0.0))
        errors.append(torch.where(differs, moments.standard_error / spread, 0.0))
    return Maps(
        torch.stack(maps).mean(0),
        "standard deviations of a map",
        standard_error=torch.stack(errors).square().sum(0).sqrt() / 2,
        settings={"keep": [task.hiding.keep, MUCH], "seeds": [task.hiding.seed, task.hiding.seed + 1]},
        masks=task.samples // 2 * 2,
    )
