"""What is asked of an encoder: a unit, a direction, likeness to a picture or a class, as a number for each picture.

A unit is a channel of a layer's feature map, a dimension of its tokens, or, without a layer, a dimension of the
embedding. A direction is a sum of units, weighted by a vector of length 1. Where the layer has places, the value of a
picture is the mean over them, the largest, or that of one cell.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from encoders import Encoder, EncoderError, Head
from encoders.errors import did_you_mean
from encoders.trace import Layer, activations, layers
from encoders.values import described, is_whole, plain
from relax.directions import read_direction
from relax.text import one_of

Where: TypeAlias = str | tuple[int, int]
WHERE = ("mean", "max")
Direction: TypeAlias = Tensor | NDArray[Any] | Sequence[float] | str | os.PathLike[str]


@dataclass(frozen=True)
class Asked:
    """One number for each picture, and where it comes from.

    Attributes:
        name: Such as "layer4, channel 3".
        value: What the number is, in words.
        layer: The layer; None for the embedding.
        unit: Number of the channel or dimension; None for all else.
        direction: (D,) of length 1; None for all else.
        like: (D,) an embedding, of which the value is the cosine; None for all else.
        head: Of a class, of which the value is the logit; None for all else.
        target: Number of the class.
        where: "mean", "max", or (row, column) of one cell, of a layer with places.
    """

    name: str
    value: str
    layer: Layer | None = None
    unit: int | None = None
    direction: Tensor | None = field(default=None, repr=False)
    like: Tensor | None = field(default=None, repr=False)
    head: Head | None = field(default=None, repr=False)
    target: int = 0
    where: Where = "mean"

    @property
    def spatial(self) -> bool:
        """Whether it has places."""
        return self.layer is not None and self.layer.spatial

    def map(self, features: Tensor) -> Tensor:
        """(B, gh, gw), the value at each place, of features (B, D, gh, gw); (B, 1, 1) of vectors (B, D)."""
        features = features if features.ndim == 4 else features[..., None, None]
        if self.unit is not None:
            return features[:, self.unit]
        if self.direction is not None:
            return torch.einsum("bdhw,d->bhw", features, self.direction.to(features))
        vectors = features[..., 0, 0]
        if self.like is not None:
            scores = F.cosine_similarity(vectors, self.like.to(vectors)[None])
        else:
            assert self.head is not None  # noqa: S101  # one of the four is there
            scores = self.head.logits(vectors)[:, self.target]
        return scores[:, None, None]

    def of(self, features: Tensor) -> Tensor:
        """(B,) the value of each picture, of features as `features_of` gives them."""
        places = self.map(features)
        if self.where == "mean":
            return places.mean((1, 2))
        if self.where == "max":
            return places.amax((1, 2))
        return places[:, self.where[0], self.where[1]]  # type: ignore[index]

    def record(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "name": self.name,
            "layer": None if self.layer is None else self.layer.name,
            "unit": self.unit,
            "where": list(self.where) if isinstance(self.where, tuple) else self.where,
        }


def features_of(encoder: Encoder, layer: Layer | None, view: Tensor, *, gradients: bool = False) -> Tensor:
    """What a layer, or the encoder, makes of pictures: (B, D, gh, gw) where it has places, else (B, D), float32.

    Raises:
        EncoderError: If it has no gradients and they are asked for, or it fails.
    """
    if layer is None:
        features = encoder.embed_with_gradients(view) if gradients else encoder.embed(view)
    else:
        output = activations(encoder, view, [layer.name], gradients=gradients)[layer.name]
        features = (layer.feature_map(output) if layer.spatial else output).float()
    if gradients and not features.requires_grad:
        raise EncoderError(
            f"encoder {encoder.name!r} has no gradients, by which pictures are made"
            f"{f': it is {encoder.opaque}' if encoder.opaque else ''}; load the network in torch, or look at the "
            "pictures that excite a unit (relax.exciting_pictures), which needs none"
        )
    return features


def layer_named(encoder: Encoder, name: str | None) -> Layer | None:
    """The layer of this name, with places or a vector; None for the embedding.

    Raises:
        EncoderError: If torch sees no layers, or there is none of that name, or it gives neither.
        ValueError: If the name is no text.
    """
    if name is None:
        return None
    if not isinstance(name, str):
        raise ValueError(f"layer must be the name of a layer, as `relax layers` lists them; got {described(name)}")
    known = {layer.name: layer for layer in layers(encoder) if layer.spatial or len(layer.shape) == 1}
    if name not in known or (known[name].grid is not None and len(known[name].grid or ()) != 2):
        raise EncoderError(
            f"layer must be one that gives maps, patch tokens or a vector; encoder {encoder.name!r} has none "
            f"{name!r}: {did_you_mean(name, known, '`relax layers` lists them')}"
        )
    return known[name]


def units_of(encoder: Encoder, layer: Layer | None, view: Tensor) -> int:
    """How many units there are."""
    return int(encoder.embed(view).shape[1]) if layer is None else layer.channels


def asked_units(layer: Layer | None, units: Sequence[int], where: Where) -> list[Asked]:
    """One `Asked` for each unit."""
    kind, inside = kind_of(layer)
    words = value_in_words(layer, where)
    return [Asked(f"{inside}{kind} {unit}", words.format(kind), layer, unit=unit, where=where) for unit in units]


def asked_direction(layer: Layer | None, direction: Direction, size: int, where: Where) -> Asked:
    """The projection onto a direction, made to have length 1.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no finite vector of `size` numbers, or all are 0.
    """
    named = read_direction(np.asarray(direction) if isinstance(direction, list | tuple) else direction)
    if len(named.vector) != size:
        whose = "the embedding" if layer is None else f"layer {layer.name!r}"
        raise ValueError(f"direction must be {size} numbers, one for each unit of {whose}; got {len(named.vector)}")
    vector = named.vector.float()
    inside = kind_of(layer)[1]
    words = value_in_words(layer, where).format(f"projection onto {named.name}")
    return Asked(f"{inside}{named.name}", words, layer, direction=vector / vector.norm(), where=where)


def asked_likeness(embedding: Tensor, name: str) -> Asked:
    """The cosine to the embedding of a picture."""
    return Asked(f"embedding of {name}", f"cosine to the embedding of {name}", like=embedding)


def asked_class(head: Head, target: str | int) -> Asked:
    """The logit of a class.

    Raises:
        EncoderError: If there is no such class.
    """
    number = head.class_index(target)
    name = head.classes[number]
    return Asked(f"class {name}", f"logit of {name}", head=head, target=number)


def checked_units(units: object, count: int, layer: Layer | None) -> list[int]:
    """Numbers of units, each once.

    Raises:
        ValueError: If they are no whole numbers, or out of range.
    """
    single = plain(units)
    listed = [single] if is_whole(single, -(2**63)) else units
    whose = "the embedding" if layer is None else f"layer {layer.name!r}"
    try:
        numbers = [plain(unit) for unit in listed]  # type: ignore[attr-defined]
    except TypeError:
        numbers = [None]
    wrong = [unit for unit in numbers if not is_whole(unit) or unit >= count]
    if wrong or not numbers or isinstance(units, str | bytes):
        got = described(wrong[0]) if wrong and wrong[0] is not None else described(units)
        raise ValueError(f"unit must be a whole number from 0 to {count - 1} for {whose}, or a list of them; got {got}")
    return list(dict.fromkeys(numbers))


def checked_where(where: object, layer: Layer | None) -> Where:
    """A key of `WHERE`, or a cell of the layer.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(where, str):
        return one_of("where", where, WHERE)
    grid = None if layer is None else layer.grid
    cell = [plain(part) for part in where] if isinstance(where, tuple | list) else []
    if grid is None:
        raise ValueError(f'where must be "mean" where there are no places to choose from; got {described(where)}')
    if len(cell) != 2 or not all(is_whole(part) and part < side for part, side in zip(cell, grid, strict=True)):
        raise ValueError(
            f'where must be "mean", "max" or a cell (row, column) of {grid[0]} x {grid[1]}; got {described(where)}'
        )
    return cell[0], cell[1]


def kind_of(layer: Layer | None) -> tuple[str, str]:
    """What a unit of the layer is called, and the beginning of its name."""
    if layer is None:
        return "dimension", "embedding, "
    return "channel" if layer.layout.startswith("map") else "dimension", f"{layer.name or 'the network'}, "


def value_in_words(layer: Layer | None, where: Where) -> str:
    """What a value is, with {} for the unit."""
    if layer is None or not layer.spatial:
        return "{}"
    if isinstance(where, tuple):
        return f"{{}} at cell {where[0]}, {where[1]}"
    return {"mean": "mean of the {} over its cells", "max": "largest value of the {} over its cells"}[where]
