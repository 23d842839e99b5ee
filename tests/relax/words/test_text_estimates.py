"""Words of an encoder that adds up their vectors: every method gives the values that are known in closed form."""

import itertools

import numpy as np
import pytest
import torch
from captum.attr import KernelShap

from encoders.words.loading import load_text_encoder
from relax.words.baselines import kernel_shap, lime
from relax.words.explaining import explain_text
from relax.words.game import Game
from relax.words.masks import PartMasks, PartSurrogate, design_for
from relax.words.question import TextQuestion
from tests.toy_text import MASK, PAD, SumOfWords, toy_tokens

SHORT = "Seven red foxes ran home."
LONG = "a bb cc dd ee ff gg hh ii jj kk ll mm nn"


def toy(**options):
    return load_text_encoder(SumOfWords(), tokenizer=toy_tokens, mask_id=MASK, pad_id=PAD, **options)


def reference():
    return torch.randn(8, generator=torch.Generator().manual_seed(1)).numpy()


def terms(text):
    """What each word adds to the dot product, by a loop over its tokens."""
    table, direction = SumOfWords().table.weight.double(), torch.from_numpy(reference()).double()
    values = []
    for word in text.split():
        values.append(sum(float(table[number] @ direction) for number in toy_tokens(word).ids))
    return np.array(values)


@pytest.mark.parametrize("keep", [0.5, 0.3])
def test_all_subsets_of_a_sum_give_the_closed_form(keep):
    """Importance a_k + p times the sum of the others, uncertainty p (1 - p) times the sum of their squares."""
    a = terms(SHORT)

    explained = explain_text(SHORT, encoder=toy(), reference=reference(), similarity="dot", keep=keep)

    others = a.sum() - a
    np.testing.assert_allclose(explained.importance, a + keep * others, rtol=1e-5)
    np.testing.assert_allclose(explained.uncertainty, keep * (1 - keep) * ((a**2).sum() - a**2), rtol=1e-4)
    np.testing.assert_allclose(explained.effect, (1 - keep) * a, rtol=1e-4, atol=1e-6)
    assert explained.standard_error.tolist() == [0] * 5
    assert explained.score == pytest.approx(a.sum(), rel=1e-5)
    assert explained.hidden == pytest.approx(0, abs=1e-6)
    assert explained.provenance["estimator"] == {"name": "exact", "subsets": 32}


def test_all_subsets_are_taken_as_the_definition_has_them():
    """The cosine is no sum: the mean and variance over the subsets that show a word, in plain loops."""
    encoder = toy()
    words = SHORT.split()
    whole = encoder([SHORT])[0].double()
    scores = {}
    for shown in itertools.product([0, 1], repeat=len(words)):
        left = (
            encoder([" ".join(itertools.compress(words, shown))])[0].double()
            if any(shown)
            else torch.zeros(8, dtype=torch.float64)
        )
        length = left.norm() * whole.norm()
        scores[shown] = float(left @ whole / length) if length > 0 else 0.0

    explained = explain_text(SHORT, encoder=encoder)

    for place in range(len(words)):
        values = [score for shown, score in scores.items() if shown[place]]
        assert explained.importance[place] == pytest.approx(np.mean(values), abs=1e-6)
        assert explained.uncertainty[place] == pytest.approx(np.var(values), abs=1e-6)


def test_random_subsets_come_within_their_error_of_all_of_them():
    """Fourteen words: 1,024 of 16,384 subsets, whose cosine is no sum. Over seeds the error is as large as it says."""
    exact = explain_text(LONG, encoder=toy(), masks=2**14)
    assert exact.provenance["estimator"]["name"] == "exact"

    runs = [explain_text(LONG, encoder=toy(), masks=1024, seed=seed) for seed in range(12)]

    apart = np.stack([(run.importance - exact.importance) / run.standard_error for run in runs])
    assert 0.7 < np.sqrt((apart**2).mean()) < 1.3
    assert np.abs(apart).max() < 5
    spread = np.stack([run.uncertainty for run in runs]).mean(0)
    np.testing.assert_allclose(spread, exact.uncertainty, rtol=0.05)


def test_control_variates_make_a_sum_exact():
    """What is a sum of words has no residual left but the ridge's."""
    a = terms(LONG)

    explained = explain_text(LONG, encoder=toy(), reference=reference(), similarity="dot", masks=1024)

    np.testing.assert_allclose(explained.effect, 0.5 * a, atol=0.02 * np.abs(a).max())
    assert explained.provenance["estimator"]["explained"] > 0.999


@pytest.mark.parametrize("keep", [0.5, 0.3])
def test_what_the_surrogate_calls_exact_is_the_mean_over_all_subsets(keep):
    grid = PartMasks(5, keep)
    surrogate = PartSurrogate(grid)
    weights = torch.randn(2, 5 + 10, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    shares = torch.tensor([0.25, 0.75], dtype=torch.float64)
    subsets = torch.tensor([*itertools.product([0.0, 1.0], repeat=5)], dtype=torch.float64)
    chances = (subsets * keep + (1 - subsets) * (1 - keep)).prod(1)
    centred = subsets - keep
    pairs = sorted(itertools.combinations(range(5), 2), key=lambda pair: pair[1] - pair[0])
    features = torch.cat([centred, torch.stack([centred[:, i] * centred[:, j] for i, j in pairs], 1)], 1)
    values = features @ weights.T

    mean, square = surrogate.conditional_mean(weights[0])[0], surrogate.mean_of_square(weights, shares, 0)[0]

    for part in range(5):
        chance = chances * subsets[:, part] / keep
        assert float(mean[part]) == pytest.approx(float(chance @ values[:, 0]))
        assert float(square[part]) == pytest.approx(float(chance @ values.square() @ shares))


def test_the_subsets_show_each_part_with_its_chance_and_do_not_depend_on_what_came_before():
    grid = PartMasks(12, 0.3, seed=4, design=design_for(12, 1024))

    subsets = grid.subsets(0, 1024)

    assert grid.design == "orthogonal"
    assert design_for(500, 1024) == "antithetic"
    torch.testing.assert_close(grid.masks(100, 300)[:, 0, 0], subsets[100:300])
    np.testing.assert_allclose(subsets.mean(0), 0.3, atol=0.05)


def game(text=SHORT, masks=512):
    question = TextQuestion.of(text, toy(), reference=reference(), similarity="dot")
    return Game(question.score, len(question.parts), masks, 0.5, 0), question


@pytest.mark.parametrize("masks", [512, 31])
def test_kernel_shap_of_a_sum_is_its_terms_over_all_subsets_and_by_samples(masks):
    """Five words have 32 subsets: with 31 masks, captum samples them."""
    values = kernel_shap(game(masks=masks)[0])

    assert ("estimator" in values.settings) == (masks == 512)
    np.testing.assert_allclose(values.importance, terms(SHORT), rtol=2e-3, atol=1e-4)


def test_kernel_shap_equals_captums_own_on_the_same_subsets():
    """On a game that is no sum: the square of how many words are shown, of which one counts twice."""

    def score(masks):
        return ((masks @ torch.tensor([1.0, 1.0, 2.0, 1.0])) ** 2).double()

    exact = kernel_shap(Game(score, 4, 64, 0.5, 0)).importance
    ones = torch.ones(1, 4)
    torch.manual_seed(0)
    sampled = KernelShap(score).attribute(
        ones, baselines=torch.zeros_like(ones), n_samples=800, perturbations_per_eval=64
    )[0]

    assert float(exact.sum()) == pytest.approx(25.0)
    assert exact.tolist() == pytest.approx([5, 5, 10, 5])  # a_i * sum of a, as for every squared sum
    np.testing.assert_allclose(sampled, exact, rtol=0.1)


def test_lime_of_a_sum_finds_the_order_and_nearly_the_terms():
    """Its ridge of 1 makes them a little smaller."""
    values = lime(game(masks=2000)[0]).importance.numpy()

    np.testing.assert_allclose(values, terms(SHORT), rtol=0.05, atol=0.05)


def test_leaving_one_out_of_a_sum_gives_its_terms():
    explained = explain_text(SHORT, encoder=toy(), reference=reference(), similarity="dot", method="leave_one_out")

    np.testing.assert_allclose(explained.importance, terms(SHORT), rtol=1e-4, atol=1e-5)
    assert np.isnan(explained.standard_error).all()
    assert explained.provenance["cost"]["passes"] == 6


@pytest.mark.parametrize("method", ["relax", "kernel_shap", "lime"])
def test_the_same_seed_gives_the_same_numbers_and_leaves_the_callers_generator_alone(method):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()

    first, again, other = (
        explain_text(LONG, encoder=toy(), method=method, masks=128, seed=seed).importance for seed in (3, 3, 4)
    )

    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_lime_leaves_out_from_one_word_to_all_alike_often_but_none_in_its_first_sample():
    seen = []

    def score(masks):
        seen.extend(masks.tolist())
        return masks.sum(1).double()

    lime(Game(score, 4, 2001, 0.5, 0))

    samples = [sum(mask) for mask in seen[-2001:]]
    assert samples[0] == 4
    np.testing.assert_allclose([samples[1:].count(shown) for shown in range(4)], 500, atol=75)
    shown = np.array(seen[-2000:])
    np.testing.assert_allclose(shown.mean(0), 3 / 8, atol=0.04)
