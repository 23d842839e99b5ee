"""Train a small vision transformer to embed as the bundled encoder does, for experiments on transformers.

    python -m experiments.recipes.train_vit --data DATA

Trained weights of a transformer cannot be fetched offline, and random ones say little about real maps. So a transformer
of 4 blocks, 128 wide, with 8 x 8 patches of 96 x 96 px learns the bundled encoder's embeddings, less their mean,
without labels, on flipped and shifted pictures of CIFAR-10 and crops of 900 photographs; the loss is 1 - cosine
(knowledge distillation, Hinton et al., 2015). OUT/weights.safetensors and results/train_vit.csv, .json are written;
every epoch is written to OUT/last.pt, so a stopped run continues after its last whole epoch.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

import relax
from encoders import Encoder
from encoders.seeds import drawn_from
from experiments.data.datasets import cifar10, photographs
from experiments.options import Options
from experiments.recipes.knn import knn_accuracy, subset
from experiments.recipes.train_default import PREPROCESS, SIZE
from experiments.recipes.training import Checkpoint, Log, descend, learning_rate, write_weights
from experiments.record import write_results

OUT = Path("runs/vit")
BATCH, PHOTOS = 128, 16  # views in a batch, and how many of them are of photographs
DIM = 256  # of the bundled encoder's embedding


def transformer() -> nn.Module:
    """The network, with weights drawn from a seed of its own."""
    with drawn_from(0):
        return VisionTransformer(SIZE, patch_size=8, embed_dim=128, depth=4, num_heads=4, num_classes=DIM)


def vit_encoder(out: Path = OUT) -> Encoder:
    """The transformer as trained to OUT.

    Raises:
        FileNotFoundError: If it has not been trained.
    """
    network = transformer()
    network.load_state_dict(load_file(out / "weights.safetensors"))
    return Encoder(network, name="vit", preprocess=PREPROCESS, device="cpu")


class Views:
    """Flipped and shifted pictures of CIFAR-10 beside crops of photographs, (N, 3, 96, 96) in [0, 1]."""

    def __init__(self, small: np.ndarray, photos: list[np.ndarray]) -> None:
        self.small = torch.from_numpy(small).permute(0, 3, 1, 2)
        self.photos = [torch.from_numpy(photo).permute(2, 0, 1) for photo in photos]

    def batch(self, numbers: Tensor, random: torch.Generator) -> Tensor:
        """Views of the pictures `numbers`, (N,), and of `PHOTOS` photographs drawn at random."""
        padded = F.pad(self.small[numbers].float() / 255, (4, 4, 4, 4), mode="reflect")
        down, right = torch.randint(0, 9, (2,), generator=random).tolist()
        batch = [_resized(padded[:, :, down : down + 32, right : right + 32])]
        for number in torch.randint(0, len(self.photos), (PHOTOS,), generator=random).tolist():
            photo = self.photos[number]
            shorter = min(photo.shape[1:])
            side = int(torch.randint(min(SIZE, shorter), shorter + 1, (1,), generator=random))
            top, left = (int(torch.randint(0, size - side + 1, (1,), generator=random)) for size in photo.shape[1:])
            batch.append(_resized(photo[None, :, top : top + side, left : left + side].float() / 255))
        views = torch.cat(batch)
        flipped = torch.rand(len(views), generator=random) < 0.5
        views[flipped] = views[flipped].flip(-1)
        return views


def _resized(pixels: Tensor) -> Tensor:
    return F.interpolate(pixels, (SIZE, SIZE), mode="bilinear", antialias=True)


def train(args: argparse.Namespace) -> Log:
    """Train to OUT/weights.safetensors; return loss and seconds of every epoch."""
    teacher, network = relax.load_encoder("default", "cpu"), transformer()
    bank, _ = cifar10(args.data, "train")
    views = Views(bank, photographs(args.data))
    normalise = PREPROCESS.normalise
    optimizer = torch.optim.AdamW(network.parameters(), args.lr, weight_decay=0.05)
    checkpoint = Checkpoint(args.out / "last.pt", {"network": network, "optimizer": optimizer})
    log = checkpoint.resume()
    with torch.inference_mode():
        random = torch.Generator().manual_seed(args.seed)
        mean = torch.cat(
            [teacher(views.batch(part, random)) for part in torch.arange(min(2000, len(bank))).split(BATCH)]
        ).mean(0)
    steps = len(bank) // (BATCH - PHOTOS)
    for epoch in range(len(log), args.epochs):
        random = torch.Generator().manual_seed(args.seed + 1 + epoch)
        start, total = time.perf_counter(), 0.0
        order = torch.randperm(len(bank), generator=random).split(BATCH - PHOTOS)[:steps]
        network.train()
        for number, numbers in enumerate(order):
            pixels = views.batch(numbers, random)
            with torch.inference_mode():
                target = teacher(pixels) - mean
            loss = 1 - F.cosine_similarity(network(normalise(pixels)), target.clone()).mean()
            rate = learning_rate(epoch * steps + number, args.epochs * steps, args.lr, steps // 2)
            total += descend(optimizer, loss, rate)
        seconds = round(time.perf_counter() - start, 1)
        log.append({"epoch": epoch + 1, "loss": round(total / steps, 4), "seconds": seconds})
        print(json.dumps(log[-1]), flush=True)
        checkpoint.keep(log)
    write_weights(network.state_dict(), args.out / "weights.safetensors")
    return log


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("cifar10 and imagenet_sample")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the checkpoint and the weights")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_seed()
    parser.add_argument("--bank", type=int, default=10_000, help="training pictures among which k-NN searches")
    args = parser.parse_args()
    log = train(args)
    bank, test = subset(cifar10(args.data, "train"), args.bank), cifar10(args.data, "test")
    encoders = {
        "random": Encoder(transformer(), preprocess=PREPROCESS, device="cpu"),
        "vit": vit_encoder(args.out),
        "default": relax.load_encoder("default", "cpu"),
    }
    rows = [{"encoder": name, "knn": round(knn_accuracy(encoder, bank, test), 4)} for name, encoder in encoders.items()]
    recipe = {name: getattr(args, name) for name in ("epochs", "lr", "seed", "bank")}
    write_results(
        "train_vit", rows, {**recipe, "knn_cifar10_test": rows, "checksum": encoders["vit"].checksum, "log": log}
    )


if __name__ == "__main__":
    main()
