"""The bundled network is timm's `resnet18d` at half width, number for number, without timm."""

import pytest
import timm
import torch

from encoders import EncoderError, load
from encoders.bundled import bundled_card, bundled_network
from encoders.layers import settings_of


@pytest.fixture(scope="module")
def of_timm() -> torch.nn.Module:
    card = bundled_card()
    network: torch.nn.Module = timm.create_model(card["arch"], num_classes=0, **card["arch_args"])
    network.load_state_dict(bundled_network(pretrained=True).state_dict())
    return network.eval()


@pytest.mark.parametrize("size", [(96, 96), (65, 97)])
def test_its_vectors_are_those_of_timm_bit_for_bit(of_timm: torch.nn.Module, size: tuple[int, int]) -> None:
    pixels = torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(0))

    with torch.no_grad():
        assert torch.equal(bundled_network(pretrained=True).eval()(pixels), of_timm(pixels))


def test_what_tells_it_from_others_is_that_of_timm(of_timm: torch.nn.Module) -> None:
    """Archives made through timm's network are searched through this one, and layers keep their names."""
    network = bundled_network(pretrained=True)
    names = {name for name, module in of_timm.named_modules() if not isinstance(module, torch.nn.Identity)}

    assert settings_of(network) == settings_of(of_timm)
    assert {name for name, _ in network.named_modules()} >= {name for name in names if "flatten" not in name} - {
        "global_pool.pool"
    }


def test_it_has_no_class_token_and_means_are_what_it_gives() -> None:
    pixels = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))

    with pytest.raises(EncoderError, match='pooling="cls" needs a class token'):
        load("default", pooling="cls")
    assert torch.equal(load("default", "cpu", pooling="mean")(pixels), load("default", "cpu")(pixels))
