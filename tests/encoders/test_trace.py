"""One forward pass tells what every layer returns, where its cells are, and what it costs; its outputs can be had."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from encoders import Encoder, EncoderError, load
from encoders.layouts import MAP, MAP_LAST, TOKENS, VECTOR, Layer
from encoders.trace import activations, layers, recording
from tests.encoders.conftest import pixels_from
from tests.encoders.test_contract import small_graph

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 0}


def seeded(make: Any, *arguments: Any, **named: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network: nn.Module = make(*arguments, **named)
    return network.eval()


def bare(network: nn.Module, **settings: Any) -> Encoder:
    """The network itself, not a copy."""
    return Encoder(network, device="cpu", **settings)


def by_name(encoder: Encoder, view: Tensor) -> dict[str, Layer]:
    return {layer.name: layer for layer in layers(encoder, view)}


def twice_called() -> nn.Sequential:
    """A ReLU in place that runs on maps of 6 x 8 and of 3 x 4 cells."""
    relu = nn.ReLU(inplace=True)
    return seeded(  # type: ignore[return-value]
        nn.Sequential,
        nn.Conv2d(3, 4, 3, padding=1),
        relu,
        nn.Conv2d(4, 5, 2, stride=2, bias=False),
        relu,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 7),
    )


def test_layers_of_a_small_network_are_worked_out_by_hand() -> None:
    """Multiply-adds: 6 x 8 cells x 4 x 27, then 3 x 4 x 5 x 16, then 5 x 7; the ReLU counts with its last call."""
    table = layers(bare(twice_called()), pixels_from(0, 1, 3, 6, 8))

    assert table == [
        Layer("0", "Conv2d", MAP, (4, 6, 8), (6, 8), channels=4, parameters=112, operations=48 * 108),
        Layer("2", "Conv2d", MAP, (5, 3, 4), (3, 4), channels=5, parameters=80, operations=12 * 80),
        Layer("1", "ReLU", MAP, (5, 3, 4), (3, 4), channels=5, calls=2),
        Layer("4", "AdaptiveAvgPool2d", MAP, (5, 1, 1), (1, 1), channels=5),
        Layer("5", "Flatten", VECTOR, (5,), None, channels=5),
        Layer("6", "Linear", VECTOR, (7,), None, channels=7, parameters=42, operations=35),
        Layer("", "Sequential", VECTOR, (7,), None, channels=7, parameters=234, operations=48 * 108 + 960 + 35),
    ]


@pytest.mark.parametrize(("name", "weights"), [("resnet18", "ResNet18_Weights"), ("vit_b_32", "ViT_B_32_Weights")])
def test_operations_and_parameters_are_those_that_torchvision_publishes(name: str, weights: str) -> None:
    published = getattr(torchvision.models, weights).DEFAULT.meta

    whole = layers(bare(getattr(torchvision.models, name)().eval()), torch.rand(1, 3, 224, 224))[-1]

    assert whole.parameters == published["num_params"]
    assert whole.operations / 1e9 == pytest.approx(published["_ops"], abs=0.003)


@pytest.mark.parametrize(
    ("settings", "prefix", "has_class"),
    [
        ({}, 1, True),
        ({"reg_tokens": 4}, 5, True),
        ({"class_token": False, "reg_tokens": 2, "global_pool": "avg"}, 2, False),
        ({"class_token": False, "global_pool": "avg"}, 0, False),
    ],
)
def test_tokens_have_the_grid_of_the_patches_behind_their_prefix(
    settings: dict[str, Any], prefix: int, has_class: bool
) -> None:
    network = seeded(timm.models.vision_transformer.VisionTransformer, **{**VIT, "img_size": (32, 48)}, **settings)
    view = pixels_from(0, 1, 3, 32, 48)

    table = by_name(bare(network), view)

    block = table["blocks.1"]
    assert (block.layout, block.grid, block.prefix, block.class_token) == (TOKENS, (4, 6), prefix, has_class)
    with torch.inference_mode():
        tokens = network.forward_features(view)[0, prefix:]  # type: ignore[operator]
    norm = activations(bare(network), view, ["norm"])["norm"]
    assert torch.equal(table["norm"].feature_map(norm)[0, :, 2, 5], tokens[2 * 6 + 5])


def test_the_class_token_and_patches_of_other_libraries_are_found() -> None:
    open_clip = pytest.importorskip("open_clip", reason="the extra [text] is not installed")
    tower = seeded(open_clip.transformer.VisionTransformer, 32, 8, 16, 2, 2, 4.0, output_dim=8)
    torchvisions = seeded(torchvision.models.VisionTransformer, 32, 8, 2, 2, 16, 32)
    view = pixels_from(0, 1, 3, 32, 32)

    for network, name in ((tower, "transformer.resblocks.1"), (torchvisions, "encoder.layers.encoder_layer_1")):
        block = by_name(bare(network), view)[name]
        assert (block.grid, block.prefix, block.class_token) == ((4, 4), 1, True)


def test_hidden_states_of_transformers_and_their_merged_patches_are_found() -> None:
    transformers = pytest.importorskip("transformers", reason="the extra [hf] is not installed")
    settings = {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2]}
    model = seeded(transformers.SwinModel, transformers.SwinConfig(**settings, window_size=4))
    encoder = load(model, device="cpu", output="pooler_output")
    view = pixels_from(0, 1, 3, 32, 32)

    table = by_name(encoder, view)

    assert (table["embeddings.norm"].grid, table["layernorm"].grid) == ((8, 8), (4, 4))
    assert (table["encoder"].entry, table["encoder"].shape) == ("last_hidden_state", (16, 16))
    assert (table[""].layout, table[""].shape) == (VECTOR, (16,))
    with torch.inference_mode():
        expected = model(view, output_hidden_states=True)
    outputs = activations(encoder, view, ["layernorm", ""])
    torch.testing.assert_close(outputs["layernorm"], expected.last_hidden_state)
    torch.testing.assert_close(outputs[""], expected.pooler_output)


class Unfolded(nn.Module):
    """Patches without a convolution, queries per head, and an answer with the channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(48, 8)
        self.norm = nn.LayerNorm(4)
        self.turned = nn.LayerNorm(8)

    def forward(self, pixels: Tensor) -> Tensor:
        tokens = self.embed(nn.functional.unfold(pixels, 4, stride=4).mT)  # (B, 16, 8)
        queries = self.norm(tokens.unflatten(2, (2, 4)).transpose(1, 2))  # (B, 2, 16, 4)
        answer: Tensor = self.turned(queries.transpose(1, 2).flatten(2).unflatten(1, (4, 4)))
        return answer


def test_patches_without_a_convolution_queries_and_channels_last() -> None:
    network, view = seeded(Unfolded), pixels_from(0, 2, 3, 16, 16)

    table = by_name(bare(network), view[:1])

    assert list(table) == ["embed", "turned", ""]  # queries are no map
    assert (table["embed"].layout, table["embed"].grid) == (TOKENS, (4, 4))
    assert (table["turned"].layout, table["turned"].grid, table["turned"].channels) == (MAP_LAST, (4, 4), 8)
    output = activations(bare(network), view, ["turned"])["turned"]
    assert torch.equal(table["turned"].feature_map(output)[1, :, 3, 0], output[1, 3, 0])


def test_tokens_that_are_not_in_reading_order_have_no_places() -> None:
    network = seeded(timm.create_model, "hiera_tiny_224", num_classes=0, stages=(1, 1, 1, 1), embed_dim=24, num_heads=1)

    first = by_name(bare(network), torch.rand(1, 3, 224, 224))["blocks.0"]

    assert (first.layout, first.grid, first.spatial) == (TOKENS, None, False)
    with pytest.raises(ValueError, match=r"layer 'blocks.0' gives a tokens \(3136, 24\) without places"):
        first.feature_map(torch.zeros(1, 3136, 24))


def test_volumes_have_a_grid_of_three() -> None:
    network = seeded(nn.Sequential, nn.Conv3d(1, 4, 2, stride=2), nn.AdaptiveAvgPool3d(1), nn.Flatten())
    encoder = load(network, device="cpu", size=(4, 6, 8))

    first = layers(encoder)[0]

    assert (first.layout, first.grid, first.operations) == (MAP, (2, 3, 4), 24 * 4 * 8)
    assert first.feature_map(torch.zeros(5, 4, 2, 3, 4)).shape == (5, 4, 2, 3, 4)


def test_outputs_are_copies_that_layers_in_place_leave_alone_and_hooks_go() -> None:
    network, view = twice_called(), pixels_from(0, 2, 3, 6, 8)
    encoder = bare(network)
    with torch.inference_mode():
        first = network[0](encoder.prepare(view))

    outputs = activations(encoder, view, ["0", "6", ""])

    assert list(outputs) == ["0", "6", ""]
    assert torch.equal(outputs["0"], first)
    assert (outputs["0"] < 0).any()
    torch.testing.assert_close(outputs["6"], encoder.embed(view))
    assert torch.equal(activations(encoder, encoder.prepare(view), ["0"], prepared=True)["0"], first)

    class Failing(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            raise RuntimeError("no")

    failing = nn.Sequential(nn.Identity(), Failing())
    for attempt in (layers, functools.partial(activations, names=["0"])):
        with pytest.raises(EncoderError, match="no"):
            attempt(bare(failing), view[:1])
    for module in (*network.modules(), *failing.modules()):
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_gradients_of_the_embedding_at_a_layer_and_at_the_pixels_are_found() -> None:
    """z = W mean(relu(x)) over 12 cells, so dz_k / dcell = W_k / 12 before the mean, whatever is done in place."""
    network, view = twice_called(), pixels_from(0, 1, 3, 6, 8)
    encoder = bare(network)

    with recording(encoder, ["1", "2"], gradients=True) as outputs, torch.enable_grad():
        embedding = encoder.embed_with_gradients(view)

    last, convolved = torch.autograd.grad(embedding[0, 3], [outputs["1"], outputs["2"]])
    expected = (network[6].weight[3] / 12).view(1, 5, 1, 1).expand(1, 5, 3, 4)
    torch.testing.assert_close(last, expected)
    torch.testing.assert_close(convolved, expected * (outputs["2"] > 0))
    pixels = view.clone().requires_grad_()
    activation = activations(encoder, pixels, ["0"], gradients=True)["0"]
    (gradient,) = torch.autograd.grad(activation[0, 2, 3, 4], pixels)
    torch.testing.assert_close(gradient[0, :, 2:5, 3:6], network[0].weight[2])


def test_what_has_no_layers_is_refused_with_the_way_out() -> None:
    view = pixels_from(0, 1, 3, 6, 8)
    with pytest.raises(EncoderError, match="encoder '<lambda>' is a function, in which torch sees none: pass the mod"):
        layers(load(lambda pixels: pixels.mean((2, 3)), device="cpu"), view)
    script = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    with pytest.raises(EncoderError, match="is TorchScript, in which torch sees none: load the network in torch"):
        activations(load(script, device="cpu"), view, ["0"])
    graph = load(small_graph(), device="cpu")
    with pytest.raises(EncoderError, match="is an ONNX graph, in which torch sees none: load the network in torch"):
        layers(graph)
    with pytest.raises(EncoderError, match=r"has no layer '00': did you mean .*0.*\?"):
        activations(bare(twice_called()), view, ["00"])
    unused = nn.Sequential(nn.Flatten())
    unused.add_module("beside", nn.Sequential(nn.Linear(1, 1)))
    unused.forward = unused[0].forward  # type: ignore[method-assign]
    with pytest.raises(EncoderError, match=r"layer 'beside.0' of encoder 'Sequential' did not run, or returned no"):
        activations(bare(unused), view, ["beside.0"])
