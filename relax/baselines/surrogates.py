"""Methods that fit a linear model to the scores of images with superpixels hidden: LIME and Kernel SHAP, by captum.

Hidden superpixels show the task's fill. The model is fitted to the change of the score, because captum's float32 loses
the digits in which similarities near 1 differ, and solved in float64, because Kernel SHAP's weights span six orders of
magnitude. Both captum classes draw from the global generators, if only to iterate over their samples: they run inside
a fork of them, seeded from the task.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from captum.attr import KernelShap, Lime
from torch import Tensor

from masking.source import random_rows
from relax.baselines.occlusion import superpixels
from relax.baselines.task import Maps, MethodError, Task

KERNEL_WIDTH = 0.25  # of LIME's weights, in cosine distance; this and the ridge are LIME's defaults for images
RIDGE = 1.0


def lime(task: Task) -> Maps:
    """Coefficients of a ridge regression of the score on the visibility of the superpixels.

    Every superpixel is visible with chance `keep`. A sample weighs exp(-d^2 / width^2)^(1/2), where d is the cosine
    distance between its visible superpixels and all of them. `masks` samples are taken, by default 1,000.

    Source: "Why Should I Trust You?" (Ribeiro, Singh & Guestrin, KDD 2016), with the defaults of the authors' package
    for images: ridge 1, kernel width 0.25, 1,000 samples.
    """
    labels, count = _labels(task)
    visible = random_rows(task.hiding.seed, 0, task.samples, count) < task.hiding.keep

    def draw(original: Tensor, **_: Any) -> Iterator[Tensor]:
        yield from visible.long().to(original.device)[:, None]

    method = Lime(_score_change(task), interpretable_model=Linear(RIDGE), similarity_func=proximity, perturb_func=draw)
    weights = _weights(task, method, labels)
    settings = {"samples": task.samples, "superpixels": count, "keep": task.hiding.keep, "seed": task.hiding.seed}
    settings |= {"kernel_width": KERNEL_WIDTH, "ridge": RIDGE}
    return Maps(
        weights[labels], f"{task.scalar.unit} gained by showing the superpixel", settings=settings, masks=task.samples
    )


def kernel_shap(task: Task) -> Maps:
    """Shapley values of the superpixels, as the coefficients of a linear regression on sampled coalitions.

    They add up to the score of the image minus that of the fill. `masks` coalitions are taken, by default 1,000,
    two of which are the full and the empty one.

    Source: A Unified Approach to Interpreting Model Predictions (Lundberg & Lee, NeurIPS 2017), theorem 2.
    """
    labels, count = _labels(task)
    method = KernelShap(_score_change(task))
    method.interpretable_model = Linear()
    weights = _weights(task, method, labels)
    settings = {"samples": task.samples, "superpixels": count, "seed": task.hiding.seed}
    return Maps(
        weights[labels], f"Shapley value, {task.scalar.unit} per superpixel", settings=settings, masks=task.samples
    )


class Linear:
    """Weighted least squares with an intercept, in float64, with the interface that captum expects of a model.

    Args:
        ridge: Penalty on the squared coefficients, 0 or more; the intercept is not penalised.
    """

    def __init__(self, ridge: float = 0.0) -> None:
        self.ridge = ridge
        self.weights = torch.empty(0)

    def fit(self, batches: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Samples (N, K), scores (N,) and weights (N,), all in one batch."""
        [batch] = batches
        samples, scores, weights = (part.cpu().double() for part in batch)
        centred, change = (
            part - torch.einsum("n...,n->...", part, weights) / weights.sum() for part in (samples, scores)
        )
        root = weights.sqrt()
        penalty = math.sqrt(self.ridge) * torch.eye(samples.shape[1], dtype=samples.dtype)
        design = torch.cat([root[:, None] * centred, penalty])
        values = torch.cat([root * change, torch.zeros(len(penalty), dtype=samples.dtype)])
        # By singular values: directions that too few distinct samples leave undetermined get 0.
        self.weights = torch.linalg.lstsq(design, values[:, None], driver="gelsd").solution[:, 0]

    def representation(self) -> Tensor:
        """(1, K) weights."""
        return self.weights[None]


def _labels(task: Task) -> tuple[Tensor, int]:
    """Labels (h, w) and number of superpixels."""
    labels = superpixels(task)
    count = int(labels.max()) + 1
    if count < 2:
        raise MethodError(f"{task.method} needs 2 superpixels or more, here {count}: give more cells")
    if task.samples <= count:
        raise MethodError(
            f"masks must be more than the superpixels for {task.method}, here {count}; got {task.samples}: "
            "give more masks or fewer cells"
        )
    return labels, count


def _score_change(task: Task) -> Callable[[Tensor], Tensor]:
    """The score of masked views minus that of the view with nothing hidden."""
    score = task.scores(task.view)
    return lambda pixels: task.scores(pixels) - score


def proximity(_: Tensor, __: Tensor, visible: Tensor, **___: Any) -> float:
    """LIME's weight of a sample (1, K) of visible superpixels."""
    distance = 1 - math.sqrt(float(visible.float().mean()))
    return math.exp(-(distance**2) / KERNEL_WIDTH**2 / 2)


def _weights(task: Task, method: Lime, labels: Tensor) -> Tensor:
    """(K,) coefficient of each superpixel, on the CPU."""
    with torch.inference_mode(), forked(task.hiding.seed):
        weights: Tensor = method.attribute(
            task.view,
            baselines=task.fill,
            feature_mask=labels[None, None].to(task.scene.accumulator_device),
            n_samples=task.samples,
            perturbations_per_eval=task.batch,
            return_input_shape=False,
        )
    return weights.flatten().double().cpu()


@contextmanager
def forked(seed: int) -> Iterator[None]:
    """Seed the CPU's generator inside the block and restore it after; captum draws from no other."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
