"""The overlay burned into the picture, with a colour bar below it: for viewers that show nothing but pictures.

The overlay is that of `relax.overlay`: transparent below the median of a picture's map, the outline of its top
region. All pictures of a series share one colour scale. The bar is added below, in rows of its own, so that no pixel
of the picture is covered and its first pixel stays where it was.
"""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from relax.exports.captures import capture, put_pixels
from relax.exports.maker import Choices, Series, recipe, unit
from relax.exports.patient import Identity
from relax.exports.sheaf import Layer, Sheaf
from relax.io.extra import medical_extra
from relax.plotting.bars import draw_bar
from relax.plotting.lettering import PLAIN
from relax.plotting.overlay import ALPHA, CLEAR, FULL, layer_of
from relax.plotting.scales import Scale
from relax.plotting.themes import THEMES

with medical_extra():
    from pydicom.dataset import Dataset

_DPI = 144.0  # at which the 6 points of a bar's numbers are 12 px
_NARROW = 240  # px that a bar needs
_STRIP = 56  # px of bar and words


def colour_captures(sheaf: Sheaf, choices: Choices) -> list[Dataset]:
    """The objects, one of each picture; errors as for `relax.export_maps`."""
    values = sheaf.map(choices.map)
    scale = Scale.of(choices.map, values)
    series = Series.of(f"RELAX {choices.map}, colours", 2)

    def tinted(part: int) -> Layer:
        return lambda explanation: layer_of(getattr(explanation, choices.map), scale)[..., part]

    layers = np.stack([sheaf.laid(tinted(part)) for part in range(4)], -1)
    height, width = values.shape[1:]
    bar = _bar(scale, f"{choices.map.replace('_', ' ')}: {unit(sheaf.records[0], choices.map)}", max(width, _NARROW))
    identity, datasets = Identity(sheaf, choices.keep), []
    for frame, picture, layer in zip(sheaf.frames, sheaf.seen(), layers, strict=True):
        dataset = capture(frame, identity, series, choices)
        canvas = np.zeros((height + bar.shape[0], bar.shape[1], 3), np.uint8)
        canvas[:height, :width] = _over(picture, layer)
        canvas[height:] = bar
        put_pixels(dataset, canvas, "RGB")
        if frame.header.get("BurnedInAnnotation") in (
            "YES",
            "NO",
        ):  # the picture is visible, with what is burned into it
            dataset.BurnedInAnnotation = frame.header.BurnedInAnnotation
        dataset.DerivationDescription = (
            f"RELAX {choices.map} over rows 1 to {height} and columns 1 to {width}, which are the source; "
            f"{scale.colours}, {scale.low:.6g} to {scale.high:.6g}; opacity 0 below quantile {CLEAR}, {ALPHA} from "
            f"{FULL} on, outlined; {recipe(sheaf.records)}"
        )
        datasets.append(dataset)
    return datasets


def _over(picture: NDArray[np.uint8], layer: NDArray[np.floating] | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) a layer (H, W, 4) over a picture; the picture where the layer is unknown."""
    known = np.nan_to_num(np.asarray(layer, np.float64))
    opacity = known[..., 3:] / 255
    blended: NDArray[np.uint8] = np.rint(picture * (1 - opacity) + known[..., :3] * opacity).astype(np.uint8)
    return blended


def _bar(scale: Scale, words: str, width: int) -> NDArray[np.uint8]:
    """(h, width, 3) a colour bar with its numbers, and what they are."""
    theme = THEMES["dark"]
    figure = Figure(figsize=(width / _DPI, _STRIP / _DPI), dpi=_DPI, facecolor="black")
    canvas = FigureCanvasAgg(figure)
    left, right = 10 / width, 1 - 10 / width
    axes = figure.add_axes((left, 0.42, right - left, 0.18))
    draw_bar(figure, axes, scale, theme, (right - left) * width / _DPI)
    figure.text(left, 0.72, words, size=6, color=theme.ink, va="bottom", **PLAIN)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels: NDArray[np.uint8] = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    return pixels
