"""An image with more copies than there are candidates: copies are neighbours, the image itself is not."""

import numpy as np
import pytest

from relax.auditing.neighbours import BLOCK, SPARE, nearest

K = 5


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("copies", [K, K + 1, K + SPARE, K + SPARE + 1, 300])
def test_the_first_copies_in_the_table_are_the_neighbours_and_never_the_image_itself(metric, copies):
    points = np.random.default_rng(0).normal(size=(600, 16)).astype(np.float32)
    rows = [7, *range(BLOCK - 3, BLOCK - 3 + copies)]  # over the edge of a block
    points[rows] = points[7]

    neighbours = nearest(points, K, metric)

    for row in rows:
        assert neighbours.indices[row].tolist() == [other for other in rows if other != row][:K]
    np.testing.assert_allclose(neighbours.distances[rows], 0, atol=1e-12)
    assert not (neighbours.indices == np.arange(600)[:, None]).any()
