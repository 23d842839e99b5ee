"""Small pictures with their names on a sheet, also those whose files are not there any more."""

from __future__ import annotations

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from relax.plotting.panels import draw_image
from relax.plotting.sheet import Panel
from relax.plotting.themes import Theme
from relax.text import shortened

SIDE = 384  # px of a picture's longer side: 1.6 inches at 200 to the inch, and some more
MISSING = (3, 4)  # the shape of a picture that is not there any more


def thumbnail(title: str, name: str, pixels: NDArray[np.uint8] | None, theme: Theme) -> Panel:
    """A picture under a title, with its name; a grey place that says so where there is no picture."""
    label = shortened(name, 90)
    if pixels is None:
        return Panel(title, MISSING, partial(_draw_missing, theme=theme), label=label, note="no picture there")
    return Panel(title, pixels.shape[:2], partial(draw_image, image=pixels), label=label)


def blank() -> Panel:
    """A place without a picture, so that few pictures are not drawn larger than many."""
    return Panel("", MISSING, _draw_nothing)


def _draw_missing(axes: Axes, theme: Theme) -> None:
    axes.set_facecolor(theme.unseen)


def _draw_nothing(axes: Axes) -> None:
    axes.set_visible(False)
