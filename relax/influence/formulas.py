"""How much one training picture matters to a linear head's answer for another: four formulas.

leave-one-out   the loss of the answer after the picture is left out, by one Newton step from the optimum
influence       its first order: H^-1 between the two gradients             (Koh & Liang, ICML 2017)
tracin          the product of the two gradients, of one step of training   (Pruthi et al., NeurIPS 2020)
representer     the picture's part in the logit; the parts and the bias add up to it     (Yeh et al., NeurIPS 2018)

Above 0 the picture supports the answer, below it speaks against it. The first two are in nats of the answer's cross
entropy: so much it would rise if the picture had not been there. Each is a function of an `Optimum`, the coordinates
(d + 1,) of the answer and its class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from relax.influence.optimum import Optimum, Values, cross_entropy, softmax
from relax.text import one_of


def leave_one_out(head: Optimum, point: Values, label: int) -> Values:
    """(N,) how much the loss of `label` at `point` (d + 1,) rises when each picture is left out.

    Left out: its term is taken out of the mean, the others keep their weight of 1 / N; mean and scale of the embeddings
    stay. One Newton step with the curvature that is left, exact for a quadratic objective.
    """
    before = (head.weight @ point)[None]
    return cross_entropy(before + _moved(head, _between(head, point)), label) - cross_entropy(before, label)


def influence(head: Optimum, point: Values, label: int) -> Values:
    """(N,) as `leave_one_out`, to first order in the weight of the picture."""
    error = softmax((head.weight @ point)[None])[0] - np.eye(head.classes)[label]
    effect: Values = np.einsum("a,nab,nb->n", error, _between(head, point), head.residuals) / len(head.labels)
    return effect


def tracin(head: Optimum, point: Values, label: int) -> Values:
    """(N,) how much one step of gradient descent on each picture's loss lowers that of `label` at `point`, per rate."""
    error = softmax((head.weight @ point)[None])[0] - np.eye(head.classes)[label]
    product: Values = (head.coordinates @ point) * (head.residuals @ error)
    return product


def representer(head: Optimum, point: Values, label: int) -> Values:
    """(N,) the part of each picture in the logit of `label` at `point`; with the bias they add up to it."""
    pull = -head.residuals[:, label] / (head.penalty * len(head.labels))
    parts: Values = pull * (head.coordinates[:, :-1] @ point[:-1])
    return parts


def on_themselves(head: Optimum) -> Values:
    """(N,) `leave_one_out` of every picture on its own loss: how much the head knows its label by heart."""
    before = head.coordinates @ head.weight.T
    return cross_entropy(before + _moved(head, head.leverages), head.labels) - cross_entropy(before, head.labels)


def self_influence(head: Optimum) -> Values:
    """(N,) `influence` of every picture on its own loss: 0 or more."""
    own: Values = np.einsum("na,nab,nb->n", head.residuals, head.leverages, head.residuals) / len(head.labels)
    return own


def left_out_logits(head: Optimum) -> Values:
    """(N, K) the logits of every picture for a head that has not seen it, by one Newton step."""
    return head.coordinates @ head.weight.T + _moved(head, head.leverages)


def _between(head: Optimum, point: Values) -> Values:
    """(N, K, K) J_t^T H^-1 J_i, from each picture's logits to those of the answer."""
    between: Values = np.einsum("abd,nd->nab", np.einsum("c,acbd->abd", point, head.inverse), head.coordinates)
    return between


def _moved(head: Optimum, between: Values) -> Values:
    """(N, K) how the logits of an answer move when each picture is left out.

    H without the picture is H - J S J^T / N, a change of rank K - 1; by Woodbury's identity the step is
    H^-1 J (1 - S M / N)^-1 r / N with M the leverage, S the covariance of its probabilities and r its residual.
    """
    count, classes = head.residuals.shape
    shares = head.residuals + np.eye(classes)[head.labels]
    covariance = shares[:, :, None] * (np.eye(classes) - shares[:, None, :])
    kept = np.eye(classes) - covariance @ head.leverages / count
    pulls = np.linalg.solve(kept, head.residuals[:, :, None])
    moved: Values = (between @ pulls)[:, :, 0] / count
    return moved


@dataclass(frozen=True)
class Formula:
    """A way to count what a picture contributes.

    Attributes:
        name: In Python and on the command line.
        what: What its number is.
        unit: Of the number.
        source: The paper.
        function: From head, coordinates and class to (N,) numbers.
    """

    name: str
    what: str
    unit: str
    source: str
    function: Callable[[Optimum, Values, int], Values]


_ALL = (
    Formula(
        "leave-one-out",
        "how much the loss of the answer rises without the picture, by one Newton step",
        "nats",
        "Beirami et al., NeurIPS 2017",
        leave_one_out,
    ),
    Formula("influence", "the same to first order", "nats", "Koh & Liang, ICML 2017", influence),
    Formula(
        "tracin",
        "how much a step of training on the picture lowers the loss of the answer",
        "nats per learning rate",
        "Pruthi et al., NeurIPS 2020; at the optimum only",
        tracin,
    ),
    Formula(
        "representer", "the picture's part in the logit of the class", "logit", "Yeh et al., NeurIPS 2018", representer
    ),
)
FORMULAS: dict[str, Formula] = {formula.name: formula for formula in _ALL}


def formula_named(name: str) -> Formula:
    """The formula of that name.

    Raises:
        ValueError: If there is none; the message lists the names.
    """
    return FORMULAS[one_of("how", name, FORMULAS)]
