"""`relax volume` and `relax export`: maps of medical images, in files that overlay their source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, MaskProgress, Stopped
from relax.cli.early import check_there
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
from relax.exports.kinds import EXPORTS, KEEP
from relax.files import file_names, written_aside
from relax.io.choice import parse, stem_of
from relax.io.picture import AXES
from relax.maps import MAPS
from relax.plotting.tables import FORMATS

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from relax.questions.volume import VolumeExplanation

_MANY = 8  # files, from which their number is said instead of their names

VOLUME_EXAMPLES = """[bold]Examples[/bold]

relax volume brain.nii.gz --slices 20:70:10
    five axial slices: brain-importance.nii.gz, -uncertainty, -standard_error and brain.json in relax-out

relax volume brain.nii.gz --axis sagittal --slices 45 --window 40,80
    one slice, with values from 0 (black) to 80 (white)

relax volume brain.nii.gz --slices 20:70:2 --report brain.html --montage brain.png
    a page as well, with a slider over the slices and window and level, and a montage of slices

relax volume brain.nii.gz --encoder "hub:nets:encoder3d?size=96x96x96&mean=0.2&std=0.3"
    the volume at once, through a network of volumes: the function encoder3d of nets/hubconf.py makes it

relax explain brain.nii.gz#axial=40
    one slice as a picture, with its figure
"""

EXPORT_EXAMPLES = """[bold]Examples[/bold]

relax export relax-out/scan.npz --source scan.dcm --as parametric-map,seg --out out
    out/parametric-map.dcm and out/seg.dcm: values and top region, which OHIF, Slim and 3D Slicer lay over scan.dcm

relax export relax-out --source scans --as secondary-capture --out out
    a series of the pictures of a folder, with the overlay and its colour bar burned in, for any viewer

relax export relax-out/scan.npz --source scan.dcm --as gsps,sr --keep patient --out out
    outline and numbers, with patient and study, so that a PACS files them beside scan.dcm

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
    montage: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a montage of slices as well: a .png, .svg or .pdf file.",
            rich_help_panel=OUT_PANEL,
        ),
    ] = None,
    out: Out = DEFAULT_OUT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Explain a volume, NIfTI or a DICOM series; the maps are volumes that viewers can overlay on it.

    An encoder of volumes sees it at once, through masks in three axes; any other sees slice by slice, and slices that
    were not explained are NaN. On Ctrl-C, what is done so far is written.
    """
    choice("--axis", axis, AXES)
    check_there(source)
    from relax.cli.prepare import prepared
    from relax.questions.volume import explain_slices

    done: list[VolumeExplanation] = []
    with usage_errors(debug=debug):
        if report is not None and report.is_dir():
            raise ValueError(f"--report must be a file; {report} is a folder")
        if montage is not None:
            ending_of(montage)
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
            files = _saved(explained, out / stem, report, montage)
        except KeyboardInterrupt:
            if not done:
                raise Stopped("0 slices are done") from None
            _saved(done[-1], out / stem, report, montage)
            raise Stopped(f"{len(done[-1].slices)} slices are done, in {out}") from None
    if not quiet:
        at_once = "the volume at once, as " if explained.whole else ""
        typer.echo(f"{at_once}{len(explained.slices)} {axis} slices: {file_names(files)}")
    return DONE


def _saved(explained: VolumeExplanation, target: Path, report: Path | None, montage: Path | None) -> list[Path]:
    """Write the maps, and the page and the montage if there are to be any; returns their paths."""
    from relax.plotting.figure import figure_file
    from relax.report import write_report

    files = explained.save(target)
    if montage is not None:
        content = figure_file(explained, ending_of(montage))
        with written_aside(montage) as aside:
            aside.write_bytes(content)
        files.append(montage)
    return files if report is None else [*files, write_report(explained.report(), report)]


def ending_of(montage: Path) -> str:
    """The format of a figure, by the ending of its file."""
    if (ending := montage.suffix.lower().lstrip(".")) not in FORMATS:
        raise ValueError(f"--montage must end in {', '.join(f'.{name}' for name in FORMATS)}; got {montage}")
    return ending


def export(
    explanations: Annotated[
        list[Path],
        typer.Argument(
            metavar="EXPLANATION...",
            help="A .npz file of `relax explain`, several or a folder of them, or the .json file of `relax volume`.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="PATH", help="A folder, or for a single file a name that ends in .dcm or .nii.gz.")
    ],
    source: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE",
            help="The DICOM or NIfTI file they explain (scan.dcm#frame=3 names a frame), or its folder.  "
            "Default: where it was then.",
        ),
    ] = None,
    kinds: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="KIND,...",
            help=f"What to write: {', '.join(EXPORTS)}.  Default: nifti for a .nii or .nii.gz file, else values.",
        ),
    ] = None,
    map: Annotated[str, typer.Option(metavar="NAME", help="importance, uncertainty or standard_error.")] = "importance",
    keep: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="What goes with it of a DICOM source: nothing; references, the UIDs by which viewers lay it over the "
            "source; or patient, so that a PACS files it there.",
        ),
    ] = "references",
    overlay: Annotated[bool, typer.Option("--overlay", help="As --as secondary-capture.")] = False,
    keep_identifiers: Annotated[bool, typer.Option("--keep-identifiers", help="As --keep patient.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> int:
    """Write maps as objects that viewers and archives of medical pictures understand.

    values and secondary-capture are series of pictures, grey or in colours; parametric-map has the values as float32,
    seg the top region, gsps its outline, sr the numbers; nifti is a volume. Nothing that identifies the patient is
    copied without --keep patient, but for the UIDs that references need.
    """
    with usage_errors():
        from relax import export_maps

        choice("--map", map, MAPS)
        choice("--keep", keep, KEEP)
        names = kinds or ("secondary-capture" if overlay else "nifti" if _is_nifti(out) else "values")
        for name in names.split(","):
            choice("--as", name.strip(), EXPORTS)
        if _is_nifti(out) and (overlay or keep_identifiers):
            raise ValueError("--overlay and --keep-identifiers are for DICOM; NIfTI maps hold values only")
        if out.suffix and not out.is_dir() and not _is_nifti(out) and out.suffix.lower() != ".dcm":
            raise ValueError(f"--out must end in .dcm, .nii or .nii.gz, or be a folder; got {out}")
        files = export_maps(
            _explained(explanations, source),
            out,
            names,
            source=source,
            map=map,
            keep="patient" if keep_identifiers else keep,
            overwrite=overwrite,
        )
    typer.echo(file_names(files) if len(files) < _MANY else f"{files[0].parent}: {len(files)} files")
    return DONE


def _is_nifti(out: Path) -> bool:
    return out.name.lower().endswith((".nii", ".nii.gz"))


def _explained(paths: list[Path], source: str | None) -> Any:
    """The explanation of a volume, or of pictures: those of files, and those of folders."""
    from relax.explanation import Explanation
    from relax.questions.saved_volume import is_saved_volume, load_volume

    if len(paths) == 1 and is_saved_volume(paths[0]):
        return load_volume(paths[0], source)
    files = [file for path in paths for file in (sorted(path.glob("*.npz")) if path.is_dir() else [path])]
    if missing := [path for path in files if not path.exists()]:
        raise FileNotFoundError(f"EXPLANATION {missing[0]} is not there")
    if not files:
        raise ValueError(f"EXPLANATION must be .npz files of `relax explain`; {file_names(paths)} holds none")
    return [Explanation.load(file) for file in files]


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
