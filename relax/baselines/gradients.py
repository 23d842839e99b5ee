"""Methods that differentiate the score with respect to the pixels, by captum.

Gradients are taken with respect to the pixels of the view in [0, 1], before normalisation. For a class the score is
its logit; for an image compared with itself it is the inner product with its embedding held fixed (see `scalar`).
There are no side effects: weights are frozen, and gradients are taken at a copy of the pixels.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from captum.attr import GuidedBackprop, InputXGradient, IntegratedGradients, Saliency
from torch import Tensor, nn

from relax.baselines.task import Maps, MethodError, Task, gradients_allowed

NOISE = 0.15  # standard deviation of SmoothGrad's noise, as a share of the range of the pixels
STREAM = 2  # masks take stream 0 of a seed, noise to fill with 1


def saliency(task: Task) -> Maps:
    """The largest absolute gradient among a pixel's channels.

    Source: Deep Inside Convolutional Networks (Simonyan, Vedaldi & Zisserman, ICLR workshop 2014), section 3.
    """
    with gradients_allowed():
        gradient = _gradients(task, task.view)
    return Maps(_largest(gradient), f"|d {task.scalar.unit} / d pixel|")


def input_x_gradient(task: Task) -> Maps:
    """Pixel minus fill, times the gradient, summed over channels: to first order, the drop caused by hiding it.

    With the default fill, the encoder's mean pixel, this is the network's normalised input times the gradient
    with respect to that input, the usual form of the method.

    Source: Not Just a Black Box (Shrikumar et al., 2016, arXiv 1605.01713).
    """
    with gradients_allowed():
        fill = task.fill.clone()
        method = InputXGradient(lambda difference: task.scores_with_gradients(fill + difference))
        product = method.attribute(task.leaf(task.view - fill))
    return Maps(_summed(product), f"{task.scalar.unit}, first order")


def smoothgrad(task: Task) -> Maps:
    """Saliency of the mean gradient over noisy copies of the image.

    The noise is normal, with a standard deviation of 0.15 times the range of the image's pixels, and may leave
    [0, 1]. The number of copies is `masks`, by default 50.

    Source: SmoothGrad (Smilkov et al., 2017, arXiv 1706.03825), which recommends 50 copies and 10 to 20 % of noise.
    """
    view = task.view
    spread = NOISE * float(view.max() - view.min())
    with gradients_allowed():
        total = torch.zeros_like(view[0], dtype=torch.float64)
        for start, stop in task.budget.stretches(task.samples, view):
            noise = torch.stack([_normal(task.hiding.seed, number, view) for number in range(start, stop)])
            total += _gradients(task, view + spread * noise.to(view.device)).sum(0, dtype=torch.float64)
    settings = {"samples": task.samples, "noise": NOISE, "seed": task.hiding.seed}
    return Maps(_largest(total[None] / task.samples), f"|d {task.scalar.unit} / d pixel|", settings=settings)


def integrated_gradients(task: Task) -> Maps:
    """Gradients along the straight line from fill to image, times pixel minus fill, summed over channels.

    The map adds up to the score of the image minus that of the fill, up to the error of the integration, which is
    recorded as `completeness_gap`. The number of steps is `masks`, by default 50 (Gauss-Legendre).

    Source: Axiomatic Attribution for Deep Networks (Sundararajan, Taly & Yan, ICML 2017).
    """
    with gradients_allowed():
        method = IntegratedGradients(task.scores_with_gradients)
        parts, gap = method.attribute(
            task.leaf(task.view),
            baselines=task.fill.clone(),
            n_steps=task.samples,
            internal_batch_size=min(task.batch, task.samples),
            return_convergence_delta=True,
        )
    settings = {"steps": task.samples, "completeness_gap": float(gap)}
    return Maps(_summed(parts), f"{task.scalar.unit} gained over the fill", settings=settings)


def guided_backprop(task: Task) -> Maps:
    """Saliency, with negative gradients set to 0 at every ReLU in the backward pass.

    Only ReLU modules are guided: a ReLU that the network calls as a function has its usual gradient.

    Source: Striving for Simplicity (Springenberg et al., ICLR workshop 2015). It is known to depend
    little on the weights (Adebayo et al., NeurIPS 2018).

    Raises:
        MethodError: If the encoder is a function, or has no ReLU.
    """
    network = task.encoder.network
    if not isinstance(network, nn.Module):
        raise MethodError(
            f"guided-backprop needs ReLU modules, and encoder {task.encoder.name!r} is a function: use saliency"
        )
    guided = sum(isinstance(module, nn.ReLU) for module in network.modules())
    if not guided:
        raise MethodError(
            f"guided-backprop needs ReLU modules, and encoder {task.encoder.name!r} has none: use saliency"
        )
    with gradients_allowed(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting backward hooks on ReLU")
        gradient = GuidedBackprop(_Guided(task, network)).attribute(task.leaf(task.view))
    return Maps(_largest(gradient), f"|guided d {task.scalar.unit} / d pixel|", settings={"relus": guided})


class _Guided(nn.Module):
    """The score as a module, in whose network captum hooks the ReLUs; it removes the hooks afterwards."""

    def __init__(self, task: Task, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._score = task.scores_with_gradients

    def forward(self, pixels: Tensor) -> Tensor:
        return self._score(pixels)


def _gradients(task: Task, pixels: Tensor) -> Tensor:
    """(N, C, h, w): the gradient of each image's score."""
    gradients: Tensor = Saliency(task.scores_with_gradients).attribute(task.leaf(pixels), abs=False)
    return gradients


def _normal(seed: int, number: int, view: Tensor) -> Tensor:
    """Standard normal noise (C, h, w) for copy number `number`, independent of batch size and device."""
    seeds = np.random.SeedSequence([seed, number, STREAM]).generate_state(2)
    generator = torch.Generator().manual_seed(int(seeds[0]) << 32 | int(seeds[1]))
    return torch.randn(view.shape[1:], generator=generator)


def _largest(gradient: Tensor) -> Tensor:
    """(1, C, h, w) to (h, w): the largest absolute value among the channels."""
    return gradient.detach()[0].abs().amax(0)


def _summed(parts: Tensor) -> Tensor:
    """(1, C, h, w) to (h, w): the sum over the channels."""
    return parts.detach()[0].sum(0)
