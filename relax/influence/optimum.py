"""A linear head at its optimum, with the curvature there: what every influence on it is computed from.

It is the head of `relax head train` (multinomial logistic regression on standardised embeddings, the mean cross entropy
plus `penalty` / 2 times the squared weights, biases free), fitted to all pictures until nothing moves any more: where
early stopping ends, no formula of influence holds. Everything is float64.

With K classes and D numbers per embedding the curvature has (K (D + 1))^2 entries. Embeddings are first turned to
their principal axes, which changes no such head as long as all axes are kept; where there are too many, those of the
largest variance are, and the share of the variance that they hold is stated.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]
MOST = 3000  # numbers in weights and biases: the curvature then takes 72 MB, and its inverse as much
NEWTON = 50  # steps at most after the library's fit
STILL = 1e-9  # the largest entry of the gradient at the optimum


@dataclass(frozen=True)
class Axes:
    """From embeddings to the standardised coordinates that the head is fitted to.

    Attributes:
        mean, scale: (D,) of the training embeddings.
        turn: (D, d) the principal axes that are kept.
        variance: Share of the standardised variance that they hold; 1 if all are kept.
    """

    mean: Values
    scale: Values
    turn: Values
    variance: float

    @classmethod
    def of(cls, embeddings: ArrayLike, most: int) -> Axes:
        """The axes of (N, D) training embeddings, at most so many."""
        values = np.asarray(embeddings, np.float64)
        mean, deviation = values.mean(0), values.std(0)
        scale = np.where(deviation > 1e-6 * deviation.max(), deviation, 1.0)
        _, sizes, turned = np.linalg.svd((values - mean) / scale, full_matrices=False)
        held = int((sizes > 1e-10 * sizes.max(initial=1e-300)).sum())
        kept = max(1, min(held, most))
        total = np.square(sizes).sum()
        return cls(mean, scale, turned[:kept].T, float(np.square(sizes[:kept]).sum() / total) if total else 1.0)

    def __call__(self, embeddings: ArrayLike) -> Values:
        """(N, D) embeddings to (N, d + 1): the coordinates, and a 1 for the bias."""
        turned = (np.asarray(embeddings, np.float64) - self.mean) / self.scale @ self.turn
        return np.hstack([turned, np.ones((len(turned), 1))])


@dataclass(frozen=True)
class Optimum:
    """A head that minimises its objective on N pictures of K classes.

    Attributes:
        axes: From embeddings to coordinates.
        coordinates: (N, d + 1) of the training pictures, the last 1.
        labels: (N,) class numbers.
        weight: (K, d + 1); the last column is the bias.
        penalty: Of half the squared weights, beside the mean cross entropy.
    """

    axes: Axes
    coordinates: Values
    labels: NDArray[np.int64]
    weight: Values
    penalty: float

    @classmethod
    def fit(cls, embeddings: ArrayLike, labels: ArrayLike, *, penalty: float, most: int = MOST) -> Optimum:
        """Fit to all embeddings (N, D) and labels (N,) from 0 to K - 1, each at least once.

        Raises:
            ValueError: If a value is not finite, there are fewer than two classes, more than `most` / 2, or the penalty
                is not above 0.
        """
        values, y = np.asarray(embeddings, np.float64), np.asarray(labels, np.int64)
        classes = int(y.max(initial=0)) + 1
        if values.ndim != 2 or len(values) != len(y) or not np.isfinite(values).all():
            raise ValueError(f"embeddings must be finite (N, D) for {len(y)} labels; got {values.shape}")
        if classes < 2 or len(np.unique(y)) != classes:
            raise ValueError(f"labels must be of at least 2 classes, numbered without a gap; got {np.unique(y)}")
        if not 0 < penalty < np.inf:
            raise ValueError(f"penalty must be above 0, so that there is one optimum; got {penalty}")
        if most < 2 * classes:
            raise ValueError(f"{classes} classes are too many for a curvature of {most} numbers a side")
        axes = Axes.of(values, most // classes - 1)
        z = axes(values)
        return cls(axes, z, y, _polished(z, y, _fitted(z, y, classes, penalty), penalty), penalty)

    @property
    def classes(self) -> int:
        """K."""
        return len(self.weight)

    @cached_property
    def residuals(self) -> Values:
        """(N, K) probabilities minus the truth: the gradient of each picture's loss in its logits."""
        return softmax(self.coordinates @ self.weight.T) - np.eye(self.classes)[self.labels]

    @cached_property
    def inverse(self) -> Values:
        """(K, d + 1, K, d + 1) the inverse of the curvature of the objective.

        The same number added to all biases changes nothing, so the curvature is flat along that one direction; it is
        made 1 there, which no influence sees, as all gradients are at right angles to it.
        """
        from scipy.linalg.lapack import dpotrf, dpotri

        size = self.classes * self.coordinates.shape[1]
        curvature = _curvature(self.coordinates, softmax(self.coordinates @ self.weight.T), self.penalty)
        lower, failed = dpotrf(curvature.reshape(size, size), lower=True, overwrite_a=True)
        inverse, singular = dpotri(lower, lower=True, overwrite_c=True)
        assert not failed + singular  # noqa: S101  the penalty makes it positive
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        blocks: Values = inverse.reshape(self.classes, -1, self.classes, self.coordinates.shape[1])
        return blocks

    @cached_property
    def leverages(self) -> Values:
        """(N, K, K) J_i^T H^-1 J_i, where J_i leads from a picture's logits to the weights."""
        count, classes = len(self.labels), self.classes
        leverages = np.empty((count, classes, classes))
        for a in range(classes):
            for b in range(a, classes):
                leverages[:, a, b] = ((self.coordinates @ self.inverse[a, :, b]) * self.coordinates).sum(1)
                leverages[:, b, a] = leverages[:, a, b]
        return leverages

    def without(self, place: int) -> Optimum:
        """The head trained again without one picture: what leaving it out does in truth.

        The other pictures keep their weight of 1 / N in the mean, and the axes stay.
        """
        kept = np.arange(len(self.labels)) != place
        z, y = self.coordinates[kept], self.labels[kept]
        weight = _polished(z, y, self.weight, self.penalty * len(self.labels) / len(y))
        return Optimum(self.axes, z, y, weight, self.penalty * len(self.labels) / len(y))

    def logits(self, embeddings: ArrayLike) -> Values:
        """(M, D) embeddings to (M, K)."""
        return self.axes(embeddings) @ self.weight.T


def softmax(logits: Values) -> Values:
    """(N, K) probabilities."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    result: Values = powers / powers.sum(-1, keepdims=True)
    return result


def cross_entropy(logits: Values, label: int | NDArray[np.int64]) -> Values:
    """(N,) nats lost by logits (N, K) at one label, or at one each."""
    top = logits.max(-1)
    losses: Values = np.log(np.exp(logits - top[:, None]).sum(-1)) + top - logits[np.arange(len(logits)), label]
    return losses


def _fitted(z: Values, y: NDArray[np.int64], classes: int, penalty: float) -> Values:
    """The weights as scikit-learn finds them: near the optimum. Its two classes have one weight vector, not two."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    strength = (2 if classes == 2 else 1) / (penalty * len(y))
    model = LogisticRegression(C=strength, tol=1e-6, max_iter=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # Newton's steps finish it
        model.fit(z[:, :-1], y)
    weight = np.hstack([model.coef_, model.intercept_[:, None]])
    return np.vstack([-weight / 2, weight / 2]) if classes == 2 else weight


def _polished(z: Values, y: NDArray[np.int64], weight: Values, penalty: float) -> Values:
    """Newton's steps, halved where they overshoot, until the gradient is nothing."""
    truth = np.eye(len(weight))[y]
    for _ in range(NEWTON):
        gradient = _gradient(z, truth, weight, penalty)
        if np.abs(gradient).max() < STILL:
            return weight
        step = _newton_step(z, weight, gradient, penalty)
        share = 1.0
        while share > 1e-6 and _objective(z, y, weight - share * step, penalty) > _objective(z, y, weight, penalty):
            share /= 2
        weight = weight - share * step
    raise ValueError(f"the head does not come to rest with a penalty of {penalty}: choose a larger one")


def _newton_step(z: Values, weight: Values, gradient: Values, penalty: float) -> Values:
    from scipy.linalg import cho_factor, cho_solve

    curvature = _curvature(z, softmax(z @ weight.T), penalty).reshape(gradient.size, gradient.size)
    factor = cho_factor(curvature, lower=True, overwrite_a=True, check_finite=False)
    step: Values = cho_solve(factor, gradient.ravel(), check_finite=False).reshape(weight.shape)
    return step


def _objective(z: Values, y: NDArray[np.int64], weight: Values, penalty: float) -> float:
    return float(cross_entropy(z @ weight.T, y).mean() + penalty / 2 * np.square(weight[:, :-1]).sum())


def _gradient(z: Values, truth: Values, weight: Values, penalty: float) -> Values:
    gradient: Values = (softmax(z @ weight.T) - truth).T @ z / len(z)
    gradient[:, :-1] += penalty * weight[:, :-1]
    return gradient


def _curvature(z: Values, probabilities: Values, penalty: float) -> Values:
    """(K, d + 1, K, d + 1) second derivatives, 1 along the direction that is flat, see `Optimum.inverse`."""
    classes, wide = probabilities.shape[1], z.shape[1]
    curvature = np.empty((classes, wide, classes, wide))
    for a in range(classes):
        for b in range(a, classes):
            spread = probabilities[:, a] * ((a == b) - probabilities[:, b])
            curvature[a, :, b] = z.T @ (spread[:, None] * z) / len(z)
            curvature[b, :, a] = curvature[a, :, b]
        curvature[a, :-1, a, :-1] += penalty * np.eye(wide - 1)
    curvature[:, -1, :, -1] += 1 / classes
    return curvature
