"""What two fidelities gain by the published formula, and what the surrogate leaves to them."""

import numpy as np
import pytest

from experiments.studies.fidelities import compared, residuals, share_of_time


def test_the_share_of_time_is_that_of_the_best_division():
    """With costs 1 and w, and variances 1 - rho^2 and rho^2 to average: the least of (n + w N) (v / n + u / N)."""
    rho, cost = 0.95, 0.1
    divisions = np.linspace(0.01, 0.99, 9999)  # of the time, to full passes
    best = ((1 - rho**2) / divisions + rho**2 * cost / (1 - divisions)).min()

    assert share_of_time(rho, cost) == pytest.approx(best, rel=1e-6)
    assert share_of_time(1.0, cost) == pytest.approx(cost)
    assert share_of_time(0.3, 0.5) == 1  # cheap passes that hardly know anything


def test_what_the_surrogate_knows_is_not_counted_twice():
    """Scores that share a linear part and nothing else correlate, and what is left of them does not."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((400, 12))
    shared = features[:, :6].sum(1)
    cheap, full = (shared + 0.3 * rng.standard_normal(400) for _ in range(2))

    row = compared(cheap, full, features, singles=6, cost=0.1)

    assert row["correlation"] > 0.9
    assert row["residual_correlation"] < 0.15
    assert row["gain"] == 1
    assert residuals(shared, features, 6).std() < 0.05 * shared.std()
