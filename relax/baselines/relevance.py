"""Layer-wise relevance propagation through transformers (AttnLRP): input x gradient of a network made linear.

While the rules are in force, every operation is computed by one of the same value, in which what bends it is held
fixed. One gradient then gives the relevance, through any network whose operations torch sees, and no module is changed.

    linear layers, convolutions       the gamma rule: contributions of the sign of the output count for more
    GELU, SiLU, ...                   the input times the ratio of output and input, held fixed
    layer norm, division              the deviation or the divisor is held fixed
    product of two activations        each gets half of the relevance; attention has two in a row
    softmax                           its gradient, as it is

Source: AttnLRP (Achtibat et al., ICML 2024, arXiv 2402.05602), sections 3.2 and 3.3; the gamma rule: Montavon et al.,
"Layer-wise relevance propagation: an overview" (2019), section 10.2.3, with the shares of the authors' example for
vision transformers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from relax.baselines.costs import GRADIENT
from relax.baselines.gradients import times_difference
from relax.baselines.task import Maps, MethodError, Task, gradients_allowed

Rule = Callable[..., Any]  # of an operation and its arguments to its result; None where nothing bends it

GAMMA = {"linear": 0.05, "conv2d": 0.25}


def attnlrp(task: Task) -> Maps:
    """Relevance of pixel minus fill for the score, summed over channels.

    It differs from `input_x_gradient` by the rules above. Biases keep a share, so it need not add up to the score.

    Source: AttnLRP (Achtibat et al., ICML 2024), in the form of section 3.3, which needs one gradient; here it counts
    as two, for the gamma rule computes each linear layer twice.

    Raises:
        MethodError: If torch sees no attention in the encoder.
    """
    with gradients_allowed(), Rules() as rules:
        relevance = times_difference(task, passes=2 * GRADIENT)
    if not rules.applied.keys() & ATTENTION:
        raise MethodError(
            f"attnlrp needs the attention of a transformer whose operations torch sees, and encoder "
            f"{task.encoder.name!r} has none: use smoothgrad or relax"
        )
    settings = {"gamma": GAMMA, "rules": dict(sorted(rules.applied.items()))}
    return Maps(relevance, f"{task.scalar.unit}, relevance", settings=settings)


class Rules(TorchFunctionMode):
    """Inside the block, the operations of torch have their own values and the gradients of the rules.

    Attributes:
        applied: How often each operation was given another gradient.
    """

    def __init__(self) -> None:
        super().__init__()
        self.applied: Counter[str] = Counter()

    def __torch_function__(
        self, function: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        name, named = getattr(function, "__name__", ""), kwargs or {}
        linear = RULES[name](function, *args, **named) if name in RULES and args and _bends(args[0]) else None
        if linear is None:
            return function(*args, **named)
        self.applied[name] += 1
        return linear


def gamma(share: float) -> Rule:
    """The gamma rule: contributions of the sign of the output count 1 + `share` times, the others once.

    Of z = w x + b the positive and the negative contributions add up to z, and their sizes to a = |w| |x| + |b|.
    """

    def rule(function: Any, x: Tensor, weight: Tensor, bias: Any = None, *args: Any, **named: Any) -> Tensor | None:
        if _bends(weight):
            return None
        output: Tensor = function(x, weight, bias, *args, **named)
        sizes = function(x.abs(), weight.abs(), None if bias is None else bias.abs(), *args, **named)
        counted = (1 + share / 2) * output + share / 2 * output.sign() * sizes
        ratio = output / counted.where(counted != 0, 1.0)
        linear: Tensor = counted * ratio.detach()
        return linear

    return rule


def proportional(function: Any, x: Tensor, *args: Any, **named: Any) -> Tensor:
    """Input times the ratio of output and input, held fixed; 0 where the input is 0."""
    output = function(x.detach().clone(), *args, **named)  # perhaps in place
    ratio: Tensor = output / x.where(x != 0, 1.0)
    return x * ratio.detach()


def layer_norm(function: Any, x: Tensor, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """With the standard deviation held fixed."""
    variance, mean = torch.var_mean(x, tuple(range(-len(shape), 0)), correction=0, keepdim=True)
    normed = (x - mean) * (variance + eps).rsqrt().detach()
    normed = normed if weight is None else normed * weight
    return normed if bias is None else normed + bias


def held(function: Any, x: Tensor, *args: Any, **named: Any) -> Tensor:
    """Fixed: a gate, or one over a deviation."""
    gate: Tensor = function(x, *args, **named)
    return gate.detach()


def divided(function: Any, x: Tensor, divisor: Any, *args: Any, **named: Any) -> Any:
    """With the divisor held fixed."""
    return function(x, divisor.detach(), *args, **named) if _bends(divisor) else None


def product(function: Any, x: Tensor, other: Any, *args: Any, **named: Any) -> Tensor | None:
    """Of two activations: half of the gradient each."""
    return _part(function(x, other, *args, **named), 2) if _bends(other) else None


def attention(function: Any, query: Tensor, key: Tensor, value: Tensor, *args: Any, **named: Any) -> Any:
    """Two products, the first of queries and keys, the second of its softmax and the values."""
    return function(_part(query, 4), _part(key, 4), _part(value, 2), *args, **named)


RULES: dict[str, Rule] = {
    **{name: gamma(share) for name, share in GAMMA.items()},
    **dict.fromkeys(("gelu", "silu", "mish", "hardswish", "elu", "tanh", "rms_norm", "normalize"), proportional),
    "layer_norm": layer_norm,
    **dict.fromkeys(("sigmoid", "rsqrt"), held),
    **dict.fromkeys(("div", "true_divide"), divided),
    **dict.fromkeys(("mul", "multiply", "matmul", "bmm"), product),
    **dict.fromkeys(("scaled_dot_product_attention", "multi_head_attention_forward"), attention),
}
ATTENTION = {"matmul", "bmm", "scaled_dot_product_attention", "multi_head_attention_forward"}


def _bends(value: Any) -> bool:
    """Whether it depends on the picture; weights do not."""
    return isinstance(value, Tensor) and value.requires_grad


def _part(values: Tensor, parts: int) -> Tensor:
    """The same values, with one part in so many of the gradient."""
    part = values / parts
    return part + (values - part).detach()
