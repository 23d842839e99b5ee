"""Encoders of volumes: told by their size or first convolution, brought to size as a whole, normalised, pooled."""

import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from encoders import EncoderError, load
from encoders.volumes import VolumePreprocess


class Small(nn.Module):
    """A convolution over three axes; feature maps are averaged by the encoder."""

    def __init__(self, channels=1):
        super().__init__()
        self.first = nn.Conv3d(channels, 3, 3, stride=2)

    def forward(self, volumes):
        return self.first(volumes)


def volumes(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_a_module_of_volumes_is_told_by_its_first_convolution_and_a_function_by_its_size():
    module = load(Small(2))
    function = load(lambda pixels: pixels.mean((3, 4)).flatten(1), size=(4, 5, 6))
    cube = load(Small(), size=8)

    assert (module.takes_volumes, module.channels, module.preprocess.shape) == (True, 2, None)
    assert (function.takes_volumes, function.preprocess.shape) == (True, (4, 5, 6))
    assert cube.preprocess.shape == (8, 8, 8)
    assert not load(Small(), size=(8, 8)).takes_volumes  # a pair says pictures, whatever the layers
    assert not load(nn.Sequential(nn.Conv2d(3, 4, 3))).takes_volumes
    assert repr(function).startswith("Encoder('<lambda>', volumes of 4 x 5 x 6 voxels")
    assert function.seed is None


def test_embeddings_are_the_means_of_the_maps_of_normalised_volumes():
    network, pixels = Small(2).eval(), volumes(3, 2, 7, 8, 9)
    encoder = load(network, mean=(0.2, 0.4), std=(0.5, 0.25))

    embedding = encoder(pixels)

    normalised = torch.stack([(pixels[:, 0] - 0.2) / 0.5, (pixels[:, 1] - 0.4) / 0.25], 1)
    torch.testing.assert_close(embedding, network(normalised).mean((2, 3, 4)).detach())
    assert encoder.mean == (0.2, 0.4)


def test_a_volume_is_brought_to_size_along_all_axes_with_antialiasing():
    """Enlarged it is torch's trilinear volume; reduced to a third, a ramp keeps its mean at every centre."""
    small = volumes(2, 1, 4, 5, 6)
    larger = VolumePreprocess.of((9, 8, 7)).view(small)
    ramp = torch.linspace(0, 1, 30)[None, None, :, None, None].expand(1, 1, 30, 3, 3)

    reduced = VolumePreprocess.of((10, 3, 3)).view(ramp)

    expected = F.interpolate(small, (9, 8, 7), mode="trilinear", align_corners=False)
    torch.testing.assert_close(larger, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(reduced[0, 0, 1:-1, 1, 1], ramp[0, 0, 4:-4:3, 0, 0], atol=1e-5, rtol=0)
    stripes = (torch.arange(30) % 2).float()[None, None, :, None, None].expand(1, 1, 30, 3, 3)
    assert (VolumePreprocess.of((5, 3, 3)).view(stripes) - 0.5).abs().max() < 0.1  # not every sixth of them
    assert VolumePreprocess.of((4, 5, 6)).view(small) is small


def test_what_is_for_pictures_is_refused():
    picture, volume = torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 16, 16, 16)
    for refused, message in [
        (lambda: load(Small())(picture), "pixels must be volumes (B, C, D, H, W), which encoder 'Small' takes; got"),
        (
            lambda: load(lambda pixels: pixels.mean((2, 3)))(volume),
            "pixels must be pictures (B, C, H, W), which encoder '<lambda>' takes; got volumes (1, 1, 16, 16, 16)",
        ),
        (lambda: load(Small(), size=8, resize=10), "resize is for pictures"),
        (lambda: load(Small(), size=0), "size must be pixels, a whole number or three (depth, height, width); got 0"),
        (lambda: load(Small(), size=(8, 8, 8, 8)), "size must be pixels, a whole number or a pair (height, width); g"),
        (lambda: load(Small(), transform=lambda x: x), "transform is for pictures: say size, mean and std of volumes"),
        (lambda: load(Small(), size=8, view="pad"), 'view must be "auto" or "squash" for volumes'),
        (
            lambda: load(Small(), size=8).embed(volume),
            "view must be (B, 1, 8, 8, 8) for encoder 'Small'; got (1, 1, 16",
        ),
        (lambda: load(Small(), size=4, pooling="cls")(volume), "returned (1, 3, 1, 1, 1); expected (1, D), one vector"),
    ]:
        with pytest.raises(EncoderError, match=re.escape(message)):
            refused()


def test_an_entry_of_a_local_folder_may_take_volumes(tmp_path):
    (tmp_path / "hubconf.py").write_text(
        "import torch\n\ndef net():\n    torch.manual_seed(0)\n    return torch.nn.Conv3d(1, 2, 3)\n"
    )

    encoder = load(f"hub:{tmp_path}:net?size=4x5x6&mean=0.5&std=0.25")

    assert (encoder.takes_volumes, encoder.channels) == (True, 1)
    assert encoder.preprocess == VolumePreprocess.of((4, 5, 6), (0.5,), (0.25,))
    for items, message in [("size=4x5", "size of volumes must be voxels"), ("size=8&resize=9", "resize is for")]:
        with pytest.raises(EncoderError, match=message):
            load(f"hub:{tmp_path}:net?{items}")
