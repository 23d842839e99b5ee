"""Which layers of a network to look at, so that the way of the picture through it stays readable.

A network is a tree of modules. Its stages are the parts at the top that do the work: the parts of a part that does
nearly all of it take its place. Layers without work of their own (normalisation, activation) belong to the single
convolution before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from encoders import Encoder, EncoderError
from encoders.errors import did_you_mean
from encoders.layouts import MAP, VECTOR, Layer
from relax.inside.tables import PLANS
from relax.text import names_of

NEARLY_ALL = 0.8  # share of the work of a part whose own parts take its place
MOST = {"auto": 16, "more": 48}  # layers; of more, some evenly spread are kept


@dataclass(frozen=True)
class Choice:
    """Layers in the order in which they run, and a sentence on those that were left out; "" where none were."""

    layers: list[Layer]
    left_out: str = ""


def choose(encoder: Encoder, layers: Sequence[Layer], wanted: str | Sequence[str]) -> Choice:
    """The layers to look at.

    Args:
        encoder: For messages.
        layers: All layers, in the order in which they end, as of `encoders.trace.layers`.
        wanted: A key of `PLANS`, or names of layers.

    Raises:
        ValueError: If it is neither.
        EncoderError: If there is no layer of a name, or it has no places.
    """
    if isinstance(wanted, str) and wanted in PLANS:
        return _planned(encoder, layers, wanted)
    names = names_of("layers", [part.strip() for part in wanted.split(",")] if isinstance(wanted, str) else wanted)
    by_name = {layer.name: layer for layer in layers}
    for name in names:
        if name not in by_name:
            hint = did_you_mean(name, by_name, "relax layers lists them")
            raise EncoderError(f"encoder {encoder.name!r} has no layer {name!r} with a map, tokens or a vector: {hint}")
        if by_name[name].layout != VECTOR and not by_name[name].spatial:
            shape = " x ".join(map(str, by_name[name].shape))
            raise EncoderError(
                f"layer {name!r} of encoder {encoder.name!r} gives {by_name[name].layout} {shape} whose places in the "
                "picture are not known: choose another layer"
            )
    return Choice([layer for layer in layers if layer.name in names])


def first_convolution(layers: Sequence[Layer]) -> Layer | None:
    """The first to run, which sees the pixels."""
    return next((layer for layer in layers if layer.kind.startswith("Conv") and layer.layout == MAP), None)


def _planned(encoder: Encoder, layers: Sequence[Layer], plan: str) -> Choice:
    placed = [layer for layer in layers if layer.name and layer.spatial and prod(layer.grid or ()) > 1]
    if not placed:
        raise EncoderError(
            f"encoder {encoder.name!r} has no layer with a feature map or tokens whose places are known: name layers "
            "to see vectors, as in layers=['fc1']"
        )
    first = first_convolution(placed)
    chosen = _stages(placed, sum(layer.operations for layer in _parts(placed, "")))
    if first is not None:  # without stages that do no more than it
        chosen = [
            first,
            *(stage for stage in chosen if (stage.operations, stage.grid) != (first.operations, first.grid)),
        ]
    if plan == "more":
        chosen = [part for stage in chosen for part in [*_stages(placed, stage.operations, stage.name), stage]]
    chosen = _once(layers, chosen)
    most = MOST[plan]
    if len(chosen) <= most:
        return Choice(chosen)
    places = sorted({round(place * (len(chosen) - 1) / (most - 1)) for place in range(most)})
    return Choice(
        [chosen[place] for place in places],
        f"{len(chosen) - len(places)} of {len(chosen)} layers, evenly spread over the depth; name them to see them",
    )


def _stages(placed: Sequence[Layer], work: int, inside: str = "") -> list[Layer]:
    """The working parts of the network, opened as long as one of them does nearly all of its work."""
    parts = _parts(placed, inside)
    stages: list[Layer] = []
    for part in _working(parts):
        within = _working(_parts(placed, part.name))
        opened = part.operations > NEARLY_ALL * work and len(within) > 1
        stages += _stages(placed, part.operations, part.name) if opened else [_with_followers(part, parts, placed)]
    return stages or list(parts[-1:])


def _parts(placed: Sequence[Layer], inside: str) -> list[Layer]:
    """The layers right inside one, or inside the network: those that are part of no other layer in it."""
    within = [layer for layer in placed if not inside or layer.name.startswith(f"{inside}.")]
    names = [layer.name for layer in within]
    return [layer for layer in within if not any(layer.name.startswith(f"{name}.") for name in names)]


def _working(parts: Sequence[Layer]) -> list[Layer]:
    return [part for part in parts if part.operations > 0]


def _with_followers(part: Layer, parts: Sequence[Layer], placed: Sequence[Layer]) -> Layer:
    """A single layer behind what follows it without work, as ReLU does a convolution; other parts as they are."""
    if _parts(placed, part.name):
        return part
    last = part
    for follower in parts[parts.index(part) + 1 :]:
        if follower.operations or follower.grid != part.grid or follower.channels != part.channels:
            break
        last = follower
    return last


def _once(layers: Sequence[Layer], chosen: Sequence[Layer]) -> list[Layer]:
    """Each of them once, in the order in which they end."""
    names = {layer.name for layer in chosen}
    return [layer for layer in layers if layer.name in names]
