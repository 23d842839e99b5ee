"""An encoder seen from inside gives what a layer returns, pooled or at one token, and computes nothing behind it."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from encoders import Encoder, EncoderError, load
from encoders.identity import differences, identity
from encoders.inner import at_layer
from encoders.trace import layers
from tests.encoders.conftest import pixels_from
from tests.encoders.test_trace import VIT, Unfolded, bare, seeded, twice_called


def vit(**settings: Any) -> Any:
    return seeded(timm.models.vision_transformer.VisionTransformer, **VIT, **settings)


def encoder_of(network: Any, **settings: Any) -> Encoder:
    return load(network, device="cpu", size=32, **settings)


def test_a_map_is_the_mean_of_its_cells_or_one_of_them() -> None:
    network, view = twice_called(), pixels_from(0, 3, 3, 6, 8)
    with torch.inference_mode():
        convolved = network[2](network[0](view).relu())

    encoder = bare(network)
    pooled, cell = at_layer(encoder, "2"), at_layer(encoder, "2", (2, 1))

    torch.testing.assert_close(pooled.embed(view), convolved.mean((2, 3)))
    torch.testing.assert_close(cell.embed(view), convolved[:, :, 2, 1])
    assert torch.equal(at_layer(encoder, token=(2, 1)).embed(view), at_layer(encoder, "1", (2, 1)).embed(view))
    assert at_layer(encoder, "") is encoder


def test_a_layer_that_runs_twice_counts_with_its_last_call_and_later_layers_do_not_run() -> None:
    network, view = twice_called(), pixels_from(0, 3, 3, 6, 8)
    ran: list[str] = []
    handles = [
        part.register_forward_hook(lambda *_, name=name: ran.append(name)) for name, part in network.named_modules()
    ]
    with torch.inference_mode():
        expected = network[3](network[2](network[1](network[0](view)))).mean((2, 3))
    inner = at_layer(bare(network), "1")
    ran.clear()

    torch.testing.assert_close(inner.embed(view), expected)

    assert set(ran) == {"0", "1", "2"}
    [handle.remove() for handle in handles]
    assert not any(part._forward_hooks for part in network.modules())


@pytest.mark.parametrize(("pooling", "token"), [("auto", None), ("mean", None), ("auto", "class"), ("auto", (1, 3))])
def test_tokens_are_the_class_token_their_mean_or_one_of_them(pooling: str, token: Any) -> None:
    network, view = vit(reg_tokens=2), pixels_from(0, 2, 3, 32, 32)
    with torch.inference_mode():
        tokens = network.forward_intermediates(
            view, indices=[0], norm=False, output_fmt="NLC", return_prefix_tokens=True
        )
        patches, prefix = tokens[1][0]
    expected = {None: prefix[:, 0], "class": prefix[:, 0], (1, 3): patches[:, 4 + 3]}[token]
    expected = patches.mean(1) if pooling == "mean" else expected

    inner = at_layer(encoder_of(network, pooling=pooling), "blocks.0", token)

    torch.testing.assert_close(inner.embed(view), expected)


def test_channels_last_and_the_whole_network_have_cells() -> None:
    network, view = seeded(Unfolded), pixels_from(0, 2, 3, 16, 16)
    with torch.inference_mode():
        answer = network(view)

    encoder = load(network, device="cpu", size=16)

    torch.testing.assert_close(at_layer(encoder, "turned", (3, 0)).embed(view), answer[:, 3, 0])
    torch.testing.assert_close(at_layer(encoder, "", (3, 0)).embed(view), answer[:, 3, 0])
    torch.testing.assert_close(at_layer(encoder, "turned").embed(view), answer.mean((1, 2)))


def test_a_cell_of_a_volume() -> None:
    network = seeded(nn.Sequential, nn.Conv3d(1, 4, 2, stride=2), nn.AdaptiveAvgPool3d(1), nn.Flatten())
    encoder, view = load(network, device="cpu", size=(4, 6, 8)), pixels_from(0, 2, 1, 4, 6, 8)

    inner = at_layer(encoder, "0", (1, 2, 3))

    with torch.inference_mode():
        torch.testing.assert_close(inner.embed(view), network[0](view)[:, :, 1, 2, 3])


def test_the_fast_form_and_gradients_agree_with_the_network() -> None:
    """Batch norms are folded in the copy of the whole network; the layer in the middle is one of them."""
    network = timm.create_model("test_resnet", num_classes=0).eval()
    inner, view = at_layer(encoder_of(network), "layer2.0.bn1", (1, 1)), pixels_from(0, 4, 3, 32, 32)
    alone = torch.cat([inner.embed(picture[None]) for picture in view])

    torch.testing.assert_close(inner.embed(view), alone, rtol=1e-4, atol=1e-4)

    with torch.enable_grad():
        pixels = view.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(inner.embed_with_gradients(pixels)[:, 0].sum(), pixels)
    assert gradient.abs().sum() > 0


def test_identities_tell_layer_and_token_under_the_same_checksum() -> None:
    encoder = encoder_of(vit())
    inner = at_layer(encoder, "blocks.0", (1, 2))

    assert identity(inner) == {**identity(encoder), "layer": "blocks.0", "token": [1, 2]}
    assert differences(identity(inner), identity(encoder)) == ["layer", "token"]
    assert differences(identity(inner), identity(at_layer(encoder, "blocks.0"))) == ["token"]
    assert [layer.name for layer in layers(inner)][-2:] == ["blocks.0", ""]
    assert inner.patch_grid(torch.zeros(1, 3, 32, 32)) == (4, 4)


def test_an_encoder_at_a_layer_is_asked_again_from_its_whole_network() -> None:
    encoder, view = bare(twice_called()), pixels_from(0, 2, 3, 6, 8)
    inner = at_layer(encoder, "2", (2, 1))

    assert at_layer(inner, "2", [2, 1]) is inner
    assert at_layer(inner, token=(2, 1)) is inner
    assert torch.equal(at_layer(inner, "4").embed(view), at_layer(encoder, "4").embed(view))
    assert torch.equal(at_layer(inner, "2").embed(view), at_layer(encoder, "2").embed(view))


def test_what_is_not_there_is_refused_with_the_way_out() -> None:
    encoder = encoder_of(vit())
    for name, token, message in (
        ("blocks.9", None, r"has no layer 'blocks.9': did you mean blocks.\d"),
        ("blocks.0", (4, 0), r"place in the 4 x 4 cells of layer 'blocks.0' .* from 0 to \(3, 3\); got \(4, 0\)"),
        ("blocks.0", (1, 2, 3), r"place in the 4 x 4 cells"),
        ("fc_norm", (1, 2), r"token: layer 'fc_norm' .* gives a vector \(16,\) without places: `relax layers`"),
        ("patch_embed", "class", r"token: layer 'patch_embed' of encoder .* has no class token"),
        ("blocks.0.attn.attn_drop", None, r"gives no map, tokens or vector of a picture: `relax layers` lists"),
    ):
        with pytest.raises(EncoderError, match=message):
            at_layer(encoder, name, token)  # type: ignore[arg-type]
    with pytest.raises(EncoderError, match="no layer of encoder 'Sequential' has a class token"):
        at_layer(load(twice_called(), device="cpu", size=32), token="class")
    with pytest.raises(EncoderError, match='fill "drop" withholds patches from the whole network'):
        at_layer(encoder, "blocks.0").embed_visible(torch.zeros(1, 3, 32, 32), torch.zeros(1, 4, dtype=torch.long))
    with pytest.raises(EncoderError, match=r'has no class token: pooling="mean"'):
        at_layer(encoder_of(Untokened(), pooling="cls"), "tokens")


class Untokened(nn.Module):
    """Tokens without a class token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 4, 8, stride=8)
        self.tokens = nn.Identity()

    def forward(self, pixels: Tensor) -> Tensor:
        tokens: Tensor = self.tokens(self.embed(pixels).flatten(2).mT)
        return tokens
