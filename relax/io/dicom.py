"""Read one frame of a DICOM file as a reading room shows it: modality transform, then window, then [0, 1].

pydicom decodes and converts colours; the order of the steps, and the choice of the window where the file leaves one,
stand here. Overlays (group 60xx), shutters and ICC profiles are not applied.

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

from relax.io.errors import ImageError
from relax.io.extra import medical_extra
from relax.io.header import COLOUR, read_header
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

    Grey values pass the modality transform (rescale slope and intercept, or lookup table), then the window, and
    MONOCHROME1 is turned so that 1 is white. Colours (RGB, YBR, palette) are divided by the white of their bits.

    Args:
        path: The file, in any transfer syntax that pydicom and its plugins decode.
        frame: Which frame, from 1; needed where there are several.
        window: None takes, in this order, the file's first VOI lookup table; its first window; the whole range where
            8 bits or fewer are stored and not transformed; the lowest and highest value of the frame, without padding.
            A number takes the file's window of that number, from 1; (centre, width) is a window in the unit
            of the transformed values, such as Hounsfield units. The window's function (LINEAR where the file states
            none, LINEAR_EXACT or SIGMOID) is the file's.

    Returns:
        The picture; `how` says which window was used, frame, bits, transform, pixel spacing, whether text is burned in.

    Raises:
        ImageError: No picture, several frames and none named, too large, damaged, a transfer syntax without a plugin,
            no such window, NaN.

    Warns:
        UserWarning: If the file says that text is burned into the picture.
    """
    path = Path(path)
    with unforeseen_reported():
        header, frame = read_header(path, frame)
        stored = _decode(path, header, frame)
        if header.PhotometricInterpretation in (*COLOUR, "PALETTE COLOR"):
            if window is not None:
                raise ImageError("window is for grey pictures; this one has colours")
            pixels, shown = _colours(stored, header), {"used": "none: colours are shown as stored"}
            transform = "none"
        else:
            values, transform = _modality_values(stored, header)
            unit, shown = _windowed(values, stored, header, window, transformed=transform != "none")
            turned = header.PhotometricInterpretation == "MONOCHROME1"
            pixels = (1 - unit if turned else unit)[..., None]
        how = {**_record(header, frame), "transform": transform, "window": shown}
        asked = {"frame": frame if how["frames"] > 1 else None, "window": window}
        how["asked"] = {key: value for key, value in asked.items() if value is not None}
    if not np.isfinite(pixels).all():
        raise ImageError("its values are partly NaN or infinite; replace them")
    if how["burned_in_annotation"] == "YES":
        warnings.warn("text is burned into this picture, and every figure of it shows that text", stacklevel=2)
    return Picture(pixels.clip(0, 1).astype(np.float32), how)


@contextmanager
def unforeseen_reported() -> Iterator[None]:
    """A damaged file can break a decoder anywhere; pydicom's warnings may quote the header and are not passed on."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (ImageError, ImportError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ImageError(f"cannot be decoded, the file is damaged or truncated ({reason})") from error


def _decode(path: Path, header: Dataset, frame: int) -> Values:
    """(H, W) or (H, W, 3) as stored, YBR already turned into RGB; nothing of the other frames is kept."""
    syntax = UID(str(header.file_meta.get("TransferSyntaxUID") or ""))
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise ImageError(f"its transfer syntax, {syntax.name or 'not stated'}, is none that pydicom decodes") from None
    if not decoder.is_available:
        needs = "; or ".join(" ".join(text.split()) for text in decoder.missing_dependencies)
        raise ImageError(f"its transfer syntax, {syntax.name}, has no decoder here ({needs}); {MORE_DECODERS}")
    try:
        whole = syntax == DeflatedExplicitVRLittleEndian  # pydicom finds no frames in these files, only in memory
        return pixel_array(dcmread(path) if whole else path, index=frame - 1)
    except AttributeError as error:
        raise ImageError(f"has no pixels, or lacks what describes them ({' '.join(str(error).split())})") from error
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ImageError(f"its pixels, {syntax.name}, cannot be decoded ({reason}); {MORE_DECODERS}") from error


def _colours(stored: Values, header: Dataset) -> NDArray[np.float64]:
    """(H, W, 3 or 4) in [0, 1]."""
    if header.PhotometricInterpretation != "PALETTE COLOR":
        return stored / (2.0 ** int(header.BitsStored) - 1)
    entries, first, _ = header.RedPaletteColorLookupTableDescriptor
    last = first + (entries or 65536) - 1
    colours = apply_color_lut(stored.clip(first, last).astype(np.int64), header)
    return colours / float(np.iinfo(colours.dtype).max)


def _modality_values(stored: Values, header: Dataset) -> tuple[Values, str]:
    """The values in the unit that windows are given in, and how they came about."""
    if header.get("ModalityLUTSequence"):
        return _looked_up(stored, header.ModalityLUTSequence[0], header)[0], "lookup table"
    if header.get("RescaleSlope") is None or header.get("RescaleIntercept") is None:
        return stored, "none"
    slope, intercept = float(header.RescaleSlope), float(header.RescaleIntercept)
    return apply_rescale(stored, header), f"{slope:g} x stored + {intercept:g}"


def _windowed(
    values: Values, stored: Values, header: Dataset, window: Window | None, *, transformed: bool
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """(H, W) in [0, 1], 1 being the end of the window, and which window it was."""
    tables = header.get("VOILUTSequence") or []
    windows = _stored_windows(header)
    if window is None and tables:
        table, white = _looked_up(values, tables[0], header)
        return table / white, {"used": f"lookup table 1 of {len(tables)} in the file"}
    if isinstance(window, int) and not 1 <= window <= len(windows):
        raise ImageError(f"window must be the number of one of the file's {len(windows)} windows; got {window}")
    if window is not None or windows:
        number = window if isinstance(window, int) else 1
        named = isinstance(window, int | None)
        center, width = windows[number - 1] if isinstance(window, int | None) else window
        function = str(header.get("VOILUTFunction") or "LINEAR").upper()
        used = f"window {number} of {len(windows)} in the file" if named else "window given by the caller"
        record = {"used": used, "function": function, "center": float(center), "width": float(width)}
        return _window(values, function, float(center), float(width)), record
    if int(header.get("BitsStored") or 64) <= 8 and not transformed:
        half = 2.0 ** (int(header.BitsStored) - 1)
        low, high = (-half, half - 1) if header.PixelRepresentation else (0.0, 2 * half - 1)
        used = "whole range of the stored bits"
    else:
        inside = values[~_padding(stored, header)]
        if not inside.size:
            raise ImageError("is padding all over; there is nothing to explain")
        low, high = float(inside.min()), float(inside.max())
        used = "lowest and highest value of the frame"
    unit = (values.astype(np.float64) - low) / (high - low or 1.0)
    return unit.clip(0, 1), {"used": used, "low": low, "high": high}


def _window(values: Values, function: str, center: float, width: float) -> NDArray[np.float64]:
    """The windows of pydicom, asked for 16 unsigned bits and divided by their white."""
    least = 1.0 if function == "LINEAR" else 0.0
    if not np.isfinite([center, width]).all() or width < least or width == 0:
        must = "at least 1" if least else "above 0"
        raise ImageError(f"a {function} window has a width {must} and a finite centre; got {center:g},{width:g}")
    asked = Dataset()
    asked.PhotometricInterpretation = "MONOCHROME2"
    asked.BitsStored, asked.PixelRepresentation = 16, 0
    asked.VOILUTFunction = function
    asked.WindowCenter, asked.WindowWidth = center, width
    with np.errstate(over="ignore"):  # far below a SIGMOID window exp() is infinite and the result 0, as it should
        return apply_windowing(values, asked) / 65535.0


def _stored_windows(header: Dataset) -> list[tuple[float, float]]:
    ends = [header.get("WindowCenter"), header.get("WindowWidth")]
    centers, widths = ([float(x) for x in (v if np.iterable(v) else [v]) if x is not None] for v in ends)
    return list(zip(centers, widths, strict=False))


def _looked_up(values: Values, item: Dataset, header: Dataset) -> tuple[Values, float]:
    """The values of a lookup table, and its white.

    Not pydicom's: it wraps inputs around when a table of 8-bit values has more than 256 entries.
    """
    entries, first, bits = (int(number) for number in item.LUTDescriptor)
    data = item.LUTData
    if isinstance(data, bytes):
        order = ">" if header.original_encoding[1] is False else "<"
        data = np.frombuffer(data, "u1" if len(data) < 2 * (entries or 65536) else f"{order}u2")
    table = np.asarray(data, dtype=np.int64)[: entries or 65536]
    place = np.rint(np.asarray(values, dtype=np.float64)) - first
    return table[place.clip(0, len(table) - 1).astype(np.int64)], 2.0**bits - 1


def _padding(stored: Values, header: Dataset) -> NDArray[np.bool_]:
    """Where the scanner stored nothing (PS3.3 C.7.5.1.1.2)."""
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
        "transfer_syntax": UID(str(header.file_meta.TransferSyntaxUID)).name,
        "photometric_interpretation": str(header.PhotometricInterpretation),
        "bits_stored": int(header.get("BitsStored") or header.BitsAllocated),
        "signed": bool(header.get("PixelRepresentation")),
        "pixel_spacing_mm": None if spacing is None else [float(value) for value in spacing],
        "square_pixels": None if not aspect else float(aspect[0]) == float(aspect[1]),
        "burned_in_annotation": burned if burned in ("YES", "NO") else "not stated",
    }
