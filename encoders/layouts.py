"""How the output of a layer lies: a feature map, tokens or a vector, on which grid of cells, behind which prefix.

Told by shapes, for one picture: (1, D, gh, gw) and (1, gh, gw, D) are maps, (1, T, D) are tokens, (1, D) is a vector;
volumes have maps (1, D, gd, gh, gw). Where the channels lie, the kind of a layer, the network (`layers.channels_last`)
or the picture's proportions tell. Tokens have the grid of the convolution before them, the patch embedding, which
merged patches halve; without one, the grid of square patches that covers the picture. What precedes the patches is the
prefix: class token, registers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from torch import Tensor, nn

from encoders.layers import channels_last

MAP, MAP_LAST, TOKENS, VECTOR = "map", "map with channels last", "tokens", "vector"
CLASS_TOKENS = ("cls_token", "class_token", "class_embedding")  # of timm and transformers, torchvision, open_clip
REORDERED = ("Hiera",)  # whose tokens are not in reading order
MERGING = "PatchMerging"  # in the names of layers that make one token of two by two


@dataclass(frozen=True)
class Layer:
    """A module of a network, with the layout of what it returned for one picture in its last call.

    Attributes:
        name: Its name in the network; "" is the network as a whole.
        kind: Name of its class.
        layout: "map", "map with channels last", "tokens" or "vector".
        shape: Of its output, without the batch axis.
        grid: (gh, gw) cells of the map or of the patch tokens, (gd, gh, gw) for volumes; None for a vector, and for
            tokens whose places are not known.
        prefix: Tokens before the patch tokens: class token, registers; 0 for all else.
        class_token: Whether the first of them is a class token.
        channels: D, numbers per cell, per token, or of the vector.
        parameters: Number of its weights, with those of the modules in it.
        operations: Multiply-adds of all its calls for one picture, with those of the modules in it: of products and
            convolutions, which are nearly all of the work.
        calls: How often it was called; what is said here is of the last time.
        entry: Which part of its answer the tensor is: None for all of it, "last_hidden_state" of transformers, or 0,
            the first of a tuple.
    """

    name: str
    kind: str
    layout: str
    shape: tuple[int, ...]
    grid: tuple[int, ...] | None
    prefix: int = 0
    class_token: bool = False
    channels: int = 0
    parameters: int = 0
    operations: int = 0
    calls: int = 1
    entry: str | int | None = None

    @property
    def spatial(self) -> bool:
        """Whether it has places: a map, or tokens whose places are known."""
        return self.grid is not None

    def feature_map(self, output: Tensor) -> Tensor:
        """The layer's output (B, ...), or its gradient, by its places.

        Returns:
            (B, D, gh, gw), without the prefix tokens, and (B, D, gd, gh, gw) for volumes: a copy, safe from layers that
            work in place.

        Raises:
            ValueError: If it has no places.
        """
        if self.grid is None:
            raise ValueError(f"layer {self.name!r} gives a {self.layout} {self.shape} without places")
        if self.layout == TOKENS:
            output = output[:, self.prefix :].mT.unflatten(2, self.grid)
        elif self.layout == MAP_LAST:
            output = output.movedim(-1, 1)
        return output.clone()


@dataclass(frozen=True)
class Call:
    """One call of a module.

    Attributes:
        name: The module's.
        module: The module.
        shape: Of the tensor that it returned, with the batch axis of one picture.
        entry: As `Layer.entry`.
        operations: Multiply-adds.
    """

    name: str
    module: nn.Module
    shape: tuple[int, ...]
    entry: str | int | None
    operations: int


@dataclass(frozen=True)
class Layout:
    """Layout, grid and prefix of one output, see `Layer`."""

    layout: str
    grid: tuple[int, ...] | None = None
    prefix: int = 0


class Recogniser:
    """Tells the layout of one call after the other, in the order in which they ended."""

    def __init__(self, network: nn.Module, size: Sequence[int]) -> None:
        """For a network, and the size (h, w) of its pictures in pixels, or (d, h, w) of its volumes."""
        self.network, self.size = network, tuple(size)
        named = [name.rpartition(".")[2] for name, _ in network.named_parameters()]
        self.has_class = any(name in CLASS_TOKENS for name in named)
        said = getattr(network, "num_prefix_tokens", None)
        self.prefix = said if isinstance(said, int) else None
        self.in_order = not any(type(part).__name__.startswith(REORDERED) for part in network.modules())
        self._patches: tuple[int, ...] | None = None  # the grid of the last convolution, or of merged patches
        self._tokens = 0  # how many there were last

    def layout(self, call: Call) -> Layout | None:
        """Of one call; None where it is no map, tokens or vector of one picture."""
        shape, axes = call.shape, len(self.size)
        if shape[:1] != (1,) or 0 in shape:
            return None
        if len(shape) == 2:
            return Layout(VECTOR)
        if len(shape) == 3:
            return self._of_tokens(call)
        if len(shape) != axes + 2 or self._is_attention(call):
            return None
        if axes == 2 and self._channels_last(call):
            return Layout(MAP_LAST, shape[1:-1])
        if isinstance(call.module, nn.Conv2d | nn.Conv3d):
            self._patches = shape[2:]
        return Layout(MAP, shape[2:])

    def _of_tokens(self, call: Call) -> Layout:
        count, merging = call.shape[1], MERGING in type(call.module).__name__
        if merging and self._patches is not None:
            self._patches = tuple(-(-side // 2) for side in self._patches)
        grid = self._patches or self._square_patches(count)
        prefix = -1 if grid is None else count - prod(grid)
        known = grid is not None and self.in_order and (0 <= prefix < prod(grid) or prefix == self.prefix)
        self._tokens = count
        return Layout(TOKENS, grid, prefix) if known else Layout(TOKENS)

    def _square_patches(self, count: int) -> tuple[int, ...] | None:
        """The grid of square patches that covers the picture, for networks whose patches no convolution makes."""
        patches = count - (int(self.has_class) if self.prefix is None else self.prefix)
        side = round((prod(self.size) / patches) ** (1 / len(self.size))) if patches > 0 else 0
        if side == 0 or any(length % side for length in self.size):
            return None
        grid = tuple(length // side for length in self.size)
        return grid if prod(grid) == patches else None

    def _is_attention(self, call: Call) -> bool:
        """Whether it is queries, keys or attention, (1, heads, T, ...), rather than a map."""
        rows, columns = call.shape[2:4]
        square = 0.8 <= rows * self.size[-1] / (columns * self.size[-2]) <= 1.25
        return rows == self._tokens and (columns == rows or not square) and not _over_places(call.module)

    def _channels_last(self, call: Call) -> bool:
        if _over_places(call.module):
            return False
        if type(call.module) in (nn.Linear, nn.LayerNorm):
            return True
        return bool(channels_last(self.network, call.shape, self.size))


def _over_places(module: nn.Module) -> bool:
    """Whether it is a layer of torch that takes maps with the channels first, and gives such."""
    kind = type(module)
    names = ("conv", "batchnorm", "pooling", "instancenorm", "upsampling", "pixelshuffle")
    return kind.__module__.rpartition(".")[2] in names and kind.__module__.startswith("torch.nn.modules")
