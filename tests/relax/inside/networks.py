"""Networks made by hand, whose channels, attention and fields are known."""

import numpy as np
import torch
from torch import nn

import relax

SIDE = 24
CORNER = (6, 8)  # row and column of the upper left corner of the red square
RED, SEES_CORNERS = 0, 3


def square():
    """(SIDE, SIDE, 3) uint8: black, with a red and a green square."""
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    picture[6:14, 8:16, RED] = 255
    picture[15:22, 2:8, 1] = 255
    return picture


class Corners(nn.Module):
    """Four channels; number 3 is 1 where a red square has its upper left corner, and 0 elsewhere.

    There it sees [[0, 0, 0], [0, 1, 1], [0, 1, 1]] of red, weighs that by 1 where red should be and by -1 elsewhere,
    and gets 4 - 3 = 1. An edge gives 2 - 3, the inside -1 - 3, black -3; ReLU makes them 0. Channel 0 is the mean
    colour, channel 1 the red, channel 2 nothing.
    """

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.mix = nn.Conv2d(4, 5, 3, stride=2, padding=1)
        torch.manual_seed(0)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.bias.zero_()
            self.conv.weight[0, :, 1, 1] = 1 / 3
            self.conv.weight[1, RED, 1, 1] = 1
            self.conv.weight[SEES_CORNERS, RED] = -1
            self.conv.weight[SEES_CORNERS, RED, 1:, 1:] = 1
            self.conv.bias[SEES_CORNERS] = -3

    def forward(self, pixels):
        return self.mix(self.relu(self.conv(pixels))).mean((2, 3))


class OneChannel(nn.Module):
    """An embedding (1, largest value of channel 2), so that no other channel matters."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1, bias=False)
        torch.manual_seed(1)
        with torch.no_grad():
            self.conv.weight.normal_()

    def forward(self, pixels):
        largest = self.conv(pixels)[:, 2].amax((1, 2))
        return torch.stack([torch.ones_like(largest), largest], 1)


class _Attention(nn.Module):
    """Head 0 attends to the token TO alone, head 1 to itself alone."""

    TO = 7

    def __init__(self, tokens):
        super().__init__()
        self.attn_drop = nn.Identity()
        planted = torch.zeros(2, tokens, tokens)
        planted[0, :, self.TO] = 1
        planted[1] = torch.eye(tokens)
        self.register_buffer("planted", planted)

    def forward(self, values):
        shares = self.attn_drop(self.planted.expand(len(values), -1, -1, -1))
        return shares.mean(1) @ values


class _Block(nn.Module):
    def __init__(self, tokens):
        super().__init__()
        self.norm1 = nn.LayerNorm(6)
        self.attn = _Attention(tokens)
        self.mlp = nn.Linear(6, 6)

    def forward(self, tokens):
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(tokens)


class Planted(nn.Module):
    """A vision transformer of 3 x 3 patches of 8 px behind a class token, with planted attention."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.patch_embed = nn.Conv2d(3, 6, 8, stride=8)
        self.cls_token = nn.Parameter(torch.randn(1, 1, 6))
        self.blocks = nn.ModuleList([_Block(10), _Block(10)])

    def forward(self, pixels):
        tokens = self.patch_embed(pixels).flatten(2).mT
        tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], 1)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens[:, 0]


def loaded(network, **options):
    """The network as an encoder of pictures of SIDE px, which are not normalised."""
    return relax.load_encoder(network, size=SIDE, mean=0.0, std=1.0, device="cpu", **options)
