"""Views of pictures shown in part: cropped, recoloured, pasted onto another texture, behind soft masks.

Everything is drawn for a whole batch at once from torch's generator, with plain tensor operations, so that two cores
keep up with a small network. Pixels are (N, 3, H, W) in [0, 1].
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LUMA = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
CELLS = (5, 8)  # of the grid of a mask: at least, at most


def between(low: float, high: float, count: int) -> Tensor:
    """(N, 1, 1, 1) uniform numbers."""
    return torch.rand(count, 1, 1, 1) * (high - low) + low


def chosen(share: float, count: int) -> Tensor:
    """(N, 1, 1, 1) True for that share of the pictures, drawn one by one."""
    return torch.rand(count, 1, 1, 1) < share


def placed(pixels: Tensor, scale: Tensor, centre: Tensor, size: int, padding: str) -> tuple[Tensor, Tensor]:
    """(N, 3, size, size) that show at (x, y) the picture at scale * (x, y) + centre, in [-1, 1]; and these places."""
    theta = torch.cat([torch.diag_embed(scale), centre[..., None]], 2)
    grid = F.affine_grid(theta, [len(pixels), 3, size, size], align_corners=False)
    return F.grid_sample(pixels, grid, align_corners=False, padding_mode=padding), grid


def cropped(pixels: Tensor, smallest: float, largest: float, size: int) -> Tensor:
    """A part of each picture, of that share of its area and an aspect of 3/4 to 4/3, mirrored for half of them."""
    count = len(pixels)
    area, aspect = between(smallest, largest, count), torch.exp(between(math.log(3 / 4), math.log(4 / 3), count))
    sides = torch.cat([(area * aspect).sqrt(), (area / aspect).sqrt()], 1)[..., 0, 0].clamp(max=1)
    centre = (2 * torch.rand(count, 2) - 1) * (1 - sides)
    mirror = torch.stack([1 - 2 * (torch.rand(count) < 0.5).float(), torch.ones(count)], 1)
    return placed(pixels, sides * mirror, centre, size, "reflection")[0]


def recoloured(pixels: Tensor) -> Tensor:
    """Four in five with another brightness, contrast, saturation and tint; one in five grey."""
    count = len(pixels)
    other = pixels * between(0.6, 1.4, count)
    level = luma(other).mean((2, 3), keepdim=True)
    other = level + (other - level) * between(0.6, 1.4, count)
    grey = luma(other)
    other = grey + (other - grey) * between(0.6, 1.4, count)
    tint = 1 + 0.075 * torch.randn(count, 3, 1, 1).clamp(-2, 2)
    other = torch.where(chosen(0.8, count), (other * tint).clamp(0, 1), pixels)
    return torch.where(chosen(0.2, count), luma(other).expand_as(other), other)


def luma(pixels: Tensor) -> Tensor:
    """(N, 1, H, W) the brightness."""
    return (pixels * LUMA).sum(1, keepdim=True)


def blurred(pixels: Tensor, share: float) -> Tensor:
    """The first `share` of a batch, whose order is random, blurred by one Gaussian of 0.3 to 1.5 px."""
    count = round(len(pixels) * share)
    sigma, steps = float(between(0.3, 1.5, 1)), torch.arange(-3.0, 4.0)
    kernel = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, 7)
    first = F.conv2d(F.pad(pixels[:count], (3, 3, 0, 0), mode="reflect"), kernel, groups=3)
    first = F.conv2d(F.pad(first, (0, 0, 3, 3), mode="reflect"), kernel.transpose(2, 3), groups=3)
    return torch.cat([first, pixels[count:]])


def pasted(pixels: Tensor, ground: Tensor, share: float) -> Tensor:
    """That share of the views, 0.35 to 0.8 times as large, as an ellipse or a rectangle somewhere on a ground."""
    count, size = len(pixels), pixels.shape[-1]
    scale = between(0.35, 0.8, count)[:, :, 0, 0]
    offset = (2 * torch.rand(count, 2) - 1) * (1 - scale)
    soft = F.avg_pool2d(F.pad(pixels, (0, 1, 0, 1), mode="replicate"), 2, 1)  # against aliasing
    small, grid = placed(soft, (1 / scale).expand(-1, 2), -offset / scale, size, "border")
    ellipse, rectangle = grid.square().sum(3) <= 1, grid.abs().amax(3) <= 1
    shape = torch.where(chosen(0.6, count)[:, 0], ellipse, rectangle)[:, None]
    return torch.where(chosen(share, count), torch.where(shape, small, ground), pixels)


def hidden(pixels: Tensor, share: float) -> Tensor:
    """That share of the views behind a soft random grid, of 35 to 90 % visible cells, filled with the mean colour."""
    count, size, cells = len(pixels), pixels.shape[-1], int(torch.randint(CELLS[0], CELLS[1] + 1, ()))
    grid = (torch.rand(count, 1, cells + 1, cells + 1) < between(0.35, 0.9, count)).float()
    step = size // cells + 1
    soft = F.interpolate(grid, ((cells + 1) * step,) * 2, mode="bilinear", align_corners=False)
    top, left = torch.randint(0, step, (2,)).tolist()
    mask = soft[:, :, top : top + size, left : left + size]
    return torch.where(chosen(share, count), pixels * mask + pixels.mean((2, 3), keepdim=True) * (1 - mask), pixels)


def view(pictures: Tensor, size: int) -> Tensor:
    """(N, 3, size, size) a view of each of a batch of pictures; grounds are enlarged parts of the next picture."""
    ground = recoloured(cropped(pictures.roll(1, 0), 0.03, 0.3, size))
    return hidden(blurred(pasted(recoloured(cropped(pictures, 0.25, 1.0, size)), ground, 0.4), 0.3), 0.5)
