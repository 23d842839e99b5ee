"""How a picture that is made from nothing is written down, so that its numbers can be climbed by gradients.

pixels   the pixels themselves, as a difference from a colour: the textbook form
fourier  Fourier coefficients of decorrelated colours, divided by their frequency, so that all scales move alike
maco     the phases of the coefficients alone: their magnitudes are the mean of natural pictures

The last two pass through a soft limit, so that every value is in [0, 1]: sigmoid(4 (x - 1/2)), which keeps grey and
the slope there. The first does not, and is cut only when it is looked at.

Sources: pixels: Simonyan, Vedaldi & Zisserman 2013 (arXiv 1312.6034), Erhan et al. 2009; fourier: Olah, Mordvintsev &
Schubert, Distill 2017; maco: Fel et al., NeurIPS 2023.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from relax.units.statistics import Statistics, twice

NOISE = 0.01  # standard deviation of what a form begins with


class Canvas(ABC):
    """A picture (1, C, h, w) as numbers that can be climbed.

    Attributes:
        numbers: The leaf with gradients.
    """

    numbers: Tensor

    @abstractmethod
    def picture(self) -> Tensor:
        """(1, C, h, w), with gradients to the numbers."""

    def shown(self) -> Tensor:
        """(1, C, h, w) in [0, 1], as it is looked at and judged."""
        return self.picture().detach().clamp(0, 1)


def canvas_of(
    form: str,
    colour: Tensor,
    statistics: Statistics | None,
    size: tuple[int, int],
    generator: torch.Generator,
    device: torch.device,
    louder: float = 1.0,
) -> Canvas:
    """A picture at its start.

    Args:
        form: A key of `relax.units.forms.FORMS`.
        colour: (C,) from which the pixels of the textbook form differ.
        statistics: Of natural pictures, for the other forms.
        size: (h, w).
        generator: The only source of randomness.
        device: Where it lies.
        louder: Factor of the noise that pixels and coefficients begin with.
    """
    if form == "pixels":
        return Pixels(colour.to(device), size, generator, louder * NOISE)
    assert statistics is not None  # noqa: S101  # forms that are natural have them
    if form == "fourier":
        return Fourier(statistics, size, generator, device, louder * NOISE)
    return Maco(statistics, size, generator, device)


class Pixels(Canvas):
    """The pixels themselves.

    Args:
        colour: (C,) in [0, 1], what a picture of zeros shows.
        size: (h, w).
        generator: Of the noise that it begins with.
        noise: Its standard deviation.
    """

    def __init__(self, colour: Tensor, size: tuple[int, int], generator: torch.Generator, noise: float = NOISE) -> None:
        self.colour = colour.float().view(1, -1, 1, 1)
        start = torch.randn(1, len(colour), *size, generator=generator) * noise
        self.numbers = start.to(colour.device).requires_grad_()

    def picture(self) -> Tensor:
        """(1, C, h, w), beyond [0, 1] where nothing holds it back."""
        return self.colour + self.numbers


class Fourier(Canvas):
    """Fourier coefficients, each divided by its frequency.

    Args:
        statistics: Their colours are taken.
        size: (h, w).
        generator: Of the noise that it begins with.
        device: Where it lies.
        noise: Standard deviation of the noise.
    """

    def __init__(
        self,
        statistics: Statistics,
        size: tuple[int, int],
        generator: torch.Generator,
        device: torch.device,
        noise: float = NOISE,
    ) -> None:
        self.size, self.statistics = size, statistics
        self.scale = scale_of(*size).to(device)
        self.mean, self.mix = statistics.mean.to(device), statistics.mix.to(device)
        start = torch.randn(len(self.mean), *self.scale.shape, 2, generator=generator) * noise
        self.numbers = start.to(device).requires_grad_()

    def picture(self) -> Tensor:
        """(1, C, h, w) in [0, 1]."""
        coefficients = torch.view_as_complex(self.numbers) * self.scale
        return softly_limited(mixed(transformed(coefficients, self.size), self.mean, self.mix))

    def set(self, pixels: Tensor) -> None:
        """Write a picture (1, C, h, w) in (0, 1) down exactly."""
        flat = torch.logit(pixels[0].double()) / 4 + 0.5 - self.mean.double()[:, None, None]
        apart = torch.einsum("dc,chw->dhw", torch.linalg.inv(self.mix.double()), flat)
        coefficients = torch.fft.rfft2(apart, norm="forward") / self.scale.double()
        with torch.no_grad():
            self.numbers.copy_(torch.view_as_real(coefficients))


class Maco(Canvas):
    """Phases, under magnitudes that stay.

    Args:
        statistics: Colours and magnitudes.
        size: (h, w).
        generator: Of the phases that it begins with, uniform.
        device: Where it lies.
    """

    def __init__(
        self, statistics: Statistics, size: tuple[int, int], generator: torch.Generator, device: torch.device
    ) -> None:
        self.size = size
        self.magnitudes = statistics.magnitudes(*size).to(device)
        self.magnitudes[:, 0, 0] = 0  # the mean colour stays that of natural pictures
        self.mean, self.mix = statistics.mean.to(device), statistics.mix.to(device)
        start = (torch.rand(self.magnitudes.shape, generator=generator) * 2 - 1) * math.pi
        self.numbers = start.to(device).requires_grad_()

    def picture(self) -> Tensor:
        """(1, C, h, w) in [0, 1]."""
        coefficients = torch.polar(self.magnitudes, mirrored(self.numbers, self.size[1]))
        return softly_limited(mixed(transformed(coefficients, self.size), self.mean, self.mix))


def scale_of(height: int, width: int) -> Tensor:
    """(height, width // 2 + 1) float32: 1 / f with f in cycles a picture, and 1 for the mean.

    The unit of the sum is chosen so that independent normal coefficients of standard deviation 1 give pixels of
    variance 1 (Parseval).
    """
    rows = torch.fft.fftfreq(height, 1 / height, dtype=torch.float64)[:, None]
    columns = torch.arange(width // 2 + 1, dtype=torch.float64)[None]
    scale: Tensor = 1 / (rows.square() + columns.square()).sqrt().clamp(min=1)
    whole: Tensor = (twice(width) * scale).square().sum().sqrt()
    return (scale / whole).float()


def mirrored(phases: Tensor, width: int) -> Tensor:
    """Phases (C, h, w // 2 + 1), odd in the columns that are their own mirror image, as in a real picture."""
    opposite = torch.roll(phases.flip(1), 1, 1)
    return torch.where(twice(width).to(phases.device) == 1, (phases - opposite) / 2, phases)


def transformed(coefficients: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, h, w) real, of coefficients (C, h, w // 2 + 1)."""
    pixels: Tensor = torch.fft.irfft2(coefficients, s=size, norm="forward")
    return pixels


def mixed(apart: Tensor, mean: Tensor, mix: Tensor) -> Tensor:
    """(1, C, h, w) colours of decorrelated ones (C, h, w)."""
    return (mean[:, None, None] + torch.einsum("cd,dhw->chw", mix, apart))[None]


def softly_limited(pixels: Tensor) -> Tensor:
    """Into (0, 1): grey stays, as does the slope there."""
    return torch.sigmoid(4 * (pixels - 0.5))
