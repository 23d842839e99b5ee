"""How much the embedding hangs on a channel is the fall of its cosine, by hand, exactly and to leading order."""

import numpy as np
import pytest
import torch
from torch import nn

from encoders.trace import layers
from relax.inside.effects import ablation_effects, gradient_effects
from tests.relax.inside.networks import SIDE, OneChannel, Planted, loaded

VIEW = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))


def layer_of(encoder, name):
    return next(layer for layer in layers(encoder, VIEW) if layer.name == name)


def cosine(a, b):
    return float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))


def test_one_channel_alone_makes_the_embedding():
    """The embedding is (1, largest of channel 2): without the channel's places, (1, its mean)."""
    network = OneChannel()
    encoder = loaded(network)
    with torch.no_grad():
        channel = network.conv(VIEW)[0, 2]
    largest, mean = float(channel.max()), float(channel.mean())
    layer = layer_of(encoder, "conv")

    exact = ablation_effects(encoder, VIEW, layer)
    cheap = gradient_effects(encoder, VIEW, [layer])["conv"]

    fall = 1 - cosine((1, largest), (1, mean))
    np.testing.assert_allclose(exact.values, [0, 0, fall, 0], atol=1e-6)
    # To leading order: the change (0, mean - largest), of which 1 / (1 + largest^2) is across the embedding.
    leading = (mean - largest) ** 2 / (1 + largest**2) / (2 * (1 + largest**2))
    np.testing.assert_allclose(cheap.values, [0, 0, leading, 0], rtol=1e-4, atol=1e-9)
    assert exact.reset == cheap.reset == "mean"


class Averaged(nn.Module):
    """The mean over the cells of a map of 40 channels: their means change nothing."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.conv = nn.Conv2d(3, 40, 8, 8)

    def forward(self, pixels):
        return self.conv(pixels).mean((2, 3))


def test_where_only_the_mean_goes_on_a_channel_is_set_to_zero():
    """Without number d of an embedding e, the cosine is the root of 1 - e_d^2 / |e|^2."""
    encoder = loaded(Averaged())
    embedding = encoder.embed(VIEW)[0].double().numpy()
    layer = layer_of(encoder, "conv")

    exact = ablation_effects(encoder, VIEW, layer)
    cheap = gradient_effects(encoder, VIEW, [layer], seed=0)["conv"]

    shares = embedding**2 / (embedding**2).sum()
    np.testing.assert_allclose(exact.values, 1 - np.sqrt(1 - shares), atol=2e-6)
    # To leading order e_d^2 (1 - e_d^2 / |e|^2) / (2 |e|^2), with an error of the root of 2 / 16 from 16 directions.
    expected = shares * (1 - shares) / 2
    assert np.median(np.abs(cheap.values / expected - 1)) < (2 / 16) ** 0.5
    assert np.abs(cheap.values.sum() / expected.sum() - 1) < 0.3
    assert exact.reset == cheap.reset == "zero"


def test_in_a_block_of_tokens_cells_are_reset_and_behind_the_last_one_the_class_token_too():
    """The embedding is the class token of the last block, so there only that token counts."""
    encoder = loaded(Planted())
    embedding = encoder.embed(VIEW)[0].double().numpy()
    first, last = layer_of(encoder, "blocks.0"), layer_of(encoder, "blocks.1")

    cheap = gradient_effects(encoder, VIEW, [first, last])

    shares = embedding**2 / (embedding**2).sum()
    np.testing.assert_allclose(cheap["blocks.1"].values, shares * (1 - shares) / 2, rtol=1e-3)
    np.testing.assert_allclose(ablation_effects(encoder, VIEW, last).values, 1 - np.sqrt(1 - shares), atol=2e-6)
    assert [cheap[name].reset for name in ("blocks.0", "blocks.1")] == ["mean", "zero"]
    assert cheap["blocks.0"].values.max() > 0


def test_channels_last_are_channels():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 5, 3, 2, 1)
            self.last = nn.LayerNorm(5)

        def forward(self, pixels):
            return self.last(self.conv(pixels).permute(0, 2, 3, 1)).amax((1, 2))

    torch.manual_seed(0)
    encoder = loaded(Last())
    layer = layer_of(encoder, "last")
    assert layer.layout == "map with channels last"

    exact = ablation_effects(encoder, VIEW, layer)

    with torch.no_grad():
        cells = encoder.network.last(encoder.network.conv(VIEW).permute(0, 2, 3, 1))[0].flatten(0, 1).double().numpy()
    whole = cells.max(0)
    for channel in range(5):
        changed = whole.copy()
        changed[channel] = cells[:, channel].mean()
        assert exact.values[channel] == pytest.approx(1 - cosine(whole, changed), abs=2e-6)


def test_a_network_without_gradients_is_told_the_way_out():
    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, pixels):
            return self.conv(pixels).mean((2, 3)).detach()

    encoder = loaded(Detached())

    with pytest.raises(ValueError, match=r"effect='gradient' needs gradients, .* choose 'ablation' or 'none'"):
        gradient_effects(encoder, VIEW, [layer_of(encoder, "conv")])
