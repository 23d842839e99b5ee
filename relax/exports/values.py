"""A map as a series of grey pictures with a window that viewers of whole numbers understand.

Stored are 16 bits; stored 0 means no value (NaN) and is declared as PixelPaddingValue. All pictures of a series share
one slope and intercept. Many viewers round windows and rescaled values to whole numbers, and a similarity spans a few
hundredths. So RescaleSlope and RescaleIntercept lead to the value times a power of ten, the smallest by which the
series spans 1,000 whole numbers. This is stated in RescaleType and in DerivationDescription; the Real World Value
Mapping leads to the value itself.

Source: DICOM PS3.3, C.11.1 (modality LUT), C.11.2 (window), C.7.6.16.2.11 (real world value mapping), C.7.5.1.1.2
(padding); PS3.5, 6.2 (a decimal string has 16 characters).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relax.exports.captures import capture, put_pixels
from relax.exports.maker import CODES, Choices, Series, recipe, unit
from relax.exports.patient import Identity
from relax.exports.sheaf import Sheaf
from relax.io.extra import medical_extra

with medical_extra():
    from highdicom.pm import RealWorldValueMapping
    from pydicom.dataset import Dataset
    from pydicom.sr.codedict import codes
    from pydicom.valuerep import format_number_as_ds

_LEVELS = 65535  # stored values from 1 on; 0 is NaN
_WHOLE = 1000  # whole numbers that a series spans at least


@dataclass(frozen=True)
class Steps:
    """How values are stored: value x 10^power = slope x stored + intercept.

    Attributes:
        power: Of ten.
        slope, intercept: As decimal strings.
    """

    power: int
    slope: str
    intercept: str

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> Steps:
        """Those of a map, of any shape."""
        known = values[np.isfinite(values)].astype(np.float64)
        low, high = float(known.min()), float(known.max())
        # No finer than 16 characters can resolve at this magnitude; a constant map needs a slope as well.
        step = max((high - low) / (_LEVELS - 1), max(abs(low), abs(high)) * 1e-9) or 1.0
        power = max(0, math.ceil(math.log10(_WHOLE / (step * (_LEVELS - 1)))))
        slope = format_number_as_ds(step * 10.0**power)
        return cls(power, slope, format_number_as_ds(low * 10.0**power - float(slope)))

    @property
    def step(self) -> float:
        """Between two values that are stored as neighbours."""
        return float(self.slope) / 10.0**self.power

    @property
    def first(self) -> float:
        """The value that is stored as 0."""
        return float(self.intercept) / 10.0**self.power

    def stored(self, values: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Values as they are stored, to within half a step."""
        known = np.isfinite(values)
        levels = np.rint((np.where(known, values, self.first).astype(np.float64) - self.first) / self.step)
        return np.where(known, levels.clip(1, _LEVELS), 0).astype(np.uint16)


def value_captures(sheaf: Sheaf, choices: Choices) -> list[Dataset]:
    """The objects, one of each picture; errors as for `relax.export_maps`."""
    values = sheaf.map(choices.map)
    steps, identity = Steps.of(values), Identity(sheaf, choices.keep)
    series = Series.of(f"RELAX {choices.map}", 1)
    datasets = []
    for frame, layer in zip(sheaf.frames, values, strict=True):
        dataset = capture(frame, identity, series, choices)
        put_pixels(dataset, steps.stored(layer), "MONOCHROME2")
        _scale(dataset, steps, values, sheaf, choices.map)
        dataset.BurnedInAnnotation = dataset.RecognizableVisualFeatures = "NO"
        datasets.append(dataset)
    return datasets


def _scale(dataset: Dataset, steps: Steps, values: NDArray[np.float32], sheaf: Sheaf, map: str) -> None:
    """Rescale, window and real values."""
    dataset.PixelPaddingValue = 0
    dataset.RescaleSlope, dataset.RescaleIntercept = steps.slope, steps.intercept
    dataset.RescaleType = f"x 1E{steps.power}" if steps.power else "US"
    low, high = (float(end) * 10.0**steps.power for end in (np.nanmin(values), np.nanmax(values)))
    dataset.WindowCenter = format_number_as_ds(float(round((low + high) / 2)))
    dataset.WindowWidth = format_number_as_ds(float(max(1, math.ceil(high - low) + 1)))
    dataset.VOILUTFunction = "LINEAR"
    real = RealWorldValueMapping(
        map.replace("_", " ")[:16],
        unit(sheaf.records[0], map),
        codes.UCUM.NoUnits,
        (1, _LEVELS),
        slope=steps.step,
        intercept=steps.first,
        quantity_definition=CODES[map],
    )
    dataset.RealWorldValueMappingSequence = [real]
    dataset.DerivationDescription = (
        f"RELAX {map}; value x 10^{steps.power} = RescaleSlope x stored + RescaleIntercept, error of the value at most "
        f"{steps.step / 2:.3g}; stored 0: no value; {recipe(sheaf.records)}"
    )
