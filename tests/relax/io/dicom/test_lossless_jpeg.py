"""Lossless and 12-bit JPEG in DICOM: the stored values of the picture that was written, or a clear error."""

from pathlib import Path

import numpy as np
import pytest

from relax.io.errors import ImageError
from relax.io.images import read_image

pydicom = pytest.importorskip("pydicom", reason="the extra [medical] is not installed")
imagecodecs = pytest.importorskip("imagecodecs", reason="the extra [medical] is not installed")

from pydicom.data import get_testdata_file  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.pixels import convert_color_space  # noqa: E402
from pydicom.uid import JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1  # noqa: E402

from relax.io.dicom.decoding import stored_values  # noqa: E402
from relax.io.dicom.header import read_header  # noqa: E402
from tests.dicom_objects import image, written  # noqa: E402

RNG = np.random.default_rng(0)
SIGNED = RNG.integers(-2000, 2047, (20, 24)).astype(np.int16)
UNSIGNED = RNG.integers(0, 4096, (20, 24)).astype(np.uint16)
COLOUR = RNG.integers(0, 256, (20, 24, 3), np.uint8)


def packed(path, dataset, codestreams, syntax):
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate(codestreams)
    dataset["PixelData"].VR = "OB"
    return written(path, dataset)


def lossless(values, predictor=1, **options):
    return imagecodecs.jpeg8_encode(values, lossless=True, predictor=predictor, **options)


def stored(path, frame=1):
    return stored_values(Path(path), read_header(Path(path), frame)[0], frame)


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1])
@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("predictor", [1, 4, 7])
def test_lossless_grey_is_what_was_written(tmp_path, syntax, bits, predictor):
    """Signed values are two's complement of the stored bits, whatever the codestream holds above them."""
    for values in (UNSIGNED, SIGNED):
        codes = values.view(np.uint16) & ((1 << bits) - 1)
        dataset = image(values, BitsStored=12, HighBit=11)
        file = packed(tmp_path / "a", dataset, [lossless(codes, predictor, bitspersample=bits)], syntax)

        np.testing.assert_array_equal(stored(file), values)


def test_lossless_eight_bits_and_frames(tmp_path):
    frames = RNG.integers(0, 256, (3, 20, 24), np.uint8)
    file = packed(tmp_path / "a", image(frames, frames=3), [lossless(frame) for frame in frames], JPEGLosslessSV1)

    for number in (1, 3):
        np.testing.assert_array_equal(stored(file, number), frames[number - 1])


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_lossless_colours_are_what_was_written(tmp_path, photometric):
    codestream = lossless(COLOUR, colorspace="rgb", outcolorspace="rgb")
    file = packed(tmp_path / "a", image(COLOUR, photometric=photometric), [codestream], JPEGLosslessSV1)

    expected = COLOUR if photometric == "RGB" else convert_color_space(COLOUR, photometric, "RGB")
    np.testing.assert_array_equal(stored(file), expected)


def test_a_lossless_file_of_another_encoder_has_its_known_stripes():
    """GDCM wrote it: ten stripes of ten rows, with the colours that pydicom's tests state for them."""
    greys = [(0, 0, 0), (64, 64, 64), (192, 192, 192), (255, 255, 255)]
    colours = [(255, 0, 0), (255, 128, 128), (0, 255, 0), (128, 255, 128), (0, 0, 255), (128, 128, 255)]
    stripes = np.repeat(np.array(colours + greys), 10, axis=0)
    expected = np.broadcast_to(stripes[:, None], (100, 100, 3))

    np.testing.assert_array_equal(stored(get_testdata_file("SC_rgb_jpeg_gdcm.dcm", download=False)), expected)


def test_twelve_bits_are_kept(tmp_path):
    """A smooth ramp, which lossy JPEG of high quality changes by a few of 4,096 steps."""
    ramp = np.broadcast_to(np.arange(0, 4096, 64, dtype=np.uint16), (64, 64)).copy()
    codestream = imagecodecs.jpeg8_encode(ramp, bitspersample=12, level=100)
    file = packed(tmp_path / "a", image(ramp, BitsStored=12, HighBit=11), [codestream], JPEGExtended12Bit)

    assert np.abs(stored(file).astype(int) - ramp).max() <= 4
    assert stored(get_testdata_file("JPGExtended.dcm", download=False)).shape == (1024, 256)


def refused(tmp_path, codestream, match, dataset=None):
    dataset = image(UNSIGNED, BitsStored=12, HighBit=11) if dataset is None else dataset
    with pytest.raises(ImageError, match=match):
        read_image(packed(tmp_path / "a", dataset, [codestream], JPEGLosslessSV1))


def test_what_is_damaged_or_too_large_is_refused(tmp_path, monkeypatch):
    good = lossless(UNSIGNED, bitspersample=12)
    refused(tmp_path, good[:-40], "truncated: their end is missing")
    refused(
        tmp_path, lossless(UNSIGNED[:, :20].copy()), "20 x 20 pixels of 1 channels and 24 x 20 .* do not|do not agree"
    )
    refused(tmp_path, good, "have 12 bits, and its header allocates 8", image(UNSIGNED.astype(np.uint8)))
    refused(tmp_path, good.replace(b"\xff\xc4", b"\xff\xe5"), "cannot be decoded .*it is damaged")
    refused(tmp_path, good.replace(b"\xff\xc3", b"\xff\xc2"), "neither lossless nor grey and sequential")
    colours = imagecodecs.jpeg8_encode(COLOUR, level=90)
    refused(tmp_path, colours, "neither lossless nor grey", image(COLOUR, photometric="YBR_FULL"))
    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", "1e3")
    refused(tmp_path, good, "24 x 20 pixels would take .* of memory")
