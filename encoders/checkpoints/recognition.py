"""What a checkpoint gives away about its network that the network's name does not say.

Channels and pooling show in the weights. Attention heads do not: they are known of MoCo v3, whose ViT-S has 12 where
others have 6, and which is recognised by its names or by its fixed positions. A stem of 3 x 3 in place of 7 x 7 is that
of ResNets for CIFAR, whose stride, padding and pooling leave no trace: they are as in these runs, or as the spec says.

Sources: facebookresearch/moco-v3 `vits.py`; SimCLR (Chen et al., ICML 2020, appendix B.9) for the stem, with stride 1
and no max pooling; its padding is 1 in lightly and SimSiam's code, 2 in solo-learn's `solo/methods/base.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from timm.models import VisionTransformer
from torch import Tensor, nn

from encoders.arguments import as_value
from encoders.checkpoints.layouts import Backbone
from encoders.errors import EncoderError
from encoders.layers import first_convolution, heads_of

MOCO_V3_HEADS = {384: 12, 768: 12, 1024: 16, 1280: 16}  # by width: ViT-S, B, L and H of its authors
STEM_ITEMS = ("stem_stride", "stem_padding", "stem_pool")


def recognised(backbone: Backbone, network: nn.Module) -> dict[str, str]:
    """Arguments of the network's constructor, as items of a spec, that differ from those it was built with.

    Args:
        backbone: In the checkpoint, as `find_backbone` returns it.
        network: Built by its name.
    """
    items, weights = {}, backbone.weights
    first = first_convolution(network)
    weight = weights.get(f"{first[0]}.weight") if first else None
    if first and weight is not None and weight.ndim == 4 and weight.shape[1] != first[1].in_channels // first[1].groups:
        items["in_chans"] = str(weight.shape[1])
    if isinstance(network, VisionTransformer):
        width = int(network.embed_dim)
        moco_v3 = backbone.layout == "MoCo v3" or _positions_of_moco_v3(weights.get("pos_embed"))
        if moco_v3 and width in MOCO_V3_HEADS and heads_of(network) != MOCO_V3_HEADS[width]:
            items["num_heads"] = str(MOCO_V3_HEADS[width])
        if "fc_norm.weight" in weights and not isinstance(network.fc_norm, nn.LayerNorm):
            items["global_pool"] = "avg"  # fine-tuned as in MAE: the mean of the patch tokens, then the norm
    return items


def fit_stem(network: nn.Module, backbone: Backbone, items: Mapping[str, str]) -> bool:
    """Give a ResNet, in place, the 3 x 3 stem of its checkpoint; returns whether it has one.

    Args:
        network: With a stem of 7 x 7 and max pooling, as timm and torchvision build it.
        backbone: As for `recognised`. Where it is a bare row of layers, as lightly's for CIFAR, there is no activation
            behind the stem, as there was none in the run.
        items: Of the spec: stem_stride (1), stem_padding (1; 2 for solo-learn) and stem_pool (false).

    Raises:
        EncoderError: If an item is for a stem that is not there, or is no number.
    """
    stem, weight = getattr(network, "conv1", None), backbone.weights.get("conv1.weight")
    seven = isinstance(stem, nn.Conv2d) and stem.kernel_size == (7, 7)
    if not seven or weight is None or weight.shape[2:] != (3, 3):
        for name in STEM_ITEMS:
            if name in items:
                raise EncoderError(f"{name} is for a 3 x 3 stem in place of 7 x 7, which this checkpoint has not")
        return False
    usual = {"stem_stride": 1, "stem_padding": 2 if backbone.layout == "solo-learn" else 1, "stem_pool": False}
    stride, padding, pool = (as_value(items[name]) if name in items else usual[name] for name in STEM_ITEMS)
    if not isinstance(stride, int) or not isinstance(padding, int) or not isinstance(pool, bool):
        raise EncoderError(
            f"stem_stride and stem_padding must be pixels and stem_pool true or false; got {stride}, {padding}, {pool}"
        )
    before = cast(nn.Conv2d, stem)
    network.conv1 = nn.Conv2d(before.in_channels, before.out_channels, 3, stride, padding, bias=before.bias is not None)
    if not pool:
        network.maxpool = nn.Identity()
    for name in ("act1", "relu") if backbone.bare else ():
        if hasattr(network, name):
            setattr(network, name, nn.Identity())
    return True


def _positions_of_moco_v3(positions: Tensor | None) -> bool:
    """Whether (1, 1 + h * w, D) are the fixed sines and cosines of MoCo v3, with zeros for the class token.

    Those of MAE have height and width the other way round.
    """
    if positions is None or positions.ndim != 3 or positions.shape[2] % 4 or positions.shape[1] < 2:
        return False
    side = round((positions.shape[1] - 1) ** 0.5)
    if side * side + 1 != positions.shape[1] or positions[0, 0].abs().max() > 1e-6:
        return False
    quarter = positions.shape[2] // 4
    angles = torch.arange(side)[:, None] / 10_000 ** (torch.arange(quarter) / quarter)
    slow, fast = angles.repeat_interleave(side, 0), angles.repeat(side, 1)
    expected = torch.cat([slow.sin(), slow.cos(), fast.sin(), fast.cos()], 1)
    return bool((positions[0, 1:].float() - expected).abs().max() < 1e-3)  # files in half precision too
