"""Links against their definition: all masks in plain loops, a known function over many seeds, tables by hand."""

from itertools import product

import pytest
import torch
from scipy.stats import t as student

from masking.designs import block_length, draw
from relax.links import estimating
from relax.links.effects import Replicates, grouping
from relax.links.estimating import Side, effects_on, links_of, products
from similarity import measure_named

PARTS = 4
ALL = torch.tensor([*product((0.0, 1.0), repeat=PARTS)]).double()


def network(seed):
    """A function from masks (N, 4) to embeddings (N, 5) in which parts interact."""
    generator = torch.Generator().manual_seed(seed)
    first, second = (torch.randn(size, generator=generator).double() for size in ((PARTS, 9), (9, 5)))
    shift = torch.randn(9, generator=generator).double()
    return lambda masks: torch.tanh(masks.double() @ first + shift) @ second


def defined(f, g, similarity, keep):
    """(4, 4) links by their definition, in plain loops over all masks of the other parts."""
    measure = measure_named(similarity)

    def s(m, n):
        return float(measure(f(torch.tensor([m])), g(torch.tensor([n]))[0])[0])

    def chance(mask, without):
        return torch.tensor([keep if on else 1 - keep for part, on in enumerate(mask) if part != without]).prod()

    links = torch.zeros(PARTS, PARTS, dtype=torch.float64)
    for a, b in product(range(PARTS), repeat=2):
        for m, n in product(product((0.0, 1.0), repeat=PARTS), repeat=2):
            if m[a] == 1 and n[b] == 1:
                m_hidden, n_hidden = (
                    tuple(0.0 if part == p else on for part, on in enumerate(x)) for x, p in ((m, a), (n, b))
                )
                difference = s(m, n) - s(m, n_hidden) - s(m_hidden, n) + s(m_hidden, n_hidden)
                links[a, b] += chance(m, a) * chance(n, b) * difference
    return links


def every_mask(function, keep, groups=3):
    """A side of which each group has every mask as often as its chance says, for keep 1/2 and 1/4."""
    odds = round(1 / keep) - 1
    rows = torch.cat([mask.expand(odds ** int((1 - mask).sum()), -1) for mask in ALL]).repeat(groups, 1)
    return Side(Replicates(rows, keep, groups), function(rows), function(ALL[-1:])[0])


def drawn(function, seed, number, masks=256, keep=0.3, design="independent"):
    used, groups = grouping(masks, block_length(design, PARTS))
    shown = draw(design, 2 * seed + number, 0, used, PARTS, keep)[0].double()
    return Side(Replicates(shown, keep, groups), function(shown), function(ALL[-1:])[0])


@pytest.mark.parametrize("keep", [0.5, 0.25])
@pytest.mark.parametrize("similarity", ["cosine", "l2", "rbf", "dot"])
def test_with_every_mask_the_links_are_those_of_the_definition(similarity, keep):
    if keep == 0.25 and similarity != "cosine":
        pytest.skip("one measure tells about the weights")
    links, errors = links_of(products(every_mask(network(1), keep), every_mask(network(2), keep), similarity))

    torch.testing.assert_close(links, defined(network(1), network(2), similarity, keep), rtol=1e-6, atol=1e-9)
    assert errors.max() < 1e-12


def test_the_product_of_effects_is_the_regression_over_all_pairs(monkeypatch):
    sides = drawn(network(1), 0, 0), drawn(network(2), 0, 1)
    by_product = products(*sides, "cosine")

    monkeypatch.setattr(estimating, "BILINEAR", {})

    torch.testing.assert_close(products(*sides, "cosine"), by_product, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(("design", "keep"), [("independent", 0.3), ("antithetic", 0.5), ("orthogonal", 0.3)])
def test_links_are_without_bias_and_their_intervals_hold_the_truth(design, keep):
    """Over 150 seeds; without an error of its own in the 95 %, fewer than 93 % would be too few."""
    runs, masks = 150, 1024 if design == "orthogonal" else 256
    truth = links_of(products(*(_exact(seed, keep) for seed in (1, 2)), "cosine"))[0]
    results = []
    for seed in range(runs):
        sides = [drawn(network(1 + number), seed, number, masks, keep, design) for number in (0, 1)]
        results.append(links_of(products(*sides, "cosine")))
    links, errors = (torch.stack(values) for values in zip(*results, strict=True))
    groups = sides[0].replicates.groups

    bias = (links.mean(0) - truth) / (links.std(0) / runs**0.5)
    assert bias.abs().max() < 4
    reach = student.ppf(0.975, groups - 1) * errors
    assert ((links - truth).abs() <= reach).double().mean() >= 0.93
    level = errors.square().mean().sqrt() / (links - truth).square().mean().sqrt()
    assert 0.9 < level < 1.12  # a right mean square; not just wide enough


def _exact(seed, keep):
    """All masks by their chances: a side of one weighted row each, as the effects are linear in what they average."""

    class Weighted:
        def effects(self, outcomes):
            chance = (keep**ALL * (1 - keep) ** (1 - ALL)).prod(1)
            effect = ((ALL - keep) * chance[:, None] / (keep * (1 - keep))).T @ outcomes
            return effect[None].expand(2, -1, -1)

    return Side(Weighted(), network(seed)(ALL), network(seed)(ALL[-1:])[0])


def test_noise_alone_is_linked_to_nothing():
    """Where no part does anything, the error is that of the product of two noises."""

    def noise(seed):
        return lambda masks: torch.randn(len(masks), 6, generator=torch.Generator().manual_seed(seed)).double()

    sides = [[drawn(noise(100 * seed + number), seed, number, 128) for number in (0, 1)] for seed in range(100)]
    results = [links_of(products(*pair, "dot")) for pair in sides]
    links, errors = (torch.stack(values) for values in zip(*results, strict=True))

    assert ((links.abs() <= 1.96 * errors).double().mean()) >= 0.93
    assert errors.square().mean().sqrt() < 1.35 * links.square().mean().sqrt()


def test_the_error_is_the_one_of_two_noisy_sides():
    """V' Cov(X) V / R + U' Cov(Y) U / S - tr(Cov(X) Cov(Y)) / (R S), in plain loops, where that is the largest."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(groups, 2, 3, generator=generator).double() * 0.1 + 1 for groups in (6, 5))

    links, errors = links_of(torch.einsum("rgk,shk->rsgh", x, y))

    for a, b in product(range(2), repeat=2):
        u, v = x[:, a].mean(0), y[:, b].mean(0)
        cov_x, cov_y = x[:, a].T.cov(), y[:, b].T.cov()
        variance = v @ cov_x @ v / 6 + u @ cov_y @ u / 5 - (cov_x @ cov_y).trace() / 30
        assert links[a, b] == pytest.approx(float(u @ v))
        assert errors[a, b] == pytest.approx(float(variance) ** 0.5)


def test_a_surrogate_takes_the_noise_of_other_parts_away():
    """Where the outcome is linear in the parts, nothing is left; without it the error is that of all parts."""
    slopes = torch.tensor([1.0, -2.0, 0.5, 3.0]).double()
    side = drawn(lambda masks: (masks @ slopes)[:, None], 0, 0, 512)

    effects, errors = effects_on(side, side.embeddings[:, 0])

    torch.testing.assert_close(effects, slopes, rtol=0, atol=0.01)
    assert errors.max() < 0.01
    shown = side.replicates.shown
    plain = ((shown - 0.3) * side.embeddings).mean(0) / 0.21
    assert (plain - slopes).abs().max() > 0.05


def test_masks_come_in_whole_blocks_and_too_few_are_refused():
    assert grouping(3000, 128) == (2944, 23)
    assert grouping(3000, 1) == (2976, 32)
    assert grouping(100, 2) == (64, 32)
    with pytest.raises(ValueError, match=r"masks must be 512 or more here, 4 blocks of 128 of the design, .*; got 511"):
        grouping(511, 128)


def test_the_surrogate_is_fitted_to_the_masks_of_other_groups():
    """Fitted to its own, it would take the noise for effects: all groups would say the same, with no error."""
    effects, errors = [], []
    for seed in range(60):
        shown = draw("independent", seed, 0, 64, 12, 0.5)[0].double()
        side = Side(Replicates(shown, 0.5, 8), torch.zeros(64, 1), torch.zeros(1))
        noise = torch.randn(64, generator=torch.Generator().manual_seed(seed)).double()
        for values, value in zip((effects, errors), effects_on(side, noise), strict=True):
            values.append(value)

    level = torch.stack(errors).square().mean().sqrt() / torch.stack(effects).square().mean().sqrt()
    assert 0.85 < level < 1.2
