"""Write maps of medical pictures, in any of the kinds of `relax.exports.kinds`."""

from __future__ import annotations

import gzip
import importlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from relax.exports.kinds import EXPORTS, ExportKind, chosen_kinds
from relax.exports.maker import Choices
from relax.exports.matching import matched
from relax.exports.patient import checked_keep
from relax.exports.sheaf import Sheaf, sheaf_of, sheaf_of_volume
from relax.exports.slices import volume_of_slices
from relax.files import written_together
from relax.io.choice import split_choice
from relax.io.extra import medical_extra
from relax.io.volumes.writing import write_nifti, write_volume
from relax.maps import MAPS, ExplanationLike
from relax.questions.volume import VolumeExplanation
from relax.text import one_of

with medical_extra():
    import pydicom
    from pydicom.dataset import Dataset

ENDINGS = (".dcm", ".nii.gz", ".nii")
Writer = Callable[[Path], object]
_AT_ONCE = 200


def export_maps(
    explanations: ExplanationLike | Sequence[ExplanationLike] | VolumeExplanation,
    out: str | Path,
    kinds: str | Iterable[str] = "parametric-map",
    *,
    source: str | Path | Sequence[str | Path] | None = None,
    map: str = "importance",
    keep: str = "references",
    overwrite: bool = False,
) -> list[Path]:
    """Write maps of DICOM pictures, or of NIfTI, as objects that viewers and archives of medical pictures understand.

    Args:
        explanations: One, several of pictures of one series, or that of a volume (`relax.explain_volume`).
        out: A file that ends in .dcm, .nii or .nii.gz for one kind and one object; else a folder, which gets a file
            KIND.dcm, or KIND/0001.dcm and so on where there are several, in the order of the pictures.
        kinds: What to write, one or several: "values", "secondary-capture", "parametric-map", "seg", "gsps", "sr",
            "nifti"; see `relax export --help`.
        source: The explained DICOM file, such as "scan.dcm#frame=3", or NIfTI slice, of each explanation; or a folder
            in which they lie. None takes what the explanations recorded, which names no file that tells a patient.
        map: "importance", "uncertainty" or "standard_error".
        keep: What goes with it of the source: "nothing", no identifier at all; "references", the UIDs of study, series,
            pictures and frame of reference, by which a viewer that has the source lays the map over it; "patient",
            patient and study as well, so that a PACS files the map beside its source.
        overwrite: Replace files that are there.

    Returns:
        The files.

    Raises:
        ImageError: If a source cannot be read, or a volume is asked for of pictures that are none.
        FileExistsError: If a file is there, and `overwrite` is not set.
        ValueError: If an explanation is not of its source, pictures are not of one series, a map has no values, or a
            kind, map or `keep` is unknown or impossible.
        OSError: If a file cannot be written.
    """
    chosen = chosen_kinds(kinds)
    one_of("map", map, MAPS)
    for kind in chosen:
        checked_keep(keep, refers=kind.name if kind.refers else None)
    out = Path(out)
    ending = next((ending for ending in ENDINGS if out.name.lower().endswith(ending)), None)
    _check_ending(ending, chosen, out)
    if _is_nifti(explanations, source):
        _check_nifti(chosen)
        return [_write_nifti(explanations, source, out if ending else out / "nifti.nii.gz", map, overwrite=overwrite)]
    sheaf = _sheaf(explanations, source)
    contents: dict[Path, Writer] = {}
    for kind in chosen:
        objects = _built(kind, sheaf, Choices(map, keep))
        contents |= _named(kind, objects, out, ending)
    return _write(contents, overwrite=overwrite)


def write_dicom(
    explanation: ExplanationLike,
    source: str | Path,
    path: str | Path,
    *,
    map: str = "importance",
    overlay: bool = False,
    keep_identifiers: bool = False,
) -> Path:
    """Write one map of an explanation as a DICOM Secondary Capture image; `relax.export_maps` writes other kinds.

    Args:
        explanation: An explanation of a frame of `source`.
        source: The explained DICOM file, such as "scan.dcm#frame=3". Choices that the text after # leaves open are
            taken from the explanation.
        path: The file to write; it appears whole or not at all, and replaces one that is there.
        map: "importance", "uncertainty" or "standard_error".
        overlay: Write the overlay over the picture in colours (RGB, 8 bits), for viewing, instead of the values.
        keep_identifiers: Copy patient, study and UIDs from the source, so that viewers show the map beside it; else
            no identifier is copied, not even a UID.

    Returns:
        `path`.

    Raises:
        ImageError: If the source cannot be read.
        ValueError: If the explanation is not of this source, frame and window, or the map is unknown or has no values.
        OSError: If the file cannot be written.
    """
    kind = EXPORTS["secondary-capture" if overlay else "values"]
    choices = Choices(map, "patient" if keep_identifiers else "nothing")
    (dataset,) = _built(kind, sheaf_of([explanation], [str(source)]), choices)
    _write({Path(path): _writer(dataset)}, overwrite=True)
    return Path(path)


def _check_ending(ending: str | None, kinds: Sequence[ExportKind], out: Path) -> None:
    if ending is None:
        if out.suffix and out.is_file():
            raise ValueError(f"out must end in {', '.join(ENDINGS)}, or be a folder; {out} is a file")
        return
    if len(kinds) > 1:
        raise ValueError(f"out must be a folder for {len(kinds)} kinds; got the file {out}")
    if (kinds[0].name == "nifti") == (ending == ".dcm"):
        right = ".nii or .nii.gz" if kinds[0].name == "nifti" else ".dcm"
        raise ValueError(f"out must end in {right} for {kinds[0].name}, or be a folder; got {out}")


def _check_nifti(kinds: Sequence[ExportKind]) -> None:
    if others := [kind.name for kind in kinds if kind.name != "nifti"]:
        raise ValueError(
            f"{', '.join(others)} must be of DICOM pictures, to which they refer, and the source is NIfTI: choose nifti"
        )


def _is_nifti(explanations: Any, source: Any) -> bool:
    """Whether the maps are of NIfTI."""
    if isinstance(explanations, VolumeExplanation):
        return explanations.volume.series is None
    return split_choice(_first_address(_several(explanations)[0], source))[1] == "nifti"


def _write_nifti(explanations: Any, source: Any, path: Path, map: str, *, overwrite: bool) -> Path:
    """A map of a volume, or of one slice of it, over its source."""
    _refuse_files([path], overwrite=overwrite)
    if isinstance(explanations, VolumeExplanation):
        write_volume(explanations.map(map), explanations.volume, path, map)
        return path
    first, *others = _several(explanations)
    if others:
        raise ValueError("slices of NIfTI are written one by one; for one volume of several, see relax.explain_volume")
    return write_nifti(first, _first_address(first, source), path, map=map)


def _first_address(explanation: ExplanationLike, source: Any) -> str:
    if source is None:
        return str(explanation.provenance.get("image"))
    return str(source if isinstance(source, str | Path) else source[0])


def _several(explanations: Any) -> list[ExplanationLike]:
    several = list(explanations) if isinstance(explanations, Sequence) else [explanations]
    if not several:
        raise ValueError("explanations must be at least one; got none")
    return several


def _sheaf(explanations: Any, source: Any) -> Sheaf:
    if isinstance(explanations, VolumeExplanation):
        return sheaf_of_volume(explanations)
    several = _several(explanations)
    volume = volume_of_slices(several, source)
    return sheaf_of(several, matched(several, source)) if volume is None else sheaf_of_volume(volume)


def _built(kind: ExportKind, sheaf: Sheaf, choices: Choices) -> list[Any]:
    module, _, function = kind.builder.partition(":")
    builder = getattr(importlib.import_module(module), function)
    objects: list[Any] = builder(sheaf, choices)
    return objects


def _named(kind: ExportKind, objects: Sequence[Any], out: Path, ending: str | None) -> dict[Path, Writer]:
    """Files and what is written to each."""
    suffix = ".nii.gz" if kind.name == "nifti" else ".dcm"
    if ending is not None:
        if len(objects) > 1:
            raise ValueError(f"out must be a folder for the {len(objects)} pictures of {kind.name}; got the file {out}")
        return {out: _writer(objects[0], zipped=ending == ".nii.gz")}
    if len(objects) == 1:
        return {out / f"{kind.name}{suffix}": _writer(objects[0])}
    return {out / kind.name / f"{number:04}{suffix}": _writer(exported) for number, exported in enumerate(objects, 1)}


def _writer(exported: Any, *, zipped: bool = True) -> Writer:
    if isinstance(exported, Dataset):
        return lambda path: pydicom.dcmwrite(path, exported, enforce_file_format=True)
    data = exported.to_bytes()
    return lambda path: path.write_bytes(gzip.compress(data, 6, mtime=0) if zipped else data)


def _refuse_files(paths: Sequence[Path], *, overwrite: bool) -> None:
    if not overwrite and (existing := [path for path in paths if path.exists()]):
        raise FileExistsError(
            f"{existing[0]} is there; choose another name, or replace it with --overwrite (overwrite=True)"
        )


def _write(contents: dict[Path, Writer], *, overwrite: bool) -> list[Path]:
    """The files, all or none; of a long series, so many at once as a process may have open."""
    paths = list(contents)
    _refuse_files(paths, overwrite=overwrite)
    for start in range(0, len(paths), _AT_ONCE):
        part = paths[start : start + _AT_ONCE]
        with written_together(part) as asides:
            for aside, path in zip(asides, part, strict=True):
                contents[path](aside)
    return paths
