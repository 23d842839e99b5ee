"""What panels are made of: a picture, a map in the colours of its scale, colours over a picture, an outline.

Maps are drawn in their own unit and never rescaled. Pixels that the encoder never saw are hatched. pyplot and global
state are not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from relax.plotting.scales import Scale
from relax.plotting.themes import Theme

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's conversion to grey


def draw_image(axes: Axes, image: NDArray[np.uint8]) -> None:
    """Draw an image (H, W, 3), unchanged."""
    axes.imshow(image, aspect="equal")


def draw_map(
    axes: Axes,
    values: NDArray[np.floating[Any]],
    scale: Scale,
    theme: Theme,
    around: NDArray[np.uint8] | None = None,
) -> None:
    """Draw values (H, W) in the colours of the scale; where they are NaN hatched, or the image (H, W, 3) around."""
    if around is None:
        _draw_hatched(axes, values.shape, theme)
    else:
        grey = np.rint(around @ _LUMA).astype(np.uint8)
        axes.imshow(np.dstack([grey, grey, grey]), aspect="equal")
    axes.imshow(np.ma.masked_invalid(values), cmap=scale.colours, norm=scale.norm, aspect="equal")


def draw_layer(
    axes: Axes, image: NDArray[np.uint8], layer: NDArray[np.uint8], known: NDArray[np.bool_], theme: Theme
) -> None:
    """Draw colours over an image in grey, so that every colour is a value of the map.

    Args:
        axes: The panel.
        image: (H, W, 3).
        layer: (H, W, 4), colours and opacity.
        known: (H, W), False where the encoder never saw the pixel; those are hatched, as in the maps.
        theme: Of the hatching.
    """
    if not known.all():
        _draw_hatched(axes, known.shape, theme)
    grey = np.rint(image @ _LUMA).astype(np.uint8)
    seen = np.where(known, 255, 0).astype(np.uint8)
    axes.imshow(np.dstack([grey, grey, grey, seen]), aspect="equal")
    axes.imshow(layer, aspect="equal")


def draw_outlines(axes: Axes, lines: Sequence[NDArray[np.float64]]) -> None:
    """Draw lines (N, 2) in white on black, which is seen on any picture."""
    if lines:
        effects = [withStroke(linewidth=1.6, foreground="black")]
        drawn = LineCollection(lines, colors="white", linewidths=0.8, path_effects=effects, capstyle="round")
        axes.add_collection(drawn, autolim=False)


def _draw_hatched(axes: Axes, shape: tuple[int, ...], theme: Theme) -> None:
    height, width = shape
    colours: dict[str, Any] = {"facecolor": theme.unseen, "edgecolor": theme.hatch}
    axes.add_patch(Rectangle((-0.5, -0.5), width, height, hatch="////", linewidth=0, zorder=-1, **colours))
