"""The outline of the top region as a presentation state of the source, which viewers draw over it on request.

Grey pictures get a Grayscale Softcopy Presentation State with their own rescale and windows, pictures in colours a
Color one. Pictures that are rescaled alike share an object. Nothing of the map but the outline is in it.

Source: DICOM PS3.3, A.33.1 and A.33.2 (presentation states), C.10.5 (graphics: whole numbers are edges of pixels).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageCms

from relax.exports.maker import Choices, Series, device, recipe
from relax.exports.patient import Identity, checked_keep
from relax.exports.references import StandIns
from relax.exports.sheaf import Sheaf
from relax.io.dicom.elements import GREY
from relax.io.extra import medical_extra
from relax.maps import ExplanationLike
from relax.plotting.overlay import outlines

with medical_extra():
    from highdicom import PresentationLUTTransformation
    from highdicom.pr import (
        ColorSoftcopyPresentationState,
        GraphicAnnotation,
        GraphicLayer,
        GraphicObject,
        GrayscaleSoftcopyPresentationState,
    )
    from pydicom.dataset import Dataset

_POINTS = 4000  # of one line: an element of explicit length has at most 65,534 bytes


def presentation_states(sheaf: Sheaf, choices: Choices) -> list[Dataset]:
    """The objects; errors as for `relax.export_maps`, and for pictures with a lookup table instead of a rescale."""
    checked_keep(choices.keep, refers="gsps")
    if any(frame.header.get("ModalityLUTSequence") for frame in sheaf.frames):
        raise ValueError("gsps is for pictures with a rescale; these have a ModalityLUTSequence: choose another kind")
    sheaf.map(choices.map)
    lines = _lines(sheaf, choices.map)
    if not any(lines):
        raise ValueError(f"map must have a top region to be outlined; {choices.map} is the same everywhere")
    stand_ins = StandIns(sheaf, Identity(sheaf, choices.keep))
    series, states = Series.of(f"RELAX {choices.map}, outline", 5), []
    for numbers in _alike(sheaf):
        state = _state(sheaf, stand_ins, numbers, lines, series, choices)
        stand_ins.finish(state)
        states.append(state)
    return states


def _state(
    sheaf: Sheaf,
    stand_ins: StandIns,
    numbers: list[int],
    lines: list[list[NDArray[np.float64]]],
    series: Series,
    choices: Choices,
) -> Dataset:
    """One presentation state of some of the frames."""
    layer = GraphicLayer("TOP_REGION", 1, description=f"Top region of the {choices.map}, from the 80th percentile on")
    pictures = stand_ins.of(numbers)
    annotations = [
        GraphicAnnotation(
            [stand_ins.datasets[number]],
            layer,
            graphic_objects=[GraphicObject("POLYLINE", line, "PIXEL") for line in lines[number]],
        )
        for number in numbers
        if lines[number]
    ]
    shared: dict[str, Any] = {
        **series.next(),
        **device(),
        "referenced_images": pictures,
        "content_label": "TOP_REGION",
        "content_description": f"RELAX {recipe(sheaf.records)}"[:64],
        "graphic_annotations": annotations or None,
        "graphic_layers": [layer] if annotations else None,
    }
    photometric = sheaf.frames[numbers[0]].header.PhotometricInterpretation
    if photometric not in GREY:
        return ColorSoftcopyPresentationState(**shared, icc_profile=_srgb())
    shape = "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"
    return GrayscaleSoftcopyPresentationState(
        **shared, presentation_lut_transformation=PresentationLUTTransformation(presentation_lut_shape=shape)
    )


def _srgb() -> bytes:
    """The profile of sRGB as one of an input device, as presentation states have it (C.11.15.1.1)."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[12:16] = b"scnr"
    return bytes(profile)


def _lines(sheaf: Sheaf, map: str) -> list[list[NDArray[np.float64]]]:
    """The outlines of each frame, as columns and rows from the edge of the first pixel."""
    layers = sheaf.map(map) if None in sheaf.explained else None

    def of(number: int, explanation: ExplanationLike | None) -> list[NDArray[np.float64]]:
        values = layers[number] if explanation is None and layers is not None else getattr(explanation, map)
        return [part + 0.5 for line in outlines(values) for part in _parts(line)]

    return [of(number, explanation) for number, explanation in enumerate(sheaf.explained)]


def _parts(line: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """A line in parts that fit an element, each beginning where the one before ends."""
    return [line[start : start + _POINTS + 1] for start in range(0, max(1, len(line) - 1), _POINTS)]


def _alike(sheaf: Sheaf) -> list[list[int]]:
    """Numbers of the frames with the same rescale: a presentation state has one."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number, frame in enumerate(sheaf.frames):
        header = frame.header
        key = tuple(str(header.get(name)) for name in ("RescaleSlope", "RescaleIntercept", "PhotometricInterpretation"))
        groups.setdefault(key, []).append(number)
    return list(groups.values())
