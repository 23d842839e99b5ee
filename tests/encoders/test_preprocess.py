"""The preprocessing is the one the weights were made for, and says truly which part of the image is seen."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import timm
import torch
import torchvision
from PIL import Image
from timm.data import create_transform, resolve_data_config
from torch import Tensor

from encoders import EncoderError, Preprocess, load
from encoders.networks import timm_preprocess


def as_pixels(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None] / 255


def normalised(spec: str, picture: np.ndarray) -> tuple[Tensor, Tensor]:
    """What the network is fed, and the std in 8-bit steps: PIL's rounding happens in these."""
    encoder = load(spec, device="cpu")
    assert encoder.preprocess.std is not None
    step = 1 / 255 / torch.tensor(encoder.preprocess.std).view(3, 1, 1)
    return encoder.preprocess.normalise(encoder.view(as_pixels(picture)))[0], step


def assert_within_pil_rounding(ours: Tensor, theirs: Tensor, step: Tensor) -> None:
    """PIL rounds to 8 bits after each of its two passes: up to 1/2 step, enlarged by the second pass, plus 1/2.

    Bicubic weights add up to at most 1.3 in size, so 1.2 steps; the clipping between the passes is PIL's alone.
    """
    difference = (ours - theirs).abs() / step
    assert ours.shape == theirs.shape
    assert float(difference.mean()) < 0.5
    assert float(difference.max()) < 2.5


PICTURES = {
    "wide": lambda: skimage.data.chelsea(),  # 300 x 451
    "tall": lambda: np.ascontiguousarray(skimage.data.chelsea().transpose(1, 0, 2)),
    "small": lambda: np.ascontiguousarray(skimage.data.chelsea()[100:190, 150:271]),  # 90 x 121: enlarged
}


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "resnet18d"])
def test_timm_networks_are_fed_what_timms_own_transform_gives(name: str, picture: str) -> None:
    network = timm.create_model(name, num_classes=0)
    theirs = create_transform(**resolve_data_config({}, model=network))(Image.fromarray(PICTURES[picture]()))

    ours, step = normalised(f"random:timm:{name}", PICTURES[picture]())

    assert_within_pil_rounding(ours, theirs, step)


@pytest.mark.parametrize("picture", PICTURES)
def test_torchvision_networks_are_fed_what_their_weights_transforms_give(picture: str) -> None:
    weights = torchvision.models.get_model_weights("resnet18").DEFAULT
    theirs = weights.transforms()(Image.fromarray(PICTURES[picture]()))

    ours, step = normalised("random:torchvision:resnet18", PICTURES[picture]())

    assert_within_pil_rounding(ours, theirs, step)


def test_a_squash_network_sees_the_whole_image_squeezed() -> None:
    """SigLIP is evaluated so; its crop_pct 0.9 would then cut a border off on every side."""
    config = resolve_data_config({}, pretrained_cfg={"input_size": (3, 32, 32), "crop_pct": 0.9, "crop_mode": "squash"})
    theirs = create_transform(**config)(Image.fromarray(PICTURES["wide"]()))

    preprocess = timm_preprocess("x", config)
    ours = preprocess.normalise(preprocess.view(as_pixels(PICTURES["wide"]())))[0]

    assert_within_pil_rounding(ours, theirs, 1 / 255 / torch.tensor(preprocess.std).view(3, 1, 1))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
def test_the_view_stays_in_zero_to_one_even_where_bicubic_overshoots(interpolation: str) -> None:
    squares = torch.zeros(1, 3, 40, 40)
    squares[..., 10:30, 10:30] = 1

    for size in (7, 23, 97):
        view = Preprocess(size=(size, size), interpolation=interpolation).view(squares)

        assert view.shape == (1, 3, size, size)
        assert float(view.min()) == 0
        assert 1 - 1e-6 < float(view.max()) <= 1


def test_enlarging_by_nearest_repeats_pixels() -> None:
    pixels = torch.tensor([[[[0.1, 0.2], [0.3, 0.4]]]])

    view = Preprocess(size=(4, 4), interpolation="nearest").view(pixels)

    assert torch.equal(view, pixels.repeat_interleave(2, 2).repeat_interleave(2, 3))


@pytest.mark.parametrize("size", [(40, 40), (7, 90), (1, 95), (33, 5)])
def test_nearest_takes_the_pixels_that_pil_takes(size: tuple[int, int]) -> None:
    """96 to 40 has steps of 2.4, of which the third ends on the border of two pixels."""
    levels = np.random.default_rng(0).integers(256, size=(80, 96), dtype=np.uint8)

    view = Preprocess(size=size, interpolation="nearest").view(torch.from_numpy(levels)[None, None] / 255)

    expected = Image.fromarray(levels).resize(size[::-1], Image.Resampling.NEAREST)
    assert torch.equal(view[0, 0], torch.from_numpy(np.array(expected)) / 255)


def test_shrinking_to_half_averages_what_the_triangle_weighs() -> None:
    """Antialiased bilinear at half size weighs four pixels 1, 3, 3, 1 and at the border 3, 3, 1 (by hand)."""
    row = torch.tensor([8.0, 16, 24, 32, 40, 48, 56, 64]) / 64

    view = Preprocess(size=(1, 4)).view(row.view(1, 1, 1, 8))

    expected = [
        (3 * 8 + 3 * 16 + 24) / 7,
        (16 + 72 + 96 + 40) / 8,
        (32 + 120 + 144 + 56) / 8,
        (48 + 3 * 56 + 3 * 64) / 7,
    ]
    torch.testing.assert_close(view.flatten() * 64, torch.tensor(expected))


def test_pixels_that_have_the_size_already_are_not_touched() -> None:
    pixels = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    assert torch.equal(Preprocess(size=(16, 16), interpolation="bicubic").view(pixels), pixels)
    assert torch.equal(Preprocess().view(pixels), pixels)


def test_the_seen_part_is_worked_out_by_hand() -> None:
    """60 x 120 px, shorter side to 30, crop of 20: rows 5 to 25 of 30, columns 20 to 40 of 60, times two."""
    cropped = Preprocess(size=(20, 20), resize=30)

    assert cropped.seen(60, 120) == (10.0, 40.0, 50.0, 80.0)
    assert cropped.seen(120, 60) == (40.0, 10.0, 80.0, 50.0)
    assert Preprocess(size=(20, 20)).seen(60, 120) == (0.0, 0.0, 60.0, 120.0)
    assert Preprocess(size=(20, 20), resize=(25, 40)).seen(100, 200) == (8.0, 50.0, 88.0, 150.0)
    assert Preprocess().seen(60, 120) == (0.0, 0.0, 60.0, 120.0)


def test_a_crop_that_cannot_be_in_the_middle_is_rounded_as_the_library_does() -> None:
    """20 of 23 columns leave 1.5 on either side: 2 on the left for torchvision, 1 for transformers."""
    assert Preprocess(size=(20, 20), resize=(20, 23)).seen(20, 23) == (0, 2, 20, 22)
    assert Preprocess(size=(20, 20), resize=(20, 23), rounded_down=True).seen(20, 23) == (0, 1, 20, 21)


@pytest.mark.parametrize("shape", [(60, 120), (121, 75), (33, 34)])
def test_changing_what_is_not_seen_does_not_change_the_view(shape: tuple[int, int]) -> None:
    preprocess = Preprocess(size=(20, 20), resize=26, interpolation="nearest")
    pixels = torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(0))
    top, left, bottom, right = preprocess.seen(*shape)
    rows, columns = torch.arange(shape[0]) + 0.5, torch.arange(shape[1]) + 0.5
    inside = ((rows > top) & (rows < bottom))[:, None] & ((columns > left) & (columns < right))

    outside_changed = torch.where(inside, pixels, 1 - pixels)

    assert not inside.all()
    assert torch.equal(preprocess.view(outside_changed), preprocess.view(pixels))
    assert not torch.equal(preprocess.view(torch.where(inside, 1 - pixels, pixels)), preprocess.view(pixels))


def test_the_mean_colour_becomes_exactly_zero_and_one_std_more_becomes_one() -> None:
    preprocess = Preprocess(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    mean = torch.tensor(preprocess.mean).view(1, 3, 1, 1)

    assert torch.equal(preprocess.normalise(mean), torch.zeros(1, 3, 1, 1))
    one_deviation = preprocess.normalise(mean + torch.tensor(preprocess.std).view(1, 3, 1, 1))
    torch.testing.assert_close(one_deviation, torch.ones(1, 3, 1, 1))


def test_normalising_does_not_write_into_its_input_and_lets_gradients_through() -> None:
    preprocess = Preprocess(mean=(0.5,), std=(0.25,))
    with torch.inference_mode():
        preprocess.normalise(torch.rand(1, 1, 2, 2))  # fills the cache of the statistics
    pixels = torch.full((1, 1, 2, 2), 0.75, requires_grad=True)

    preprocess.normalise(pixels).sum().backward()

    assert torch.equal(pixels.detach(), torch.full((1, 1, 2, 2), 0.75))
    assert torch.equal(pixels.grad, torch.full((1, 1, 2, 2), 4.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"interpolation": "lanczos"}, "interpolation must be one of bilinear, bicubic, nearest; got 'lanczos'"),
        ({"mean": (0.5,)}, "mean and std must come together"),
        ({"mean": (0.5,), "std": (0.5, 0.5)}, "mean and std must come together"),
        ({"mean": (123.7,), "std": (58.0,)}, "mean must be of pixels in .*; got 123.7: divide mean and std by 255"),
        ({"mean": (0.5,), "std": (0.0,)}, "std must be above 0 in every channel"),
        ({"mean": (float("nan"),), "std": (0.5,)}, "mean and std must be finite numbers"),
        ({"mean": (0.5,), "std": (float("inf"),)}, "mean and std must be finite numbers"),
        ({"size": (0, 4)}, "size must be at least 1 x 1 px"),
        ({"size": (32, 32), "resize": 31}, r"resize must be at least size, here \(32, 32\); got 31"),
        ({"resize": 31}, "resize must be at least size"),
    ],
)
def test_numbers_that_cannot_belong_together_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        Preprocess(**arguments)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("size", [(224, 224), (64, 500)])
def test_8_bit_networks_see_exactly_what_pil_resizes(interpolation: str, size: tuple[int, int]) -> None:
    picture = skimage.data.chelsea()

    view = Preprocess(size=size, interpolation=interpolation, eight_bit=True).view(
        torch.from_numpy(picture.copy()).permute(2, 0, 1)[None] / 255
    )

    theirs = Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling[interpolation.upper()])
    assert np.array_equal(view[0].permute(1, 2, 0).numpy(), np.asarray(theirs, dtype=np.float32) / 255)


def test_8_bit_networks_normalise_by_themselves() -> None:
    pixels = torch.rand(1, 1, 2, 2)

    for std in ((0.25,), None):
        preprocess = Preprocess(mean=(0.5,), std=std, eight_bit=True)
        assert torch.equal(preprocess.normalise(pixels), pixels)


def test_pixels_that_8_bits_cannot_hold_are_refused_instead_of_wrapped() -> None:
    with pytest.raises(EncoderError, match=r"8-bit pictures; got 0 to 2$"):
        Preprocess(size=(2, 2), eight_bit=True).view(torch.linspace(0, 2, 9).view(1, 1, 3, 3))
