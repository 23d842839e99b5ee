"""Quality: pictures that are blank, dark, over-exposed, blurred, nearly empty, or of another shape than the rest.

Each picture is measured once, at no more than 256 px, without the encoder. What is wrong in itself has a fixed limit:
brightness, entropy and shape have those of CleanVision 0.3.7 (Apache-2.0), whose measures these are. What is only wrong
beside others is compared with the folder: sharpness (a fixed limit misses most blur, and a smear under a microscope is
softer than a blurred photograph), size and colour.

Sources: CleanVision, `issue_managers/image_property.py`; brightness: Finley, HSP Color Model (2006); sharpness by the
spread of the Laplacian: Pech-Pacheco et al. (ICPR 2000).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import laplace
from torch import Tensor

from relax.auditing.kept import Kept
from relax.auditing.outliers import LIMIT, robust_z
from relax.estimators.budget import Progress
from relax.io.errors import ImageError
from relax.io.images import read_image
from relax.io.small import shrunk

SIDE = 256  # px of the longer side at which a picture is measured
FINLEY = np.array([0.241, 0.691, 0.068])  # weights of squared red, green and blue
LUMA = np.array([0.299, 0.587, 0.114])
NEARLY_ONE_SHADE = 1 / 32
RARE = 0.1  # the largest share of pictures that are odd beside the others: more are another kind
GREY = 0.02  # largest difference of two channels of a grey picture, but for 1 % of its pixels

Measures = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Check:
    """One thing that may be wrong with a picture.

    Attributes:
        name: As it stands in tables.
        meaning: When a picture has it, in words.
        flags: From the measures to (N,) bool.
    """

    name: str
    meaning: str
    flags: Callable[[Measures], NDArray[np.bool_]]


@dataclass(frozen=True)
class Quality:
    """Measures of every picture, and what is wrong with which.

    Attributes:
        measures: (N,) each, NaN where a picture could not be read: width, height (px), brightness_1, brightness_5 and
            brightness_99 (percentiles, in [0, 1]), entropy (bits of the luma, at most 8), sharpness (standard deviation
            of the Laplacian) and colour (99th percentile of the largest difference between two channels).
        problems: Indices of the pictures by the name of the check, in the order of `CHECKS`; those with any.
    """

    measures: Measures
    problems: dict[str, tuple[int, ...]]

    def by_picture(self, count: int) -> list[list[str]]:
        """What is wrong with each of all pictures."""
        problems: list[list[str]] = [[] for _ in range(count)]
        for name, images in self.problems.items():
            for image in images:
                problems[image].append(name)
        return problems


def _blank(measures: Measures) -> NDArray[np.bool_]:
    blank: NDArray[np.bool_] = measures["brightness_99"] - measures["brightness_1"] < NEARLY_ONE_SHADE
    return blank


def _blurred(measures: Measures) -> NDArray[np.bool_]:
    """Less sharp than the folder; a blank picture is that already."""
    sharpness = np.log(np.maximum(measures["sharpness"], 1e-6))
    known = np.isfinite(sharpness)
    blurred = np.zeros(len(sharpness), dtype=bool)
    blurred[known] = robust_z(sharpness[known]) < -LIMIT
    return blurred & ~_blank(measures)


def _odd_shape(measures: Measures) -> NDArray[np.bool_]:
    width, height = measures["width"], measures["height"]
    odd: NDArray[np.bool_] = np.minimum(width, height) / np.maximum(width, height) < 0.35
    return odd


def _odd_size(measures: Measures) -> NDArray[np.bool_]:
    """Beyond the quartiles by three times their distance, and by a factor of two from the median, if few are."""
    side = np.sqrt(measures["width"] * measures["height"])
    low, middle, high = np.nanpercentile(side, [25, 50, 75])
    far = 3 * (high - low)
    odd: NDArray[np.bool_] = ((side < low - far) & (side < middle / 2)) | ((side > high + far) & (side > 2 * middle))
    return odd & (np.mean(odd) <= RARE)


def _no_colour(measures: Measures) -> NDArray[np.bool_]:
    grey: NDArray[np.bool_] = measures["colour"] < GREY
    return grey & ~_blank(measures) & (np.mean(grey) <= RARE)


CHECKS = (
    Check("blank", "98 % of the pixels are within 1/32 of one brightness", _blank),
    Check("dark", "99 % of the pixels are darker than 0.32", lambda of: (of["brightness_99"] < 0.32) & ~_blank(of)),
    Check("over-exposed", "95 % are brighter than 0.95", lambda of: (of["brightness_5"] > 0.95) & ~_blank(of)),
    Check("low information", "the entropy is below 3 bits", lambda of: (of["entropy"] < 3) & ~_blank(of)),
    Check("blurred", f"sharpness is more than {LIMIT} robust standard deviations below the folder's median", _blurred),
    Check("odd shape", "the shorter side is less than 0.35 of the longer", _odd_shape),
    Check(
        "odd size",
        "far from the sizes of the others, and by a factor of two, where at most one picture in ten is",
        _odd_size,
    ),
    Check("no colour", "grey, where at most one picture in ten is", _no_colour),
)


def check_pictures(root: Path, paths: Sequence[str], progress: Progress, kept: Kept | None = None) -> Quality:
    """Measure every picture; one whose file has disappeared has NaN and no problem.

    Args:
        root: The folder.
        paths: Relative to it.
        progress: Called with (pictures done, total).
        kept: Measures of an earlier run, which receives new ones.
    """
    rows: list[dict[str, float]] = []
    for place, path in enumerate(paths):
        progress(place, len(paths))
        row = kept.get(path) if kept else None
        if row is None:
            try:
                row = measured(root / path)
            except ImageError:
                rows.append({})
                continue
            if kept:
                kept.add(path, row)
        rows.append(row)
    names = next((list(row) for row in rows if row), [])
    return judged({name: np.array([row.get(name, np.nan) for row in rows]) for name in names})


def judged(measures: Measures) -> Quality:
    """What is wrong with which, by all checks."""
    problems = {check.name: np.flatnonzero(check.flags(measures)) for check in CHECKS if measures}
    return Quality(measures, {name: tuple(images.tolist()) for name, images in problems.items() if len(images)})


def measured(file: Path) -> dict[str, float]:
    """The measures of one picture, see `Quality`.

    Raises:
        ImageError: If it cannot be read.
    """
    return measures_of(read_image(file, channels=3))


def measures_of(pixels: Tensor) -> dict[str, float]:
    """The measures of a picture's pixels (1, 3, H, W) in [0, 1], see `Quality`."""
    height, width = pixels.shape[-2:]
    colours = shrunk(pixels, SIDE)[0].permute(1, 2, 0).double().numpy()
    brightness, luma = np.sqrt(colours**2 @ FINLEY), colours @ LUMA
    shares = np.bincount(np.rint(255 * luma).astype(np.int64).ravel()) / luma.size
    percentiles = {f"brightness_{share}": float(np.percentile(brightness, share)) for share in (1, 5, 99)}
    return {
        "width": width,
        "height": height,
        **percentiles,
        "entropy": float(-(shares[shares > 0] * np.log2(shares[shares > 0])).sum()),
        "sharpness": float(laplace(luma).std()),
        "colour": float(np.percentile(np.ptp(colours, axis=2), 99)),
    }
