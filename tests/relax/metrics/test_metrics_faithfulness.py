"""Faithfulness: an encoder whose answer is known pixel by pixel, laws of the curves, Quantus under the same model."""

from itertools import pairwise

import numpy as np
import pytest
import quantus
import torch
from torch import nn

from encoders import Encoder, load
from encoders.preprocess import Preprocess
from relax.metrics import (
    METRICS,
    Case,
    Trial,
    deletion,
    deletion_curve,
    faithfulness_correlation,
    insertion,
    insertion_curve,
    monotonicity,
    monotonicity_correlation,
    representation_shift,
)
from relax.references import Corpus, Question
from relax.scene import Scene
from relax.settings import Hiding

SIZE = 8


class Net(nn.Module):
    """A small network that mixes all pixels, (B, 1, 8, 8) to (B, 3)."""

    def __init__(self):
        super().__init__()
        rng = torch.Generator().manual_seed(3)
        self.weights = nn.Parameter(torch.randn(64, 3, generator=rng) / 4)

    def forward(self, pixels):
        return torch.tanh(pixels.flatten(1) @ self.weights)


class Probe:
    """Remembers the pixels it was fed and answers with their sum, and nothing else."""

    def __init__(self):
        self.seen = []

    def __call__(self, pixels):
        self.seen.append(pixels.clone())
        return pixels.flatten(1).sum(1, keepdim=True)


@pytest.fixture
def image():
    return torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1


@pytest.fixture
def importance():
    return np.random.default_rng(1).normal(size=(SIZE, SIZE))


def trial_of(image, network, reference=None, similarity="dot", foil=None, **hiding):
    encoder = network if isinstance(network, Encoder) else load(network, device="cpu")
    question = Question.of(similarity, reference, foil, encoder)
    return Trial.of(Scene.of(image, encoder, Hiding(**hiding)), question)


def second_output(image, **hiding):
    """The trial whose score is the network's second output, as Quantus asks for class 1."""
    return trial_of(image, Net(), torch.tensor([0.0, 1.0, 0.0]), **hiding)


def quantus_score(metric, image, importance):
    network = Net().eval()
    scores = metric(
        model=network,
        x_batch=image.numpy().copy(),
        y_batch=np.array([1]),
        a_batch=importance[None, None].copy(),
        device="cpu",
        softmax=False,
    )
    return scores[0]


PLAIN = {
    "abs": False,
    "normalise": False,
    "return_aggregate": False,
    "disable_warnings": True,
    "display_progressbar": False,
}


def test_the_curves_of_a_sum_of_pixels_are_worked_out_by_hand():
    """2 x 2 pixels 0.4 0.3 0.2 0.1 whose sum is the score, in the right order: partial sums, in steps of one pixel."""
    pixels = torch.tensor([[[[0.4, 0.3], [0.2, 0.1]]]])
    trial = trial_of(pixels, Probe(), torch.ones(1), cells=2)
    order = np.array([[4.0, 3.0], [2.0, 1.0]])

    inserted = insertion_curve(trial, order, steps=4)
    deleted = deletion_curve(trial, order, steps=4)

    np.testing.assert_allclose(inserted.shares, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(inserted.scores, [0, 0.4, 0.7, 0.9, 1], atol=1e-6)
    np.testing.assert_allclose(deleted.scores, [1, 0.6, 0.3, 0.1, 0], atol=1e-6)
    assert inserted.area == pytest.approx((0 + 0.4 + 0.7 + 0.9 + 0.5) / 4)
    assert insertion(trial, order, steps=4) == pytest.approx(inserted.area)
    assert deletion(trial, order, steps=4) == pytest.approx((0.5 + 0.6 + 0.3 + 0.1) / 4)


def test_hidden_pixels_show_the_fill_and_shown_ones_the_picture(image, importance):
    probe = Probe()
    trial = trial_of(image, probe, torch.ones(1), fill=0.25)
    probe.seen.clear()

    insertion(trial, importance, steps=4)

    seen = torch.cat(probe.seen)
    order = np.argsort(-importance.ravel())
    for number, pixels in enumerate(seen):
        visible = np.zeros(64, dtype=bool)
        visible[order[: number * 16]] = True
        expected = np.where(visible, image.numpy().ravel(), np.float32(0.25))
        np.testing.assert_allclose(pixels.numpy().ravel(), expected, atol=1e-6)


@pytest.mark.parametrize("cells", [None, 4])
def test_reversing_the_order_swaps_insertion_and_deletion(image, importance, cells):
    trial = second_output(image)
    importance = importance + np.arange(64).reshape(8, 8) / 100

    forth = insertion(trial, importance, steps=16, cells=cells), deletion(trial, importance, steps=16, cells=cells)
    back = insertion(trial, -importance, steps=16, cells=cells), deletion(trial, -importance, steps=16, cells=cells)

    assert forth == pytest.approx(back[::-1])
    assert abs(forth[0] - forth[1]) > 1e-3


def test_cells_are_hidden_as_a_whole_in_the_order_of_their_mean(image):
    probe = Probe()
    trial = trial_of(torch.ones(1, 1, 4, 4), probe, torch.ones(1), cells=2)
    probe.seen.clear()
    importance = np.zeros((4, 4))
    importance[0, 3] = 9  # the mean of the cell at the top right is 9/4
    importance[2:, :2] = 2
    importance[2:, 2:] = 1

    deletion(trial, importance, steps=4, cells=2)

    remaining = [set(map(tuple, pixels[0].nonzero().tolist())) for pixels in torch.cat(probe.seen)]
    gone = [before - after for before, after in pairwise(remaining)]
    corners = [{(row, column) for row in rows for column in columns} for rows, columns in [
        ((0, 1), (2, 3)), ((2, 3), (0, 1)), ((2, 3), (2, 3)), ((0, 1), (0, 1))]]  # fmt: skip
    assert gone == corners


def test_pixels_of_equal_importance_come_in_an_order_of_chance(image):
    """Not from the top left: the rows of a constant map are touched alike."""
    probe = Probe()
    trial = trial_of(torch.ones(1, 1, 30, 30), probe, torch.ones(1))
    probe.seen.clear()

    insertion(trial, np.ones((30, 30)), steps=2, seed=4)

    half = torch.cat(probe.seen)[1, 0]
    assert half.sum() == 450
    assert 150 < half[:15].sum() < 300
    again, other = insertion_curve(trial, np.ones((30, 30)), seed=4), insertion_curve(trial, np.ones((30, 30)), seed=4)
    np.testing.assert_array_equal(again.scores, other.scores)


def test_unknown_pixels_come_last():
    probe = Probe()
    trial = trial_of(torch.ones(1, 1, 2, 2), probe, torch.ones(1), cells=2)
    probe.seen.clear()

    deletion(trial, np.array([[1.0, np.nan], [-5.0, 3.0]]), steps=4)

    assert torch.cat(probe.seen)[3, 0].tolist() == [[0, 1], [0, 0]]


def test_the_shift_is_the_distance_of_the_embeddings(image, importance):
    trial = second_output(image)
    hidden = image.clone().flatten()
    hidden[torch.from_numpy(np.argsort(-importance.ravel())[:16].copy())] = 0

    shift = representation_shift(trial, importance, share=0.25)

    with torch.no_grad():
        expected = (Net()(image) - Net()(hidden.reshape(image.shape))).norm()
    assert shift == pytest.approx(float(expected), abs=1e-6)


def test_the_correlation_is_1_where_importance_is_what_each_pixel_adds(image):
    """A sum of pixels: hiding a part costs exactly its pixels."""
    trial = trial_of(image, Probe(), torch.ones(1))
    truth = image[0, 0].numpy()

    for cells in (None, 4):
        assert faithfulness_correlation(trial, truth, cells=cells) == pytest.approx(1)
        assert faithfulness_correlation(trial, -truth, cells=cells) == pytest.approx(-1)
    assert monotonicity_correlation(trial, truth, steps=16) == pytest.approx(1)
    assert monotonicity(trial, truth, steps=16) == 1


@pytest.mark.parametrize(
    ("worth", "share"),
    [
        ((1.0, -1.0, 1.0, 1.0), 2 / 3),  # one of the three later steps lowers the sum
        ((-1.0, 1.0, 1.0, 1.0), 1),  # the first step is the start; the other way round, the last one would lower it
        ((1.0, 1.0, 1.0, -1.0), 2 / 3),
        ((1.0, 0.0, 0.0, 1.0), 1),  # a step without a change does not lower it
    ],
)
def test_steps_that_lower_the_similarity_are_counted_from_the_least_important_pixel_on(worth, share):
    trial = trial_of(
        torch.ones(1, 1, 2, 2), lambda pixels: pixels.flatten(1) * torch.tensor(worth), torch.ones(4), cells=2
    )

    assert monotonicity(trial, np.array([[1.0, 2.0], [3.0, 4.0]]), steps=4) == pytest.approx(share)


@pytest.mark.parametrize("step", [1, 4])
def test_the_deletion_curve_is_the_pixel_flipping_of_quantus(image, importance, step):
    curve = deletion_curve(second_output(image), importance, steps=64 // step)

    theirs = quantus.PixelFlipping(features_in_step=step, perturb_baseline=0.0, **PLAIN)

    np.testing.assert_allclose(curve.scores[1:], quantus_score(theirs, image, importance), atol=1e-6)


def test_the_faithfulness_correlation_agrees_with_quantus(image, importance, monkeypatch):
    """Quantus draws its subsets from the global generator; here both get the same ones."""
    ours = faithfulness_correlation(second_output(image), importance, subsets=40, share=0.25, cells=None, seed=5)
    drawn = np.random.default_rng((5, 5))
    monkeypatch.setattr(np.random, "choice", lambda count, size, replace: drawn.choice(count, size, replace=replace))

    theirs = quantus.FaithfulnessCorrelation(
        nr_runs=40, subset_size=16, perturb_baseline=0.0, **{**PLAIN, "return_aggregate": False}
    )

    assert ours == pytest.approx(quantus_score(theirs, image, importance), abs=1e-6)


def test_monotonicity_is_that_of_quantus_where_all_steps_count(image):
    def showing(arr, indices, pixels, **_):
        """Quantus' own would put the baseline over the baseline."""
        arr = arr.copy()
        arr[0, indices[0]] = pixels.flatten()[indices[0]]
        return arr

    with torch.no_grad():
        gains = (Net().weights[:, 1] * image.flatten()).reshape(8, 8).numpy()
    positive = Net().weights[:, 1].detach().reshape(1, 1, 8, 8) > 0

    for pixels in (image, image * positive):  # where weights are negative, black pixels cannot lower the score
        theirs = quantus.Monotonicity(
            features_in_step=8,
            perturb_baseline=0.0,
            perturb_func=showing,
            perturb_func_kwargs={"pixels": pixels.numpy()},
            **PLAIN,
        )
        share = monotonicity(second_output(pixels), gains, steps=8)
        assert (share == 1) == bool(quantus_score(theirs, pixels, gains))
    assert share == 1
    assert monotonicity(second_output(image), gains, steps=8) < 1


def test_the_monotonicity_correlation_agrees_with_quantus(image, importance):
    ours = monotonicity_correlation(second_output(image), importance, steps=16)

    theirs = quantus.MonotonicityCorrelation(nr_samples=1, features_in_step=4, perturb_baseline=0.0, **PLAIN)

    assert ours == pytest.approx(quantus_score(theirs, image, importance), abs=1e-6)


def test_contrastive_curves_follow_the_corpus_and_shun_the_foil(image, importance):
    """Scores are the mean cosine to the corpus minus that to the foil, by the definition."""
    rng = torch.Generator().manual_seed(8)
    corpus, foil = torch.randn(4, 3, generator=rng), torch.randn(6, 3, generator=rng)
    trial = trial_of(image, Net(), Corpus(corpus), "cosine", Corpus(foil))

    curve = insertion_curve(trial, importance, steps=4)

    order = np.argsort(-importance.ravel())
    for number, score in enumerate(curve.scores[1:], 1):
        pixels = torch.zeros(64)
        pixels[order[: number * 16].copy()] = image.flatten()[order[: number * 16].copy()]
        with torch.no_grad():
            z = Net()(pixels.reshape(1, 1, 8, 8))
        near, far = (torch.cosine_similarity(z, members).mean() for members in (corpus, foil))
        assert score == pytest.approx(float(near - far), abs=1e-6)


def test_a_map_of_the_picture_is_brought_to_the_view():
    """40 x 60 px, shorter side to 20, the middle 16 x 16: two picture pixels a view pixel, from row 4, column 14 on."""
    encoder = Encoder(
        lambda pixels: pixels.flatten(1)[:, :2] + 1, preprocess=Preprocess(size=(16, 16), resize=20), device="cpu"
    )
    trial = Trial.of(Scene.of(torch.rand(1, 1, 40, 60), encoder, Hiding()))
    rows, columns = np.mgrid[:40, :60] + 0.5

    np.testing.assert_allclose(trial.in_view(columns)[3], 14 + 2 * (np.arange(16) + 0.5))
    np.testing.assert_allclose(trial.in_view(rows)[:, 5], 4 + 2 * (np.arange(16) + 0.5))
    outside = np.where((columns > 15) & (columns < 45) & (rows > 5) & (rows < 35), 0.5, np.nan)  # half of the edge
    np.testing.assert_allclose(trial.in_view(outside), 0.5)
    assert np.isnan(trial.in_view(np.where(columns < 20, np.nan, 1.0))[0, :2]).all()


def test_each_metric_costs_what_it_says(image, importance):
    rng = torch.Generator().manual_seed(8)
    contrast = Corpus(torch.randn(4, 3, generator=rng)), Corpus(torch.randn(4, 3, generator=rng))
    judged = [metric for metric in METRICS.values() if metric.needs in ("trial", "contrast")]
    assert len(judged) == 16

    for metric in judged:
        trial = trial_of(image, Net(), contrast[0], "cosine", contrast[1])
        before = trial.passes
        metric(Case(importance, trial=trial, contrast=trial))
        assert trial.passes - before == metric.passes, metric.name


def test_what_cannot_be_asked_is_refused(image, importance):
    trial = second_output(image)

    with pytest.raises(
        ValueError, match=r"importance must have the size that the encoder sees, \(8, 8\); got \(4, 4\)"
    ):
        insertion(trial, importance[:4, :4])
    with pytest.raises(ValueError, match=r"importance must have the size of the picture, \(8, 8\); got \(4, 4\)"):
        trial.in_view(importance[:4, :4])
    with pytest.raises(ValueError, match=r"steps must be 2 or more; got 1"):
        deletion(trial, importance, steps=1)
    with pytest.raises(ValueError, match=r"share is a share of the pixels, in \(0, 1\]; got 0"):
        representation_shift(trial, importance, share=0)
    with pytest.raises(ValueError, match=r"subsets must be 2 or more and share in \(0, 1\); got 1 and 0.25"):
        faithfulness_correlation(trial, importance, subsets=1)
    with pytest.raises(ValueError, match=r"cells must be 2 or more along a side, or None for pixels; got 1"):
        insertion(trial, importance, cells=1)
    with pytest.raises(ValueError, match=r"metric insertion needs the picture and the encoder, which this map comes"):
        METRICS["insertion"](Case(importance))


DRAWN = {
    "insertion": insertion,
    "deletion": deletion,
    "insertion by cells": lambda *given, **seed: insertion(*given, cells=4, **seed),
    "insertion curve": lambda *given, **seed: insertion_curve(*given, **seed).area,
    "deletion curve": lambda *given, **seed: deletion_curve(*given, **seed).area,
    "shift": representation_shift,
    "correlation": lambda trial, _, **seed: faithfulness_correlation(trial, np.eye(SIZE), **seed),
    "monotonicity correlation": lambda trial, _, **seed: monotonicity_correlation(trial, np.eye(SIZE), **seed),
}


@pytest.mark.parametrize("metric", DRAWN.values(), ids=DRAWN)
def test_where_chance_decides_the_seed_does_and_it_is_0_unless_given(image, metric):
    """All pixels are equally important, or most are: their order is drawn."""
    trial, flat = second_output(image), np.ones((SIZE, SIZE))

    assert metric(trial, flat) == metric(trial, flat, seed=0)
    assert metric(trial, flat) != metric(trial, flat, seed=1)


def test_the_least_and_the_most_of_what_can_be_hidden(image):
    """All pixels at once; and parts of at least one cell and of all cells but one."""
    trial, truth = trial_of(image, Probe(), torch.ones(1)), image[0, 0].numpy().astype(float)

    assert representation_shift(trial, truth, share=1) == pytest.approx(truth.sum(), rel=1e-6)
    for share in (1e-6, 0.5, 1 - 1e-6):
        assert faithfulness_correlation(trial, truth, share=share, cells=4) == pytest.approx(1)
    assert abs(faithfulness_correlation(trial, truth, subsets=2, cells=4)) == pytest.approx(1)
    for call, share in ((representation_shift, 1.5), (faithfulness_correlation, 0.0), (faithfulness_correlation, 1.0)):
        with pytest.raises(ValueError, match="share"):
            call(trial, truth, share=share)


def test_parts_of_all_cells_but_one_hide_as_many():
    probe = Probe()
    trial = trial_of(torch.ones(1, 1, SIZE, SIZE), probe, torch.ones(1))
    for share, hidden in ((1e-6, 4), (1 - 1e-6, 60)):
        probe.seen.clear()

        faithfulness_correlation(trial, np.eye(SIZE), share=share, cells=4)

        assert (64 - torch.cat(probe.seen).sum((1, 2, 3))).tolist() == [hidden] * 30


def test_unknown_pixels_count_as_the_lowest_of_their_cell_and_come_last_of_all():
    """Cells of 1 x 2: means 3, (5 + 1) / 2 = 3 with the unknown pixel at the lowest value 1, and 2."""
    probe = Probe()
    trial = trial_of(torch.ones(1, 1, 2, 4), probe, torch.ones(1), cells=2)
    importance = np.array([[4.0, 3.0, 5.0, np.nan], [2.0, 2.0, 1.0, 1.0]])
    probe.seen.clear()

    deletion(trial, importance, steps=4, cells=2)

    assert torch.cat(probe.seen)[1, 0].tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]


def test_a_trial_counts_its_passes_and_takes_an_embedding_that_there_is(image):
    encoder = load(Net(), device="cpu")
    scene = Scene.of(image, encoder, Hiding())

    first = Trial.of(scene)
    again = Trial.of(scene, None, first.image_embedding)

    assert (first.passes, again.passes) == (1, 0)
    assert again.image_embedding is first.image_embedding
    assert first.image_score == pytest.approx(1)  # the cosine to itself
    again.scores(np.ones((3, SIZE, SIZE), dtype=bool))
    assert again.passes == 3
    other = Trial.of(scene, None, torch.tensor([1.0, 2.0, 3.0]))
    assert other.image_embedding.tolist() == [1, 2, 3]
    scores = other.scores(np.ones((1, SIZE, SIZE), dtype=bool))
    expected = torch.cosine_similarity(first.image_embedding.double(), torch.tensor([1.0, 2.0, 3.0]).double(), dim=0)
    assert scores.dtype == np.float64
    assert scores[0] == pytest.approx(float(expected))


def test_a_map_of_a_view_that_is_the_picture_is_taken_as_it_is(image, importance):
    importance[2, 3] = np.nan

    np.testing.assert_array_equal(second_output(image).in_view(importance), importance)


def test_a_stretched_view_that_is_not_square_takes_each_axis_by_itself():
    """24 x 60 px to 12 x 20: two rows and three columns a view pixel."""
    encoder = Encoder(lambda pixels: pixels.flatten(1)[:, :2] + 1, preprocess=Preprocess(size=(12, 20)), device="cpu")
    trial = Trial.of(Scene.of(torch.rand(1, 1, 24, 60), encoder, Hiding()))
    rows, columns = np.mgrid[:24, :60] + 0.5
    top, left, bottom, right = encoder.seen(24, 60)

    down = top + (np.arange(12) + 0.5) * (bottom - top) / 12
    across = left + (np.arange(20) + 0.5) * (right - left) / 20
    np.testing.assert_allclose(trial.in_view(rows), np.broadcast_to(down[:, None], (12, 20)))
    np.testing.assert_allclose(trial.in_view(columns), np.broadcast_to(across, (12, 20)))
