"""Neighbours among many equal embeddings: the first of the table, and every one of them counts."""

import numpy as np
import pytest
import torch

import relax
from relax.questions.probes import neighbour_consensus


def rows_of(pixels):
    return pixels.mean(3).flatten(1)


@pytest.mark.parametrize("similarity", ["cosine", "l2", "rbf"])
def test_copies_of_the_image_come_first_in_the_order_of_the_table(similarity):
    image, other = torch.rand(2, 3, 12, 10, generator=torch.Generator().manual_seed(0))
    probe = relax.probe(image, rows_of, masks=60, cells=3, estimator="plain")
    embeddings = rows_of(other[None]).repeat(400, 1)
    copies = list(range(3, 400, 2))
    embeddings[copies] = rows_of(image[None])

    consensus = neighbour_consensus(probe, embeddings, k=40, similarity=similarity)

    assert consensus.neighbours.tolist() == copies[:40]
    itself = probe.explain(similarity=similarity).importance
    np.testing.assert_allclose(consensus.maps, np.broadcast_to(itself, consensus.maps.shape), rtol=1e-6)
    np.testing.assert_allclose(consensus.explanation.importance, itself, rtol=1e-6)
