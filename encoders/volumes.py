"""How a volume becomes what a network of volumes was trained to see: brought to its size, and normalised.

A network takes volumes (B, C, D, H, W) if its size has three numbers or, where none or one is said, if its first
convolution is over three axes.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from encoders.errors import EncoderError
from encoders.preprocess import Preprocess, resized


@dataclass(frozen=True)
class VolumePreprocess(Preprocess):
    """Size, mean and std of a network of volumes; the whole volume is brought to the size, nothing is cropped.

    Attributes:
        depth: Planes that the network sees, beside `size`, (h, w); None together with it.
    """

    depth: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.depth is None) != (self.size is None):
            raise EncoderError(f"size of volumes must be (depth, height, width); got {self.depth} and {self.size}")
        if self.resize is not None or self.eight_bit or self.padded:
            raise EncoderError("resize is for pictures; a volume is brought to size as a whole: leave it out")

    @classmethod
    def of(
        cls,
        size: tuple[int, int, int] | None = None,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
        interpolation: str = "bilinear",
    ) -> VolumePreprocess:
        """Of a size (depth, height, width); None leaves volumes as they are."""
        depth, plane = (None, None) if size is None else (size[0], size[1:])
        return cls(plane, None, mean, std, interpolation, depth=depth)

    def fitted(self, view: str) -> VolumePreprocess:
        """Itself, as volumes are squeezed to the size; an EncoderError where they are to be padded or cropped."""
        if view not in ("auto", "squash"):
            raise EncoderError(
                f'view must be "auto" or "squash" for volumes, which are neither padded nor cropped; got {view!r}'
            )
        return self

    @property
    def shape(self) -> tuple[int, ...] | None:
        """(depth, h, w) that the network sees; None leaves volumes as they are."""
        return None if self.size is None or self.depth is None else (self.depth, *self.size)

    def view(self, pixels: Tensor) -> Tensor:
        """Bring volumes to the size that the network sees, along one plane after the other, with antialiasing.

        Args:
            pixels: (B, C, D, H, W) in [0, 1], of any size.

        Returns:
            (B, C, d, h, w) in [0, 1]; volumes that have the size already come back untouched.
        """
        if self.shape is None or tuple(pixels.shape[2:]) == self.shape:
            return pixels
        depth, height, width = self.shape
        planes = resized(pixels.flatten(0, 1), (height, width), self.interpolation)  # each plane is a channel
        columns = planes.transpose(1, 2)  # (B C, h, D, w)
        whole = resized(columns, (depth, width), self.interpolation).transpose(1, 2)
        volumes: Tensor = whole.unflatten(0, pixels.shape[:2])
        return volumes.contiguous()

    def normalise(self, pixels: Tensor) -> Tensor:
        """(pixels - mean) / std, channel by channel."""
        planes: Tensor = super().normalise(pixels.flatten(2, 3))
        return planes.reshape(pixels.shape)


def convolved_axes(network: nn.Module) -> int | None:
    """Along how many axes the first convolution of a network goes, 2 for pictures; None where there is none."""
    kinds = (getattr(layer, "original_name", type(layer).__name__) for layer in network.modules())  # of TorchScript too
    return next((axes for kind in kinds for axes in (1, 2, 3) if kind == f"Conv{axes}d"), None)
