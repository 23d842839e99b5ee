"""Search for the fewest cells: along a ranking, cell by cell, by swaps, from other starts, and by trying all sets.

Every set that counts was embedded: nothing is predicted. The similarity need not grow with the cells that are shown, so
that a set from which no single cell can be left out need not be the smallest. What is proven is proven by exhaustion:
all sets of fewer cells were tried, and none holds.

Source: backward selection of sufficient input subsets (Carter et al., AISTATS 2019); iterated local search.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, islice
from math import comb

import numpy as np
from numpy.typing import NDArray

from relax.enough.cells import Sets
from relax.enough.game import Game, Spent
from relax.metrics.maps import Mask, Values
from relax.metrics.sufficiency import shortest_prefix

AT_ONCE = 64  # prefixes in one batch, and swaps tried of all
EXHAUSTED = 256  # sets in one batch where all are tried
STIRRED = 0.3  # how far a cell may move in the ranking of a restart, as a share of all
IDLE = 10  # restarts in a row that meet no new set
STREAM = 9  # of the seed's random numbers

Members = NDArray[np.bool_]  # (n,), True = the cell is in the set


@dataclass(frozen=True)
class Aim:
    """What a set of cells is for.

    Attributes:
        game: The picture.
        at_least: The similarity.
        shown: Whether the set is shown, and has to keep it under every fill; else it is hidden, and has to lose it
            under every fill.
    """

    game: Game
    at_least: float
    shown: bool

    @property
    def count(self) -> int:
        """Cells of the picture."""
        return self.game.cells.count

    def similarities(self, sets: Sets) -> NDArray[np.float64]:
        """(N, F) similarity with each set (N, n) shown, or hidden, under each fill."""
        return self.game.scores(sets if self.shown else ~sets)

    def margins(self, sets: Sets) -> Values:
        """(N,) how far each set is on the right side, under the fill where it is least so."""
        scores = self.similarities(sets)
        margins: Values = scores.min(1) - self.at_least if self.shown else self.at_least - scores.max(1)
        return margins

    def held(self, margins: Values) -> Mask:
        """(N,) bool: the similarity is kept at the limit, and lost only below it."""
        held: Mask = margins >= 0 if self.shown else margins > 0
        return held

    def holds(self, sets: Sets) -> Mask:
        """(N,) bool: whether each set does what it is for."""
        return self.held(self.margins(sets))


class Search:
    """The smallest set found so far, which every step may improve and Ctrl-C leaves as it is.

    Attributes:
        best: (n,) bool; None until one holds.
        by_ranking: Cells that the ranking alone needs.
        at_least: No set of fewer cells holds: all were tried.
    """

    def __init__(self, aim: Aim, order: NDArray[np.int64]) -> None:
        self.aim, self.order = aim, order
        self.best: Members | None = None
        self.by_ranking: int | None = None
        self.at_least = 0

    @property
    def size(self) -> int:
        """Cells of the best set; one more than all if there is none."""
        return self.aim.count + 1 if self.best is None else int(self.best.sum())

    @property
    def proven(self) -> bool:
        """Whether no smaller set holds."""
        return self.best is not None and self.size == self.at_least

    @property
    def irreducible(self) -> bool:
        """Whether every set of one cell fewer inside the best one was tried and does not hold."""
        try:
            return self.best is not None and not self.aim.holds(_without_each(self.best)).any()
        except Spent:
            return False

    def run(self, seed: int = 0) -> None:
        """Search until the smallest set is proven or the passes are spent."""
        if not self.aim.holds(np.ones((1, self.aim.count), bool))[0]:
            return
        self._keep(np.ones(self.aim.count, bool))
        try:
            self.by_ranking = int((start := self.prefix(self.order)).sum())
            self.improve(start)
            self.exhaust(share=0.5)
            self.improve(self.grown())
            self.exhaust()
            random = np.random.default_rng((STREAM, seed))
            idle = 0
            while not self.proven and idle < IDLE:
                places = np.argsort(self.order) / self.aim.count
                stirred = np.argsort(places + STIRRED * random.random(self.aim.count))
                before = self.aim.game.passes
                self.improve(self.prefix(stirred))
                idle = idle + 1 if self.aim.game.passes == before else 0
        except Spent:
            return

    def prefix(self, order: NDArray[np.int64]) -> Members:
        """The first cells of an order, as few as hold."""
        places = np.argsort(order)
        length = shortest_prefix(
            lambda numbers: self.aim.holds(places[None] < np.array(numbers)[:, None]), self.aim.count, AT_ONCE
        )
        return self._keep(places < length)

    def improve(self, members: Members) -> None:
        """Leave out cells one by one, then swap, for as long as the set gets smaller."""
        smaller: Members | None = members
        while smaller is not None and not self.proven:
            smaller = self.swapped(self.shrunk(smaller))

    def shrunk(self, members: Members) -> Members:
        """Without the cell that is missed least, again and again, until none can be left out."""
        while members.any():
            inside = np.flatnonzero(members)
            margins = self.aim.margins(_without_each(members))
            spare = inside[np.argsort(-margins, kind="stable")][: int(self.aim.held(margins).sum())]
            if not len(spare):
                return members
            steps = [size for size in (1, 2, 4, 8, 16) if size <= max(1, len(spare) // 4)]  # several, where many may go
            tries = np.stack([members & ~np.isin(np.arange(self.aim.count), spare[:size]) for size in steps])
            members = self._keep(tries[np.flatnonzero(self.aim.holds(tries))[-1]])
        return members

    def grown(self) -> Members:
        """From nothing, the cell that helps most, again and again, until the set holds."""
        members = np.zeros(self.aim.count, bool)
        while not self.aim.holds(members[None])[0]:
            outside = np.flatnonzero(~members)
            margins = self.aim.margins(_with_each(members))
            members[outside[int(margins.argmax())]] = True
        return self._keep(members)

    def swapped(self, members: Members) -> Members | None:
        """A set of one cell fewer, by swaps that each bring it closer to holding; None where no swap helps.

        Of all swaps those are tried whose two halves, each known by itself, promise most.
        """
        if not members.any():
            return None
        fewer = _without_each(members)
        margins = self.aim.margins(fewer)
        current, margin = fewer[int(margins.argmax())], float(margins.max())
        while current.any():
            out, into = np.flatnonzero(current), np.flatnonzero(~current)
            promise = self.aim.margins(_without_each(current))[:, None] + self.aim.margins(_with_each(current))[None]
            pairs = np.argsort(-promise, axis=None, kind="stable")[:AT_ONCE]
            tries = np.repeat(current[None], len(pairs), 0)
            rows = np.arange(len(pairs))
            tries[rows, out[pairs // len(into)]] = False
            tries[rows, into[pairs % len(into)]] = True
            margins = self.aim.margins(tries)
            if not margins.max() > margin:
                return None
            current, margin = tries[int(margins.argmax())], float(margins.max())
            if self.aim.held(margins.max(keepdims=True))[0]:
                return self._keep(current)
        return None

    def exhaust(self, share: float = 1.0) -> None:
        """Try all sets of 0, 1, 2, ... cells while that takes no more than a share of the passes that are left."""
        game, count = self.aim.game, self.aim.count
        while self.at_least < self.size:
            if not game.affords(int(comb(count, self.at_least) / share)):
                return
            every = combinations(range(count), self.at_least)
            while several := list(islice(every, EXHAUSTED)):
                sets = np.zeros((len(several), count), bool)
                for row, members in zip(sets, several, strict=True):
                    row[list(members)] = True
                if (held := self.aim.holds(sets)).any():
                    self._keep(sets[int(held.argmax())])
                    return
            self.at_least += 1

    def _keep(self, members: Members) -> Members:
        """A set that holds, kept if it is the smallest so far."""
        if int(members.sum()) < self.size:
            self.best = members.copy()
        return members


def _without_each(members: Members) -> Sets:
    """(K, n): the set without one of its K cells each."""
    inside = np.flatnonzero(members)
    sets = np.repeat(members[None], len(inside), 0)
    sets[np.arange(len(inside)), inside] = False
    return sets


def _with_each(members: Members) -> Sets:
    """(n - K, n): the set with one further cell each."""
    outside = np.flatnonzero(~members)
    sets = np.repeat(members[None], len(outside), 0)
    sets[np.arange(len(outside)), outside] = True
    return sets
