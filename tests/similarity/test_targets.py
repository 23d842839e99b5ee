"""The similarity to a corpus is the mean over its members, however it is computed; that to a foil is subtracted."""

import math

import pytest
import torch

from similarity import MEASURES, measure_named
from similarity.measures import MEMBERS_AT_ONCE, Measure
from similarity.references import Target, mean_similarity
from tests.reference import contrast_by_definition


def vectors(count, width=5, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


Z, CORPUS, FOIL = vectors(7), vectors(4, seed=1), vectors(3, seed=2)


@pytest.mark.parametrize("name", MEASURES)
def test_corpus_minus_foil_is_the_double_loop_over_its_members(name):
    with_zeros = torch.cat([CORPUS, torch.zeros(1, 5, dtype=torch.float64)])
    z = torch.cat([Z, torch.zeros(1, 5, dtype=torch.float64), CORPUS[:1]])

    scores = Target(name, with_zeros, FOIL)(z)

    assert scores.dtype == torch.float64
    torch.testing.assert_close(scores, contrast_by_definition(name, z, with_zeros, FOIL), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", MEASURES)
def test_a_corpus_larger_than_a_chunk_counts_every_member_once(name):
    corpus = vectors(MEMBERS_AT_ONCE * 2 + 3, seed=3) + torch.linspace(0, 3, MEMBERS_AT_ONCE * 2 + 3)[:, None]

    scores = mean_similarity(name, corpus)(Z)

    by_member = torch.stack([measure_named(name)(Z, member) for member in corpus])
    torch.testing.assert_close(scores, by_member.mean(0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", MEASURES)
def test_a_corpus_of_one_is_its_member(name):
    torch.testing.assert_close(Target(name, CORPUS[:1])(Z), Target(name, CORPUS[0])(Z), rtol=1e-14, atol=1e-14)
    assert torch.equal(Target(name, CORPUS[0])(Z), measure_named(name)(Z, CORPUS[0]))


@pytest.mark.parametrize("name", MEASURES)
def test_swapping_corpus_and_foil_changes_the_sign_and_equal_sets_give_zero(name):
    assert torch.equal(Target(name, CORPUS, FOIL)(Z), -Target(name, FOIL, CORPUS)(Z))
    assert torch.equal(Target(name, CORPUS, CORPUS)(Z), torch.zeros(7, dtype=torch.float64))
    assert torch.equal(Target(name, CORPUS[0], CORPUS[0])(Z), torch.zeros(7, dtype=torch.float64))


@pytest.mark.parametrize("name", MEASURES)
def test_a_single_reference_can_be_contrasted_with_a_corpus(name):
    scores = Target(name, CORPUS[0], FOIL)(Z)

    torch.testing.assert_close(scores, contrast_by_definition(name, Z, CORPUS[:1], FOIL), rtol=1e-13, atol=1e-13)


def manhattan(embeddings, reference):
    return -(embeddings.double() - reference.double()).abs().sum(1)


def manhattan_by_definition(z, members):
    """(N,) mean over the members of minus the sum of absolute differences, number by number."""
    distances = [
        [math.fsum(abs(a - b) for a, b in zip(row, member, strict=True)) for member in members.tolist()]
        for row in z.tolist()
    ]
    return torch.tensor([-math.fsum(row) / len(row) for row in distances], dtype=torch.float64)


def test_a_new_measure_without_a_faster_way_is_averaged_over_the_members_by_itself(monkeypatch):
    monkeypatch.setitem(MEASURES, "manhattan", Measure("manhattan", "negative L1 distance", manhattan))

    to_corpus = mean_similarity("manhattan", CORPUS)(Z)
    contrast = Target("manhattan", CORPUS, FOIL)(Z)

    by_hand = manhattan_by_definition(Z, CORPUS)
    torch.testing.assert_close(to_corpus, by_hand, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(contrast, by_hand - manhattan_by_definition(Z, FOIL), rtol=1e-14, atol=1e-14)
    by_member = [manhattan(Z, member) for member in CORPUS]
    assert torch.equal(to_corpus, (by_member[0] + by_member[1] + by_member[2] + by_member[3]) / 4)
    for name in ("cosine", "l2", "dot", "rbf"):
        assert (to_corpus - mean_similarity(name, CORPUS)(Z)).abs().min() > 1e-3, name


def test_a_new_measure_with_a_faster_way_uses_it(monkeypatch):
    """`over_members` is called once, with the members in float64, and what it returns is the score."""
    calls = []

    def over_members(members):
        calls.append(members.dtype)
        return lambda embeddings: manhattan_by_definition(embeddings, members)

    def unused(embeddings, reference):
        raise AssertionError("scored one member at a time")

    measure = Measure("fast", "negative L1 distance", unused, over_members=over_members)
    monkeypatch.setitem(MEASURES, "fast", measure)

    target = Target("fast", CORPUS.float())

    assert torch.equal(target(Z), manhattan_by_definition(Z, CORPUS.float()))
    assert torch.equal(target(Z[:2]), manhattan_by_definition(Z[:2], CORPUS.float()))
    assert calls == [torch.float64]


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_the_cosine_to_a_corpus_does_not_depend_on_its_members_lengths(scale):
    stretched = CORPUS * torch.tensor([scale, 1.0, 1 / scale, 7.0], dtype=torch.float64)[:, None]

    torch.testing.assert_close(Target("cosine", stretched)(Z), Target("cosine", CORPUS)(Z))


@pytest.mark.parametrize("count", [1, 40])  # from 26 rows on, torch would go through inner products by itself
def test_small_distances_to_a_corpus_far_from_the_origin_are_not_rounded_away(count):
    far = torch.full((2 * count, 3), 1e6, dtype=torch.float64)
    far[count:, 0] += 1e-4

    distances = mean_similarity("l2", far)(far[:count])

    torch.testing.assert_close(distances, torch.full((count,), -0.5e-4, dtype=torch.float64), rtol=1e-5, atol=0)


def test_members_along_the_axes_count_like_any_other():
    """Of three axes, a vector along the first has the cosines 1, 0 and 0."""
    assert mean_similarity("cosine", torch.eye(3))(torch.tensor([[2.0, 0, 0]])).item() == pytest.approx(1 / 3)


def test_float32_members_are_added_up_in_float64():
    corpus = torch.tensor([[2.0**24], [1.0]])

    assert mean_similarity("dot", corpus)(torch.ones(1, 1)).item() == (2**24 + 1) / 2


@pytest.mark.parametrize("argument", ["reference", "foil"])
@pytest.mark.parametrize(
    ("members", "message"),
    [
        (torch.zeros(0, 5), r"{} must be one vector \(D,\) or a corpus \(K, D\) with K at least 1; got \(0, 5\)"),
        (torch.zeros(1, 2, 5), r"{} must be one vector .*; got \(1, 2, 5\)"),
        (torch.tensor([[1.0, math.nan], [1, 2], [math.inf, math.nan]]), "{} must be finite; 2 of 3 embeddings hold"),
        (torch.tensor([[1.0, 2], [1, 2], [1, math.nan]]), "{} must be finite; 1 of 3 embeddings hold"),
    ],
)
def test_an_impossible_corpus_is_refused_before_anything_is_scored(argument, members, message):
    arguments = {"reference": torch.ones(5), argument: members}

    with pytest.raises(ValueError, match=message.format(argument)):
        Target("cosine", **arguments)


@pytest.mark.parametrize("name", MEASURES)
def test_embeddings_of_another_width_or_with_nan_are_refused(name):
    with pytest.raises(ValueError, match=r"similarity needs embeddings \(N, D\) .*got \(7, 5\) and \(6,\)"):
        Target(name, vectors(2, 6))(Z)
    with pytest.raises(ValueError, match="embeddings must be finite"):
        Target(name, CORPUS)(Z * math.nan)


def test_a_set_that_is_scored_alone_is_called_a_reference():
    with pytest.raises(ValueError, match=r"^reference must be one vector \(D,\) or a corpus"):
        mean_similarity("cosine", torch.zeros(0, 5))


def test_an_unknown_measure_is_refused():
    with pytest.raises(ValueError, match="similarity must be one of cosine"):
        Target("cosin", CORPUS)
