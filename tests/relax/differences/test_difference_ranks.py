"""Ranks, differences and the numbers made of them equal their definitions, in plain loops and by hand."""

import math

import numpy as np
import pytest

from relax.differences.affinity import affinity, difference, difference_graph, links, picture_scores
from relax.differences.likeness import cka, kept_links, nearest_in, shared_neighbours
from relax.differences.ranks import Sight, rank_table, sample_of, sights


def ranks_by_definition(embeddings):
    """The rank of j from i: 1 + how many others are nearer by cosine."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    table = np.zeros((len(unit), len(unit)), int)
    for i in range(len(unit)):
        for j in range(len(unit)):
            if i != j:
                others = (other for other in range(len(unit)) if other not in (i, j))
                table[i, j] = 1 + sum(unit[i] @ unit[other] > unit[i] @ unit[j] for other in others)
    return table


@pytest.fixture
def spaces():
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 5)).astype(np.float32), rng.normal(size=(30, 8)).astype(np.float32)


def test_ranks_are_counted_by_cosine(spaces):
    np.testing.assert_array_equal(rank_table(spaces[0].astype(np.float64)), ranks_by_definition(spaces[0]))


def test_of_equally_near_pictures_the_first_is_nearer():
    table = rank_table(np.array([[1.0, 0], [0, 1], [0, 1], [0, 2]]))

    assert table[0].tolist() == [0, 1, 2, 3]


def test_what_lies_near_by_one_encoder_has_its_ranks_by_the_other(spaces):
    a, b = (ranks_by_definition(space) for space in spaces)

    near_a, near_b = sights(*spaces, np.arange(30), 4)

    for picture in range(30):
        assert a[picture, near_a.nearest[picture]].tolist() == [1, 2, 3, 4]
        assert near_a.elsewhere[picture].tolist() == b[picture, near_a.nearest[picture]].tolist()
        assert near_b.elsewhere[picture].tolist() == a[picture, near_b.nearest[picture]].tolist()
        both = set(near_a.nearest[picture]) & set(near_b.nearest[picture])
        assert near_a.shared[picture] == near_b.shared[picture] == len(both) / 4


def test_a_picture_outside_the_sample_is_ranked_among_it(spaces):
    """As if it were one more picture of the sample: nobody else's neighbour, with neighbours of its own."""
    sample = np.arange(0, 30, 2)

    near_a, _ = sights(*spaces, sample, 3)

    with_it = np.append(sample, 7)
    a, b = (ranks_by_definition(space[with_it])[-1, :-1] for space in spaces)
    nearest = np.argsort(a)[:3]
    assert near_a.nearest[7].tolist() == sample[nearest].tolist()
    assert near_a.elsewhere[7].tolist() == b[nearest].tolist()


def test_a_sample_is_all_pictures_or_so_many_of_them():
    assert sample_of(5, 0).tolist() == [0, 1, 2, 3, 4]
    drawn = sample_of(50, 0, most=10)
    assert len(set(drawn.tolist())) == 10
    assert (np.diff(drawn) > 0).all()
    assert drawn.tolist() != sample_of(50, 1, most=10).tolist()


def test_differences_are_those_of_the_paper_with_ranks_as_distances():
    """tanh(0.1 (1 - 11) / 1) = tanh(-1), also at ten times these ranks; nearer by the other is above 0."""
    differences = difference(np.array([1, 10, 4, 30]), np.array([11, 110, 4, 3]))

    np.testing.assert_allclose(differences, [math.tanh(-1), math.tanh(-1), 0, math.tanh(0.9)])


def test_affinities_are_those_of_the_paper_less_that_of_pairs_that_do_not_differ():
    """(exp(5) - 1) / (exp(5) - 1) = 1 where G is -1; 0 from G = 0 on."""
    np.testing.assert_allclose(
        affinity(np.array([-1.0, -0.5, 0.0, 0.7])), [1, (math.exp(2.5) - 1) / (math.exp(5) - 1), 0, 0]
    )


def test_a_score_is_the_mean_difference_and_does_not_count_what_came_nearer():
    """Near by one at ranks 1, 2, 3; by the other at 11 (tanh 1), 2 (0) and 1 (nearer there: 0)."""
    sight = Sight(np.array([[5, 6, 7]]), np.array([[11, 2, 1]], dtype=np.int32))

    assert picture_scores(sight).tolist() == [pytest.approx(math.tanh(1) / 3)]


def test_the_graph_links_pictures_to_their_nearest_in_both_directions(spaces):
    a, b = (ranks_by_definition(space) for space in spaces)

    graph = difference_graph(a, b, 3).toarray()

    for i in range(30):
        for j in range(30):
            forward, backward = (
                affinity(difference(a[u, v][None], b[u, v][None]))[0] if 0 < a[u, v] <= 3 else 0
                for u, v in ((i, j), (j, i))
            )
            assert graph[i, j] == pytest.approx((forward + backward) / 2)


def test_links_are_the_share_of_the_nearest_inside_a_group():
    table = np.array([[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]])

    assert links(table, np.array([0, 1]), 1).tolist() == [1, 1]
    assert links(table, np.array([0, 2]), 2).tolist() == [0.5, 0.5]


def test_links_of_a_group_of_more_than_k_count_as_many_as_it_has_other_pictures():
    """Of the two nearest (ranks 1 and 2) of 0, 1 and 4, two, one and none are of the group."""
    table = np.array([[0, 1, 3, 4, 2], [1, 0, 2, 3, 4], [3, 4, 0, 1, 2], [3, 4, 1, 0, 2], [3, 4, 1, 2, 0]])

    assert links(table, np.array([0, 1, 4]), 1).tolist() == [1, 0.5, 0]
    assert links(table, np.array([0, 1, 4]), 4).tolist() == [0.5, 0.5, 0.5]


def test_cka_is_that_of_the_unbiased_hsic_by_its_definition(spaces):
    """Song et al., equation 4, with matrices whose diagonals are 0."""

    def hsic(k, m):
        n, ones = len(k), np.ones(len(k))
        k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
        total = np.trace(k @ m) + (ones @ k @ ones) * (ones @ m @ ones) / (n - 1) / (n - 2)
        return (total - 2 / (n - 2) * ones @ k @ m @ ones) / n / (n - 3)

    units = [space.astype(float) / np.linalg.norm(space.astype(float), axis=1, keepdims=True) for space in spaces]
    k, m = (unit @ unit.T for unit in units)

    assert cka(*spaces).value == pytest.approx(hsic(k, m) / math.sqrt(hsic(k, k) * hsic(m, m)))


def test_cka_does_not_know_rotations_and_is_about_0_for_unrelated_spaces():
    rng = np.random.default_rng(1)
    space, other = rng.normal(size=(200, 20)), rng.normal(size=(200, 40))
    rotation = np.linalg.qr(rng.normal(size=(20, 20)))[0]

    same, none = cka(space, space @ rotation * 3), cka(space, other)

    assert same.value == pytest.approx(1)
    assert none.low < 0 < none.high
    assert abs(none.value) < 0.1


def views(rng, count):
    """Two noisy views of one space."""
    space = rng.normal(size=(count, 4))
    return [np.hstack([space, 0.7 * rng.normal(size=(count, 4))]) for _ in range(2)]


def test_the_interval_of_cka_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    truth = np.mean([cka(*views(rng, 400)).value for _ in range(10)])

    intervals = [cka(*views(rng, 80)) for _ in range(40)]

    assert 0.85 <= np.mean([each.low <= truth <= each.high for each in intervals]) <= 1


def test_the_interval_of_shared_neighbours_holds_the_truth_about_as_often_as_it_says():
    """The truth is the mean of many draws of as many pictures. Pictures drawn again one by one cover it less often."""
    rng = np.random.default_rng(3)

    intervals = [shared_neighbours(*map(rank_table, views(rng, 80)), 5) for _ in range(120)]

    truth = np.mean([each.value for each in intervals])
    assert 0.9 <= np.mean([each.low <= truth <= each.high for each in intervals]) <= 1


def test_unrelated_encoders_share_neighbours_by_chance():
    rng = np.random.default_rng(4)

    shares = [shared_neighbours(*(rank_table(rng.normal(size=(60, 6))) for _ in range(2)), 6) for _ in range(40)]

    assert shares[0].chance == 6 / 59
    assert np.mean([each.value for each in shares]) == pytest.approx(6 / 59, abs=0.008)


def test_a_picture_that_is_left_out_was_never_there():
    table = np.array([[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]])

    assert nearest_in(table, np.array([0, 3]), np.array([0, 2, 3]), 1).tolist() == [
        [False, True, False],
        [False, True, False],
    ]


def test_the_strength_of_a_group_is_that_of_its_definition(spaces):
    a, b = (rank_table(space) for space in spaces)
    members = np.array([1, 4, 9, 16, 25])

    strength, low, high = kept_links(a, b, members, 4)

    assert strength == pytest.approx(links(a, members, 4).mean() - links(b, members, 4).mean())
    assert low < strength < high
