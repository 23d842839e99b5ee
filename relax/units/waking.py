"""Wake a unit that is silent wherever an ascent begins: behind a ReLU no gradient passes as long as nothing does.

While it is woken, every ReLU of the network lets a tenth of what is below 0 pass, so that there is a way up; as soon as
the unit answers through the network as it is, that is climbed again.

Source: the redirected gradients of lucid (Olah, Mordvintsev & Schubert, Distill 2017) have the same purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.trace import hooked
from relax.units.canvas import Canvas
from relax.units.forms import Wobble
from relax.units.wobble import looks_at

STEPS = 96  # at most
RELUS = (nn.ReLU, nn.ReLU6)
IN_A_ROW = 8  # looks at which it must answer, since the next one may be another again
SLOPE = 0.1  # of the ReLU below 0, meanwhile


def woken(
    network: object,
    canvas: Canvas,
    value: Callable[[Tensor], Tensor],
    *,
    rate: float,
    wobble: Wobble,
    generator: torch.Generator,
) -> int | None:
    """Climb, in place, through a leaky network, until the unit answers through the network as it is.

    Returns:
        How many steps it took; None if it stays silent, or the network has no module `nn.ReLU`.
    """
    if not isinstance(network, nn.Module) or not any(isinstance(part, RELUS) for part in network.modules()):
        return None
    optimiser, answers = torch.optim.Adam([canvas.numbers], lr=rate), 0
    for step in range(1, STEPS + 1):
        optimiser.zero_grad()
        with leaky(network):
            (-value(looks_at(canvas.picture(), wobble, generator)).mean()).backward()
        optimiser.step()
        optimiser.zero_grad()
        mean = value(looks_at(canvas.picture(), wobble, generator)).mean()
        mean.backward()
        answers = answers + 1 if canvas.numbers.grad is not None and canvas.numbers.grad.any() else 0
        if answers == IN_A_ROW:
            optimiser.zero_grad()
            return step
    return None


@contextmanager
def leaky(network: nn.Module) -> Iterator[None]:
    """Let a tenth of what is below 0 pass every ReLU that is a module, inside the block."""
    taken: dict[int, Tensor] = {}

    def before(module: nn.Module, inputs: Any) -> None:
        taken[id(module)] = inputs[0].clone()  # the module may work in place

    def after(module: nn.Module, _: Any, __: Tensor) -> Tensor:
        passed = F.leaky_relu(taken.pop(id(module)), SLOPE)
        return passed.clamp(max=6) if isinstance(module, nn.ReLU6) else passed

    parts = [part for part in network.modules() if isinstance(part, RELUS)]
    handles = [part.register_forward_pre_hook(before) for part in parts]
    with hooked([*handles, *(part.register_forward_hook(after) for part in parts)]):
        yield
