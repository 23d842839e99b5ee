"""Multinomial logistic regression on embeddings, by L-BFGS with early stopping.

All training embeddings are used at every step, from zero weights, so nothing is random. It stops when the loss on the
validation embeddings no longer falls, and keeps the weights where that loss was lowest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from encoders.errors import EncoderError
from encoders.heads.labels import Split

Progress = Callable[[int, int], None]  # given (epochs done, largest number of epochs)


@dataclass(frozen=True)
class Regression:
    """A fit.

    Attributes:
        weight: (K, D), for the embeddings it was fitted to.
        bias: (K,).
        epochs: How many were run.
        best_epoch: The one whose weights these are; 0 for zero weights.
    """

    weight: Tensor
    bias: Tensor
    epochs: int
    best_epoch: int


@dataclass(frozen=True)
class Descent:
    """How far and against what to fit.

    Attributes:
        epochs: L-BFGS iterations at most.
        patience: Stop after so many iterations without a lower validation loss.
        penalty: Weight of half the squared weights beside the mean cross entropy (bias free).

    Raises:
        EncoderError: If a number is out of range.
    """

    epochs: int
    patience: int
    penalty: float

    def __post_init__(self) -> None:
        for name, value in (("epochs", self.epochs), ("patience", self.patience)):
            if value < 1:
                raise EncoderError(f"{name} must be at least 1; got {value}")
        if self.penalty < 0:
            raise EncoderError(f"penalty must be 0 or more; got {self.penalty}")


def fit_standardised(
    embeddings: Tensor, labels: Tensor, split: Split, classes: int, descent: Descent, progress: Progress | None
) -> Regression:
    """Fit to standardised embeddings, and fold mean and standard deviation into the weights (float64).

    Args:
        embeddings: (N, D) float32, as the encoder gives them; standardised by the training ones.
        labels: (N,) int64.
        split: Which to train on, and which to stop by.
        classes: K.
        descent: How far and against what to fit.
        progress: Called after every epoch.

    Returns:
        Weights for the embeddings as they are.
    """
    with torch.inference_mode(False), torch.enable_grad():
        z, y = embeddings.clone(), labels.clone()  # made under inference mode they would refuse gradients
        mean, scale = _standards(z[split.train])
        fitted = _fit((z - mean) / scale, y, split, classes, descent, progress)
    weight = fitted.weight.double() / scale.double()
    return replace(fitted, weight=weight, bias=fitted.bias.double() - weight @ mean.double())


def _standards(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (D,) each; 1 where an embedding does not vary, so that none is divided by 0."""
    mean, deviation = embeddings.mean(0), embeddings.std(0, correction=0)
    return mean, deviation.where(deviation > 1e-6 * deviation.max(), 1.0)


def _fit(z: Tensor, y: Tensor, split: Split, classes: int, descent: Descent, progress: Progress | None) -> Regression:
    """The weights with the lowest cross entropy on the validation embeddings, of all that L-BFGS passes from zero."""
    weight = z.new_zeros(classes, z.shape[1]).requires_grad_()
    bias = z.new_zeros(classes).requires_grad_()
    train, kept = (z[split.train], y[split.train]), (z[split.validation], y[split.validation])
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=1, history_size=20, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(F.linear(train[0], weight, bias), train[1]) + descent.penalty / 2 * weight.square().sum()
        loss.backward()
        return loss

    best, lowest = Regression(weight.detach().clone(), bias.detach().clone(), 0, 0), float("inf")
    epoch = 0
    while epoch < descent.epochs and epoch - best.best_epoch < descent.patience:
        epoch += 1
        optimizer.step(objective)
        with torch.no_grad():
            loss = float(F.cross_entropy(F.linear(kept[0], weight, bias), kept[1]))
        if loss < lowest:
            lowest = loss
            best = Regression(weight.detach().clone(), bias.detach().clone(), epoch, epoch)
        if progress is not None:
            progress(epoch, descent.epochs)
    return replace(best, epochs=epoch)
