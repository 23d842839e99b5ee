"""A vision transformer small enough to train on a CPU, for measurements that need one with sensible weights.

    python -m experiments.small_vit --data DATA

Four blocks of width 96 on 4 px patches of 32 px images, trained on CIFAR-10 with labels, crops and flips. Its weights go to
runs/small_vit, its accuracy to results/small_vit.json; the embedding is the class token, as timm pools it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from encoders import Encoder, Preprocess
from experiments.datasets import cifar10
from experiments.record import write_results
from experiments.train_default import MEAN, STD, learning_rate

WEIGHTS = Path("runs/small_vit/weights.safetensors")
PREPROCESS = Preprocess(size=(32, 32), mean=MEAN, std=STD)


def network(classes: int = 0) -> nn.Module:
    vit: nn.Module = timm.create_model(
        "vit_tiny_patch16_224",
        pretrained=False,
        img_size=32,
        patch_size=4,
        embed_dim=96,
        depth=4,
        num_heads=3,
        num_classes=classes,
    )
    return vit


def load(path: Path = WEIGHTS) -> Encoder:
    """The trained transformer without its classifier."""
    vit = network()
    vit.load_state_dict({name: value for name, value in load_file(path).items() if not name.startswith("head.")})
    return Encoder(vit, name="small-vit", preprocess=PREPROCESS)


def varied(images: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 3, 32, 32), shifted by up to 4 px and mirrored half of the time."""
    down, right = torch.randint(0, 9, (2,), generator=generator).tolist()
    images = F.pad(images, (4, 4, 4, 4), mode="reflect")[..., down : down + 32, right : right + 32]
    mirror = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(mirror[:, None, None, None], images.flip(-1), images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    (pixels, classes), test = cifar10(args.data, "train"), cifar10(args.data, "test")
    images = PREPROCESS.normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
    labels = torch.from_numpy(classes)
    vit, batch, start = network(10), 128, time.perf_counter()
    optimizer = torch.optim.AdamW(vit.parameters(), lr=1e-3, weight_decay=0.05)
    steps = args.epochs * (len(images) // batch)
    for epoch in range(args.epochs):
        order = torch.randperm(len(images), generator=generator)
        for step, chosen in enumerate(order[: len(order) // batch * batch].split(batch)):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(epoch * (len(images) // batch) + step, steps, 1e-3, 200)
            loss = F.cross_entropy(vit(varied(images[chosen], generator)), labels[chosen], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(epoch + 1, f"{loss.item():.3f} {time.perf_counter() - start:.0f} s", flush=True)
    WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
    save_file(vit.state_dict(), WEIGHTS)
    vit.eval()
    pixels = PREPROCESS.normalise(torch.from_numpy(test[0]).permute(0, 3, 1, 2).float() / 255)
    with torch.inference_mode():
        found = torch.cat([vit(some).argmax(1) for some in pixels.split(500)])
    accuracy = round(float((found == torch.from_numpy(test[1])).double().mean()), 4)
    minutes = round((time.perf_counter() - start) / 60, 1)
    write_results("small_vit", [{"epochs": args.epochs, "accuracy": accuracy, "minutes": minutes}], {"seed": args.seed})
    print(accuracy)


if __name__ == "__main__":
    main()
