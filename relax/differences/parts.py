"""What parts of a picture make one encoder take it for near to its group, and the other not.

Both encoders see the picture under the same masks. Each mask gives the similarity to the mean embedding of the group's
other pictures, once by each encoder. What the first has that the second does not explain is the residual of a
regression over the masks, averaged like any score (as `relax.questions.pairs` does for two references):

    s_near = offset + slope s_far + residual        least squares over the masks
    beyond = R(residual)

Importance of `beyond` above 0: showing the pixel brings the picture closer to its group by the encoder that takes the
group for near, more than the other encoder's similarity accounts for. Its standard error treats offset and slope as
known. Where the encoders see different parts of the picture, as with and without a crop, a mask hides the same cells of
what each sees, and the residual compares similar places only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from encoders import Encoder
from relax.auditing.neighbours import unit
from relax.explanation import Explanation
from relax.io.images import ImageSource
from relax.probing import Probe, probe_image
from relax.questions.pairs import line_over
from relax.settings import Settings
from similarity import measure_named

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """The maps of one picture of a group.

    Attributes:
        picture: Its number.
        near: What brings it closer to its group by the encoder that takes the group for near.
        far: The same by the other encoder.
        beyond: What the first has that the second does not explain, signed.
        slope: Of the regression of the first similarity on the second.
        correlation: Of the two over the masks, in [-1, 1]; NaN if either does not vary.
        same_frame: Whether both encoders see the same part of the picture.
    """

    picture: int
    near: Explanation
    far: Explanation
    beyond: Explanation
    slope: float
    correlation: float
    same_frame: bool


def part_of(
    source: ImageSource,
    picture: int,
    encoders: tuple[Encoder, Encoder],
    references: tuple[Vector, Vector],
    name: str,
    named: str,
    settings: Settings,
    progress: Callable[[int, int], None] | None = None,
) -> Part:
    """The maps of a picture.

    Args:
        source: The picture.
        picture: Its number.
        encoders: The one that takes the group for near, and the other.
        references: Mean embeddings (D,) and (E,) of the group's other pictures by each.
        name: Of the picture, as figures and records call it.
        named: What the references are, in words.
        settings: Of both probes.
        progress: Called with (masks done, masks) by each probe.

    Raises:
        ImageError: If the picture cannot be read.
    """
    measure = measure_named("cosine")
    probes = [probe_image(source, encoder, settings, progress) for encoder in encoders]
    scores = []
    for probe, reference in zip(probes, references, strict=True):
        vector = torch.from_numpy(reference.astype(np.float32)).to(probe.embeddings.device)
        scores.append(measure(probe.embeddings, vector).cpu().double())
    near, far = scores
    offset, slope, correlation = line_over(far, near)
    record = {"image": name, "similarity": "cosine", "reference": named}
    beyond = {
        "map": f"cosine to the group beyond that by {encoders[1].name}",
        "beyond": {"encoder": encoders[1].name, "offset": offset, "slope": slope},
    }
    return Part(
        picture,
        _answer(probes[0], near, record),
        _answer(probes[1], far, record),
        _answer(probes[0], near - offset - slope * far, record | beyond),
        slope,
        correlation,
        probes[0].scene.frame == probes[1].scene.frame,
    )


def mean_direction(embeddings: NDArray[np.float32], without: int) -> Vector:
    """(D,) mean of the directions of embeddings (m, D), without one of them."""
    vectors = unit(embeddings)
    mean: Vector = np.delete(vectors, without, axis=0).mean(0)
    return mean


def _answer(probe: Probe, scores: torch.Tensor, record: dict[str, Any]) -> Explanation:
    cost = {"passes": len(scores), "in_words": "masks"}
    return probe.answer(scores.to(probe.embeddings.device), {**record, "cost": cost})
