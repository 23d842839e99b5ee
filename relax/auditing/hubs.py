"""Hubness: images among the neighbours of many others, and images that are no other image's neighbour.

In a space of many dimensions a few points become neighbours of almost everything, and search returns them for any
query. The k-occurrence of an image is the number of others with it among their k nearest; hubness is its skewness.

Source: Radovanović, Nanopoulos & Ivanović, Hubs in Space (JMLR 11, 2010), sections 2 and 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relax.auditing.neighbours import Neighbours


@dataclass(frozen=True)
class Hubness:
    """How unevenly images serve as neighbours.

    Attributes:
        k: Neighbours of each image.
        occurrence: (N,) int64, number of others with the image among their k nearest; the mean is k.
        skewness: E[(o - k)^3] / sd^3 of the occurrence o; 0 where all are the same. Above 1 is a strong skew.
        hubs: Indices with an occurrence more than two standard deviations above the mean, largest first.
        never: Number of images that are no other image's neighbour.
    """

    k: int
    occurrence: NDArray[np.int64]
    skewness: float
    hubs: tuple[int, ...]
    never: int


def hubness(neighbours: Neighbours) -> Hubness:
    """Count how often each image is a neighbour of another."""
    count, k = neighbours.indices.shape
    occurrence = np.bincount(neighbours.indices.reshape(-1), minlength=count)
    spread = float(occurrence.std())
    skewness = float(((occurrence - k) ** 3).mean()) / spread**3 if spread > 0 else 0.0
    above = np.flatnonzero(occurrence > k + 2 * spread)
    hubs = above[np.argsort(-occurrence[above], kind="stable")]
    return Hubness(k, occurrence, skewness, tuple(hubs.tolist()), int((occurrence == 0).sum()))
