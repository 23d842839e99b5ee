"""What the cells of layers see: the pixels that they depend on, and the weights of the convolution that sees pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from encoders import Encoder, EncoderError
from encoders.layouts import Layer
from encoders.trace import hooked, module_of, tensor_in
from relax.inside.fields import Field, receptive_fields
from relax.inside.stage import Kernel

BATCH = 16  # pictures in one pass
MOST_COLOURS = 4  # input channels of a convolution whose products are told
CLOSE = 1e-3  # relative error within which the products must add up to what the layer returned


class _Enough(Exception):
    """Ends a forward pass behind the last layer that is looked at."""


def fields_of(encoder: Encoder, view: Tensor, layers: Sequence[Layer]) -> dict[str, Field]:
    """The receptive fields of layers with places, by name, see `relax.inside.fields`.

    Args:
        encoder: The encoder.
        view: (1, C, h, w) in [0, 1].
        layers: In the order in which they end.

    Raises:
        EncoderError: If the encoder does not run on pixels that are no numbers.
    """
    by_name = {layer.name: layer for layer in layers}
    grids = {layer.name: (layer.grid[0], layer.grid[1]) for layer in layers if layer.grid is not None}

    def run(marked: NDArray[np.bool_], names: Sequence[str]) -> Mapping[str, NDArray[np.bool_]]:
        parts: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in names}
        for start in range(0, len(marked), BATCH):
            pixels = torch.from_numpy(marked[start : start + BATCH]).to(view.device)[:, None]
            unknown = view.expand(len(pixels), *view.shape[1:]).masked_fill(pixels, torch.nan)
            for name, cells in _until(encoder, unknown, [by_name[name] for name in names]).items():
                parts[name].append(cells)
        return {name: np.concatenate(part) for name, part in parts.items()}

    return receptive_fields(run, (view.shape[-2], view.shape[-1]), grids)


def _until(encoder: Encoder, view: Tensor, layers: Sequence[Layer]) -> dict[str, NDArray[np.bool_]]:
    """(B, gh, gw) by name: which cells are no numbers. The pass ends behind the last of the layers."""
    nan_cells: dict[str, NDArray[np.bool_]] = {}

    def watch(layer: Layer) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_: nn.Module, __: Any, answer: Any) -> None:
            tensor, _entry = tensor_in(answer)
            if tensor is not None and len(tensor) == len(view):
                nan_cells[layer.name] = torch.isnan(layer.feature_map(tensor)).any(1).cpu().numpy()
            if layer is layers[-1] and layer.calls == 1:
                raise _Enough

        return hook

    handles = [module_of(encoder, layer.name).register_forward_hook(watch(layer)) for layer in layers]
    try:
        # On CUDA the kernels of cuDNN may compute a cell from more than it depends on, as Winograd's do.
        with hooked(handles), torch.backends.cudnn.flags(enabled=False):
            encoder.started(encoder.prepare(view))
    except EncoderError as error:
        if not isinstance(error.__cause__, _Enough):
            raise
    if missing := [layer.name for layer in layers if layer.name not in nan_cells]:
        raise EncoderError(f"layer {missing[0]!r} of encoder {encoder.name!r} gives no map of each picture of a batch")
    return nan_cells


def kernel_of(encoder: Encoder, view: Tensor, layer: Layer, activations: NDArray[np.float32]) -> Kernel | None:
    """The weights of a convolution that sees the pixels, and its input; None for any other layer.

    Also None where its products do not add up to what the layer returns: weights that are made anew at each pass,
    padding that is not zeros.

    Args:
        encoder: The encoder.
        view: (1, C, h, w) in [0, 1].
        layer: The layer.
        activations: (D, gh, gw) what it returned.
    """
    module = module_of(encoder, layer.name)
    if not isinstance(module, nn.Conv2d) or module.in_channels > MOST_COLOURS or module.groups != 1:
        return None
    given: list[Tensor] = []
    handle = module.register_forward_hook(lambda _, inputs, __: given.append(inputs[0].detach().clone()))
    with hooked([handle]):
        encoder.embed(view)
    if len(given) != 1 or len(given[0]) != 1:
        return None
    weight = module.weight.detach().float().cpu()
    bias = torch.zeros(len(weight)) if module.bias is None else module.bias.detach().float().cpu()
    pixels = given[0][0].float().cpu()
    stride, dilation = _pair(module.stride), _pair(module.dilation)
    for padding in _paddings(module, pixels, stride, dilation):
        kernel = Kernel(weight.numpy(), bias.numpy(), pixels.numpy(), stride, padding, dilation)
        if _adds_up(kernel, activations):
            return kernel
    return None


def _paddings(
    module: nn.Conv2d, pixels: Tensor, stride: tuple[int, int], dilation: tuple[int, int]
) -> list[tuple[int, int]]:
    """Rows and columns of zeros before the first: as the layer says, and as TensorFlow's "SAME" has them."""
    spans = [step * (length - 1) + 1 for step, length in zip(dilation, module.kernel_size, strict=True)]
    same = [
        max((-(-length // step) - 1) * step + span - length, 0) // 2
        for length, step, span in zip(pixels.shape[1:], stride, spans, strict=True)
    ]
    said = [] if isinstance(module.padding, str) else [_pair(module.padding)]
    return [*said, (same[0], same[1])]


def _adds_up(kernel: Kernel, activations: NDArray[np.float32]) -> bool:
    """Whether the products of a kernel are the layer's numbers."""
    _, rows, columns = activations.shape
    sides = []
    for place, cells in ((1, columns), (0, rows)):
        span = kernel.dilation[place] * (kernel.weight.shape[place + 2] - 1) + 1
        after = (cells - 1) * kernel.stride[place] + span - kernel.input.shape[place + 1] - kernel.padding[place]
        sides += [kernel.padding[place], after]
    padded = F.pad(torch.from_numpy(kernel.input)[None], sides)
    weight, bias = torch.from_numpy(kernel.weight), torch.from_numpy(kernel.bias)
    products = F.conv2d(padded, weight, bias, kernel.stride, dilation=kernel.dilation)[0].numpy()
    return products.shape == activations.shape and np.allclose(
        products, activations, CLOSE, CLOSE * np.abs(activations).max()
    )


def _pair(values: Sequence[int]) -> tuple[int, int]:
    rows, columns = values
    return int(rows), int(columns)
