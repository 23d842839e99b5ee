"""Compressed DICOM shows the same pixels as uncompressed, and no decoder sees a size that the header does not state."""

import struct

import numpy as np
import pytest

from relax.io.errors import ImageError
from relax.io.images import read_image

pydicom = pytest.importorskip("pydicom", reason="the extra [medical] is not installed")
for plugin in ("openjpeg", "jpeg_ls"):
    pytest.importorskip(plugin, reason="the extra [medical] is not installed")

from pydicom.uid import (  # noqa: E402
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.dicom_objects import image, written  # noqa: E402

SYNTAXES = [JPEG2000Lossless, JPEGLSLossless, RLELossless, DeflatedExplicitVRLittleEndian]
CODESTREAMS = {JPEG2000Lossless: (b"\xff\x4f\xff\x51", 8, ">II"), JPEGLSLossless: (b"\xff\xf7", 5, ">HH")}


def grey(frames=0):
    rng = np.random.default_rng(0)
    shape = (frames, 64, 72) if frames else (64, 72)
    values = (np.arange(72) * 20 - 700 + rng.integers(0, 50, shape)).astype(np.int16)
    return image(values, frames=frames, WindowCenter=0, WindowWidth=1500)


def colour():
    return image(np.random.default_rng(0).integers(0, 255, (64, 72, 3), np.uint8), photometric="RGB")


def in_syntax(path, dataset, syntax):
    if syntax == DeflatedExplicitVRLittleEndian:
        dataset.file_meta.TransferSyntaxUID = syntax
    else:
        dataset.compress(syntax, generate_instance_uid=False)
    return written(path, dataset)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("builder", [grey, colour])
def test_a_lossless_syntax_shows_the_same_pixels(tmp_path, syntax, builder):
    plain = read_image(written(tmp_path / "plain", builder()))

    np.testing.assert_array_equal(read_image(in_syntax(tmp_path / "packed", builder(), syntax)), plain)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_each_frame_is_its_own(tmp_path, syntax):
    plain, packed = written(tmp_path / "plain", grey(3)), in_syntax(tmp_path / "packed", grey(3), syntax)

    for frame in (1, 3):
        np.testing.assert_array_equal(read_image(f"{packed}#frame={frame}"), read_image(f"{plain}#frame={frame}"))


@pytest.mark.parametrize("syntax", CODESTREAMS, ids=lambda syntax: syntax.name)
def test_a_frame_that_claims_another_size_than_the_header_meets_no_decoder(tmp_path, syntax, monkeypatch):
    """Of 60,000 x 60,000 pixels in a few kB; a decoder would ask for 7 GB or more."""
    file = in_syntax(tmp_path / "bomb", grey(), syntax)
    marker, offset, form = CODESTREAMS[syntax]
    data = bytearray(file.read_bytes())
    struct.pack_into(form, data, data.index(marker) + offset, 60_000, 60_000)
    file.write_bytes(data)
    monkeypatch.setattr("relax.io.dicom.decoding.pixel_array", lambda *_, **__: pytest.fail("a decoder was asked"))

    with pytest.raises(
        ImageError, match="60000 x 60000 pixels of 1 channels and 72 x 64 pixels of 1 channels: it is dam"
    ):
        read_image(file)


def test_damaged_rle_is_an_error_and_not_the_end_of_the_process(tmp_path):
    """A plug-in in Rust panics where a segment is cut short; pydicom's own decoder does not."""
    dataset = grey()
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.PixelData = dataset.PixelData[:-2000]
    file = written(tmp_path / "a", dataset)
    data = bytearray(file.read_bytes())
    start = data.index(b"\xfe\xff\x00\xe0", data.index(b"\xfe\xff\x00\xe0") + 4)
    struct.pack_into("<I", data, start + 4, len(data) - start - 8)  # the length of the frame is that of what is left
    file.write_bytes(data)

    with pytest.raises(ImageError, match=r"cannot be decoded"):
        read_image(file)


@pytest.mark.parametrize("syntax", CODESTREAMS, ids=lambda syntax: syntax.name)
def test_a_frame_without_a_size_is_damaged(tmp_path, syntax):
    file = in_syntax(tmp_path / "a", grey(), syntax)
    marker, _, _ = CODESTREAMS[syntax]
    file.write_bytes(file.read_bytes().replace(marker, b"\0" * len(marker)))

    with pytest.raises(ImageError, match="are damaged or truncated: they do not state their size"):
        read_image(file)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless], ids=lambda syntax: syntax.name)
def test_a_large_compressed_picture_is_refused_by_its_header(tmp_path, syntax, monkeypatch):
    file = in_syntax(tmp_path / "a", grey(), syntax)
    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", "50e3")

    with pytest.raises(ImageError, match=r"72 x 64 pixels would take .* of memory to read, and the limit is"):
        read_image(file)
