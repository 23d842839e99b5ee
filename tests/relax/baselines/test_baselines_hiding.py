"""Methods that hide parts agree with sums over those parts, on encoders whose answers are known."""

import numpy as np
import pytest
import torch

import relax
from masking import RandomGrid, SlidingWindows, Superpixels
from relax.baselines import MethodError, rise_of
from tests.reference import importance_by_definition, standard_error_by_definition
from tests.relax.baselines.small import Corner, Linear, SmallHead, drawn, small_cnn

IMAGE = drawn(3, 16, 16)


class TopLeftSays:
    """Class "on" has the probability of the embedding's first number, between 0 and 1."""

    classes = ("on", "off")

    def logits(self, embeddings):
        return self.scores(embeddings).log()

    def scores(self, embeddings):
        return torch.stack([embeddings[:, 0], 1 - embeddings[:, 0]], 1)

    def class_index(self, name_or_index):
        return self.classes.index(name_or_index)

    def check(self, encoder):
        pass


def every_mask_of_2x2():
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4).view(16, 1, 2, 2)


def test_rise_over_all_masks_of_a_2x2_image_is_worked_out_by_hand():
    """The probability is 0.8 where the top left pixel is visible, else 0.

    Masks that show any other pixel show it half the time: mean 0.4, variance 0.16.
    """
    image = torch.tensor([[[0.8, 0.2], [0.2, 0.2]]])
    encoder = Corner(slice(0, 1), slice(0, 1))

    explanation = relax.explain(
        image, encoder, method="rise", head=TopLeftSays(), target="on", masks=every_mask_of_2x2()
    )

    np.testing.assert_allclose(explanation.importance, [[0.8, 0.4], [0.4, 0.4]], rtol=1e-6)
    np.testing.assert_allclose(explanation.uncertainty, [[0, 0.16], [0.16, 0.16]], rtol=1e-6, atol=1e-12)


def class_scores_under_the_same_masks(network, head, target, masks):
    with torch.no_grad():
        return torch.stack(
            [head.scores(network(IMAGE * mask + 0.25 * (1 - mask))[:])[0, target] for mask in masks[:, None]]
        )


def test_rise_is_the_plain_loop_under_the_same_masks_and_the_papers_estimator_up_to_the_mean_mask():
    network, head = small_cnn(), SmallHead(6)
    masks = RandomGrid((16, 16), cells=3, keep=0.4, seed=2).masks(0, 80)
    scores = class_scores_under_the_same_masks(network, head, 1, masks)
    settings = {"masks": 80, "cells": 3, "keep": 0.4, "seed": 2, "fill": 0.25, "preset": "paper-rise"}

    explanation = relax.explain(IMAGE, network, method="rise", head=head, target="dog", **settings)

    importance, uncertainty = importance_by_definition(scores, masks[:, 0])
    np.testing.assert_allclose(explanation.importance, importance, rtol=1e-5)
    np.testing.assert_allclose(explanation.uncertainty, uncertainty, rtol=1e-3)
    np.testing.assert_allclose(explanation.standard_error, standard_error_by_definition(scores, masks[:, 0]), rtol=1e-3)

    paper = torch.zeros(16, 16, dtype=torch.float64)
    for score, mask in zip(scores, masks[:, 0], strict=True):
        paper += score.double() * mask.double() / (80 * 0.4)
    mean_mask = masks[:, 0].double().mean(0)
    np.testing.assert_allclose(explanation.importance * mean_mask.numpy() / 0.4, paper, rtol=1e-5)


def test_rise_of_a_probe_costs_no_pass_and_gives_the_same_maps():
    network, head = small_cnn(), SmallHead(6)
    kept = relax.probe(IMAGE, network, masks=70, cells=3)
    whole = relax.explain(IMAGE, network, method="rise", head=head, masks=70, cells=3)

    explanation = rise_of(kept, head)

    for name in ("importance", "uncertainty", "standard_error"):
        np.testing.assert_allclose(getattr(explanation, name), getattr(whole, name), rtol=1e-4, atol=1e-9)
    assert explanation.provenance["target"] == whole.provenance["target"]
    assert explanation.provenance["cost"]["passes"] == 0


def test_without_a_target_the_class_is_the_one_predicted_for_the_whole_image():
    network, head = small_cnn(), SmallHead(6)
    with torch.no_grad():
        best = head.classes[int(head.scores(network(IMAGE[None])).argmax())]

    explanation = relax.explain(IMAGE, network, method="rise", head=head, masks=20)

    assert explanation.provenance["target"] == best
    assert explanation.provenance["scalar"] == f"probability of {best!r}"
    assert explanation.provenance["reference"] is None
    assert explanation.provenance["cost"]["passes"] == 21


def test_rise_stops_at_a_tolerance_and_warns_when_it_is_not_reached():
    network, head = small_cnn(), SmallHead(6)

    loose = relax.explain(IMAGE, network, method="rise", head=head, tolerance=10, masks=5000)
    with pytest.warns(UserWarning, match="the largest standard error is .* after 600 masks"):
        tight = relax.explain(IMAGE, network, method="rise", head=head, tolerance=1e-9, masks=600)

    assert loose.provenance["masks"]["count"] == 512
    assert loose.provenance["converged"] is True
    assert tight.provenance["converged"] is False


def linear_and_its_parts(fill):
    """A linear encoder, and what each pixel adds to <f(x), f(x')> over the fill."""
    network = Linear((3, 16, 16))
    return network, ((IMAGE - fill) * network.gradient_of_dot_to_itself(IMAGE)).sum(0)


@pytest.mark.parametrize("method", ["feature-ablation", "kernel-shap", "lime"])
def test_in_a_linear_game_the_value_of_a_superpixel_is_the_sum_of_its_pixels(method):
    """Shapley values of an additive game are its parts, and so are drops and regression weights."""
    network, parts = linear_and_its_parts(0.2)
    labels = Superpixels(IMAGE[None], 9).labels
    expected = torch.stack([parts[labels == number].sum() for number in range(int(labels.max()) + 1)])[labels]

    explanation = relax.explain(IMAGE, network, method=method, cells=3, fill=0.2, similarity="dot", masks=400)

    # LIME's ridge of 1 shrinks a little; the float32 of captum's scores is the rest.
    rtol = 0.02 if method == "lime" else 1e-3
    np.testing.assert_allclose(explanation.importance, expected, rtol=rtol, atol=rtol * float(expected.abs().max()))


def test_shapley_values_of_an_and_game_are_shared_equally():
    """The score rises by 1 only if both bright quarters are visible: 1/2 each, 0 for the two black ones."""
    image = torch.zeros(1, 16, 16)
    image[0, :8, :8], image[0, 8:, 8:] = 1.0, 0.6
    assert int(Superpixels(image[None].expand(1, 1, 16, 16), 4).labels.max()) == 3

    def both(pixels):
        product = pixels[:, 0, :8, :8].mean((1, 2)) * pixels[:, 0, 8:, 8:].mean((1, 2)) / 0.6
        return torch.stack([product], 1)

    explanation = relax.explain(image, both, method="kernel-shap", cells=2, similarity="dot", masks=600)

    quarters = explanation.importance.reshape(2, 8, 2, 8).mean((1, 3))
    np.testing.assert_allclose(quarters, [[0.5, 0], [0, 0.5]], atol=0.06)


def test_lime_recovers_a_planted_superpixel():
    """Four quarters of different colours; the encoder sees only the lower left one."""
    image = torch.zeros(3, 32, 32)
    image[0, :16, :16], image[1, :16, 16:], image[2, 16:, :16], image[:, 16:, 16:] = 1, 1, 1, 0.6

    explanation = relax.explain(image, Corner(slice(16, 32), slice(0, 16)), method="lime", cells=2, masks=300)

    quarters = explanation.importance.reshape(2, 16, 2, 16).mean((1, 3))
    assert quarters[1, 0] > 0.03
    np.testing.assert_allclose(np.delete(quarters.ravel(), 2), 0, atol=1e-3)


def test_sbsm_is_the_mean_drop_over_the_windows_that_cover_a_pixel():
    network = small_cnn()
    windows = SlidingWindows((16, 16), window=5, stride=2)
    with torch.no_grad():
        image_embedding = network(IMAGE[None])[0]
        embeddings = [network((IMAGE * mask)[None])[0] for mask in windows.masks(0, windows.limit)[:, 0]]
    drops = [
        1 - float(torch.nn.functional.cosine_similarity(image_embedding.double(), embedding.double(), dim=0))
        for embedding in embeddings
    ]
    expected = np.zeros((16, 16))
    for i in range(16):
        for j in range(16):
            covering = [
                drop
                for drop, (top, left) in zip(
                    drops, [(a, b) for a in windows.corners(16) for b in windows.corners(16)], strict=True
                )
                if top <= i < top + 5 and left <= j < left + 5
            ]
            expected[i, j] = np.mean(covering)

    explanation = relax.explain(IMAGE, network, method="sbsm", cells=3)

    np.testing.assert_allclose(explanation.importance, expected, atol=1e-6)


def test_occlusion_equals_sbsm_where_the_windows_end_at_the_border_by_themselves():
    occlusion, sbsm = (relax.explain(IMAGE, small_cnn(), method=name, cells=4) for name in ("occlusion", "sbsm"))

    np.testing.assert_allclose(occlusion.importance, sbsm.importance, atol=1e-6)


def test_occlusion_of_a_linear_encoder_is_the_mean_of_window_sums():
    """Windows of 8 at 0, 4 and 8: the centre lies in all nine of a 16 x 16 image, a corner in one."""
    network, parts = linear_and_its_parts(0.2)
    sums = {(a, b): float(parts[a : a + 8, b : b + 8].sum()) for a in (0, 4, 8) for b in (0, 4, 8)}

    drops = relax.explain(IMAGE, network, method="occlusion", cells=2, fill=0.2, similarity="dot").importance

    assert drops[0, 0] == pytest.approx(sums[0, 0], rel=1e-4)
    assert drops[6, 6] == pytest.approx(np.mean([sums[a, b] for a in (0, 4) for b in (0, 4)]), rel=1e-4)


def test_kernel_shap_refuses_fewer_masks_than_superpixels():
    with pytest.raises(MethodError, match=r"masks must be more than the superpixels for kernel-shap, here \d+; got 5"):
        relax.explain(IMAGE, small_cnn(), method="kernel-shap", masks=5, cells=4)
    with pytest.raises(MethodError, match="lime needs 2 superpixels or more, here 1: give more cells"):
        relax.explain(IMAGE, small_cnn(), method="lime", cells=1)
