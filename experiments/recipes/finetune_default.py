"""Go on training the bundled encoder on pictures shown in part, so that its embedding is about things, not grounds.

    python -m experiments.recipes.finetune_default --data DATA --start runs/default --out runs/default-parts

What `experiments.recipes.train_default` left in START embeds an object on a texture much as the texture: the average
over cells is moved most by what fills the picture, and a masked picture is nothing that it ever saw. Here a view may
lie small on an enlarged part of another picture, as in the training of copy detectors (Pizzi et al., CVPR 2022), or
behind a soft mask, as in masked siamese networks (Assran et al., ECCV 2022); the loss is SimCLR's, and there are no
labels. The weights and their card, OUT/default.safetensors and OUT/default.json, are those that are bundled; every
epoch is written to OUT/last.pt, so a stopped run continues after its last whole epoch.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from experiments.data.datasets import caltech101, photographs
from experiments.options import Options
from experiments.recipes import parts
from experiments.recipes.simclr import contrast
from experiments.recipes.train_default import (
    MEAN,
    STD,
    TRAIN_SIZE,
    Views,
    add_training,
    backbone,
    card_of,
    run,
    squeezed,
    write_card,
)
from experiments.recipes.training import write_weights


def view(pixels: Tensor) -> Tensor:
    """(N, 3, 80, 80) a normalised view of each picture, shown in part."""
    return (parts.view(pixels, TRAIN_SIZE) - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def train(args: argparse.Namespace) -> None:
    """Train to OUT/default.safetensors and write the beginning of its card, OUT/default.json."""
    torch.manual_seed(args.seed)
    photos = squeezed(photographs(args.data)).repeat(args.photo_repeat, 1, 1, 1)
    pictures = torch.cat([squeezed(caltech101(args.data, "train")[0]), photos])
    network = backbone().to(memory_format=torch.channels_last)
    views = Views(pictures, torch.arange(len(pictures)), args.batch_size, view)
    log = contrast(network, views, args, start=args.start / "last.pt")
    write_weights(network.state_dict(), args.out / "default.safetensors")
    start = json.loads((args.start / "default.json").read_text())
    write_card(args.out, {**card_of(network, torch.device("cpu"), args, log), "start": start})


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("caltech101.zip, cifar10 and imagenet_sample")
    parser.add_argument(
        "--start", type=Path, required=True, help="where experiments.recipes.train_default left its files"
    )
    add_training(parser, epochs=18, warmup=1, batch_size=192, lr=0.06)
    parser.add_argument(
        "--photo-repeat", type=int, default=2, help="times an epoch shows a picture of the ImageNet sample"
    )
    run(parser, train, "finetune_default")


if __name__ == "__main__":
    main()
