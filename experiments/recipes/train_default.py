"""Train the bundled encoder: SimCLR on Caltech 101, 900 photographs and CIFAR-10, no labels.

    python -m experiments.recipes.train_default --data DATA --out runs/default

A half-width ResNet-18-D (timm) starts from random weights. Every picture is squeezed to 128 x 128 px and held on the
device that trains, where kornia draws its views, of 80 px; the encoder then sees pictures of 96 px, as random crops
make objects look larger (Touvron et al., "Fixing the train-test resolution discrepancy", NeurIPS 2019). An epoch is
every training picture of Caltech 101 and of the ImageNet sample several times, and 12,000 of CIFAR-10. Every epoch is
written to OUT/last.pt, so a stopped run continues after its last whole epoch.

The last fifth of Caltech 101 is never trained on: OUT/default.json, the card, and results/train_default.csv say how
many of its pictures have neighbours of their class, at several sizes, beside the same figure for CIFAR-10, for random
weights and for those that are bundled now. Where the weights and their card are there already, they are only judged.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kornia.augmentation as K
import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

import relax
from encoders import Encoder, Preprocess
from experiments.data.datasets import caltech101, cifar10, photographs
from experiments.options import Options
from experiments.recipes.knn import caltech_knn, caltech_splits, knn_accuracy, subset
from experiments.recipes.simclr import contrast
from experiments.recipes.training import Log, write_weights
from experiments.record import write_results
from relax.files import written_aside

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ARCH = "resnet18d"
ARCH_ARGS = {"channels": (32, 64, 128, 256), "stem_width": 16}
STORED, TRAIN_SIZE, SIZE = 128, 80, 96
SIZES = (64, 80, SIZE, 112, 128)
PREPROCESS = Preprocess(size=(SIZE, SIZE), mean=MEAN, std=STD)
SMALL = 12_000  # pictures of CIFAR-10 that are trained on


class Views:
    """Batches of two random views, (B, 3, 80, 80) each and normalised, of all pictures in random order.

    Args:
        pictures: (N, 3, H, W) uint8, on the device that draws the views.
        epoch: (M,) the number of every picture as often as an epoch shows it.
        batch_size: B. What is left of an epoch after the last whole batch is not shown.
        view: From pixels in [0, 1] to a view of each; by default SimCLR's.
    """

    def __init__(
        self, pictures: Tensor, epoch: Tensor, batch_size: int, view: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        self.pictures, self.epoch, self.batch_size = pictures, epoch, batch_size
        self.view = view or K.AugmentationSequential(
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
    parts = [
        (squeezed(caltech101(args.data, "train")[0]), args.caltech_repeat),
        (squeezed(photographs(args.data)), args.photo_repeat),
        (squeezed(subset(cifar10(args.data, "train"), SMALL)[0]), args.small_repeat),
    ]
    pictures = torch.cat([part for part, _ in parts])
    times = torch.cat([torch.full((len(part),), repeat) for part, repeat in parts])
    return Views(pictures.to(device), torch.repeat_interleave(torch.arange(len(pictures)), times), args.batch_size)


def backbone() -> nn.Module:
    """The network with random weights and without a classification head."""
    return timm.create_model(ARCH, pretrained=False, num_classes=0, **ARCH_ARGS)


def train(args: argparse.Namespace) -> None:
    """Train to OUT/default.safetensors and write the beginning of its card, OUT/default.json."""
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = backbone().to(device, memory_format=torch.channels_last)
    log = contrast(network, views_of(args, device), args)
    write_weights(network.state_dict(), args.out / "default.safetensors")
    write_card(args.out, card_of(network.cpu(), device, args, log))


def card_of(network: nn.Module, device: torch.device, args: argparse.Namespace, log: Log) -> dict[str, Any]:
    """How to build and feed the network, and where it comes from."""
    return {
        "checksum": Encoder(network, device="cpu").checksum,
        "arch": ARCH,
        "arch_args": ARCH_ARGS,
        "input_size": SIZE,
        "mean": MEAN,
        "std": STD,
        "interpolation": "bilinear",
        "recipe": {
            name: value for name, value in vars(args).items() if name not in ("data", "start", "out", "weights_only")
        },
        "train_size": TRAIN_SIZE,
        "seconds": round(sum(row["seconds"] for row in log)),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads",
        "versions": {"torch": torch.__version__, "timm": timm.__version__},
        "log": log,
    }


def write_card(out: Path, card: dict[str, Any]) -> None:
    """Write OUT/default.json."""
    with written_aside(out / "default.json") as aside:
        aside.write_text(json.dumps(card, indent=1) + "\n")


def judge(args: argparse.Namespace, name: str) -> None:
    """Add to the card how many held-out pictures have neighbours of their class, and write it to results/NAME."""
    torch.manual_seed(args.seed)  # of the random weights
    network, card = backbone(), json.loads((args.out / "default.json").read_text())
    network.load_state_dict(load_file(args.out / "default.safetensors"))
    splits = caltech_splits(args.data)
    bank, test = subset(cifar10(args.data, "train"), 10_000), subset(cifar10(args.data, "test"), 2_000)
    candidates = [("bundled", relax.load_encoder("default")), ("random", encoder_at(backbone(), SIZE))]
    candidates += [("trained", encoder_at(network, size)) for size in SIZES]
    rows = []
    for weights, encoder in candidates:
        size = encoder.preprocess.size
        small = round(knn_accuracy(encoder, bank, test), 4)
        row = {"weights": weights, "size": size and size[0], **caltech_knn(encoder, splits), "cifar10": small}
        rows.append(row)
        print(json.dumps(row), flush=True)
    write_card(args.out, {**card, "nearest_neighbours": rows})
    write_results(name, rows, {"checksum": card["checksum"], "recipe": card["recipe"]})


def encoder_at(network: nn.Module, size: int) -> Encoder:
    """The network as an encoder that sees the whole picture at size x size px."""
    return Encoder(network, preprocess=Preprocess(size=(size, size), mean=MEAN, std=STD))


def add_training(parser: Options, *, epochs: int, warmup: int, batch_size: int, lr: float) -> None:
    """The options of `contrast`, with these defaults."""
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint, weights and card")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--warmup", type=int, default=warmup, help="epochs in which the learning rate rises to --lr")
    parser.add_argument("--batch-size", type=int, default=batch_size, help="pictures; each gives two views")
    parser.add_argument("--lr", type=float, default=lr)
    parser.add_argument("--weight-decay", type=float, default=1e-4)
    parser.add_argument("--temperature", type=float, default=0.2)
    parser.add_seed()


def run(parser: Options, train: Callable[[argparse.Namespace], None], name: str) -> None:
    """Train, where the weights and their card are not there yet, and judge, for results/NAME."""
    parser.add_argument(
        "--weights-only", action="store_true", help="do not judge them: for a machine without the held-out pictures"
    )
    args = parser.parse_args()
    if not (args.out / "default.json").exists():
        train(args)
    if not args.weights_only:
        judge(args, name)


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("caltech101.zip, cifar10 and imagenet_sample")
    add_training(parser, epochs=112, warmup=5, batch_size=1024, lr=0.5)
    parser.add_argument("--caltech-repeat", type=int, default=4, help="times an epoch shows a picture of Caltech 101")
    parser.add_argument("--photo-repeat", type=int, default=12, help="the same of the ImageNet sample")
    parser.add_argument("--small-repeat", type=int, default=1, help="the same of CIFAR-10")
    run(parser, train, "train_default")


if __name__ == "__main__":
    main()
