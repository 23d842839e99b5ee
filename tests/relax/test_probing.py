"""A probe answers every question as a fresh explanation would, from one set of passes."""

import numpy as np
import pytest
import torch

import relax


def image(seed=0):
    return torch.rand(3, 24, 20, generator=torch.Generator().manual_seed(seed))


def rows(pixels):
    return pixels.mean(3).flatten(1)


@pytest.mark.parametrize("similarity", ["cosine", "l2", "dot", "rbf"])
@pytest.mark.parametrize("reference", [None, image(1), [image(1), image(2)]])
def test_a_question_to_a_probe_is_an_explanation_without_new_passes(similarity, reference):
    calls = []

    def counting(pixels):
        calls.append(len(pixels))
        return rows(pixels)

    probe = relax.probe(image(), counting, masks=300, cells=4, seed=2)
    masked = sum(calls)

    answer = probe.explain(reference, similarity=similarity)

    fresh = relax.explain(image(), rows, masks=300, cells=4, seed=2, similarity=similarity, reference=reference)
    np.testing.assert_allclose(answer.importance, fresh.importance, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(answer.uncertainty, fresh.uncertainty, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(answer.standard_error, fresh.standard_error, rtol=1e-4, atol=1e-9)
    assert masked == 301 + 3  # in one batch: is the encoder steady?
    assert sum(calls) - masked == {"NoneType": 0, "Tensor": 1, "list": 2}[type(reference).__name__]
    assert answer.provenance["reference"] == fresh.provenance["reference"]


def test_repeats_are_the_maps_of_consecutive_masks():
    probe = relax.probe(image(), rows, masks=300, seed=2)

    repeat = probe.repeat(3)

    assert repeat.maps.shape == (3, 24, 20)
    first = relax.explain(image(), rows, masks=100, seed=2)
    np.testing.assert_allclose(repeat.maps[0], first.importance, atol=1e-7)
    assert repeat.provenance["runs"] == 3


def test_runs_must_divide_the_masks():
    with pytest.raises(ValueError, match="runs must divide the number of masks, here 100; got 3"):
        relax.probe(image(), rows, masks=100).repeat(3)


def test_repeats_embed_the_reference_once_for_all_runs():
    calls = []

    def counting(pixels):
        calls.append(len(pixels))
        return rows(pixels)

    probe = relax.probe(image(), counting, masks=100)
    before = sum(calls)

    probe.repeat(10, image(1))

    assert sum(calls) - before == 1
