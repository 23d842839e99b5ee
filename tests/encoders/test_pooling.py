"""Vectors, feature maps and tokens are pooled as the definition says, and what does not fit is refused in one line."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn

from encoders import EncoderError, load


def returning(features: Tensor) -> nn.Module:
    """A module that answers any batch with these features."""

    class Answer(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            return features[: len(pixels)]

    return Answer()


TOKENS = torch.arange(2 * 4 * 3).view(2, 4, 3).float()
PIXELS = torch.zeros(2, 3, 8, 8)


def test_feature_maps_are_averaged_over_their_area() -> None:
    maps = torch.tensor([[[[1.0, 3], [5, 7]], [[0, 0], [0, 8]]], [[[2, 2], [2, 2]], [[1, 1], [3, 3]]]])

    for pooling in ("auto", "mean"):
        assert load(returning(maps), pooling=pooling)(PIXELS).tolist() == [[4, 2], [2, 2]]


@pytest.mark.parametrize("pooling", ["auto", "mean"])
def test_maps_with_channels_last_are_averaged_over_their_cells(pooling: str) -> None:
    """As a Swin gives them: 3 x 5 cells, about square in pictures of 24 x 40 px, of 6 channels."""
    maps = torch.arange(2 * 3 * 5 * 6).view(2, 3, 5, 6).float()
    pixels = torch.zeros(2, 3, 24, 40)

    assert torch.equal(load(returning(maps), pooling=pooling)(pixels).cpu(), maps.mean((1, 2)))
    first = maps.permute(0, 3, 1, 2)
    assert torch.equal(load(returning(first), pooling=pooling)(pixels).cpu(), maps.mean((1, 2)))


def test_a_network_of_timm_says_where_its_channels_are() -> None:
    """2 x 2 cells of 2 channels tell nothing; timm's networks with channels last say so."""
    maps = torch.arange(16.0).view(2, 2, 2, 2)
    module = returning(maps)
    module.output_fmt = "NHWC"

    assert torch.equal(load(module)(PIXELS).cpu(), maps.mean((1, 2)))
    assert torch.equal(load(returning(maps))(PIXELS).cpu(), maps.mean((2, 3)))


def test_cls_takes_token_zero_and_mean_takes_all_tokens_of_a_module_without_prefix() -> None:
    assert torch.equal(load(returning(TOKENS), pooling="cls")(PIXELS).cpu(), TOKENS[:, 0])
    assert torch.equal(load(returning(TOKENS), pooling="mean")(PIXELS).cpu(), TOKENS.mean(1))


def test_mean_leaves_out_as_many_prefix_tokens_as_the_module_says() -> None:
    module = returning(TOKENS)
    module.num_prefix_tokens = 2

    assert torch.equal(load(module, pooling="mean")(PIXELS).cpu(), TOKENS[:, 2:].mean(1))


def test_tokens_without_a_choice_are_refused_and_the_way_out_is_named() -> None:
    with pytest.raises(
        EncoderError,
        match=r"encoder 'Answer' returned \(2, 4, 3\); expected \(2, D\), one vector per image: "
        r'choose pooling="cls" or "mean"',
    ):
        load(returning(TOKENS))(PIXELS)


def test_a_class_token_of_feature_maps_is_refused() -> None:
    with pytest.raises(EncoderError, match='feature maps have no class token, choose pooling="mean"'):
        load(returning(torch.zeros(2, 4, 3, 3)), pooling="cls")(PIXELS)


@pytest.mark.parametrize("shape", [(2,), (1, 5), (2, 0), (2, 3, 4, 5, 6)])
def test_any_other_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(EncoderError, match=r"expected \(2, D\), one vector per image"):
        load(returning(torch.zeros(shape)))(PIXELS)


def test_what_is_no_tensor_is_refused() -> None:
    with pytest.raises(EncoderError, match="returned a set; expected a tensor"):
        load(lambda pixels: {pixels})(PIXELS)


# test_vit has a class token; test_vit3 has a register token, no class token, and pools by attention.
@pytest.mark.parametrize("name", ["test_vit", "test_vit3"])
def test_mean_of_a_timm_vit_is_the_mean_of_its_patch_tokens(name: str) -> None:
    encoder = load(f"random:timm:{name}", pooling="mean", device="cpu")
    view = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))

    with torch.no_grad():
        tokens = encoder.network.forward_features(encoder.preprocess.normalise(view))

    assert tokens.shape[1] == 1 + 10 * 10  # patches of 16 px
    torch.testing.assert_close(encoder.embed(view), tokens[:, 1:].mean(1))


def test_cls_of_a_timm_vit_is_its_class_token_and_its_own_pooling() -> None:
    view = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    cls, auto, mean = (load("random:timm:test_vit", pooling=p, device="cpu") for p in ("cls", "auto", "mean"))

    with torch.no_grad():
        tokens = cls.network.forward_features(cls.preprocess.normalise(view))

    torch.testing.assert_close(cls.embed(view), tokens[:, 0])
    torch.testing.assert_close(auto.embed(view), cls.embed(view))
    assert not torch.allclose(mean.embed(view), cls.embed(view))


def test_mean_of_a_timm_cnn_is_the_mean_of_its_feature_map() -> None:
    encoder = load("random:timm:test_resnet", pooling="mean", device="cpu")
    view = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))

    with torch.no_grad():
        maps = encoder.network.forward_features(encoder.preprocess.normalise(view))

    torch.testing.assert_close(encoder.embed(view), maps.mean((2, 3)))


@pytest.mark.parametrize(
    "name", ["test_vit", "test_vit2", "test_vit3", "test_vit4", "test_convnext", "test_efficientnet"]
)
def test_auto_is_what_timm_itself_returns_without_a_head(name: str) -> None:
    encoder = load(f"random:timm:{name}", device="cpu", seed=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        network = timm.create_model(name, num_classes=0).eval()
    view = torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(0))

    with torch.no_grad():
        expected = network((view - 0.5) / 0.5 if encoder.mean == (0.5,) * 3 else encoder.preprocess.normalise(view))

    torch.testing.assert_close(encoder.embed(view), expected)


@pytest.mark.parametrize(
    ("spec", "pooling", "message"),
    [
        ("random:timm:test_resnet", "cls", "needs a class token, which 'timm:test_resnet' has not"),
        ("random:timm:test_vit3", "cls", "needs a class token"),
        ("random:default", "cls", "needs a class token"),
        ("random:torchvision:resnet18", "cls", "pooling='cls' is not offered by 'torchvision:resnet18'"),
        ("random:torchvision:alexnet", "mean", "pooling='mean' is not offered by 'torchvision:alexnet'"),
        ("random:timm:test_vit", "max", "pooling must be one of auto, cls, mean; got 'max'"),
    ],
)
def test_a_pooling_that_a_network_does_not_have_is_refused(spec: str, pooling: str, message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        load(spec, pooling=pooling)
