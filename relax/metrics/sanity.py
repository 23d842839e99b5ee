"""Does the map depend on what it claims to explain: on the network's weights, and on the reference?

A map that looks the same for a network that has learnt nothing is a picture of the picture. Both tests correlate the
ranks of two maps: lower is better, and 1 means the map does not depend on it at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from encoders import Encoder
from encoders.encoder import copied
from relax.metrics.maps import Map, known_in_both, spearman

STAGES = 3
STREAM = 7  # of the seed's random numbers
Other = TypeVar("Other")


@dataclass(frozen=True)
class Stage:
    """One stage of the cascade.

    Attributes:
        layer: The lowest layer that is random by now, with all above it.
        share: Share of the layers that are random.
        correlation: Of the map's ranks with those for the trained network; NaN where a map is constant.
    """

    layer: str
    share: float
    correlation: float


def encoder_randomisation(
    explain: Callable[[Encoder], Map], encoder: Encoder, importance: Map, *, stages: int = STAGES, seed: int = 0
) -> list[Stage]:
    """Make the layers random from the top down, and see how long the map stays the same.

    Args:
        explain: From an encoder to the map (H, W) of the same picture; called once per stage.
        encoder: The trained one; a copy of it is made random.
        importance: (H, W), its map.
        stages: After how many layers to look, evenly spaced; the last one has made every layer random.
        seed: What the weights are drawn from.

    Raises:
        ValueError: If the encoder is a function, or has no weights.

    Source: Sanity Checks for Saliency Maps (Adebayo et al., NeurIPS 2018), cascading randomisation.
    """
    found = []
    for layer, share, changed in randomised(encoder, stages=stages, seed=seed):
        pair = known_in_both(importance, explain(changed))
        found.append(Stage(layer, share, spearman(*pair)))
    return found


def target_randomisation(explain: Callable[[Other], Map], importance: Map, others: Sequence[Other]) -> float:
    """Mean rank correlation of a map with those for other references, in [-1, 1].

    Args:
        explain: From another reference (in whatever form) to the map (H, W) of the same picture.
        importance: (H, W) the map for the own reference.
        others: Other references, drawn at random from what could have been asked.

    Source: as the random logit test (Sixt, Granz & Landgraf, ICML 2020), with references instead of classes.
    """
    if not others:
        raise ValueError("others must hold one or more other references; got none")
    return float(np.mean([spearman(*known_in_both(importance, explain(other))) for other in others]))


def randomised(encoder: Encoder, *, stages: int = STAGES, seed: int = 0) -> Iterator[tuple[str, float, Encoder]]:
    """Copies of an encoder with ever more layers random, from the top (the last one registered) down.

    Layers are drawn as they draw themselves when they are made (`reset_parameters`); weights without such a layer,
    such as a class token, from a normal distribution with their own mean and spread. The global random state is left
    alone.

    Yields:
        The lowest random layer's name, the share of random layers, and the encoder, good until the next is asked for.
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
        own = int(np.random.SeedSequence((STREAM, seed, first)).generate_state(1)[0])
        torch.default_generator.manual_seed(own)
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
