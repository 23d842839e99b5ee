"""What is hidden continues what is visible, mirrored; curves with that fill show and hide the cells of the others."""

import numpy as np
import pytest
import torch

from encoders import load
from masking import Region
from relax.metrics import METRICS, Case, Trial, mirrored, mirrored_deletion_curve, mirrored_insertion_curve
from relax.scene import Scene
from relax.settings import Hiding
from tests.relax.baselines.small import Corner, Linear, drawn

SHAPE = (3, 16, 16)
SMALL = Hiding(cells=4)


def row(*values):
    return np.array(values, dtype=np.float32)[None, None]


@pytest.mark.parametrize(
    ("view", "visible", "expected"),
    [
        ((1, 2, 3, 9, 9, 9, 9), (1, 1, 1, 0, 0, 0, 0), (1, 2, 3, 2, 1, 2, 3)),  # ends at the picture's end: again, back
        ((9, 9, 4, 5, 6), (0, 0, 1, 1, 1), (6, 5, 4, 5, 6)),
        ((1, 2, 9, 9, 9, 6, 7), (1, 1, 0, 0, 0, 1, 1), (1, 2, 1, 2, 7, 6, 7)),  # both sides; the middle waits
        ((9, 9, 5, 9), (0, 0, 1, 0), (5, 5, 5, 5)),  # nothing to mirror: the nearest
    ],
)
def test_a_row_is_mirrored_at_its_last_visible_pixel(view, visible, expected):
    view = row(*view) / 10

    painted = mirrored(view, np.array(visible, dtype=bool)[None])

    np.testing.assert_allclose(painted, row(*expected) / 10)


def test_stripes_are_continued_as_they_are():
    """Mirrored at any pixel, stripes along the rows stay what they are, and those of the hole's side with it."""
    stripes = np.broadcast_to(drawn(3, 16, 1).numpy(), SHAPE)
    visible = np.ones(SHAPE[1:], dtype=bool)
    visible[:, 6:11] = False

    np.testing.assert_array_equal(mirrored(np.where(visible, stripes, 0), visible), stripes)


def test_what_is_visible_stays_and_what_is_hidden_is_never_looked_at():
    view, visible = drawn(*SHAPE).numpy(), np.random.default_rng(1).random(SHAPE[1:]) > 0.7

    painted = mirrored(view, visible)

    np.testing.assert_array_equal(painted[:, visible], view[:, visible])
    np.testing.assert_array_equal(mirrored(np.where(visible, view, 1), visible), painted)
    colours = {tuple(colour) for colour in view[:, visible].T}
    assert {tuple(colour) for colour in painted[:, ~visible].T} <= colours


def test_nothing_visible_is_the_mean_colour_of_the_picture():
    view = drawn(*SHAPE).numpy()

    painted = mirrored(view, np.zeros(SHAPE[1:], dtype=bool))

    np.testing.assert_allclose(painted, np.broadcast_to(view.mean((1, 2), keepdims=True), SHAPE), rtol=1e-6)


@pytest.mark.parametrize("curve", [mirrored_insertion_curve, mirrored_deletion_curve])
def test_a_picture_of_one_colour_has_nothing_to_hide(curve):
    encoder = load(Corner(slice(0, 8), slice(0, 8)), device="cpu")
    view = torch.tensor([0.1, 0.3, 0.9])[:, None, None].expand(1, *SHAPE)
    trial = Trial.of(Scene.of(view, encoder, SMALL))

    scores = curve(trial, drawn(16, 16).numpy()).scores

    np.testing.assert_allclose(scores, 1, atol=1e-6)
    assert trial.scores(np.zeros((1, 16, 16), dtype=bool))[0] < 0.98  # in black, the fill of the maps, it is another


def test_the_curves_show_and_hide_the_most_important_cells_first():
    encoder = load(Linear(SHAPE), device="cpu")
    trial = Trial.of(Scene.of(drawn(*SHAPE, seed=5)[None], encoder, SMALL))
    worth = np.array([[0.1, 0.4], [0.3, 0.2]])  # of four cells
    importance = np.kron(worth, np.ones((8, 8)))

    insertion = mirrored_insertion_curve(trial, importance, steps=4, cells=2)
    deletion = mirrored_deletion_curve(trial, importance, steps=4, cells=2)

    view, visible = trial.scene.view[0].numpy(), np.zeros((16, 16), dtype=bool)
    cells = {0.4: (slice(8), slice(8, 16)), 0.3: (slice(8, 16), slice(8)), 0.2: (slice(8, 16), slice(8, 16))}
    shown, hidden = [score_of(mirrored(view, visible), trial)], [1.0]
    for cell in (*cells.values(), (slice(8), slice(8))):
        visible[cell] = True
        shown.append(score_of(mirrored(view, visible), trial))
        hidden.append(score_of(mirrored(view, ~visible), trial))
    np.testing.assert_allclose(insertion.scores, shown, atol=1e-6)
    np.testing.assert_allclose(deletion.scores, hidden, atol=1e-6)
    np.testing.assert_allclose(insertion.shares, [0, 0.25, 0.5, 0.75, 1])
    assert insertion.scores[-1] == pytest.approx(1)
    assert trial.passes == 1 + 5 + 5


def score_of(pixels, trial):
    embedding = trial.scene.encoder(torch.from_numpy(pixels)[None])[0]
    return float(torch.cosine_similarity(embedding.double(), trial.image_embedding.double(), 0))


def test_around_a_region_nothing_is_hidden():
    """An encoder that sees the top left corner alone scores 1 throughout, as only the bottom right may be hidden."""
    encoder = load(Corner(slice(0, 8), slice(0, 8)), device="cpu")
    inside = np.zeros((16, 16), dtype=bool)
    inside[8:, 8:] = True
    trial = Trial.of(Scene.of(drawn(1, *SHAPE), encoder, Hiding(cells=4, within=inside)))

    assert isinstance(trial.scene.region, Region)
    np.testing.assert_allclose(mirrored_deletion_curve(trial, drawn(16, 16).numpy()).scores, 1, atol=1e-6)


def test_the_table_has_both_by_eight_cells_a_side():
    trial = Trial.of(Scene.of(drawn(1, *SHAPE, seed=5), load(Linear(SHAPE), device="cpu"), SMALL))
    importance = drawn(16, 16, seed=2).double().numpy()

    for name, curve in (("insertion", mirrored_insertion_curve), ("deletion", mirrored_deletion_curve)):
        before = trial.passes
        value = METRICS[f"mirrored-{name}"](Case(importance, trial=trial, seed=3))

        assert value == pytest.approx(curve(trial, importance, cells=8, seed=3).area, abs=1e-12)
        assert value != METRICS[f"region-{name}"](Case(importance, trial=trial, seed=3))
        assert METRICS[f"mirrored-{name}"].passes == (trial.passes - before) / 3 == 21
