"""One picture before one encoder, and the score that hiding pixels is to change: what the map that is judged explains.

A map of a similarity is judged by that similarity, a map of a class by the probability of the class. Counts its encoder
passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from relax.baselines.rise import predicted
from relax.baselines.scalar import Head, class_score
from relax.estimators.budget import Budget
from relax.metrics.maps import Map, Mask, Values, checked_map
from relax.references import Question
from relax.scene import Scene

BATCHES = Budget.of(None, None, "auto")
ITSELF = Question("cosine", None, None, ("itself", "itself"))


@dataclass
class Trial:
    """One picture before one encoder, and the score that hiding pixels is to change.

    Attributes:
        scene: The picture as the encoder sees it, with what hidden pixels show.
        target: Embeddings (N, D) to scores (N,), higher = closer, or more of the class.
        image_embedding: (D,) the embedding of the picture with nothing hidden.
        asked: What is scored: "scalar" in words, and "target" (a class) or "reference" and perhaps "foil".
        passes: Encoder passes so far.
    """

    scene: Scene
    target: Callable[[Tensor], Tensor]
    image_embedding: Tensor
    asked: Mapping[str, Any]
    passes: int = 1

    @classmethod
    def of(
        cls,
        scene: Scene,
        question: Question | None = None,
        image_embedding: Tensor | None = None,
        *,
        head: Head | None = None,
        target: str | int | None = None,
    ) -> Trial:
        """The trial of a question to the scene, or of a class.

        Args:
            scene: The picture.
            question: The similarity; None is the cosine to the picture itself.
            image_embedding: (D,) of the picture, if it has been computed already; else it costs one encoder pass.
            head: Scores the probability of a class instead.
            target: Name or number of the class; None is the one that the head predicts for the picture.

        Raises:
            ValueError: If there are both a question and a head, or the head does not fit the encoder or has no such
                class.
        """
        passes = int(image_embedding is None)
        embedding = scene.image_embedding if image_embedding is None else image_embedding
        if head is None:
            question = question or ITSELF
            score = question.target(scene.accumulator_device, lambda: embedding)
            return cls(scene, score, embedding, {"scalar": question.scalar, **question.record()}, passes)
        if question is not None:
            raise ValueError("head scores a class, and a question a similarity: give one of the two")
        head.check(scene.encoder)
        index = predicted(head, embedding) if target is None else head.class_index(target)
        probability = class_score(head, index, "probability")
        asked = {"scalar": probability.name, "target": head.classes[index], "index": index}
        return cls(scene, probability, embedding, asked, passes)

    @property
    def of_class(self) -> bool:
        """Whether the probability of a class is scored."""
        return "target" in self.asked

    @property
    def of_itself(self) -> bool:
        """Whether the similarity to the picture itself is scored, and nothing else."""
        return subject(self.asked) == (None, True, False)

    @property
    def image_score(self) -> float:
        """The score of the picture with nothing hidden."""
        return float(self.target(self.image_embedding[None])[0])

    def embeddings(self, visible: Mask) -> Tensor:
        """(N, D) embeddings of the picture with only the pixels `visible` (N, h, w) shown."""
        embeddings = []
        for start, stop in BATCHES.stretches(len(visible), self.scene.view):
            masks = torch.from_numpy(np.ascontiguousarray(visible[start:stop, None])).to(self.scene.view)
            embeddings.append(self.scene.embed(self.scene.masked(masks)).to(self.scene.accumulator_device))
        self.passes += len(visible)
        return torch.cat(embeddings)

    def scores(self, visible: Mask) -> Values:
        """(N,) scores of the picture with only the pixels `visible` (N, h, w) shown."""
        scores: Values = self.target(self.embeddings(visible)).cpu().numpy().astype(np.float64)
        return scores

    def scores_of(self, pixels: NDArray[np.float32]) -> Values:
        """(N,) scores of other pixels (N, C, h, w) in [0, 1] in place of the view."""
        scores = []
        for start, stop in BATCHES.stretches(len(pixels), self.scene.view):
            embeddings = self.scene.embed(torch.from_numpy(pixels[start:stop]).to(self.scene.view))
            scores.append(self.target(embeddings.to(self.scene.accumulator_device)).cpu().numpy())
        self.passes += len(pixels)
        return np.concatenate(scores).astype(np.float64)

    def in_view(self, importance: Map) -> Values:
        """Bring a map from the frame of the picture to that of the view: (H, W) to (h, w).

        Between pixels the known ones are interpolated; NaN where none is near. This undoes `Scene.to_image`; finer
        detail than the view has is sampled, not averaged.

        Raises:
            ValueError: If the map does not have the size of the picture.
        """
        values, scene = checked_map(importance), self.scene
        height, width = scene.image.shape[-2:]
        if values.shape != (height, width):
            raise ValueError(f"importance must have the size of the picture, {(height, width)}; got {values.shape}")
        box = scene.encoder.seen(height, width) if scene.resized else (0.0, 0.0, float(height), float(width))
        if scene.size == (height, width) and box == (0, 0, height, width):
            return values
        top, left, bottom, right = box
        rows = (torch.arange(scene.size[0], dtype=torch.float64) + 0.5) / scene.size[0] * (bottom - top) + top
        columns = (torch.arange(scene.size[1], dtype=torch.float64) + 0.5) / scene.size[1] * (right - left) + left
        grid = torch.stack(torch.meshgrid(columns / width * 2 - 1, rows / height * 2 - 1, indexing="xy"), -1)
        known = torch.from_numpy(~np.isnan(values)).double()
        both = torch.stack([torch.from_numpy(np.nan_to_num(values)) * known, known])
        placed, weight = F.grid_sample(
            both[None], grid[None], mode="bilinear", padding_mode="border", align_corners=False
        )[0]
        resampled: Values = torch.where(weight > 1e-6, placed / weight, torch.nan).numpy()
        return resampled


def subject(record: Mapping[str, Any]) -> tuple[str | None, bool, bool]:
    """What a trial scores, or an explanation explains: which class, whether the picture itself, whether a foil."""
    target = record.get("target")
    return target, target is None and record.get("reference") in (None, "itself"), record.get("foil") is not None
