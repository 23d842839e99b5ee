"""Checks of labelled embeddings, and the split into training and validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from encoders.errors import EncoderError

MIN_IMAGES = 5  # of every class, so that one can be kept for validation and a few are left


@dataclass(frozen=True)
class Split:
    """Indices of the embeddings to learn from, and of those kept for validation, in rising order."""

    train: Tensor
    validation: Tensor


def check_labelled(embeddings: Tensor, labels: Tensor | Sequence[int], classes: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Embeddings (N, D) as float32 and labels (N,) as int64, on one device.

    Raises:
        EncoderError: If they are not finite, not of these shapes or types, a label is out of range, a name of `classes`
            stands twice, or a class has no embedding.
    """
    shape = tuple(embeddings.shape)
    if len(shape) != 2 or 0 in shape or not embeddings.is_floating_point():
        raise EncoderError(f"embeddings must be a float tensor (N, D); got {shape} {embeddings.dtype}")
    if not embeddings.isfinite().all():
        raise EncoderError("embeddings must be finite; got NaN or infinity: leave those images out")
    y = torch.as_tensor(labels)
    if tuple(y.shape) != shape[:1] or y.is_floating_point():
        raise EncoderError(f"labels must be {shape[0]} whole numbers, one an embedding; got {tuple(y.shape)} {y.dtype}")
    if len(set(classes)) != len(classes):
        raise EncoderError(f"classes must be different names; got {', '.join(classes)}")
    if y.min() < 0 or y.max() >= len(classes):
        raise EncoderError(f"labels must be from 0 to {len(classes) - 1}; got {int(y.min())} to {int(y.max())}")
    y = y.long().to(embeddings.device)
    check_counts(class_counts(y, classes), 1)
    return embeddings.detach().float(), y


def check_counts(images: dict[str, int], minimum: int = MIN_IMAGES) -> None:
    """Refuse fewer than 2 classes, or fewer than `minimum` images of one.

    Raises:
        EncoderError: Names the classes that have too few.
    """
    if len(images) < 2:
        raise EncoderError(f"classes must be at least 2 to tell apart; got {', '.join(images) or 'none'}")
    small = [f"{name!r} has {count}" for name, count in images.items() if count < minimum]
    if small:
        listed = ", ".join(small[:3]) + (f" and {len(small) - 3} more" if len(small) > 3 else "")
        raise EncoderError(f"every class needs at least {minimum} images; {listed}: add images or leave the class out")


def validation_count(images: int) -> int:
    """How many images of a class are kept for validation: a fifth, at least one."""
    return max(1, round(images / 5))


def class_counts(labels: Tensor, classes: Sequence[str]) -> dict[str, int]:
    """How many labels every class has."""
    return dict(zip(classes, labels.bincount(minlength=len(classes)).tolist(), strict=True))


def split_by_class(labels: Tensor, classes: Sequence[str], seed: int) -> Split:
    """A fifth of every class for validation, drawn on the CPU, so that it is the same on every device.

    Raises:
        EncoderError: As `check_counts`.
    """
    check_counts(class_counts(labels, classes))
    generator = torch.Generator().manual_seed(seed)
    train, validation = [], []
    for number in range(len(classes)):
        members = (labels.cpu() == number).nonzero()[:, 0]
        members = members[torch.randperm(len(members), generator=generator)]
        count = validation_count(len(members))
        validation.append(members[:count])
        train.append(members[count:])
    return Split(*(torch.cat(part).sort().values.to(labels.device) for part in (train, validation)))
