"""RELAX and RISE: hide random parts, and average the masks weighted with their scores."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor

from relax.baselines.scalar import Head, class_score
from relax.baselines.task import Maps, MethodError, Task
from relax.explanation import Explanation
from relax.run import Run
from relax.scene import within_limits

if TYPE_CHECKING:
    from relax.probing import Probe


def mask_average(task: Task) -> Iterator[Maps]:
    """The mean score over the masks that show a pixel, with its uncertainty and standard error; at each look, and last.

    With a similarity as the score this is RELAX, with the probability of a class it is RISE. The RISE paper divides
    sum(p m) by N E[m], the expected sum of the masks; here, as in RELAX, the divisor is the sum of the masks drawn.
    The two differ at each pixel by the factor mean(m) / E[m], which converges to 1. Dividing by the masks drawn
    removes their unevenness from the map, holds for any masks, since E[m] is not needed, and has the standard error
    of a ratio.

    Sources: RELAX (Wickstrøm et al., IJCV 2023); RISE (Petsiuk, Das & Saenko, BMVC 2018), section 3.1.
    """
    run = Run(task.scene, task.scalar, task.budget, task.progress, task.every)
    for moments in run.looks():
        task.passes = moments.count
        if not run.early:
            task.scene.check_shown(moments.importance)
        importance, beyond = within_limits(moments.importance, task.scalar.unit)
        settings: dict[str, Any] = {"estimator": {**moments.record(), **beyond}}
        if task.budget.tolerance is not None:
            settings |= {name: run.record()[name] for name in ("tolerance", "converged")}
        error = moments.standard_error if task.scene.source.independent else None
        unit = f"mean {task.scalar.unit}"
        yield Maps(importance, unit, moments.uncertainty, error, settings, moments.count, run)


def rise_of(probe: Probe, head: Head, target: str | int | None = None) -> Explanation:
    """RISE from the embeddings of a probe: no further encoder passes.

    Args:
        probe: The result of `relax.probe`.
        head: A head for the probe's encoder.
        target: The class to explain, by name or number; None is the class predicted for the image with nothing hidden.

    Returns:
        The maps of `relax.explain(image, encoder, method="rise", head=head)` under the same masks.

    Raises:
        ValueError: If the head does not fit the encoder, or has no such class.
    """
    start = time.perf_counter()
    head.check(probe.scene.encoder)
    index = predicted(head, probe.image_embedding) if target is None else head.class_index(target)
    scalar = class_score(head, index, "probability")
    moments = probe.moments(scalar(probe.embeddings))
    provenance = {
        **probe.provenance,
        "method": "rise",
        "similarity": None,
        "reference": None,
        "scalar": scalar.name,
        "map": f"mean {scalar.unit}",
        "target": head.classes[index],
        "cost": {"passes": 0},
        "seconds": round(time.perf_counter() - start, 3),
    }
    return probe.scene.explanation(moments, provenance)


def predicted(head: Head, embedding: Tensor) -> int:
    """The class that the head gives the highest probability for an embedding (D,)."""
    scores = head.scores(embedding[None])[0]
    if len(head.classes) != len(scores):
        raise MethodError(f"head must give one score for each of its {len(head.classes)} classes; got {len(scores)}")
    return int(scores.argmax())
