"""Plant a mark in pictures: a shortcut whose place is known exactly.

A watermark (a white disc with a blue cross, as a clinic might print it) at a random place, or a coloured frame along
the border. An encoder trained on pictures of which half carry the mark can tell the halves apart by the mark alone; a
map of that encoder should then point at it (`experiments.recipes.train_kvasir --methods planted`). And a printed label,
at a given place (`experiments.studies.planted_audit`).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

KINDS = ("watermark", "frame")
SHARE = {"watermark": 0.2, "frame": 0.05}  # side of the disc and width of the frame, per shorter side of the picture
OPACITY = 0.9
DISC, CROSS, FRAME = (245, 245, 245), (20, 60, 190), (0, 140, 150)


def marked_group(count: int, seed: int) -> NDArray[np.bool_]:
    """(count,) a random half, rounded down, is True: the pictures that carry the mark."""
    marked = np.zeros(count, dtype=bool)
    marked[np.random.default_rng(seed).permutation(count)[: count // 2]] = True
    return marked


def plant(
    pixels: NDArray[np.uint8], kind: str = "watermark", *, rng: np.random.Generator, share: float | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw the mark on a copy of a picture.

    Args:
        pixels: (H, W, 3) uint8.
        kind: "watermark", at a place drawn from `rng`, or "frame".
        rng: The only source of randomness.
        share: Side of the watermark or width of the frame, as a share of the shorter side of the picture, in
            (0, 0.5); None is 0.2 and 0.05.

    Returns:
        The marked picture (H, W, 3) uint8, and where the mark lies, (H, W) bool; all other pixels stay.

    Raises:
        ValueError: If the kind is unknown, the share out of range, or the mark smaller than 2 pixels.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
    share = SHARE[kind] if share is None else share
    if not 0 < share < 0.5:
        raise ValueError(f"share is a part of the shorter side of the picture, in (0, 0.5); got {share}")
    height, width = pixels.shape[:2]
    side = round(share * min(height, width))
    if side < 2:
        raise ValueError(f"share must make the mark 2 px or larger, here of {min(height, width)} px; got {share}")
    colour, covered = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    if kind == "watermark":
        top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
        place = np.s_[top : top + side, left : left + side]
        colour[place], covered[place] = watermark(side)
    else:
        colour[:], covered[:] = FRAME, 1
        covered[side:-side, side:-side] = 0
    alpha = OPACITY * covered[..., None]
    blended = np.rint(pixels * (1 - alpha) + colour * alpha).astype(np.uint8)
    return blended, covered > 0


def label(
    pixels: NDArray[np.uint8], top: float, left: float, height: float = 0.14, width: float = 0.34
) -> NDArray[np.uint8]:
    """A copy of a picture (H, W, 3) with a white label, two lines of blue bars like words; place and size as shares."""
    picture = Image.fromarray(pixels)
    draw, words = ImageDraw.Draw(picture), np.random.default_rng(5)
    y, x = round(top * picture.height), round(left * picture.width)
    high, wide = round(height * picture.height), round(width * picture.width)
    draw.rectangle((x, y, x + wide - 1, y + high - 1), fill=DISC)
    for line in (0.18, 0.56):
        start = x + 0.06 * wide
        while start < x + 0.9 * wide:
            length = words.uniform(0.03, 0.12) * wide
            bottom = y + (line + 0.26) * high
            draw.rectangle((start, y + line * high, min(start + length, x + 0.94 * wide), bottom), fill=CROSS)
            start += length + 0.03 * wide
    return np.array(picture)


@cache
def watermark(side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A white disc with a blue cross: colours (side, side, 3) in [0, 255], coverage (side, side) in [0, 1]."""
    fine = 8 * side  # drawn large and averaged, so that edges are smooth
    drawing, disc = Image.new("RGB", (fine, fine), DISC), Image.new("L", (fine, fine))
    ImageDraw.Draw(disc).ellipse((0, 0, fine - 1, fine - 1), fill=255)
    thin, long = 0.36 * fine, 0.16 * fine
    ImageDraw.Draw(drawing).rectangle((thin, long, fine - thin, fine - long), fill=CROSS)
    ImageDraw.Draw(drawing).rectangle((long, thin, fine - long, fine - thin), fill=CROSS)
    small = (side, side)
    colour = np.asarray(drawing.resize(small, Image.Resampling.BOX), dtype=np.float32)
    covered = np.asarray(disc.resize(small, Image.Resampling.BOX), dtype=np.float32) / np.float32(255)
    return colour, covered
