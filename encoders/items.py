"""The items behind the question mark of a spec that say how its weights were trained: ?size=96&mean=0.5,0.5,0.5.

Those of the network's own constructor are in `encoders.arguments`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from encoders.errors import EncoderError
from encoders.preprocess import Preprocess
from encoders.volumes import VolumePreprocess


def with_items(usual: Preprocess, items: Mapping[str, str], channels: int | None = None) -> Preprocess:
    """The usual preprocessing with the changes of the items; a new size keeps the share of the image in the crop.

    Args:
        usual: That of the network.
        items: Of the spec. One number as mean or std stands for every channel.
        channels: What the network takes; None = unknown. For one channel, where the usual mean and std are of three and
            the items name none, it is their average: timm makes such a network of a pretrained one by adding up the
            weights of the colours, so that grey pixels are normalised as they were, but for the differences between
            the colours' statistics.

    Raises:
        EncoderError: If an item is no size or number, or the result does not fit together: for any other number of
            channels, mean and std have to be said.
    """
    if isinstance(usual, VolumePreprocess):
        return _of_volumes(items, channels)
    changes: dict[str, Any] = {}
    size = size_of(items)
    if size is not None:
        changes["size"] = size
        changes["resize"] = _same_share(usual, size)
    if "resize" in items:
        pair = height_and_width(items["resize"])
        changes["resize"] = pair if "x" in items["resize"] else pair[0]
    for name in ("mean", "std"):
        if name in items:
            values = numbers(name, items[name])
            changes[name] = values * channels if channels and len(values) == 1 else values
    if "interpolation" in items:
        changes["interpolation"] = items["interpolation"]
    return _of_channels(replace(usual, **changes), channels)


def size_of(items: Mapping[str, str]) -> tuple[int, int] | None:
    """The size that the items name, as size= or, as timm calls it, img_size=; None where they name none.

    Raises:
        EncoderError: If it is no size, or the two differ.
    """
    sizes = {name: height_and_width(items[name]) for name in ("size", "img_size") if name in items}
    if len(set(sizes.values())) > 1:
        raise EncoderError(f"size and img_size must be the same; got {sizes['size']} and {sizes['img_size']}: keep one")
    return next(iter(sizes.values()), None)


def height_and_width(text: str) -> tuple[int, int]:
    """Pixels: "96" is (96, 96), "96x128" and "(96, 128)" are (96, 128)."""
    try:
        height, _, width = text.strip("()[] ").replace(",", "x").partition("x")
        sides = int(height), int(width or height)
    except ValueError:
        sides = 0, 0
    if min(sides) < 1:
        raise EncoderError(f"size and resize must be pixels, as in size=96 or size=96x128; got {text!r}")
    return sides


def _of_volumes(items: Mapping[str, str], channels: int | None) -> VolumePreprocess:
    """What the items say of a network of volumes: its size as depth x height x width, mean, std and interpolation."""
    if "resize" in items:
        raise EncoderError("resize is for pictures; a volume is brought to size as a whole: leave it out")
    sides = [] if "size" not in items else items["size"].split("x")
    if not all(side.isdecimal() and int(side) > 0 for side in sides) or len(sides) not in (0, 1, 3):
        raise EncoderError(f"size of volumes must be voxels, as in size=96 or size=16x96x96; got {items['size']!r}")
    whole = [int(side) for side in sides] * (3 if len(sides) == 1 else 1)
    given = (numbers(name, items[name]) if name in items else None for name in ("mean", "std"))
    mean, std = (values * channels if values and channels and len(values) == 1 else values for values in given)
    size = (whole[0], whole[1], whole[2]) if whole else None
    return VolumePreprocess.of(size, mean, std, items.get("interpolation", "bilinear"))


def _of_channels(preprocess: Preprocess, channels: int | None) -> Preprocess:
    """With one mean and std a channel."""
    mean, std = preprocess.mean, preprocess.std
    if channels is None or mean is None or std is None or len(mean) == channels:
        return preprocess
    if channels != 1:
        raise EncoderError(
            f"mean and std must be {channels} numbers, one for each channel of this network; got {len(mean)}: say "
            f"those of its weights, as in mean={','.join(['0.5'] * channels)}&std={','.join(['0.25'] * channels)}"
        )
    return replace(preprocess, mean=(sum(mean) / len(mean),), std=(sum(std) / len(std),))


def _same_share(usual: Preprocess, size: tuple[int, int]) -> int | None:
    """What the shorter side becomes at a new size; None for a rectangle, which takes the whole image, squeezed."""
    if usual.size is None or not isinstance(usual.resize, int) or size[0] != size[1]:
        return None
    return max(size[0], usual.resize * size[0] // usual.size[0])


def numbers(name: str, text: str) -> tuple[float, ...]:
    """Numbers with commas: "0.5,0.5,0.5"; `name` is that of the item, for the message."""
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise EncoderError(f"{name} must be numbers with commas, as in {name}=0.5,0.5,0.5; got {text!r}") from None
