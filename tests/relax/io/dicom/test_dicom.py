"""DICOM frames are displayed as the standard says, no output identifies a patient, and maps lie over their source.

Expected pixels are worked out by hand from DICOM PS3.3 (C.7.6.3.1.2, C.11.1.1, C.11.2.1.2 and C.11.2.1.3).
"""

import copy
import io
import json
import os
import re
import sys
import traceback
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

import relax
from encoders.folders import Listing
from relax.auditing.metadata import MetadataTable
from relax.cli.app import run
from relax.explanation import Explanation
from relax.io.errors import ImageError
from relax.io.images import name_of, read_image, read_with_record
from relax.metrics import find_truths
from relax.metrics.truth import TruthError

pydicom = pytest.importorskip("pydicom", reason="the extra [medical] is not installed")

from pydicom.data import get_testdata_file  # noqa: E402
from pydicom.datadict import tag_for_keyword  # noqa: E402
from pydicom.dataelem import RawDataElement  # noqa: E402
from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.tag import Tag  # noqa: E402
from pydicom.uid import (  # noqa: E402
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from experiments.data.dicom_pixels import set_pixels  # noqa: E402
from relax.exports.writing import write_dicom  # noqa: E402
from relax.io.dicom.elements import GEOMETRY, PIXELS, VALUES  # noqa: E402
from relax.io.dicom.frame import read_dicom  # noqa: E402

OBLIQUE = [0.8, 0.6, 0.0, -0.36, 0.48, 0.8]  # two unit vectors at a right angle, neither along the body
IDENTIFIERS = {
    "PatientName": "Quagmire^Zebedee",
    "PatientID": "PID-77031",
    "PatientBirthDate": "19510423",
    "AccessionNumber": "ACC90817",
    "StudyID": "ST5531",
    "StudyDate": "20190702",
    "SeriesDate": "20190703",
    "StudyTime": "101112.131415",
    "ReferringPhysicianName": "Haversack^Doris",
    "InstitutionName": "Saint Elsewhere Infirmary",
    "StudyDescription": "thorax of a duke",
    "ImageComments": "comment-about-him",
    "RescaleType": "typed-by-him",
    "WindowCenterWidthExplanation": "window-named-by-him",
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.111222333",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.444555666",
    "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.777888999",
    "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.101010101",
}


def dicom(
    path, values, photometric="MONOCHROME2", *, bits=None, syntax=ExplicitVRLittleEndian, frames=None, **elements
):
    """A DICOM file of these stored values, (H, W), (H, W, 3), or (N, H, W) with `frames`."""
    values = np.asarray(values)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid()
    set_pixels(dataset, values, frames=frames or 0, photometric=photometric, bits=bits or 0)
    for name, value in elements.items():
        setattr(dataset, name, value)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def sequence(**elements):
    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return [item]


def displayed(path, **options):
    """Displayed pixels (H, W) or (H, W, C)."""
    return read_dicom(path, **options).pixels.squeeze()


ROW = np.array([[0, 25, 50, 75, 100, 200]] * 2, dtype=np.uint16)


# Windows


def test_a_linear_window_is_that_of_the_standard(tmp_path):
    """Centre 50.5, width 101: 0 up to 50.5 - 0.5 - 100/2 = 0, 1 above 100, (x - 50) / 100 + 0.5 between."""
    file = dicom(tmp_path / "a", ROW, WindowCenter=50.5, WindowWidth=101)

    np.testing.assert_allclose(displayed(file)[0], [0, 0.25, 0.5, 0.75, 1, 1], atol=1e-6)


def test_a_window_of_width_one_is_a_threshold(tmp_path):
    """Centre 50.5, width 1: 0 up to 50, else 1."""
    file = dicom(tmp_path / "a", ROW, WindowCenter=50.5, WindowWidth=1)

    np.testing.assert_array_equal(displayed(file)[0], [0, 0, 0, 1, 1, 1])


def test_an_exact_window_reaches_from_half_a_width_below_to_half_above(tmp_path):
    file = dicom(tmp_path / "a", ROW, WindowCenter=75, WindowWidth=100, VOILUTFunction="LINEAR_EXACT")

    np.testing.assert_allclose(displayed(file)[0], [0, 0, 0.25, 0.5, 0.75, 1], atol=1e-6)


def test_a_sigmoid_window_is_a_logistic_curve(tmp_path):
    """1 / (1 + exp(-4 (x - 50) / 100)): at 0, 50, 100 it is 1 / (1 + e^2), 1/2, 1 / (1 + e^-2)."""
    file = dicom(tmp_path / "a", ROW, WindowCenter=50, WindowWidth=100, VOILUTFunction="SIGMOID")

    np.testing.assert_allclose(displayed(file)[0, [0, 2, 4]], [0.1192029, 0.5, 0.8807971], atol=1e-6)


def test_the_window_acts_on_rescaled_values(tmp_path):
    """Stored 0 ... 200 x 2 - 100 = -100, -50, 0, 50, 100, 300, windowed from 0 to 100."""
    file = dicom(tmp_path / "a", ROW, RescaleSlope=2, RescaleIntercept=-100, WindowCenter=50.5, WindowWidth=101)

    picture = read_dicom(file)

    np.testing.assert_allclose(picture.pixels[0, :, 0], [0, 0, 0, 0.5, 1, 1], atol=1e-6)
    assert picture.how["transform"] == "2 x stored + -100"


def test_the_first_window_is_used_unless_another_is_named(tmp_path):
    file = dicom(tmp_path / "a.dcm", ROW, WindowCenter=[50.5, 100.5], WindowWidth=[101, 201])

    assert displayed(file)[0, 2] == pytest.approx(0.5)
    assert read_dicom(file).how["window"] == {
        "used": "window 1 of 2 in the file",
        "function": "LINEAR",
        "center": 50.5,
        "width": 101.0,
    }
    assert displayed(file, window=2)[0, 2] == pytest.approx(0.25)
    assert read_image(f"{file}#window=2")[0, 0, 0, 2] == pytest.approx(0.25)
    assert read_dicom(file, window=2).how["window"]["used"] == "window 2 of 2 in the file"
    assert displayed(file, window=(25.5, 51))[0, 1] == pytest.approx(0.5)
    assert read_image(f"{file}#window=25.5,51")[0, 0, 0, 1] == pytest.approx(0.5)
    assert read_dicom(file, window=(25.5, 51)).how["window"]["used"] == "window given by the caller"
    with pytest.raises(ImageError, match="one of the file's 2 windows; got 3"):
        read_dicom(file, window=3)


@pytest.mark.parametrize(
    ("window", "function"), [((0, 0.5), "LINEAR"), ((0, 0), "SIGMOID"), ((float("nan"), 9), "LINEAR")]
)
def test_an_impossible_window_is_refused(tmp_path, window, function):
    file = dicom(tmp_path / "a", ROW, VOILUTFunction=function)

    with pytest.raises(ImageError, match=f"a {function} window must have a width"):
        read_dicom(file, window=window)


def test_a_lookup_table_comes_before_a_window(tmp_path):
    """600 entries of 8 bits from input -10 on: entry i is i // 3, so 0 is entry 10, and 200 is entry 210."""
    table = sequence(LUTDescriptor=[600, -10, 8], LUTData=(np.arange(600) // 3).astype("<u2").tobytes())
    values = np.array([[-500, 0, 200, 500, 3000]] * 2, dtype=np.int16)
    file = dicom(tmp_path / "a", values, VOILUTSequence=table, WindowCenter=0, WindowWidth=9)

    np.testing.assert_allclose(displayed(file)[0], np.array([0, 3, 70, 170, 199]) / 255, atol=1e-6)
    assert read_dicom(file).how["window"] == {"used": "lookup table 1 of 1 in the file"}
    assert read_dicom(file, window=1).how["window"]["function"] == "LINEAR"


def test_the_white_of_a_lookup_table_is_that_of_its_bits(tmp_path):
    entries = np.array([0, 819, 4095], "<u2").tobytes()
    table = sequence(LUTDescriptor=[3, 0, 12], LUTData=entries)
    file = dicom(tmp_path / "a", np.array([[0, 1, 2]] * 2, dtype=np.uint16), VOILUTSequence=table)

    np.testing.assert_allclose(displayed(file)[0], [0, 0.2, 1], atol=1e-6)


def test_a_modality_table_replaces_rescaling(tmp_path):
    entries = np.array([1000, 2000, 3000, 4000], "<u2").tobytes()
    table = sequence(LUTDescriptor=[4, 0, 16], LUTData=entries, ModalityLUTType="US")
    values = np.array([[0, 1, 2, 3, 9]] * 2, dtype=np.uint16)
    file = dicom(tmp_path / "a", values, ModalityLUTSequence=table, WindowCenter=2000.5, WindowWidth=2001)

    np.testing.assert_allclose(displayed(file)[0], [0, 0.5, 1, 1, 1], atol=1e-6)  # 1000 to 3000


# No window


def test_eight_bits_without_a_window_keep_their_white(tmp_path):
    values = np.array([[10, 51, 204]] * 2, dtype=np.uint8)

    np.testing.assert_allclose(displayed(dicom(tmp_path / "a", values))[0], [10 / 255, 0.2, 0.8], atol=1e-6)
    assert read_dicom(tmp_path / "a").how["window"] == {"used": "whole range of the stored bits", "low": 0, "high": 255}


def test_signed_eight_bits_reach_from_minus_128_to_127(tmp_path):
    values = np.array([[-128, -1, 127]] * 2, dtype=np.int8)

    np.testing.assert_allclose(displayed(dicom(tmp_path / "a", values))[0], [0, 127 / 255, 1], atol=1e-6)


@pytest.mark.parametrize(("kind", "bits"), [(np.uint16, 12), (np.uint16, 16), (np.int16, 12), (np.int16, 16)])
def test_deeper_values_without_a_window_span_the_frame_without_its_padding(tmp_path, kind, bits):
    low = -800 if kind is np.int16 else 100
    values = np.array([[low, low + 250, low + 1000, 2047]] * 2, dtype=kind)
    file = dicom(tmp_path / "a", values, bits=bits, PixelPaddingValue=2047)

    np.testing.assert_allclose(displayed(file)[0], [0, 0.25, 1, 1], atol=1e-6)
    record = read_dicom(file).how["window"]
    assert record == {"used": "lowest and highest value of the frame", "low": low, "high": low + 1000}


def test_a_range_of_padding_is_padding(tmp_path):
    values = np.array([[0, 5, 10, 110]] * 2, dtype=np.uint16)
    file = dicom(tmp_path / "a", values, PixelPaddingValue=0, PixelPaddingRangeLimit=6)

    np.testing.assert_allclose(displayed(file)[0], [0, 0, 0, 1], atol=1e-6)


def test_an_empty_window_counts_as_none(tmp_path):
    file = dicom(tmp_path / "a", ROW, WindowCenter=None, WindowWidth=None)

    assert read_dicom(file).how["window"]["high"] == 200


# Photometric interpretations


def test_monochrome1_is_the_negative(tmp_path):
    file = dicom(tmp_path / "a", ROW, "MONOCHROME1", WindowCenter=50.5, WindowWidth=101)

    np.testing.assert_allclose(displayed(file)[0], [1, 0.75, 0.5, 0.25, 0, 0], atol=1e-6)


def test_rgb_is_divided_by_its_white_and_planes_are_put_together(tmp_path):
    values = np.arange(0, 240, 10, dtype=np.uint8).reshape(2, 4, 3)
    planes = np.ascontiguousarray(values.transpose(2, 0, 1)).tobytes()

    np.testing.assert_allclose(displayed(dicom(tmp_path / "a", values, "RGB")), values / 255, atol=1e-6)
    by_plane = dicom(tmp_path / "b", values, "RGB", PlanarConfiguration=1, PixelData=planes)
    np.testing.assert_allclose(displayed(by_plane), values / 255, atol=1e-6)
    deep = dicom(tmp_path / "c", values.astype(np.uint16) * 16, "RGB", bits=12)
    np.testing.assert_allclose(displayed(deep), values / 4095 * 16, atol=1e-6)
    with pytest.raises(ImageError, match="window is for grey pictures"):
        read_dicom(tmp_path / "a", window=(1, 2))


def test_ybr_becomes_rgb(tmp_path):
    """Y 76, CB 85, CR 255 is red: R = Y + 1.402 (CR - 128) = 254, G = Y - 0.344 (CB - 128) - 0.714 (CR - 128) = 0."""
    red = np.array([[[76, 85, 255]] * 2] * 2, dtype=np.uint8)
    sub_sampled = np.array([76, 76, 85, 255] * 2, dtype=np.uint8).tobytes()

    np.testing.assert_allclose(
        displayed(dicom(tmp_path / "a", red, "YBR_FULL"))[0, 0], [254 / 255, 0, 0], atol=1.1 / 255
    )
    file = dicom(tmp_path / "b", red, "YBR_FULL_422", PixelData=sub_sampled)
    np.testing.assert_allclose(displayed(file)[1, 1], [254 / 255, 0, 0], atol=1.1 / 255)


def test_a_palette_is_looked_up(tmp_path):
    """Three 16-bit entries from input 1 on; inputs outside take the nearest."""
    tables = {"Red": [0, 65535, 13107], "Green": [65535, 0, 13107], "Blue": [0, 0, 52428]}
    elements = {f"{name}PaletteColorLookupTableDescriptor": [3, 1, 16] for name in tables}
    for name, values in tables.items():
        elements[f"{name}PaletteColorLookupTableData"] = np.array(values, dtype="<u2").tobytes()
    file = dicom(tmp_path / "a", np.array([[0, 1, 2, 3, 250]] * 2, dtype=np.uint8), "PALETTE COLOR", **elements)

    expected = [[0, 1, 0], [0, 1, 0], [1, 0, 0], [0.2, 0.2, 0.8], [0.2, 0.2, 0.8]]
    np.testing.assert_allclose(displayed(file)[0], expected, atol=1e-6)


def test_a_palette_of_eight_bits_takes_deeper_inputs(tmp_path):
    """Input 259 is beyond the last of four entries and takes it; taken modulo 256 it would be the third."""
    elements = {}
    for name in ("Red", "Green", "Blue"):
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [4, 1, 8]
        elements[f"{name}PaletteColorLookupTableData"] = bytes([0, 51, 102, 255])
    file = dicom(tmp_path / "a", np.array([[2, 3, 259]] * 2, dtype=np.uint16), "PALETTE COLOR", **elements)

    np.testing.assert_allclose(displayed(file)[0, :, 0], [0.2, 0.4, 1], atol=1e-6)


def test_other_interpretations_are_refused(tmp_path):
    with pytest.raises(ImageError, match=r"photometric interpretation must be one of MONOCHROME1, .*; got HSV"):
        read_dicom(dicom(tmp_path / "a", np.zeros((4, 4, 3), np.uint8), "HSV"))


# Frames


def test_one_of_several_frames_must_be_named_from_one(tmp_path):
    values = np.arange(4, dtype=np.uint8)[:, None, None].repeat(3, 1).repeat(3, 2) * 51
    file = dicom(tmp_path / "a.dcm", values, frames=4)

    with pytest.raises(ImageError, match=r"a\.dcm: holds 4 frames; name one, from 1, as in scan.dcm#frame=2"):
        read_image(file)
    for number in (1, 4):
        image, record = read_with_record(f"{file}#frame={number}")
        assert image.unique().item() == pytest.approx((number - 1) / 5)
        assert (record["frame"], record["frames"], record["asked"]) == (number, 4, {"frame": number})
    for number in (0, 5):
        with pytest.raises(ImageError, match=f"frame must be from 1 to 4; got {number}"):
            read_dicom(file, frame=number)


def test_an_enhanced_object_keeps_window_and_position_per_frame(tmp_path):
    """Rescaling is shared; frame 2 has a window from 0 to 200 where frame 1 has one from 0 to 100."""
    shared = sequence(
        PixelValueTransformationSequence=sequence(RescaleSlope=2, RescaleIntercept=0, RescaleType="US"),
        PixelMeasuresSequence=sequence(PixelSpacing=[0.5, 0.25]),
    )
    per_frame = [
        *sequence(FrameVOILUTSequence=sequence(WindowCenter=50.5, WindowWidth=101)),
        *sequence(FrameVOILUTSequence=sequence(WindowCenter=100.5, WindowWidth=201)),
    ]
    groups = {"SharedFunctionalGroupsSequence": shared, "PerFrameFunctionalGroupsSequence": per_frame}
    file = dicom(tmp_path / "a", np.full((2, 3, 3), 25, np.uint16), frames=2, **groups)

    assert displayed(file, frame=1)[0, 0] == pytest.approx(0.5)
    assert displayed(file, frame=2)[0, 0] == pytest.approx(0.25)
    assert read_dicom(file, frame=2).how["pixel_spacing_mm"] == [0.5, 0.25]
    assert read_dicom(file, frame=2).how["square_pixels"] is False


# Against pydicom, on real files


@pytest.mark.parametrize("ending", ["", "_RLE", "_bigendian", "_expb", "_implicit", "_jp2klossless", "_padded"])
def test_every_transfer_syntax_gives_the_picture_that_pydicom_windows(ending):
    file = get_testdata_file(f"MR_small{ending}.dcm", download=False)
    dataset = pydicom.dcmread(file)
    window = pydicom.pixels.apply_voi_lut(pydicom.pixels.apply_modality_lut(dataset.pixel_array, dataset), dataset)
    low, high = -(2**15), 2**15 - 1  # MR_small stores 16 signed bits, and has no rescaling

    np.testing.assert_allclose(displayed(file), (window - low) / (high - low), atol=1e-6)


def test_the_bundled_ct_spans_its_hounsfield_units():
    file = get_testdata_file("CT_small.dcm", download=False)
    dataset = pydicom.dcmread(file)
    units = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    inside = units[dataset.pixel_array != dataset.PixelPaddingValue]

    expected = ((units - inside.min()) / (inside.max() - inside.min())).clip(0, 1)
    np.testing.assert_allclose(displayed(file), expected, atol=1e-6)


def test_a_deflated_file_is_read():
    file = get_testdata_file("image_dfl.dcm", download=False)

    np.testing.assert_allclose(displayed(file), pydicom.dcmread(file).pixel_array / 255, atol=1e-6)


# What cannot be read


def test_files_without_a_picture_say_what_they_are():
    for name, kind in [("reportsi.dcm", "Basic Text SR Storage"), ("rtplan.dcm", "RT Plan Storage")]:
        with pytest.raises(ImageError, match=rf"is a DICOM file without a picture \({kind}\)"):
            read_image(get_testdata_file(name, download=False))


def test_the_missing_extra_is_named_with_the_command(tmp_path, monkeypatch):
    file = dicom(tmp_path / "a.dcm", ROW)
    for name in [name for name in sys.modules if name.startswith(("pydicom", "relax.io."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pydicom", None)

    message = 'a.dcm: DICOM needs pydicom; install it with: pip install "relax-explainer[medical]"'
    with pytest.raises(ImageError, match=re.escape(message)):
        read_image(file)


def test_hostile_files_are_refused_in_one_line_before_anything_is_allocated(tmp_path):
    def refused(file, message):
        with pytest.raises(ImageError, match=message) as caught:
            read_image(f"{file}#frame=5" if "frames" in file.name else file)
        assert "\n" not in str(caught.value)

    complete = dicom(tmp_path / "whole.dcm", ROW).read_bytes()
    for keep in (133, 200, len(complete) // 2, len(complete) - 5):
        (tmp_path / "cut.dcm").write_bytes(complete[:keep])
        refused(tmp_path / "cut.dcm", "DICOM|damaged or truncated|has no pixels|its element|photometric")
    (tmp_path / "empty.dcm").write_bytes(b"")
    refused(tmp_path / "empty.dcm", "is not a DICOM file: it lacks the letters DICM at byte 128")
    (tmp_path / "text.dcm").write_text("hello " * 100)
    refused(tmp_path / "text.dcm", "is not a DICOM file")

    refused(
        dicom(tmp_path / "large", ROW, Rows=65535, Columns=65535), "65535 x 65535 pixels would take .* GB of memory"
    )
    refused(dicom(tmp_path / "claims", ROW, Rows=8000, Columns=8000), "damaged or truncated")
    refused(dicom(tmp_path / "flat", ROW, Rows=0), "both sides must be at least 2")
    refused(
        dicom(tmp_path / "bits", ROW, BitsStored=20), "its element BitsStored must be 1 to 16 .*; got 20: correct it"
    )
    refused(
        dicom(tmp_path / "odd", ROW, BitsAllocated=13, BitsStored=12),
        "its element BitsAllocated must be 1, 8, .* or 64 .*; got 13",
    )
    frames = dicom(tmp_path / "frames", ROW[None].repeat(2, 0), frames=1_000_000_000)
    refused(frames, "damaged or truncated")
    refused(dicom(tmp_path / "padding", ROW * 0, PixelPaddingValue=0), "consists of padding only")

    bare = pydicom.dcmread(tmp_path / "whole.dcm")
    del bare.PixelData
    pydicom.dcmwrite(tmp_path / "bare", bare)
    refused(tmp_path / "bare", "has no pixels")


def test_a_billion_compressed_frames_are_refused_quickly(tmp_path):
    frame = pydicom.encaps.encapsulate([b"\0" * 64])
    file = dicom(tmp_path / "a", ROW, syntax=RLELossless, NumberOfFrames=1_000_000_000, PixelData=frame)

    with pytest.raises(ImageError, match="cannot be decoded"):
        read_dicom(file, frame=999_999_999)


def test_a_deflated_file_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", "5e6")
    file = dicom(tmp_path / "a", np.zeros((1024, 1024), np.uint16), syntax=DeflatedExplicitVRLittleEndian)
    assert file.stat().st_size < 10_000

    with pytest.raises(
        ImageError, match="its deflated data set would take 6 MB of memory to read, and the limit is 5 MB"
    ):
        read_dicom(file)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("frame=one", "frame must be a whole number or all; got 'one'"),
        (
            "slice=3",
            "the text after # must be NAME=VALUE, joined with &; 'slice' is none of frame, sagittal, coronal, axial, v",
        ),
        ("frame=1&frame=1", "'frame' is repeated"),
        ("window=a,b", "window must be the number of a stored window or CENTRE,WIDTH; got 'a,b'"),
    ],
)
def test_a_choice_that_cannot_be_understood_is_refused(tmp_path, choice, message):
    with pytest.raises(ImageError, match=re.escape(message)):
        read_image(f"{dicom(tmp_path / 'a.dcm', ROW)}#{choice}")


def test_burned_in_text_raises_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="text is burned into this picture and will be visible"):
        picture = read_dicom(dicom(tmp_path / "a", ROW, BurnedInAnnotation="YES"))
    assert picture.how["burned_in_annotation"] == "YES"


# Identity of the patient


def patient(path, size=(12, 10), seed=3, **elements):
    """A scan full of identifiers, with noise as pixels, so that maps vary."""
    values = np.random.default_rng(seed).integers(0, 4000, size, dtype=np.uint16)
    place = {"PixelSpacing": [0.7, 0.4], "ImageOrientationPatient": OBLIQUE, "ImagePositionPatient": [-12.5, 3.25, 99]}
    windows = {"RescaleSlope": 1, "RescaleIntercept": -1000, "WindowCenter": 1000, "WindowWidth": 3000}
    file = dicom(path, values, **{**windows, **place, **IDENTIFIERS, **elements})
    dataset = pydicom.dcmread(file)
    private = dataset.private_block(0x0009, "HIS CREATOR", create=True)
    private.add_new(0x01, "LO", "private-about-him")
    dataset.save_as(file)
    return file


def corner_means(pixels):
    """A plain encoder: means of the top left quarter, and three pixels."""
    size = pixels.shape[-1] // 2
    return pixels[..., :size, :size].mean((-1, -2)) * 2 + pixels.flatten(1)[:, :3]


def texts(folder):
    """Name and bytes of every output file, and of the members of archives."""
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            yield path.name, path.name.encode() + data
            if zipfile.is_zipfile(io.BytesIO(data)):
                with zipfile.ZipFile(io.BytesIO(data)) as packed:
                    for member in packed.namelist():
                        yield f"{path.name}/{member}", packed.read(member)


def identifiers_in(folder):
    identifiers = [part for value in IDENTIFIERS.values() for part in value.split("^")]
    identifiers += ["private-about-him", "HIS CREATOR", "typed-by-him"]
    hits = set()
    for name, data in texts(folder):
        for value in identifiers:
            if any(value.lower().encode(code) in data.lower() for code in ("utf-8", "utf-16-le", "utf-32-le")):
                hits.add((name, value))
    return hits


def test_the_search_finds_identifiers_in_files_and_archives(tmp_path):
    patient(tmp_path / "a.dcm")
    np.savez_compressed(tmp_path / "b.npz", how=np.array("by Zebedee"))

    hits = identifiers_in(tmp_path)

    assert ("a.dcm", "Quagmire") in hits
    assert ("a.dcm", "private-about-him") in hits
    assert ("b.npz/how.npy", "Zebedee") in hits


def test_no_identifier_reaches_any_output(tmp_path):
    """Even though the file is named after the patient, and its folder after the study."""
    folder = tmp_path / IDENTIFIERS["StudyInstanceUID"]
    folder.mkdir()
    file, out = patient(folder / "Zebedee_19510423.dcm", size=(64, 64)), tmp_path / "out"

    explanation = relax.explain(file, corner_means, masks=20)
    explanation.save(out / "scan.npz")
    (out / "scan.json").write_text(explanation.to_json())
    (out / "scan.png").write_bytes(explanation._repr_png_())
    for name in ("importance", "uncertainty"):
        write_dicom(explanation, file, out / f"{name}.dcm", map=name)
    write_dicom(explanation, file, out / "colours.dcm", overlay=True)

    assert len(list(texts(out))) > 6
    assert identifiers_in(out) == set()
    assert re.fullmatch(r"dicom-[0-9a-f]{12}", explanation.provenance["image"])
    assert re.fullmatch(r"dicom-[0-9a-f]{12}", name_of(f"{file}#name=hash"))


def test_the_command_line_names_no_patient_in_any_output(tmp_path, capsys):
    file, out = patient(tmp_path / "scan.dcm", size=(64, 64)), tmp_path / "out"

    assert run(["explain", str(file), "--masks", "20", "--out", str(out)]) == 0
    exported = ["export", str(out / "scan.npz"), "--source", str(file), "--out"]
    assert run([*exported, str(out / "map.dcm"), "--keep", "nothing"]) == 0
    assert run([*exported, str(out / "colours.dcm"), "--overlay", "--keep", "nothing"]) == 0

    assert {path.name for path in out.iterdir()} == {"scan.npz", "scan.json", "scan.png", "map.dcm", "colours.dcm"}
    assert identifiers_in(out) == set()
    provenance = json.loads((out / "scan.json").read_text())
    assert provenance["command"] == f"relax explain {file} --masks 20 --out {out}"
    assert provenance["read"]["window"] == {
        "used": "window 1 of 1 in the file",
        "function": "LINEAR",
        "center": 1000.0,
        "width": 3000.0,
    }
    assert run([*exported, str(out / "kept.dcm"), "--keep-identifiers"]) == 0
    assert ("kept.dcm", "Quagmire") in identifiers_in(out)
    capsys.readouterr()


def test_files_that_the_command_line_writes_are_not_named_after_the_patient(tmp_path, capsys):
    file, out = patient(tmp_path / "Zebedee.dcm", size=(64, 64)), tmp_path / "out"

    assert run(["explain", f"{file}#frame=1", "--masks", "20", "--out", str(out)]) == 0

    assert len(names := {path.stem for path in out.iterdir()}) == 1
    assert json.loads(next(out.glob("*.json")).read_text())["command"].startswith("relax explain 'dicom-")
    assert re.fullmatch(r"dicom-[0-9a-f]{12}-frame1", names.pop())
    assert identifiers_in(out) == set()
    capsys.readouterr()


@pytest.mark.parametrize(
    "name",
    [
        "Quagmire.dcm",
        "1951-04-23.dcm",
        "23.04.1951.dcm",
        "23-Apr-51.dcm",
        "pid 77 031.dcm",
        "ACC_90817.dcm",
        "02.07.2019/1.dcm",
        "haversack.dcm",
        "st-elsewhere/1.dcm",
        "1_2_826_0_1_3680043_8_498_777888999.dcm",
        "bates-9.dcm",
        "alias-5.dcm",
    ],
)
def test_an_identifier_in_any_usual_form_makes_the_name_a_hash(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    others = sequence(PatientID="ALIAS/5")
    file = patient(tmp_path / name, OperatorsName="Bates^N", OtherPatientIDsSequence=others)

    assert re.fullmatch(r"dicom-[0-9a-f]{12}", name_of(file))


HURT = ("frame=7", "frame=one", "window=9", "window=1000,900&x=1")


def printed_about(file, capsys, *command):
    """What a command prints in all, and its exit code."""
    code = run([*command, str(file)])
    printed = capsys.readouterr()
    return printed.out + printed.err, code


def names_him(text):
    return any(part.lower() in text.lower() for value in IDENTIFIERS.values() for part in value.split("^"))


@pytest.mark.parametrize("choice", ["", *HURT])
def test_the_terminal_shows_no_identifier_whether_the_picture_can_be_used_or_not(tmp_path, capsys, choice):
    file = patient(tmp_path / "Zebedee_19510423.dcm", size=(64, 64))
    address = f"{file}#{choice}" if choice else file

    text, code = printed_about(address, capsys, "explain", "--masks", "20", "--out", str(tmp_path / "out"))

    assert code == (1 if choice else 0)
    assert "dicom-" in text
    assert not names_him(text)


def test_a_damaged_file_is_not_named_after_the_patient_and_what_is_no_dicom_keeps_its_name(tmp_path, capsys):
    whole = patient(tmp_path / "whole.dcm").read_bytes()
    (tmp_path / "Zebedee.dcm").write_bytes(whole[:300])
    (tmp_path / "notes.dcm").write_text("nothing of him")
    start = ("explain", "--masks", "20", "--out", str(tmp_path / "out"))

    damaged, _ = printed_about(tmp_path / "Zebedee.dcm", capsys, *start)
    other, _ = printed_about(tmp_path / "notes.dcm", capsys, *start)

    assert "dicom-" in damaged
    assert not names_him(damaged)
    assert "notes.dcm: is not a DICOM file" in other


def test_commands_over_folders_show_and_write_no_identifier(tmp_path, capsys):
    """DICOM under other endings: only the archive, which finds the files again, holds their paths."""
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    for number in range(12):
        instance = f"{IDENTIFIERS['SOPInstanceUID']}.{number}"
        patient(scans / f"Quagmire-{number:02}.png", size=(40, 40), seed=number, SOPInstanceUID=instance)
    last = patient(scans / "Quagmire-99.png", size=(40, 40))
    last.write_bytes(last.read_bytes()[:-3000])
    table = ["path,site", *(f"Quagmire-{number:02}.png,{number % 2}" for number in range(12))]
    (tmp_path / "table.csv").write_text("\n".join(table))
    few = ["--masks", "20", "--explain", "8", "--hide", "0", "--layouts", "pca"]

    assert run(["audit", str(scans), "--out", str(out), *few, "--metadata", str(tmp_path / "table.csv")]) == 1
    archive = tmp_path / "archive"
    assert run(["index", str(scans), "--out", str(archive)]) == 1
    assert run(["search", str(archive), str(scans / "Quagmire-03.png"), "-k", "2"]) == 0
    assert run(["evaluate", str(scans), "--methods", "random", "--metrics", "sparseness", "--out", str(out)]) == 1

    printed = capsys.readouterr()
    assert not names_him(printed.out + printed.err)
    assert "dicom-" in printed.out
    assert "dicom-" in printed.err
    archives = {"images.parquet", "index.faiss", "embeddings.npy", "archive.json"}
    assert {name for name, _ in identifiers_in(out)} - archives == set()
    page = (out / "report.html").read_text()
    assert "dicom-" in page
    assert str(tmp_path) not in page


def test_errors_about_tables_and_masks_of_a_patient_name_him_not(tmp_path):
    file = patient(tmp_path / "Quagmire.png")
    table = MetadataTable("x.csv", {"site": ["A"]}, {"Zebedee.png": 0})
    for ending in ("png", "tif"):
        (tmp_path / "masks").mkdir(exist_ok=True)
        (tmp_path / "masks" / f"Quagmire.{ending}").write_bytes(b"")

    with pytest.raises(ValueError, match="names none of the images: it has other paths, the folder dicom-") as of_table:
        table.of(["Quagmire.png"], [name_of(file)])
    with pytest.raises(ValueError, match=r"dicom-[0-9a-f]{12} has two truths; keep one") as of_masks:
        find_truths([file], tmp_path / "masks")

    assert not names_him(str(of_table.value) + str(of_masks.value))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"P1 2 2 0 0 0 0", "the mask is 2 x 2 px, and the picture 9 x 9 px"),
        (b"<a><bndbox/></a>", "xmin, ymin, xmax, ymax must be numbers of pixels"),
        (b"<a>", "is not XML in UTF-8"),
        (None, "cannot be read: No such file"),
    ],
)
def test_no_error_about_the_truth_of_a_patient_names_him(tmp_path, content, reason):
    file, mask = patient(tmp_path / "Quagmire.png"), tmp_path / "masks" / "Quagmire.png"
    mask = mask.with_suffix(".xml") if content is None or content.startswith(b"<") else mask
    mask.parent.mkdir()
    mask.write_bytes(content or b"")
    truth = find_truths([file], mask.parent)[0]
    if content is None:
        mask.unlink()
        with pytest.raises(TruthError, match=r"^the truth of dicom-"):
            assert truth.digest

    with pytest.raises(TruthError, match=f"^the truth of dicom-[0-9a-f]{{12}}:? {reason}") as error:
        truth.mask((9, 9))

    assert not names_him(str(error.value))


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("image,xmin\n", "must have the columns"),
        ("image,xmin,ymin,xmax,ymax\n1.png,a,1,2,2\n", "line 2: xmin, ymin"),
        ("image,xmin,ymin,xmax,ymax\n2.png,1,1,2,2\n", "has nothing for any of the images"),
        (None, "is not there"),
    ],
)
def test_no_error_about_a_table_named_after_the_patient_names_him(tmp_path, table, reason):
    file = patient(tmp_path / "1.png")
    if table is not None:
        (tmp_path / "Zebedee.csv").write_text(table)

    with pytest.raises(TruthError, match=f"the truth.*{reason}") as error:
        find_truths([file], tmp_path / "Zebedee.csv")

    assert not names_him(str(error.value))


def test_what_a_folder_of_a_patient_passes_over_is_named_by_a_hash(tmp_path):
    folder = tmp_path / "Zebedee"
    folder.mkdir()
    file = patient(folder / "1.png")
    os.mkfifo(folder / "Quagmire.png")
    for name in ("CT.1.Quagmire", "notes.txt"):
        (folder / name).touch()
    told = r"^a folder: passed over as no images: file-[0-9a-f]{12} \(a named pipe\)"

    with pytest.warns(UserWarning, match=rf"{told}, 1 of other endings, 1 .txt$"):
        Listing(folder).walk().warn()
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "1.png").touch()
    os.mkfifo(tmp_path / "masks" / "Quagmire.png")
    with pytest.warns(UserWarning, match=rf"{told}$"):
        find_truths([file], tmp_path / "masks")


def test_a_dicom_file_that_cannot_be_read_is_named_by_a_hash_of_its_path(tmp_path, capsys):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "Zebedee.dcm").symlink_to("nowhere.dcm")

    assert re.fullmatch(r"dicom-[0-9a-f]{12}", name_of(tmp_path / "scans" / "Zebedee.dcm"))
    assert name_of(tmp_path / "Zebedee.dcm") == str(tmp_path / "Zebedee.dcm")  # a word of the user, of no file
    assert run(["index", str(tmp_path / "scans"), "--out", str(tmp_path / "out")]) != 0

    printed = capsys.readouterr()
    assert "dicom-" in printed.err
    assert "zebedee" not in printed.err.lower()


def test_a_folder_named_after_the_patient_is_not_named(tmp_path):
    (tmp_path / "Zebedee").mkdir()
    patient(tmp_path / "Zebedee" / "1.png")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "2.png")

    assert relax.Corpus(tmp_path / "Zebedee").name == "corpus of 1 images in a folder"
    assert relax.Corpus(tmp_path).name == f"corpus of 2 images in {tmp_path}"


@pytest.mark.parametrize("vr", ["LO", "DS", "UI", "US", "SQ"])
def test_no_error_shows_text_of_the_header(tmp_path, vr):
    """Whatever element holds the name of the patient by mistake; neither does the chain of causes, nor a warning."""
    whole, bad = pydicom.dcmread(patient(tmp_path / "whole.dcm")), tmp_path / "bad.dcm"
    refused = 0
    for name in (*PIXELS, *VALUES, *GEOMETRY, "PerFrameFunctionalGroupsSequence"):
        dataset, tag = copy.deepcopy(whole), Tag(tag_for_keyword(name))
        dataset._dict[tag] = RawDataElement(tag, vr, 8, b"Zebedee ", 0, False, True)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pydicom.dcmwrite(bad, dataset, enforce_file_format=True)
        except (AttributeError, ValueError, TypeError):  # what pydicom itself needs to write the file
            continue
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                shown = name_of(bad) + str(read_with_record(bad)[1])
            except ImageError as error:
                refused, shown = refused + 1, "".join(traceback.format_exception(error))
        assert "zebedee" not in (shown + "".join(str(warning.message) for warning in caught)).lower(), name
    assert refused > 5


def test_text_in_place_of_a_uid_is_not_shown(tmp_path):
    file = patient(tmp_path / "a.dcm")
    dataset = pydicom.dcmread(file)
    del dataset.Rows
    with pytest.warns(UserWarning, match="Invalid value for VR UI"):
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "Zebedee"
    dataset.save_as(file)

    with pytest.raises(ImageError, match=r"is a DICOM file without a picture \(no UID\)"):
        read_image(file)


def test_an_innocuous_name_is_kept_and_a_hash_can_be_requested(tmp_path):
    file = patient(tmp_path / "slice-04.dcm", NumberOfFrames=1)

    assert name_of(file) == str(file)
    assert name_of(f"{file}#frame=1&name=hash").endswith("#frame=1")
    assert "slice-04" not in name_of(f"{file}#frame=1&name=hash")
    assert name_of(tmp_path / "missing.dcm") == str(tmp_path / "missing.dcm")


# Maps written back


def explained(file, importance=None, **settings):
    """An explanation of the file, with this importance if one is given."""
    explanation = relax.explain(file, corner_means, masks=30, **settings)
    if importance is None:
        return explanation
    return Explanation(
        importance.astype(np.float32),
        explanation.uncertainty,
        explanation.standard_error,
        explanation.image,
        explanation.provenance,
    )


def values_of(path):
    """Real values as any viewer computes them, NaN where nothing is stored, and the step between two levels."""
    dataset = pydicom.dcmread(path)
    assert (dataset.BitsStored, dataset.PixelRepresentation, dataset.PhotometricInterpretation) == (
        16,
        0,
        "MONOCHROME2",
    )
    power = int(str(dataset.RescaleType).removeprefix("x 1E")) if dataset.RescaleType != "US" else 0
    values = pydicom.pixels.apply_modality_lut(dataset.pixel_array, dataset) / 10.0**power
    (real,) = dataset.RealWorldValueMappingSequence
    np.testing.assert_allclose(
        values, dataset.pixel_array * real.RealWorldValueSlope + real.RealWorldValueIntercept, rtol=1e-9, atol=1e-15
    )
    span = float(np.ptp(values[dataset.pixel_array > 0])) * 10.0**power
    assert float(dataset.WindowWidth).is_integer()
    assert float(dataset.WindowCenter).is_integer()
    assert span == 0 or dataset.WindowWidth >= min(span, 1)
    known = dataset.pixel_array != dataset.PixelPaddingValue
    return np.where(known, values, np.nan), float(dataset.RescaleSlope) / 10.0**power


RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize(
    "importance",
    [
        RANDOM.uniform(-1, 1, (12, 10)),
        RANDOM.uniform(0.91, 0.93, (12, 10)),
        RANDOM.uniform(-2e-7, 3e-7, (12, 10)),
        -RANDOM.uniform(1e5, 1.1e5, (12, 10)),
        RANDOM.uniform(1.2e-5, 1.2e-5 * (1 + 1e-6), (12, 10)),
        np.full((12, 10), 0.7),
        np.zeros((12, 10)),
    ],
    ids=["wide", "narrow", "tiny", "large", "nearly constant", "constant", "zero"],
)
def test_values_come_back_to_within_half_a_step_and_nan_as_nothing(tmp_path, importance):
    importance[0, :3] = np.nan
    file = patient(tmp_path / "a.dcm")
    given = explained(file, importance)

    write_dicom(given, file, tmp_path / "map.dcm")

    values, step = values_of(tmp_path / "map.dcm")
    span = np.nanmax(given.importance).astype(float) - np.nanmin(given.importance)
    assert step == pytest.approx(max(span / 65534, np.nanmax(np.abs(importance)) * 1e-9) or 1, rel=1e-6)
    np.testing.assert_array_equal(np.isnan(values), np.isnan(importance))
    assert np.nanmax(np.abs(values - given.importance)) <= step * 0.501


def test_a_map_has_the_geometry_of_its_source_and_no_patient(tmp_path):
    file = patient(tmp_path / "a.dcm")

    write_dicom(explained(file), file, tmp_path / "map.dcm", map="uncertainty")

    dataset, source = pydicom.dcmread(tmp_path / "map.dcm"), pydicom.dcmread(file)
    assert dataset.ImageOrientationPatient == OBLIQUE
    assert dataset.ImagePositionPatient == [-12.5, 3.25, 99]
    assert dataset.PixelSpacing == [0.7, 0.4]
    assert (dataset.Rows, dataset.Columns) == (source.Rows, source.Columns)
    assert dataset.SOPClassUID.name == "Secondary Capture Image Storage"
    assert dataset.ImageType == ["DERIVED", "SECONDARY"]
    assert dataset.BurnedInAnnotation == "NO"
    assert dataset.SeriesDescription == "RELAX uncertainty"
    assert dataset.PatientIdentityRemoved == "YES"
    assert dataset.PatientName == dataset.PatientID == dataset.StudyDate == ""
    for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert dataset[name].value.is_valid
        assert dataset[name].value != source[name].value
    assert "SourceImageSequence" not in dataset


def test_kept_identifiers_put_the_map_beside_its_source(tmp_path):
    file = patient(tmp_path / "a.dcm", PatientName="Müller^Änne", SpecificCharacterSet="ISO_IR 100")

    write_dicom(explained(file), file, tmp_path / "map.dcm", keep_identifiers=True)

    dataset, source = pydicom.dcmread(tmp_path / "map.dcm"), pydicom.dcmread(file)
    for name in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "FrameOfReferenceUID", "AccessionNumber"):
        assert dataset[name].value == source[name].value, name
    assert str(dataset.PatientName) == "Müller^Änne"
    assert dataset.SeriesInstanceUID != source.SeriesInstanceUID
    assert dataset.SOPInstanceUID != source.SOPInstanceUID
    assert dataset.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert "PatientIdentityRemoved" not in dataset
    assert not [element for element in dataset if element.tag.is_private]


def test_an_overlay_file_is_the_overlay_over_the_picture_with_a_bar_below(tmp_path):
    """Below the median nothing but the picture is seen."""
    importance = np.linspace(0, 1, 120).reshape(12, 10)
    importance[5, 5] = np.nan
    file = patient(tmp_path / "a.dcm", BurnedInAnnotation="NO")
    given = explained(file, importance)

    write_dicom(given, file, tmp_path / "map.dcm", overlay=True)

    dataset, layer = pydicom.dcmread(tmp_path / "map.dcm"), relax.overlay(given).astype(float)
    shown, opacity = dataset.pixel_array[:12, :10], layer[..., 3:] / 255
    assert (dataset.PhotometricInterpretation, dataset.BitsStored, dataset.BurnedInAnnotation) == ("RGB", 8, "NO")
    assert dataset.Rows > 12
    np.testing.assert_allclose(shown, given.image * (1 - opacity) + layer[..., :3] * opacity, atol=0.51)
    np.testing.assert_array_equal(shown[:3], given.image[:3])
    np.testing.assert_array_equal(shown[5, 5], given.image[5, 5])
    assert "viridis, 0 to 1; opacity 0 below quantile 0.5, 0.6 from 0.8 on" in dataset.DerivationDescription
    other = patient(tmp_path / "b.dcm")
    assert "BurnedInAnnotation" not in pydicom.dcmread(
        write_dicom(explained(other), other, tmp_path / "c", overlay=True)
    )


def test_a_map_of_one_frame_takes_frame_and_window_from_its_explanation(tmp_path):
    per_frame = [sequence(PlanePositionSequence=sequence(ImagePositionPatient=[0, 0, z]))[0] for z in (10, 20, 30)]
    values = RANDOM.integers(0, 4000, (3, 12, 10), dtype=np.uint16)
    file = dicom(tmp_path / "a.dcm", values, frames=3, PerFrameFunctionalGroupsSequence=per_frame)

    explanation = relax.explain(f"{file}#frame=2&window=2000,900", corner_means, masks=20)

    assert pydicom.dcmread(write_dicom(explanation, file, tmp_path / "map.dcm")).ImagePositionPatient == [0, 0, 20]
    for other in ("#frame=3", "#window=1000,900"):
        with pytest.raises(ValueError, match=r"source must be what was explained.*shows other pixels"):
            write_dicom(explanation, f"{file}{other}", tmp_path / "map.dcm")


def test_a_map_of_another_picture_or_without_values_is_refused(tmp_path):
    file, other = patient(tmp_path / "a.dcm"), patient(tmp_path / "b.dcm", size=(10, 12))
    explanation = explained(file)

    with pytest.raises(ValueError, match="source must be what was explained"):
        write_dicom(explanation, other, tmp_path / "map.dcm")
    with pytest.raises(ValueError, match="map must be one of importance, uncertainty, standard_error; got 'x'"):
        write_dicom(explanation, file, tmp_path / "map.dcm", map="x")
    with pytest.raises(ValueError, match="map must have values; importance is undefined everywhere"):
        write_dicom(explained(file, np.full((12, 10), np.nan)), file, tmp_path / "map.dcm")
    with pytest.raises(ImageError, match="must be a DICOM file"):
        write_dicom(explanation, tmp_path / "none.dcm", tmp_path / "map.dcm")


def test_a_written_map_can_be_read_as_a_picture(tmp_path):
    """0.2 to 0.8 in its window: the lowest value is black, the highest white, and NaN, as padding, is left out."""
    importance = np.linspace(0.2, 0.8, 120).reshape(12, 10)
    file = patient(tmp_path / "a.dcm")
    given = explained(file, np.where(importance < 0.25, np.nan, importance))

    write_dicom(given, file, tmp_path / "map.dcm")

    defined = given.importance >= 0.25
    low = given.importance[defined].min()
    np.testing.assert_allclose(
        displayed(tmp_path / "map.dcm")[defined], (given.importance[defined] - low) / (0.8 - low), atol=2e-3
    )


def test_the_command_line_says_what_is_wrong_in_one_line(tmp_path, capsys):
    file = patient(tmp_path / "a.dcm")
    explained(file).save(tmp_path / "a.npz")
    export = ["export", str(tmp_path / "a.npz"), "--source", str(file), "--out"]

    assert run([*export, str(tmp_path / "a.png")]) == 2
    assert "--out must end in .dcm, .nii or .nii.gz, or be a folder" in capsys.readouterr().err
    assert run([*export, str(tmp_path / "a.nii"), "--overlay"]) == 2
    assert run(["export", str(file), "--source", str(file), "--out", str(tmp_path / "b.dcm")]) == 2
    assert "is not a saved explanation" in capsys.readouterr().err
    assert not (tmp_path / "b.dcm").exists()


# Headers that lack something, or contradict themselves


HOLED = np.array([[-2000, -1000, 0, 3000]] * 2, dtype=np.int16)  # the first is padding


def without(path, *names):
    dataset = pydicom.dcmread(path)
    for name in names:
        del dataset[name]
    dataset.save_as(path)
    return path


def raw_element(path, name, vr, data):
    """The file with an element written byte for byte, which pydicom itself would not write."""
    dataset = pydicom.dcmread(path)
    tag = pydicom.tag.Tag(pydicom.datadict.tag_for_keyword(name))
    dataset[tag] = pydicom.dataelem.RawDataElement(tag, vr, len(data), data, 0, False, True)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize(
    ("elements", "used", "note"),
    [
        (
            {"VOILUTSequence": sequence()},
            "window 1 of 1",
            "lookup table 1 of 1 is passed over: its VOILUTSequence needs",
        ),
        ({"VOILUTSequence": sequence(LUTDescriptor=None)}, "window 1 of 1", "lookup table 1 of 1 is passed over"),
        ({"VOILUTSequence": sequence(LUTDescriptor=[4, 0, 8])}, "window 1 of 1", "lookup table 1 of 1 is passed over"),
        ({"VOILUTFunction": "LINEAR_FOO"}, "window 1 of 1", "VOILUTFunction is none of LINEAR, LINEAR_EXACT, SIGMOID"),
        (
            {"WindowCenter": ["", 50.5], "WindowWidth": ["", 101]},
            "window 2 of 2",
            "window 1 of 2 is passed over: its WindowCenter or WindowWidth is empty",
        ),
        (
            {"WindowCenter": [9, 50.5], "WindowWidth": [0, 101]},
            "window 2 of 2",
            "window 1 of 2 is passed over: a LINEAR window must have a width at least 1",
        ),
    ],
)
def test_what_cannot_be_used_for_display_is_passed_over_and_noted(tmp_path, elements, used, note):
    """The window from 0 to 100 remains."""
    file = dicom(tmp_path / "a", ROW, **{"WindowCenter": 50.5, "WindowWidth": 101, **elements})

    picture = read_dicom(file)

    np.testing.assert_allclose(picture.pixels[0, :, 0], [0, 0.25, 0.5, 0.75, 1, 1], atol=1e-6)
    assert picture.how["window"]["used"] == f"{used} in the file"
    assert len(picture.how["notes"]) == 1
    assert picture.how["notes"][0].startswith(note)


def test_a_window_that_is_asked_for_must_be_usable(tmp_path):
    file = dicom(tmp_path / "a", ROW, WindowCenter=["", 50.5], WindowWidth=["", 101])

    with pytest.raises(ImageError, match="a LINEAR window must have a width at least 1 and a finite centre"):
        read_dicom(file, window=1)


@pytest.mark.parametrize(("vr", "data"), [("US", b"\x30\xf8"), ("SS", b"\x30\xf8")])
def test_padding_is_read_in_the_sign_of_the_pixels(tmp_path, vr, data):
    """The bytes 30 F8 are -2000 or 63536. Without them values run from -1000 to 3000, or from 1000 to 5000."""
    signed = raw_element(dicom(tmp_path / "a", HOLED), "PixelPaddingValue", vr, data)
    unsigned = dicom(tmp_path / "b", np.array([[63536, 1000, 2000, 5000]] * 2, np.uint16))

    np.testing.assert_allclose(displayed(signed)[0], [0, 0, 0.25, 1], atol=1e-6)
    np.testing.assert_allclose(
        displayed(raw_element(unsigned, "PixelPaddingValue", vr, data))[0], [1, 0, 0.25, 1], atol=1e-6
    )


def test_padding_that_is_no_number_is_noted(tmp_path):
    file = dicom(tmp_path / "a", ROW, PixelPaddingValue=[0, 7])

    assert read_dicom(file).how["window"]["high"] == 200
    assert "PixelPaddingValue must be one number" in read_dicom(file).how["notes"][0]


def test_an_absent_slope_is_one_and_an_absent_intercept_zero(tmp_path):
    values = np.array([[0, 1064, 4000]] * 2, dtype=np.uint16)
    intercept = dicom(tmp_path / "a", values, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400)
    slope = dicom(tmp_path / "b", values, RescaleSlope=2, WindowCenter=4000.5, WindowWidth=8001)

    assert displayed(intercept)[0, [0, 2]].tolist() == [0, 1]
    assert displayed(intercept)[0, 1] == pytest.approx((40 - 39.5) / 399 + 0.5)
    np.testing.assert_allclose(displayed(slope)[0], [0, 2128 / 8000, 1], atol=1e-6)


def test_eight_bits_that_are_rescaled_to_themselves_keep_their_white(tmp_path):
    values = np.array([[60, 186]] * 2, dtype=np.uint8)

    file = dicom(tmp_path / "a", values, RescaleSlope=1, RescaleIntercept=0)

    np.testing.assert_allclose(displayed(file)[0], [60 / 255, 186 / 255], atol=1e-6)


def test_bits_that_are_not_stated_are_those_allocated(tmp_path):
    file = without(dicom(tmp_path / "a", ROW), "BitsStored", "HighBit")

    np.testing.assert_allclose(displayed(file)[0], ROW[0] / 200, atol=1e-6)
    assert read_dicom(file).how["notes"] == ["BitsStored is absent: as many as are allocated, 16"]


def test_the_photometric_interpretation_may_be_in_lower_case(tmp_path):
    file = dicom(tmp_path / "a", ROW, "monochrome1")

    np.testing.assert_allclose(displayed(file)[0], 1 - ROW[0] / 200, atol=1e-6)


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("preamble", [True, False])
def test_a_transfer_syntax_that_is_not_stated_is_told_by_the_length_of_the_pixels(tmp_path, preamble, implicit):
    dataset = pydicom.dcmread(dicom(tmp_path / "a.dcm", ROW))
    del dataset.file_meta.TransferSyntaxUID
    keywords = {"implicit_vr": implicit, "little_endian": True, "enforce_file_format": False}
    if not preamble:
        dataset.preamble, dataset.file_meta = None, FileMetaDataset()
    dataset.save_as(tmp_path / "a.dcm", **keywords)

    picture = read_dicom(tmp_path / "a.dcm")

    np.testing.assert_allclose(picture.pixels[0, :, 0], ROW[0] / 200, atol=1e-6)
    syntax = "Implicit" if implicit else "Explicit"
    assert picture.how["notes"] == [f"its transfer syntax is not stated: read as {syntax} VR Little Endian"]

    dataset.Rows = 3
    dataset.save_as(tmp_path / "a.dcm", **keywords)
    with pytest.raises(ImageError, match=r"does not state its transfer syntax, .* convert it, as with dcmconv"):
        read_dicom(tmp_path / "a.dcm")


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"SamplesPerPixel": 3}, r"SamplesPerPixel must be 1 \(MONOCHROME2\); got 3: correct it in a copy"),
        (
            {"PixelRepresentation": 2},
            r"PixelRepresentation must be 0 or 1 \(MONOCHROME2\); got 2: correct it",
        ),
        ({"BitsAllocated": 12, "BitsStored": 12}, "BitsAllocated must be 1, 8, 16, .* or 64 .*; got 12: correct it"),
        ({"NumberOfFrames": -1}, "NumberOfFrames must be at least 1; got -1: correct it in a copy"),
        ({"Rows": [2, 3]}, "Rows must be one number; correct it in a copy"),
        (
            {"RescaleSlope": 0, "RescaleIntercept": 5},
            "RescaleSlope and RescaleIntercept must be finite, the slope not",
        ),
        ({"ModalityLUTSequence": sequence()}, "its ModalityLUTSequence needs LUTDescriptor"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused_with_the_element_and_the_way_out(tmp_path, elements, message):
    with pytest.raises(ImageError, match=message):
        read_dicom(dicom(tmp_path / "a", ROW, **elements))


def test_a_missing_element_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"lacks elements that describe .*'Pixel Representation'.*export it again"):
        read_dicom(without(dicom(tmp_path / "a", ROW), "PixelRepresentation"))


def test_the_limit_on_memory_can_be_raised(tmp_path, monkeypatch):
    """2 bytes per pixel as stored, 4 as grey, 12 of the result make 18."""
    file = dicom(tmp_path / "a.dcm", np.zeros((100, 100), np.uint16))
    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", "170000")
    with pytest.raises(ImageError, match="100 x 100 pixels would take 0 MB of memory to read"):
        read_image(file)

    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", "180000")
    assert read_image(file).shape == (1, 3, 100, 100)
