"""Draw pictures of units: a row for each unit with its places marked, and filters as one mosaic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import contourpy
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from relax.plotting.drawing import Drawing
from relax.plotting.panels import draw_image, draw_outlines
from relax.plotting.sheet import WIDTH, Panel, Row, Sheet
from relax.plotting.themes import THEMES
from relax.text import number, one_of, shortened

MOST = 400  # pictures of a figure
SMALL, MANY = 40, 9  # px of a side and number of pictures from which they are a mosaic
NARROW = 0.5  # of the picture: a box is drawn that covers no more of it
LEAST = 24  # px of a picture in a mosaic: smaller ones are enlarged
SHAPE = 2.2  # width of a mosaic, in heights


class UnitPicturesLike(Protocol):
    """The part of `relax.units.pictures.UnitPictures` that is drawn."""

    @property
    def pictures(self) -> NDArray[np.float32]:
        """(N, 3, H, W) in [0, 1]."""

    @property
    def values(self) -> NDArray[np.float64]:
        """(N,)."""

    @property
    def units(self) -> Sequence[str]:
        """(N) which unit each is of."""

    @property
    def names(self) -> Sequence[str]:
        """(N) what each is."""

    @property
    def how(self) -> Mapping[str, Any]:
        """How they were made."""

    @property
    def places(self) -> NDArray[np.bool_] | None:
        """(N, H, W) where the unit answers."""

    @property
    def boxes(self) -> NDArray[np.float64] | None:
        """(N, 4) what moves the value."""


def units_figure(
    pictures: UnitPicturesLike, *, crop: bool = False, width: float = WIDTH, theme: str = "light"
) -> Drawing:
    """A row for each unit; pictures of at most 40 px, if they are many, as one mosaic.

    Args:
        pictures: What is drawn.
        crop: Show only what lies in the box of each picture, enlarged.
        width: In inches, as for `relax.figure`.
        theme: "light" or "dark".

    Raises:
        ValueError: If there are more than `MOST`, or width or theme are impossible.
    """
    count = len(pictures.pictures)
    colours = THEMES[one_of("theme", theme, THEMES)]
    caption = [[*map(str, pictures.how.get("said") or [])]]
    heading = shortened(f"{(pictures.how.get('encoder') or {}).get('name')}", 120)
    if count > MANY and max(pictures.pictures.shape[2:]) <= SMALL and not crop:
        tiles = mosaic(_levels(pictures.pictures))
        panel = Panel("", tiles.shape[:2], partial(_draw_sharp, image=tiles))
        return Sheet([Row([panel], heading)], caption, colours, width).draw()
    if count > MOST:
        raise ValueError(f"a figure shows at most {MOST} pictures; got {count}: take those of some units (.of)")
    rows = []
    for unit in dict.fromkeys(pictures.units):
        chosen = [row for row, name in enumerate(pictures.units) if name == unit]
        rows.append(Row([_panel(pictures, row, crop) for row in chosen], shortened(unit, 120)))
    if len({unit for unit in pictures.units}) == count:  # one picture each: side by side, titled by their units
        panels = [panel for row in rows for panel in row.panels]
        titled = zip(pictures.units, panels, strict=True)
        rows = [
            Row(
                [Panel(unit, panel.shape, panel.draw, label=panel.title, note=panel.label) for unit, panel in titled],
                heading,
            )
        ]
    return Sheet(rows, caption, colours, width).draw()


def mosaic(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) pictures (N, h, w, 3) in reading order, with white lines between them."""
    enlarged = -(-LEAST // max(pictures.shape[1:3]))
    pictures = pictures.repeat(enlarged, 1).repeat(enlarged, 2)
    count, height, width = pictures.shape[:3]
    gap = max(1, height // 12)
    columns = min(count, max(1, round((count * SHAPE * height / width) ** 0.5)))
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    for place, picture in enumerate(pictures):
        top, left = gap + place // columns * (height + gap), gap + place % columns * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def _panel(pictures: UnitPicturesLike, row: int, crop: bool) -> Panel:
    image = _levels(pictures.pictures[row][None])[0]
    value = pictures.values[row]
    title = number(float(value), max(abs(float(value)) / 10, 1e-3)) if np.isfinite(value) else ""
    label = shortened(pictures.names[row], 60)
    box = None if pictures.boxes is None else pictures.boxes[row]
    box = None if box is None or not np.isfinite(box).all() else box
    if crop and box is not None:
        top, left, bottom, right = (round(edge) for edge in box)
        image = image[top : max(bottom, top + 1), left : max(right, left + 1)]
        return Panel(title, image.shape[:2], partial(_draw_sharp, image=image), label=label)
    lines = [] if pictures.places is None else outlines(pictures.places[row])
    if box is not None and (box[2] - box[0]) * (box[3] - box[1]) <= NARROW * image.shape[0] * image.shape[1]:
        lines.append(_corners(box))
    return Panel(title, image.shape[:2], partial(_draw_marked, image=image, lines=lines), label=label)


def outlines(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Lines (N, 2) around the parts of a mask, as x and y in pixels from the centre of the first."""
    padded = np.pad(mask.astype(np.float64), 1)
    return [np.asarray(line) - 1 for line in contourpy.contour_generator(z=padded).lines(0.5)]


def _corners(box: NDArray[np.float64]) -> NDArray[np.float64]:
    top, left, bottom, right = box - 0.5  # the first pixel begins at -0.5
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])


def _draw_marked(axes: Axes, image: NDArray[np.uint8], lines: list[NDArray[np.float64]]) -> None:
    draw_image(axes, image)
    draw_outlines(axes, lines)


def _draw_sharp(axes: Axes, image: NDArray[np.uint8]) -> None:
    axes.imshow(image, aspect="equal", interpolation="nearest")


def _levels(pictures: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(N, H, W, 3) 8-bit."""
    return np.rint(pictures * 255).astype(np.uint8).transpose(0, 2, 3, 1)
