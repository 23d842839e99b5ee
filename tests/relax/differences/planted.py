"""Made pictures of which the truth is known: textures in a hue, some with a mark; and encoders that are blind to it."""

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

SIDE, HUES = 24, 3
COLOURS = np.array([(0.7, 0.4, 0.4), (0.4, 0.7, 0.4), (0.4, 0.4, 0.7)])  # of equal sums: grey versions are alike
MARK = (slice(0, 8), slice(0, 8))  # rows and columns


def pictures(count, seed=0, marked=0.0):
    """(count, SIDE, SIDE, 3) uint8, textures in one of three hues; the hues; and which carry a mark at a corner."""
    random = np.random.default_rng(seed)
    hues = random.integers(HUES, size=count)
    clouds = np.kron(random.normal(0, 0.15, (count, 6, 6)), np.ones((1, 4, 4)))[..., None]
    pixels = COLOURS[hues][:, None, None] + clouds
    carries = random.random(count) < marked
    pixels[carries, MARK[0], MARK[1]] = (1.0, 1.0, 0.0)
    return (pixels.clip(0, 1) * 255).astype(np.uint8), hues, carries


def write(folder, pixels):
    """PNG files, named by their number."""
    folder.mkdir(parents=True)
    for number, each in enumerate(pixels):
        Image.fromarray(each).save(folder / f"{number:03}.png")
    return folder


class Projection(torch.nn.Module):
    """An encoder of 64 fixed random directions in 6 x 6 pixels; `sees` is what it does to the picture first."""

    def __init__(self, sees, seed=0, numbers=64):
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        self.sees = sees
        self.register_buffer("directions", torch.randn(108, numbers, generator=random))

    def forward(self, pixels):
        return (F.adaptive_avg_pool2d(self.sees(pixels), 6) - 0.5).flatten(1) @ self.directions


def colour(pixels):
    return pixels


def grey(pixels):
    return pixels.mean(1, keepdim=True).expand(-1, 3, -1, -1)


def without_mark(pixels):
    hidden = pixels.clone()
    hidden[:, :, MARK[0], MARK[1]] = 0.5
    return hidden
