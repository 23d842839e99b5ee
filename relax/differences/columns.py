"""What the pictures of a group have in common besides: folders and values of the metadata that are too many in it.

How many pictures of a random group of the same size would have the value is hypergeometric (Fisher's exact test, one
side); p-values are multiplied by the number of comparisons (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relax.auditing.group_marks import groups_of
from relax.auditing.metadata import Metadata

LEVEL = 0.05
MOST = 5  # values of a group


@dataclass(frozen=True)
class Excess:
    """A value that a group has more often than chance would.

    Attributes:
        column: Of the metadata; "folder" for where the files lie.
        value: What they have in common.
        share: Of the group's pictures.
        overall: Of all pictures.
        p: Corrected for all values of all groups.
    """

    column: str
    value: str
    share: float
    overall: float
    p: float

    def __str__(self) -> str:
        return f"{self.column} {self.value}: {self.share:.0%} of the group, {self.overall:.0%} of all"


def excesses(
    groups: Sequence[NDArray[np.int64]], among: NDArray[np.int64], names: Sequence[str], metadata: Metadata | None
) -> list[tuple[Excess, ...]]:
    """What is too frequent in each group, the least likely first, at most five of each.

    Args:
        groups: Numbers of the pictures of each.
        among: (n,) numbers of those that could have been in them: the sample.
        names: (N) of all pictures.
        metadata: Their columns; None without a table.
    """
    from scipy.stats import hypergeom

    asked = groups_of(names, metadata)
    tests = len(asked) * len(groups)
    by_group = []
    for members in groups:
        own = []
        for group in asked:
            of_all = len(np.intersect1d(group.images, among))
            of_group = len(np.intersect1d(group.images, members))
            p = float(hypergeom.sf(of_group - 1, len(among), of_all, len(members))) * tests
            if of_group and p <= LEVEL:
                share, overall = of_group / len(members), of_all / len(among)
                own.append(Excess(group.column, group.value, share, overall, p))
        by_group.append(tuple(sorted(own, key=lambda excess: (excess.p, -excess.share))[:MOST]))
    return by_group
