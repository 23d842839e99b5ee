"""SimCLR: two views of one picture shall embed alike, and unlike those of all other pictures of the batch.

Source: Chen et al., ICML 2020; projection head and NT-Xent loss are lightly's.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from torch import Tensor, nn

from experiments.recipes.training import Checkpoint, Log, descend, learning_rate


class Batches(Protocol):
    """Two views of every picture, (B, 3, H, W) each, drawn anew whenever they are gone through."""

    def __len__(self) -> int:
        """How many batches that is."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches."""


def contrast(network: nn.Module, batches: Batches, args: argparse.Namespace, start: Path | None = None) -> Log:
    """Train a network, in place, to tell pictures apart; every epoch is kept in OUT/last.pt.

    Args:
        network: From pixels to 256 numbers, on the device that it is trained on.
        batches: An epoch.
        args: The options of the recipe: out, epochs, warmup, lr, weight_decay, temperature, seed.
        start: The checkpoint of an earlier training whose network and projection head this one goes on from.

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
    if start is not None:
        Checkpoint(start, {"network": network, "head": head}).resume()
    checkpoint = Checkpoint(args.out / "last.pt", {"network": network, "head": head, "optimizer": optimizer})
    log = checkpoint.resume()
    steps = len(batches)
    for epoch in range(len(log), args.epochs):
        torch.manual_seed(args.seed + epoch)  # a resumed run draws what it would have drawn
        start, total = time.time(), 0.0
        for number, views in enumerate(batches):
            pixels = torch.cat(views).to(device, memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16):
                projected = head(network(pixels))
            loss = loss_of(*projected.float().chunk(2))
            rate = learning_rate(epoch * steps + number, args.epochs * steps, args.lr, args.warmup * steps)
            total += descend(optimizer, loss, rate)
        if not math.isfinite(total):
            raise FloatingPointError(f"the loss of epoch {epoch + 1} is not finite: try a lower --lr than {args.lr}")
        log.append({"epoch": epoch + 1, "loss": round(total / steps, 4), "seconds": round(time.time() - start, 1)})
        print(json.dumps(log[-1]), flush=True)
        checkpoint.keep(log)
    return log
