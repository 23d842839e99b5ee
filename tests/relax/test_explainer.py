"""explain is RELAX by its definition, on the pixels, masks and frame that it says."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import relax
from masking import RandomGrid
from tests.reference import importance_by_definition, standard_error_by_definition


def picture(height=20, width=24, channels=3, seed=0):
    return torch.rand(channels, height, width, generator=torch.Generator().manual_seed(seed))


def small_cnn(channels=3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(channels, 8, 3), nn.Tanh(), nn.Conv2d(8, 8, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        )


def cosine(a, b):
    return torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=-1)


def test_equals_the_definition_with_everything_done_by_hand():
    image, network = picture(), small_cnn().eval()
    masks = RandomGrid((20, 24), cells=4, keep=0.6, seed=5).masks(0, 60)
    fill = torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    with torch.no_grad():
        scores = cosine(network(image * masks + fill * (1 - masks)), network(image[None]))

    explanation = relax.explain(
        image, network, masks=60, cells=4, keep=0.6, seed=5, fill=(0.2, 0.3, 0.4), preset="paper-rise"
    )

    importance, uncertainty = importance_by_definition(scores, masks[:, 0])
    error = standard_error_by_definition(scores, masks[:, 0])
    np.testing.assert_allclose(explanation.importance, importance, atol=1e-6)
    np.testing.assert_allclose(explanation.uncertainty, uncertainty, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(explanation.standard_error, error, rtol=1e-3, atol=1e-9)


def test_the_network_receives_blended_pixels_in_the_promised_range():
    received = []

    def recorder(pixels):
        received.append(pixels.clone())
        return pixels.flatten(1) + 1

    image = picture(8, 9)
    relax.explain(image, recorder, masks=20, cells=2, seed=3, fill=0.5, batch_size=10, preset="paper-rise")

    masks = RandomGrid((8, 9), cells=2, seed=3).masks(0, 20)
    assert torch.equal(received[0], image[None])
    assert torch.equal(
        received[1][[0, 2]], torch.stack([torch.full_like(image, 0.5), image])
    )  # and its pieces shuffled
    torch.testing.assert_close(torch.cat(received[2:]), image * masks + 0.5 * (1 - masks), atol=1e-6, rtol=0)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 600])
def test_the_batch_size_changes_nothing_but_rounding(batch_size):
    whole = relax.explain(picture(), small_cnn(), masks=600, batch_size=600)

    cut = relax.explain(picture(), small_cnn(), masks=600, batch_size=batch_size)

    for name in ("importance", "uncertainty", "standard_error"):
        np.testing.assert_allclose(getattr(cut, name), getattr(whole, name), rtol=1e-4, atol=1e-6)


def test_the_seed_decides_and_the_global_generators_are_left_alone():
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002

    first, same, other = (relax.explain(picture(), small_cnn(), masks=50, seed=seed) for seed in (1, 1, 2))

    assert np.array_equal(first.importance, same.importance)
    assert not np.array_equal(first.importance, other.importance)
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


def test_an_object_that_alone_makes_the_embedding_is_found():
    """The encoder sees only rows 2 to 5, columns 4 to 7; the map must be highest there and nowhere else."""
    image = picture(16, 16)

    def patch_encoder(pixels):
        return torch.cat([pixels[:, :, 2:6, 4:8].flatten(1), torch.full((len(pixels), 1), 0.5)], 1)

    importance = relax.explain(image, patch_encoder, masks=2000, cells=8).importance

    inside = np.zeros((16, 16), dtype=bool)
    inside[2:6, 4:8] = True
    assert importance[inside].min() > np.quantile(importance[~inside], 0.9)


def test_several_images_in_one_call_are_the_images_one_by_one():
    images = [picture(20, 24, seed=1), picture(30, 18, seed=2)]

    together = relax.explain(images, small_cnn(), masks=40)

    assert [e.importance.shape for e in together] == [(20, 24), (30, 18)]
    for image, explanation in zip(images, together, strict=True):
        assert np.array_equal(explanation.importance, relax.explain(image, small_cnn(), masks=40).importance)


def test_a_batch_tensor_gives_a_list_and_a_single_image_does_not():
    batch = torch.stack([picture(seed=1), picture(seed=2)])

    assert len(relax.explain(batch, small_cnn(), masks=10)) == 2
    assert isinstance(relax.explain(batch[:1], small_cnn(), masks=10), relax.Explanation)
    assert isinstance(relax.explain([batch[0]], small_cnn(), masks=10), list)


def test_maps_come_back_in_the_frame_of_the_image():
    explanation = relax.explain(picture(50, 81), "random:default", masks=50)

    assert explanation.importance.shape == (50, 81)
    assert explanation.image.shape == (50, 81, 3)
    assert explanation.provenance["encoder"]["input_size"] == [96, 96]
    assert not np.isnan(explanation.importance).any()


def test_what_a_centre_crop_cuts_away_is_nan():
    """torchvision's ResNet-18: shorter side to 256 px, centre 224 px. Of 80 x 160 px it sees 70 x 70 in the middle."""
    explanation = relax.explain(picture(80, 160), "random:torchvision:resnet18", masks=4)

    rows, columns = np.nonzero(~np.isnan(explanation.importance))
    assert (rows.min(), rows.max()) == (5, 74)
    assert (columns.min(), columns.max()) == (45, 114)


def test_a_map_is_put_where_it_belongs_in_a_larger_image():
    """Only the lower right quarter of the image is not black: the masks that show it score highest."""
    image = torch.zeros(3, 128, 128)
    image[:, 64:, 64:] = picture(64, 64)

    importance = relax.explain(image, "random:default", masks=400, similarity="l2", fill=0.0).importance

    quarters = [importance[r : r + 64, c : c + 64].mean() for r in (0, 64) for c in (0, 64)]
    assert np.argmax(quarters) == 3


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_images_of_any_number_of_channels(channels):
    explanation = relax.explain(picture(channels=channels), small_cnn(channels), masks=20)

    assert explanation.importance.shape == (20, 24)
    assert explanation.image.shape == (20, 24, 3)


def test_given_masks_in_the_size_of_the_image_are_used_as_they_are():
    masks = RandomGrid((20, 24), cells=4, seed=5).masks(0, 30)

    given = relax.explain(picture(), small_cnn(), masks=masks)

    drawn = relax.explain(picture(), small_cnn(), masks=30, cells=4, seed=5, preset="paper-rise")
    assert np.array_equal(given.importance, drawn.importance)
    assert given.provenance["masks"] == {"kind": "given", "image_size": [20, 24], "given": 30, "count": 30}


def test_given_masks_may_be_in_either_frame_when_the_encoder_resizes():
    in_view = relax.explain(picture(128, 128), "random:default", masks=RandomGrid((96, 96), seed=1).masks(0, 200))
    in_image = relax.explain(picture(128, 128), "random:default", masks=RandomGrid((128, 128), seed=1).masks(0, 200))

    assert in_view.importance.shape == in_image.importance.shape == (128, 128)
    assert np.corrcoef(in_view.importance.ravel(), in_image.importance.ravel())[0, 1] > 0.98


def test_an_image_against_another_is_the_similarity_to_its_embedding():
    network, other = small_cnn(), picture(seed=9)

    by_image = relax.explain(picture(), network, masks=40, reference=other)

    with torch.no_grad():
        by_vector = relax.explain(picture(), network, masks=40, reference=network(other[None])[0])
    np.testing.assert_allclose(by_image.importance, by_vector.importance, atol=1e-6)
    assert by_image.provenance["reference"] == "tensor (3, 20, 24)"
    assert by_vector.provenance["reference"] == "embedding (32,)"


def test_a_set_of_references_is_compared_by_its_mean():
    network, others = small_cnn(), [picture(seed=8), picture(seed=9)]

    by_set = relax.explain(picture(), network, masks=40, reference=others)

    with torch.no_grad():
        mean = network(torch.stack(others)).mean(0)
    by_mean = relax.explain(picture(), network, masks=40, reference=mean)
    np.testing.assert_allclose(by_set.importance, by_mean.importance, atol=1e-6)


@pytest.mark.parametrize("similarity", ["cosine", "l2", "dot", "rbf"])
@pytest.mark.parametrize("fill", ["mean", "blur", "noise", 0.3])
def test_measures_and_fills_combine(similarity, fill):
    explanation = relax.explain(picture(), small_cnn(), masks=30, similarity=similarity, fill=fill)

    assert np.isfinite(explanation.importance).all()
    assert (explanation.uncertainty >= 0).all()
    assert explanation.provenance["similarity"] == similarity
    assert explanation.provenance["fill"] == fill


def test_another_image_can_be_the_fill():
    """A fill equal to the image hides nothing: every similarity is 1."""
    image = picture(90, 70)

    explanation = relax.explain(image, "random:default", masks=30, fill=image)

    np.testing.assert_allclose(explanation.importance, 1, atol=1e-6)


def test_sliding_windows_have_no_monte_carlo_error():
    explanation = relax.explain(picture(), small_cnn(), regions="windows", cells=5)

    assert np.isnan(explanation.standard_error).all()
    assert np.isfinite(explanation.importance).all()
    assert explanation.provenance["masks"]["kind"] == "sliding-windows"


def test_superpixels_and_presets_are_other_masks():
    kinds = {
        explanation.provenance["masks"]["kind"]
        for explanation in (
            relax.explain(picture(), small_cnn(), masks=20, regions="superpixels", cells=3),
            relax.explain(picture(), small_cnn(), masks=20, preset="paper"),
            relax.explain(picture(), small_cnn(), masks=20, preset="paper-rise"),
        )
    }

    assert kinds == {"superpixels", "authors-grid", "random-grid"}


def test_the_users_module_is_left_as_it_was():
    network = small_cnn().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}

    relax.explain(picture(), network, masks=20)

    assert network.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_provenance_is_json_and_names_what_is_needed_to_make_it_again():
    provenance = relax.explain(picture(), "random:default", masks=30, cells=4, keep=0.6, seed=7).provenance

    assert json.loads(json.dumps(provenance)) == provenance
    assert provenance["masks"] == {
        "kind": "random-grid", "image_size": [96, 96], "cells": 4, "keep": 0.6, "seed": 7, "design": "orthogonal",
        "count": 30,
    }  # fmt: skip
    assert provenance["encoder"]["name"] == "random:default"
    assert len(provenance["encoder"]["checksum"]) == len(provenance["image_sha256"]) == 64
    assert {"device", "dtype", "seconds", "created", "versions", "fill", "reference", "similarity"} <= provenance.keys()


def test_progress_is_told_after_every_batch():
    calls = []

    relax.explain(
        picture(), small_cnn(), masks=25, batch_size=10, progress=lambda done, total: calls.append((done, total))
    )

    assert calls == [(10, 25), (20, 25), (25, 25)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"masks": 1}, "masks must be a whole number, 2 or more; got 1"),
        ({"masks": 3.5}, "masks must be a whole number, 2 or more; got 3.5"),
        ({"tolerance": 0}, "tolerance is the largest acceptable standard error, above 0; got 0"),
        ({"tolerance": float("nan")}, "tolerance .* got nan"),
        ({"similarity": "cosin"}, "similarity must be one of cosine, .*; got 'cosin'"),
        ({"cells": 21}, "cells must be between 1 and the shorter image side, here 20 px; got 21"),
        ({"cells": 0}, "cells must be a whole number"),
        ({"keep": 1}, "keep is the chance that a cell stays visible"),
        ({"seed": -3}, "seed must be a whole number, 0 or more; got -3"),
        ({"batch_size": 0}, 'batch_size must be a whole number, 1 or more, or "auto"; got 0'),
        (
            {"regions": "hexagons"},
            "regions must be one of grid, authors-grid, windows, superpixels, patches; got 'hexagons'",
        ),
        ({"preset": "papr"}, "preset must be one of paper, paper-rise; got 'papr'"),
        ({"fill": 7}, r"fill must lie in \[0, 1\]"),
        ({"masks": torch.rand(4, 1, 9, 9)}, r"masks must have the image's size \(20, 24\).*got \(9, 9\)"),
        ({"reference": []}, "reference is an empty list"),
        ({"reference": torch.tensor([1.0, torch.nan])}, "reference must be finite"),
        ({"reference": torch.ones(5)}, r"got \(\d+, 32\) and \(5,\)"),
    ],
)
def test_impossible_arguments_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        relax.explain(picture(), small_cnn(), **wrong)


def test_an_encoder_that_returns_nan_is_named():
    with pytest.raises(relax.EncoderError, match=r"'broken'.*NaN"):
        relax.explain(picture(), broken, masks=10)


def broken(pixels):
    return torch.full((len(pixels), 4), torch.nan)
