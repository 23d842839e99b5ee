"""How many masks: a number, or until the error is small enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from relax.estimators import RelaxMoments

BatchSize = int | Literal["auto"]
Progress = Callable[[int, int], None]

DEFAULT_MASKS = 3000  # the authors' number
MOST_MASKS = 100_000  # where a tolerance gives up, unless told otherwise
CHECK = 256  # masks between two looks at the error; fixed, so that stopping does not depend on the batch size
LEAST_MASKS = 2 * CHECK  # an error estimated from fewer is itself too uncertain to stop on

BATCH_PIXELS = {"cpu": 32 * 224**2, "cuda": 256 * 224**2}  # in one batch when its size is "auto"
BATCH_LIMITS = 16, 512


@dataclass(frozen=True)
class Budget:
    """How many masks, when to stop, and how many at a time.

    Attributes:
        masks: Masks to use; with a tolerance, the most to use.
        tolerance: Stop as soon as every visible pixel's standard error is at most this, in the unit of
            the similarity. None: use all masks.
        batch_size: Masked images in one forward pass, or "auto".
    """

    masks: int
    tolerance: float | None = None
    batch_size: BatchSize = "auto"

    @classmethod
    def of(cls, masks: int | Tensor | None, tolerance: float | None, batch_size: BatchSize) -> Budget:
        """The budget for the wishes of a caller of `relax.explain`.

        Raises:
            ValueError: If one of them is impossible; the message names it.
        """
        if tolerance is not None and not 0 < tolerance < math.inf:
            raise ValueError(f"tolerance is the largest standard error to accept, above 0; got {tolerance}")
        if batch_size != "auto" and (not _whole(batch_size) or batch_size < 1):
            raise ValueError(f'batch_size must be a whole number, 1 or more, or "auto"; got {batch_size!r}')
        if isinstance(masks, Tensor):
            masks = len(masks)
        elif masks is None:
            masks = DEFAULT_MASKS if tolerance is None else MOST_MASKS
        elif not _whole(masks) or masks < 2:
            raise ValueError(f"masks must be a whole number, 2 or more; got {masks!r}")
        return cls(masks, tolerance, batch_size)

    def stretches(self, most: int, view: Tensor) -> Iterator[tuple[int, int]]:
        """Batches of at most `most` masks for a view (1, C, h, w): first mask, one past the last.

        With a tolerance they end wherever the error is looked at.
        """
        size = _batch_size(view) if self.batch_size == "auto" else self.batch_size
        start = 0
        while start < most:
            stop = min(start + size, most)
            if self.tolerance is not None:
                stop = min(stop, (start // CHECK + 1) * CHECK)
            yield start, stop
            start = stop

    def met_after(self, moments: RelaxMoments) -> bool:
        """Whether to stop here; only looked at every 256 masks, from 512 on."""
        looks = self.tolerance is not None and moments.count >= LEAST_MASKS and moments.count % CHECK == 0
        return looks and self.met_by(moments.standard_error)

    def met_by(self, standard_error: Tensor) -> bool:
        """Whether every pixel with a standard error, (H, W), is within the tolerance."""
        known = standard_error[standard_error.isfinite()]
        return self.tolerance is not None and known.numel() > 0 and bool(known.max() <= self.tolerance)


def _whole(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


def _batch_size(view: Tensor) -> int:
    """As many views as a device digests well: large enough to be busy, small enough for cache and memory."""
    pixels = BATCH_PIXELS.get(view.device.type, BATCH_PIXELS["cpu"])
    least, most = BATCH_LIMITS
    return max(least, min(most, pixels // view[0, 0].numel()))


def hoeffding_masks(error: float, risk: float) -> int:
    """Masks for which the mean of scores in [0, 1] is within `error` of its expectation, except with chance `risk`.

    N >= ln(2 / risk) / (2 error^2): 2,944 for an error of 0.03 and a risk of 0.01. Read it as a rule of
    thumb, not as a guarantee for a RELAX map: the importance divides by the keep probability (0.5 doubles
    the error), a cosine ranges over 2 instead of 1 (doubles it again), the importance is a ratio and
    not a plain mean, and the bound holds for one pixel, not for all at once. The measured
    `Explanation.standard_error` is both valid and far tighter.

    Source: Hoeffding (1963), as used in RELAX (Wickstrøm et al., IJCV 2023).
    """
    if not (error > 0 and 0 < risk < 1):
        raise ValueError(f"error must be above 0 and risk between 0 and 1; got {error} and {risk}")
    return math.ceil(math.log(2 / risk) / (2 * error**2))
