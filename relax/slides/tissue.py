"""Where a slide holds tissue, by a stated rule: pixels that are colourful, seen from afar.

The slide is looked at with 8 micrometres per pixel (coarser if it is larger than 3,072 of them). A pixel is tissue if
its saturation (HSV) is above a threshold and it is not nearly black; the threshold is that of Otsu, but at least 0.05,
since on empty glass Otsu would divide the noise. Pieces below the least area are left out, and holes below it closed.
Pens and dyed edges are colourful, too: where the rule errs, another threshold or a drawn mask takes its place.

Source: Otsu, IEEE Trans. SMC 9 (1979); saturation for stained tissue as in CLAM (Lu et al., 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2hsv
from skimage.filters import threshold_otsu

from encoders.values import described, is_number
from relax.io.images import ImageSource, read_named
from relax.slides.defaults import LEAST_AREA
from relax.slides.slide import Pixels, Slide

MPP = 8.0  # of the picture that is looked at
LARGEST = 3072  # pixels along its longer side
STRIP = 256  # rows whose colours are converted at once
FLOOR = 0.05  # of the threshold
DARKEST = 0.1  # value (HSV) of what may be tissue: the saturation of black is noise


@dataclass(frozen=True)
class Tissue:
    """Where a slide holds tissue.

    Attributes:
        mask: (h, w) bool over the whole slide.
        picture: (h, w, 3) uint8 the slide as it was looked at.
        scale: Pixels of level 0 that one pixel of the mask spans, along x and y.
        rule: How it was found, as JSON types.
    """

    mask: NDArray[np.bool_]
    picture: Pixels
    scale: tuple[float, float]
    rule: dict[str, Any]

    @property
    def share(self) -> float:
        """Of the slide."""
        return float(self.mask.mean())

    def shares(self, corners: NDArray[np.int64], span: float) -> NDArray[np.float64]:
        """(N,) the share of tissue in squares of `span` pixels of level 0 at corners (N, 2), as x and y."""
        sums = np.zeros((self.mask.shape[0] + 1, self.mask.shape[1] + 1))
        sums[1:, 1:] = self.mask.cumsum(0, dtype=np.float64).cumsum(1)
        left, top = corners[:, 0] / self.scale[0], corners[:, 1] / self.scale[1]
        right, bottom = left + span / self.scale[0], top + span / self.scale[1]
        inside = _at(sums, bottom, right) - _at(sums, top, right) - _at(sums, bottom, left) + _at(sums, top, left)
        shares: NDArray[np.float64] = inside / ((right - left) * (bottom - top))
        return shares


def find_tissue(
    slide: Slide, *, saturation: float | None = None, least_area: float = LEAST_AREA, mask: ImageSource | None = None
) -> Tissue:
    """Where a slide holds tissue.

    Args:
        slide: The slide.
        saturation: The threshold, in [0, 1]; None is Otsu's, but at least 0.05.
        least_area: Of a piece of tissue, and of a hole in it, in square millimetres.
        mask: A picture over the whole slide, of any size, that takes the place of the rule: tissue is where it is
            brighter than half.

    Raises:
        ValueError: If the threshold or area is impossible.
        ImageError: If the mask cannot be used, or the slide is damaged.
    """
    if saturation is not None and not (is_number(saturation) and 0 <= saturation < 1):
        raise ValueError(f"saturation is a threshold from 0 to below 1; got {described(saturation)}")
    if not (is_number(least_area) and least_area >= 0):
        raise ValueError(f"least_area must be square millimetres, 0 or more; got {described(least_area)}")
    mpp = max(MPP, slide.mpp, max(slide.width, slide.height) * slide.mpp / LARGEST)
    picture = slide.picture(mpp)
    if mask is not None:
        tissue, rule = _drawn(mask, picture), {"rule": "a mask given by the caller"}
    else:
        tissue, rule = _colourful(picture, saturation, least_area, mpp)
    height, width = tissue.shape
    scale = (slide.width / width, slide.height / height)
    return Tissue(tissue, picture, scale, {**rule, "mpp": round(mpp, 4), "share": round(float(tissue.mean()), 6)})


def _colourful(
    picture: Pixels, saturation: float | None, least_area: float, mpp: float
) -> tuple[NDArray[np.bool_], dict[str, Any]]:
    """The rule: a mask, and how it was found."""
    saturations = np.empty(picture.shape[:2], np.float32)
    for top in range(0, len(picture), STRIP):
        saturations[top : top + STRIP] = rgb2hsv(picture[top : top + STRIP])[..., 1]
    otsu = float(threshold_otsu(saturations)) if np.ptp(saturations) > 0 else 1.0
    threshold = max(otsu, FLOOR) if saturation is None else saturation
    mask = (saturations > threshold) & (picture.max(-1) > DARKEST * 255)
    least = least_area * 1e6 / mpp**2
    mask = _without_small(mask, least)
    mask = ~_without_small(~mask, least)
    rule = {
        "rule": "saturation (HSV) above a threshold, small pieces and holes closed",
        "saturation": round(threshold, 6),
        "otsu": round(otsu, 6),
        "least_area_mm2": least_area,
    }
    return mask, rule


def _without_small(mask: NDArray[np.bool_], least: float) -> NDArray[np.bool_]:
    """The pieces of at least so many pixels; pixels that touch at a corner belong together."""
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    large = np.bincount(labels.ravel()) >= least
    large[0] = False
    kept: NDArray[np.bool_] = large[labels]
    return kept


def _drawn(mask: ImageSource, picture: Pixels) -> NDArray[np.bool_]:
    """A mask given by the caller, in the size of the picture."""
    drawn = read_named(mask, "mask", channels=1)[0, 0].numpy()
    rows, columns = (
        np.minimum((np.arange(size) + 0.5) * drawn.shape[axis] / size, drawn.shape[axis] - 1).astype(int)
        for axis, size in enumerate(picture.shape[:2])
    )
    return np.asarray(drawn[rows][:, columns] > 0.5)


def _at(sums: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of all that lies above and left of places between pixels, linear in between."""
    values: NDArray[np.float64] = ndimage.map_coordinates(sums, [y, x], order=1, mode="nearest")
    return values
