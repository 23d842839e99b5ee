"""More masks for an earlier explanation: what must be the same, and what the two records add up to.

An explanation keeps the score of each of its masks. The same seed draws the same masks again, so that with further
scores it becomes what it would have been with all masks from the start.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from encoders import Encoder
from encoders.identity import differences
from encoders.passes import Score
from encoders.values import described
from relax.estimators.budget import Budget
from relax.explanation import Explanation
from relax.provenance import version_of
from relax.scene import Scene
from relax.text import shortened

COMPARED = ("fill", "seed", "method", "similarity", "reference", "foil", "dimension", "direction")
CHECKED = 16  # masks that are embedded again: their scores show what records cannot, as another reference of one name
AGREEMENT = 1e-3  # of those scores with the earlier ones, as a share of their spread: far above rounding


def earlier_scores(earlier: Explanation, scene: Scene, record: dict[str, Any], score: Score, budget: Budget) -> Tensor:
    """(N,) the scores of an explanation to which this run may add.

    Args:
        earlier: The explanation.
        scene: The picture with its masks in this run.
        record: How this run makes its maps, as far as it is known before the first mask.
        score: Embeddings (N, D) to the scores (N,) of this run.
        budget: Of this run, with the masks of `earlier` counted.

    Raises:
        ValueError: If it has no scores, or as many masks as the budget; or if picture, encoder, masks, question,
            version or scores differ, naming what does.
    """
    if not isinstance(earlier, Explanation):
        raise ValueError(f"earlier must be an Explanation; got {described(earlier)}")
    if earlier.scores is None:
        raise ValueError("earlier has no scores of its masks, as those of other methods and versions: explain it anew")
    if (total := scene.total(budget)) <= len(earlier.scores):
        raise ValueError(f"masks must be above the {len(earlier.scores)} that earlier has; got at most {total}")
    before = earlier.provenance
    if dtype := _rounded(before) or (scene.encoder.precision if scene.encoder.precision != "exact" else None):
        raise ValueError(f'earlier can be continued with precision "exact" only, which both must have; got {dtype!r}')
    if differ := _differences(before, record, scene.encoder):
        raise ValueError(f"earlier cannot be continued: {'; '.join(differ)}")
    scores = torch.from_numpy(earlier.scores).to(scene.accumulator_device)
    _check_scores(scores, scene, score, budget)
    return scores


def continued(record: dict[str, Any], earlier: dict[str, Any]) -> dict[str, Any]:
    """What the record of a run becomes by that of the explanation that it continued: scale, seconds, and its origin."""
    count = earlier["masks"]["count"]
    added = record["cost"]["passes"] - earlier["cost"]["passes"]
    cosine = {**record["scale"]["cosine"]}
    before = ((earlier.get("scale") or {}).get("cosine") or {}).get("masked")
    if before and (masked := cosine["masked"]):
        mean = (count * before["mean"] + added * masked["mean"]) / (count + added)
        least, most = min(before["min"], masked["min"]), max(before["max"], masked["max"])
        cosine["masked"] = {"mean": float(f"{mean:.6g}"), "min": least, "max": most}
    zeros = record["scale"]["zeros"] + ((earlier.get("scale") or {}).get("zeros") or 0)
    return {
        **record,
        "scale": {**record["scale"], "cosine": cosine, "zeros": zeros},
        "seconds": round(record["seconds"] + (earlier.get("seconds") or 0), 3),
        "earlier": {"masks": count, "created": earlier.get("created")},
    }


def _rounded(record: dict[str, Any]) -> str | None:
    dtype = (record.get("precision") or {}).get("dtype", "float32")
    return None if dtype == "float32" else str(dtype)


def _differences(before: dict[str, Any], now: dict[str, Any], encoder: Encoder) -> list[str]:
    """What differs so that scores cannot be mixed, in words."""
    now = json.loads(json.dumps(now))
    if before.get("image_sha256") != now["image_sha256"]:
        return ["it is of another picture"]
    recorded = before.get("encoder") or {}
    if different := differences(recorded, now["encoder"]):
        return [f"its encoder {recorded.get('name')!r} has another {', '.join(different)} than {encoder.name!r}"]
    masks = {key: value for key, value in (before.get("masks") or {}).items() if key != "count"}
    pairs = {key: (masks.get(key), now["masks"].get(key)) for key in {**masks, **now["masks"]}}
    pairs |= {key: (before.get(key), now.get(key)) for key in COMPARED}
    pairs["within"] = _region_in(before), _region_in(now)
    version = (before.get("versions") or {}).get("relax-explainer")
    pairs["version of relax-explainer"] = (version, version_of("relax-explainer"))
    return [
        f"{key.replace('_', ' ')} is {shortened(str(old), 60)} there and {shortened(str(new), 60)} here"
        for key, (old, new) in pairs.items()
        if old != new
    ]


def _region_in(record: dict[str, Any]) -> str | None:
    """What tells a region from others: its digest."""
    return (record.get("within") or {}).get("sha256")


def _check_scores(scores: Tensor, scene: Scene, score: Score, budget: Budget) -> None:
    first = replace(budget, masks=min(CHECKED, len(scores)), tolerance=None)
    again = torch.cat([score(embeddings) for _, embeddings in scene.passes(first, score=score)])
    scene.yardsticks.start()
    allowed = AGREEMENT * float(scores.std()) + 1e-6 * float(scores.abs().max())
    if not float((again - scores[: len(again)]).abs().max()) <= allowed:
        raise ValueError(
            "earlier cannot be continued: its first masks have other scores here; reference, foil, fill and encoder "
            "must be the same, not only their names"
        )
