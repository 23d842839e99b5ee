"""What maps can be written as, and how much of the patient goes with them: tables, free of pydicom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from relax.text import listed, one_of


@dataclass(frozen=True)
class ExportKind:
    """One kind of export.

    Attributes:
        name: As users write it.
        what: What it is, in a phrase.
        builder: "module:function", from a `relax.exports.sheaf.Sheaf` and a `relax.exports.settings.Choices` to the
            objects to be written, in the order of their pictures.
        refers: Whether it says nothing without its source, whose UIDs it must then hold.
    """

    name: str
    what: str
    builder: str
    refers: bool = False


EXPORTS = {
    kind.name: kind
    for kind in (
        ExportKind(
            "values",
            "a series of grey pictures (Secondary Capture, 16 bits) with a rescale and a window in whole numbers",
            "relax.exports.values:value_captures",
        ),
        ExportKind(
            "secondary-capture",
            "a series of colour pictures: the overlay burned into the picture, with a colour bar below",
            "relax.exports.colours:colour_captures",
        ),
        ExportKind(
            "parametric-map",
            "the values themselves (Parametric Map, float32), which viewers lay over their source in colours",
            "relax.exports.parametric:parametric_maps",
        ),
        ExportKind("seg", "the top region (Segmentation)", "relax.exports.segments:segmentations"),
        ExportKind(
            "gsps",
            "the outline of the top region as a presentation state of the source (GSPS; of colours, its colour kin)",
            "relax.exports.presentation:presentation_states",
            refers=True,
        ),
        ExportKind(
            "sr",
            "the numbers (structured report, TID 1500): values, errors, top region, encoder, masks",
            "relax.exports.numbers:reports",
            refers=True,
        ),
        ExportKind("nifti", "the values with the affine of the source (NIfTI, float32)", "relax.exports.nifti:volume"),
    )
}

KEEP = {
    "nothing": "no identifier at all: every UID is new, and the map cannot be laid over its source by itself",
    "references": "the UIDs of study, series, pictures and frame of reference, by which a viewer that has the source "
    "lays the map over it; no patient, date, name or text (PS3.15, Basic Profile with the Retain UIDs Option)",
    "patient": "patient and study as well, so that a PACS files the map beside its source",
}


def chosen_kinds(kinds: str | Iterable[str]) -> list[ExportKind]:
    """The kinds of these names, each once.

    Args:
        kinds: Names, or one text of them with commas.

    Raises:
        ValueError: If one is unknown, or there is none.
    """
    names = kinds.split(",") if isinstance(kinds, str) else kinds
    chosen = list(dict.fromkeys(one_of("kind", name.strip(), EXPORTS) for name in names))
    if not chosen:
        raise ValueError(f"kinds must name at least one of {listed(list(EXPORTS))}")
    return [EXPORTS[name] for name in chosen]
