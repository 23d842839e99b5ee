"""A transform that is read does with a picture what it does itself; what is not understood is refused by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import open_clip
import pytest
import skimage.data
import timm
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms as v1
from torchvision.transforms import InterpolationMode, v2

from encoders import EncoderError, load

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def timm_transform(**changes: object) -> Callable[[Image.Image], Tensor]:
    config = timm.data.resolve_data_config({}, model=timm.create_model("test_vit"))
    transform: Callable[[Image.Image], Tensor] = timm.data.create_transform(**{**config, **changes})
    return transform


READ = {
    "v1": lambda: v1.Compose([v1.Resize(72), v1.CenterCrop(64), v1.ToTensor(), v1.Normalize(MEAN, STD)]),
    "v1, squeezed": lambda: v1.Compose([v1.Resize((48, 64)), v1.ToTensor(), v1.Normalize(MEAN, STD)]),
    "v1, squeezed, then cropped": lambda: v1.Compose([v1.Resize((70, 90)), v1.CenterCrop((64, 80)), v1.ToTensor()]),
    "v1, bicubic, whole numbers first": lambda: v1.Compose(
        [
            v1.PILToTensor(),
            v1.Resize(72, interpolation=InterpolationMode.BICUBIC),
            v1.CenterCrop(64),
            v1.ConvertImageDtype(torch.float32),
            v1.Normalize([0.5], [0.25]),
        ]
    ),
    "v1, nearest": lambda: v1.Compose(
        [v1.Resize(72, interpolation=InterpolationMode.NEAREST), v1.CenterCrop(64), v1.ToTensor()]
    ),
    "v1, grey": lambda: v1.Compose([v1.Grayscale(), v1.Resize((64, 64)), v1.ToTensor(), v1.Normalize([0.4], [0.3])]),
    "v2": lambda: v2.Compose(
        [
            v2.ToImage(),
            v2.RGB(),
            v2.Resize([72], antialias=True),
            v2.CenterCrop([64, 64]),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(list(MEAN), list(STD)),
        ]
    ),
    "nested": lambda: v2.Compose([v2.Compose([v2.Resize((64, 64)), nn.Identity()]), v1.ToTensor()]),
    "a list": lambda: [v1.Resize((64, 64)), v1.ToTensor()],
    "of torchvision's weights": lambda: torchvision.models.ResNet18_Weights.DEFAULT.transforms(),
    "of other weights": lambda: torchvision.models.Swin_T_Weights.DEFAULT.transforms(),
    "timm": timm_transform,
    "timm, squashed": lambda: timm_transform(crop_mode="squash", crop_pct=0.9),
    "open_clip": lambda: open_clip.image_transform(64, is_train=False),
}


def small_network(channels: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(channels, 16, 5, 2),
            nn.Tanh(),
            nn.Conv2d(16, 16, 5, 2),
            nn.Tanh(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        ).eval()


@pytest.mark.parametrize("name", READ)
def test_the_encoder_does_what_the_transform_and_the_module_do_with_a_photograph(name: str) -> None:
    """Up to rounding to 8 bits: the transform resizes PIL images, the encoder floats."""
    transform, network = READ[name](), small_network(1 if "grey" in name else 3)
    run = v2.Compose(transform) if isinstance(transform, list) else transform
    photograph = skimage.data.astronaut()[:400, 30:]
    pixels = torch.from_numpy(photograph.transpose(2, 0, 1).astype(np.float32) / 255)[None]
    if "grey" in name:
        pixels = (pixels * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)

    encoder = load(network, transform=transform, device="cpu")

    with torch.no_grad():
        expected = network(run(Image.fromarray(photograph))[None])
    got = encoder(pixels)
    assert float(nn.functional.cosine_similarity(got, expected)) >= 0.9999
    torch.testing.assert_close(got, expected, rtol=0, atol=0.02 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (
            v1.Compose([v1.RandomResizedCrop(64), v1.ToTensor()]),
            r"the step RandomResizedCrop\(.*\), which is random, of training: take the evaluation transform",
        ),
        (v2.Compose([v2.RandomApply([v2.Resize((9, 9))])]), r"step RandomApply\(.*\), which is random"),
        (v2.Compose([v2.ColorJitter(0.1)]), r"step ColorJitter\(.*\), which is random"),
        (timm_transform(is_training=True), r"step RandomResizedCropAndInterpolation\(.*\), which is random"),
        (v1.Compose([v1.Lambda(lambda x: x)]), r"the step Lambda\(\), which is not understood: say size=, mean= and"),
        (v1.Compose([lambda x: x]), "the step <lambda>, which is not understood"),
        (v1.Compose([v1.Pad(3)]), r"the step Pad\(.*\), which is not understood"),
        (
            v1.Compose([v1.Resize(64), v1.ToTensor()]),
            "resizes the shorter side to 64 px and crops nothing, .*CenterCrop",
        ),
        (v1.Compose([v1.CenterCrop(64), v1.ToTensor()]), r"CenterCrop\(.*\), which crops a picture of any size"),
        (v1.Compose([v1.Resize((9, 9)), v1.Resize((5, 5))]), "comes after another resize"),
        (v1.Compose([v1.Resize(64, max_size=80)]), "bounds the longer side"),
        (
            v1.Compose([v1.Resize((9, 9), interpolation=InterpolationMode.LANCZOS)]),
            "interpolates by lanczos; known are bilinear, bicubic, nearest",
        ),
        (
            v1.Compose([v1.ToTensor(), v1.Resize((9, 9), antialias=False)]),
            "without antialiasing: put it before ToTensor",
        ),
        (
            v1.Compose([v1.ToTensor(), v1.Resize((9, 9), interpolation=InterpolationMode.NEAREST)]),
            "without antialiasing",
        ),
        (v1.Compose([v1.Resize((9, 9)), v1.PILToTensor()]), "leaves pixels from 0 to 255"),
        (v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32)]), r"does not bring pixels to \[0, 1\]: .*scale=True"),
        (v1.Compose([v1.ToTensor(), v1.Normalize(MEAN, STD), v1.CenterCrop(9)]), "comes after Normalize"),
        (v1.Compose([v1.Grayscale(3)]), "makes three grey channels"),
        (v1.Compose([v1.Resize(64), v1.CenterCrop(80)]), r"resize must be at least size, here \(80, 80\); got 64"),
        ("resize", "the step resize, which is not understood"),
        (v1.Resize, "the step Resize, which is not understood"),
    ],
)
def test_a_step_that_is_random_or_not_understood_is_refused_in_one_line(transform: object, message: str) -> None:
    with pytest.raises(EncoderError, match=message) as caught:
        load(small_network(3), transform=transform)

    assert "\n" not in str(caught.value)


def test_a_class_of_another_library_with_a_known_name_is_not_taken_for_torchvisions() -> None:
    class Resize:
        size, interpolation = 64, "bilinear"

    with pytest.raises(EncoderError, match=r"Resize.* which is not understood"):
        load(small_network(3), transform=[Resize()])


def test_what_the_transform_says_cannot_be_said_twice() -> None:
    with pytest.raises(EncoderError, match="transform says how pictures are prepared; got size too: leave one out"):
        load(small_network(3), transform=READ["v1"](), size=64)


def test_a_transform_to_grey_is_not_given_colour() -> None:
    with pytest.raises(EncoderError, match="transform makes 1 channels; got channels=3: leave one out"):
        load(small_network(3), transform=READ["v1, grey"](), channels=3)


@pytest.mark.parametrize(("step", "channels"), [(v1.Grayscale(), 1), (v2.RGB(), 3), (v1.ToTensor(), None)])
def test_a_transform_that_makes_grey_or_colour_says_the_number_of_channels(step: object, channels: int | None) -> None:
    assert load(lambda pixels: pixels.mean((2, 3)), transform=[step]).channels == channels
