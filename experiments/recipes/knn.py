"""k-NN accuracy of an embedding: are the nearest neighbours of a test image of its class?

Weighted vote of the k nearest training embeddings by cosine similarity, temperature 0.1
(Wu et al., CVPR 2018), as lightly implements it. Labels are used here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from lightly.utils.benchmarking import knn_predict
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from experiments.data.datasets import caltech101
from experiments.recipes.training import Row

Labelled = tuple[np.ndarray | list[np.ndarray], np.ndarray]
"""Images (N, H, W, 3) uint8, or a list of them where their sizes differ, and class numbers (N,)."""


@torch.inference_mode()
def embed(encoder: Callable[[Tensor], Tensor], images: np.ndarray | list[np.ndarray], batch_size: int = 500) -> Tensor:
    """(N, D) unit vectors of (N, H, W, 3) uint8 images, in batches; of a list, whose sizes may differ, one by one."""
    if isinstance(images, list):
        return torch.cat([embed(encoder, image[None]) for image in images])
    batches = torch.from_numpy(images).permute(0, 3, 1, 2).split(batch_size)
    return torch.cat([F.normalize(encoder(batch.float() / 255).cpu(), dim=1) for batch in batches])


def knn_accuracy(
    encoder: Callable[[Tensor], Tensor],
    bank: Labelled,
    test: Labelled,
    k: int = 20,
) -> float:
    """Share of test images in [0, 1] whose class the k nearest bank images vote for."""
    return float(recognised(encoder, bank, test, k).mean())


def recognised(encoder: Callable[[Tensor], Tensor], bank: Labelled, test: Labelled, k: int) -> NDArray[np.bool_]:
    """(N,) for each test image whether the k nearest bank images vote for its class."""
    features, labels = embed(encoder, bank[0]), torch.from_numpy(bank[1])
    votes = [
        knn_predict(part, features.T, labels, num_classes=int(labels.max()) + 1, knn_k=k, knn_t=0.1)[:, 0]
        for part in embed(encoder, test[0]).split(1000)  # all at once would fill the memory with similarities
    ]
    return torch.cat(votes).numpy() == test[1]


def subset(split: Labelled, count: int, rng: np.random.Generator | None = None) -> Labelled:
    """`count` of the images with their labels, drawn without replacement; by default always the same ones."""
    rng = np.random.default_rng(0) if rng is None else rng
    chosen = rng.permutation(len(split[0]))[:count]
    return split[0][chosen], split[1][chosen]


def caltech_splits(data: Path) -> tuple[Labelled, Labelled]:
    """The pictures of Caltech 101 that are trained on, with class -1 for its background, and the held-out fifth."""
    return caltech101(data, "train")[:2], caltech101(data, "test")[:2]


def caltech_knn(encoder: Callable[[Tensor], Tensor], splits: tuple[Labelled, Labelled], k: int = 10) -> Row:
    """Share of the held-out pictures whose class the k nearest others vote for: of all, and averaged over classes."""
    (pictures, classes), test = splits
    named = [picture for picture, label in zip(pictures, classes, strict=True) if label >= 0]
    right, labels = recognised(encoder, (named, classes[classes >= 0]), test, k), test[1]
    by_class = np.mean([right[labels == label].mean() for label in np.unique(labels)])
    return {"caltech": round(float(right.mean()), 4), "caltech_by_class": round(float(by_class), 4)}
