"""Other pictures as the hidden part: is what is enough before one fill enough before whatever else could be there?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.enough.cells import Cells
from relax.hiding import fill_pixels
from relax.io.images import ImageSource
from relax.metrics.summary import clopper_pearson
from relax.metrics.trial import Trial
from relax.references import Question
from relax.scene import Scene
from relax.settings import Hiding


def similarities_before(
    scene: Scene,
    cells: Cells,
    question: Question,
    members: NDArray[np.bool_],
    backgrounds: Sequence[ImageSource],
    hiding: Hiding,
) -> NDArray[np.float64]:
    """(K,) similarity to the whole picture of a set (n,) of its cells before each of K other pictures: K passes.

    Raises:
        ImageError: If one cannot be read.
    """
    visible, scores = cells.visible(members[None]), []
    for background in backgrounds:
        filled = replace(hiding, fill=background)
        fill = fill_pixels(filled, scene.view, scene.encoder, resized=scene.resized)
        scores.append(Trial.of(replace(scene, fill=fill), question, scene.image_embedding).scores(visible)[0])
    return np.array(scores)


def kept_before(scores: NDArray[np.float64], at_least: float) -> dict[str, Any]:
    """In which share of backgrounds a similarity is kept, with its interval, and the lowest, as JSON types."""
    kept = int((scores >= at_least).sum())
    return {
        "pictures": len(scores),
        "share": kept / len(scores),
        "interval": list(clopper_pearson(kept, len(scores))),
        "lowest": float(scores.min()),
    }
