"""The layers of a network, told by one forward pass, and what they return.

for layer in layers(encoder):                      which modules give a map, tokens or a vector, in the order they run
    layer.name, layer.grid, layer.operations

outputs = activations(encoder, view, ["layer3"])   what they return for pictures (B, C, h, w)
by_name["layer3"].feature_map(outputs["layer3"])   (B, D, gh, gw)

with recording(encoder, ["layer3"]) as outputs:    the same around any use of the encoder
    embedding = encoder.embed(view)

A layer that is called several times counts with its last call. Hooks are removed whatever happens, and every output is
a copy, as the layers that follow may work in place. Functions, TorchScript and ONNX graphs have no layers that torch
sees.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from encoders.encoder import Encoder
from encoders.errors import EncoderError, did_you_mean
from encoders.layouts import MAP, MAP_LAST, TOKENS, VECTOR, Call, Layer, Recogniser
from encoders.outputs import Part
from encoders.outputs import tensor_in as tensor_in

__all__ = ["MAP", "MAP_LAST", "TOKENS", "VECTOR", "Layer", "activations", "hooked", "layers", "network_of", "recording"]

SIDE = 224  # pixels of the picture that layers are told by, for encoders that take any size
SIDE_OF_VOLUMES = 32


def layers(encoder: Encoder, view: Tensor | None = None, *, run: Callable[[], object] | None = None) -> list[Layer]:
    """The modules that return a feature map, tokens or a vector, in the order in which they end: one forward pass.

    A module is in the list before the one that it is part of; the last, "", is the network itself.

    Args:
        encoder: The encoder.
        view: (1, C, h, w) in [0, 1], as `Encoder.view` returns it; by default noise of the encoder's size, or of
            224 x 224 px where it takes any.
        run: Runs the encoder on that view, for callers that count passes; by default `encoder.embed(view)`.

    Returns:
        One `Layer` per module that ran and returned one of these, or an answer in which it comes first.

    Raises:
        EncoderError: If torch sees no layers in the encoder, or it cannot embed the view.
    """
    network = network_of(encoder)
    view = _example(encoder) if view is None else view
    calls = _calls(encoder, run or (lambda: encoder.embed(view)))
    recogniser = Recogniser(network, view.shape[2:])
    by_name: dict[str, tuple[int, Layer]] = {}
    for place, call in enumerate(calls):
        layout = recogniser.layout(call)
        before = by_name.pop(call.name, None)
        if layout is None:
            continue
        prefixed = layout.prefix > 0
        layer = Layer(
            name=call.name,
            kind=type(call.module).__name__,
            layout=layout.layout,
            shape=call.shape[1:],
            grid=layout.grid,
            prefix=layout.prefix,
            class_token=prefixed and recogniser.has_class,
            channels=call.shape[1] if layout.layout == MAP else call.shape[-1],
            parameters=sum(weight.numel() for weight in call.module.parameters()),
            operations=call.operations,
            entry=call.entry,
        )
        if before is not None:
            layer = replace(layer, calls=before[1].calls + 1, operations=before[1].operations + layer.operations)
        by_name[call.name] = place, layer
    return [layer for _, layer in sorted(by_name.values(), key=lambda entry: entry[0])]


def activations(
    encoder: Encoder, view: Tensor, names: Iterable[str], *, prepared: bool = False, gradients: bool = False
) -> dict[str, Tensor]:
    """What layers return for pictures: one forward pass.

    Args:
        encoder: The encoder.
        view: (B, C, h, w) in [0, 1], as `Encoder.view` returns it.
        names: Of modules, as in `layers`; "" is the network itself, before pooling.
        prepared: Whether `view` has been through `Encoder.prepare`, as blends of prepared pictures have.
        gradients: As in `recording`; gradients then reach the pixels as well.

    Returns:
        (B, ...) for each name: float tensors on the encoder's device, see `Layer.shape` and `Layer.feature_map`.

    Raises:
        EncoderError: If torch sees no layers in the encoder, there is none of a name, one did not run or returned no
            tensor, or the encoder cannot embed the view.
    """
    pixels = view if prepared else encoder.prepare(view)
    with recording(encoder, names, gradients=gradients) as outputs:
        if gradients:
            with torch.inference_mode(False), torch.enable_grad():
                encoder.network(pixels.clone())
        else:
            encoder.started(pixels)
    return outputs


@contextmanager
def recording(encoder: Encoder, names: Iterable[str], *, gradients: bool = False) -> Iterator[dict[str, Tensor]]:
    """Record what layers return, whenever the encoder is used inside the block: the last call of each.

    Args:
        encoder: The encoder; while layers are watched, it does not use its fast form.
        names: Of modules, as in `layers`.
        gradients: Whether the outputs are parts of the graph, so that `torch.autograd.grad` of anything that the
            network computes from them finds their gradients; else they are plain copies.

    Yields:
        The outputs by name, in the order of the names; complete when the block ends.

    Raises:
        EncoderError: If torch sees no layers in the encoder, there is none of a name, or at the end of the block one
            did not run or returned no tensor.
    """
    modules = {name: module_of(encoder, name) for name in names}
    outputs: dict[str, Tensor] = {}
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(_: nn.Module, __: Any, answer: Any) -> Any:
            tensor, entry = tensor_in(answer)
            if tensor is None:
                return None
            copied = tensor.clone()
            kept[name] = copied
            if not gradients:
                return None
            if not copied.requires_grad:
                copied.requires_grad_()
            return replaced(answer, entry, copied.clone())

        return hook

    with hooked([module.register_forward_hook(keep(name)) for name, module in modules.items()]):
        yield outputs
    missing = [name for name in modules if name not in kept]
    if missing:
        raise EncoderError(
            f"layer {missing[0]!r} of encoder {encoder.name!r} did not run, or returned no tensor: "
            "relax layers lists those that do"
        )
    outputs.update((name, kept[name]) for name in modules)


@contextmanager
def hooked(handles: list[RemovableHandle]) -> Iterator[None]:
    """Remove the hooks when the block ends, whatever happens."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def unseen(encoder: Encoder) -> str | None:
    """What an encoder's network is where torch sees no layers in it, "a function"; None where it does."""
    network = _inner(encoder.network)
    if not isinstance(network, nn.Module):
        return "a function"
    if isinstance(network, torch.jit.ScriptModule):
        return "TorchScript"
    return getattr(network, "opaque", None)


def network_of(encoder: Encoder) -> nn.Module:
    """The network whose modules have names; that inside, where an output of it was chosen.

    Raises:
        EncoderError: If torch sees no layers in it.
    """
    kind = unseen(encoder)
    if kind is not None:
        raise EncoderError(
            f"layers need a module of torch, and encoder {encoder.name!r} is {kind}, in which torch sees none: "
            + ("load the network in torch, from its weights" if kind != "a function" else "pass the module itself")
        )
    return cast(nn.Module, _inner(encoder.network))


def module_of(encoder: Encoder, name: str) -> nn.Module:
    """The module of that name, as in `Layer`; an EncoderError if torch sees no layers, or there is none of the name."""
    network_of(encoder)
    modules = modules_of(cast(nn.Module, encoder.network))
    if name not in modules:
        hint = did_you_mean(name, modules, "relax layers lists them")
        raise EncoderError(f"encoder {encoder.name!r} has no layer {name!r}: {hint}")
    return modules[name]


def replaced(answer: Any, entry: str | int | None, tensor: Tensor) -> Any:
    """The answer with another tensor in that place, as `tensor_in` names it."""
    if entry is None:
        return tensor
    if isinstance(entry, str):
        if isinstance(answer, Mapping):
            answer[entry] = tensor  # type: ignore[index]  # a ModelOutput keeps its attributes in step
        else:
            setattr(answer, entry, tensor)
        return answer
    parts = [tensor, *answer[1:]]
    if hasattr(answer, "_fields"):
        return type(answer)(*parts)
    return type(answer)(parts)


def _inner(network: Any) -> Any:
    """The network in what returns a part of it."""
    while isinstance(network, Part):
        network = network.network
    return network


def modules_of(network: nn.Module) -> dict[str, nn.Module]:
    """Modules by name; "" is the network itself, though it may return a part of what one in it does."""
    inner = _inner(network)
    return {"": network, **{name: part for name, part in inner.named_modules() if name}}


def _example(encoder: Encoder) -> Tensor:
    """(1, C, h, w) noise of the encoder's size, the same every time."""
    shape = encoder.preprocess.shape or ((SIDE_OF_VOLUMES,) * 3 if encoder.takes_volumes else (SIDE,) * 2)
    generator = torch.Generator().manual_seed(0)
    return torch.rand((1, encoder.channels or 3, *shape), generator=generator)


def _calls(encoder: Encoder, run: Callable[[], object]) -> list[Call]:
    """Every call of a module that returned a tensor, in the order in which they ended."""
    from torch.utils.flop_counter import FlopCounterMode  # which imports triton, and takes longer than 100 masks

    calls: list[Call] = []
    counter = FlopCounterMode(display=False)
    started: dict[str, list[int]] = defaultdict(list)

    def before(name: str) -> Callable[[nn.Module, Any], None]:
        return lambda _, __: started[name].append(counter.get_total_flops())

    def after(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, _: Any, answer: Any) -> None:
            flops = counter.get_total_flops() - started[name].pop()
            tensor, entry = tensor_in(answer)
            if tensor is not None:
                calls.append(Call(name, module, tuple(tensor.shape), entry, flops // 2))

        return hook

    handles = [
        handle
        for name, module in modules_of(cast(nn.Module, encoder.network)).items()
        for handle in (module.register_forward_pre_hook(before(name)), module.register_forward_hook(after(name)))
    ]
    fast = torch.backends.mha.get_fastpath_enabled()  # whose kernels show neither layers nor operations
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with hooked(handles), counter:
            run()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return calls
