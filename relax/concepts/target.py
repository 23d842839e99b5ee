"""The score whose change along concepts is asked: of a class, or without labels by a reference, direction or number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from encoders import Encoder, Head
from encoders.values import described, is_whole
from relax.directions import read_direction
from relax.io.images import ImageSource, name_of, one_by_one, read_image


@dataclass(frozen=True)
class Score:
    """One number per embedding.

    Attributes:
        name: What it is, in words.
        function: (B, E) to (B,), differentiable.
    """

    name: str
    function: Callable[[Tensor], Tensor]


def score_of(
    encoder: Encoder,
    embeddings: Tensor,
    *,
    head: Head | None,
    target: str | int | None,
    reference: Any,
    dimension: int | None,
    direction: Any,
) -> Score:
    """The score that is asked for; without any, the projection on the mean of the pictures' own embeddings (N, E).

    Their cosine to that mean is near its maximum, where its gradient says nothing; the inner product has none.

    Raises:
        ValueError: If several are asked for, or one is impossible.
    """
    asked = {"head": head, "reference": reference, "dimension": dimension, "direction": direction}
    given = [name for name, value in asked.items() if value is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} are different questions: give one of {', '.join(asked)}")
    if target is not None and head is None:
        raise ValueError(f"target is a class of a head, and there is no head; got {described(target)}")
    width = embeddings.shape[1]
    if head is not None:
        return _of_class(head, target, encoder, embeddings)
    if dimension is not None:
        if not is_whole(dimension, 0) or dimension >= width:
            raise ValueError(
                f"dimension must be a number of the embedding, 0 to {width - 1}; got {described(dimension)}"
            )
        return Score(f"number {dimension} of the embedding", lambda z: z[:, dimension])
    if direction is not None:
        named = read_direction(direction)
        vector = _vector(named.vector, width, "direction")
        return Score(f"projection on {named.name}", lambda z: z @ vector.to(z) / vector.norm().to(z))
    if reference is None:
        mean = F.normalize(F.normalize(embeddings, dim=1).mean(0), dim=0).clone()
        return Score("projection on the mean embedding of these pictures", lambda z: z @ mean.to(z))
    fixed, name = _reference(reference, encoder, width)
    return Score(f"cosine to {name}", lambda z: F.cosine_similarity(z, fixed.to(z)[None], dim=1))


def _of_class(head: Head, target: str | int | None, encoder: Encoder, embeddings: Tensor) -> Score:
    head.check(encoder)
    if target is None:  # what most of the pictures are taken for
        predicted = head.logits(embeddings).argmax(1)
        index = int(predicted.bincount(minlength=len(head.classes)).argmax())
    else:
        index = head.class_index(target)
    return Score(f"logit of {head.classes[index]!r}", lambda z: head.logits(z)[:, index])


def _reference(reference: Any, encoder: Encoder, width: int) -> tuple[Tensor, str]:
    if isinstance(reference, np.ndarray | Tensor) and reference.ndim == 1:
        return _vector(reference, width, "reference"), "a vector"
    pictures: Sequence[ImageSource] = one_by_one(reference)
    embeddings = [encoder(read_image(picture, channels=encoder.channels or 3)).cpu() for picture in pictures]
    name = name_of(pictures[0]) if len(pictures) == 1 else f"the mean of {len(pictures)} references"
    with torch.inference_mode(False):
        return F.normalize(torch.cat(embeddings).clone(), dim=1).mean(0), name


def _vector(values: Any, width: int, name: str) -> Tensor:
    with torch.inference_mode(False):
        vector = torch.as_tensor(np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values))
        vector = vector.double().clone()
    if vector.shape != (width,) or not vector.isfinite().all() or not vector.any():
        raise ValueError(f"{name} must be {width} finite numbers, not all 0; got {described(values)}")
    return vector
