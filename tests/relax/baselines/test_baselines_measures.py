"""Gradient methods explain the measure that was asked for, and the inner product where that measure is at its peak."""

import numpy as np
import pytest
import torch

import relax
from similarity import MEASURES
from tests.relax.baselines.small import Linear, drawn

IMAGE, OTHER = drawn(3, 8, 9), drawn(3, 8, 9, seed=7)
LINEAR = Linear((3, 8, 9))


def gradient_by_hand(measure, z, r):
    """d measure(z, r) / d z of vectors (D,) with r held fixed."""
    distance, lengths = (z - r).norm(), z.norm() * r.norm()
    return {
        "dot": r,
        "projection": r / r.norm(),
        "l2": -(z - r) / distance,
        "rbf": -2 * (z - r) / r.square().sum() * torch.exp(-(distance**2) / r.square().sum()),
        "cosine": r / lengths - (z @ r) * z / (lengths * z.square().sum()),
    }[measure]


@pytest.mark.parametrize("measure", [name for name in MEASURES if name != "projection"])
def test_an_image_compared_with_itself_is_explained_by_the_inner_product(measure):
    """The gradients of the other measures are 0 or undefined there, whatever the encoder."""
    explanation = relax.explain(IMAGE, LINEAR, method="saliency", similarity=measure)

    expected = LINEAR.gradient_of_dot_to_itself(IMAGE).abs().amax(0)
    np.testing.assert_allclose(explanation.importance, expected, rtol=1e-4)
    assert explanation.provenance["similarity"] == "dot"
    assert explanation.provenance["scalar"] == "dot to the image itself"


def test_the_projection_on_the_image_itself_has_the_gradient_of_the_inner_product_over_its_length():
    explanation = relax.explain(IMAGE, LINEAR, method="saliency", similarity="projection")

    length = torch.einsum("dchw,chw->d", LINEAR.weight.detach().double(), IMAGE.double()).norm()
    expected = LINEAR.gradient_of_dot_to_itself(IMAGE).abs().amax(0) / length
    np.testing.assert_allclose(explanation.importance, expected, rtol=1e-4)
    assert explanation.provenance["scalar"] == "projection on the image itself"


@pytest.mark.parametrize("measure", MEASURES)
def test_another_reference_is_explained_by_the_measure_that_was_asked_for(measure):
    explanation = relax.explain(IMAGE, LINEAR, method="saliency", similarity=measure, reference=OTHER)

    z, r = (torch.einsum("dchw,chw->d", LINEAR.weight.detach().double(), image.double()) for image in (IMAGE, OTHER))
    gradient = torch.einsum("d,dchw->chw", gradient_by_hand(measure, z, r), LINEAR.weight.detach().double())
    np.testing.assert_allclose(explanation.importance, gradient.abs().amax(0), rtol=1e-3)
    assert explanation.provenance["similarity"] == measure
