"""The importance over the photograph: transparent where it is low, and the outline of its top region.

A photograph under opaque colours cannot be seen, and colours at one opacity everywhere stain what does not matter.
So the opacity follows the map: none below its median, the full `alpha` from its 80th percentile on. The colours are
those of the importance panel, on the same scale.
"""

from __future__ import annotations

import io

import contourpy
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from encoders.values import described, is_number
from relax.maps import ExplanationLike
from relax.plotting.scales import Limits, Scale

ALPHA = 0.6
CLEAR, FULL = 0.5, 0.8  # quantiles of the map: no opacity up to the first, `alpha` from the second on
TOP = 1 - FULL
SPECK = 1e-3  # share of the picture below which an outlined region is left out
_SMOOTH = 2  # the outline is drawn this many times larger, and reduced
_DARK, _BRIGHT = 0, 255  # of the outline, which so is seen on any picture, in grey too


def overlay(
    explanation: ExplanationLike,
    *,
    cmap: str | None = None,
    alpha: float = ALPHA,
    limits: Limits | None = None,
    outline: bool = True,
) -> NDArray[np.uint8]:
    """The importance as a picture to lay over the photograph, of the same size.

    The opacity of a pixel is `alpha` times (value - median) / (80th percentile - median), kept between 0 and 1:
    nothing is shown in the lower half of the map, and the top 20 % of the pixels have the full `alpha`. With colours
    that diverge from 0, such as "RdBu_r", opacity follows the absolute value. A constant map is entirely transparent.
    The outline surrounds the pixels from the 80th percentile on, but for regions below a thousandth of the picture.

    Args:
        explanation: What `relax.explain` gives.
        cmap: Name of a matplotlib colour map; None is that of `relax.figure`, viridis.
        alpha: Opacity of the most important pixels, in [0, 1].
        limits: (low, high), ends of the colour scale in the unit of the map; None spans the map, as in `relax.figure`.
        outline: Draw the outline of the top region, white on black.

    Returns:
        (H, W, 4) uint8 in [0, 255]: red, green, blue and opacity, not premultiplied, as PNG files have them. Pixels
        that the encoder never saw (NaN) are transparent.

    Raises:
        ValueError: If it is no explanation, a colour map is unknown, or `alpha` or `limits` are out of range.
    """
    if not hasattr(explanation, "importance"):
        raise ValueError(f"explanation must be what relax.explain gives; got {described(explanation)}")
    values = explanation.importance
    scale = Scale.of("importance", values, None if limits is None else {"importance": limits}, cmap)
    return layer_of(values, scale, alpha, outline=outline)


def layer_of(
    values: NDArray[np.float32], scale: Scale, alpha: float = ALPHA, *, outline: bool = True
) -> NDArray[np.uint8]:
    """(H, W, 4) the overlay of any map (H, W) in the colours of a scale, as `overlay` has it."""
    layer = tinted(values, scale, opacity(values, alpha, signed=scale.signed))
    return _outlined(layer, outlines(values)) if outline else layer


def overlay_file(explanation: ExplanationLike) -> bytes:
    """The bytes of `overlay` as a PNG file with transparency, in the size of the picture."""
    stream = io.BytesIO()
    Image.fromarray(overlay(explanation)).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def tinted(values: NDArray[np.float32], scale: Scale, opacities: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(H, W, 4) the colours of values (H, W) with opacities (H, W) in [0, 1]."""
    return np.dstack([scale.rgb(values), np.rint(255 * opacities).astype(np.uint8)])


def opacity(
    values: NDArray[np.float32], alpha: float = ALPHA, *, signed: bool = False, levels: Limits | None = None
) -> NDArray[np.float64]:
    """(H, W) the opacity of each pixel by the rule of `overlay`, in [0, alpha]; 0 where the value is NaN.

    `levels` are the median and the 80th percentile of a larger map, such as a volume of which these are a slice.
    """
    alpha = checked_alpha(alpha)
    strength = np.abs(values) if signed else values
    known = np.isfinite(strength)
    if not known.any():
        return np.zeros(values.shape)
    clear, full = levels_of(strength) if levels is None else levels
    strength = np.where(known, strength, clear).astype(np.float64)
    share = (strength - clear) / (full - clear) if full > clear else (strength > clear).astype(np.float64)
    opacities: NDArray[np.float64] = alpha * np.clip(share, 0, 1)
    return opacities


def levels_of(values: NDArray[np.float32]) -> Limits:
    """The median and the 80th percentile of a map of any shape, which has a value somewhere."""
    clear, full = np.quantile(values[np.isfinite(values)].astype(np.float64), (CLEAR, FULL))
    return float(clear), float(full)


def outlines(values: NDArray[np.float32], levels: Limits | None = None) -> list[NDArray[np.float64]]:
    """Lines (N, 2), as x and y in pixels from the centre of the first, around the pixels of the top 20 %.

    `levels` are as for `opacity`.
    """
    if not np.isfinite(values).any() or min(values.shape) < 2:
        return []
    level = _level(values) if levels is None else levels[1]
    lines = contourpy.contour_generator(z=np.ma.masked_invalid(values)).lines(level)
    return [np.asarray(line) for line in lines if _area(np.asarray(line)) >= SPECK * values.size]


def top_region(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(H, W) the pixels of the top 20 %, which `outlines` surrounds, specks included; none of a constant map."""
    known = np.isfinite(values)
    if not known.any():
        return known
    exact = np.where(known, values, -np.inf).astype(np.float64)
    region: NDArray[np.bool_] = exact > _level(values.astype(np.float64))
    return region


def _level(values: NDArray[np.float32]) -> float:
    """The value above which a pixel is of the top 20 %; where many share a value, those above it are."""
    lowest, clear, full = np.quantile(values[np.isfinite(values)], (0, CLEAR, FULL))
    return float(np.nextafter(full, lowest) if full > clear else clear)


def checked_alpha(alpha: object) -> float:
    """The opacity, if it is one."""
    if not is_number(alpha) or not 0 <= float(alpha) <= 1:
        raise ValueError(f"alpha is an opacity, between 0 and 1; got {described(alpha)}")
    return float(alpha)


def _area(line: NDArray[np.float64]) -> float:
    """Enclosed by a line, if need be closed by a straight one, in pixels (the shoelace formula)."""
    x, y = line.T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def _outlined(layer: NDArray[np.uint8], lines: list[NDArray[np.float64]]) -> NDArray[np.uint8]:
    """The layer with lines drawn on it, as wide as suits its size: bright on a wider dark one."""
    height, width = layer.shape[:2]
    breadth = max(1.0, max(height, width) / 400)
    for shade, times in ((_DARK, 2.2), (_BRIGHT, 1.0)):
        mask = Image.new("L", (width * _SMOOTH, height * _SMOOTH))
        pen = ImageDraw.Draw(mask)
        for line in lines:
            points = [(float(x), float(y)) for x, y in (line + 0.5) * _SMOOTH]
            pen.line(points, fill=255, width=round(breadth * times * _SMOOTH), joint="curve")
        layer = _over(layer, shade, np.asarray(mask.reduce(_SMOOTH), np.float64) / 255)
    return layer


def _over(layer: NDArray[np.uint8], shade: int, coverage: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A grey over the layer where it covers it (Porter & Duff's "over", with opacity not premultiplied)."""
    below = layer[..., 3] / 255 * (1 - coverage)
    total = coverage + below
    with np.errstate(invalid="ignore"):
        mixed = (shade * coverage[..., None] + layer[..., :3] * below[..., None]) / total[..., None]
    colours = np.where(total[..., None] > 0, mixed, layer[..., :3])
    mixed_layer: NDArray[np.uint8] = np.rint(np.dstack([colours, 255 * total])).astype(np.uint8)
    return mixed_layer
