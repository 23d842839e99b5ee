"""Read one frame of a DICOM file as a viewer displays it: modality transform, then window, then [0, 1].

pydicom decodes pixels and converts colours; the order of the steps and the choice of the window are made here. Overlays
(group 60xx), shutters and ICC profiles are not applied.

Source: DICOM PS3.3, C.7.6.3.1.2 (photometric interpretation), C.11.1 (modality LUT), C.11.2 (VOI LUT; its
C.11.2.1.2.1 is the LINEAR window).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.io.errors import ImageError, in_one_line
from relax.io.extra import medical_extra
from relax.io.header import COLOUR, read_header, uid_name
from relax.io.picture import Picture, Window

with medical_extra():
    from pydicom import dcmread
    from pydicom.dataset import Dataset
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.processing import apply_color_lut, apply_rescale, apply_windowing
    from pydicom.pixels.utils import pixel_array
    from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

Values = NDArray[Any]

MORE_DECODERS = 'pip install "pylibjpeg[all]" adds decoders'


def read_dicom(path: str | Path, *, frame: int | None = None, window: Window | None = None) -> Picture:
    """Read one frame of a DICOM file.

    Grey values pass through the modality transform (rescale slope and intercept, or a lookup table) and the window;
    MONOCHROME1 is inverted, so that 1 is white. Colours (RGB, YBR, palette) are divided by the white of their bits.

    Args:
        path: The file, in any transfer syntax that pydicom and its plugins decode.
        frame: Number of the frame, from 1; required if there are several.
        window: None takes the first of these that applies: the file's first VOI lookup table; its first window; the
            whole range if at most 8 bits are stored and not transformed; the lowest and highest value of the frame,
            without padding. A number takes the window of that number in the file, from 1; (centre, width) is a window
            in the unit of the transformed values, such as Hounsfield units. The function of the window (LINEAR,
            LINEAR_EXACT or SIGMOID) is that of the file, LINEAR if it states none.

    Returns:
        The picture; `how` records frame, bits, transform, window, pixel spacing, and whether text is burned in.

    Raises:
        ImageError: If there is no picture, no such frame or window, several frames and none is named, the picture is
            too large or damaged, holds NaN, or its transfer syntax has no decoder.

    Warns:
        UserWarning: If the file states that text is burned into the picture.
    """
    path = Path(path)
    with decoding_errors():
        header, frame = read_header(path, frame)
        stored = _decode(path, header, frame)
        if header.PhotometricInterpretation in (*COLOUR, "PALETTE COLOR"):
            if window is not None:
                raise ImageError("window is for grey pictures; this one has colours")
            pixels, window_record = _colours(stored, header), {"used": "none: colours are shown as stored"}
            transform = "none"
        else:
            values, transform = _modality_values(stored, header)
            unit, window_record = _windowed(values, stored, header, window, transformed=transform != "none")
            inverted = header.PhotometricInterpretation == "MONOCHROME1"
            pixels = (1 - unit if inverted else unit)[..., None]
        record = {**_record(header, frame), "transform": transform, "window": window_record}
        choice = {"frame": frame if record["frames"] > 1 else None, "window": window}
        record["asked"] = {key: value for key, value in choice.items() if value is not None}
    if not np.isfinite(pixels).all():
        raise ImageError("some of its values are NaN or infinite; replace them")
    if record["burned_in_annotation"] == "YES":
        warnings.warn("text is burned into this picture and will be visible in every figure of it", stacklevel=2)
    return Picture(pixels.clip(0, 1).astype(np.float32), record)


@contextmanager
def decoding_errors() -> Iterator[None]:
    """Raise any error of a decoder as an ImageError, and suppress pydicom's warnings, which may quote the header."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (ImageError, ImportError):
        raise
    except Exception as error:
        raise ImageError(f"cannot be decoded, the file is damaged or truncated ({in_one_line(error)})") from error


def _decode(path: Path, header: Dataset, frame: int) -> Values:
    """(H, W) or (H, W, 3) as stored, but YBR converted to RGB; other frames are not kept in memory."""
    syntax = UID(str(header.file_meta.get("TransferSyntaxUID") or ""))
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise ImageError(f"its transfer syntax, {uid_name(syntax)}, is not supported by pydicom") from None
    if not decoder.is_available:
        missing = "; or ".join(" ".join(text.split()) for text in decoder.missing_dependencies)
        raise ImageError(f"its transfer syntax, {uid_name(syntax)}, has no decoder here ({missing}); {MORE_DECODERS}")
    try:
        deflated = syntax == DeflatedExplicitVRLittleEndian  # whose frames pydicom finds in a data set only, not a file
        return pixel_array(dcmread(path) if deflated else path, index=frame - 1)
    except AttributeError as error:
        raise ImageError(f"has no pixels, or lacks elements that describe them ({in_one_line(error)})") from error
    except RuntimeError as error:
        reason = in_one_line(error, 300)
        raise ImageError(f"its pixels, {uid_name(syntax)}, cannot be decoded ({reason}); {MORE_DECODERS}") from error


def _colours(stored: Values, header: Dataset) -> NDArray[np.float64]:
    """(H, W, 3 or 4) in [0, 1]."""
    if header.PhotometricInterpretation != "PALETTE COLOR":
        return stored / (2.0 ** int(header.BitsStored) - 1)
    entries, first, _ = header.RedPaletteColorLookupTableDescriptor
    last = first + (entries or 65536) - 1
    colours = apply_color_lut(stored.clip(first, last).astype(np.int64), header)
    return colours / float(np.iinfo(colours.dtype).max)


def _modality_values(stored: Values, header: Dataset) -> tuple[Values, str]:
    """The values in the unit of the windows, and the transform that led to them, in words."""
    if header.get("ModalityLUTSequence"):
        return _looked_up(stored, header.ModalityLUTSequence[0], header)[0], "lookup table"
    if header.get("RescaleSlope") is None or header.get("RescaleIntercept") is None:
        return stored, "none"
    slope, intercept = float(header.RescaleSlope), float(header.RescaleIntercept)
    return apply_rescale(stored, header), f"{slope:g} x stored + {intercept:g}"


def _windowed(
    values: Values, stored: Values, header: Dataset, window: Window | None, *, transformed: bool
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """(H, W) in [0, 1], 1 being the upper end of the window, and a record of the window."""
    tables = header.get("VOILUTSequence") or []
    windows = _stored_windows(header)
    if window is None and tables:
        table, white = _looked_up(values, tables[0], header)
        return table / white, {"used": f"lookup table 1 of {len(tables)} in the file"}
    if isinstance(window, int) and not 1 <= window <= len(windows):
        raise ImageError(f"window must be the number of one of the file's {len(windows)} windows; got {window}")
    if window is not None or windows:
        if isinstance(window, int | None):
            number = window or 1
            (center, width), used = windows[number - 1], f"window {number} of {len(windows)} in the file"
        else:
            (center, width), used = window, "window given by the caller"
        function = str(header.get("VOILUTFunction") or "LINEAR").upper()
        record = {"used": used, "function": function, "center": float(center), "width": float(width)}
        return _apply_window(values, function, float(center), float(width)), record
    low, high, used = _default_range(values, stored, header, transformed=transformed)
    unit = (values.astype(np.float64) - low) / (high - low or 1.0)
    return unit.clip(0, 1), {"used": used, "low": low, "high": high}


def _default_range(values: Values, stored: Values, header: Dataset, *, transformed: bool) -> tuple[float, float, str]:
    """The values shown black and white where there is no window, and the rule behind them."""
    if int(header.get("BitsStored") or 64) <= 8 and not transformed:
        half = 2.0 ** (int(header.BitsStored) - 1)
        low, high = (-half, half - 1) if header.PixelRepresentation else (0.0, 2 * half - 1)
        return low, high, "whole range of the stored bits"
    inside = values[~_padding(stored, header)]
    if not inside.size:
        raise ImageError("consists of padding only; there is nothing to explain")
    return float(inside.min()), float(inside.max()), "lowest and highest value of the frame"


def _apply_window(values: Values, function: str, center: float, width: float) -> NDArray[np.float64]:
    """The window function of pydicom with 16 unsigned bits of output, divided by their white."""
    minimum = 1.0 if function == "LINEAR" else 0.0
    if not np.isfinite([center, width]).all() or width < minimum or width == 0:
        valid = "at least 1" if minimum else "above 0"
        raise ImageError(f"a {function} window must have a width {valid} and a finite centre; got {center:g},{width:g}")
    header = Dataset()
    header.PhotometricInterpretation = "MONOCHROME2"
    header.BitsStored, header.PixelRepresentation = 16, 0
    header.VOILUTFunction = function
    header.WindowCenter, header.WindowWidth = center, width
    with np.errstate(over="ignore"):  # far below a SIGMOID window exp() is infinite and the result 0, as intended
        return apply_windowing(values, header) / 65535.0


def _stored_windows(header: Dataset) -> list[tuple[float, float]]:
    elements = [header.get("WindowCenter"), header.get("WindowWidth")]
    centers, widths = ([float(x) for x in (v if np.iterable(v) else [v]) if x is not None] for v in elements)
    return list(zip(centers, widths, strict=False))


def _looked_up(values: Values, item: Dataset, header: Dataset) -> tuple[Values, float]:
    """The values looked up in a table, and the white of the table.

    pydicom's own function wraps inputs around when a table of 8-bit values has more than 256 entries.
    """
    entries, first, bits = (int(number) for number in item.LUTDescriptor)
    data = item.LUTData
    if isinstance(data, bytes):
        order = ">" if header.original_encoding[1] is False else "<"
        data = np.frombuffer(data, "u1" if len(data) < 2 * (entries or 65536) else f"{order}u2")
    table = np.asarray(data, dtype=np.int64)[: entries or 65536]
    index = np.rint(np.asarray(values, dtype=np.float64)) - first
    return table[index.clip(0, len(table) - 1).astype(np.int64)], 2.0**bits - 1


def _padding(stored: Values, header: Dataset) -> NDArray[np.bool_]:
    """(H, W): where the stored value is padding (PS3.3 C.7.5.1.1.2)."""
    value = header.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, dtype=bool)
    limit = header.get("PixelPaddingRangeLimit", value)
    padding: NDArray[np.bool_] = (stored >= min(value, limit)) & (stored <= max(value, limit))
    return padding


def _record(header: Dataset, frame: int) -> dict[str, Any]:
    burned = header.get("BurnedInAnnotation")
    spacing = next((header.get(name) for name in ("PixelSpacing", "ImagerPixelSpacing") if header.get(name)), None)
    aspect = spacing or header.get("PixelAspectRatio")
    return {
        "format": "DICOM",
        "frame": frame,
        "frames": int(header.get("NumberOfFrames") or 1),
        "transfer_syntax": uid_name(header.file_meta.TransferSyntaxUID),
        "photometric_interpretation": str(header.PhotometricInterpretation),
        "bits_stored": int(header.get("BitsStored") or header.BitsAllocated),
        "signed": bool(header.get("PixelRepresentation")),
        "pixel_spacing_mm": None if spacing is None else [float(value) for value in spacing],
        "square_pixels": None if not aspect else float(aspect[0]) == float(aspect[1]),
        "burned_in_annotation": burned if burned in ("YES", "NO") else "not stated",
    }
