"""A module or function of the caller's own, with what the caller says about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from encoders.encoder import Encoder, copied
from encoders.errors import EncoderError
from encoders.layers import first_channels
from encoders.logits import warn_of_logits
from encoders.outputs import Output, selecting
from encoders.preprocess import Preprocess
from encoders.transforms import read_transform
from encoders.values import described, is_whole, plain
from encoders.volumes import VolumePreprocess, convolved_axes

MAX_SIDE = 2**15  # pixels of a view, of which a network makes many more
Numbers = Sequence[float] | Tensor | float


@dataclass(frozen=True)
class Description:
    """The keywords of `encoders.load` that describe a module or function; None = not said."""

    size: int | tuple[int, ...] | None = None
    resize: int | tuple[int, int] | None = None
    mean: Numbers | None = None
    std: Numbers | None = None
    interpolation: str | None = None
    channels: int | None = None
    transform: object | None = None
    output: Output | None = None

    def __post_init__(self) -> None:
        for name in ("size", "resize", "interpolation", "channels", "output"):
            value = getattr(self, name)
            pair = type(value)(map(plain, value)) if type(value) in (tuple, list) else value
            object.__setattr__(self, name, plain(pair))

    @property
    def said(self) -> list[str]:
        """Names of the keywords that were given."""
        return [name for name, value in vars(self).items() if value is not None]

    def of_volumes(self, network: nn.Module | None) -> bool:
        """Whether what is described takes volumes: its size has three sides, or does not tell and its layers do.

        Three sides of a module for pictures, perhaps channels, height and width, are refused later.
        """
        axes = None if network is None else convolved_axes(network)
        if isinstance(self.size, tuple | list):
            return len(self.size) == 3 and axes != 2
        return axes == 3

    def preprocess(self, own: int | None, *, volumes: bool = False) -> tuple[Preprocess, int | None]:
        """The preprocessing, and the number of channels; None = unknown.

        Args:
            own: Channels of the network's first convolution; None = unknown.
            volumes: Whether it takes volumes.

        Raises:
            EncoderError: If the keywords do not fit each other, or the network.
        """
        if self.channels is not None and not is_whole(self.channels, 1):
            raise EncoderError(f"channels must be a whole number, 1 or more; got {described(self.channels)}")
        if self.transform is None:
            usual, transform_channels = Preprocess(), None
            mean, std = _numbers("mean", self.mean), _numbers("std", self.std)
        elif volumes:
            raise EncoderError("transform is for pictures: say size, mean and std of volumes")
        else:
            twice = [name for name in self.said if name not in ("transform", "channels", "output")]
            if twice:
                raise EncoderError(f"transform says how pictures are prepared; got {twice[0]} too: leave one out")
            usual, transform_channels = read_transform(self.transform)
            mean, std = usual.mean, usual.std
            if transform_channels and self.channels not in (None, transform_channels):
                raise EncoderError(
                    f"transform makes {transform_channels} channels; got channels={self.channels}: leave one out"
                )
        channels = self.channels or transform_channels or own or (len(mean) if mean and len(mean) > 1 else None)
        mean, std = (_each(name, values, channels) for name, values in (("mean", mean), ("std", std)))
        if self.transform is not None:
            return replace(usual, mean=mean, std=std), channels
        interpolation = usual.interpolation if self.interpolation is None else self.interpolation
        if volumes:
            if self.resize is not None:
                raise EncoderError("resize is for pictures; a volume is brought to size as a whole: leave it out")
            return VolumePreprocess.of(_voxels(self.size), mean, std, interpolation), channels
        size, pair = _pixels("size", self.size), _pixels("resize", self.resize)
        resize = self.resize if isinstance(self.resize, int) else pair
        return Preprocess(size, resize, mean, std, interpolation), channels


def custom_encoder(
    network: nn.Module | Callable[[Tensor], Any],
    description: Description,
    *,
    device: str | torch.device,
    pooling: str,
    precision: str,
) -> Encoder:
    """The encoder of a module, which is copied, or of a function.

    Raises:
        EncoderError: If the module cannot be copied, or the description does not fit.
    """
    runs: Any = network
    if isinstance(network, nn.Module):
        runs = copied(bare(network))
        name = str(getattr(runs, "original_name", type(runs).__name__))  # TorchScript keeps the name of the class
        volumes = description.of_volumes(runs)
        own = first_channels(runs, "Conv3d" if volumes else "Conv2d")
        preprocess, channels = description.preprocess(own, volumes=volumes)
        if description.output is None and not isinstance(runs, torch.jit.ScriptModule):
            warn_of_logits(runs.eval(), name, preprocess.shape, channels)
    else:
        name = str(getattr(network, "__name__", type(network).__name__))
        preprocess, channels = description.preprocess(None, volumes=description.of_volumes(None))
    if description.output is not None:
        runs = selecting(runs, description.output, name)
        name = f"{name}[{getattr(description.output, '__name__', description.output)}]"
    return Encoder(
        runs, name=name, preprocess=preprocess, device=device, pooling=pooling, channels=channels, precision=precision
    )


def bare(module: nn.Module) -> nn.Module:
    """The module inside what torch.compile or a data-parallel wrapper made of it."""
    inner = getattr(module, "_orig_mod", None)  # torch.compile's
    if inner is None and isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        inner = module.module
    return bare(inner) if isinstance(inner, nn.Module) else module


def _pixels(name: str, value: Any) -> tuple[int, int] | None:
    """(h, w) of a number or a pair."""
    sides = _sides(name, value, ("height", "width"))
    return None if sides is None else (sides[0], sides[1])


def _voxels(value: Any) -> tuple[int, int, int] | None:
    """(d, h, w) of a number or three."""
    sides = _sides("size", value, ("depth", "height", "width"))
    return None if sides is None else (sides[0], sides[1], sides[2])


def _sides(name: str, value: Any, axes: tuple[str, ...]) -> tuple[int, ...] | None:
    if value is None:
        return None
    sides = (value,) * len(axes) if is_whole(value) else tuple(value) if isinstance(value, tuple | list) else ()
    if len(sides) != len(axes) or not all(is_whole(side, 1) and side <= MAX_SIDE for side in sides):
        several = f"a pair ({', '.join(axes)})" if len(axes) == 2 else f"three ({', '.join(axes)})"
        raise EncoderError(
            f"{name} must be pixels, a whole number or {several}; got {described(value)}: take sides from "
            f"1 to {MAX_SIDE}"
        )
    return sides


def _numbers(name: str, value: Any) -> tuple[float, ...] | None:
    """One number per channel; a single number stands for every channel."""
    if value is None:
        return None
    try:
        kind = torch.as_tensor(plain(value)).dtype
        real = not kind.is_complex and kind != torch.bool
        values = torch.as_tensor(plain(value), dtype=torch.float64).reshape(-1).tolist() if real else []
    except Exception:  # sets, texts, tensors without data: torch raises anything
        values = []
    if not values:
        raise EncoderError(f"{name} must be numbers, one per channel; got {described(value)}")
    return tuple(values)


def _each(name: str, values: tuple[float, ...] | None, channels: int | None) -> tuple[float, ...] | None:
    """The numbers, a single one repeated for every channel."""
    if values is None or channels is None or len(values) == channels:
        return values
    if len(values) == 1:
        return values * channels
    raise EncoderError(
        f"{name} must be one number per channel, and the network takes {channels}; got {len(values)}: say channels= "
        "where it takes others than its first convolution"
    )
