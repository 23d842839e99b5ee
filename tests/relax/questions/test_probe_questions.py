"""Clusters, neighbours and measures are asked of one probe, without encoding anything, and mean what they say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

import relax
from relax.plotting.questions import consensus_figure, measures_figure
from relax.questions.probes import (
    MeasureComparison,
    compare_measures,
    explain_centre,
    neighbour_consensus,
    rank_correlation,
)
from relax.references import Corpus
from tests.reference import similarity_by_definition


def image(seed=0):
    return torch.rand(3, 12, 10, generator=torch.Generator().manual_seed(seed))


class Counting:
    """Embeds by the mean of each row, and remembers how many images it saw."""

    def __init__(self):
        self.seen = 0

    def __call__(self, pixels):
        self.seen += len(pixels)
        return pixels.mean(3).flatten(1)


@pytest.fixture(scope="module")
def encoder():
    return Counting()


@pytest.fixture(scope="module")
def probe(encoder):
    return relax.probe(image(), encoder, masks=60, cells=3, estimator="plain")


@pytest.fixture(scope="module")
def others():
    return torch.stack([image(seed).mean(2).flatten() for seed in range(1, 9)])


def closest_first(embedding, vectors, similarity):
    values = [similarity_by_definition(similarity, embedding.tolist(), vector) for vector in vectors.tolist()]
    return sorted(range(len(values)), key=lambda row: -values[row]), values


@pytest.mark.parametrize("similarity", ["cosine", "l2", "dot", "rbf"])
def test_the_own_cluster_is_that_of_the_closest_centre(probe, others, similarity):
    order, _ = closest_first(probe.image_embedding, others, similarity)

    explanation = explain_centre(probe, others, similarity=similarity)

    expected = probe.explain(others[order[0]], similarity=similarity)
    np.testing.assert_allclose(explanation.importance, expected.importance, rtol=1e-6)
    assert explanation.provenance["cluster"] == order[0]
    assert explanation.provenance["reference"] == f"centre of cluster {order[0]} of 8"


def test_contrast_takes_the_closest_other_centre_away(probe, others):
    order, _ = closest_first(probe.image_embedding, others, "cosine")

    closest = explain_centre(probe, others, contrast=True)
    farthest = explain_centre(probe, others.numpy(), cluster=order[-1], contrast=True)

    np.testing.assert_allclose(
        closest.importance, probe.explain(others[order[0]], foil=others[order[1]]).importance, atol=1e-7
    )
    np.testing.assert_allclose(
        farthest.importance, probe.explain(others[order[-1]], foil=others[order[0]]).importance, atol=1e-7
    )
    assert (farthest.provenance["cluster"], farthest.provenance["next_cluster"]) == (order[-1], order[0])
    assert farthest.provenance["map"] == "mean cosine minus that to the foil"


@pytest.mark.parametrize(
    ("centres", "settings", "message"),
    [
        (torch.ones(2, 36), {"cluster": 2}, "cluster must be from 0 to 1; got 2"),
        (torch.ones(1, 36), {"contrast": True}, "contrast needs at least two centres; got one"),
        (torch.ones(2, 35), {}, r"centres must be \(K, 36\) with K at least 1; got \(2, 35\)"),
        (torch.ones(0, 36), {}, r"got \(0, 36\)"),
        (torch.ones(36), {}, r"got \(36,\)"),
        (torch.full((2, 36), torch.nan), {}, "centres must be finite"),
        (torch.ones(2, 36), {"similarity": "cosin"}, "similarity must be one of"),
    ],
)
def test_impossible_centres_are_refused(probe, centres, settings, message):
    with pytest.raises(ValueError, match=message):
        explain_centre(probe, centres, **settings)


@pytest.mark.parametrize("similarity", ["cosine", "l2", "dot", "rbf"])
def test_the_consensus_has_the_map_for_each_of_the_nearest(probe, others, similarity):
    order, values = closest_first(probe.image_embedding, others, similarity)

    consensus = neighbour_consensus(probe, others, k=3, similarity=similarity)

    assert consensus.neighbours.tolist() == order[:3]
    np.testing.assert_allclose(consensus.similarities, [values[row] for row in order[:3]], rtol=1e-12)
    for importance, row in zip(consensus.maps, order, strict=False):
        np.testing.assert_allclose(importance, probe.explain(others[row], similarity=similarity).importance, rtol=1e-6)


@pytest.mark.parametrize("similarity", ["cosine", "l2", "dot", "rbf"])
def test_the_mean_of_the_neighbours_maps_is_the_map_for_their_corpus(probe, others, similarity):
    consensus = neighbour_consensus(probe, others, k=3, similarity=similarity)

    corpus = probe.explain(Corpus(others[torch.from_numpy(consensus.neighbours)]), similarity=similarity)
    np.testing.assert_allclose(consensus.explanation.importance, consensus.maps.mean(0), rtol=1e-5)
    np.testing.assert_allclose(consensus.explanation.importance, corpus.importance, rtol=1e-5)
    np.testing.assert_allclose(consensus.explanation.standard_error, corpus.standard_error, rtol=1e-3)


def test_agreement_is_the_share_of_neighbours_with_the_pixel_on_top(probe, others):
    maps = np.array([[[4, 3, 2, 1]], [[4, 3, 1, 2]], [[1, 4, 2, 3]]], dtype=np.float32)
    consensus = replace(neighbour_consensus(probe, others, k=3), maps=maps)

    np.testing.assert_allclose(consensus.agreement(0.5), [[2 / 3, 1, 0, 1 / 3]])
    np.testing.assert_allclose(consensus.agreement(0.25), [[2 / 3, 1 / 3, 0, 0]])


def test_agreement_is_only_where_the_encoder_looked(probe, others):
    maps = np.array([[[4, 3, np.nan, 1]]], dtype=np.float32)
    consensus = replace(neighbour_consensus(probe, others, k=1), maps=maps)

    np.testing.assert_array_equal(consensus.agreement(0.5), [[1, 1, np.nan, 0]])


def test_neighbours_that_are_the_same_agree_on_the_top_and_nothing_else(probe, others):
    consensus = neighbour_consensus(probe, others[:1].expand(4, -1), k=4)

    share = consensus.agreement(0.25)

    assert set(np.unique(share)) == {0, 1}
    assert share.mean() == pytest.approx(0.25, abs=1 / share.size)


@pytest.mark.parametrize("k", [0, 9])
def test_the_number_of_neighbours_is_that_of_the_embeddings_at_most(probe, others, k):
    with pytest.raises(ValueError, match=f"k must be from 1 to 8, the number of embeddings; got {k}"):
        neighbour_consensus(probe, others, k=k)


@pytest.mark.parametrize("top", [0, 1, 20])
def test_the_top_is_a_share(probe, others, top):
    with pytest.raises(ValueError, match="top is a share of the pixels, above 0 and below 1"):
        neighbour_consensus(probe, others, k=1).agreement(top)


def test_every_measure_gives_the_map_that_it_gives_alone(probe):
    comparison = compare_measures(probe, image(3), foil=image(4))

    assert list(comparison.explanations) == ["cosine", "l2", "dot", "rbf"]
    for name, explanation in comparison.explanations.items():
        alone = probe.explain(image(3), foil=image(4), similarity=name)
        np.testing.assert_allclose(explanation.importance, alone.importance, rtol=1e-6)
        assert explanation.provenance["similarity"] == name
        assert explanation.provenance["map"] == f"mean {name} minus that to the foil"


def test_questions_cost_no_passes_but_for_images_that_are_named(probe, others, encoder):
    before = encoder.seen

    compare_measures(probe)
    neighbour_consensus(probe, others, k=2)
    explain_centre(probe, others, contrast=True)
    assert encoder.seen == before

    compare_measures(probe, Corpus([image(3), image(4)]), foil=image(5))
    assert encoder.seen == before + 3


def test_rank_correlations_are_spearmans_with_ties_and_without_unseen_pixels():
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 9, (2, 15, 11)).astype(np.float32)
    second = second + first
    first[0, :4] = np.nan
    second[2, 2] = np.nan

    correlation = rank_correlation(first, second)

    both = np.isfinite(first) & np.isfinite(second)
    assert correlation == pytest.approx(stats.spearmanr(first[both], second[both]).statistic, abs=1e-12)
    assert 0.3 < correlation < 0.95


def test_rank_correlation_is_1_for_any_rising_function_and_undefined_for_a_constant(probe):
    values = np.random.default_rng(0).normal(size=(6, 5))

    assert rank_correlation(values, np.exp(values)) == pytest.approx(1)
    assert rank_correlation(values, -values) == pytest.approx(-1)
    assert np.isnan(rank_correlation(values, np.full((6, 5), 0.3)))
    assert np.isnan(rank_correlation(values, np.full((6, 5), np.nan)))


def test_every_two_measures_have_a_rank_correlation(probe):
    comparison = compare_measures(probe)

    ranks = comparison.rank_correlations()

    assert len(ranks) == 6
    maps = {name: explanation.importance.ravel() for name, explanation in comparison.explanations.items()}
    for (a, b), value in ranks.items():
        assert value == pytest.approx(stats.spearmanr(maps[a], maps[b]).statistic, abs=1e-9)


def test_disagreement_is_the_difference_in_standard_deviations(probe):
    comparison = compare_measures(probe, measures=("cosine", "l2"))

    expected = stats.zscore(comparison.explanations["cosine"].importance.astype(float), axis=None)
    expected = expected - stats.zscore(comparison.explanations["l2"].importance.astype(float), axis=None)
    np.testing.assert_allclose(comparison.disagreement(), expected, atol=1e-9)
    np.testing.assert_allclose(comparison.disagreement("l2", "cosine"), -expected, atol=1e-9)
    assert (comparison.disagreement("l2", "l2") == 0).all()


def test_measures_that_differ_in_unit_and_zero_only_do_not_disagree(probe):
    explanation = probe.explain()
    rescaled = replace(explanation, importance=explanation.importance * 1024 - 512)

    assert np.abs(MeasureComparison({"a": explanation, "b": rescaled}).disagreement("a", "b")).max() < 1e-3


def test_a_constant_map_disagrees_by_what_the_other_map_says(probe):
    explanation = probe.explain()
    flat = replace(explanation, importance=np.full_like(explanation.importance, 0.1))

    disagreement = MeasureComparison({"a": explanation, "b": flat}).disagreement("a", "b")

    np.testing.assert_allclose(disagreement, stats.zscore(explanation.importance.astype(float), axis=None), atol=1e-9)


def test_unknown_and_missing_measures_are_refused(probe):
    with pytest.raises(ValueError, match="similarity must be one of cosine"):
        compare_measures(probe, measures=("cosine", "l3"))
    with pytest.raises(ValueError, match=r"measures must be one or more of cosine, .*; got none"):
        compare_measures(probe, measures=())
    with pytest.raises(ValueError, match="measure must be one of cosine, dot; got 'l2'"):
        compare_measures(probe, measures=("cosine", "dot")).disagreement()


def test_figures_state_measures_correlations_and_agreement(probe, others):
    measures = measures_figure(compare_measures(probe))
    consensus = consensus_figure(neighbour_consensus(probe, others, k=3), top=0.1)

    texts = {
        drawing: " ".join(text.get_text() for text in drawing.findobj(lambda a: hasattr(a, "get_text")))
        for drawing in (measures, consensus)
    }
    for words in ("mean RBF similarity", "cosine more (red), l2 more (blue)", "cosine, l2: rank correlation"):
        assert words in texts[measures].replace("\n", " ")
    for words in ("agreement on the top 10%", "share of the neighbours", "the 3 nearest of 8 embeddings"):
        assert words in texts[consensus].replace("\n", " ")
