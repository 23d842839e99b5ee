"""`relax volume` and `relax export`: maps of medical images, in files that overlay their source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, MaskProgress, Stopped
from relax.cli.options import (
    DEFAULT_OUT,
    ESTIMATION,
    EXECUTION,
    HEAD,
    HIDING,
    METHOD,
    OUT_PANEL,
    QUESTION,
    TOLERANCE,
    WITHIN,
    Debug,
    EncoderSpec,
    Out,
    Quiet,
)
from relax.cli.usage import choice, takes, usage_errors
from relax.files import file_names
from relax.io.choice import parse, stem_of
from relax.io.picture import AXES
from relax.maps import MAPS

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from relax.questions.volume import VolumeExplanation

VOLUME_EXAMPLES = """[bold]Examples[/bold]

relax volume brain.nii.gz --slices 20:70:10
    five axial slices: brain-importance.nii.gz, -uncertainty, -standard_error and brain.json in relax-out

relax volume brain.nii.gz --axis sagittal --slices 45 --window 40,80
    one slice, with values from 0 (black) to 80 (white)

relax volume brain.nii.gz --slices 20:70:2 --report brain.html
    a page as well: a slider over the slices, maps over the picture, the profile from slice to slice

relax explain brain.nii.gz#axial=40
    one slice as a picture, with its figure
"""

EXPORT_EXAMPLES = """[bold]Examples[/bold]

relax export relax-out/scan.npz --source scan.dcm --out map.dcm
    the importance as real values (DICOM Secondary Capture), with the geometry of scan.dcm but not its patient

relax export relax-out/scan.npz --source scan.dcm --out map.dcm --overlay --keep-identifiers
    colours over the picture, filed in the study of scan.dcm, so that a viewer opens both side by side

relax export relax-out/brain.npz --source brain.nii.gz#axial=40 --out map.nii.gz
    one slice of a volume; the other slices are NaN
"""


@takes(METHOD, HEAD, QUESTION, HIDING, WITHIN, ESTIMATION, TOLERANCE, EXECUTION)
def volume(
    source: Annotated[str, typer.Argument(metavar="VOLUME", help="A .nii or .nii.gz file.")],
    options: dict[str, Any],
    axis: Annotated[str, typer.Option(metavar="PLANE", help="axial, coronal or sagittal.")] = "axial",
    slices: Annotated[
        str,
        typer.Option(
            metavar="WHICH",
            help="all, START:STOP:STEP (without STOP) or 10,20,30, from 0 (lowest, rearmost, leftmost).",
        ),
    ] = "all",
    number: Annotated[
        int | None, typer.Option("--volume", metavar="N", help="Which volume of a 4-D file, from 0.")
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(metavar="CENTRE,WIDTH", help="Default: the header's display range, or percentiles 0.5 and 99.5."),
    ] = None,
    encoder: EncoderSpec = "default",
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a page as well, with a slider over the slices: an HTML file.",
            rich_help_panel=OUT_PANEL,
        ),
    ] = None,
    out: Out = DEFAULT_OUT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Explain a NIfTI volume slice by slice; the maps are volumes that viewers can overlay on it.

    Slices that were not explained are NaN. On Ctrl-C, the slices done so far are written.
    """
    from relax.cli.prepare import prepared
    from relax.questions.volume import explain_slices

    done: list[VolumeExplanation] = []
    with usage_errors(debug=debug):
        choice("--axis", axis, AXES)
        if report is not None and report.is_dir():
            raise ValueError(f"--report must be a file; {report} is a folder")
        indices, stem = _slices(slices), stem_of(source)
        limits = parse(f"window={window}", "nifti")["window"] if window is not None else None
        progress = MaskProgress(len(indices) if isinstance(indices, list) else 1, visible=not quiet)
        try:
            with progress.bar:
                with usage_errors(debug=debug, of_images=True):
                    network, settings = prepared(encoder, options, out)
                explained = explain_slices(
                    source,
                    network,
                    settings,
                    axis=axis,
                    indices=indices,
                    volume=number,
                    window=limits,
                    started=progress.advance,
                    done=done.append,
                    progress=progress.masks,
                )
            files = _saved(explained, out / stem, report)
        except KeyboardInterrupt:
            if not done:
                raise Stopped("0 slices are done") from None
            _saved(done[-1], out / stem, report)
            raise Stopped(f"{len(done[-1].slices)} slices are done, in {out}") from None
    if not quiet:
        typer.echo(f"{len(explained.slices)} {axis} slices: {file_names(files)}")
    return DONE


def _saved(explained: VolumeExplanation, target: Path, report: Path | None) -> list[Path]:
    """Write the maps, and the page if there is to be one; returns their paths."""
    from relax.report import write_report

    files = explained.save(target)
    return files if report is None else [*files, write_report(explained.report(), report)]


def export(
    explanation: Annotated[Path, typer.Argument(metavar="EXPLANATION", help="A .npz file of `relax explain`.")],
    source: Annotated[
        str, typer.Option(metavar="IMAGE", help="The DICOM or NIfTI file it explains; scan.dcm#frame=3 names a frame.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="What to write: .dcm, .nii or .nii.gz.")],
    map: Annotated[str, typer.Option(metavar="NAME", help="importance, uncertainty or standard_error.")] = "importance",
    overlay: Annotated[bool, typer.Option("--overlay", help="DICOM: colours over the picture, not values.")] = False,
    keep_identifiers: Annotated[
        bool,
        typer.Option(
            "--keep-identifiers", help="DICOM: copy patient and study, so that the map opens beside its source."
        ),
    ] = False,
) -> int:
    """Write a map as DICOM or NIfTI with the geometry of the image it explains.

    Nothing that identifies the patient is copied without --keep-identifiers.
    """
    with usage_errors():
        from relax import write_dicom, write_nifti
        from relax.explanation import Explanation

        choice("--map", map, MAPS)
        nifti = out.name.endswith((".nii", ".nii.gz"))
        if not nifti and out.suffix.lower() != ".dcm":
            raise ValueError(f"--out must end in .dcm, .nii or .nii.gz; got {out}")
        if nifti and (overlay or keep_identifiers):
            raise ValueError("--overlay and --keep-identifiers are for DICOM; NIfTI maps hold values only")
        saved = Explanation.load(explanation)
        if nifti:
            write_nifti(saved, source, out, map=map)
        else:
            write_dicom(saved, source, out, map=map, overlay=overlay, keep_identifiers=keep_identifiers)
    typer.echo(str(out))
    return DONE


def _slices(text: str) -> slice | list[int] | None:
    """None for all, a slice, or numbers."""
    if text == "all":
        return None
    try:
        if ":" in text:
            return slice(*(int(part) if part else None for part in text.split(":")))
        return [int(part) for part in text.split(",")]
    except (ValueError, TypeError):
        raise ValueError(f"--slices must be all, START:STOP:STEP or numbers with commas; got {text!r}") from None
