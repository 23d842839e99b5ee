"""Pictures of a run that share a batch, where one has too few masks to fill it.

A group of pictures is embedded at once: all masked views of each, and its yardsticks; only the embedding of the picture
itself is asked for alone. Then maps are made of one picture after the other, as if it had been embedded alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from encoders import Encoder
from encoders.checks import versions
from encoders.passes import Passes
from relax.estimators.budget import Budget
from relax.scene import Scene
from relax.settings import Hiding
from relax.yardsticks import PICTURES


def pictures_in_batch(encoder: Encoder, hiding: Hiding, budget: Budget) -> int:
    """How many pictures share a batch, which holds all their masked views: 1 where it does not hold those of two.

    None do where views differ in size, where masks end at a tolerance or are tried in another precision first, and
    where patches are withheld from the network, which takes one view.
    """
    shape = encoder.preprocess.shape
    if shape is None or hiding.given is not None or hiding.drops:
        return 1
    if budget.tolerance is not None or Passes(encoder).wants_trial(budget.masks):
        return 1
    size = budget.batch(torch.empty(1, 1, *shape, device=encoder.device), len(encoder.devices))
    return max(1, size // (budget.masks + PICTURES))


def embedded_together(scenes: Sequence[Scene], budget: Budget) -> list[Scene]:
    """The scenes with the embeddings of all their masks, from one batch.

    Where that fails, or changes the network, they come back as they are: each is then embedded alone, so that only the
    one that is at fault fails, or all of them warn.
    """
    if len(scenes) < 2:
        return [*scenes]
    start, network = time.perf_counter(), scenes[0].encoder.network
    before = versions(network)
    try:
        masks, views = zip(*(scene.sharing(budget) for scene in scenes), strict=True)
        embeddings = scenes[0].run.embed(torch.cat(views)).split([len(part) for part in views])
    except Exception:  # of any kind, as foreign networks raise them
        return [*scenes]
    if versions(network) != before:
        return [*scenes]
    seconds = (time.perf_counter() - start) / len(scenes)
    parts = zip(scenes, masks, embeddings, strict=True)
    return [scene.with_shared(shown, embedded, seconds) for scene, shown, embedded in parts]
