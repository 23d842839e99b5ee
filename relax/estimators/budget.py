"""How many masks: a number, or until the error is small enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from encoders import EncoderError
from encoders.devices import out_of_memory
from encoders.errors import one_line
from encoders.values import described, is_number, plain
from relax.settings import BatchSize, Estimation, Execution

Progress = Callable[[int, int], None]
Result = TypeVar("Result")

CHECK = 256  # masks between two checks of the error; fixed, so that stopping does not depend on the batch size
LEAST_MASKS = 2 * CHECK  # an error estimated from fewer is itself too uncertain to stop on
LEAST_RUN = 2  # masks that have an error at all

# In one batch when its size is "auto": pixels, least and most images. Measured on a processor; its cache is small.
BATCHES = {"cpu": (20 * 224**2, 16, 64), "cuda": (256 * 224**2, 16, 512)}


def check_progress(progress: object) -> None:
    """Refuse what cannot be called."""
    if progress is not None and not callable(progress):
        raise ValueError(f"progress must be a function of (done, total); got {described(progress)}")


@dataclass(frozen=True)
class Budget:
    """How many masks, when to stop, and how many at a time.

    Attributes:
        masks: Masks to use; with a tolerance, at most.
        tolerance: Stop as soon as every visible pixel's standard error is at most this, in the unit of
            the similarity. None: use all masks.
        batch_size: Masked images in one forward pass, or "auto".
    """

    masks: int
    tolerance: float | None = None
    batch_size: BatchSize = "auto"

    @classmethod
    def of(cls, masks: int | None, tolerance: float | None, batch_size: BatchSize) -> Budget:
        """The budget for what a caller of `relax.explain` requests; None is the default.

        Raises:
            ValueError: If one of them is impossible; the message names it.
        """
        estimation, execution = Estimation(masks, tolerance), Execution(batch_size=batch_size)
        return cls(estimation.count, estimation.tolerance, execution.batch_size)

    def stretches(self, total: int, view: Tensor) -> Iterator[tuple[int, int]]:
        """Batches of `total` masks for a view (1, C, h, w): first mask, one past the last.

        With a tolerance they end wherever the error is checked.
        """
        size, start = self.batch(view), 0
        while start < total:
            stop = self.end(start, size, total)
            yield start, stop
            start = stop

    def batch(self, view: Tensor, devices: int = 1) -> int:
        """Masked views (1, C, h, w) in one forward pass, which several devices may share."""
        return _batch_size(view) * devices if self.batch_size == "auto" else self.batch_size

    def end(self, start: int, size: int, total: int) -> int:
        """One past the last mask of a batch of at most `size` that begins with mask `start`."""
        stop = min(start + size, total)
        return stop if self.tolerance is None else min(stop, (start // CHECK + 1) * CHECK)

    def checked_at(self, count: int) -> bool:
        """Whether the error is compared with the tolerance here: after 512 masks, then about a quarter more each time.

        Computing it anew must not cost more than the masks.
        """
        check = LEAST_MASKS
        while check < count:
            check += max(1, check // CHECK // 4) * CHECK
        return self.tolerance is not None and check == count

    def met_by(self, standard_error: Tensor) -> bool:
        """Whether every pixel with a standard error, (H, W), is within the tolerance."""
        known = standard_error[standard_error.isfinite()]
        return self.tolerance is not None and known.numel() > 0 and bool(known.max() <= self.tolerance)


def _batch_size(view: Tensor) -> int:
    """As many views as suit a device: enough to keep it busy, few enough for its cache and memory."""
    pixels, least, maximum = BATCHES.get(view.device.type, BATCHES["cpu"])
    least = 1 if view.ndim == 5 else least  # a volume alone may fill what many pictures do
    return max(least, min(maximum, pixels // view[0, 0].numel()))


def within_memory(work: Callable[[int], Result], size: int) -> tuple[Result, int]:
    """Do `work` with batches of `size`, halved each time that memory runs out.

    Returns:
        What `work` returned, and the size that fitted.

    Raises:
        EncoderError: If a batch of one does not fit.
    """
    while True:
        try:
            return work(size), size
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if size <= 1:
                raise EncoderError(
                    f"one masked image at a time does not fit into memory ({one_line(error)}): free some, choose "
                    "another device or a smaller encoder"
                ) from error
        size //= 2  # outside: the error still holds the tensors that did not fit
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def hoeffding_masks(error: float, risk: float) -> int:
    """Masks for which the mean of scores in [0, 1] is within `error` of its expectation, except with chance `risk`.

    N >= ln(2 / risk) / (2 error^2): 2,944 for an error of 0.03 and a risk of 0.01. Read it as a rule of
    thumb, not as a guarantee for a RELAX map: the importance divides by the keep probability (0.5 doubles
    the error), a cosine ranges over 2 instead of 1 (doubles it again), the importance is a ratio and
    not a plain mean, and the bound holds for one pixel, not for all at once. The measured
    `Explanation.standard_error` is both valid and far tighter.

    Source: Hoeffding (1963), as used in RELAX (Wickstrøm et al., IJCV 2023).
    """
    error, risk = plain(error), plain(risk)
    if not (is_number(error) and is_number(risk) and error > 0 and 0 < risk < 1):
        raise ValueError(
            f"error must be above 0 and risk between 0 and 1; got {described(error)} and {described(risk)}"
        )
    return math.ceil(math.log(2 / risk) / (2 * error**2))
