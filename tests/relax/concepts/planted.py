"""A network whose units are known, and pictures with what they detect: unit 3 sees red corners, unit 5 stripes."""

import numpy as np
import torch
from torch import nn

from encoders import Encoder
from encoders.preprocess import Preprocess

SIDE, CELL, UNITS = 48, 8, 8
CORNERS, STRIPES = 3, 5
CONCEPTS = ("red corner", "stripes")


class Planted(nn.Module):
    """A convolution over cells of 8 x 8 px; unit 3 answers to red ones, unit 5 to vertical stripes, unit 0 to nothing,
    unit 1 to brightness, and the others to noise.
    """

    def __init__(self):
        super().__init__()
        self.look = nn.Conv2d(3, UNITS, CELL, stride=CELL)
        self.relu = nn.ReLU()
        noise = torch.randn(UNITS, 3, CELL, CELL, generator=torch.Generator().manual_seed(4)) / 100
        with torch.no_grad():
            self.look.weight[:] = noise - noise.mean(2, keepdim=True)  # blind to plain colours and stripes
            self.look.bias[:] = 0
            self.look.weight[0] = 0
            self.look.weight[1] = 1 / 64
            self.look.weight[CORNERS] = torch.tensor([1.0, -1.0, -1.0])[:, None, None] / 64
            self.look.weight[STRIPES] = torch.tensor([1.0, -1.0]).repeat(4) / 64

    def forward(self, pixels):
        return self.relu(self.look(pixels)).mean((2, 3))


def planted_encoder(network=None):
    return Encoder(network or Planted(), name="planted", preprocess=Preprocess(size=(SIDE, SIDE)), channels=3)


def planted_pictures(count=24, seed=0):
    """(picture, masks) with a red cell in a corner, or a block of stripes on a free place; never both alike."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        pixels = rng.uniform(0.3, 0.7, (SIDE, SIDE, 3)).astype(np.float32)
        pixels = pixels.mean(2, keepdims=True).repeat(3, 2)
        masks = {name: np.zeros((SIDE, SIDE), bool) for name in CONCEPTS}
        if number % 2 == 0:
            top, left = rng.choice([0, SIDE - CELL], 2)
            pixels[top : top + CELL, left : left + CELL] = (1, 0, 0)
            masks["red corner"][top : top + CELL, left : left + CELL] = True
        if number % 3 != 1:
            top, left = rng.integers(1, 4, 2) * CELL
            pixels[top : top + 2 * CELL, left : left + 2 * CELL] = (
                0.5 + rng.uniform(0.3, 0.5) * np.tile([1.0, -1.0], CELL)[None, :, None]
            )
            masks["stripes"][top : top + 2 * CELL, left : left + 2 * CELL] = True
        rows.append((pixels, masks))
    return rows
