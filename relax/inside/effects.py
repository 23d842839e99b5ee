"""How much the embedding hangs on each channel of a layer: measured channel by channel, or by gradients at once.

A channel is reset to its mean over the cells of this picture, which takes away where it is active and leaves how much.
Where that changes nothing, because only the mean over the cells goes on (the last map before average pooling), or only
the class token (the last block of a vision transformer), it is set to 0, in prefix tokens too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from encoders import Encoder
from encoders.layouts import MAP, TOKENS, VECTOR, Layer
from encoders.trace import hooked, module_of, recording, replaced, tensor_in
from relax.inside.tables import DIRECTIONS

BATCH = 32  # channels in one pass
NOTHING = 1e-8  # share of the effect of 0 below which that of the mean is none: squared sums of float32
ROUNDING = 2e-6  # of a cosine


@dataclass(frozen=True)
class Effect:
    """Of each channel of a layer.

    Attributes:
        values: (D,) float32, the fall of the cosine of the embedding to itself without the channel; 0 for no change.
        reset: What a channel was set to: "mean" or "zero".
    """

    values: NDArray[np.float32]
    reset: str


def gradient_effects(encoder: Encoder, view: Tensor, layers: Sequence[Layer], seed: int = 0) -> dict[str, Effect]:
    """Of all layers, from one forward and at most `DIRECTIONS` backward passes.

    The cosine of an embedding e to itself is at its highest, so its gradient is zero and tells nothing. To leading
    order it falls by |P J d|^2 / (2 |e|^2), where d is the change of the channel, J the derivative of the embedding by
    the layer and P takes away the part along e. For normal v, that square is the mean of (v P J d)^2, and v P J is a
    gradient, which one backward pass gives for every channel of every layer. The mean over 16 has a relative error of
    about 0.35 (the root of 2 / 16), the same for no channel, so it tells the leading channels from the others rather
    than neighbours in the order. An embedding of at most 16 numbers is done exactly, along its axes.

    Args:
        encoder: The encoder.
        view: (1, C, h, w) in [0, 1].
        layers: The layers.
        seed: Of the directions.

    Raises:
        ValueError: If no gradient reaches a layer, or it is not finite.
    """
    names = [layer.name for layer in layers]
    with torch.inference_mode(False), torch.enable_grad():
        with recording(encoder, names, gradients=True) as outputs:
            embedding = encoder.embed_with_gradients(view.detach().clone())[0]
        if not embedding.requires_grad:
            raise ValueError(
                f"effect='gradient' needs gradients, and none reach the layers of encoder {encoder.name!r}: "
                "choose 'ablation' or 'none'"
            )
        directions = _directions(embedding.detach(), seed)
        falls = {layer.name: _Falls(layer, outputs[layer.name].detach()) for layer in layers}
        for direction in directions:
            wanted = [outputs[name] for name in names]
            gradients = torch.autograd.grad(embedding, wanted, direction, retain_graph=True, allow_unused=True)
            for name, gradient in zip(names, gradients, strict=True):
                if gradient is not None:
                    falls[name].add(gradient)
    return {name: fall.effect() for name, fall in falls.items()}


def _directions(embedding: Tensor, seed: int) -> Tensor:
    """(K, D) directions across the embedding, scaled so that the sum of squared products is half of the square of
    what they see of a change, over the squared length of the embedding.
    """
    size, length = len(embedding), float(embedding.norm())
    if size <= DIRECTIONS:
        drawn = torch.eye(size)
    else:
        drawn = torch.randn(DIRECTIONS, size, generator=torch.Generator().manual_seed(seed)) / DIRECTIONS**0.5
    drawn = drawn.to(embedding)
    along = embedding / max(length, 1e-30)
    across: Tensor = drawn - (drawn @ along)[:, None] * along
    return across / (2**0.5 * max(length, 1e-30))


class _Falls:
    """The fall of the cosine without each channel of a layer, added up over directions."""

    def __init__(self, layer: Layer, output: Tensor) -> None:
        self.layer = layer
        self.values = _channels_first(layer, output).double()
        self.mean = self.values[:, layer.prefix :].mean(1, keepdim=True)
        self.from_mean = self.values.new_zeros(len(self.values))
        self.from_zero = self.values.new_zeros(len(self.values))

    def add(self, gradient: Tensor) -> None:
        slope, prefix = _channels_first(self.layer, gradient).double(), self.layer.prefix
        self.from_mean += (slope * (self.values - self.mean))[:, prefix:].sum(1) ** 2
        self.from_zero += (slope * self.values).sum(1) ** 2

    def effect(self) -> Effect:
        """The larger of the two where the mean changes nothing."""
        nothing = self.layer.layout == VECTOR or self.from_mean.max() <= NOTHING * self.from_zero.max()
        values = (self.from_zero if nothing else self.from_mean).cpu().numpy()
        if not np.isfinite(values).all():
            raise ValueError(
                f"effect='gradient' gave NaN or infinity in layer {self.layer.name!r}: choose 'ablation' or 'none'"
            )
        return Effect(values.astype(np.float32), "zero" if nothing else "mean")


def ablation_effects(
    encoder: Encoder, view: Tensor, layer: Layer, advance: Callable[[int], None] = lambda _: None
) -> Effect:
    """Of one layer: the embedding without each of its channels in turn.

    Args:
        encoder: The encoder.
        view: (1, C, h, w) in [0, 1].
        layer: The layer.
        advance: Called with the number of channels in each batch.
    """
    whole = encoder.embed(view)[0].double()

    def falls(to_zero: bool) -> NDArray[np.float64]:
        parts = []
        for batch in _batches(layer.channels):
            with hooked([module_of(encoder, layer.name).register_forward_hook(_resetting(layer, batch, to_zero))]):
                embeddings = encoder.embed(view.expand(len(batch), *view.shape[1:])).double()
            parts.append(1 - F.cosine_similarity(embeddings, whole[None]).cpu().numpy())
            advance(len(batch))
        return np.concatenate(parts)

    from_mean = np.zeros(layer.channels) if layer.layout == VECTOR else falls(to_zero=False)
    nothing = np.abs(from_mean).max() < ROUNDING
    return Effect((falls(to_zero=True) if nothing else from_mean).astype(np.float32), "zero" if nothing else "mean")


def _batches(channels: int) -> Iterator[Tensor]:
    yield from torch.arange(channels).split(BATCH)


def _resetting(layer: Layer, channels: Tensor, to_zero: bool) -> Callable[..., object]:
    """A hook that resets one channel in each picture of a batch."""

    def hook(_: object, __: object, answer: object) -> object:
        tensor, entry = tensor_in(answer)
        assert tensor is not None  # noqa: S101  the layer was told by it
        changed = tensor.clone(memory_format=torch.contiguous_format)
        lying = _channels_first(layer, changed, keep=True)  # a view of it
        means = _cells(layer, tensor[:1]).mean(1)
        for picture, channel in enumerate(channels.tolist()):
            start = 0 if to_zero else layer.prefix
            lying[picture, channel, start:] = 0 if to_zero else means[channel].to(tensor.dtype)
        return replaced(answer, entry, changed)

    return hook


def _channels_first(layer: Layer, output: Tensor, *, keep: bool = False) -> Tensor:
    """(D, places) of the first picture, prefix tokens before the cells; with `keep` (B, D, places) of all."""
    if layer.layout == VECTOR:
        lying = output[:, :, None]
    elif layer.layout == MAP:
        lying = output.flatten(2)
    else:
        lying = (output if layer.layout == TOKENS else output.flatten(1, -2)).mT
    return lying if keep else lying[0]


def _cells(layer: Layer, output: Tensor) -> Tensor:
    """(D, cells) float64 of the first picture, without prefix tokens."""
    return _channels_first(layer, output)[:, layer.prefix :].double()
