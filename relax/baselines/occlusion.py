"""Methods that hide one region at a time: occlusion and feature ablation by captum, and SBSM."""

from __future__ import annotations

from typing import cast

import torch
from captum.attr import FeatureAblation, Occlusion
from torch import Tensor

from masking import SlidingWindows, Superpixels, blend
from relax.baselines.costs import count_windows
from relax.baselines.task import Maps, Task


def occlusion(task: Task) -> Maps:
    """How far the score drops when a window is hidden, averaged over the windows that cover a pixel.

    The window is 1 / cells of the shorter side and moves by half its size, from the top left corner; the last
    windows of a row or column extend over the border.

    Source: Visualizing and Understanding Convolutional Networks (Zeiler & Fergus, ECCV 2014), section 4.2.
    """
    windows = cast(SlidingWindows, task.scene.source)
    channels, window, stride = task.scene.view.shape[1], windows.window, windows.stride
    with torch.inference_mode():
        drops = Occlusion(task.scores).attribute(
            task.view,
            sliding_window_shapes=(channels, window, window),
            strides=(channels, stride, stride),
            baselines=task.fill,
            perturbations_per_eval=task.batch,
        )
    count = count_windows(windows.image_size, window, stride)
    return Maps(
        drops[0, 0], f"drop of the {task.scalar.unit}", settings={"window": window, "stride": stride}, masks=count
    )


def feature_ablation(task: Task) -> Maps:
    """How far the score drops when a superpixel (SLIC, about cells^2 of them) is hidden.

    Source: leave-one-out ablation (Zeiler & Fergus, ECCV 2014), of superpixels as in LIME; SLIC: Achanta et al.,
    TPAMI 2012.
    """
    labels = superpixels(task)
    count = int(labels.max()) + 1
    task.expect(task.passes + count + 1)
    with torch.inference_mode():
        drops = FeatureAblation(task.scores).attribute(
            task.view,
            baselines=task.fill,
            feature_mask=labels[None, None].to(task.scene.accumulator_device),
            perturbations_per_eval=task.batch,
        )
    return Maps(drops[0, 0], f"drop of the {task.scalar.unit}", settings={"superpixels": count}, masks=count)


def sbsm(task: Task) -> Maps:
    """Similarity-based saliency: the mean drop of the similarity over the windows that cover a pixel.

    As `occlusion`, but the last window of a row or column ends at the border, so that all have the same area.

    Source: Explainability for Content-Based Image Retrieval (Dong, Collins & Hoogs, CVPR workshop 2019).
    """
    windows = cast(SlidingWindows, task.scene.source)
    score = task.scores(task.view)
    dropped, covered = torch.zeros(2, *windows.image_size, dtype=torch.float64, device=task.scene.accumulator_device)
    for start, stop in task.budget.stretches(windows.limit, task.scene.view):
        masks = windows.masks(start, stop, task.encoder.device)
        drops = score - task.scores(blend(task.view, masks.to(task.view.device), task.fill))
        hidden = 1 - masks[:, 0].to(dropped)
        dropped += torch.einsum("n,nij->ij", drops, hidden)
        covered += hidden.sum(0)
    settings = {"window": windows.window, "stride": windows.stride}
    return Maps(dropped / covered, f"drop of the {task.scalar.unit}", settings=settings, masks=windows.limit)


def superpixels(task: Task) -> Tensor:
    """(h, w) int64: index of the superpixel of each pixel, from 0."""
    return cast(Superpixels, task.scene.source).labels
