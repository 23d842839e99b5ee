"""From what a network returns to one vector per image."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from encoders.checks import check_floats
from encoders.errors import EncoderError
from encoders.layers import channels_last
from encoders.outputs import tensor_of


def pool(features: object, network: object, count: int, size: Sequence[int], pooling: str, name: str) -> Tensor:
    """Reduce a network's output to one vector per image.

    Args:
        features: (B, D) vectors, taken as they are; (B, D, h, w) or (B, h, w, D) feature maps, averaged over h and w,
            and (B, D, d, h, w) of volumes; or (B, T, D) tokens. A tensor, an array, or what holds just one, see
            `encoders.outputs`.
        network: That returned them; its `num_prefix_tokens`, class and register tokens before the patch tokens, stay
            out of the mean.
        count: B, the number of images that it was given.
        size: (h, w) of these images, or (d, h, w) of volumes.
        pooling: For tokens, "cls" = token 0 and "mean" = the mean of the tokens after the prefix tokens.
        name: The encoder's name, for the message.

    Returns:
        (B, D), in the network's own dtype.

    Raises:
        EncoderError: If the output is not one vector per image, or the pooling does not fit it.
    """
    features = tensor_of(features, name)
    check_floats(features, name)
    features = features.float() if features.itemsize == 1 else features  # float8 is stored, not computed with
    shape, prefix_tokens = tuple(features.shape), int(getattr(network, "num_prefix_tokens", 0) or 0)
    if shape[:1] == (count,) and 0 not in shape:
        if len(shape) == 2:
            return features
        if len(shape) == 3 and pooling == "cls":
            return features[:, 0]
        if len(shape) == 3 and pooling == "mean" and shape[1] > prefix_tokens:
            return features[:, prefix_tokens:].mean(1)
        if len(shape) == 5 == len(size) + 2 and pooling != "cls":
            return features.mean((2, 3, 4))
        if len(shape) == 4 == len(size) + 2 and pooling != "cls":
            return features.mean((1, 2) if channels_last(network, shape, size) else (2, 3))
    advice_by_rank = {3: 'choose pooling="cls" or "mean"', 4: 'feature maps have no class token, choose pooling="mean"'}
    advice = advice_by_rank.get(len(shape), "wrap it in a function that returns one vector per image")
    raise EncoderError(f"encoder {name!r} returned {shape}; expected ({count}, D), one vector per image: {advice}")
