"""Train the bundled encoder on real photographs: SimCLR on Caltech 101, 900 photographs and CIFAR-10, no labels.

    python -m experiments.recipes.train_photographs --data DATA --out runs/photographs

The network of `experiments.recipes.train_default` starts from random weights. Every picture is squeezed to 128 x 128 px
and held on the device that trains, where kornia draws its views, of 80 px; the encoder then sees larger pictures, as
random crops make objects look larger (Touvron et al., "Fixing the train-test resolution discrepancy", NeurIPS 2019). An
epoch is every training picture of Caltech 101 and of the ImageNet sample several times, and some of CIFAR-10, drawn
anew. Every epoch is written to OUT/last.pt, so a stopped run continues after its last whole epoch.

The last fifth of Caltech 101 is never trained on: results/train_photographs.csv says how many of it have neighbours of
their class, at several sizes, beside the same figure for CIFAR-10 and for the weights that are bundled today.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kornia.augmentation as K
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import relax
from encoders import Encoder, Preprocess
from experiments.data.datasets import caltech101, cifar10, photographs
from experiments.options import Options
from experiments.recipes.knn import Labelled, knn_accuracy, recognised, subset
from experiments.recipes.train_default import MEAN, STD, add_training, backbone, contrast, settings_of, write_card
from experiments.recipes.training import Row, write_weights
from experiments.record import write_results

STORED, TRAIN_SIZE = 128, 80
SIZES = (64, 80, 96, 112, 128)
SMALL = 12_000  # pictures of CIFAR-10 that are trained on


class Views:
    """Batches of two random views, (B, 3, 80, 80) each and normalised, of all pictures in random order.

    Args:
        pictures: (N, 3, H, W) uint8, on the device that draws the views.
        epoch: (M,) the number of every picture as often as an epoch shows it.
        batch_size: B. What is left of an epoch after the last whole batch is not shown.
    """

    def __init__(self, pictures: Tensor, epoch: Tensor, batch_size: int) -> None:
        self.pictures, self.epoch, self.batch_size = pictures, epoch, batch_size
        self.view = K.AugmentationSequential(
            K.RandomResizedCrop((TRAIN_SIZE, TRAIN_SIZE), scale=(0.2, 1.0), cropping_mode="resample"),
            K.RandomHorizontalFlip(),
            K.ColorJiggle(0.4, 0.4, 0.4, 0.1, p=0.8),
            K.RandomGrayscale(p=0.2),
            K.RandomGaussianBlur((7, 7), (0.1, 1.5), p=0.3),
            K.Normalize(torch.tensor(MEAN), torch.tensor(STD)),
        )

    def __len__(self) -> int:
        return len(self.epoch) // self.batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = self.epoch[torch.randperm(len(self.epoch))].to(self.pictures.device)
        for numbers in order.split(self.batch_size)[: len(self)]:
            pixels = self.pictures[numbers].float() / 255
            yield self.view(pixels), self.view(pixels)


def squeezed(pictures: list[np.ndarray] | np.ndarray) -> Tensor:
    """(N, 3, 128, 128) uint8 of pictures (H, W, 3)."""
    resized = [Image.fromarray(picture).resize((STORED, STORED), Image.Resampling.BICUBIC) for picture in pictures]
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in resized])).permute(0, 3, 1, 2)


def views_of(args: argparse.Namespace, device: torch.device) -> Views:
    """The views of an epoch."""
    kinds = {
        "caltech": (squeezed(caltech101(args.data, "train")[0]), args.caltech_repeat),
        "photographs": (squeezed(photographs(args.data)), args.photo_repeat),
        "small": (squeezed(subset(cifar10(args.data, "train"), SMALL)[0]), args.small_repeat),
    }
    pictures = torch.cat([part for part, _ in kinds.values()])
    times = torch.cat([torch.full((len(part),), repeat) for part, repeat in kinds.values()])
    return Views(pictures.to(device), torch.repeat_interleave(torch.arange(len(pictures)), times), args.batch_size)


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


def scores(encoder: Encoder, photographs: tuple[Labelled, Labelled], small: tuple[Labelled, Labelled]) -> Row:
    """k-NN accuracies on held-out pictures."""
    return {**caltech_knn(encoder, photographs), "cifar10": round(knn_accuracy(encoder, *small), 4)}


def train(args: argparse.Namespace) -> None:
    """Train to OUT/default.safetensors and, unless only the weights are wanted, judge them and write their card."""
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = backbone().to(device, memory_format=torch.channels_last)
    log = contrast(network, views_of(args, device), args)
    write_weights(network.state_dict(), args.out / "default.safetensors")
    if not args.weights_only:
        rows = judged(network, args)
        write_results("train_photographs", rows, settings_of(args))
        write_card(network, args.size, args, log, {"train_size": TRAIN_SIZE, "k_nearest_neighbours": rows})


def judged(network: nn.Module, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per size, and for the bundled encoder and random weights at the size of the card."""
    splits = caltech_splits(args.data)
    small = subset(cifar10(args.data, "train"), 10_000), subset(cifar10(args.data, "test"), 2_000)
    candidates = [("bundled", relax.load_encoder("default")), ("random", encoder_at(backbone(), args.size))]
    candidates += [("trained", encoder_at(copy.deepcopy(network), size)) for size in SIZES]
    rows = []
    for weights, encoder in candidates:
        size = encoder.preprocess.size
        rows.append({"weights": weights, "size": size[0] if size else None, **scores(encoder, splits, small)})
        print(rows[-1], flush=True)
    return rows


def encoder_at(network: nn.Module, size: int) -> Encoder:
    """The network as an encoder that sees the whole picture at size x size px."""
    return Encoder(network, preprocess=Preprocess(size=(size, size), mean=MEAN, std=STD))


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("caltech101.zip, cifar10 and imagenet_sample")
    add_training(parser, epochs=100, warmup=5, batch_size=1024, lr=0.5, weight_decay=1e-4, photo_repeat=12)
    parser.add_argument("--caltech-repeat", type=int, default=4, help="the same of each picture of Caltech 101")
    parser.add_argument("--small-repeat", type=int, default=1, help="the same of each picture of CIFAR-10")
    parser.add_argument("--size", type=int, default=96, help="px of the pictures that the encoder sees, for its card")
    parser.add_argument(
        "--weights-only", action="store_true", help="do not judge them: for a machine without the held-out pictures"
    )
    train(parser.parse_args())


if __name__ == "__main__":
    main()
