"""The image processor that `transformers` keeps beside its weights, as a `Preprocess`.

A processor is a class with settings, and some classes do more than their settings say (turn colours round, pad, cut
into patches). So the reading of the settings is not trusted: the processor itself is run on a picture, and what differs
from it is refused.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from encoders.errors import EncoderError, one_line
from encoders.preprocess import Preprocess

RESAMPLING = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # PIL's numbers
SQUEEZED_FROM = 384  # ConvNeXt's processor: smaller sizes are cropped, others squeezed
MAX_DIFFERENCE = 1.0  # mean over a picture of noise, in 1/255; rounding to 8 bits gives 0.25, one pixel aside 80


class UnreadError(ValueError):
    """A processor does what `Preprocess` does not; the message says what."""


def preprocess_of(processor: Any, channels: int) -> Preprocess:
    """Size, crop, mean and std of a processor of `transformers`.

    Args:
        processor: What `AutoImageProcessor.from_pretrained` gives.
        channels: Those of the network.

    Raises:
        UnreadError: If a `Preprocess` cannot do the same.
    """
    try:
        preprocess = Preprocess(**_frame(processor), **_scale(processor, channels))
    except EncoderError as error:
        raise UnreadError(one_line(error)) from error
    difference = _difference(processor, preprocess, channels)
    if not difference <= MAX_DIFFERENCE:
        raise UnreadError(f"a picture that goes through it differs by {difference:.3g}/255 from what its settings say")
    return preprocess


def _frame(processor: Any) -> dict[str, Any]:
    """Size, resize and interpolation."""
    cropped = _sides(getattr(processor, "crop_size", None)) if getattr(processor, "do_center_crop", False) else None
    if not processor.do_resize:
        if cropped is not None:
            raise UnreadError("it crops without resizing")
        return {}
    number = 2 if processor.resample is None else int(processor.resample)
    if number not in RESAMPLING:
        raise UnreadError(f"it resizes with resample={number}, known are {', '.join(map(str, RESAMPLING))}")
    given = {name: value for name, value in dict(processor.size).items() if value is not None}
    size, resize = _resized(given, cropped, getattr(processor, "crop_pct", None))
    return {"size": size, "resize": resize, "interpolation": RESAMPLING[number], "rounded_down": True}


def _resized(
    given: dict[str, int], cropped: tuple[int, int] | None, crop_pct: float | None
) -> tuple[tuple[int, int], int | tuple[int, int] | None]:
    """What the network sees, and how the picture gets there, as in `Preprocess`."""
    if given.keys() == {"height", "width"}:
        squeezed = (given["height"], given["width"])
        return (squeezed, None) if cropped is None else (cropped, squeezed)
    if given.keys() != {"shortest_edge"}:
        raise UnreadError(f"it resizes to {given}, and a network must see every picture at one size")
    shorter = given["shortest_edge"]
    if crop_pct is not None:
        small = shorter < SQUEEZED_FROM
        return (shorter, shorter), int(shorter / crop_pct) if small else None
    if cropped is None:
        raise UnreadError(f"it makes the shorter side {shorter} px and crops nothing, so that pictures differ in size")
    return cropped, shorter


def _scale(processor: Any, channels: int) -> dict[str, Any]:
    """Mean and std for pixels in [0, 1]; a processor's own are for pixels in [0, 255], or what it rescales them to."""
    factor = 255 * processor.rescale_factor if processor.do_rescale else 255.0
    if processor.do_normalize:
        mean, std = (_numbers(values, channels) for values in (processor.image_mean, processor.image_std))
    elif abs(factor - 1) < 1e-6:
        return {}
    else:
        mean, std = (0.0,) * channels, (1.0,) * channels
    factor = 1.0 if abs(factor - 1) < 1e-6 else factor
    return {"mean": tuple(value / factor for value in mean), "std": tuple(value / factor for value in std)}


def _numbers(values: Any, channels: int) -> tuple[float, ...]:
    return (float(values),) * channels if isinstance(values, int | float) else tuple(float(value) for value in values)


def _sides(size: Any) -> tuple[int, int]:
    given = dict(size or {})
    if not given.get("height") or not given.get("width"):
        raise UnreadError(f"it crops to {given}")
    return given["height"], given["width"]


def _difference(processor: Any, preprocess: Preprocess, channels: int) -> float:
    """Mean difference, in 1/255, between the processor's output for a picture of noise and that of `preprocess`."""
    height, width = (side + side // 2 + 1 for side in preprocess.size or (48, 64))
    noise = torch.randint(256, (channels, height, width + 2), generator=torch.Generator().manual_seed(0))
    try:
        pixels = processor(noise.byte().numpy(), input_data_format="channels_first", return_tensors="pt")[
            "pixel_values"
        ]
    except Exception as error:  # processors raise anything
        raise UnreadError(f"it cannot take a picture of {channels} channels ({one_line(error)})") from error
    expected = preprocess.normalise(preprocess.view(noise[None] / 255))
    if not isinstance(pixels, Tensor) or pixels.shape != expected.shape:
        raise UnreadError(f"it gives {tuple(getattr(pixels, 'shape', ()))}, not pixels {tuple(expected.shape)}")
    std = torch.tensor(preprocess.std or (1.0,)).view(-1, 1, 1)
    return float(((pixels - expected) * std).abs().mean() * 255)
