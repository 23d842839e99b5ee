"""Encoders, heads and images small enough to know their answers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from encoders import Encoder


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


class Linear(nn.Module):
    """f(x) = W x, so that gradients, Shapley values and the like can be written down."""

    def __init__(self, shape: tuple[int, int, int], dim: int = 5, seed: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(drawn(dim, *shape, seed=seed) - 0.5)

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.einsum("dchw,nchw->nd", self.weight, pixels)

    def gradient_of_dot_to_itself(self, image: Tensor) -> Tensor:
        """(C, H, W): of <f(x), f(x')> at x' = x with f(x) held fixed, which is W^T W x."""
        embedding = torch.einsum("dchw,chw->d", self.weight.double(), image.double())
        return torch.einsum("d,dchw->chw", embedding, self.weight.double()).detach()


class Corner(nn.Module):
    """Sees one rectangle only: the mean of its pixels, and 1."""

    def __init__(self, rows: slice, columns: slice) -> None:
        super().__init__()
        self.where = (..., rows, columns)

    def forward(self, pixels: Tensor) -> Tensor:
        mean = pixels[self.where].mean((1, 2, 3))
        return torch.stack([mean, torch.ones_like(mean)], 1)


class SmallHead:
    """Three classes, softmax of W z."""

    classes = ("cat", "dog", "owl")

    def __init__(self, dim: int, seed: int = 3) -> None:
        self.weight = drawn(3, dim, seed=seed) * 4 - 2

    def logits(self, embeddings: Tensor) -> Tensor:
        return embeddings.float() @ self.weight.T.to(embeddings.device)

    def scores(self, embeddings: Tensor) -> Tensor:
        return self.logits(embeddings).softmax(1)

    def class_index(self, name_or_index: str | int) -> int:
        return self.classes.index(name_or_index) if isinstance(name_or_index, str) else name_or_index

    def check(self, encoder: Encoder) -> None:
        pass


def small_cnn(dim: int = 6) -> nn.Sequential:
    """ReLUs in place, one of them used twice, and a feature map of 4 x 4 for images of 16 x 16."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        relu = nn.ReLU(inplace=True)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            relu,
            nn.Conv2d(8, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8),
            relu,
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, dim),
        ).eval()


def bare(network: nn.Module, **settings: object) -> Encoder:
    """The network itself as an encoder, not a copy, so that a test can look at it afterwards."""
    return Encoder(network, device="cpu", **settings)  # type: ignore[arg-type]
