"""The values of a map as a Parametric Map: float32, at the resolution of the source, one frame of each picture.

Unknown pixels are NaN, as FloatPixelPaddingValue says. Pictures that lie beside each other in one frame of reference
are frames of one object; others are objects of one series. Pictures without a place in the patient, such as those of
an ultrasound loop, cannot be written: the standard places each frame.

Source: DICOM PS3.3, A.75 (Parametric Map), C.7.6.24 (floating point pixels); highdicom makes the objects.
"""

from __future__ import annotations

import numpy as np

from relax.exports.maker import CODES, Choices, Series, device, recipe, unit
from relax.exports.patient import Identity
from relax.exports.references import StandIns
from relax.exports.sheaf import Sheaf
from relax.io.extra import medical_extra

with medical_extra():
    from highdicom import VOILUTTransformation
    from highdicom.pm import ParametricMap, RealWorldValueMapping
    from pydicom.dataset import Dataset
    from pydicom.sr.codedict import codes


def parametric_maps(sheaf: Sheaf, choices: Choices) -> list[Dataset]:
    """The objects; errors as for `relax.export_maps`, and for pictures without a place in the patient."""
    if not all(frame.place for frame in sheaf.frames):
        raise ValueError(
            "parametric-map needs a place in the patient (position, orientation and spacing), and the pictures have "
            "none: choose values, which is exact to 16 bits, or secondary-capture"
        )
    values = sheaf.map(choices.map)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    stand_ins, series = StandIns(sheaf, Identity(sheaf, choices.keep)), Series.of(f"RELAX {choices.map}, values", 3)
    mapping = RealWorldValueMapping(
        choices.map.replace("_", " ")[:16],
        unit(sheaf.records[0], choices.map),
        codes.UCUM.NoUnits,
        (low, high),
        slope=1.0,
        intercept=0.0,
        quantity_definition=codes.DCM.Saliency if choices.map == "importance" else CODES[choices.map],
    )
    window = VOILUTTransformation(
        window_center=(low + high) / 2, window_width=(high - low) or 1.0, voi_lut_function="LINEAR_EXACT"
    )
    datasets: list[Dataset] = []
    for numbers in sheaf.apart():
        dataset = ParametricMap(
            stand_ins.of(numbers),
            values[numbers],
            contains_recognizable_visual_features=False,
            real_world_value_mappings=[mapping],
            voi_lut_transformations=[window],
            content_label=choices.map.upper(),
            content_description=f"RELAX {choices.map}"[:64],
            **series.next(),
            **device(),
        )
        if not np.isfinite(values[numbers]).all():
            dataset.FloatPixelPaddingValue = float("nan")
        dataset.DerivationDescription = f"RELAX {choices.map}, real values; {recipe(sheaf.records)}"
        stand_ins.finish(dataset)
        datasets.append(dataset)
    return datasets
