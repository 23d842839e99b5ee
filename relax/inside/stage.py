"""One layer of an encoder with a picture in it, and what explains its numbers: field, parts, attention, kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relax.inside.factors import Factors
from relax.inside.fields import Field
from relax.inside.tables import ORDERS
from relax.text import one_of

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Heads:
    """The attention in a block of a vision transformer.

    Attributes:
        weights: (heads, T, T) float16 in [0, 1]: the share of its attention that each token (second axis) gives to each
            token (third), prefix tokens first. Rows add up to 1.
    """

    weights: NDArray[np.float16]


@dataclass(frozen=True)
class Kernel:
    """The convolution that sees the pixels: what its cells are computed from.

    Value (o, i, j) is bias[o] plus the sum of weight[o] times the (C, kh, kw) values of the padded input that begin at
    (i * stride - padding, j * stride - padding), `dilation` apart.

    Attributes:
        weight: (O, C, kh, kw).
        bias: (O,), zeros where there is none.
        input: (C, H, W): the normalised view, as the convolution gets it.
        stride, padding, dilation: (rows, columns) each; padding before the first row and column.
    """

    weight: Floats
    bias: Floats
    input: Floats
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]

    def products(self, channel: int, row: int, column: int) -> Floats:
        """(C, kh, kw) products that add up, with the bias, to one value of the layer."""
        _, height, width = self.input.shape
        weight = self.weight[channel]
        rows = row * self.stride[0] - self.padding[0] + self.dilation[0] * np.arange(weight.shape[1])
        columns = column * self.stride[1] - self.padding[1] + self.dilation[1] * np.arange(weight.shape[2])
        known = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None]
        values = self.input[:, rows.clip(0, height - 1)][:, :, columns.clip(0, width - 1)]
        products: Floats = np.where(known, values, np.float32(0)) * weight
        return products


@dataclass(frozen=True)
class Stage:
    """One layer of the encoder, and the picture in it.

    Attributes:
        name: In the network.
        kind: Class of the layer.
        activations: (D, gh, gw) float32, in the network's own unit; a token is a cell in the place of its patch.
        prefix: (P, D) float32, tokens before those of the patches; P is 0 for a feature map.
        effect: (D,) float32, how much the embedding hangs on each channel, see `relax.look_inside`; None if not asked.
        reset: What a channel was set to for it: "mean", its mean over the cells, or "zero"; "" if not asked.
        field: Which pixels of the view its cells depend on; None if that is not known.
        factors: Its parts; None if not asked, and for one cell.
        heads: Attention in this block; None where there is none.
        kernel: Its weights and input, for the convolution that sees the pixels; None for all others.
    """

    name: str
    kind: str
    activations: Floats
    prefix: Floats
    effect: Floats | None = None
    reset: str = ""
    field: Field | None = None
    factors: Factors | None = None
    heads: Heads | None = None
    kernel: Kernel | None = None

    @property
    def grid(self) -> tuple[int, int]:
        """(gh, gw) cells."""
        return self.activations.shape[1], self.activations.shape[2]

    @property
    def energy(self) -> Floats:
        """(D,) mean square of each channel over the cells."""
        return self._over_cells(lambda cells: (cells**2).mean(1))

    @property
    def contrast(self) -> Floats:
        """(D,) variance of each channel over the cells."""
        return self._over_cells(lambda cells: cells.var(1))

    def _over_cells(self, reduce: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Floats:
        return reduce(self.activations.reshape(len(self.activations), -1).astype(np.float64)).astype(np.float32)

    def order(self, by: str = "energy") -> NDArray[np.int64]:
        """(D,) numbers of the channels, the highest first; those of `effect` by its size, whatever its sign.

        Args:
            by: A key of `ORDERS`.

        Raises:
            ValueError: If there is no such order, or the effect was not asked for.
        """
        if one_of("by", by, ORDERS) == "number":
            return np.arange(len(self.activations))
        if by == "effect" and self.effect is None:
            raise ValueError('by="effect" needs an effect: look inside with effect="gradient" or "ablation"')
        values = np.abs(getattr(self, by))
        return np.argsort(-values, kind="stable")

    def similarity(self, row: int, column: int) -> Floats:
        """(gh, gw) cosine of the channels in one cell to those in every other, in [-1, 1]; 0 where all are 0."""
        cells = self.activations.reshape(len(self.activations), -1).astype(np.float64)
        lengths = np.linalg.norm(cells, axis=0)
        units = cells / np.where(lengths > 0, lengths, 1)
        place = row * self.grid[1] + column
        cosines: Floats = (units.T @ units[:, place]).clip(-1, 1).reshape(self.grid).astype(np.float32)
        return cosines
