"""From what a network returns to one vector per image."""

from __future__ import annotations

from torch import Tensor

from encoders.checks import check_floats
from encoders.errors import EncoderError
from encoders.outputs import tensor_of


def pool(features: object, count: int, pooling: str, prefix_tokens: int, name: str) -> Tensor:
    """Reduce a network's output to one vector per image.

    Args:
        features: (B, D) vectors, taken as they are; (B, C, h, w) feature maps, averaged over h and w; or
            (B, T, D) tokens. A tensor, an array, or what holds just one, see `encoders.outputs`.
        count: B, the number of images that the network was given.
        pooling: For tokens, "cls" = token 0 and "mean" = the mean of the tokens after the prefix tokens.
        prefix_tokens: Class and register tokens before the patch tokens; they stay out of the mean.
        name: The encoder's name, for the message.

    Returns:
        (B, D), in the network's own dtype.

    Raises:
        EncoderError: If the output is not one vector per image, or the pooling does not fit it.
    """
    features = tensor_of(features, name)
    check_floats(features, name)
    shape = tuple(features.shape)
    if shape[:1] == (count,) and 0 not in shape:
        if len(shape) == 2:
            return features
        if len(shape) == 3 and pooling == "cls":
            return features[:, 0]
        if len(shape) == 3 and pooling == "mean" and shape[1] > prefix_tokens:
            return features[:, prefix_tokens:].mean(1)
        if len(shape) == 4 and pooling != "cls":
            return features.mean((2, 3))
    advice_by_rank = {3: 'choose pooling="cls" or "mean"', 4: 'feature maps have no class token, choose pooling="mean"'}
    advice = advice_by_rank.get(len(shape), "wrap it in a function that returns one vector per image")
    raise EncoderError(f"encoder {name!r} returned {shape}; expected ({count}, D), one vector per image: {advice}")
