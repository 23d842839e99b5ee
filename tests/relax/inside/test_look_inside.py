"""A picture in a network made by hand: known numbers, saved and read back, and what cannot be looked into is named."""

import json

import numpy as np
import pytest
import timm
import torch
from torch import nn

import relax
from relax.inside.choosing import choose
from relax.inside.fields import Field
from relax.inside.stage import Kernel, Stage
from tests.relax.inside.networks import CORNER, SEES_CORNERS, SIDE, Corners, Planted, loaded, square


@pytest.fixture(scope="module")
def corners():
    return relax.look_inside(square(), loaded(Corners()), layers=["conv", "relu", "mix"])


def test_channel_3_fires_at_the_red_corner_and_nowhere_else(corners):
    expected = np.zeros((SIDE, SIDE))
    expected[CORNER] = 1

    np.testing.assert_allclose(corners["relu"].activations[SEES_CORNERS], expected, atol=1e-6)


def test_energy_and_contrast_are_mean_square_and_variance(corners):
    """Red: 64 of 576 cells are 1. Mean colour: 64 + 42 cells are 1/3. Corners: 1 cell is 1. Channel 2 is 0."""
    stage = corners["relu"]

    energy = [(64 + 42) / 9 / 576, 64 / 576, 0, 1 / 576]
    mean = np.array([(64 + 42) / 3, 64, 0, 1]) / 576
    np.testing.assert_allclose(stage.energy, energy, rtol=1e-5)
    np.testing.assert_allclose(stage.contrast, energy - mean**2, rtol=1e-5, atol=1e-9)
    assert stage.order("energy").tolist() == [1, 0, 3, 2]
    assert stage.order("number").tolist() == [0, 1, 2, 3]


def test_the_products_of_the_first_convolution_add_up_to_its_numbers(corners):
    """At the corner red gives four times 1, the bias is -3; at the edge of the picture nothing is beyond."""
    stage = corners["conv"]
    kernel = stage.kernel

    products = kernel.products(SEES_CORNERS, *CORNER)

    assert products[0].tolist() == [[0, 0, 0], [0, 1, 1], [0, 1, 1]]
    assert kernel.bias[SEES_CORNERS] == -3
    assert products.sum() - 3 == 1
    for row, column in [(0, 0), (23, 23), (10, 16)]:
        total = kernel.products(1, row, column).sum() + kernel.bias[1]
        assert total == pytest.approx(stage.activations[1, row, column], abs=1e-6)
    assert corners["mix"].kernel is None  # it sees no pixels


def test_products_of_any_stride_padding_and_dilation_are_those_of_torch():
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 2, (3, 5), (2, 1), (1, 4), (1, 2))
    pixels = torch.rand(1, 3, 11, 9)
    with torch.no_grad():
        output = layer(pixels)[0].numpy()
    arrays = (layer.weight.detach().numpy(), layer.bias.detach().numpy(), pixels[0].numpy())
    kernel = Kernel(*arrays, layer.stride, layer.padding, layer.dilation)

    for channel, row, column in np.ndindex(output.shape):
        total = kernel.products(channel, row, column).sum() + kernel.bias[channel]
        assert total == pytest.approx(output[channel, row, column], abs=1e-5)


@pytest.mark.parametrize("side", [11, 12])
def test_products_with_the_padding_of_tensorflow_add_up(side):
    """Of a stride of 2 it has one row less before the picture than after it, where the picture's sides are even."""
    torch.manual_seed(0)
    stem = timm.layers.Conv2dSame(3, 4, 3, stride=2)
    network = nn.Sequential(stem, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    encoder = relax.load_encoder(network, size=side, mean=0.0, std=1.0, device="cpu")

    stage = relax.look_inside(torch.rand(3, side, side), encoder, layers=["0"])["0"]

    assert stage.kernel.padding == ((0, 0) if side == 12 else (1, 1))
    for row, column in [(0, 0), (5, 5), (2, 4)]:
        total = stage.kernel.products(1, row, column).sum() + stage.kernel.bias[1]
        assert total == pytest.approx(stage.activations[1, row, column], abs=1e-5)


def test_a_convolution_whose_weights_are_made_anew_shows_no_products():
    class Scaled(nn.Conv2d):
        def forward(self, pixels):
            return super().forward(pixels) * 1.5

    network = nn.Sequential(Scaled(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    assert relax.look_inside(square(), loaded(network), layers=["0"])["0"].kernel is None


def test_attention_is_kept_per_head():
    inside = relax.look_inside(square(), loaded(Planted()))

    assert [stage.name for stage in inside] == ["patch_embed", "blocks.0", "blocks.1"]
    heads = inside["blocks.0"].heads.weights
    assert heads.shape == (2, 10, 10)
    assert heads[0, :, 7].tolist() == [1] * 10
    assert heads[1].tolist() == np.eye(10).tolist()
    assert inside["patch_embed"].heads is None
    assert inside["blocks.1"].prefix.shape == (1, 6)
    assert inside["blocks.1"].grid == (3, 3)


def test_cells_alike_have_a_cosine_of_one():
    activations = np.array([[[1, 2, 0]], [[1, 2, 3]]], np.float32)  # (1, 1), (2, 2) and (0, 3)
    stage = Stage("a", "Conv2d", activations, np.zeros((0, 2), np.float32))

    np.testing.assert_allclose(stage.similarity(0, 0), [[1, 1, 0.5**0.5]], atol=1e-6)


def test_what_is_saved_is_read_back(corners, tmp_path):
    for inside in (corners, relax.look_inside(square(), loaded(Planted()), effect="ablation")):
        read = relax.Inside.load(inside.save(tmp_path / "a.npz"))

        assert read.to_json() == inside.to_json()
        assert repr(read) == repr(inside)
        for mine, other in zip(inside, read, strict=True):
            np.testing.assert_array_equal(mine.activations, other.activations)
            np.testing.assert_array_equal(mine.effect, other.effect)
            np.testing.assert_array_equal(mine.field.rows, other.field.rows)
            assert (mine.kernel is None) == (other.kernel is None)
            assert (mine.heads is None) == (other.heads is None)
        np.testing.assert_array_equal(inside.view, read.view)


def test_a_file_of_something_else_or_a_damaged_one_is_refused(corners, tmp_path):
    arrays = dict(np.load(corners.save(tmp_path / "a.npz")))
    record = json.loads(str(arrays["how"]))
    damaged = {
        "another": {**arrays, "how": np.array(json.dumps({**record, "kind": "other"}))},
        "shape": {**arrays, "0.effect": np.zeros(3, np.float32)},
        "lacks": {name: values for name, values in arrays.items() if name != "1.activations"},
        "words": {**arrays, "how": np.array(json.dumps({**record, "stages": [{"name": 3}]}))},
    }
    for name, content in damaged.items():
        np.savez(tmp_path / f"{name}.npz", **content)

        with pytest.raises(ValueError, match=rf"{name}.npz is not a file of Inside.save: "):
            relax.Inside.load(tmp_path / f"{name}.npz")


def test_the_record_has_the_leading_channels_and_no_arrays(corners):
    record = json.loads(corners.to_json())

    relu = record["layers"][1]
    assert relu["leading_channels"]["energy"] == [1, 0, 3, 2]
    assert relu["field_of_the_middle_cell"] == [11, 11, 14, 14]
    assert record["effect"]["method"] == "gradient"
    assert record["encoder"]["name"] == "Corners"


def test_the_figure_has_the_leading_channels_and_the_parts_of_each_layer(corners):
    drawing = corners.plot(["relu"], by="energy", channels=2)

    words = " ".join(text.get_text() for text in drawing.texts)
    assert "relu: ReLU, 4 channels of 24 x 24 cells, the middle one sees 3 x 3 px" in words
    assert "channel 1 channel 3" not in words
    assert words.index("channel 1") < words.index("channel 0")
    assert "4 parts (NMF)" in words  # no more than channels
    shown = [axes.images[-1].get_array() for axes in drawing.axes if axes.images]
    np.testing.assert_array_equal(shown[1], corners["relu"].activations[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": ["rleu"]}, r"layers must be among conv, relu, mix; got 'rleu': did you mean 'relu'"),
        ({"channels": 0}, r"channels must be a whole number from 1 to 12; got 0"),
        (
            {"by": "energie"},
            r"by must be one of energy, contrast, effect, number; got 'energie': did you mean 'energy'",
        ),
        ({"theme": "grey"}, r"theme must be one of light, dark"),
        ({"width": 0}, r"width must be 2 to 100 inches"),
    ],
)
def test_an_impossible_figure_is_refused(corners, options, message):
    with pytest.raises(ValueError, match=message):
        corners.plot(**options)


def test_an_order_by_an_effect_that_was_not_asked_for_is_refused():
    inside = relax.look_inside(square(), loaded(Corners()), effect="none", factors="none", fields=False)

    assert inside[0].effect is None
    with pytest.raises(ValueError, match=r'by="effect" needs an effect: look inside with effect="gradient"'):
        inside[0].order("effect")


def test_a_layer_is_had_by_its_name_and_a_misspelt_one_is_told_the_right_one(corners):
    assert corners["mix"] is corners[2]
    with pytest.raises(KeyError, match="did you mean 'relu'"):
        corners["rleu"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": ["covn"]}, r"has no layer 'covn' with a map, tokens or a vector: did you mean conv"),
        ({"layers": "conv,rlu"}, r"has no layer 'rlu'"),
        ({"layers": []}, r"layers must be one or more names; got none"),
        ({"layers": 3}, r"layers must be a list"),
        ({"effect": "gradients"}, r"effect must be one of gradient, ablation, none; got 'gradients': did you mean"),
        ({"factors": 3}, r"factors must be one of"),
        ({"parts": 0}, r"parts must be a whole number from 1 to 8; got 0"),
        ({"parts": True}, r"parts must be a whole number"),
        ({"fields": "yes"}, r"fields must be True or False"),
        ({"seed": -1}, r"seed must be"),
    ],
)
def test_an_impossible_argument_is_named_with_the_way_out(options, message):
    with pytest.raises(ValueError, match=message):
        relax.look_inside(square(), loaded(Corners()), **options)


def test_functions_and_networks_with_numbers_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"is a function, in which torch sees none: pass the module itself"):
        relax.look_inside(square(), lambda pixels: pixels.mean((2, 3)))

    class Broken(Corners):
        def forward(self, pixels):
            self.relu(self.conv(pixels) / 0)
            return pixels.mean((2, 3))

    with pytest.raises(ValueError, match=r"layer 'relu' of encoder 'Broken' gives NaN or infinity"):
        relax.look_inside(square(), loaded(Broken()), layers=["relu"], effect="none")


def test_a_vector_is_one_cell():
    class Deep(Corners):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(5, 7)

        def forward(self, pixels):
            return self.head(super().forward(pixels))

    inside = relax.look_inside(square(), loaded(Deep(), output="head"), layers=["head"])

    stage = inside["head"]
    assert stage.activations.shape == (7, 1, 1)
    assert stage.factors is None
    assert stage.field is None
    assert stage.reset == "zero"
    np.testing.assert_allclose(stage.activations[:, 0, 0], inside.embedding, atol=1e-6)


def test_a_network_that_does_not_run_on_pixels_that_are_no_numbers_has_no_fields():
    class Strict(Corners):
        def forward(self, pixels):
            if pixels.isnan().any():
                raise RuntimeError("not a number")
            return super().forward(pixels)

    inside = relax.look_inside(square(), loaded(Strict()), layers=["conv"])

    assert inside["conv"].field is None
    assert inside.provenance["left_out"][0].startswith("which pixels cells see")


# ---- Which layers are looked at ----


def names(network, plan="auto"):
    encoder = relax.load_encoder(network, size=64, mean=0.5, std=0.5, device="cpu")
    from encoders.trace import layers

    return [layer.name for layer in choose(encoder, layers(encoder), plan).layers]


def test_the_stages_of_a_resnet_are_its_first_convolution_and_its_four_layers():
    network = timm.create_model("resnet10t", num_classes=0)
    assert names(network) == ["conv1.0", "conv1", "layer1", "layer2", "layer3", "layer4"]
    assert names(network, "more")[:5] == ["conv1.0", "conv1.2", "conv1.5", "conv1.6", "conv1"]


def test_the_stages_of_a_vision_transformer_are_its_patches_and_blocks():
    network = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=64, depth=3)
    assert names(network) == ["patch_embed.proj", "blocks.0", "blocks.1", "blocks.2"]
    assert names(network, "more")[1:4] == ["blocks.0.attn", "blocks.0.mlp", "blocks.0"]


def test_a_convolution_comes_with_the_activation_behind_it():
    def pair(before, after):
        return [nn.Conv2d(before, after, 3, 2, 1), nn.ReLU()]

    network = nn.Sequential(nn.Sequential(*pair(3, 8), *pair(8, 8), *pair(8, 8)), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    assert names(network) == ["0.0", "0.1", "0.3", "0.5"]


def test_many_blocks_are_thinned_out_and_it_is_said():
    network = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=64, depth=24, embed_dim=12, num_heads=1)
    inside = relax.look_inside(
        square(), relax.load_encoder(network, size=64, mean=0.5, std=0.5), effect="none", factors="none", fields=False
    )

    assert len(inside) == 16
    assert [inside[0].name, inside[1].name, inside[-1].name] == ["patch_embed.proj", "blocks.1", "blocks.23"]
    assert inside.provenance["left_out"] == [
        "9 of 25 layers, evenly spread over the depth; name them to see them",
    ]


def test_progress_goes_to_the_end():
    steps = []

    relax.look_inside(
        square(), loaded(Corners()), effect="ablation", progress=lambda done, total: steps.append((done, total))
    )

    assert steps[-1][0] == steps[-1][1]
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


def test_a_field_is_a_box():
    field = Field(np.array([[0, 3], [1, 5]], np.int32), np.array([[2, 4]], np.int32))
    assert field.box(1, 0) == (1, 2, 5, 4)
