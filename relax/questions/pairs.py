"""Why are two images close? What in each brings it closer to the other, and what of that goes beyond its own content.

    pair = relax.explain_pair("cat.png", "dog.png", encoder)
    pair.a.to_other.importance        # (H, W): what in the cat brings it closer to the dog
    pair.a.beyond.importance          # (H, W), signed: what matters more, or less, than for recognising the cat itself

Whatever is salient in an image is important for any reference, so a map for another image mostly shows the image
itself. The similarity to the other image is therefore regressed over the masks on the similarity to the image itself,
and the residual is averaged like any score:

    s_other  = offset + slope s_itself + residual        least squares over the masks
    beyond   = R(residual) = R(s_other) - offset - slope R(s_itself)

The second line holds since importance is linear in the scores (with control variates to within the standard error,
exactly with `estimator="plain"`). Two equal images have slope 1, offset 0 and nothing beyond.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from torch import Tensor

from encoders.identity import differences
from relax.estimators.budget import Progress
from relax.explanation import Explanation
from relax.io.images import ImageSource
from relax.keywords import PairKeywords, shows
from relax.probing import Probe, probe_scene, scene_of
from relax.progress import Silent, shown
from relax.records import check_record, read_json
from relax.scene import EncoderSource, loaded
from relax.settings import Settings
from similarity import measure_named

NUMBERS: dict[str, Any] = dict.fromkeys(("similarity", "offset", "slope", "correlation"), (int, float))


@dataclass(frozen=True)
class Towards:
    """What in one image brings it closer to another.

    Attributes:
        to_other: The maps for the other image as reference.
        to_itself: The maps for the image itself, as RELAX usually gives them.
        beyond: The maps of the residual, which the similarity to itself leaves unexplained, in the unit of the
            measure. Importance above 0: showing the pixel brings the image closer to the other than its own
            recognition accounts for; below 0: less close. The standard error treats offset and slope as known.
        similarity: Of the whole image to the whole other image.
        offset, slope: Of the regression of the similarity to the other on the similarity to itself.
        correlation: Of the two over the masks, in [-1, 1]. Near 1, what matters for the other image is what matters
            for the image itself; NaN if either does not vary.
    """

    to_other: Explanation
    to_itself: Explanation
    beyond: Explanation
    similarity: float
    offset: float
    slope: float
    correlation: float


@dataclass(frozen=True)
class PairExplanation:
    """Why two images are close: both directions.

    Attributes:
        a: What in the first brings it closer to the second.
        b: What in the second brings it closer to the first.
    """

    a: Towards
    b: Towards

    @property
    def similarity(self) -> float:
        """Of the whole images, the first to the second; it differs in the other direction only for "rbf"."""
        return self.a.similarity

    def record(self) -> dict[str, Any]:
        """The numbers and the provenance of the maps, as JSON types."""
        return {
            name: {
                "similarity": direction.similarity,
                "offset": direction.offset,
                "slope": direction.slope,
                "correlation": None if math.isnan(direction.correlation) else direction.correlation,
                "to_other": direction.to_other.provenance,
                "to_itself": direction.to_itself.provenance,
                "beyond": direction.beyond.provenance,
            }
            for name, direction in (("a", self.a), ("b", self.b))
        }


def load_pair(path: str | Path) -> PairExplanation:
    """Read what `relax pair` wrote: NAME-pair.json, and the six maps beside it.

    Raises:
        FileNotFoundError: If one of them is not there.
        ValueError: If one of them is damaged.
    """
    path = Path(path)
    record = read_json(path.read_bytes())
    try:
        check_record(record, {"a": NUMBERS, "b": NUMBERS})
        numbers = {side: [_read(record[side][name]) for name in NUMBERS] for side in ("a", "b")}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not the record of a pair ({error})") from None
    a, b = (
        Towards(
            Explanation.load(path.with_name(f"{path.stem}-{side}-to-other.npz")),
            Explanation.load(path.with_name(f"{path.stem}-{side}-to-itself.npz")),
            Explanation.load(path.with_name(f"{path.stem}-{side}-beyond.npz")),
            *numbers[side],
        )
        for side in ("a", "b")
    )
    return PairExplanation(a, b)


def _read(value: float | None) -> float:
    return math.nan if value is None else float(value)


@shows(PairKeywords)
def explain_pair(
    a: ImageSource,
    b: ImageSource,
    encoder: EncoderSource = "default",
    *,
    progress: Progress | Silent | None = None,
    **keywords: Unpack[PairKeywords],
) -> PairExplanation:
    """Explain why two images are close, in both directions, from one probe of each.

    Args:
        a: The first image, as for `relax.explain`.
        b: The second.
        encoder: As for `relax.explain`.
        progress: As for `relax.explain`, starting over with each image.
        keywords: Keywords of `relax.probe`, and `similarity`; they apply to both images.

    Raises:
        ImageError, EncoderError, ValueError: As `relax.probe`.
    """
    settings = Settings.of(keywords, PairKeywords, "explain_pair")
    network = loaded(encoder, settings.execution, settings.request)
    scenes = [scene_of(image, network, settings) for image in (a, b)]  # both are read before either is masked
    with shown(progress, "masks") as report:
        first, second = (probe_scene(scene, settings, report) for scene in scenes)
    return pair_of(first, second, similarity=settings.request.similarity)


def pair_of(a: Probe, b: Probe, *, similarity: str = "cosine") -> PairExplanation:
    """`explain_pair` of two probes by the same encoder; nothing is encoded again.

    Raises:
        ValueError: If the measure is unknown, or the encoders or the widths of the embeddings differ.
    """
    first, second = (probe.provenance["encoder"] for probe in (a, b))
    if first["name"] != second["name"] or differences(first, second):
        raise ValueError(
            f"a pair must be probed by one encoder; got {first['name']!r} and {second['name']!r}, whose embeddings "
            "cannot be compared"
        )
    return PairExplanation(_towards(a, b, similarity), _towards(b, a, similarity))


def _towards(probe: Probe, other: Probe, similarity: str) -> Towards:
    measure = measure_named(similarity)
    name = other.scene.name
    reference = other.image_embedding.to(probe.embeddings.device)
    to_other, to_itself = measure(probe.embeddings, reference), measure(probe.embeddings, probe.image_embedding)
    offset, slope, correlation = line_over(to_itself, to_other)
    return Towards(
        to_other=probe.answer(to_other, {"similarity": similarity, "reference": name}),
        to_itself=probe.answer(to_itself, {"similarity": similarity, "reference": "itself"}),
        beyond=probe.answer(
            to_other - offset - slope * to_itself,
            {"similarity": similarity, "reference": name, "map": f"{similarity} beyond that to itself"},
        ),
        similarity=float(measure(probe.image_embedding[None], reference)[0]),
        offset=offset,
        slope=slope,
        correlation=correlation,
    )


def line_over(x: Tensor, y: Tensor) -> tuple[float, float, float]:
    """Offset and slope of the least-squares line of y (N,) over x, and their correlation; slope 0 for a constant x."""
    from_x, from_y = x - x.mean(), y - y.mean()
    xx, yy, xy = float(from_x @ from_x), float(from_y @ from_y), float(from_x @ from_y)
    slope = xy / xx if xx > 0 else 0.0
    correlation = max(-1.0, min(1.0, xy / (xx * yy) ** 0.5)) if xx > 0 and yy > 0 else float("nan")
    return float(y.mean() - slope * x.mean()), slope, correlation
