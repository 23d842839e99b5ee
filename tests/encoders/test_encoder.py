"""An encoder says in one line what it cannot do, and its checksum tells its weights apart."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from encoders import Encoder, EncoderError, Preprocess, load


def linear() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load("random:default", device="cpu")


def test_a_view_of_another_size_is_refused_and_not_resized(encoder: Encoder) -> None:
    with pytest.raises(
        EncoderError,
        match=r"view must be \(B, 3, 96, 96\) for encoder 'random:default'; got \(2, 3, 32, 96\): "
        r"call encoder.view\(pixels\) first",
    ):
        encoder.embed(torch.zeros(2, 3, 32, 96))


def test_grey_pixels_are_refused_with_the_way_out(encoder: Encoder) -> None:
    with pytest.raises(EncoderError, match=r"got \(2, 1, 96, 96\): repeat the one channel 3 times"):
        encoder(torch.zeros(2, 1, 50, 50))


@pytest.mark.parametrize(
    ("pixels", "got"),
    [
        (torch.zeros(3, 64, 64), r"\(3, 64, 64\) torch.float32"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), r"\(1, 3, 64, 64\) torch.uint8"),
        (torch.zeros(0, 3, 64, 64), r"\(0, 3, 64, 64\)"),
        (torch.zeros(1, 3, 0, 64), r"\(1, 3, 0, 64\)"),
        ("cat.png", "str"),
    ],
)
def test_what_is_no_batch_of_pixels_is_refused(encoder: Encoder, pixels: Tensor, got: str) -> None:
    message = rf"must be a float tensor \(B, C, H, W\) in \[0, 1\] with B, C, H, W >= 1; got {got}"
    with pytest.raises(EncoderError, match="pixels " + message):
        encoder(pixels)
    with pytest.raises(EncoderError, match="view " + message):
        encoder.embed(pixels)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_one_bad_number_in_an_embedding_is_refused_and_the_encoder_named(bad: float) -> None:
    def half_broken(pixels: Tensor) -> Tensor:
        embedding = pixels.mean((2, 3))
        embedding[-1, -1] = bad
        return embedding

    with pytest.raises(EncoderError, match="encoder 'half_broken' must return finite embeddings; got NaN or infinity"):
        load(half_broken)(torch.ones(3, 3, 4, 4))


def test_very_large_embeddings_are_not_taken_for_infinite() -> None:
    assert load(lambda pixels: pixels.mean((2, 3)) * 3e38)(torch.ones(3, 3, 4, 4)).shape == (3, 3)


def test_a_network_that_fails_is_named_with_what_it_was_given() -> None:
    with pytest.raises(
        EncoderError, match=r"encoder 'Linear' failed on pixels of shape \(2, 3, 5, 5\) on cpu, .*mat1 and mat2"
    ):
        load(nn.Linear(7, 2), device="cpu")(torch.zeros(2, 3, 5, 5))


def test_a_function_of_which_nobody_said_the_channels_is_asked_for_them() -> None:
    grey = nn.Conv2d(1, 2, 3)

    with pytest.raises(EncoderError, match=r"got 3 channels instead: say channels= in load_encoder .* others than 3$"):
        load(lambda pixels: grey(pixels))(torch.zeros(1, 3, 5, 5))


def test_running_out_of_memory_is_left_to_the_caller() -> None:
    def hungry(pixels: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("no more")

    with pytest.raises(torch.OutOfMemoryError):
        load(hungry)(torch.zeros(1, 3, 4, 4))


def test_a_module_in_double_precision_gets_doubles_and_still_answers_in_float32() -> None:
    module = linear().double()

    assert load(module, device="cpu")(torch.rand(2, 3, 4, 4)).dtype == torch.float32


def test_equal_weights_have_equal_checksums_and_any_change_shows() -> None:
    module = linear()
    checksum = load(module, device="cpu").checksum

    assert load(module, device="cpu", pooling="mean").checksum == checksum
    with torch.no_grad():
        module[2].bias[0] += 1e-6
    assert load(module, device="cpu").checksum != checksum
    assert load(module.half(), device="cpu").checksum != checksum
    assert load(lambda pixels: pixels).checksum is None


def test_the_seed_decides_random_weights() -> None:
    first, same, other = (load("random:timm:test_vit", device="cpu", seed=seed) for seed in (1, 1, 2))

    assert first.checksum == same.checksum
    assert first.checksum != other.checksum


def test_an_encoder_says_what_it_is() -> None:
    encoder = load("random:timm:test_vit", device="cpu")

    assert encoder.name == "random:timm:test_vit"
    assert encoder.mean == (0.5, 0.5, 0.5)
    assert encoder.channels == 3
    assert encoder.pooling == "auto"
    assert encoder.report is None
    assert repr(encoder) == "Encoder('random:timm:test_vit', 160 x 160 px, pooling='auto', device='cpu')"


def test_plain_modules_and_functions_are_named_after_themselves_and_normalise_nothing() -> None:
    def brightness(pixels: Tensor) -> Tensor:
        return pixels.mean((1, 2, 3))[:, None]

    for spec, name in ((linear(), "Sequential"), (brightness, "brightness")):
        encoder = load(spec, device="cpu")

        assert encoder.name == name
        assert encoder.preprocess == Preprocess()
        assert encoder.mean is None
        assert encoder.channels is None
    assert load(brightness).network is brightness


def test_moving_to_the_same_device_gives_the_same_encoder() -> None:
    encoder = load(linear(), device="cpu")

    assert encoder.to("cpu") is encoder
    assert encoder.to(torch.device("cpu")) is encoder


def test_moving_to_another_device_gives_a_copy_and_leaves_the_encoder_where_it_is() -> None:
    """meta is the one other device that every machine has."""
    encoder = load("random:timm:test_vit", device="cpu")

    moved = encoder.to("meta")

    assert moved.device == torch.device("meta")
    assert all(parameter.is_meta for parameter in moved.network.parameters())
    assert not any(parameter.is_meta for parameter in encoder.network.parameters())
    assert (moved.name, moved.preprocess, moved.channels) == (encoder.name, encoder.preprocess, encoder.channels)
    assert load(encoder, device="meta").device == torch.device("meta")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_gives_the_same_embedding_and_two_names_of_it_are_one_device() -> None:
    on_cpu = load("random:default", device="cpu")
    pixels = torch.rand(3, 3, 50, 70, generator=torch.Generator().manual_seed(0))

    on_gpu = on_cpu.to("cuda")

    assert on_gpu.to("cuda:0") is on_gpu
    assert on_gpu.checksum == on_cpu.checksum
    torch.testing.assert_close(on_gpu(pixels).cpu(), on_cpu(pixels), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(
        EncoderError, match=f"device must be one that torch finds here; got '{device}' .*: use 'cpu' or 'auto'"
    ):
        load("random:timm:test_vit", device=device)


def test_a_module_that_cannot_be_copied_is_refused_with_the_way_out() -> None:
    module = linear()
    module.kept = torch.ones(2, requires_grad=True) * 2  # no leaf: torch refuses to copy it

    with pytest.raises(EncoderError, match=r"encoder 'Sequential' cannot be copied .*: pass a function that calls it"):
        load(module)
