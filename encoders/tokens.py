"""Vision transformers on a subset of their patch tokens: hidden patches are left out, not painted over.

The tokens of the image are computed once, with their positions; each mask selects a subset, and only these (with the
class and register tokens) go through the blocks. Half the tokens take half the time, and the network sees no fill
colour, as a masked autoencoder (He et al., CVPR 2022) sees none in training.
"""

from __future__ import annotations

import copy
import sys

import torch
from torch import Tensor, nn

from encoders.errors import EncoderError
from encoders.outputs import Part


def patch_grid(network: object, size: tuple[int, int], name: str) -> tuple[int, int]:
    """(rows, columns) of patch tokens for pixels of size (h, w).

    Raises:
        EncoderError: If the network is no timm VisionTransformer, or its patches do not tile the pixels.
    """
    while isinstance(network, Part):  # of which a layer is asked
        network = network.network
    if _is_of_timm(network):
        height, width = network.patch_embed.patch_size  # type: ignore[attr-defined]
        if size[0] % height == 0 and size[1] % width == 0:
            return size[0] // height, size[1] // width
    raise EncoderError(
        'regions="patches" and fill="drop" need a VisionTransformer of timm whose patches tile what it sees, here '
        f'{size[0]} x {size[1]} px; encoder {name!r} is a {type(network).__name__}: take regions="grid" and fill="mean"'
    )


def _is_of_timm(network: object) -> bool:
    """Whether it is a VisionTransformer of timm, which is imported by then."""
    models = sys.modules.get("timm.models.vision_transformer")
    return models is not None and isinstance(network, models.VisionTransformer)


def visible_only(network: nn.Module, pixels: Tensor, kept: Tensor) -> Tensor:
    """The network's output for one image (1, C, h, w), N times, each with the patch tokens `kept` (N, K) only.

    Raises:
        EncoderError: If a part of the network's output is asked for, whose tokens would no longer be all there.
    """
    if isinstance(network, Part):
        raise EncoderError(
            'fill "drop" withholds patches from the whole network, and a layer or output of it is asked for: '
            "take another fill"
        )
    # A twin that shares all layers but timm's place for dropping tokens, behind the positions.
    twin = copy.copy(network)
    twin._modules = {**network._modules, "patch_drop": _Keep(kept, int(network.num_prefix_tokens))}  # type: ignore[arg-type]
    output: Tensor = twin(pixels)
    return output


class _Keep(nn.Module):
    def __init__(self, kept: Tensor, prefix: int) -> None:
        super().__init__()
        self.kept, self.prefix = kept, prefix

    def forward(self, tokens: Tensor) -> Tensor:
        """(1, P + T, D), P prefix tokens first, to (N, P + K, D)."""
        always = tokens[:, : self.prefix].expand(len(self.kept), -1, -1)
        return torch.cat([always, tokens[0, self.prefix :][self.kept]], 1)
