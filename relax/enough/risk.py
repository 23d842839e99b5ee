"""Which level keeps a promise: as often as asked in expectation, or with a confidence over the calibration pictures.

Both need pictures that could as well have come in another order: calibration pictures and later ones of one archive.

in expectation    conformal risk control (Angelopoulos, Bates, Fisch, Lei & Schuster, ICLR 2024): the lowest level with
                  n / (n + 1) R(level) + 1 / (n + 1) <= risk, where R is the share of calibration pictures lost at it.
                  Over calibration and new pictures together, at most the risk is lost.
with confidence   Learn then Test (Angelopoulos, Bates, Candès, Jordan & Lei, AOAS 2025): levels are tested from the
                  highest down, each by the exact binomial p-value of a share above the risk, until one is not rejected.
                  With that confidence the calibration pictures are such that at most the risk is lost. It does not need
                  sets to get better with every cell.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

LEVELS = 201  # tried with a confidence


def pictures_necessary(risk: float, confidence: float | None) -> int:
    """The fewest calibration pictures with which a promise can be made at all.

    In expectation n >= 1 / risk - 1; with confidence (1 - risk)^n <= 1 - confidence.
    """
    exact = 1 / risk - 1 if confidence is None else math.log(1 - confidence) / math.log(1 - risk)
    return math.ceil(exact - 1e-9)


def level_in_expectation(needed: NDArray[np.float64], risk: float) -> float:
    """The lowest level by conformal risk control.

    Args:
        needed: (N,) from which level on each calibration picture is kept, see `relax.enough.rules.level_needed`; a
            picture is lost below it.
        risk: Largest expected share of pictures lost, in (0, 1).

    Raises:
        ValueError: If there are too few pictures.
    """
    check_count(len(needed), risk, None)
    lost = math.floor(risk * (len(needed) + 1) - 1 + 1e-9)  # so many may need a higher level
    return float(np.sort(needed)[len(needed) - 1 - lost])


def levels_tried(ends: tuple[float, float]) -> NDArray[np.float64]:
    """(L,) the levels that are tested, from the highest down, whatever the pictures are."""
    return np.linspace(ends[1], ends[0], LEVELS)


def level_with_confidence(
    lost: NDArray[np.int64], levels: NDArray[np.float64], count: int, risk: float, confidence: float
) -> float:
    """The lowest level by Learn then Test, fixed sequence: infinite (all cells) where none is rejected.

    Args:
        lost: (L,) how many of the calibration pictures are lost at each of the levels.
        levels: (L,) from the highest down, chosen before the pictures were seen.
        count: Of calibration pictures.
        risk: Largest share of pictures lost, in (0, 1).
        confidence: That the share is no larger, in (0, 1).

    Raises:
        ValueError: If there are too few pictures.
    """
    from scipy.stats import binom

    check_count(count, risk, confidence)
    failed = np.flatnonzero(binom.cdf(lost, count, risk) > 1 - confidence)
    rejected = len(levels) if not failed.size else int(failed[0])
    return float(levels[rejected - 1]) if rejected else math.inf


def check_count(count: int, risk: float, confidence: float | None, held_out: int = 0) -> None:
    """Refuse too few calibration pictures; those held out come on top.

    Raises:
        ValueError: With how many are necessary.
    """
    necessary = pictures_necessary(risk, confidence)
    if count < necessary:
        sure = "" if confidence is None else f" with a confidence of {confidence:g}"
        apart = f" beside {held_out} that are held out: take more, or a smaller held_out" if held_out else ""
        raise ValueError(
            f"pictures must be enough to calibrate a promise for {1 - risk:g} of them{sure}: {necessary} or more; got "
            f"{count}{apart}"
        )
