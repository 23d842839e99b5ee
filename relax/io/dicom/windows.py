"""From the stored values of a grey DICOM frame to [0, 1]: the modality transform, then a lookup table or a window.

The order of the steps and the choice of the window are made here; pydicom has the functions of windows.

Source: DICOM PS3.3, C.11.1 (modality LUT), C.11.2 (VOI LUT; its C.11.2.1.2.1 is the LINEAR window), C.7.5.1.1.2
(padding).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from relax.io.dicom.reading import number
from relax.io.errors import ImageError
from relax.io.extra import medical_extra
from relax.io.picture import Window

with medical_extra():
    from pydicom.dataset import Dataset
    from pydicom.pixels.processing import apply_windowing

Values: TypeAlias = NDArray[Any]
Step: TypeAlias = Callable[[Values], Values]
"""From values to values of the same shape, value by value: it may be applied to a few rows at a time."""

_STRIP = 1 << 18  # pixels that are converted at once
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def modality(header: Dataset) -> tuple[Step, str, bool]:
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


def chosen_window(header: Dataset, window: Window | None, notes: list[str]) -> tuple[Step | None, dict[str, Any]]:
    """To (h, W) in [0, 1] by the window asked for, or by the first usable table or window of the file, if any."""
    tables, windows = header.get("VOILUTSequence") or [], stored_windows(header)
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


def default_range(
    stored: Values, header: Dataset, transform: Step | None, notes: list[str]
) -> tuple[float, float, str]:
    """The values shown black and white where there is no window, and the rule behind them."""
    if int(header.BitsStored) <= 8 and transform is None:
        half = 2.0 ** (int(header.BitsStored) - 1)
        low, high = (-half, half - 1) if header.PixelRepresentation else (0.0, 2 * half - 1)
        return low, high, "whole range of the stored bits"
    padding, extremes = _padding_range(stored, header, notes), []
    for rows in strips(stored):
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


def window_range(header: Dataset, window: tuple[float, float]) -> tuple[float, float]:
    """The values that a window (centre, width) shows black and white, by the file's function; SIGMOID counts as LINEAR.

    Raises:
        ImageError: If there is no such window.
    """
    _, record = _windowed(header, window, "", [])
    center, width = record["center"], record["width"]
    if record["function"] == "LINEAR_EXACT":
        return center - width / 2, center + width / 2
    return center - 0.5 - (width - 1) / 2, center - 0.5 + max(width - 1, 1e-3) / 2


def stored_windows(header: Dataset) -> list[tuple[float, float]]:
    """Centre and width of each window of the file, NaN where one is empty or no number."""
    elements = [header.get(name) for name in ("WindowCenter", "WindowWidth")]
    columns = [value if np.iterable(value) and not isinstance(value, str) else [value] for value in elements]
    windows = [(as_float(center), as_float(width)) for center, width in zip(*columns, strict=False)]
    return windows if any(np.isfinite(value) for window in windows for value in window) else []


def as_float(value: Any) -> float:
    """The number in a value of an element, NaN where there is none."""
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


def strips(stored: Values) -> Iterator[slice]:
    """Rows of stored values, a few at a time."""
    step = max(1, _STRIP // stored.shape[1])
    return (slice(start, start + step) for start in range(0, len(stored), step))
