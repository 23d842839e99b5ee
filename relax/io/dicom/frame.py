"""Read one frame of a DICOM file as a viewer displays it: modality transform, then window, then [0, 1].

pydicom decodes pixels and converts colours; the order of the steps and the choice of the window are made here. Overlays
(group 60xx), shutters and ICC profiles are not applied.

Source: DICOM PS3.3, C.7.6.3.1.2 (photometric interpretation), C.11.1 (modality LUT), C.11.2 (VOI LUT; its
C.11.2.1.2.1 is the LINEAR window).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.io.dicom.decoding import stored_values
from relax.io.dicom.elements import COLOUR
from relax.io.dicom.header import read_header
from relax.io.dicom.reading import number, uid_name
from relax.io.dicom.windows import Step, Values, as_float, chosen_window, default_range, modality, strips
from relax.io.errors import ImageError, decoding_errors
from relax.io.extra import medical_extra
from relax.io.picture import Picture, Window

with medical_extra():
    from pydicom.dataset import Dataset
    from pydicom.pixels.processing import apply_color_lut


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
        stored = stored_values(path, header, frame)
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


def _converted(stored: Values, step: Step) -> NDArray[np.float32]:
    """(H, W, C) float32 in [0, 1] from the stored values (H, W, ...), a few rows at a time."""
    pixels: NDArray[np.float32] | None = None
    for rows in strips(stored):
        part = step(stored[rows])
        part = part if part.ndim == 3 else part[..., None]
        if not np.isfinite(part).all():
            raise ImageError("some of its values are NaN or infinite; replace them")
        if pixels is None:
            pixels = np.empty((*stored.shape[:2], part.shape[-1]), np.float32)
        pixels[rows] = part.clip(0, 1)
    assert pixels is not None  # noqa: S101  # a picture has rows
    return pixels


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
    to_unit_of_windows, transform, changes = modality(header)
    shown, record = chosen_window(header, window, notes)
    if shown is None:
        low, high, used = default_range(stored, header, None if not changes else to_unit_of_windows, notes)
        record = {"used": used, "low": low, "high": high}

        def shown(values: Values) -> Values:
            return ((values.astype(np.float64) - low) / (high - low or 1.0)).clip(0, 1)

    inverted, through_window = header.PhotometricInterpretation == "MONOCHROME1", shown

    def step(stored: Values) -> Values:
        unit = through_window(to_unit_of_windows(stored))
        return 1 - unit if inverted else unit

    return step, transform, record


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
    numbers = [as_float(part) for part in value] if np.iterable(value) and not isinstance(value, str) else []
    return numbers if len(numbers) == 2 and np.isfinite(numbers).all() else None
