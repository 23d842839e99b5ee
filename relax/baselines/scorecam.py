"""Score-CAM: every channel of a layer is a mask, weighted with the score of the image under that mask."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from relax.baselines.layers import activations, gradcam_layer
from relax.baselines.task import Maps, Task


def scorecam(task: Task) -> Maps:
    """Channels weighted with the softmax of the scores of the image under them, added up; the positive part.

    A channel is enlarged bilinearly and rescaled to [0, 1] to make a mask; hidden pixels show the task's fill. For a
    class the score is its logit, as in the paper. Similarities differ little between channels (a cosine by less than
    2), so that their weights are nearly equal and the map is close to the channel mean. `grad-cam` holds all masked
    images at once, 1.2 GB for a ResNet-50; here they come in batches.

    Source: Score-CAM (Wang et al., CVPR workshop 2020), algorithm 1.
    """
    layer = gradcam_layer(task)
    channels = activations(task, layer)[0].float()
    task.expect(task.passes + len(channels))
    scores = []
    for start, stop in task.budget.stretches(len(channels), task.scene.view):
        masks = _masks(channels[start:stop], task.scene.size)
        scores.append(task.scores(task.scene.masked(masks)))
    weights = torch.cat(scores).softmax(0)
    cam = torch.einsum("d,dij->ij", weights, channels.to(weights))
    settings = {"layer": layer.name, "grid": list(layer.grid or ()), "channels": len(channels)}
    return Maps(task.to_view(cam.clamp(min=0)), "weighted activation", settings=settings, masks=len(channels))


def _masks(channels: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, gh, gw) activations to masks (N, 1, h, w) in [0, 1]; a constant channel gives a mask of zeros."""
    masks = F.interpolate(channels[:, None], size, mode="bilinear", align_corners=False)
    low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
    return torch.where(high > low, (masks - low) / (high - low), 0.0)
