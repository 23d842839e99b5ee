"""An encoder seen from inside: its embedding is what one of its layers returns, or one token or cell of that.

at_layer(encoder, "layer3")                     the mean of the map's cells
at_layer(encoder, "blocks.5")                   the class token after block 5, or the mean of the patches without one
at_layer(encoder, "blocks.5", token=(3, 7))     the patch in row 3, column 7, both from 0
at_layer(encoder, token="class")                the class token where it is last there

Nothing behind the layer is computed. The network is shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, cast

from torch import Tensor, nn

from encoders.choices import CLASS
from encoders.encoder import Encoder
from encoders.errors import EncoderError
from encoders.layouts import MAP_LAST, TOKENS, VECTOR, Layer
from encoders.outputs import Part, tensor_in
from encoders.trace import layers, module_of, modules_of

Token = str | Sequence[int] | None
"""None, "class", or row and column (plane, row and column of a volume) of a cell or patch, from 0."""


class Inner(Part):
    """A network of which one layer's output is returned, as one vector per picture.

    Attributes:
        network: The network.
        layer: The layer.
        token: Which of its cells or tokens; None is all of them, pooled.
        pooling: "auto", "cls" or "mean", as of encoders.
        name: The encoder's name, for messages.
    """

    def __init__(self, network: nn.Module, layer: Layer, token: Token, pooling: str, name: str) -> None:
        super().__init__()
        self.network = network
        self.layer = layer
        self.token = token
        self.pooling = pooling
        self.name = name

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (B, C, h, w) to (B, D)."""
        if self.layer.name == "":
            return self._vector(self.network(pixels))
        module = modules_of(self.network)[self.layer.name]
        answers: list[Tensor] = []

        def keep(_: nn.Module, __: Any, answer: Any) -> None:
            answers.append(self._vector(answer))
            if len(answers) == self.layer.calls:
                raise _Reached

        handle = module.register_forward_hook(keep)
        try:
            self.network(pixels)
        except _Reached:
            pass
        finally:
            handle.remove()
        if not answers:
            raise EncoderError(f"layer {self.layer.name!r} of encoder {self.name!r} did not run for this picture")
        return answers[-1]

    def is_at(self, name: str | None, token: Token) -> bool:
        """Whether `at_layer` of this name and token gives it; without a name, it has a layer of its own choice."""
        own, asked = (tuple(place) if isinstance(place, list | tuple) else place for place in (self.token, token))
        return name in (None, self.layer.name) and own == asked

    def record(self) -> dict[str, Any]:
        """Layer and token, as JSON types."""
        return {"layer": self.layer.name, "token": self.token if isinstance(self.token, str | None) else [*self.token]}

    def _vector(self, answer: object) -> Tensor:
        """(B, D), a copy, as what follows may work in place."""
        output = tensor_in(answer)[0]
        if output is None:
            raise EncoderError(f"layer {self.layer.name!r} of encoder {self.name!r} returned no tensor")
        return (self._pooled(output) if self.token is None else self._at_token(output)).clone()

    def _pooled(self, output: Tensor) -> Tensor:
        layer = self.layer
        if layer.layout == VECTOR:
            return output
        if layer.layout == TOKENS:
            classed = layer.class_token and self.pooling != "mean"
            return output[:, 0] if classed else output[:, layer.prefix :].mean(1)
        return output.mean((1, 2)) if layer.layout == MAP_LAST else output.flatten(2).mean(2)

    def _at_token(self, output: Tensor) -> Tensor:
        """The token or cell; grids of tokens are known for the size of the encoder only."""
        layer = self.layer
        if layer.layout == TOKENS:
            if self.token == CLASS:
                return output[:, 0]
            if tuple(output.shape[1:]) != layer.shape:
                raise EncoderError(
                    f"token {self.token} is of layer {layer.name!r} with {layer.shape[0]} tokens, and this picture has "
                    f"{output.shape[1]}: load encoder {self.name!r} with a size"
                )
            return output[:, layer.prefix + _place(cast(Sequence[int], self.token), layer.grid or ())]
        cells = output.movedim(-1, 1) if layer.layout == MAP_LAST else output
        where = tuple(cast(Sequence[int], self.token))
        if any(place >= side for place, side in zip(where, cells.shape[2:], strict=True)):
            raise EncoderError(_outside(where, tuple(cells.shape[2:]), layer.name, self.name))
        return cells.flatten(2)[:, :, _place(where, cells.shape[2:])]


def at_layer(encoder: Encoder, name: str | None = None, token: Token = None) -> Encoder:
    """The encoder whose embedding is a layer's output; its name, size and preprocessing stay.

    Args:
        encoder: The encoder, which may be at a layer already; a forward pass tells its layers.
        name: Of the layer, as in `encoders.trace.layers`; "" is the network as a whole, None the last layer that has
            such a token, or "" without one.
        token: One of its tokens or cells; None pools them: the class token, where there is one and the encoder's
            pooling is not "mean", else the mean of the cells or patches.

    Raises:
        EncoderError: If torch sees no layers in the encoder, or there is no such layer or token.
    """
    if token is None and name in (None, ""):
        return encoder
    if isinstance(encoder.network, Inner):
        if encoder.network.is_at(name, token):
            return encoder
        encoder = encoder.with_network(encoder.network.network)
    all_layers = layers(encoder)
    layer = _last_with(encoder, all_layers, token) if name is None else _named(encoder, all_layers, name)
    _check_token(encoder, layer, token)
    other = encoder.with_network(Inner(cast(nn.Module, encoder.network), layer, token, encoder.pooling, encoder.name))
    other.others = tuple(at_layer(further, layer.name, token) for further in encoder.others)
    return other


def whole(network: object) -> object:
    """The network without the choice of a layer."""
    return network.network if isinstance(network, Inner) else network


class _Reached(Exception):
    """The layer has returned its output; not an error."""


def _named(encoder: Encoder, candidates: list[Layer], name: str) -> Layer:
    module_of(encoder, name)  # refuses names of nothing
    layer = next((layer for layer in candidates if layer.name == name), None)
    if layer is None:
        raise EncoderError(
            f"layer {name!r} of encoder {encoder.name!r} gives no map, tokens or vector of a picture: "
            "`relax layers` lists those that do"
        )
    return layer


def _last_with(encoder: Encoder, candidates: list[Layer], token: Token) -> Layer:
    """The last layer that has such a token."""
    for layer in reversed(candidates):
        if layer.class_token if token == CLASS else prod(layer.grid or ()) > 1:
            return layer
    kind = "a class token" if token == CLASS else "places"
    raise EncoderError(f"token: no layer of encoder {encoder.name!r} has {kind}: `relax layers` lists what they give")


def _check_token(encoder: Encoder, layer: Layer, token: Token) -> None:
    if token is None:
        if layer.layout == TOKENS and encoder.pooling == "cls" and not layer.class_token:
            raise EncoderError(f'layer {layer.name!r} of encoder {encoder.name!r} has no class token: pooling="mean"')
        return
    if token == CLASS:
        if not layer.class_token:
            raise EncoderError(f"token: layer {layer.name!r} of encoder {encoder.name!r} has no class token")
        return
    where = tuple(cast(Sequence[int], token))
    if layer.grid is None:
        raise EncoderError(
            f"token: layer {layer.name!r} of encoder {encoder.name!r} gives a {layer.layout} {layer.shape} without "
            "places: `relax layers` lists those that have them"
        )
    if len(where) != len(layer.grid) or (
        encoder.preprocess.shape is not None and any(a >= b for a, b in zip(where, layer.grid, strict=True))
    ):
        raise EncoderError(_outside(where, layer.grid, layer.name, encoder.name))


def _outside(where: tuple[int, ...], grid: tuple[int, ...], name: str, encoder: str) -> str:
    sides = " x ".join(map(str, grid))
    last = ", ".join(str(side - 1) for side in grid)
    return (
        f"token must be a place in the {sides} cells of layer {name!r} of encoder {encoder!r}, from 0 to ({last}); "
        f"got {where}"
    )


def _place(where: Sequence[int], grid: Sequence[int]) -> int:
    """The number of a cell in reading order."""
    place = 0
    for index, side in zip(where, grid, strict=True):
        place = place * side + index
    return place
