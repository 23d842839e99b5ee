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

from masking import make_fill
from masking.source import random_rows
from relax.baselines.task import Maps, MethodError, Task, gradients_allowed

NOISE = 0.15  # standard deviation of SmoothGrad's noise, as a share of the range of the pixels
STREAM = 2  # masks take stream 0 of a seed, noise to fill with 1, random maps 3
BASELINES, POINTS = 4, 5  # further streams
GOLDEN = (5**0.5 - 1) / 2


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
        product = times_difference(task)
    return Maps(product, f"{task.scalar.unit}, first order")


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


def expected_gradients(task: Task) -> Maps:
    """As integrated gradients, at one random point of the way from each of many baselines, instead of all from one.

    A third of the baselines are the fill, a third the blurred picture, and a third uniform noise, drawn anew each
    time: pictures without content that resemble each other in nothing, so that no part of the picture looks like all
    of them. The map adds up, on average, to the score of the image minus the mean score of the baselines. The number
    of baselines is `masks`, by default 60. For baselines of your own, average the maps of integrated gradients with
    `fill` at each.

    Source: Expected gradients (Erion et al., Nature Machine Intelligence 2021), equation 4, who draw baselines from the
    training pictures; without its noise on the picture it is GradientSHAP (Lundberg & Lee, NeurIPS 2017). Baselines
    without content: Sturmfels, Lundberg & Lee, Distill 2020. Points on the way: Kronecker's sequence of the golden
    ratio, shifted at random, which covers it evenly and leaves no bias.
    """
    view, seed = task.view, task.hiding.seed
    with gradients_allowed():
        total = torch.zeros_like(view[0], dtype=torch.float64)
        still = torch.stack([task.fill[0], make_fill("blur", view)[0]])
        shift = float(random_rows(seed, 0, 1, 1, stream=POINTS))
        for start, stop in task.budget.stretches(task.samples, view):
            numbers = range(start, stop)
            baselines = torch.stack([still[n % 3] if n % 3 < 2 else _uniform(seed, n, view) for n in numbers])
            points = torch.tensor([(shift + n * GOLDEN) % 1 for n in numbers]).to(view).view(-1, 1, 1, 1)
            gradients = _gradients(task, torch.lerp(baselines, view, points))
            total += (gradients * (view - baselines)).sum(0, dtype=torch.float64)
    settings = {"samples": task.samples, "baselines": ["fill", "blur", "noise"], "seed": seed}
    return Maps(_summed(total[None] / task.samples), f"{task.scalar.unit} gained over the baselines", settings=settings)


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


def times_difference(task: Task, passes: int | None = None) -> Tensor:
    """(h, w): pixel minus fill, times the gradient, summed over channels; only inside `gradients_allowed`.

    `passes` is what that costs, see `Task.scores_with_gradients`.
    """
    fill = task.fill.clone()
    method = InputXGradient(lambda difference: task.scores_with_gradients(fill + difference, passes))
    return _summed(method.attribute(task.leaf(task.view - fill)))


def _gradients(task: Task, pixels: Tensor) -> Tensor:
    """(N, C, h, w): the gradient of each image's score."""
    gradients: Tensor = Saliency(task.scores_with_gradients).attribute(task.leaf(pixels), abs=False)
    return gradients


def _normal(seed: int, number: int, view: Tensor) -> Tensor:
    """Standard normal noise (C, h, w) for copy number `number`, independent of batch size and device."""
    seeds = np.random.SeedSequence([seed, number, STREAM]).generate_state(2)
    generator = torch.Generator().manual_seed(int(seeds[0]) << 32 | int(seeds[1]))
    return torch.randn(view.shape[1:], generator=generator)


def _uniform(seed: int, number: int, view: Tensor) -> Tensor:
    """Uniform noise (C, h, w) in [0, 1) for baseline number `number`, on the view's device."""
    channels, height, width = view.shape[1:]
    rows = channels * height
    values = random_rows(seed, number * rows, (number + 1) * rows, width, stream=BASELINES)
    return values.view(channels, height, width).to(view.device)


def _largest(gradient: Tensor) -> Tensor:
    """(1, C, h, w) to (h, w): the largest absolute value among the channels."""
    return gradient.detach()[0].abs().amax(0)


def _summed(parts: Tensor) -> Tensor:
    """(1, C, h, w) to (h, w): the sum over the channels."""
    return parts.detach()[0].sum(0)
