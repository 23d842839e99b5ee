"""Make heads from labelled embeddings: a linear probe, a k-NN bank, class prototypes.

The linear probe is the regression of `encoders.heads.regression` on standardised embeddings: nothing is random but the
split (`encoders.heads.labels`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from encoders.encoder import Encoder
from encoders.errors import EncoderError
from encoders.heads.base import Head
from encoders.heads.kinds import KnnHead, LinearHead, PrototypeHead
from encoders.heads.labels import Split, check_labelled, class_counts, split_by_class
from encoders.heads.labels import check_counts as check_counts
from encoders.heads.labels import validation_count as validation_count
from encoders.heads.regression import Descent, Progress, fit_standardised

TRAINABLE = ("linear", "knn", "prototype")


@dataclass(frozen=True)
class TrainingRecord:
    """How a head was made and how well it does.

    Attributes:
        kind: "linear", "knn" or "prototype".
        images: Number per class, training and validation together.
        train_images: Number that the head was made from.
        validation_images: Number kept for validation, the same share of every class.
        train_accuracy: Share in [0, 1]; for knn no image votes on itself.
        validation_accuracy: Share in [0, 1]. For linear a little optimistic, since this set also chose the epoch.
        baseline: Validation accuracy of always answering the largest class.
        epochs: L-BFGS iterations that were run; 0 where nothing is fitted.
        best_epoch: The one whose weights were kept; 0 where nothing is fitted.
        seed: What the split was drawn from.
    """

    kind: str
    images: dict[str, int]
    train_images: int
    validation_images: int
    train_accuracy: float
    validation_accuracy: float
    baseline: float
    epochs: int
    best_epoch: int
    seed: int


def train_head(
    kind: str,
    embeddings: Tensor,
    labels: Tensor | Sequence[int],
    classes: Sequence[str],
    *,
    seed: int = 0,
    k: int = 20,
    encoder: Encoder | None = None,
    progress: Progress | None = None,
) -> tuple[Head, TrainingRecord]:
    """Keep a fifth of every class for validation, make a head of the others, and measure its accuracy.

    Args:
        kind: "linear", "knn" or "prototype".
        embeddings: (N, D), as the encoder gives them.
        labels: (N,) class numbers from 0 to K - 1.
        classes: K different names.
        seed: What the split is drawn from.
        k: Neighbours that vote, for knn.
        encoder: Whose embeddings they are: the head remembers it.
        progress: Called with (epochs done, largest number of epochs), for linear.

    Returns:
        The head of the training embeddings alone, for which the record's accuracies hold.

    Raises:
        EncoderError: As `train_linear` and `knn_head`, or if the kind is another.
    """
    check_kind(kind)
    if kind == "linear":
        return train_linear(embeddings, labels, classes, seed=seed, encoder=encoder, progress=progress)
    z, y = check_labelled(embeddings, labels, classes)
    split = split_by_class(y, classes, seed)
    head: Head
    if kind == "knn":
        head = knn_head(z[split.train], y[split.train], classes, k=k, encoder=encoder)
    else:
        head = prototype_head(z[split.train], y[split.train], classes, encoder=encoder)
    record = _record(head, z, y, split, seed)
    return replace(head, training=asdict(record)), record


def train_linear(
    embeddings: Tensor,
    labels: Tensor | Sequence[int],
    classes: Sequence[str],
    *,
    seed: int = 0,
    epochs: int = 200,
    patience: int = 10,
    penalty: float = 1e-4,
    encoder: Encoder | None = None,
    progress: Progress | None = None,
) -> tuple[Head, TrainingRecord]:
    """Train a linear probe with early stopping.

    Standardised with the mean and standard deviation of the training embeddings, which are then folded into the
    weights: the head takes embeddings as they are.

    Args:
        embeddings: (N, D), as the encoder gives them, on any device: training happens there.
        labels: (N,) class numbers from 0 to K - 1.
        classes: K different names.
        seed: What the split is drawn from: a fifth of every class, at least one, is kept for validation.
        epochs: L-BFGS iterations at most, each over all training embeddings.
        patience: Stop after so many iterations without a lower validation loss.
        penalty: Weight of half the squared weights beside the mean cross entropy (bias free); 0 or more.
        encoder: Whose embeddings they are: the head remembers it.
        progress: Called with (epochs done, largest number of epochs) after every epoch.

    Returns:
        The head, and how its training went.

    Raises:
        EncoderError: If there are fewer than 2 classes or `labels.MIN_IMAGES` of one, the labels do not fit, or the
            embeddings are not finite.
    """
    descent = Descent(epochs, patience, penalty)
    z, y = check_labelled(embeddings, labels, classes)
    split = split_by_class(y, classes, seed)
    fitted = fit_standardised(z, y, split, len(classes), descent, progress)
    head = LinearHead(tuple(classes), fitted.weight, fitted.bias).made_for(encoder)
    record = replace(_record(head, z, y, split, seed), epochs=fitted.epochs, best_epoch=fitted.best_epoch)
    return replace(head, training=asdict(record)), record


def knn_head(
    embeddings: Tensor,
    labels: Tensor | Sequence[int],
    classes: Sequence[str],
    k: int = 20,
    temperature: float = 0.1,
    *,
    encoder: Encoder | None = None,
) -> Head:
    """Each of the k nearest embeddings, by cosine, votes for its class with weight exp(cosine / temperature).

    Args:
        embeddings: (M, D), as the encoder gives them; all are kept.
        labels: (M,) class numbers from 0 to K - 1, every class at least once.
        classes: K different names.
        k: Neighbours that vote, 1 to M.
        temperature: Above 0.
        encoder: Whose embeddings they are: the head remembers it.

    Raises:
        EncoderError: If an argument does not fit; the message names it.

    Source: Wu et al., CVPR 2018, section 3.4 (k = 200 and temperature 0.07 there, for all of ImageNet).
    """
    z, y = check_labelled(embeddings, labels, classes)
    return KnnHead(tuple(classes), F.normalize(z, dim=1), y, k=k, temperature=temperature).made_for(encoder)


def prototype_head(
    embeddings: Tensor,
    labels: Tensor | Sequence[int],
    classes: Sequence[str],
    temperature: float = 0.1,
    *,
    encoder: Encoder | None = None,
) -> Head:
    """Every class is the mean direction of its embeddings: the mean of the unit vectors, made a unit vector again.

    Args:
        embeddings: (M, D), as the encoder gives them.
        labels: (M,) class numbers from 0 to K - 1, every class at least once.
        classes: K different names.
        temperature: By which the cosines are divided before the softmax; above 0.
        encoder: Whose embeddings they are: the head remembers it.

    Raises:
        EncoderError: If an argument does not fit; the message names it.
    """
    z, y = check_labelled(embeddings, labels, classes)
    unit = F.normalize(z.double(), dim=1)
    sums = unit.new_zeros(len(classes), z.shape[1]).index_add(0, y, unit)
    prototypes = F.normalize(sums, dim=1)  # the same direction as the means
    return PrototypeHead(tuple(classes), prototypes, temperature).made_for(encoder)


def check_kind(kind: str) -> None:
    """Refuse what `train_head` cannot make."""
    if kind not in TRAINABLE:
        raise EncoderError(f"kind must be one of {', '.join(TRAINABLE)}; got {kind!r}")


def _record(head: Head, z: Tensor, y: Tensor, split: Split, seed: int) -> TrainingRecord:
    truth, kept = y[split.train], y[split.validation]
    scores = head.leave_one_out() if isinstance(head, KnnHead) else _in_batches(head, z[split.train])
    largest = truth.bincount(minlength=len(head.classes)).argmax()
    return TrainingRecord(
        kind=head.kind,
        images=class_counts(y, head.classes),
        train_images=len(truth),
        validation_images=len(kept),
        train_accuracy=_share(scores.argmax(1) == truth),
        validation_accuracy=_share(_in_batches(head, z[split.validation]).argmax(1) == kept),
        baseline=_share(kept == largest),
        epochs=0,
        best_epoch=0,
        seed=seed,
    )


def _in_batches(head: Head, embeddings: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([head.scores(batch) for batch in torch.split(embeddings, 1024)])


def _share(hits: Tensor) -> float:
    return float(hits.double().mean())
