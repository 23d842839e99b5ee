"""Class activation, activation and attention maps equal their formulas, at layers found by shape."""

from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
import torchvision
from pytorch_grad_cam import ScoreCAM
from torch import nn

import encoders
import relax
from relax.baselines import MethodError
from tests.relax.baselines.small import SmallHead, bare, drawn, small_cnn

IMAGE = drawn(1, 6, 8)
X = IMAGE[0].double()
HEIGHT_X_WIDTH = 48


class TwoChannels(nn.Module):
    """Returns the feature maps x and -2 x, which the encoder averages: z = (mean x, -2 mean x)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.conv.weight.data = torch.tensor([1.0, -2.0]).view(2, 1, 1, 1)

    def forward(self, pixels):
        return self.conv(pixels)


def importance(method, network=None, image=IMAGE, **settings):
    return relax.explain(image, network or TwoChannels(), method=method, **settings).importance


def test_gradcam_layercam_and_gradcam_plus_plus_are_worked_out_by_hand():
    """With mu = mean x, <f(x), f(x')> has the gradients mu / HW and -2 mu / HW at every cell of the two channels.

    Grad-CAM: (mu x + 4 mu x) / HW. Layer-CAM keeps the positive gradient: mu x / HW. Grad-CAM++ weighs the first
    channel with HW g a, where a = g^2 / (2 g^2 + sum(A) g^3) and sum(A) = HW mu.
    """
    mu = X.mean()
    g = mu / HEIGHT_X_WIDTH
    a = g**2 / (2 * g**2 + HEIGHT_X_WIDTH * mu * g**3 + 1e-6)  # grad-cam's guard against 0 / 0

    np.testing.assert_allclose(importance("gradcam"), 5 * mu * X / HEIGHT_X_WIDTH, rtol=1e-5)
    np.testing.assert_allclose(importance("layercam"), mu * X / HEIGHT_X_WIDTH, rtol=1e-5)
    np.testing.assert_allclose(importance("gradcam++"), HEIGHT_X_WIDTH * g * a * X, rtol=1e-4)


def test_gradcam_keeps_only_what_speaks_for_the_class_and_is_not_rescaled():
    """A head that counts the first channel alone has a logit of w mean x: Grad-CAM is w x / HW, or nothing."""
    head = SmallHead(2)
    head.weight = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 0.0]])

    np.testing.assert_allclose(importance("gradcam", head=head, target="cat"), 3 * X / HEIGHT_X_WIDTH, rtol=1e-5)
    assert not importance("gradcam", head=head, target="dog").any()


def test_eigencam_is_the_first_principal_component_pointing_to_long_activations():
    """All cells lie on the line through (1, -2): the component is sqrt(5) (x - mean x)."""
    np.testing.assert_allclose(importance("eigencam"), 5**0.5 * (X - X.mean()), atol=1e-5)


def test_lafam_is_the_channel_mean():
    np.testing.assert_allclose(importance("lafam"), -X / 2, rtol=1e-6)


def test_scorecam_equals_a_plain_loop_and_grad_cams_own():
    """At the size of the image, where the two enlarge alike, and with black behind the masks."""
    network, head, image = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.Tanh()), SmallHead(5), drawn(3, 7, 9)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network[0].reset_parameters()
    with torch.no_grad():
        channels = network(image[None])[0]
        ranges = [(channel - channel.min()) / (channel.max() - channel.min()) for channel in channels]
        scores = [head.logits(network((image * mask)[None]).mean((2, 3)))[0, 1] for mask in ranges]
        weights = torch.stack(scores).softmax(0)
        expected = sum(w * channel for w, channel in zip(weights, channels, strict=True)).clamp(min=0)

    values = importance("scorecam", network, image, head=head, target=1)

    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-7)
    scored = nn.Sequential(network, nn.AdaptiveAvgPool2d(1), nn.Flatten(), Lambda(head.logits))
    peer = ScoreCAM(scored, [network[1]])
    try:
        sums = peer.get_cam_image(image[None], network[1], [lambda out: out[1]], channels[None].numpy(), None, False)
    finally:
        peer.activations_and_grads.release()
    np.testing.assert_allclose(values, np.maximum(sums[0], 0), rtol=1e-4, atol=1e-7)


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, values):
        return self.function(values)


@pytest.mark.parametrize(
    ("spec", "layer", "grid"),
    [
        ("random:timm:test_resnet", "layer4", [5, 5]),
        ("random:timm:test_convnext", "norm_pre", [5, 5]),
        ("random:timm:test_vit", "blocks.5.norm1", [10, 10]),
        ("random:default", "layer4", [3, 3]),
    ],
)
def test_layers_are_found_in_the_networks_that_people_use(spec, layer, grid):
    explanation = relax.explain(drawn(3, 20, 30), encoders.load(spec, device="cpu"), method="eigencam")

    assert explanation.provenance["settings"] == {"layer": layer, "grid": grid}


class Turned(nn.Module):
    """Maps of 3 x 4 cells and 8 channels, with the channels last."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 2, stride=2, bias=False)
        self.conv.weight.data = torch.arange(32.0).view(8, 1, 2, 2)

    def forward(self, pixels):
        return self.conv(pixels).permute(0, 2, 3, 1)


def test_an_own_module_need_not_say_that_its_channels_are_last():
    network = Turned()

    explanation = relax.explain(IMAGE, network, method="lafam")

    assert explanation.provenance["settings"] == {"layer": "", "grid": [3, 4]}
    np.testing.assert_allclose(explanation.importance, importance("lafam", network.conv), rtol=1e-6)


def test_a_feature_map_with_channels_last_is_turned():
    network = timm.create_model(
        "swin_tiny_patch4_window7_224", num_classes=0, depths=(1, 1), embed_dim=24, num_heads=(1, 1)
    )
    image = drawn(3, 224, 224)
    outputs = []
    handle = network.layers[-1].register_forward_hook(lambda _, __, output: outputs.append(output.clone()))
    network.eval()(image[None])
    handle.remove()

    explanation = relax.explain(image, network, method="lafam")

    expected = torch.nn.functional.interpolate(outputs[0].detach().mean(3)[None], (224, 224), mode="bilinear")[0, 0]
    assert explanation.provenance["settings"]["grid"] == list(outputs[0].shape[1:3])
    np.testing.assert_allclose(explanation.importance, expected, atol=1e-5)


def small_vit():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vit = torchvision.models.VisionTransformer(32, 8, 3, 2, 16, 32, num_classes=4)
        vit.heads = nn.Identity()
    return vit.eval()


def attention_by_definition(query_key, heads):
    """(T, T): softmax(q k^T / sqrt(d)), averaged over the heads, for queries and keys (T, heads d)."""
    total = 0
    for q, k in zip(*(part.double().chunk(heads, 1) for part in query_key), strict=True):
        total = total + (q @ k.T / q.shape[1] ** 0.5).softmax(1) / heads
    return total


def blocks_of_torchvision(vit, image):
    blocks = []

    def record(attention, inputs, _):
        q, k, _ = (inputs[0][0] @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, 1)
        blocks.append(attention_by_definition((q, k), 2))

    handles = [layer.self_attention.register_forward_hook(record) for layer in vit.encoder.layers]
    with torch.no_grad():
        vit(image[None])
    [handle.remove() for handle in handles]
    return blocks


def blocks_of_timm(vit, image):
    blocks = []

    def record(attention, inputs, _):
        q, k, _ = attention.qkv(inputs[0])[0].chunk(3, 1)
        blocks.append(attention_by_definition((q, k), attention.num_heads))

    handles = [block.attn.register_forward_hook(record) for block in vit.blocks]
    with torch.no_grad():
        vit(image[None])
    [handle.remove() for handle in handles]
    return blocks


def small_timm_vit(**settings):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        shape = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2, "num_classes": 0}
        return timm.models.vision_transformer.VisionTransformer(**shape | settings).eval()


VITS = {
    "torchvision": SimpleNamespace(make=small_vit, blocks=blocks_of_torchvision, prefix=1),
    "timm": SimpleNamespace(make=small_timm_vit, blocks=blocks_of_timm, prefix=1),
    "timm, registers": SimpleNamespace(make=lambda: small_timm_vit(reg_tokens=2), blocks=blocks_of_timm, prefix=3),
    "timm, no class token": SimpleNamespace(
        make=lambda: small_timm_vit(class_token=False, global_pool="avg"), blocks=blocks_of_timm, prefix=0
    ),
}


@pytest.mark.parametrize("name", VITS)
def test_attention_and_rollout_are_the_softmax_of_queries_and_keys(name):
    kind, image = VITS[name], drawn(3, 32, 32)
    vit = kind.make()
    blocks = kind.blocks(vit, image)
    flow = torch.eye(len(blocks[0]), dtype=torch.float64)
    for mean in blocks:
        flow = (0.5 * mean + 0.5 * torch.eye(len(mean))) @ flow

    for method, mixed in (("attention", blocks[-1]), ("attention-rollout", flow)):
        row = mixed[0] if kind.prefix else mixed.mean(0)
        patches = row[kind.prefix :].view(1, 1, 4, 4)
        expected = torch.nn.functional.interpolate(patches, (32, 32), mode="bilinear")[0, 0]
        np.testing.assert_allclose(importance(method, vit, image), expected, rtol=1e-4)


def test_the_fused_kernels_are_back_after_attention_was_read():
    vit = small_timm_vit()
    before = [block.attn.fused_attn for block in vit.blocks]

    importance("attention", bare(vit), drawn(3, 32, 32))

    assert before == [True] * 3 == [block.attn.fused_attn for block in vit.blocks]
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in vit.modules())


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam", "scorecam", "eigencam", "lafam"])
@pytest.mark.parametrize("name", VITS)
def test_maps_of_tokens_lie_on_the_grid_of_patches(method, name):
    explanation = relax.explain(drawn(3, 32, 32), VITS[name].make(), method=method)

    assert explanation.provenance["settings"]["grid"] == [4, 4]
    assert np.isfinite(explanation.importance).all()


def test_eigencam_of_a_vit_is_where_its_tokens_differ_with_rows_and_columns_in_place():
    """A bright patch in row 1, column 2: its cell stands out."""
    image = torch.full((3, 32, 32), 0.5)
    image[:, 8:16, 16:24] = drawn(3, 8, 8)

    cells = importance("eigencam", small_timm_vit(pos_embed="none"), image).reshape(4, 8, 4, 8).mean((1, 3))

    assert np.unravel_index(np.abs(cells - np.median(cells)).argmax(), (4, 4)) == (1, 2)


def test_what_an_encoder_lacks_is_named_with_the_way_out():
    image = drawn(3, 16, 16)
    with pytest.raises(MethodError, match="attention needs the attention of a vision transformer, and encoder 'Seque"):
        importance("attention", small_cnn(), image)
    with pytest.raises(
        MethodError, match="gradcam needs the layers of the network, and encoder '<lambda>' is a functi"
    ):
        importance("gradcam", lambda pixels: pixels.mean((2, 3)), image)
    with pytest.raises(MethodError, match="lafam needs a layer with a feature map larger than one cell, and encoder"):
        importance("lafam", nn.Flatten(), image)


def test_a_score_that_does_not_depend_on_the_layer_is_refused():
    class Beside(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)

        def forward(self, pixels):
            self.conv(pixels)
            return pixels.mean((2, 3))

    with pytest.raises(MethodError, match="gradcam needs a gradient at layer 'conv', and the dot to the image itself"):
        importance("gradcam", Beside(), drawn(3, 16, 16))
