"""Go on training the bundled encoder on real photographs: SimCLR at 96 px on Caltech 101 and two more, no labels.

    python -m experiments.recipes.train_photographs --data DATA --out runs/photographs

It starts from the weights of `experiments.recipes.train_default`, which saw objects of 32 px. An epoch is four fifths
of Caltech 101, the 900 photographs of the ImageNet sample `--photo-repeat` times, and some pictures of CIFAR-10, drawn
anew. The last fifth of Caltech 101 is never trained on: results/train_photographs.csv says how many have
neighbours of their class, before and after, beside the same figure for CIFAR-10. Every epoch is written to OUT/last.pt,
so a stopped run continues after its last whole epoch.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from lightly.transforms import SimCLRTransform
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import Dataset

from encoders import Encoder, Preprocess
from experiments.data.datasets import caltech101, cifar10, photographs
from experiments.options import Options
from experiments.recipes.knn import Labelled, knn_accuracy, recognised, subset
from experiments.recipes.train_default import MEAN, STD, add_training, backbone, contrast, settings_of
from experiments.recipes.training import Row, write_weights
from experiments.record import write_results

TRAIN_SIZE, SIZE = 96, 128
START = Path("encoders/default.safetensors")


class TwoViews(Dataset[tuple[Tensor, Tensor]]):
    """Two random views of every photograph, and of `count` small pictures."""

    def __init__(self, photos: list[np.ndarray], small: np.ndarray, count: int) -> None:
        self.photos, self.small, self.count = photos, small, count
        self.photo_view = SimCLRTransform(input_size=TRAIN_SIZE, cj_strength=0.5, gaussian_blur=0.3, min_scale=0.15)
        # CIFAR images have no detail to blur and little context to crop away.
        self.small_view = SimCLRTransform(input_size=TRAIN_SIZE, cj_strength=0.5, gaussian_blur=0.0, min_scale=0.3)

    def __len__(self) -> int:
        return len(self.photos) + self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index < len(self.photos):
            first, second = self.photo_view(Image.fromarray(self.photos[index]))
        else:
            drawn = int(torch.randint(len(self.small), ()))  # seeded by the epoch, in every worker
            first, second = self.small_view(Image.fromarray(self.small[drawn]))
        return first, second


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


def scores(
    network: nn.Module, size: int, photographs: tuple[Labelled, Labelled], small: tuple[Labelled, Labelled]
) -> Row:
    """k-NN accuracies of the network as an encoder that sees size x size px."""
    was_training = network.training
    preprocess = Preprocess(size=(size, size), mean=MEAN, std=STD)
    encoder = Encoder(network, preprocess=preprocess, device=next(network.parameters()).device)
    row = {**caltech_knn(encoder, photographs), "cifar10": round(knn_accuracy(encoder, *small), 4)}
    network.train(was_training).requires_grad_(True)
    return row


def train(args: argparse.Namespace) -> None:
    """Train to OUT/default.safetensors."""
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bank, test = cifar10(args.data, "train"), cifar10(args.data, "test")
    small = subset(bank, 10_000), subset(test, 2_000)
    splits = caltech_splits(args.data)
    photos = [*splits[0][0], *photographs(args.data) * args.photo_repeat]
    network = backbone()
    network.load_state_dict(load_file(args.start))
    network.to(device, memory_format=torch.channels_last)
    rows = [{"weights": "start", "size": 64, **scores(network, 64, splits, small)}]
    network.train()
    contrast(network, TwoViews(photos, bank[0], args.small), args, lambda: scores(network, SIZE, splits, small))
    rows += [{"weights": "trained", "size": size, **scores(network, size, splits, small)} for size in (96, 112, SIZE)]
    write_weights(network.state_dict(), args.out / "default.safetensors")
    write_results("train_photographs", rows, settings_of(args))


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("caltech101.zip, cifar10 and imagenet_sample")
    add_training(parser, epochs=50, photo_repeat=2, workers=1)
    parser.add_argument("--start", type=Path, default=START, help="weights to start from")
    parser.add_argument("--small", type=int, default=4000, help="pictures of CIFAR-10 in an epoch")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
