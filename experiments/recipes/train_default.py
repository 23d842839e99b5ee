"""Train the bundled default encoder: SimCLR on CIFAR-10 and 900 photographs, no labels.

    python -m experiments.recipes.train_default --data DATA --out runs/default

A half-width ResNet-18-D (timm) learns with lightly's SimCLR transform, projection head and NT-Xent
loss on 48 px crops; it is used at 64 px, since random crops make training objects look larger than
test objects (Touvron et al., "Fixing the train-test resolution discrepancy", NeurIPS 2019).
Every epoch is written to OUT/last.pt, so a stopped run continues after its last whole epoch.

Source of the method: SimCLR (Chen et al., ICML 2020).
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import timm
import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from lightly.transforms import SimCLRTransform
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from encoders import Encoder, Preprocess
from experiments.data.datasets import cifar10, photographs
from experiments.options import Options
from experiments.recipes.knn import Labelled, knn_accuracy, subset
from experiments.recipes.training import Checkpoint, Log, Row, descend, learning_rate, write_weights
from relax.files import written_aside

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ARCH = "resnet18d"
ARCH_ARGS = {"channels": (32, 64, 128, 256), "stem_width": 16}
TRAIN_SIZE, SIZE = 48, 64
PREPROCESS = Preprocess(size=(SIZE, SIZE), mean=MEAN, std=STD)


class TwoViews(Dataset[tuple[Tensor, Tensor]]):
    """Two random views of every CIFAR-10 image, and of every photograph `repeat` times an epoch."""

    def __init__(self, small: np.ndarray, photos: list[np.ndarray], repeat: int) -> None:
        self.small, self.photos, self.repeat = small, photos, repeat
        # CIFAR images have no detail to blur and little context to crop away.
        self.small_view = SimCLRTransform(input_size=TRAIN_SIZE, cj_strength=0.5, gaussian_blur=0.0, min_scale=0.2)
        self.photo_view = SimCLRTransform(input_size=TRAIN_SIZE, cj_strength=0.5, gaussian_blur=0.3)

    def __len__(self) -> int:
        return len(self.small) + self.repeat * len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index < len(self.small):
            first, second = self.small_view(Image.fromarray(self.small[index]))
        else:
            photo = self.photos[(index - len(self.small)) % len(self.photos)]
            first, second = self.photo_view(Image.fromarray(photo))
        return first, second


def backbone() -> nn.Module:
    """The network with random weights and without a classification head."""
    return timm.create_model(ARCH, pretrained=False, num_classes=0, **ARCH_ARGS)


def evaluate(network: nn.Module, bank: Labelled, test: Labelled) -> float:
    """k-NN accuracy of a copy of the network, as the package will use it."""
    return knn_accuracy(Encoder(copy.deepcopy(network), preprocess=PREPROCESS), bank, test)


class Batches(Protocol):
    """Two views of every picture, (B, 3, H, W) each, drawn anew whenever they are gone through."""

    def __len__(self) -> int:
        """How many batches that is."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches."""


def contrast(network: nn.Module, batches: Batches, args: argparse.Namespace, score: Callable[[], Row] = dict) -> Log:
    """Train a network, in place, to tell pictures apart (SimCLR); every epoch is kept in OUT/last.pt.

    Args:
        network: From pixels to 256 numbers, on the device that it is trained on.
        batches: An epoch.
        args: The options of the recipe: out, epochs, warmup, lr, weight_decay, temperature, seed.
        score: What is added to the log after every fifth epoch and the last, by name.

    Returns:
        A row per epoch, those of an earlier run included.

    Raises:
        FloatingPointError: If the loss is no number any more.
    """
    device = next(network.parameters()).device
    head = SimCLRProjectionHead(256, 512, 128).to(device)
    loss_of = NTXentLoss(temperature=args.temperature)
    parameters = [*network.parameters(), *head.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=args.lr, momentum=0.9, weight_decay=args.weight_decay, nesterov=True)
    checkpoint = Checkpoint(args.out / "last.pt", {"network": network, "head": head, "optimizer": optimizer})
    log = checkpoint.resume()
    if not log:
        print(f"before: {score()}", flush=True)

    steps = len(batches)
    for epoch in range(len(log), args.epochs):
        # A resumed run goes through the pictures in the order it would have; new workers draw other views of them.
        torch.manual_seed(args.seed + epoch)
        start, total = time.time(), 0.0
        for number, (first, second) in enumerate(batches):
            pixels = torch.cat([first, second]).to(device, memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16):
                projected = head(network(pixels))
            loss = loss_of(*projected.float().chunk(2))
            rate = learning_rate(epoch * steps + number, args.epochs * steps, args.lr, args.warmup * steps)
            total += descend(optimizer, loss, rate)
        if not math.isfinite(total):
            raise FloatingPointError(f"the loss of epoch {epoch + 1} is not finite: try a lower --lr than {args.lr}")
        row = {"epoch": epoch + 1, "loss": round(total / steps, 4), "seconds": round(time.time() - start, 1)}
        if (epoch + 1) % 5 == 0 or epoch + 1 == args.epochs:
            row |= score()
        log.append(row)
        print(json.dumps(row), flush=True)
        checkpoint.keep(log)
    return log


def train(args: argparse.Namespace) -> None:
    """Train to OUT/default.safetensors and write its card, OUT/default.json."""
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bank, test = cifar10(args.data, "train"), cifar10(args.data, "test")
    views = TwoViews(bank[0], photographs(args.data), args.photo_repeat)
    network = backbone().to(device, memory_format=torch.channels_last)
    batches = DataLoader(
        views,
        args.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=args.workers,
        persistent_workers=args.workers > 0,
    )
    log = contrast(network, batches, args, lambda: {"knn_bank_10000": evaluate(network, subset(bank, 10_000), test)})

    torch.manual_seed(args.seed)
    untrained = evaluate(backbone().to(device), bank, test)
    trained = evaluate(network, bank, test)
    results = {
        "train_size": TRAIN_SIZE,
        "photographs": len(views.photos),
        "knn_cifar10_test": {"k": 20, "trained": trained, "random_weights": untrained},
    }
    write_card(network, SIZE, args, log, results)
    write_weights(network.state_dict(), args.out / "default.safetensors")
    print(f"k-NN (k = 20, cosine): trained {trained:.4f}, random weights {untrained:.4f}")


def write_card(network: nn.Module, size: int, args: argparse.Namespace, log: Log, results: dict[str, Any]) -> None:
    """Write OUT/default.json: how to build and feed the network, where it comes from and how good it is."""
    device = next(network.parameters()).device
    card = {
        "checksum": Encoder(copy.deepcopy(network), device="cpu").checksum,
        "arch": ARCH,
        "arch_args": ARCH_ARGS,
        "input_size": size,
        "mean": MEAN,
        "std": STD,
        "interpolation": "bilinear",
        "recipe": settings_of(args),
        "seconds": round(sum(row["seconds"] for row in log)),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads",
        "versions": {"torch": torch.__version__, "timm": timm.__version__},
        **results,
        "log": log,
    }
    with written_aside(args.out / "default.json") as aside:
        aside.write_text(json.dumps(card, indent=1) + "\n")


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """The options but for where files lie, as JSON types."""
    kept = {name: value for name, value in vars(args).items() if name not in ("data", "out")}
    return {name: str(value) if isinstance(value, Path) else value for name, value in kept.items()}


def add_training(
    parser: Options, *, epochs: int, warmup: int, batch_size: int, lr: float, weight_decay: float, photo_repeat: int
) -> None:
    """The options of `contrast`, with these defaults."""
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint, weights and card")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--warmup", type=int, default=warmup, help="epochs in which the learning rate rises to --lr")
    parser.add_argument("--batch-size", type=int, default=batch_size, help="images; each gives two views")
    parser.add_argument("--lr", type=float, default=lr)
    parser.add_argument("--weight-decay", type=float, default=weight_decay)
    parser.add_argument("--temperature", type=float, default=0.2)
    parser.add_argument(
        "--photo-repeat", type=int, default=photo_repeat, help="times each ImageNet photograph is seen in an epoch"
    )
    parser.add_seed()


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("cifar10 and imagenet_sample")
    add_training(parser, epochs=30, warmup=1, batch_size=256, lr=0.12, weight_decay=5e-4, photo_repeat=6)
    parser.add_argument("--workers", type=int, default=2)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
