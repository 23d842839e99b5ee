"""Read one frame of a DICOM file as a viewer displays it: modality transform, then window, then [0, 1].

pydicom decodes pixels and converts colours; the order of the steps and the choice of the window are made here. Overlays
(group 60xx), shutters and ICC profiles are not applied.

Source: DICOM PS3.3, C.7.6.3.1.2 (photometric interpretation), C.11.1 (modality LUT), C.11.2 (VOI LUT; its
C.11.2.1.2.1 is the LINEAR window).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from relax.io.errors import ImageError, decoding_errors, in_one_line
from relax.io.extra import medical_extra
from relax.io.header import COLOUR, number, read_header, uid_name
from relax.io.picture import Picture, Window

with medical_extra():
    from pydicom import dcmread
    from pydicom.dataset import Dataset
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.processing import apply_color_lut, apply_windowing
    from pydicom.pixels.utils import pixel_array
    from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

Values = NDArray[Any]
Step: TypeAlias = Callable[[Values], Values]
"""From values to values of the same shape, value by value: it may be applied to a few rows at a time."""

_STRIP = 1 << 18  # pixels that are converted at once
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")

MORE_DECODERS = 'pip install "pylibjpeg[all]" adds decoders'


def read_dicom(path: str | Path, *, frame: int | None = None, window: Window | None = None) -> Picture:
    """Read one frame of a DICOM file.

    Grey values pass through the modality transform (rescale slope and intercept, of which an absent one is 1 or 0, or a
    lookup table) and the window; MONOCHROME1 is inverted, so that 1 is white. Colours (RGB, YBR, palette) are divided
    by the white of their bits.

    Args:
        path: The file, in any transfer syntax that pydicom and its plugins decode.
        frame: Number of the frame, from 1; required if there are several.
        window: None takes the first of these that applies: the file's first VOI lookup table; its first window; the
            whole range if at most 8 bits are stored and not transformed; the lowest and highest value of the frame,
            without padding. A number takes the window of that number in the file, from 1; (centre, width) is a window
            in the unit of the transformed values, such as Hounsfield units. The function of the window (LINEAR,
            LINEAR_EXACT or SIGMOID) is that of the file, LINEAR if it states none. Tables, windows and functions that
            cannot be used, such as empty ones, are passed over, and noted.

    Returns:
        The picture; `how` records frame, bits, transform, window, pixel spacing, whether text is burned in, and notes
        of what was passed over, or read although the header does not state it.

    Raises:
        ImageError: If there is no picture, no such frame or window, several frames and none is named, the picture is
            damaged, inconsistent, or takes too much memory (`relax.io.limits`; a deflated data set three times its
            unpacked size), holds NaN, or its transfer syntax has no decoder.

    Warns:
        UserWarning: If the file states that text is burned into the picture.
    """
    path = Path(path)
    with decoding_errors():
        header, frame, notes = read_header(path, frame)
        stored = _decode(path, header, frame)
        if header.PhotometricInterpretation in (*COLOUR, "PALETTE COLOR"):
            if window is not None:
                raise ImageError("window is for grey pictures; this one has colours")
            transform, window_record = "none", {"used": "none: colours are shown as stored"}
            step = _colours(header)
        else:
            step, transform, window_record = _grey(stored, header, window, notes)
        pixels = _converted(stored, step)
        record = {**_record(header, frame), "transform": transform, "window": window_record}
        choice = {"frame": frame if record["frames"] > 1 else None, "window": window}
        record["asked"] = {key: value for key, value in choice.items() if value is not None}
        record |= {"notes": notes} if notes else {}
    if record["burned_in_annotation"] == "YES":
        warnings.warn("text is burned into this picture and will be visible in every figure of it", stacklevel=2)
    return Picture(pixels, record)


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
        stated = {
            "transfer_syntax_uid": syntax,
            "photometric_interpretation": header.PhotometricInterpretation,
            "bits_stored": int(header.BitsStored),
        }
        return pixel_array(dcmread(path) if deflated else path, index=frame - 1, **stated)
    except AttributeError as error:
        reason = f"has no pixels, or lacks elements that describe them ({in_one_line(error)})"
        raise ImageError(f"{reason}; export it again from its source") from error
    except RuntimeError as error:
        reason = in_one_line(error, 300)
        raise ImageError(f"its pixels, {uid_name(syntax)}, cannot be decoded ({reason}); {MORE_DECODERS}") from error


def _converted(stored: Values, step: Step) -> NDArray[np.float32]:
    """(H, W, C) float32 in [0, 1] from the stored values (H, W, ...), a few rows at a time."""
    pixels: NDArray[np.float32] | None = None
    for rows in _strips(stored):
        part = step(stored[rows])
        part = part if part.ndim == 3 else part[..., None]
        if not np.isfinite(part).all():
            raise ImageError("some of its values are NaN or infinite; replace them")
        if pixels is None:
            pixels = np.empty((*stored.shape[:2], part.shape[-1]), np.float32)
        pixels[rows] = part.clip(0, 1)
    assert pixels is not None  # noqa: S101  # a picture has rows
    return pixels


def _strips(stored: Values) -> Iterator[slice]:
    step = max(1, _STRIP // stored.shape[1])
    return (slice(start, start + step) for start in range(0, len(stored), step))


def _colours(header: Dataset) -> Step:
    """To (h, W, 3 or 4) in [0, 1]."""
    if header.PhotometricInterpretation != "PALETTE COLOR":
        white = 2.0 ** int(header.BitsStored) - 1
        return lambda stored: stored / white
    entries, first, _ = header.RedPaletteColorLookupTableDescriptor
    last = first + (entries or 65536) - 1

    def look_up(stored: Values) -> Values:
        colours = apply_color_lut(stored.clip(first, last).astype(np.int64), header)
        return colours / float(np.iinfo(colours.dtype).max)

    return look_up


def _grey(stored: Values, header: Dataset, window: Window | None, notes: list[str]) -> tuple[Step, str, dict[str, Any]]:
    """To (h, W) in [0, 1], 1 being white; with the modality transform in words, and a record of the window."""
    to_unit_of_windows, transform, changes = _modality(header)
    shown, record = _chosen_window(header, window, notes)
    if shown is None:
        low, high, used = _default_range(stored, header, None if not changes else to_unit_of_windows, notes)
        record = {"used": used, "low": low, "high": high}

        def shown(values: Values) -> Values:
            return ((values.astype(np.float64) - low) / (high - low or 1.0)).clip(0, 1)

    inverted, through_window = header.PhotometricInterpretation == "MONOCHROME1", shown

    def step(stored: Values) -> Values:
        unit = through_window(to_unit_of_windows(stored))
        return 1 - unit if inverted else unit

    return step, transform, record


def _modality(header: Dataset) -> tuple[Step, str, bool]:
    """To the unit of the windows; in words; and whether it changes any value."""
    if header.get("ModalityLUTSequence"):
        look_up, _ = _table(header.ModalityLUTSequence[0], "ModalityLUTSequence", header)
        return look_up, "lookup table", True
    if "RescaleSlope" not in header and "RescaleIntercept" not in header:
        return lambda stored: stored, "none", False
    slope, intercept = number(header, "RescaleSlope", float), number(header, "RescaleIntercept", float)
    slope, intercept = 1.0 if slope is None else slope, 0.0 if intercept is None else intercept
    if not np.isfinite([slope, intercept]).all() or slope == 0:
        raise ImageError(
            f"its RescaleSlope and RescaleIntercept must be finite, the slope not 0; got {slope:g} and {intercept:g}: "
            "correct them in a copy, as with dcmodify"
        )
    changes = (slope, intercept) != (1, 0)
    return lambda stored: stored.astype(np.float64) * slope + intercept, f"{slope:g} x stored + {intercept:g}", changes


def _chosen_window(header: Dataset, window: Window | None, notes: list[str]) -> tuple[Step | None, dict[str, Any]]:
    """To (h, W) in [0, 1] by the window asked for, or by the first usable table or window of the file, if any."""
    tables, windows = header.get("VOILUTSequence") or [], _stored_windows(header)
    if isinstance(window, int):
        if not 1 <= window <= len(windows):
            raise ImageError(f"window must be the number of one of the file's {len(windows)} windows; got {window}")
        return _windowed(header, windows[window - 1], f"window {window} of {len(windows)} in the file", notes)
    if window is not None:
        return _windowed(header, window, "window given by the caller", notes)
    for count, item in enumerate(tables, 1):
        try:
            look_up, white = _table(item, "VOILUTSequence", header)
        except ImageError as error:
            notes.append(f"lookup table {count} of {len(tables)} is passed over: {error}")
        else:
            return _scaled(look_up, white), {"used": f"lookup table {count} of {len(tables)} in the file"}
    for count, pair in enumerate(windows, 1):
        if not np.isfinite(pair).all():
            notes.append(f"window {count} of {len(windows)} is passed over: its WindowCenter or WindowWidth is empty")
            continue
        try:
            return _windowed(header, pair, f"window {count} of {len(windows)} in the file", notes)
        except ImageError as error:
            notes.append(f"window {count} of {len(windows)} is passed over: {error}")
    return None, {}


def _scaled(look_up: Step, white: float) -> Step:
    return lambda values: look_up(values) / white


def _windowed(header: Dataset, window: tuple[float, float], used: str, notes: list[str]) -> tuple[Step, dict[str, Any]]:
    """Through a window (centre, width) with the function of the file; and its record."""
    center, width = map(float, window)
    function = str(header.get("VOILUTFunction") or "LINEAR").strip().upper()
    known = function if function in _FUNCTIONS else "LINEAR"
    minimum = 1.0 if known == "LINEAR" else 0.0
    if not np.isfinite([center, width]).all() or width < minimum or width == 0:
        valid = "at least 1" if minimum else "above 0"
        raise ImageError(f"a {known} window must have a width {valid} and a finite centre; got {center:g},{width:g}")
    if known != function:
        notes.append(f"VOILUTFunction is none of {', '.join(_FUNCTIONS)}: LINEAR is used")
    record = {"used": used, "function": known, "center": center, "width": width}
    return lambda values: _apply_window(values, known, center, width), record


def _default_range(
    stored: Values, header: Dataset, transform: Step | None, notes: list[str]
) -> tuple[float, float, str]:
    """The values shown black and white where there is no window, and the rule behind them."""
    if int(header.BitsStored) <= 8 and transform is None:
        half = 2.0 ** (int(header.BitsStored) - 1)
        low, high = (-half, half - 1) if header.PixelRepresentation else (0.0, 2 * half - 1)
        return low, high, "whole range of the stored bits"
    padding, extremes = _padding_range(stored, header, notes), []
    for rows in _strips(stored):
        part = stored[rows]
        inside = part if padding is None else part[(part < padding[0]) | (part > padding[1])]
        if inside.size:
            values = transform(inside) if transform else inside
            extremes += [float(values.min()), float(values.max())]
    if not extremes:
        raise ImageError("consists of padding only; there is nothing to explain")
    return float(np.min(extremes)), float(np.max(extremes)), "lowest and highest value of the frame"


def _apply_window(values: Values, function: str, center: float, width: float) -> NDArray[np.float64]:
    """The window function of pydicom with 16 unsigned bits of output, divided by their white."""
    header = Dataset()
    header.PhotometricInterpretation = "MONOCHROME2"
    header.BitsStored, header.PixelRepresentation = 16, 0
    header.VOILUTFunction = function
    header.WindowCenter, header.WindowWidth = center, width
    with np.errstate(over="ignore"):  # far below a SIGMOID window exp() is infinite and the result 0, as intended
        return apply_windowing(values, header) / 65535.0


def _stored_windows(header: Dataset) -> list[tuple[float, float]]:
    """Centre and width of each window of the file, NaN where one is empty or no number."""
    elements = [header.get(name) for name in ("WindowCenter", "WindowWidth")]
    columns = [value if np.iterable(value) and not isinstance(value, str) else [value] for value in elements]
    windows = [(_float(center), _float(width)) for center, width in zip(*columns, strict=False)]
    return windows if any(np.isfinite(value) for window in windows for value in window) else []


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _table(item: Dataset, name: str, header: Dataset) -> tuple[Step, float]:
    """A lookup of values in the table of an item, and the white of the table.

    pydicom's own function wraps inputs around when a table of 8-bit values has more than 256 entries.

    Raises:
        ImageError: If the item describes no table.
    """
    try:
        entries, first, bits = (int(part) for part in item.LUTDescriptor)
        data = item.LUTData
        if isinstance(data, bytes):
            order = ">" if header.original_encoding[1] is False else "<"
            data = np.frombuffer(data, "u1" if len(data) < 2 * (entries or 65536) else f"{order}u2")
        table = np.asarray(data, dtype=np.int64)[: entries or 65536]
    except (AttributeError, TypeError, ValueError):
        table, first, bits = np.empty(0, dtype=np.int64), 0, 0
    if not table.size or not 1 <= bits <= 16:
        raise ImageError(f"its {name} needs LUTDescriptor (entries, first input, bits up to 16) and LUTData")

    def look_up(values: Values) -> Values:
        index = np.rint(np.asarray(values, dtype=np.float64)) - first
        return table[index.clip(0, len(table) - 1).astype(np.int64)]

    return look_up, 2.0**bits - 1


def _padding_range(stored: Values, header: Dataset, notes: list[str]) -> tuple[int, int] | None:
    """Lowest and highest stored value of padding (PS3.3 C.7.5.1.1.2), whichever sign they were written with."""
    try:
        value = number(header, "PixelPaddingValue")
        limit = number(header, "PixelPaddingRangeLimit")
    except ImageError as error:
        notes.append(f"padding is not left out: {error}")
        return None
    if value is None or stored.dtype.kind not in "iu":
        return None
    bits = 8 * stored.dtype.itemsize
    half = 1 << (bits - 1) if stored.dtype.kind == "i" else 0
    ends = [(end + half) % (1 << bits) - half for end in (value, value if limit is None else limit)]
    return min(ends), max(ends)


def _record(header: Dataset, frame: int) -> dict[str, Any]:
    burned = header.get("BurnedInAnnotation")
    spacing = next(filter(None, (_pair(header, name) for name in ("PixelSpacing", "ImagerPixelSpacing"))), None)
    aspect = spacing or _pair(header, "PixelAspectRatio")
    return {
        "format": "DICOM",
        "frame": frame,
        "frames": number(header, "NumberOfFrames") or 1,
        "transfer_syntax": uid_name(header.file_meta.TransferSyntaxUID),
        "photometric_interpretation": str(header.PhotometricInterpretation),
        "bits_stored": int(header.BitsStored),
        "signed": bool(header.get("PixelRepresentation")),
        "pixel_spacing_mm": spacing,
        "square_pixels": None if not aspect else aspect[0] == aspect[1],
        "burned_in_annotation": burned if burned in ("YES", "NO") else "not stated",
    }


def _pair(header: Dataset, name: str) -> list[float] | None:
    """The two numbers in an element; None where there are not two, which leaves the pixels as they are."""
    value = header.get(name)
    numbers = [_float(part) for part in value] if np.iterable(value) and not isinstance(value, str) else []
    return numbers if len(numbers) == 2 and np.isfinite(numbers).all() else None
