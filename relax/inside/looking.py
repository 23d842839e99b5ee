"""`relax.look_inside`: one picture in the layers of an encoder.

inside = relax.look_inside("cat.png", "timm:resnet50")
inside["layer3"].order("effect")[:5]         # the channels that the embedding hangs on most
inside.page("cat.html"); inside.plot()
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders import Encoder, EncoderError
from encoders.identity import recipe
from encoders.layouts import Layer
from encoders.trace import activations
from encoders.trace import layers as layers_of
from encoders.values import described, is_whole
from masking.checks import check_seed
from relax.inside.choosing import choose, first_convolution
from relax.inside.effects import Effect, ablation_effects, gradient_effects
from relax.inside.factors import factors_of
from relax.inside.heads import heads_of
from relax.inside.result import Inside
from relax.inside.sight import fields_of, kernel_of
from relax.inside.stage import Stage
from relax.inside.tables import EFFECTS, FACTORS, MOST_PARTS, UNIT
from relax.io.images import ImageSource, name_of, read_with_record
from relax.progress import Silent, shown
from relax.provenance import surroundings
from relax.scene import EncoderSource, drawn, load_encoder
from relax.text import one_of

Steps = Callable[[int, int], None]


def look_inside(
    image: ImageSource,
    encoder: EncoderSource = "default",
    *,
    layers: str | Sequence[str] = "auto",
    effect: str = "gradient",
    factors: str = "auto",
    parts: int = 6,
    fields: bool = True,
    seed: int = 0,
    device: str | torch.device = "auto",
    pooling: str = "auto",
    view: str = "auto",
    progress: Steps | Silent | None = None,
) -> Inside:
    """Follow a picture through the layers of an encoder.

    Args:
        image: A path or pixels, as for `relax.explain`.
        encoder: As for `relax.explain`; torch must see its layers, so that a function or an ONNX graph is refused.
        layers: "auto", the stages of the network (its blocks where it has one stage); "more", their parts, too; or
            names of layers, as `relax layers` lists them. A layer that gives a vector is shown as one cell.
        effect: How much the embedding hangs on each channel: the fall of the cosine of the embedding to itself when the
            channel is set to its mean over the cells of this picture; in layers where that changes nothing, as only
            the mean, or only the class token, goes on, to 0, as `Stage.reset` says. "ablation" does that exactly, one
            forward pass a channel. "gradient" is its leading order, squared gradients times change, from 16 backward
            passes for all layers; good for finding the leading channels. "none" leaves it out.
        factors: "auto" (NMF where no activation is negative, else PCA), "nmf", "pca" or "none": the layer as parts.
        parts: How many, 1 to 8.
        fields: Whether to find out which pixels each cell depends on, from some tens of partial passes.
        seed: Of the directions of the gradients and of the start of NMF.
        device: As for `relax.explain`.
        pooling: As for `relax.explain`.
        view: As for `relax.explain`.
        progress: Called with (steps done, steps); False for no bar in a notebook.

    Returns:
        The activations with all of that. Attention between all tokens is in the blocks of vision transformers that
        hold it.

    Raises:
        ImageError: If the image cannot be used.
        EncoderError: If the encoder cannot be loaded or has no layers that torch sees, or a layer has no such name, no
            places, or numbers that are not finite.
        ValueError: If another argument is impossible.
    """
    _check(effect, factors, parts, fields, seed)
    started = time.monotonic()
    network = load_encoder(encoder, device, pooling, view=view)
    if network.takes_volumes:
        raise EncoderError(f"encoder {network.name!r} takes volumes; look_inside shows pictures")
    pixels, read = read_with_record(image, channels=network.channels)
    seen = network.view(pixels).to(network.device)
    all_layers = layers_of(network, seen)
    choice = choose(network, all_layers, layers)
    with shown(progress, "steps") as report:
        looked = _Look(network, seen, choice.layers, first_convolution(all_layers), effect, int(seed), report)
        stages, left_out = looked.stages(factors, int(parts), fields)
    record = {
        "image": name_of(image),
        "image_sha256": sha256(pixels.numpy().tobytes()).hexdigest(),
        **({"read": read} if read else {}),
        "encoder": {**recipe(network), "input_size": list(seen.shape[2:])},
        "chosen": layers if isinstance(layers, str) else list(layers),
        "effect": {"method": effect, **({} if effect == "none" else {"unit": UNIT[effect]})},
        "factors": {"method": factors, "parts": int(parts), "seed": int(seed)},
        "left_out": [sentence for sentence in (choice.left_out, *left_out) if sentence],
        **surroundings(network.device, time.monotonic() - started),
    }
    return Inside(drawn(seen.cpu()), network.embed(seen)[0].cpu().numpy(), tuple(stages), record)


def _check(effect: object, factors: object, parts: object, fields: object, seed: Any) -> None:
    one_of("effect", effect, EFFECTS)
    one_of("factors", factors, FACTORS)
    if not is_whole(parts, 1) or parts > MOST_PARTS:
        raise ValueError(f"parts must be a whole number from 1 to {MOST_PARTS}; got {described(parts)}")
    if not isinstance(fields, bool):
        raise ValueError(f"fields must be True or False; got {described(fields)}")
    check_seed(seed)


class _Look:
    """One picture, one encoder, and the layers to look at; reports steps: one for each layer's channels and parts."""

    def __init__(
        self,
        encoder: Encoder,
        view: Tensor,
        layers: list[Layer],
        first: Layer | None,
        effect: str,
        seed: int,
        report: Steps | None,
    ) -> None:
        self.encoder, self.view, self.layers, self.first = encoder, view, layers, first
        self.effect, self.seed, self.report = effect, seed, report
        channels = sum(layer.channels for layer in layers) if effect == "ablation" else 0
        self.done, self.total = 0, 2 + len(layers) + channels

    def stages(self, factors: str, parts: int, fields: bool) -> tuple[list[Stage], list[str]]:
        """The layers, and sentences on what was left out."""
        outputs = activations(self.encoder, self.view, [layer.name for layer in self.layers])
        effects = self._effects()
        self._advance()
        sights, unknown = self._fields() if fields else ({}, "")
        self._advance()
        heads, few = heads_of(self.encoder, self.view, self.layers)
        stages = []
        for layer in self.layers:
            cells, prefix = _lying(layer, outputs[layer.name])
            if not np.isfinite(cells).all() or not np.isfinite(prefix).all():
                raise EncoderError(f"layer {layer.name!r} of encoder {self.encoder.name!r} gives NaN or infinity")
            own = effects.get(layer.name)
            stages.append(
                Stage(
                    layer.name,
                    layer.kind,
                    cells,
                    prefix,
                    None if own is None else own.values,
                    "" if own is None else own.reset,
                    sights.get(layer.name),
                    factors_of(cells, factors, parts, self.seed),
                    heads.get(layer.name),
                    kernel_of(self.encoder, self.view, layer, cells) if layer == self.first else None,
                )
            )
            self._advance()
        return stages, [unknown, few]

    def _effects(self) -> dict[str, Effect]:
        if self.effect == "gradient":
            return gradient_effects(self.encoder, self.view, self.layers, self.seed)
        if self.effect == "ablation":
            return {
                layer.name: ablation_effects(self.encoder, self.view, layer, self._advance) for layer in self.layers
            }
        return {}

    def _fields(self) -> tuple[dict[str, Any], str]:
        try:
            return fields_of(self.encoder, self.view, [layer for layer in self.layers if layer.spatial]), ""
        except EncoderError as error:
            return {}, f"which pixels cells see, as the encoder does not run on pixels that are no numbers: {error}"

    def _advance(self, steps: int = 1) -> None:
        self.done = min(self.done + steps, self.total)
        if self.report is not None:
            self.report(self.done, self.total)


def _lying(layer: Layer, output: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(D, gh, gw) cells and (P, D) prefix tokens of one picture."""
    placed = layer.feature_map(output) if layer.spatial else output[:, :, None, None]
    prefix = output[0, : layer.prefix] if layer.prefix else output.new_zeros(0, placed.shape[1])
    return placed[0].float().cpu().numpy(), prefix.float().cpu().numpy()
