"""What the inputs and outputs of an ONNX graph say of pictures and embeddings, and what a spec must say beside them.

Of the items of a spec, output, layout and batch are read here; `encoders.kinds.ITEMS` says what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from encoders.errors import EncoderError, did_you_mean
from encoders.layers import LAYOUTS

DTYPES = {
    "tensor(float)": torch.float32,
    "tensor(float16)": torch.float16,
    "tensor(double)": torch.float64,
    "tensor(uint8)": torch.uint8,
}
CHANNELS = (1, 3, 4)  # of pictures: what tells channels from height and width


@dataclass(frozen=True)
class Port:
    """An input or output of a graph.

    Attributes:
        name: Its name.
        type: In ONNX Runtime's words, such as "tensor(float)".
        shape: Per axis a number above 0 where it is fixed, else None; empty also where nothing is known of the axes.
    """

    name: str
    type: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        axes = ", ".join("any" if axis is None else str(axis) for axis in self.shape)
        return f"{self.name} {self.type.removeprefix('tensor')} [{axes}]"


@dataclass(frozen=True)
class Signature:
    """How a graph is called, and which of its outputs is the embedding.

    Attributes:
        picture: Name of the input.
        embedding: Name of the output.
        dtype: Of the pictures: a float type, or uint8 for values from 0 to 255.
        channels_last: Whether pictures are (B, H, W, C) instead of (B, C, H, W).
        channels: C; None where the graph leaves it open.
        height: In pixels; None where any will do.
        width: In pixels; None where any will do.
        batch: B; None where any will do.
        rank: Number of axes of the embedding: 2 for vectors, 3 for tokens, 4 for feature maps; 0 where it is unknown.
    """

    picture: str
    embedding: str
    dtype: torch.dtype
    channels_last: bool
    channels: int | None
    height: int | None
    width: int | None
    batch: int | None
    rank: int


def read_signature(name: str, inputs: Sequence[Port], outputs: Sequence[Port], items: Mapping[str, str]) -> Signature:
    """The signature of a graph.

    Args:
        name: The encoder's name, for messages.
        inputs: Those that must be given.
        outputs: All of them.
        items: The items of the spec; others than those above are left alone.

    Raises:
        EncoderError: If the graph takes anything but pictures, or leaves open what no item says.
    """
    picture, embedding = _picture(name, inputs), _embedding(name, outputs, items.get("output", ""))
    channels_last = _channels_last(name, picture, items.get("layout", ""))
    channels, height, width = (picture.shape[axis] for axis in ((3, 1, 2) if channels_last else (1, 2, 3)))
    return Signature(
        picture=picture.name,
        embedding=embedding.name,
        dtype=DTYPES[picture.type],
        channels_last=channels_last,
        channels=channels,
        height=height,
        width=width,
        batch=_batch(name, picture, items.get("batch", "")),
        rank=len(embedding.shape),
    )


def _picture(name: str, inputs: Sequence[Port]) -> Port:
    if len(inputs) != 1:
        raise EncoderError(
            f"encoder {name!r} must take pictures and nothing else; its graph has {len(inputs)} inputs"
            f"{_listed(inputs)}: export the image tower alone"
        )
    picture = inputs[0]
    if picture.type not in DTYPES or len(picture.shape) != 4:
        raise EncoderError(
            f"encoder {name!r} must take pictures with four axes, as float, float16, double or uint8; its input is "
            f"{picture}: export it again for those"
        )
    return picture


def _embedding(name: str, outputs: Sequence[Port], wanted: str) -> Port:
    """The output that the item names; else the only one that may be an embedding, or the only one of vectors."""
    usable = [port for port in outputs if port.type in DTYPES and port.type != "tensor(uint8)" and _may_embed(port)]
    if wanted:
        named = [port for position, port in enumerate(outputs) if wanted in (port.name, str(position))]
        if not named:
            hint = did_you_mean(wanted, [port.name for port in outputs], "name one of them")
            raise EncoderError(f"output of encoder {name!r} must be one of its graph's{_listed(outputs)}: {hint}")
        if named[0] not in usable:
            raise EncoderError(
                f"output of encoder {name!r} must be floats (B, D), (B, T, D) or (B, D, h, w); got {named[0]}: "
                f"name another{_listed(usable)}"
            )
        return named[0]
    vectors = [port for port in usable if len(port.shape) == 2]
    for choice in (usable, vectors):
        if len(choice) == 1:
            return choice[0]
    raise EncoderError(
        f"encoder {name!r} must have one output of floats (B, D), (B, T, D) or (B, D, h, w); its graph has"
        f"{_listed(outputs)}: " + ("say which with output=NAME" if usable else "export one that has")
    )


def _may_embed(port: Port) -> bool:
    return len(port.shape) in (0, 2, 3, 4)


def _channels_last(name: str, picture: Port, wanted: str) -> bool:
    if wanted:
        if wanted.upper() not in LAYOUTS:
            raise EncoderError(f"layout must be {' or '.join(LAYOUTS)}; got {wanted!r}")
        last = LAYOUTS[wanted.upper()]
        channels, other = (picture.shape[axis] for axis in ((3, 1) if last else (1, 3)))
        if channels is not None and channels not in CHANNELS and other in CHANNELS:
            raise EncoderError(f"layout of encoder {name!r} must fit {picture}; got {wanted!r}: leave it out")
        return last
    for usual in (CHANNELS, None):  # a number of channels that pictures have; else any that is fixed
        fits = [last for last, axis in ((False, 1), (True, 3)) if _is_one(picture.shape[axis], usual)]
        if len(fits) == 1:
            return fits[0]
    raise EncoderError(
        f"encoder {name!r} takes {picture}, which does not tell where the channels are: say layout=NCHW or layout=NHWC"
    )


def _is_one(axis: int | None, usual: tuple[int, ...] | None) -> bool:
    return axis is not None if usual is None else axis in usual


def _batch(name: str, picture: Port, wanted: str) -> int | None:
    fixed = picture.shape[0]
    if not wanted:
        return fixed
    if not wanted.isdecimal() or int(wanted) < 1 or fixed not in (None, int(wanted)):
        must = "a number of pictures, 1 or more" if fixed is None else f"{fixed}, as its graph says, or left out"
        raise EncoderError(f"batch of encoder {name!r} must be {must}; got {wanted!r}")
    return int(wanted)


def _listed(ports: Sequence[Port]) -> str:
    return "".join(f"{', ' if number else ' '}{port}" for number, port in enumerate(ports))
