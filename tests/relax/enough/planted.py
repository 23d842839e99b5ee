"""Encoders whose answer is known cell by cell, for tests of sets of cells."""

import numpy as np
import torch
from torch import nn

from encoders import load
from relax.enough.cells import Cells
from relax.enough.game import Game
from relax.references import Question
from relax.scene import Scene
from relax.settings import Hiding

SIZE = 12


def picture(seed=0):
    """(1, 1, 12, 12) without zeros, which are what is hidden."""
    return torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) * 0.5 + 0.25


def looks_at(places, cells):
    """One number for each of these cells of a regular grid: whether it shows anything; and 0.1, whatever is shown.

    The cosine with K of n of them shown is sqrt((K + 0.01) / (n + 0.01)).
    """

    def embed(pixels):
        side = SIZE // cells
        parts = pixels[:, 0].unfold(1, side, side).unfold(2, side, side).flatten(1, 2).amax((2, 3))
        shows = (parts[:, list(places)] > 0).float()
        return torch.cat([shows, torch.full((len(shows), 1), 0.1)], 1)

    return load(embed, device="cpu")


class Tangle(nn.Module):
    """A small random network, in which a cell may hide what another shows."""

    def __init__(self, seed):
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        self.first = nn.Parameter(torch.randn(SIZE * SIZE, 16, generator=random) / 4)
        self.second = nn.Parameter(torch.randn(16, 6, generator=random))

    def forward(self, pixels):
        return torch.tanh(pixels.flatten(1) @ self.first) @ self.second


def game_of(network, cells=3, fills=(0.0,), image=None, limit=None):
    """The game of a picture before a network."""
    encoder = load(network, device="cpu")
    hiding = Hiding(cells=cells, fill=0.0)
    scene = Scene.of(picture() if image is None else image, encoder, hiding)
    game = Game.of(scene, Cells.of(scene, "grid", cells), Question.of("cosine", None, None, encoder), hiding, fills)
    game.limit = limit
    return game


def all_sets(count):
    """(2^n, n) bool."""
    return (np.arange(2**count)[:, None] >> np.arange(count)[None] & 1).astype(bool)
