"""LaFAM: where the network is active, regardless of any class or reference."""

from __future__ import annotations

from relax.baselines.layers import activation_layer, activations
from relax.baselines.task import Maps, Task


def lafam(task: Task) -> Maps:
    """The mean of the channels of the last activation map, enlarged bilinearly.

    For a ViT, whose last normalisation would remove that mean, the tokens returned by the last block are used; the
    paper considers CNNs only. The paper scales the map to [0, 1]; here it stays in the network's unit.

    Source: LaFAM (Karjauv & Albayrak, 2024, arXiv 2407.06059).
    """
    layer = activation_layer(task)
    mean = activations(task, layer)[0].double().mean(0)
    settings = {"layer": layer.name, "grid": list(layer.grid or ())}
    return Maps(task.to_view(mean), "mean activation", settings=settings)
