"""Influence on a linear head is its definition, hand computation, captum, and training again without a picture."""

import numpy as np
import pytest
import torch
from captum.influence import NaiveInfluenceFunction, TracInCPFast
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from relax.influence.formulas import (
    FORMULAS,
    formula_named,
    influence,
    leave_one_out,
    left_out_logits,
    on_themselves,
    representer,
    self_influence,
    tracin,
)
from relax.influence.optimum import Optimum, cross_entropy

PENALTY = 0.02


def points(count=10, dimension=3, classes=3, seed=0):
    """Labelled points whose classes overlap, and two that are in none of them."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = rng.normal(size=(classes, dimension))
    return centres[labels] + rng.normal(size=(count, dimension)), labels, rng.normal(size=(2, dimension))


def trained_without(head, place):
    """The weights (K, d + 1) of scikit-learn's head of all pictures but one, with the same coordinates and penalty."""
    kept = np.arange(len(head.labels)) != place
    model = LogisticRegression(C=1 / (head.penalty * len(head.labels)), tol=1e-12, max_iter=10_000)
    model.fit(head.coordinates[kept, :-1], head.labels[kept])
    return np.hstack([model.coef_, model.intercept_[:, None]])


def one_step_without(head, place):
    """The weights after a Newton step from the optimum towards that without a picture, all by autograd."""
    z, y = torch.from_numpy(np.delete(head.coordinates, place, 0)), torch.from_numpy(np.delete(head.labels, place))

    def objective(weight):
        loss = F.cross_entropy(z @ weight.T, y, reduction="sum") / len(head.labels)
        return loss + head.penalty / 2 * weight[:, :-1].square().sum()

    start = torch.from_numpy(head.weight).requires_grad_()
    gradient = torch.autograd.grad(objective(start), start)[0].flatten()
    curvature = torch.autograd.functional.hessian(objective, start).reshape(gradient.numel(), -1)
    step = torch.linalg.lstsq(curvature, gradient[:, None], driver="gelsd").solution  # flat where all biases move
    return head.weight - step.numpy().reshape(head.weight.shape)


def test_two_points_have_the_head_worked_out_by_hand():
    """Points at -1 and 1 of two classes: weights (-a, a), where the penalty is sigmoid(-2 a) / a; here a = 1."""
    head = Optimum.fit([[-1.0], [1.0]], [0, 1], penalty=1 / (1 + np.exp(2)))

    signed = head.weight * np.sign(head.coordinates[1, 0])  # an axis may point either way
    np.testing.assert_allclose(signed[:, 0], [-1, 1], atol=1e-8)
    np.testing.assert_allclose(head.weight[:, 1], 0, atol=1e-8)


def test_it_is_the_head_of_scikit_learn():
    embeddings, labels, others = points(40, 4)

    head = Optimum.fit(embeddings, labels, penalty=PENALTY)

    standardised = (embeddings - embeddings.mean(0)) / embeddings.std(0)
    model = LogisticRegression(C=1 / (PENALTY * 40), tol=1e-12, max_iter=10_000).fit(standardised, labels)
    expected = model.decision_function((others - embeddings.mean(0)) / embeddings.std(0))
    np.testing.assert_allclose(head.logits(others), expected, atol=1e-5)


def test_axes_that_pictures_do_not_fill_are_left_out_without_a_change():
    """Ten points in 30 dimensions span nine; fewer axes than that hold less of the variance."""
    embeddings, labels, _ = points(10, 30)

    whole = Optimum.fit(embeddings, labels, penalty=PENALTY)
    fewer = Optimum.fit(embeddings, labels, penalty=PENALTY, most=18)

    assert (whole.coordinates.shape, whole.axes.variance) == ((10, 10), pytest.approx(1))
    assert fewer.coordinates.shape == (10, 6)
    assert 0.5 < fewer.axes.variance < 0.99


def test_ten_points_left_out_one_by_one():
    """The Newton step by the closed form equals that by autograd, and nearly what training again does in truth."""
    embeddings, labels, others = points()
    head = Optimum.fit(embeddings, labels, penalty=PENALTY)
    point = head.axes(others[:1])[0]

    changes = leave_one_out(head, point, 1)

    before = cross_entropy((head.weight @ point)[None], 1)
    stepped = [cross_entropy((one_step_without(head, place) @ point)[None], 1) - before for place in range(10)]
    truth = [cross_entropy((trained_without(head, place) @ point)[None], 1) - before for place in range(10)]
    np.testing.assert_allclose(changes, np.ravel(stepped), atol=1e-8)
    assert np.corrcoef(changes, np.ravel(truth))[0, 1] > 0.98
    assert np.corrcoef(influence(head, point, 1), np.ravel(truth))[0, 1] > 0.9


def test_what_each_point_does_for_itself():
    embeddings, labels, _ = points(12)
    head = Optimum.fit(embeddings, labels, penalty=PENALTY)

    own, logits = on_themselves(head), left_out_logits(head)

    before = cross_entropy(head.coordinates @ head.weight.T, labels)
    for place in (0, 5, 11):
        stepped = (one_step_without(head, place) @ head.coordinates[place])[None]
        assert own[place] == pytest.approx(cross_entropy(stepped, labels[place])[0] - before[place], abs=1e-8)
        shift = stepped[0] - logits[place]
        np.testing.assert_allclose(shift - shift.mean(), 0, atol=1e-8)  # but for a number added to all


def test_self_influence_is_influence_on_itself():
    embeddings, labels, _ = points(12)
    head = Optimum.fit(embeddings, labels, penalty=PENALTY)

    own = self_influence(head)

    for place in range(12):
        assert own[place] == pytest.approx(influence(head, head.coordinates[place], labels[place])[place], abs=1e-12)


def test_training_without_a_point_is_what_scikit_learn_does():
    embeddings, labels, _ = points(12)
    head = Optimum.fit(embeddings, labels, penalty=PENALTY)

    np.testing.assert_allclose(head.without(4).weight[:, :-1], trained_without(head, 4)[:, :-1], atol=1e-5)


def test_the_parts_of_the_pictures_and_the_bias_add_up_to_the_logit():
    embeddings, labels, others = points(30)
    head = Optimum.fit(embeddings, labels, penalty=PENALTY)

    for point, logits in zip(head.axes(others), head.logits(others), strict=True):
        for label in range(3):
            assert representer(head, point, label).sum() + head.weight[label, -1] == pytest.approx(
                logits[label], abs=1e-6
            )


def test_a_flipped_label_is_the_one_learnt_by_heart():
    """Two groups far apart; point 7 lies among the others of its group and is called after the other group."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    embeddings = rng.normal(size=(40, 6)) + 6 * labels[:, None]
    wrong = labels.copy()
    wrong[7] = 1 - wrong[7]

    head = Optimum.fit(embeddings, wrong, penalty=PENALTY)

    own = on_themselves(head)
    assert own.argmax() == 7
    assert np.sort(own)[-1] > 5 * np.sort(own)[-2]
    assert left_out_logits(head)[7].argmax() == labels[7]
    flipped = leave_one_out(
        head, head.coordinates[9], 1
    )  # to another point of its own group, the flipped one does harm
    assert flipped.argmin() == 7
    assert flipped[7] < 0


class Linear(torch.nn.Module):
    """The head as captum wants it: a module whose input are the coordinates, the last of which is 1."""

    def __init__(self, weight):
        super().__init__()
        self.fc = torch.nn.Linear(weight.shape[1], len(weight), bias=False, dtype=torch.float64)
        with torch.no_grad():
            self.fc.weight.copy_(torch.from_numpy(weight))

    def forward(self, coordinates):
        return self.fc(coordinates)


@pytest.fixture
def for_captum():
    """A head with next to no penalty, which captum's functions do not know, and two points that it never saw."""
    embeddings, labels, others = points(30, 2)
    head = Optimum.fit(embeddings, labels, penalty=1e-7)
    data = TensorDataset(torch.from_numpy(head.coordinates), torch.from_numpy(labels))
    asked = head.axes(others)
    return head, data, asked, (torch.from_numpy(asked), torch.tensor([0, 2]))


def test_influence_is_that_of_captum(for_captum):
    head, data, asked, query = for_captum
    peer = NaiveInfluenceFunction(
        Linear(head.weight), data, "", checkpoints_load_func=lambda model, path: 1.0,
        loss_fn=torch.nn.CrossEntropyLoss(reduction="none"), batch_size=30, hessian_reg=0.0,
    )  # fmt: skip

    expected = peer.influence(query).numpy()

    values = np.stack([influence(head, asked[0], 0), influence(head, asked[1], 2)])
    np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-5)


def test_tracin_is_that_of_captum(for_captum):
    head, data, asked, query = for_captum
    model = Linear(head.weight)
    peer = TracInCPFast(
        model, model.fc, data, [""], checkpoints_load_func=lambda model, path: 1.0,
        loss_fn=torch.nn.CrossEntropyLoss(reduction="sum"), batch_size=30,
    )  # fmt: skip

    expected = peer.influence(query).detach().numpy()

    np.testing.assert_allclose(np.stack([tracin(head, asked[0], 0), tracin(head, asked[1], 2)]), expected, atol=1e-9)


def test_every_formula_is_named_and_misspelt_ones_are_not():
    assert [*FORMULAS] == ["leave-one-out", "influence", "tracin", "representer"]

    with pytest.raises(
        ValueError, match=r"how must be one of leave-one-out, .*; got 'tracing': did you mean 'tracin'\?"
    ):
        formula_named("tracing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"penalty": 0}, "penalty must be above 0, so that there is one optimum; got 0"),
        ({"labels": [0] * 10}, "labels must be of at least 2 classes"),
        ({"labels": [0, 2] * 5}, r"numbered without a gap; got \[0 2\]"),
        ({"embeddings": np.full((10, 2), np.nan)}, "embeddings must be finite"),
    ],
)
def test_what_has_no_optimum_is_refused(change, message):
    arguments = {"embeddings": np.eye(10), "labels": [0, 1] * 5, "penalty": 0.1, **change}

    with pytest.raises(ValueError, match=message):
        Optimum.fit(arguments["embeddings"], arguments["labels"], penalty=arguments["penalty"])
