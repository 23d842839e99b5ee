"""An explanation while it runs: scores of masks come in, and the maps so far can be looked at.

A look costs what the estimate costs: next to nothing for plain averages; with control variates a few hundredths of the
time of all masks through a small encoder, and less through others. So looks are a quarter of the masks so far apart,
and without a caller who watches, or a tolerance, only plain averages are looked at, and regions, which records do not
tell well enough to look at them afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from encoders.passes import Score
from encoders.values import described, is_whole, plain
from relax.estimators.budget import CHECK, LEAST_RUN, Budget, Progress
from relax.estimators.control import ControlledMoments
from relax.estimators.convergence import Convergence
from relax.estimators.moments import Estimator
from relax.scene import Scene

if TYPE_CHECKING:
    from relax.explanation import Explanation

MASKS_AT_ONCE = 64  # when scores are averaged again: all masks drawn anew would fill the memory


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while masks came in; a KeyboardInterrupt that keeps what there is.

    In a notebook it is `sys.last_value` afterwards.

    Attributes:
        explanations: Those that there are: of the pictures that are done, then of the one that was not, from its masks
            so far, with the error of so many; the record of that one says "stopped_early".
    """

    def __init__(self, explanations: Sequence[Explanation]) -> None:
        self.explanations = list(explanations)
        early = self.explanation.provenance.get("stopped_early")
        done = len(self.explanations) - bool(early)
        parts = [f"{done} explanations are done"] if done else []
        parts += [f"one has {early['after']:,} of {early['of']:,} masks"] if early else []
        super().__init__(f"{' and '.join(parts)}; they are in sys.last_value.explanations")

    @property
    def explanation(self) -> Explanation:
        """The last one."""
        return self.explanations[-1]


class Run:
    """The scores of a scene's masks as they come in, and the maps from them.

    Args:
        scene: The picture with its masks.
        score: Embeddings (N, D) to the scores (N,) that are averaged.
        budget: How many masks, and how many at a time.
        progress: Called with (masks done, masks at most) after every batch.
        every: Masks between two looks, or a quarter of the masks so far if that is more; None for no look but the last.
        scores: (M,) those of the first masks, from an earlier run.
        curve: That of the earlier run.
    """

    def __init__(
        self,
        scene: Scene,
        score: Score,
        budget: Budget,
        progress: Progress | None = None,
        every: int | None = None,
        scores: Tensor | None = None,
        curve: Convergence | None = None,
    ) -> None:
        self.scene, self.score, self.budget, self.progress, self.every = scene, score, budget, progress, every
        self.moments = scene.estimator() if scores is None else moments_of(scene, scores)
        self.curve = curve or Convergence()
        self.interrupted = self.over = False
        self._parts = [] if scores is None else [scores]

    def looks(self) -> Iterator[Estimator]:
        """The estimate at each look, and at last that of all masks, or of those before Ctrl-C.

        Looks fall on the ends of batches, so that watching changes no number.
        """
        first = self.moments.count
        watched, drawn = first + (self.every or 0), max(CHECK, 2 * first)
        try:
            for masks, embeddings in self.scene.passes(self.budget, self.progress, self.score, first):
                scores = self.score(embeddings)
                self._parts.append(scores)
                self.moments.add(scores, masks)
                count = self.moments.count
                if self.budget.checked_at(count):
                    self._look()
                    if self._met:
                        break
                if (self.scene.surrogate is None or self.scene.region is not None) and count >= drawn:
                    self._look()
                    drawn = 2 * count
                if self.every is not None and watched <= count < self.total:
                    self._look()
                    yield self.moments
                    watched = count + max(self.every, count // 4)
        except KeyboardInterrupt:  # anywhere, even between two sums of one batch: all are added up again
            if len(self.scores) < LEAST_RUN:
                raise
            self.interrupted = True
            self.moments = moments_of(self.scene, self.scores)
        self.over = True
        self._look()
        yield self.moments

    @property
    def scores(self) -> Tensor:
        """(N,) float64, of the masks so far."""
        return torch.cat(self._parts) if self._parts else torch.empty(0, dtype=torch.float64)

    @property
    def total(self) -> int:
        """Masks at most."""
        return self.scene.total(self.budget)

    @property
    def converged(self) -> bool | None:
        """Whether the error is within the tolerance; None without one."""
        return None if self.budget.tolerance is None else self._met

    @property
    def _met(self) -> bool:
        return self.budget.met_by(self.scene.asked(self.moments.standard_error))

    @property
    def early(self) -> bool:
        """Whether masks are missing from those asked for: it goes on, or was stopped."""
        return self.moments.count < self.total and not self.converged

    def record(self) -> dict[str, Any]:
        """How far it came, as JSON types."""
        return {
            "tolerance": self.budget.tolerance,
            "converged": self.converged,
            "convergence": self.curve.record(),
            **({"stopped_early": {"after": self.moments.count, "of": self.total}} if self.early else {}),
        }

    def _look(self) -> None:
        if self.scene.source.independent:
            self.curve.add(self.moments, self.scene.asked(self.moments.standard_error))


def moments_of(scene: Scene, scores: Tensor, start: int = 0) -> Estimator:
    """The estimate from scores (M,) under masks `start` to `start + M - 1` of a scene; the masks are drawn anew."""
    moments = scene.estimator(start)
    if isinstance(moments, ControlledMoments):
        moments.add(scores)
        return moments
    for chunk in torch.split(scores, MASKS_AT_ONCE):
        moments.add(chunk, scene.source.masks(start, start + len(chunk), scene.accumulator_device))
        start += len(chunk)
    return moments


def check_every(every: object) -> int:
    """Refuse what is no number of masks."""
    if not is_whole(every := plain(every), 1):
        raise ValueError(f"every is the least number of masks between two looks, 1 or more; got {described(every)}")
    return every
