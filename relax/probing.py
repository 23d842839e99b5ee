"""The probe: one image encoded once under many masks, to answer many questions from the same passes."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from encoders import Encoder
from encoders.values import described, is_whole, plain
from relax.directions import DirectionSource
from relax.estimators.budget import Budget, Progress
from relax.estimators.moments import Estimator
from relax.estimators.repeat import Repeat
from relax.explanation import Explanation
from relax.io.images import ImageSource
from relax.keywords import ProbeKeywords, shows
from relax.progress import Silent, shown
from relax.provenance import surroundings
from relax.references import Question, Reference
from relax.run import moments_of
from relax.scene import EncoderSource, Scene, loaded
from relax.settings import BatchSize, Request, Settings


@shows(ProbeKeywords)
def probe(
    image: ImageSource,
    encoder: EncoderSource = "default",
    *,
    progress: Progress | Silent | None = None,
    **keywords: Unpack[ProbeKeywords],
) -> Probe:
    """Encode one image under many masks and keep the embeddings, to answer many questions from them.

    Arguments and errors as for `explain`. The embeddings occupy 4 N D bytes: 24 MB for 3,000 masks and 2,048
    dimensions.
    """
    settings = Settings.of(keywords, ProbeKeywords, "probe")
    network = loaded(encoder, settings.execution, settings.request)
    with shown(progress, "masks") as report:
        return probe_image(image, network, settings, report)


def probe_image(image: ImageSource, encoder: Encoder, settings: Settings, progress: Progress | None = None) -> Probe:
    """`probe`, given a loaded encoder and checked settings."""
    return probe_scene(scene_of(image, encoder, settings), settings, progress)


def scene_of(image: ImageSource, encoder: Encoder, settings: Settings) -> Scene:
    """The scene of `probe_scene`; whatever is wrong with the picture is found here, before any mask is embedded."""
    return Scene.of(image, encoder, settings.hiding, settings.estimation.estimator)


def probe_scene(scene: Scene, settings: Settings, progress: Progress | None = None) -> Probe:
    """`probe` of a picture that has been read."""
    start = time.perf_counter()
    budget = Budget(settings.count, None, settings.execution.batch_size)
    embeddings = torch.cat([batch for _, batch in scene.passes(budget, progress)])
    image_embedding = scene.image_embedding
    record = {
        **scene.record(settings.hiding),
        "scale": scene.yardsticks.record(),
        **surroundings(scene.encoder.device, time.perf_counter() - start),
    }
    return Probe(scene, embeddings, image_embedding, record)


@dataclass(frozen=True)
class Probe:
    """One image under many masks, embedded once; each question is then a matrix product.

    Attributes:
        scene: The image as the encoder sees it, with its masks.
        embeddings: (N, D) float32, one per mask.
        image_embedding: (D,) embedding of the image with nothing hidden.
        provenance: How the embeddings were made, as JSON types.
    """

    scene: Scene
    embeddings: Tensor
    image_embedding: Tensor
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        count, width = self.embeddings.shape
        return (
            f"Probe of {self.provenance['image']}: {count:,} masked views, embedded by {self.scene.encoder.name} in "
            f"{width:,} dimensions"
        )

    def extend(self, masks: int, *, batch_size: BatchSize = "auto", progress: Progress | Silent | None = None) -> Probe:
        """A probe with `masks` further masks, the same as `relax.probe` with all of them; this one stays as it is.

        Args:
            masks: How many more.
            batch_size: As for `relax.explain`.
            progress: Called with (masks done, masks at the end) after every batch; otherwise as for `relax.explain`.

        Raises:
            ValueError: If `masks` is below 1, or the masks run out, as windows and given masks do.
        """
        start, count, limit = time.perf_counter(), len(self.embeddings), self.scene.source.limit
        if not is_whole(masks := plain(masks), 1):
            raise ValueError(f"masks must be how many more, 1 or more; got {described(masks)}")
        if limit is not None and count + masks > limit:
            raise ValueError(f"masks must be at most {limit - count} more, there are no others; got {masks}")
        yardsticks = self.scene.yardsticks
        yardsticks.start()
        yardsticks.add(self.embeddings)
        budget = Budget.of(count + masks, None, batch_size)
        with shown(progress, "masks") as report:
            further = [batch for _, batch in self.scene.passes(budget, report, first=count)]
        seconds = self.provenance["seconds"] + time.perf_counter() - start
        record = {**self.provenance, "scale": yardsticks.record(), **surroundings(self.scene.encoder.device, seconds)}
        return replace(self, embeddings=torch.cat([self.embeddings, *further]), provenance=record)

    def explain(
        self,
        reference: Reference = None,
        *,
        foil: Reference = None,
        similarity: str = "cosine",
        dimension: int | None = None,
        direction: DirectionSource = None,
    ) -> Explanation:
        """The maps for one reference, foil and measure, or a dimension or direction of the embedding.

        As from `relax.explain`, without encoding the image again.
        """
        request = Request(
            similarity=similarity, reference=reference, foil=foil, dimension=dimension, direction=direction
        )
        return self.ask(Question.asked(request, self.scene.encoder))

    def ask(self, question: Question) -> Explanation:
        """The maps for a question, whose reference and foil are already embedded."""
        return self.answer(self._scores(question), question.record())

    def answer(self, scores: Tensor, question: dict[str, Any]) -> Explanation:
        """The maps of any score of the masked images.

        Args:
            scores: (N,), one per mask, in any unit; higher = closer.
            question: What the scores mean, for the provenance, as JSON types.
        """
        record = {**self.provenance, **question, "tolerance": None, "converged": None}
        return self.scene.explanation(self.moments(scores), record, scores)

    def repeat(self, runs: int = 10, reference: Reference = None, *, similarity: str = "cosine") -> Repeat:
        """Importance maps of `runs` disjoint subsets of the masks, which then vote (REPEAT).

        The paper uses 10 runs of 1,000 masks: `probe(image, masks=10_000).repeat(10)`.

        Raises:
            ValueError: If `runs` is below 1, or does not divide the number of masks.
        """
        count, runs = len(self.embeddings), plain(runs)
        if not is_whole(runs, 1) or count % runs:
            raise ValueError(f"runs must divide the number of masks, here {count}; got {described(runs)}")
        size = count // runs
        question = Question.of(similarity, reference, None, self.scene.encoder)
        scores = self._scores(question)
        maps = [
            self.scene.to_image(self.moments(scores[start : start + size], start).importance)
            for start in range(0, count, size)
        ]
        return Repeat(np.stack(maps), {**self.provenance, **question.record(), "runs": runs})

    def moments(self, scores: Tensor, start: int = 0) -> Estimator:
        """The moments of scores (M,) under masks `start` to `start + M - 1`; the masks are drawn anew."""
        return moments_of(self.scene, scores, start)

    def _scores(self, question: Question) -> Tensor:
        """(N,) score of each masked image."""
        return question.target(self.embeddings.device, lambda: self.image_embedding)(self.embeddings)
