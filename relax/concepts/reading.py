"""A layer of an encoder as maps of pictures, the same form for networks of convolutions and of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from encoders import Encoder, EncoderError
from encoders.trace import Layer, activations, layers
from relax.io.images import ImageSource, read_image
from relax.text import listed, nearest


@dataclass(frozen=True)
class LayerMaps:
    """What one layer returns for pictures.

    Attributes:
        encoder: The encoder.
        layer: The layer, which returns a map or tokens.
    """

    encoder: Encoder
    layer: Layer

    @classmethod
    def of(cls, encoder: Encoder, name: str | None, *, moving: bool = False) -> LayerMaps:
        """The layer of that name, or the last that returns a map.

        Args:
            encoder: The encoder.
            name: As `relax layers` names it; None for the last with a map of more than one cell.
            moving: Whether its cells must move the embedding. Behind the last attention only the class token does, so
                that the last is then the block before it, in a network with one.

        Raises:
            ValueError: If there is none, or it returns a vector; names the nearest and the last ones.
            EncoderError: If torch sees no layers in the encoder.
        """
        if encoder.takes_volumes:
            raise EncoderError(f"concepts are of pictures, and encoder {encoder.name!r} takes volumes")
        all_layers = layers(encoder)
        maps = {layer.name: layer for layer in all_layers if layer.grid is not None and len(layer.grid) == 2}
        if not maps:
            raise EncoderError(f"encoder {encoder.name!r} has no layer with a map or tokens, which concepts need")
        if name is None:
            spatial = [layer for layer in maps.values() if min(layer.grid or (0,)) > 1]
            last = (spatial or [*maps.values()])[-1]
            return cls(encoder, (moving and last.class_token and _block_before_the_last(spatial)) or last)
        if name not in maps:
            vector = any(layer.name == name for layer in all_layers)
            why = "returns a vector, and units need a map or tokens" if vector else "is not there"
            hint = nearest(name, maps) or f": the last with a map are {listed([*maps][-5:])}; relax layers lists all"
            raise ValueError(f"layer must be one that returns a map or tokens; {name!r} {why}{hint}")
        return cls(encoder, maps[name])

    @cached_property
    def units(self) -> int:
        """D, its channels."""
        return int(self.layer.channels)

    def view(self, picture: ImageSource) -> tuple[Tensor, tuple[int, int]]:
        """(1, C, h, w) what the encoder sees of a picture, and the size (H, W) of the picture.

        Raises:
            ImageError: If it cannot be used.
        """
        pixels = read_image(picture, channels=self.encoder.channels or 3)
        return self.encoder.view(pixels), (int(pixels.shape[-2]), int(pixels.shape[-1]))

    def maps(self, view: Tensor) -> Tensor:
        """(B, D, gh, gw) float32 on the CPU, for views (B, C, h, w)."""
        output = activations(self.encoder, view, [self.layer.name])[self.layer.name]
        with torch.inference_mode():
            return self.layer.feature_map(output).float().cpu()


def _block_before_the_last(candidates: Sequence[Layer]) -> Layer | None:
    """Of layers with a class token, those that are numbered and inside the fewest others; None if there is one only."""
    numbered = [layer for layer in candidates if layer.class_token and layer.name.rpartition(".")[2].isdecimal()]
    fewest = min((layer.name.count(".") for layer in numbered), default=0)
    blocks = [layer for layer in numbered if layer.name.count(".") == fewest]
    return blocks[-2] if len(blocks) > 1 else None
