"""Predictions of scores keep to the masks that they may learn from, and their maps are those of the method."""

from __future__ import annotations

import pytest
import torch

from experiments.data.recordings import Recording
from experiments.studies.learned import LEARNERS, ridge
from experiments.studies.surrogates import SIDE, Trial
from masking import RandomGrid
from relax.estimators.moments import RelaxMoments

COUNT = 1024
GRID = RandomGrid((SIDE, SIDE), 3, seed=0, design="orthogonal")


def embeddings_of(grid: RandomGrid, count: int) -> torch.Tensor:
    """(count, 4): a smooth function of the masks that is no sum over regions."""
    masks = grid.masks(0, count)[:, 0].double()
    left, right, middle = (
        masks[:, :, :14].mean((1, 2)),
        masks[:, :, 14:].mean((1, 2)),
        masks[:, 9:19, 9:19].mean((1, 2)),
    )
    return torch.stack([torch.ones(count).double(), left * right, (3 * middle).sin(), left - middle], 1)


@pytest.fixture(scope="module")
def trial() -> Trial:
    reference = torch.tensor([1.0, 1.0, 1.0, 0.0])
    return Trial(Recording("made", "made", GRID, embeddings_of(GRID, 2 * COUNT).float(), reference, 1.0))


@pytest.mark.parametrize("name", LEARNERS)
def test_maps_of_every_prediction_are_those_of_very_many_masks(trial, name):
    truth = RelaxMoments.empty((SIDE, SIDE))
    many = RandomGrid((SIDE, SIDE), 3, seed=5, design="orthogonal")
    scores = torch.cosine_similarity(embeddings_of(many, 16384), trial.recording.reference.double()[None], dim=1)
    truth.add(scores, many.masks(0, 16384))
    chosen = slice(0, COUNT)
    learning = trial.learning(chosen)

    maps, errors = trial.maps(chosen, LEARNERS[name](learning), learning)

    importance = maps[0].view(SIDE, SIDE) + trial.scores[chosen].mean()
    for values, expected, error in zip(
        (importance, maps[1].view(SIDE, SIDE)), (truth.importance, truth.uncertainty), errors, strict=True
    ):
        away = float((values - expected).square().mean())
        assert away < 16 * float(error) + float(truth.standard_error.square().mean()) / 4
        assert away < 0.2 * float(expected.var())


def test_a_prediction_does_not_know_the_scores_of_its_own_fold(trial):
    learning = trial.learning(slice(0, COUNT))
    fold = learning.folds[0]
    changed = learning.scores.clone()
    changed[fold] += 0.001 * torch.randn(len(fold), generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    before, after = (
        ridge(learning.features, learning.unseen[:1], scores[:, None], learning.folds, learning.single).seen
        for scores in (learning.scores, changed)
    )

    torch.testing.assert_close(after[fold], before[fold])
    assert not torch.allclose(after[learning.folds[1]], before[learning.folds[1]])


def test_the_papers_error_is_that_of_its_formula(trial):
    moments = RelaxMoments.empty((SIDE, SIDE))
    moments.add(trial.scores, GRID.masks(0, 2 * COUNT))

    expected = float(moments.standard_error.square().mean()) * 2 * COUNT

    assert float(trial.papers_errors[0]) == pytest.approx(expected, rel=0.05)
