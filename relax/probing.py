"""The probe: one image encoded once under many masks, to ask many questions of the same passes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relax.budget import BatchSize, Budget, Progress
from relax.estimators import RelaxMoments
from relax.explanation import Explanation
from relax.images import ImageSource
from relax.provenance import surroundings
from relax.references import Reference, embed_reference, reference_name
from relax.repeat import Repeat
from relax.scene import EncoderSource, Fill, Hiding, Scene, load_encoder
from similarity import measure_named

MASKS_AT_ONCE = 64  # when averaging: the masks are made again, and should not fill the memory


def probe(
    image: ImageSource,
    encoder: EncoderSource = "default",
    *,
    masks: int | Tensor | None = None,
    regions: str = "grid",
    cells: int = 7,
    keep: float = 0.5,
    fill: Fill = "mean",
    seed: int = 0,
    preset: str | None = None,
    pooling: str = "auto",
    device: str | torch.device = "auto",
    batch_size: BatchSize = "auto",
    progress: Progress | None = None,
) -> Probe:
    """Encode one image under many masks and keep the embeddings, to ask many questions of them.

    Arguments and errors as for `explain`. The embeddings take 4 N D bytes: 24 MB for 3,000 masks and 2,048
    dimensions.
    """
    hiding = Hiding.of(masks, regions, cells, keep, fill, seed, preset)
    budget = Budget.of(masks, None, batch_size)
    encoder = load_encoder(encoder, device, pooling)

    start = time.perf_counter()
    scene = Scene.of(image, encoder, hiding)
    embeddings = [batch for _, batch in scene.passes(budget, progress)]
    made = {**scene.record(hiding), **surroundings(encoder.device, time.perf_counter() - start)}
    return Probe(scene, torch.cat(embeddings), scene.own_embedding(), made)


@dataclass(frozen=True)
class Probe:
    """One image under many masks, embedded once; every question is then a matrix product.

    Attributes:
        scene: The image as the encoder sees it, with the recipe of the masks.
        embeddings: (N, D) float32, one per mask.
        own_embedding: (D,) of the image with nothing hidden.
        provenance: How the embeddings were made, as JSON types.
    """

    scene: Scene
    embeddings: Tensor
    own_embedding: Tensor
    provenance: dict[str, Any]

    def explain(self, reference: Reference = None, *, similarity: str = "cosine") -> Explanation:
        """The maps for one reference and one measure; as `relax.explain`, without encoding again."""
        moments = self.moments(self._scores(reference, similarity))
        made = {
            **self.provenance,
            "similarity": similarity,
            "reference": reference_name(reference),
            "tolerance": None,
            "converged": None,
        }
        return self.scene.explanation(moments, made)

    def repeat(self, runs: int = 10, reference: Reference = None, *, similarity: str = "cosine") -> Repeat:
        """Importance maps of `runs` independent parts of the masks, to vote on (REPEAT).

        The paper takes 10 runs of 1,000 masks: `probe(image, masks=10_000).repeat(10)`.

        Raises:
            ValueError: If `runs` is below 1, or does not divide the number of masks.
        """
        count = len(self.embeddings)
        if runs < 1 or count % runs:
            raise ValueError(f"runs must divide the number of masks, here {count}; got {runs}")
        size = count // runs
        scores = self._scores(reference, similarity)
        maps = [
            self.scene.to_image(self.moments(scores[start : start + size], start).importance)
            for start in range(0, count, size)
        ]
        made = {**self.provenance, "similarity": similarity, "reference": reference_name(reference), "runs": runs}
        return Repeat(np.stack(maps), made)

    def moments(self, scores: Tensor, start: int = 0) -> RelaxMoments:
        """The moments of scores (M,) that masks number `start` to `start + M - 1` got; the masks are made again."""
        moments = RelaxMoments.empty(self.scene.size, self.scene.home)
        for some in torch.split(scores, MASKS_AT_ONCE):
            moments.add(some, self.scene.source.masks(start, start + len(some), self.scene.home))
            start += len(some)
        return moments

    def _scores(self, reference: Reference, similarity: str) -> Tensor:
        """(N,) similarity of each masked image to the reference."""
        measure = measure_named(similarity)
        if reference is None:
            return measure(self.embeddings, self.own_embedding)
        return measure(self.embeddings, embed_reference(reference, self.scene.encoder).to(self.embeddings.device))
