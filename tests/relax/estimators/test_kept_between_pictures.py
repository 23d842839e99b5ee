"""What pictures share, since their masks are the same, is kept for the next one and changes no number."""

import torch

from masking import GridSurrogate, RandomGrid
from relax.estimators.control import ControlledMoments

SIZE, CELLS = (14, 14), 4


def maps(surrogate, scores, first=0):
    moments = ControlledMoments(surrogate, first)
    moments.add(scores)
    return torch.stack([moments.importance, moments.uncertainty, moments.standard_error])


def test_maps_are_those_of_a_surrogate_that_has_seen_no_picture():
    """Other scores, numbers of masks, first masks and seeds in turn, so that whatever is kept is of another."""
    rng = torch.Generator().manual_seed(0)
    grids = [RandomGrid(SIZE, CELLS, 0.4, seed) for seed in (0, 1)]
    used = [GridSurrogate(grid) for grid in grids]
    asked = [(0, 300, 0), (0, 300, 0), (1, 300, 0), (0, 40, 0), (0, 40, 64), (0, 300, 0), (1, 40, 64)]

    for at, count, first in asked:
        scores = torch.rand(count, generator=rng, dtype=torch.float64)
        fresh = maps(GridSurrogate(grids[at]), scores, first)

        assert torch.equal(maps(used[at], scores, first), fresh)
        assert torch.equal(maps(used[at], scores, first), fresh)


def test_many_unseen_masks_are_not_kept(monkeypatch):
    """They are drawn again, with the same maps."""
    surrogate, scores = GridSurrogate(RandomGrid(SIZE, CELLS)), torch.linspace(0, 1, 300, dtype=torch.float64)
    kept = maps(surrogate, scores)
    monkeypatch.setattr("masking.surrogate.KEPT", 0)
    forgetful = GridSurrogate(surrogate.grid)

    assert torch.equal(maps(forgetful, scores), kept)
    assert surrogate._kept[1]
    assert not forgetful._kept[1]
