"""A picture as a game: which similarity do these cells keep, under every fill? Each set is embedded once.

The passes of a search are limited, so the game says when they are spent; whoever searches keeps the best set so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from relax.enough.cells import Cells, Sets
from relax.estimators.budget import Progress
from relax.hiding import fill_pixels
from relax.metrics.maps import Values
from relax.metrics.trial import Trial
from relax.references import Question
from relax.scene import Scene
from relax.settings import Fill, Hiding


class Spent(Exception):
    """A search has no passes left."""


@dataclass
class Game:
    """The similarity of a picture with some of its cells shown to the whole picture.

    Attributes:
        trials: The picture under each fill.
        cells: Its cells.
        passes: Encoder passes so far.
        limit: At most.
        progress: Called with (passes, limit) after every batch of sets.
    """

    trials: Sequence[Trial]
    cells: Cells
    passes: int = 0
    limit: int | None = None
    progress: Progress | None = None
    _known: dict[bytes, Values] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, scene: Scene, cells: Cells, question: Question, hiding: Hiding, fills: Sequence[Fill]) -> Game:
        """The game of a scene, whose own fill is not used.

        Raises:
            ValueError: If a fill does not fit the view.
        """
        scenes = [
            replace(
                scene, fill=fill_pixels(replace(hiding, fill=fill), scene.view, scene.encoder, resized=scene.resized)
            )
            for fill in fills
        ]
        return cls([Trial.of(other, question, scene.image_embedding) for other in scenes], cells)

    def affords(self, sets: int) -> bool:
        """Whether so many further sets are within the limit."""
        return self.limit is None or self.passes + sets * len(self.trials) <= self.limit

    def scores(self, sets: Sets) -> NDArray[np.float64]:
        """(N, F) similarity with only the cells of each set (N, n) shown, under each fill.

        Raises:
            Spent: If those that are not known yet are beyond the limit; none is embedded then.
        """
        keys = [row.tobytes() for row in np.packbits(sets, axis=1)]
        new = {key: place for place, key in enumerate(keys) if key not in self._known}
        if new:
            if not self.affords(len(new)):
                raise Spent
            visible = self.cells.visible(sets[list(new.values())])
            scores = np.stack([trial.scores(visible) for trial in self.trials], 1)
            self._known |= dict(zip(new, scores, strict=True))
            self.passes += scores.size
            if self.progress is not None:
                self.progress(self.passes, max(self.passes, self.limit or 0))
        return np.stack([self._known[key] for key in keys]) if keys else np.empty((0, len(self.trials)))
