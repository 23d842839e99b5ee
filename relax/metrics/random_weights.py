"""Copies of an encoder whose layers are made random from the top down, as the cascade of the sanity checks needs them.

Source: Sanity Checks for Saliency Maps (Adebayo et al., NeurIPS 2018), cascading randomisation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from encoders import Encoder
from encoders.encoder import copied

STREAM = 7  # of the seed's random numbers


def randomised(encoder: Encoder, *, stages: int = 3, seed: int = 0) -> Iterator[tuple[str, float, Encoder]]:
    """Copies of an encoder with ever more layers random, from the top (the last one registered) down.

    Layers are drawn as they draw themselves when they are made (`reset_parameters`); weights without such a layer,
    such as a class token, from a normal distribution with their own mean and spread. The global random state is left
    alone.

    Args:
        encoder: One that is a module.
        stages: How many copies; the layers are divided evenly among them.
        seed: Draws the weights.

    Yields:
        The lowest random layer's name, the share of random layers, and the encoder, valid until the next is drawn.
    """
    if not isinstance(encoder.network, nn.Module):
        raise ValueError(
            f"encoder {encoder.name!r} is a function, whose weights cannot be made random: pass the module"
        )
    if stages < 1:
        raise ValueError(f"stages must be 1 or more; got {stages}")
    network = copied(encoder.network)
    layers = [
        (name, layer) for name, layer in network.named_modules() if any(True for _ in layer.parameters(recurse=False))
    ]
    if not layers:
        raise ValueError(f"encoder {encoder.name!r} has no weights to make random")
    layers.reverse()
    ends = np.unique(np.round(np.linspace(0, len(layers), min(stages, len(layers)) + 1)).astype(int))
    for start, stop in pairwise(ends):
        _make_random(network, [layer for _, layer in layers[start:stop]], seed, int(start))
        name, share = layers[stop - 1][0], float(stop / len(layers))
        yield (
            name,
            share,
            Encoder(
                network,
                name=f"{encoder.name}, random from {name or 'the bottom'} up",
                preprocess=encoder.preprocess,
                device=encoder.device,
                pooling=encoder.pooling,
                channels=encoder.channels,
            ),
        )


def _make_random(network: nn.Module, layers: Sequence[nn.Module], seed: int, first: int) -> None:
    network.cpu()  # drawn there, so that every device has the same weights and no other generator is touched
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.no_grad():
        layer_seed = int(np.random.SeedSequence((STREAM, seed, first)).generate_state(1)[0])
        torch.default_generator.manual_seed(layer_seed)
        for layer in layers:
            reset: Any = getattr(layer, "reset_parameters", None)
            if callable(reset):
                reset()
            else:
                for weights in layer.parameters(recurse=False):
                    weights.copy_(_like(weights))


def _like(weights: Tensor) -> Tensor:
    spread = float(weights.float().std(correction=0))
    return torch.randn(weights.shape) * spread + float(weights.float().mean())
