"""The first filters of a network as pictures: the kernels of a CNN, the patch embedding of a ViT.

The filters of a CNN's first convolution are weights on pixels, and so pictures themselves. A ViT's patch embedding has
hundreds, of which each alone looks like noise; what they span is seen in their principal components.

Source of the components: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, figure 7.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from encoders import EncoderError
from encoders.identity import recipe
from encoders.layers import first_convolution
from encoders.outputs import Selected
from encoders.values import described, is_whole, plain
from relax.scene import EncoderSource, load_encoder
from relax.text import number, one_of
from relax.units.colours import as_colour
from relax.units.pictures import UnitPictures

COMPONENTS = 28  # as in the figure of the ViT paper
SCALES = ("common", "each")
PATCH = 8  # px: kernels of this size, that do not overlap, are a patch embedding


def filters(
    encoder: EncoderSource = "default", *, components: int | None = None, scale: str = "common"
) -> UnitPictures:
    """The filters of the first convolution as pictures, in colour, all on one scale.

    Grey is a weight of 0, and the largest weight of all filters, of either sign, is a full colour: the record says how
    large that is. Weights are those on normalised pixels.

    Args:
        encoder: A spec, an `Encoder` or a module.
        components: Show so many principal components of the filters instead of the filters; 0 for the filters. By
            default the filters of a CNN, and 28 components of a ViT's patch embedding (kernels of 8 px or more that do
            not overlap).
        scale: "common", or "each": every filter has a scale of its own, for networks that normalise what comes out of a
            filter, so that its length means nothing.

    Returns:
        One picture per filter, (N, 3, kh, kw), with its length (the root of the sum of its squares) as value; or per
        component, with its share of the variance. Of an encoder of grey pictures they are grey.

    Raises:
        EncoderError: If torch sees no layers in the encoder, it has no convolution on pixels of one or three channels,
            or cannot be loaded.
        ValueError: If `components` is no whole number, or more than there are filters, or there is no such scale.
    """
    one_of("scale", scale, SCALES)
    loaded = load_encoder(encoder)
    name, layer = _first(loaded.network, loaded.name)
    weights = layer.weight.detach().float().cpu()
    height, width = weights.shape[2:]
    chosen = _checked(components, min(len(weights), weights[0].numel()))
    if chosen is None:
        is_patch = layer.kernel_size == layer.stride and min(height, width) >= PATCH
        chosen = min(COMPONENTS, len(weights), weights[0].numel()) if is_patch else 0
    what = f"{len(weights)} filters of {height} x {width} px of {name}"
    if chosen:
        shown, values = _components(weights, chosen)
        units = [f"component {place}" for place in range(chosen)]
        said = [f"{chosen} principal components of the {what}, {float(values.sum()):.0%} of their variance"]
        value = "share of the variance of the filters"
    else:
        shown, values = weights, weights.flatten(1).norm(dim=1)
        units = [f"filter {place}" for place in range(len(weights))]
        said, value = [what], "length of the filter"
    tops = shown.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-30)
    ends = list(dict.fromkeys((number(float(tops.min())), number(float(tops.max())))))
    if scale == "common":
        tops = tops.amax(0, keepdim=True)
        said.append(f"one scale for all: grey is 0, a full colour {ends[-1]}")
    else:
        said.append(f"each on its own scale: grey is 0, a full colour {' to '.join(ends)}")
    said.append("weights on normalised pixels")
    how: dict[str, Any] = {
        "kind": "filters",
        "encoder": recipe(loaded),
        "asked": name,
        "value": value,
        "said": said,
        "scale": tops.flatten().tolist(),
        "components": chosen,
        "stride": list(layer.stride),
    }
    pictures = (0.5 + shown / (2 * tops)).clamp(0, 1)
    colours = as_colour(pictures).numpy()
    return UnitPictures(colours, values.double().numpy(), tuple(units), ("",) * len(units), how)


def _first(network: object, name: str) -> tuple[str, nn.Conv2d]:
    """Name and layer of the convolution that sees the pixels."""
    network = network.network if isinstance(network, Selected) else network
    if not isinstance(network, nn.Module) or isinstance(network, torch.jit.ScriptModule):
        kind = "TorchScript" if isinstance(network, nn.Module) else "a function"
        raise EncoderError(f"filters need the layers of the network, and encoder {name!r} is {kind}: pass the module")
    if opaque := getattr(network, "opaque", None):
        raise EncoderError(
            f"filters need the layers of the network, and encoder {name!r} is {opaque}: load the network in torch"
        )
    convolution = first_convolution(network)
    if convolution is None:
        raise EncoderError(f"filters need a convolution of pictures, and encoder {name!r} has none")
    path, layer = convolution
    if (channels := layer.weight.shape[1]) not in (1, 3):
        raise EncoderError(
            f"filters are shown for pictures of one or three channels; {path!r} of encoder {name!r} takes {channels}"
        )
    return convolution


def _components(weights: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The first principal components of filters (O, C, h, w), (count, C, h, w) of length 1, and their shares.

    The sign is that under which the largest weight is positive.
    """
    flat = weights.double().flatten(1)
    _, strengths, directions = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)
    chosen = directions[:count]
    largest = chosen.gather(1, chosen.abs().argmax(1, keepdim=True))
    shares = strengths.square() / strengths.square().sum().clamp(min=1e-30)
    return (chosen * largest.sign()).view(count, *weights.shape[1:]).float(), shares[:count]


def _checked(components: object, most: int) -> int | None:
    components = plain(components)
    if components is not None and (not is_whole(components) or components > most):
        raise ValueError(f"components must be a whole number from 0 to {most}; got {described(components)}")
    return components
