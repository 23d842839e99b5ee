"""A repaired encoder is the encoder without its directions, by whatever name it is loaded."""

import pytest
import torch
from safetensors.torch import save_file

import encoders
from encoders import EncoderError
from encoders.identity import differences, identity
from encoders.repaired import Directions, repaired, without
from encoders.trace import layers


@pytest.fixture
def directions():
    values = torch.linalg.qr(torch.randn(256, 2, generator=torch.Generator().manual_seed(0)))[0].mT.contiguous()
    return values


@pytest.fixture
def picture():
    return torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))


def test_the_part_along_a_direction_is_taken_out():
    vectors = torch.tensor([[3.0, 4.0]])

    assert without(vectors, torch.tensor([[0.6, 0.8]])).tolist()[0] == pytest.approx([0, 0], abs=1e-6)
    assert without(vectors, torch.tensor([[0.8, -0.6]])).tolist()[0] == pytest.approx([3, 4])


def test_a_spec_loads_what_was_written(directions, picture, tmp_path):
    encoder = encoders.load("default")
    file = tmp_path / "mark.safetensors"
    file.write_bytes(Directions.of(encoder, directions).to_bytes())

    loaded = encoders.load(f"repaired:{file}")

    expected = without(encoder(picture), directions)
    assert torch.allclose(loaded(picture), expected, atol=1e-6)
    assert torch.allclose(repaired(encoder, directions)(picture), expected, atol=1e-6)
    assert (loaded(picture) @ directions.mT).abs().max() < 1e-5
    assert loaded.preprocess == encoder.preprocess


def test_it_is_told_from_the_encoder_and_from_another_repair(directions):
    encoder = encoders.load("default")
    first, second = (identity(repaired(encoder, values)) for values in (directions, directions[:1]))

    assert "checksum" in differences(identity(encoder), first)
    assert "checksum" in differences(first, second)


def test_gradients_and_layers_are_there(directions, picture):
    encoder = repaired(encoders.load("default"), directions)

    assert "layer4" in [layer.name for layer in layers(encoder)]
    pixels = picture.clone().requires_grad_()
    encoder.network(pixels).sum().backward()
    assert pixels.grad.abs().sum() > 0


def test_other_files_and_weights_are_refused(directions, tmp_path):
    file = tmp_path / "mark.safetensors"
    with pytest.raises(EncoderError, match=r"repair must be a file; .* is not there"):
        encoders.load(f"repaired:{file}")
    with pytest.raises(EncoderError, match="is a folder"):
        encoders.load(f"repaired:{tmp_path}")
    save_file({"weights": directions}, file)
    with pytest.raises(EncoderError, match="is no repair"):
        encoders.load(f"repaired:{file}")
    file.write_bytes(b"no safetensors")
    with pytest.raises(EncoderError, match="cannot be read as a repair"):
        encoders.load(f"repaired:{file}")
    encoder = encoders.load("default")
    file.write_bytes(Directions(2 * directions, "default", encoder.checksum, "auto").to_bytes())
    with pytest.raises(EncoderError, match=r"must hold orthonormal directions \(k, D\)"):
        encoders.load(f"repaired:{file}")
    file.write_bytes(Directions(directions, "default", "0" * 64, "auto").to_bytes())
    with pytest.raises(EncoderError, match="is of other weights than encoder 'default' has now"):
        encoders.load(f"repaired:{file}")
    file.write_bytes(Directions.of(encoder, directions).to_bytes())
    with pytest.raises(EncoderError, match=r"pooling of .* is that of the repair"):
        encoders.load(f"repaired:{file}", pooling="mean")


def test_a_function_cannot_be_repaired(directions):
    encoder = encoders.load(lambda pixels: pixels.flatten(1))

    with pytest.raises(EncoderError, match="is a function"):
        repaired(encoder, directions)
