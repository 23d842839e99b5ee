"""Make heads from labelled embeddings: a linear probe, a k-NN bank, class prototypes.

The linear probe is multinomial logistic regression on standardised embeddings, minimised by L-BFGS on all training
embeddings at once, from zero weights: nothing is random but the split. It stops when the loss on the validation
embeddings no longer falls, and keeps the weights where that loss was lowest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from encoders.encoder import Encoder
from encoders.errors import EncoderError
from encoders.heads.base import Head
from encoders.heads.kinds import KnnHead, LinearHead, PrototypeHead

MIN_IMAGES = 5  # of every class, so that one can be kept for validation and a few are left
TRAINABLE = ("linear", "knn", "prototype")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TrainingRecord:
    """How a head was made and how well it does.

    Attributes:
        kind: "linear", "knn" or "prototype".
        images: Per class, training and validation together.
        train_images: How many the head was made from.
        validation_images: How many were kept back, the same share of every class.
        train_accuracy: Share in [0, 1]; for knn no image votes on itself.
        validation_accuracy: Share in [0, 1]. For linear a little optimistic, since this set also chose the epoch.
        baseline: Validation accuracy of always answering the largest class.
        epochs: L-BFGS iterations that were made; 0 where nothing is fitted.
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


@dataclass(frozen=True)
class _Split:
    """The indices of the embeddings to learn from, and of those kept back."""

    train: Tensor
    validation: Tensor


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
    """Keep a fifth of every class for validation, make a head of the rest, and say how well it does.

    Args:
        kind: "linear", "knn" or "prototype".
        embeddings: (N, D), as the encoder gives them.
        labels: (N,) class numbers from 0 to K - 1.
        classes: K different names.
        seed: What the split is drawn from.
        k: Neighbours that vote, for knn.
        encoder: Whose embeddings they are: the head remembers it.
        progress: Called with (epochs done, epochs at most), for linear.

    Returns:
        The head of the training embeddings alone, for which the record's accuracies hold.

    Raises:
        EncoderError: As `train_linear` and `knn_head`, or if the kind is another.
    """
    check_kind(kind)
    if kind == "linear":
        return train_linear(embeddings, labels, classes, seed=seed, encoder=encoder, progress=progress)
    z, y = _checked(embeddings, labels, classes)
    split = _split(y, classes, seed)
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
        progress: Called with (epochs done, epochs at most) after every one.

    Returns:
        The head, and how its training went.

    Raises:
        EncoderError: If there are fewer than 2 classes or `MIN_IMAGES` of one, the labels do not fit, or the embeddings
            are not finite.
    """
    for name, value in (("epochs", epochs), ("patience", patience)):
        if value < 1:
            raise EncoderError(f"{name} must be at least 1; got {value}")
    if penalty < 0:
        raise EncoderError(f"penalty must be 0 or more; got {penalty}")
    z, y = _checked(embeddings, labels, classes)
    split = _split(y, classes, seed)
    with torch.inference_mode(False), torch.enable_grad():
        z, y = z.clone(), y.clone()  # made under inference mode they would refuse gradients
        mean, scale = _standards(z[split.train])
        standard = (z - mean) / scale
        fitted = _fit(standard, y, split, len(classes), epochs, patience, penalty, progress)
    weight = fitted.weight.double() / scale.double()
    bias = fitted.bias.double() - weight @ mean.double()
    head = LinearHead(tuple(classes), weight, bias).made_for(encoder)
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
    z, y = _checked(embeddings, labels, classes)
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
    z, y = _checked(embeddings, labels, classes)
    unit = F.normalize(z.double(), dim=1)
    sums = unit.new_zeros(len(classes), z.shape[1]).index_add(0, y, unit)
    prototypes = F.normalize(sums, dim=1)  # the same direction as the means
    return PrototypeHead(tuple(classes), prototypes, temperature).made_for(encoder)


def check_kind(kind: str) -> None:
    """Refuse what `train_head` cannot make."""
    if kind not in TRAINABLE:
        raise EncoderError(f"kind must be one of {', '.join(TRAINABLE)}; got {kind!r}")


def check_counts(images: dict[str, int], least: int = MIN_IMAGES) -> None:
    """Refuse fewer than 2 classes, or fewer than `least` images of one.

    Raises:
        EncoderError: Names the classes that have too few.
    """
    if len(images) < 2:
        raise EncoderError(f"classes must be at least 2 to tell apart; got {', '.join(images) or 'none'}")
    small = [f"{name!r} has {count}" for name, count in images.items() if count < least]
    if small:
        more = f" and {len(small) - 3} more" if len(small) > 3 else ""
        few = ", ".join(small[:3]) + more
        raise EncoderError(f"every class needs at least {least} images; {few}: add images or leave the class out")


def validation_count(images: int) -> int:
    """How many images of a class are kept for validation: a fifth, at least one."""
    return max(1, round(images / 5))


def _checked(embeddings: Tensor, labels: Tensor | Sequence[int], classes: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Embeddings (N, D) float32 and labels (N,) int64 beside them, every class there."""
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
    check_counts(_counts(y, classes), 1)
    return embeddings.detach().float(), y


def _counts(labels: Tensor, classes: Sequence[str]) -> dict[str, int]:
    return dict(zip(classes, labels.bincount(minlength=len(classes)).tolist(), strict=True))


def _split(labels: Tensor, classes: Sequence[str], seed: int) -> _Split:
    """A fifth of every class for validation, drawn on the CPU, so that it is the same on every device."""
    check_counts(_counts(labels, classes))
    generator = torch.Generator().manual_seed(seed)
    train, validation = [], []
    for number in range(len(classes)):
        members = (labels.cpu() == number).nonzero()[:, 0]
        members = members[torch.randperm(len(members), generator=generator)]
        cut = validation_count(len(members))
        validation.append(members[:cut])
        train.append(members[cut:])
    return _Split(*(torch.cat(part).sort().values.to(labels.device) for part in (train, validation)))


def _standards(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (D,) each; 1 where an embedding does not vary, so that nothing is blown up."""
    mean, deviation = embeddings.mean(0), embeddings.std(0, correction=0)
    return mean, deviation.where(deviation > 1e-6 * deviation.max(), 1.0)


@dataclass(frozen=True)
class _Fitted:
    weight: Tensor  # (K, D) on standardised embeddings
    bias: Tensor  # (K,)
    epochs: int
    best_epoch: int


def _fit(
    z: Tensor,
    y: Tensor,
    split: _Split,
    classes: int,
    epochs: int,
    patience: int,
    penalty: float,
    progress: Progress | None,
) -> _Fitted:
    """Weights with the lowest cross entropy on the validation embeddings along the way of L-BFGS from zero."""
    weight = z.new_zeros(classes, z.shape[1]).requires_grad_()
    bias = z.new_zeros(classes).requires_grad_()
    train, kept = (z[split.train], y[split.train]), (z[split.validation], y[split.validation])
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=1, history_size=20, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(F.linear(train[0], weight, bias), train[1]) + penalty / 2 * weight.square().sum()
        loss.backward()
        return loss

    best, lowest = _Fitted(weight.detach().clone(), bias.detach().clone(), 0, 0), float("inf")
    epoch = 0
    while epoch < epochs and epoch - best.best_epoch < patience:
        epoch += 1
        optimizer.step(objective)
        with torch.no_grad():
            loss = float(F.cross_entropy(F.linear(kept[0], weight, bias), kept[1]))
        if loss < lowest:
            lowest = loss
            best = _Fitted(weight.detach().clone(), bias.detach().clone(), epoch, epoch)
        if progress is not None:
            progress(epoch, epochs)
    return replace(best, epochs=epoch)


def _record(head: Head, z: Tensor, y: Tensor, split: _Split, seed: int) -> TrainingRecord:
    truth, kept = y[split.train], y[split.validation]
    scores = head.leave_one_out() if isinstance(head, KnnHead) else _in_batches(head, z[split.train])
    largest = truth.bincount(minlength=len(head.classes)).argmax()
    return TrainingRecord(
        kind=head.kind,
        images=_counts(y, head.classes),
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
