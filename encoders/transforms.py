"""An evaluation transform of torchvision, timm or open_clip, read into a `Preprocess`.

Nothing is run: each step is understood by its class and settings, or refused by name. What results does with pixels in
[0, 1] what the transform does with a PIL image, up to the rounding of PIL to 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from encoders.errors import EncoderError
from encoders.preprocess import INTERPOLATIONS, Preprocess

LIBRARIES = ("torchvision", "timm", "open_clip", "clip", "torch")
WAY_OUT = "say size=, mean= and std= instead"
RANDOM_WORDS = ("Random", "Jitter", "Aug", "Mix", "Noise")


@dataclass
class Reading:
    """What the steps so far do."""

    size: tuple[int, int] | None = None
    resize: int | tuple[int, int] | None = None
    interpolation: str = "bilinear"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels: int | None = None
    is_tensor: bool = False
    white: float = 1.0  # value of white: 255 once pixels are whole numbers


def read_transform(transform: object) -> tuple[Preprocess, int | None]:
    """The preprocessing of a transform, and the number of channels that it makes; None = those of the image.

    Args:
        transform: A Compose of torchvision (v1 or v2), a list or Sequential of its transforms, one of them, the
            `transforms()` of torchvision's weights, or what timm's or open_clip's factories return.

    Raises:
        EncoderError: If a step is random, is not known, or does what `Preprocess` cannot; the message names it.
    """
    reading = Reading()
    for step in _steps(transform):
        name = type(step).__name__
        if getattr(step, "__name__", "") in _CONVERTERS and _library(step):
            name = "RGB"
        read = _READERS.get(name) if _library(step) else None
        if read is None:
            if any(word in name for word in RANDOM_WORDS):
                raise _refused(step, "is random, of training: take the evaluation transform")
            raise _refused(step, f"is not understood: {WAY_OUT}")
        if reading.mean is not None and name not in ("Identity", "ToPureTensor"):
            raise _refused(step, f"comes after Normalize, which must be the last step: {WAY_OUT}")
        read(reading, step)
    if reading.white != 1:
        raise EncoderError(f"transform leaves pixels from 0 to 255, and the encoder gets them in [0, 1]: {WAY_OUT}")
    if isinstance(reading.resize, int) and reading.size is None:
        raise EncoderError(
            f"transform resizes the shorter side to {reading.resize} px and crops nothing, so that pictures have no "
            "one size: add a CenterCrop"
        )
    if isinstance(reading.resize, tuple) and reading.size is None:
        reading.size, reading.resize = reading.resize, None
    preprocess = Preprocess(reading.size, reading.resize, reading.mean, reading.std, reading.interpolation)
    return preprocess, reading.channels


def _steps(transform: Any) -> Iterator[Any]:
    """The single transforms, in order."""
    parts = transform.transforms if type(transform).__name__ == "Compose" else transform  # others with parts are random
    if isinstance(parts, list | tuple | torch.nn.Sequential | torch.nn.ModuleList):
        for part in parts:
            yield from _steps(part)
    else:
        yield transform


def _library(step: object) -> bool:
    """Whether the step is a library's: other libraries use the same names for other things."""
    module = getattr(step if hasattr(step, "__name__") else type(step), "__module__", None)
    return str(module).split(".")[0] in LIBRARIES


def _resize(reading: Reading, step: Any) -> None:
    size, interpolation = _sides(step.size), step.interpolation
    if reading.resize is not None or reading.size is not None:
        raise _refused(step, f"comes after another resize or crop: {WAY_OUT}")
    if size is None or getattr(step, "max_size", None) is not None:
        raise _refused(step, f"bounds the longer side: {WAY_OUT}")
    reading.resize = size[0] if len(size) == 1 else (size[0], size[1])
    reading.interpolation = _interpolation(step, interpolation, on_tensor=reading.is_tensor)


def _centre_crop(reading: Reading, step: Any) -> None:
    size = _sides(step.size)
    if reading.resize is None or reading.size is not None or size is None:
        raise _refused(step, f"crops a picture of any size, or a second time; it must follow a Resize: {WAY_OUT}")
    reading.size = (size[0], size[-1])


def _to_tensor(reading: Reading, step: Any) -> None:
    reading.is_tensor = True


def _to_integers(reading: Reading, step: Any) -> None:
    if not reading.is_tensor:
        reading.is_tensor, reading.white = True, 255.0


def _to_float(reading: Reading, step: Any) -> None:
    dtype, scales = step.dtype, getattr(step, "scale", True)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point or not (scales or reading.white == 1):
        raise _refused(step, "does not bring pixels to [0, 1]: take ToDtype(torch.float32, scale=True)")
    reading.white = 1.0


def _normalise(reading: Reading, step: Any) -> None:
    reading.mean, reading.std = (tuple(float(value) for value in values) for values in (step.mean, step.std))


def _grey(reading: Reading, step: Any) -> None:
    if step.num_output_channels != 1:
        raise _refused(step, f"makes three grey channels: {WAY_OUT}")
    reading.channels = 1


def _colour(reading: Reading, step: Any) -> None:
    if reading.channels == 1 or getattr(step, "mode", "RGB") != "RGB":
        raise _refused(step, f"does not make colour of what it gets: {WAY_OUT}")
    reading.channels = 3


def _nothing(reading: Reading, step: Any) -> None:
    """A step that leaves pixels as they are."""


def _preset(reading: Reading, step: Any) -> None:
    """The transform that torchvision stores with weights."""
    if reading.resize is not None or reading.size is not None:
        raise _refused(step, f"comes after another resize or crop: {WAY_OUT}")
    reading.resize, reading.size = step.resize_size[0], (step.crop_size[0], step.crop_size[-1])
    reading.interpolation = _interpolation(step, step.interpolation, on_tensor=reading.is_tensor)
    reading.white = 1.0
    _normalise(reading, step)


_READERS: dict[str, Callable[[Reading, Any], None]] = {
    "Resize": _resize,
    "CenterCrop": _centre_crop,
    "ToTensor": _to_tensor,
    "MaybeToTensor": _to_tensor,
    "PILToTensor": _to_integers,
    "MaybePILToTensor": _to_integers,
    "ToImage": _to_integers,
    "ConvertImageDtype": _to_float,
    "ToDtype": _to_float,
    "Normalize": _normalise,
    "Grayscale": _grey,
    "RGB": _colour,
    "MaybeConvertMode": _colour,
    "Identity": _nothing,
    "ToPureTensor": _nothing,
    "ImageClassification": _preset,
}

_CONVERTERS = ("_convert_image_to_rgb", "_convert_to_rgb")  # functions of CLIP and open_clip


def _sides(size: Any) -> tuple[int, ...] | None:
    """One or two numbers of pixels."""
    if size is None:
        return None
    return (size,) if isinstance(size, int) else tuple(int(side) for side in size)


def _interpolation(step: Any, mode: Any, *, on_tensor: bool) -> str:
    word = str(getattr(mode, "value", mode)).replace("nearest-exact", "nearest")
    if word not in INTERPOLATIONS:
        raise _refused(step, f"interpolates by {word}; known are {', '.join(INTERPOLATIONS)}: {WAY_OUT}")
    exact = getattr(mode, "value", mode) == "nearest-exact"
    if on_tensor and (not exact if word == "nearest" else getattr(step, "antialias", True) is False):
        raise _refused(step, f"resizes a tensor without antialiasing: put it before ToTensor, or {WAY_OUT}")
    return word


def _refused(step: object, reason: str) -> EncoderError:
    try:
        text = " ".join(str(getattr(step, "__name__", step)).split())
    except Exception:  # objects of others raise anything
        text = type(step).__name__
    text = text if len(text) <= 80 else f"{type(step).__name__}(...)"
    return EncoderError(f"transform has the step {text}, which {reason}")
