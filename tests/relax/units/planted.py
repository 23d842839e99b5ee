"""Networks whose units are known, and folders whose best pictures are."""

import numpy as np
import torch
from PIL import Image
from torch import nn

from encoders import Encoder, Preprocess

SIZE = 24
CORNER = (7, 12)  # row and column of the cell of `RedCorners` that sees the red corner in `corner.png`
HIGHEST = 4.0


class RedCorners(nn.Module):
    """Unit 3 of `see` answers to the upper left corner of something red: 4 at most, for pixels in [0, 1].

    A kernel of 3 x 3 px: red in its lower right 2 x 2 counts 1 each, green and blue there count -1 each, and so does
    red above and to the left of it. Units 0 to 2 are the colours themselves.
    """

    def __init__(self) -> None:
        super().__init__()
        self.see = nn.Conv2d(3, 4, 3, bias=False)
        with torch.no_grad():
            self.see.weight.zero_()
            for colour in range(3):
                self.see.weight[colour, colour, 1, 1] = 1
            self.see.weight[3, 0, 1:, 1:] = 1
            self.see.weight[3, 1:, 1:, 1:] = -1
            self.see.weight[3, 0, 0] = -1
            self.see.weight[3, 0, :, 0] = -1
        self.act = nn.ReLU()

    def forward(self, pixels):
        return self.act(self.see(pixels)).mean((2, 3)) + 0.01


def red_corners() -> Encoder:
    """It sees pictures of 24 px as they are."""
    return Encoder(RedCorners(), preprocess=Preprocess(size=(SIZE, SIZE)), device="cpu", channels=3)


def pictures(folder):
    """Five pictures, of which one has a red corner; its kernel begins at `CORNER`."""
    folder.mkdir(exist_ok=True)
    row, column = CORNER[0] + 1, CORNER[1] + 1
    arrays = {name: np.zeros((SIZE, SIZE, 3), np.uint8) for name in ("corner", "edge", "full", "green", "weak")}
    arrays["corner"][row:, column:, 0] = 255
    arrays["edge"][:, column:, 0] = 255
    arrays["full"][..., 0] = 255
    arrays["green"][row:, column:, 1] = 255
    arrays["weak"][row:, column:, 0] = 102
    for name, picture in arrays.items():
        Image.fromarray(picture).save(folder / f"{name}.png")
    return folder


class Linear(nn.Module):
    """Two dimensions that are weighted sums of normalised pixels."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.sums = nn.Linear(3 * 16 * 16, 2, bias=False)
        self.sums.weight.data = torch.randn(self.sums.weight.shape, generator=generator) * 0.1

    def forward(self, pixels):
        return self.sums(pixels.flatten(1))


class MeanColour(nn.Module):
    """The mean colour, three dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, pixels):
        return pixels.mean((2, 3)) * self.weight


def mean_colour() -> Encoder:
    return Encoder(MeanColour(), preprocess=Preprocess(size=(16, 16)), device="cpu", channels=3)
