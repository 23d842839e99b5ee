"""k-NN accuracy of an embedding: are the nearest neighbours of a test image of its class?

Weighted vote of the k nearest training embeddings by cosine similarity, temperature 0.1
(Wu et al., CVPR 2018), as lightly implements it. Labels are used here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from lightly.utils.benchmarking import knn_predict
from torch import Tensor
from torch.nn import functional as F

Labelled = tuple[np.ndarray, np.ndarray]
"""Images (N, H, W, 3) uint8 and class numbers (N,)."""


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
    features, labels = embed(encoder, bank[0]), torch.from_numpy(bank[1])
    correct = 0
    for images, truth in zip(np.array_split(test[0], 10), np.array_split(test[1], 10), strict=True):
        votes = knn_predict(embed(encoder, images), features.T, labels, num_classes=10, knn_k=k, knn_t=0.1)
        correct += int((votes[:, 0] == torch.from_numpy(truth)).sum())
    return correct / len(test[0])


def subset(split: Labelled, count: int, rng: np.random.Generator | None = None) -> Labelled:
    """`count` of the images with their labels, drawn without replacement; by default always the same ones."""
    rng = np.random.default_rng(0) if rng is None else rng
    chosen = rng.permutation(len(split[0]))[:count]
    return split[0][chosen], split[1][chosen]
