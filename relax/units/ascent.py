"""Climb the value of a picture by its gradients: the loop, its path, and a stop that keeps what is there.

Adam; the steps keep their size in the first half and then shrink to nothing, so that a maximum is reached and not
circled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from relax.units.canvas import Canvas, Pixels
from relax.units.forms import Wobble
from relax.units.wobble import looks_at

CONTRAST = 0.25  # standard deviation of the values of a natural picture, to which the default penalty is set


@dataclass
class Climb:
    """How an ascent went.

    Attributes:
        path: The value at each step, the mean of its looks.
        penalty: That of the textbook form, 0 for the others.
        stopped: Whether Ctrl-C ended it.
        woken: Steps before the first by which a silent unit was woken, see `waking`.
    """

    path: list[float] = field(default_factory=list)
    penalty: float = 0.0
    stopped: bool = False
    woken: int = 0


class SilentError(ArithmeticError):
    """No gradient reaches the picture."""


def climb(
    canvas: Canvas,
    value: Callable[[Tensor], Tensor],
    *,
    steps: int,
    rate: float,
    wobble: Wobble,
    generator: torch.Generator,
    penalty: float | None = None,
    step_done: Callable[[int], None] | None = None,
) -> Climb:
    """Climb, in place.

    Args:
        canvas: The picture.
        value: Looks (B, C, h, w) to their values (B,), with gradients.
        steps: How many.
        rate: Of Adam, in the unit of the canvas's numbers.
        wobble: How looks differ from the picture.
        generator: The only source of randomness.
        penalty: Of a canvas of pixels: what is climbed is the value minus the penalty times the sum of squares of the
            difference from its colour. None: so that a unit that is linear, with the gradient of the start, ends with
            the contrast of natural pictures, a standard deviation of 0.25.
        step_done: Called after each with the number of steps so far.

    Raises:
        SilentError: If no gradient reaches the picture at the start.
        ValueError: If the value is not finite.
    """
    ascent = Climb(penalty=penalty or 0.0)
    optimiser = torch.optim.Adam([canvas.numbers], lr=rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, 2 * (1 - step / steps)))
    try:
        for step in range(steps):
            optimiser.zero_grad()
            mean = value(looks_at(canvas.picture(), wobble, generator)).mean()
            if not torch.isfinite(mean):
                raise ValueError(f"rate must be smaller: the value at step {step} is not finite")
            (-mean).backward()
            if step == 0:
                ascent.penalty = _checked_start(canvas, penalty)
            if isinstance(canvas, Pixels) and ascent.penalty:
                assert canvas.numbers.grad is not None  # noqa: S101  # backward saw to it
                canvas.numbers.grad += 2 * ascent.penalty * canvas.numbers.detach()
            ascent.path.append(float(mean.detach()))
            optimiser.step()
            schedule.step()
            if step_done is not None:
                step_done(step + 1)
    except KeyboardInterrupt:
        ascent.stopped = True
    return ascent


def _checked_start(canvas: Canvas, penalty: float | None) -> float:
    """The penalty, once it is known that there is a gradient."""
    gradient = canvas.numbers.grad
    if gradient is None or not gradient.any():
        raise SilentError("no gradient reaches the picture: the unit is silent there")
    if not isinstance(canvas, Pixels):
        return 0.0
    if penalty is not None:
        return penalty
    return float(gradient.norm() / (2 * CONTRAST * math.sqrt(gradient.numel())))
