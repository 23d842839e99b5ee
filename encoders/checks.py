"""Whether an encoder's answers are embeddings: real numbers, and one embedding for one picture.

An encoder that is in train mode, keeps a state or draws at random gives a picture another embedding every time, or
another one in other company; its maps then show that too. Measured on one processor, a picture alone and in a batch of
other pictures differs by at most 5e-7 of the embedding's length in float32 (ResNets, vision transformers, an int8 graph
of ONNX), and by 0.04 where int8 is scaled anew for every batch; batch norms in train mode make it 0.7, a dropout of
one number in a hundred 0.13 to 0.17.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from encoders.errors import STEADY, EncoderError, EncoderWarning
from encoders.values import unreadable


def check_floats(features: Tensor, name: str) -> None:
    """Refuse a tensor of whole, logical or complex numbers, of which the conversion to float32 would lose a part.

    A sparse, nested or quantised one, or one without data, is refused as well.

    Raises:
        EncoderError: If it is one.
    """
    if reason := unreadable(features):
        raise EncoderError(f"encoder {name!r} must return floats; got {reason}")
    if not features.is_floating_point():
        dtype = str(features.dtype).removeprefix("torch.")
        raise EncoderError(
            f"encoder {name!r} must return floats; got {dtype}: return what stands before argmax or rounding, or "
            ".float() where these numbers are the embedding"
        )


def check_weights(module: nn.Module) -> None:
    """Refuse a module whose weights hold no numbers yet.

    Raises:
        EncoderError: Naming the first of them.
    """
    for name, weight in module.named_parameters():
        if is_lazy(weight):
            raise EncoderError(
                f"encoder {type(module).__name__!r} has weights without a shape, such as {name}: call it once on pixels"
            )
        if weight.device.type == "meta":
            raise EncoderError(
                f"encoder {type(module).__name__!r} has weights on the device 'meta', such as {name}, which holds no "
                "data: load them onto another"
            )


def difference(embedding: Tensor, other: Tensor) -> float:
    """Length of the difference of two embeddings (D,), as a share of the length of the first; 0 where both are 0."""
    first, second = embedding.double(), other.to(embedding.device).double()
    distance, length = float((first - second).norm()), float(first.norm())
    return distance / length if length > 0 else float(distance > 0)


def check_steady(name: str, network: object, alone: Tensor, in_batch: Tensor, again: Callable[[], Tensor]) -> float:
    """Warn of an encoder that gives one picture several embeddings.

    Args:
        name: The encoder's, for messages.
        network: Its network, whose layers in train mode are named.
        alone: (D,) the embedding of a picture by itself.
        in_batch: (D',) its embedding in a batch of other pictures.
        again: Embeds the picture by itself once more; only called where the two differ.

    Returns:
        The difference of the two, as a share of the length of the first.

    Raises:
        EncoderError: If D' is not D.

    Warns:
        EncoderWarning: If the difference is above `STEADY`.
    """
    if alone.shape != in_batch.shape:
        raise EncoderError(
            f"encoder {name!r} must return as many numbers for every picture; got {len(alone)} for a picture alone and "
            f"{len(in_batch)} for each of a batch: wrap it in a function that returns vectors of one length"
        )
    apart = difference(alone, in_batch)
    if apart > STEADY:
        repeated = difference(alone, again())
        when, cause = ("alone and in a batch of others", "it depends on the other pictures of a batch")
        if repeated > STEADY:
            apart, when, cause = repeated, "embedded twice", "it draws at random or keeps a state"
        warnings.warn(
            f"encoder {name!r}: the embedding of the same picture differs by {apart:.2g} of its length, {when}: "
            f"{cause}, and its maps show that too: {_way_out(network)}",
            EncoderWarning,
            stacklevel=3,
        )
    return apart


def versions(network: object) -> dict[str, int]:
    """A number for each weight and buffer of a module that changes when it is written to; none for a function."""
    if not isinstance(network, nn.Module):
        return {}
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {name: tensor._version for name, tensor in tensors.items() if not tensor.is_inference()}


def check_unchanged(name: str, network: object, before: dict[str, int]) -> None:
    """Warn of a module that has changed its own weights or buffers since `versions` were taken.

    Warns:
        EncoderWarning: Naming the first that changed.
    """
    changed = [key for key, version in versions(network).items() if before.get(key, version) != version]
    if changed:
        warnings.warn(
            f"encoder {name!r} changes its own {changed[0]} ({len(changed)} such) whenever it is called, so that its "
            f"checksum and its embeddings are no longer those that were recorded: {_way_out(network)}",
            EncoderWarning,
            stacklevel=3,
        )


def _way_out(network: object) -> str:
    training = [
        f"{name or 'the network'} ({type(module).__name__})"
        for name, module in (network.named_modules() if isinstance(network, nn.Module) else ())
        if module.training
    ]
    if training:
        return f"{training[0]} is in train mode even after eval(): see its train method"
    return "call eval() on the network inside, and let it draw nothing and keep nothing"
