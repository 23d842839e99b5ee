"""Which tensor of a network's answer is the embedding, where the answer is more than a tensor.

Dicts, tuples, named tuples, dataclasses and the ModelOutput of transformers have entries. An entry is chosen by its
name or number, anything else by a function; the name of a layer takes what that layer returned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor, nn

from encoders.errors import EncoderError, did_you_mean

Output: TypeAlias = str | int | Callable[[Any], Any]
"""Name of an entry or of a layer, number of an entry, or a function from the network's answer to the embedding."""


class Part(nn.Module):
    """A network of which only a part is returned.

    Attributes:
        network: The network, which may itself be one.
    """

    network: nn.Module


class Selected(Part):
    """A network of whose answer one part is returned.

    Attributes:
        network: The network.
        output: The part.
        name: The encoder's name, for messages.
    """

    def __init__(self, network: nn.Module, output: Output, name: str) -> None:
        super().__init__()
        self.network = network
        self.output = output
        self.name = name
        for attribute in ("num_prefix_tokens", "embed_text"):  # see `encoders.contract.Network`
            if hasattr(network, attribute):
                setattr(self, attribute, getattr(network, attribute))

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels to the tensor that `output` names; an entry of the answer goes before a layer of the same name."""
        layer = _layer(self.network, self.output)
        if layer is None:
            return select(self.network(pixels), self.output, self.name)
        answers: list[Any] = []
        handle = layer.register_forward_hook(lambda _, __, answer: answers.append(_kept(answer)))
        try:
            answer = self.network(pixels)
        finally:
            handle.remove()
        if self.output in entries(answer):
            return select(answer, self.output, self.name)
        if len(answers) != 1:
            raise EncoderError(
                f"output must be a layer that runs once for encoder {self.name!r}; {self.output!r} ran "
                f"{len(answers)} times: name another, or give a function of what the network returns"
            )
        return tensor_of(answers[0], self.name)


def selecting(network: nn.Module | Callable[[Tensor], Any], output: Output, name: str) -> Callable[[Tensor], Tensor]:
    """A module or function that returns only the named part of what a module or function returns.

    Raises:
        EncoderError: If the output is neither a name, a number nor a function.
    """
    if isinstance(output, bool) or not (isinstance(output, str | int) or callable(output)):
        raise EncoderError(
            f"output must be the name or number of what encoder {name!r} returns, or a function that takes it to the "
            f"embedding; got {type(output).__name__}"
        )
    if isinstance(network, nn.Module):
        return Selected(network, output, name)
    return partial(_select_from, network, output, name)


def entries(answer: object) -> dict[Any, Any]:
    """The parts of an answer by name, or by number for a tuple or list; none for a tensor and all else."""
    if isinstance(answer, Mapping):
        return dict(answer)
    if is_dataclass(answer) and not isinstance(answer, type):
        return {field.name: getattr(answer, field.name) for field in fields(answer)}
    if isinstance(answer, tuple) and hasattr(answer, "_fields"):
        return dict(zip(answer._fields, answer, strict=True))
    return dict(enumerate(answer)) if isinstance(answer, tuple | list) else {}


def select(answer: object, output: Output, name: str) -> Tensor:
    """The tensor that `output` names in a network's answer.

    Raises:
        EncoderError: If there is no such part, or it is no tensor.
    """
    if callable(output):
        return tensor_of(output(answer), name)
    parts = entries(answer)
    if output in parts:
        return tensor_of(parts[output], name)
    if isinstance(output, int) and -len(parts) <= output < len(parts):
        return tensor_of([*parts.values()][output], name)
    if isinstance(output, str) and not isinstance(answer, Tensor | np.ndarray) and hasattr(answer, output):
        return tensor_of(getattr(answer, output), name)
    known = [str(key) for key in parts]
    hint = did_you_mean(str(output), known, "take one of these") if known else "leave output= out, or name a layer"
    raise EncoderError(
        f"output must name a part of what encoder {name!r} returned, {_described(answer)}; got {output!r}: {hint}"
    )


def tensor_of(answer: object, name: str) -> Tensor:
    """The tensor that an answer is or, with no other beside it, holds; an array becomes a tensor.

    Raises:
        EncoderError: If there is none, or more than one.
    """
    if isinstance(answer, Tensor):
        return answer if type(answer) is Tensor else answer.as_subclass(Tensor)
    masked = isinstance(answer, np.ma.MaskedArray)  # which has entries without a value
    if isinstance(answer, np.ndarray) and answer.dtype.kind in "fiubc" and not masked:
        wide = answer.dtype == np.longdouble  # torch has no such numbers
        return torch.from_numpy(np.array(answer, np.float64 if wide else None))  # a copy: it may be read-only
    parts = entries(answer)
    tensors = {key: value for key, value in parts.items() if isinstance(value, Tensor | np.ndarray)}
    if len(tensors) == 1:
        return tensor_of(next(iter(tensors.values())), name)
    if tensors:
        raise EncoderError(
            f"encoder {name!r} returned several tensors, {_described(answer)}: say which is the embedding, as in "
            f"relax.load_encoder(module, output={next(iter(tensors))!r})"
        )
    raise EncoderError(
        f"encoder {name!r} returned a {type(answer).__name__}; expected a tensor (B, D): "
        "wrap it in a function that returns the vector you want explained"
    )


def tensor_in(answer: object) -> tuple[Tensor | None, str | int | None]:
    """The float tensor that a layer's answer is, or starts with, and which part of the answer it is.

    None where there is none. Of a ModelOutput of transformers, it is the hidden state.
    """
    hidden = answer.get("last_hidden_state") if isinstance(answer, Mapping) else None
    hidden = getattr(answer, "last_hidden_state", None) if hidden is None else hidden
    entry: str | int | None = None
    if hidden is not None:
        answer, entry = hidden, "last_hidden_state"
    elif isinstance(answer, tuple | list) and answer:
        answer, entry = answer[0], 0
    if isinstance(answer, Tensor) and answer.is_floating_point() and answer.layout == torch.strided:
        return answer, entry
    return None, None


def _select_from(network: Callable[[Tensor], Any], output: Output, name: str, pixels: Tensor) -> Tensor:
    return select(network(pixels), output, name)


def _layer(network: nn.Module, output: Output) -> nn.Module | None:
    """The layer of this name; None where there is none, or it cannot be watched, as in TorchScript."""
    layer = dict(network.named_modules()).get(output) if isinstance(output, str) and output else None
    return None if isinstance(layer, torch.jit.ScriptModule) else layer


def _kept(answer: object) -> object:
    """A copy of a tensor, since the next layer may work in place."""
    return cast(object, answer.clone()) if isinstance(answer, Tensor) else answer


def _described(answer: object) -> str:
    """What an answer consists of, in words."""
    if isinstance(answer, Tensor | np.ndarray):
        return f"a tensor {tuple(answer.shape)}"
    shapes = {
        key: tuple(value.shape) if isinstance(value, Tensor | np.ndarray) else type(value).__name__
        for key, value in entries(answer).items()
    }
    listed = ", ".join(f"{key} {shape}" for key, shape in shapes.items())
    return listed or f"a {type(answer).__name__}"
