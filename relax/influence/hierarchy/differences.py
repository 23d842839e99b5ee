"""In which features a group stands out from its siblings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relax.influence.rules.features import Features
from relax.text import number

LEAST, MOST, LEVEL = 0.5, 3, 0.05  # standard deviations, features of a group, and of the test over all features


@dataclass(frozen=True)
class Difference:
    """How a group's mean of a feature differs from its siblings'.

    Attributes:
        feature: Its name.
        mean, other: Of the group and of its siblings, in the feature's unit.
        standardised: mean minus other, in standard deviations of all these pictures together.
    """

    feature: str
    mean: float
    other: float
    standardised: float

    def __str__(self) -> str:
        sign = "more" if self.standardised > 0 else "less"
        return f"{sign} {self.feature} ({number(self.mean)}, not {number(self.other)})"


def differences(features: Features, group: NDArray[np.bool_], siblings: NDArray[np.bool_]) -> tuple[Difference, ...]:
    """The features that differ most, largest first: at most three.

    Each differs by half a standard deviation and by the rank-sum test at 0.05 divided by the number of features.
    Values that are unknown are left out.
    """
    from scipy.stats import mannwhitneyu

    notable = []
    for name, values in zip(features.names, features.values.T, strict=True):
        mine, theirs = (values[rows & np.isfinite(values)] for rows in (group, siblings))
        spread = np.concatenate([mine, theirs]).std() if len(mine) and len(theirs) else 0.0
        if spread <= 1e-12:
            continue
        difference = Difference(
            name, float(mine.mean()), float(theirs.mean()), float((mine.mean() - theirs.mean()) / spread)
        )
        if abs(difference.standardised) >= LEAST and mannwhitneyu(mine, theirs).pvalue <= LEVEL / len(features.names):
            notable.append(difference)
    return tuple(sorted(notable, key=lambda difference: -abs(difference.standardised))[:MOST])
