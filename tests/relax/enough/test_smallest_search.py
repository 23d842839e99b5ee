"""The search agrees with trying all sets, never says more than it has shown, and finds what is planted."""

from functools import cache

import numpy as np
import pytest
import torch

from relax.enough.search import Aim, Search
from relax.metrics.sufficiency import shortest_prefix
from tests.relax.enough.planted import Tangle, all_sets, game_of, looks_at, picture

LIMIT = 0.8


@cache
def brute(seed, shown):
    """Cells of the smallest set among all 512, by the definition; None if there is none."""
    sets = all_sets(9)
    scores = game_of(Tangle(seed).eval()).scores(sets if shown else ~sets)[:, 0].tolist()
    sizes = []
    for members, score in zip(sets.tolist(), scores, strict=True):
        if score >= LIMIT if shown else score < LIMIT:
            sizes.append(sum(members))
    return min(sizes, default=None)


def searched(network, shown, limit=None, seed=0):
    order = np.random.default_rng(seed).permutation(9)
    return Search(Aim(game_of(network.eval(), limit=limit), LIMIT, shown), order)


@pytest.mark.parametrize("shown", [True, False], ids=["enough", "needed"])
def test_a_whole_search_over_few_cells_is_that_of_all_sets_and_proven(shown):
    for seed in range(12):
        expected = brute(seed, shown)
        search = searched(Tangle(seed), shown)
        search.run()

        assert (None if search.best is None else search.size) == expected
        assert search.proven is (expected is not None)


@pytest.mark.parametrize("shown", [True, False], ids=["enough", "needed"])
def test_without_trying_all_sets_the_smallest_is_found_in_most_cases_from_any_ranking(shown):
    equal = []
    for seed in range(20):
        expected = brute(seed, shown)
        if expected is None:
            continue
        search = searched(Tangle(seed), shown)
        search.improve(search.prefix(search.order))
        search.improve(search.grown())

        assert search.size >= expected
        assert search.aim.holds(search.best[None])[0]
        assert search.irreducible
        equal.append(search.size == expected)

    assert len(equal) >= 15
    assert np.mean(equal) >= 0.8


@pytest.mark.parametrize("limit", [5, 20, 45, 80, 150, 300])
def test_with_few_passes_no_more_is_said_than_was_shown(limit):
    for seed in range(8):
        expected = brute(seed, True)
        search = searched(Tangle(seed), True, limit=limit)
        search.run()

        assert search.size >= expected >= search.at_least
        assert search.proven is False or search.size == expected
        assert search.aim.game.passes <= limit


def test_the_planted_cells_are_found_among_36_and_not_one_other():
    """Cells 3, 8, 20 and 35 of 6 x 6: 3 of them keep sqrt(3/4) = 0.87, all four 1; without two sqrt(2/4) is left."""
    planted = {3, 8, 20, 35}
    sets = {}
    for name, at_least in (("all", 0.95), ("three", 0.8)):
        for shown in (True, False):
            game = game_of(looks_at(sorted(planted), 6), cells=6, limit=3000)
            search = Search(Aim(game, at_least, shown), np.random.default_rng(1).permutation(36))
            search.run()
            sets[name, shown] = {*np.flatnonzero(search.best).tolist()}

    assert sets["all", True] == planted
    assert sets["three", True] < planted
    assert len(sets["three", True]) == 3
    assert sets["all", False] < planted
    assert len(sets["all", False]) == 1
    assert sets["three", False] < planted
    assert len(sets["three", False]) == 2


def test_a_set_holds_under_all_fills_or_not_at_all():
    """What is shown depends on the fill: dark cells count as hidden before black, and as shown before white."""

    def brightness(pixels):
        return torch.stack([pixels.mean((1, 2, 3)), (1 - pixels).mean((1, 2, 3))], 1)

    dark = picture() / 4
    both, black = game_of(brightness, fills=(0.0, 1.0), image=dark), game_of(brightness, fills=(0.0,), image=dark)
    sets = all_sets(9)

    scores = both.scores(sets)
    np.testing.assert_allclose(scores[:, 0], black.scores(sets)[:, 0])
    aims = {shown: Aim(both, 0.9, shown).holds(sets) for shown in (True, False)}
    np.testing.assert_array_equal(aims[True], (scores >= 0.9).all(1))
    np.testing.assert_array_equal(aims[False], (scores < 0.9).all(1)[::-1])  # the complement of each set
    assert ((scores >= 0.9).any(1) != (scores >= 0.9).all(1)).any()  # the fills disagree somewhere
    assert both.passes == 2 * 512


def test_each_set_is_embedded_once():
    game = game_of(Tangle(0).eval())
    sets = all_sets(9)[[1, 1, 7, 7, 1]]

    first, again = game.scores(sets), game.scores(sets[::-1])

    assert game.passes == 2
    np.testing.assert_array_equal(first, again[::-1])


@pytest.mark.parametrize("at_once", [1, 2, 5, 64])
def test_the_shortest_prefix_of_a_monotone_ranking_is_found_for_every_length(at_once):
    for count in (1, 2, 7, 64, 100):
        for length in range(count + 1):
            asked = []

            def holds(numbers, asked=asked, length=length):
                asked.append(len(numbers))
                return np.array(numbers) >= length

            assert shortest_prefix(holds, count, at_once) == length
            assert max(asked) <= at_once
            assert len(asked) <= np.ceil(np.log(count + 1) / np.log(at_once + 1)) + 1


def test_a_ranking_that_holds_twice_gives_the_first_where_all_are_tried():
    held = np.array([False, False, True, False, False, False, True, True])

    assert shortest_prefix(lambda numbers: held[numbers], 8, at_once=8) == 2
    assert shortest_prefix(lambda numbers: held[numbers], 8) in (2, 6)
