"""The colours and the spectrum of natural pictures, measured: what a picture that is made from nothing starts from.

Colours are decorrelated: pixels are `mean + mix @ u`, where the three u of natural pictures are uncorrelated and have
variance 1. The spectrum is the mean magnitude of the Fourier coefficients of u over pictures, each channel of its own.

The bundled table was measured on 2,000 photographs of Caltech 101 (Fei-Fei, Fergus & Perona 2004, CC BY 4.0), squeezed
to 128 x 128 px, by `experiments.recipes.natural_statistics`.

Sources: decorrelated colours: Olah, Mordvintsev & Schubert, "Feature Visualization", Distill 2017; the mean magnitude
as a constraint: Fel et al., "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained
Optimization" (MACO), NeurIPS 2023.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relax.npz import read_npz

BUNDLED = Path(__file__).with_name("natural.npz")
LEVELS = 65535
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
TRUSTED = 0.45  # cycles per pixel of the measured pictures, beyond which resizing has left little
FITTED = 0.2  # and from where to there the fall of the spectrum is fitted


@dataclass(frozen=True)
class Statistics:
    """Colours and spectrum of pictures.

    Attributes:
        mean: (C,) float32, the mean colour in [0, 1].
        mix: (C, C) float32, so that pixels are `mean + mix @ u` with u uncorrelated, of variance 1.
        spectrum: (C, S, S // 2 + 1) float32, the mean magnitude of the coefficients of u, as `torch.fft.rfft2` orders
            them, with `norm="forward"` (divided by the number of pixels): at so many cycles a picture.
        fall: Exponent a of the fall of the spectrum with the frequency f, 1 / f^a, for frequencies beyond the measured.
        name: Of the pictures.
        count: How many they were.
    """

    mean: Tensor
    mix: Tensor
    spectrum: Tensor
    fall: float
    name: str
    count: int

    def magnitudes(self, height: int, width: int) -> Tensor:
        """(C, height, width // 2 + 1) float32: the spectrum for pictures of another size, which show as much.

        A frequency is so many cycles a picture. Those that were not measured are those of the same direction, scaled by
        the fall.
        """
        side = self.spectrum.shape[1]
        rows = torch.fft.fftfreq(height, 1 / height, dtype=torch.float64)[:, None]
        columns = torch.arange(width // 2 + 1, dtype=torch.float64)[None]
        beyond = (torch.maximum(rows.abs(), columns) / (TRUSTED * side)).clamp(min=1)
        inside = _between(self.spectrum.double(), rows / beyond, columns / beyond)
        magnitudes = inside * beyond**-self.fall
        opposite = torch.roll(magnitudes.flip(1), 1, 1)  # columns that are their own mirror image are even
        return torch.where(twice(width) == 1, (magnitudes + opposite) / 2, magnitudes).float()

    def grey(self) -> Statistics:
        """Of the same pictures without colour."""
        luma = torch.tensor(LUMA)
        weights = luma @ self.mix  # of the three u in the luma
        spread = weights.square().sum().sqrt()
        spectrum = ((weights / spread).square()[:, None, None] * self.spectrum.square()).sum(0, keepdim=True).sqrt()
        return Statistics((luma @ self.mean)[None], spread.view(1, 1), spectrum, self.fall, self.name, self.count)


def measured(pictures: Iterable[Tensor], name: str) -> Statistics:
    """The statistics of pictures, which are kept as 16-bit numbers meanwhile.

    Args:
        pictures: (C, S, S) each, in [0, 1], all of one size.
        name: Of the pictures.

    Raises:
        ValueError: If there are fewer than two, or their sizes differ.
    """
    kept: list[NDArray[np.uint16]] = []
    total = products = None
    count = 0
    for picture in pictures:
        pixels = picture.double()
        if kept and tuple(pixels.shape) != kept[0].shape:
            raise ValueError(f"pictures must have one size; got {kept[0].shape} and {tuple(pixels.shape)}")
        flat = pixels.flatten(1)
        total = flat.sum(1) if total is None else total + flat.sum(1)
        products = flat @ flat.T if products is None else products + flat @ flat.T
        kept.append(np.rint(pixels.numpy() * LEVELS).astype(np.uint16))
        count += flat.shape[1]
    if len(kept) < 2 or total is None or products is None:
        raise ValueError(f"pictures must be two or more to measure their spectrum; got {len(kept)}")
    mean = total / count
    mix = _root(products / count - mean[:, None] @ mean[None])
    unmix = torch.linalg.inv(mix)
    spectrum = torch.zeros(*kept[0].shape[:2], kept[0].shape[2] // 2 + 1, dtype=torch.float64)
    for levels in kept:
        flat = unmix @ (torch.from_numpy(levels / LEVELS).flatten(1) - mean[:, None])
        spectrum += torch.fft.rfft2(flat.view(levels.shape), norm="forward").abs()
    spectrum /= len(kept)
    return Statistics(mean.float(), mix.float(), spectrum.float(), _fall(spectrum), name, len(kept))


@lru_cache(maxsize=1)
def bundled() -> Statistics:
    """The statistics that the package carries."""
    table = read_npz(BUNDLED, ("mean", "mix", "spectrum", "fall", "count"))
    mean, mix, spectrum = (torch.from_numpy(table[key].astype(np.float32)) for key in ("mean", "mix", "spectrum"))
    return Statistics(mean, mix, spectrum, float(table["fall"]), "Caltech 101", int(table["count"]))


def twice(width: int) -> Tensor:
    """(width // 2 + 1,) float64: how often each column of `rfft2` counts, as the others are mirror images of it.

    The first, and of an even width the last, is its own mirror image, and counts once.
    """
    columns = torch.full((width // 2 + 1,), 2.0, dtype=torch.float64)
    columns[0] = 1
    if width % 2 == 0:
        columns[-1] = 1
    return columns


def _root(covariance: Tensor) -> Tensor:
    """(C, C) so that root @ root.T is the covariance: principal colours, the strongest first."""
    strengths, colours = torch.linalg.eigh(covariance)
    root: Tensor = colours.flip(1) * strengths.flip(0).clamp(min=1e-12).sqrt()
    return root


def _fall(spectrum: Tensor) -> float:
    """The exponent, by least squares of logarithms over the higher of the trusted frequencies."""
    side = spectrum.shape[1]
    rows = torch.fft.fftfreq(side, 1 / side, dtype=torch.float64)[:, None]
    columns = torch.arange(spectrum.shape[2], dtype=torch.float64)[None]
    radius = (rows.square() + columns.square()).sqrt()
    chosen = (radius >= FITTED * side) & (radius <= TRUSTED * side)
    x = radius[chosen].log()
    y = spectrum[:, chosen].clamp(min=1e-12).log().mean(0)
    x = x - x.mean()
    return float(-(x * y).sum() / x.square().sum())


def _between(table: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(C, h, w) bilinear in a spectrum (C, S, S // 2 + 1) at rows of either sign, columns of 0 or more."""
    side = table.shape[1]
    low_row, low_column = rows.floor(), columns.floor()
    share_row, share_column = rows - low_row, columns - low_column

    def at(row: Tensor, column: Tensor) -> Tensor:
        row, column = torch.broadcast_tensors(row.long() % side, column.long().clamp(max=table.shape[2] - 1))
        return table[:, row, column]

    above = at(low_row, low_column) * (1 - share_column) + at(low_row, low_column + 1) * share_column
    below = at(low_row + 1, low_column) * (1 - share_column) + at(low_row + 1, low_column + 1) * share_column
    return above * (1 - share_row) + below * share_row
