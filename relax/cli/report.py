"""`relax report`: explanations saved by `relax explain`, `relax volume` or `relax pair`, as one HTML file."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, overload

import typer

from relax.bulk.folder import is_run
from relax.cli.console import DONE, SOME_FAILED, complain, prefixed, progress_bar
from relax.cli.options import DEFAULT_OUT, OUT_PANEL, Debug, Quiet
from relax.cli.usage import usage_errors

if TYPE_CHECKING:
    from rich.progress import Progress

    from relax.bulk.store import StoredMaps
    from relax.report import Exhibit, Report

MOST = 500  # pictures of a run on one page, which would else be too large for a browser

EXAMPLES = """[bold]Examples[/bold]

relax report relax-out/cat.npz relax-out/dog.npz
    relax-out/report.html, to open in a browser or send to somebody; it works offline

relax report relax-out --title "Retinas of clinic 3" --out retinas.html
    every explanation saved in a folder

relax report maps --out maps.html
    the first 500 pictures of a run of `relax explain DIR --no-figure`

relax report relax-out/brain.json --out brain.html
    a volume of `relax volume`: a slider over its slices, and a profile; --source names the volume if it was moved

relax report relax-out/cat-dog-pair.json --out pair.html
    a pair of `relax pair`: every map of both pictures, and what carries the similarity

relax report relax-out/scan-frame-*.npz
    frames of one file, or slices, get that page, too
"""


def report(
    explanations: Annotated[
        list[Path],
        typer.Argument(
            metavar="NPZ|DIR|JSON",
            help="Files saved by `relax explain`, folders of them, of runs or of audits; or NAME.json of "
            "`relax volume`, NAME-pair.json of `relax pair`.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The HTML file to write.", rich_help_panel=OUT_PANEL)
    ] = DEFAULT_OUT / "report.html",
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Heading of the page.")] = None,
    source: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The volume of NAME.json, if it is not where it was.")
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Collect saved explanations in one HTML file: what stands out, and a gallery with a read-out under the pointer.

    Slices of one volume and frames of one file come with a slider and a profile from slice to slice. The page is
    self-contained and works offline. Files that cannot be read are named and left out.
    """
    from relax.report import write_report

    with usage_errors(debug=debug):
        record = record_among(explanations, source)
        paths: Sequence[Saved] = [record] if record else explanation_files(explanations)
        if out.is_dir():
            raise ValueError(f"--out must be a file; {out} is a folder")
        if out.resolve() in {path.resolve() for path in paths if isinstance(path, Path)}:
            raise ValueError(f"--out {out} would replace an explanation: choose another name")
    try:
        with progress_bar("pictures", visible=not quiet) as bar:
            good = paths if record else readable(paths, bar, debug=debug)
            if good:
                content = report_of(record, source, title) if record else content_of(good, title)
                task = bar.add_task("writing", total=len(content.exhibits))
                write_report(content, out, progress=lambda done, _: bar.update(task, completed=done))
    except (ValueError, OSError) as error:
        if debug:
            traceback.print_exc()
        complain(prefixed(out, error))
        return SOME_FAILED
    if not good:
        complain(f"none of the {len(paths)} files could be read, so {out} is not written")
    elif not quiet:
        size = out.stat().st_size / 1e6
        count = len(content.exhibits)
        typer.echo(f"written: {out}, {count} picture{'s' * (count != 1)}, {size:.1f} MB")
    return DONE if len(good) == len(paths) else SOME_FAILED


def record_among(paths: Sequence[Path], source: Path | None) -> Path | None:
    """The record of a volume or a pair, if that is what the page is to be of.

    Raises:
        ValueError: If it is not alone, or `--source` is given without one.
    """
    records = [path for path in paths if path.suffix == ".json"]
    if records and len(paths) > 1:
        raise ValueError(f"one volume or pair makes one page: give {records[0]} alone")
    if source is not None and not records:
        raise ValueError("--source is for NAME.json of `relax volume`; saved explanations hold their pictures")
    return records[0] if records else None


def report_of(record: Path, source: Path | None, title: str | None) -> Report:
    """The page of a saved volume or pair.

    Raises:
        ValueError, OSError: If it cannot be read.
    """
    from relax.records import read_json

    content = read_json(record.read_bytes())
    if isinstance(content, dict) and {"a", "b"} <= set(content):
        from relax.questions.pairs import load_pair
        from relax.report import pair_report

        return pair_report(load_pair(record), title)
    from relax.questions.saved_volume import load_volume

    return load_volume(record, source).report(title)


def content_of(files: Sequence[Saved], title: str | None) -> Report:
    """The page of saved explanations: that of a stack if all are slices or frames of one file."""
    from relax.io.choice import stack_of
    from relax.report import plain_report, stack_report

    exhibits = SavedExhibits(files)
    titles = [] if title is None else [title]
    stack = stack_of([str(exhibit.explanation.provenance.get("image") or "") for exhibit in exhibits])
    if stack is None:
        return plain_report(exhibits, *titles)
    word, numbers = stack
    order = sorted(range(len(files)), key=numbers.__getitem__)
    return stack_report(SavedExhibits([files[at] for at in order]), sorted(numbers), word, *titles)


def explanation_files(paths: Sequence[Path]) -> list[Saved]:
    """The files among the paths, and the `.npz` files of the folders, each once.

    Of an audit its explained pictures, and of a run the first ones.

    Raises:
        ValueError: If a folder has none.
    """
    files: list[Saved] = []
    for path in paths:
        saved: Sequence[Saved] = [path]
        if is_run(path):
            saved = pictures_of_run(path)
        elif path.is_dir():
            saved = audited_files(path) if (path / "audit.json").is_file() else sorted(path.glob("*.npz"))
        if not saved:
            raise ValueError(
                f"{path} has no .npz file in it: give a folder that `relax explain --out` wrote to, or an audit "
                "that explained pictures"
            )
        files += saved
    return list(dict.fromkeys(files))


def pictures_of_run(folder: Path) -> list[OfRun]:
    """The pictures of a run that have maps; no more than a page can hold.

    Raises:
        ValueError: If it has none, or is damaged.
    """
    from relax.bulk.store import load_maps

    maps = load_maps(folder)
    if not maps.names:
        raise ValueError(f"{folder} has no maps yet: run its command again")
    if len(maps.names) > MOST:
        complain(f"note: the page shows the first {MOST} of the {len(maps.names):,} pictures in {folder}")
    return [OfRun(maps, name) for name in maps.names[:MOST]]


@dataclass(frozen=True)
class OfRun:
    """A picture of a run."""

    maps: StoredMaps
    name: str

    def __str__(self) -> str:
        return self.name


Saved: TypeAlias = Path | OfRun
"""Where an explanation is: a file, or a picture of a run."""


def audited_files(folder: Path) -> list[Path]:
    """What an audit kept of its explained pictures, without their mirror images and hidden cells."""
    beside = (".hidden.npz", *(f".{mirror}.npz" for mirror in ("left-right", "top-bottom", "both")))
    return sorted(file for file in (folder / "maps").glob("*.npz") if not file.name.endswith(beside))


def readable(paths: Sequence[Saved], bar: Progress, *, debug: bool = False) -> Sequence[Saved]:
    """The files that hold an explanation; the others are named on stderr with the reason."""
    good = []
    for path in bar.track(paths, description="reading"):
        try:
            exhibit_of(path)
            good.append(path)
        except (ValueError, OSError) as error:
            if debug:
                traceback.print_exc()
            missing = isinstance(error, FileNotFoundError) and isinstance(path, Path)
            complain(f"{path}: there is no such file" if missing else prefixed(path, error))
    return good


def exhibit_of(path: Saved) -> Exhibit:
    """A saved explanation under the name of its image.

    Raises:
        ValueError, OSError: If it cannot be read or drawn; see `Explanation.load`.
    """
    from relax.explanation import Explanation
    from relax.plotting.caption import recipe
    from relax.report import Exhibit
    from relax.scale import doubts, yardsticks_in_words

    explanation = Explanation.load(path) if isinstance(path, Path) else path.maps[path.name]
    try:
        recipe(explanation.provenance)
        yardsticks_in_words(explanation.provenance)
        doubts(explanation)
        stem = path.stem if isinstance(path, Path) else path.name
        name = Path(str(explanation.provenance.get("image") or stem)).name
    except (AttributeError, KeyError, TypeError, ValueError) as reason:
        raise ValueError(f"{path} is not a saved explanation: its provenance is not one ({reason})") from None
    where = ("File", path.name) if isinstance(path, Path) else ("Picture", path.name)
    return Exhibit(explanation, name, notes=(where,))


@dataclass(frozen=True)
class SavedExhibits(Sequence["Exhibit"]):
    """Explanations in files, each read on access, so that memory holds one at a time."""

    paths: Sequence[Saved]

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> Exhibit: ...
    @overload
    def __getitem__(self, index: slice) -> SavedExhibits: ...
    def __getitem__(self, index: int | slice) -> Exhibit | SavedExhibits:
        return SavedExhibits(self.paths[index]) if isinstance(index, slice) else exhibit_of(self.paths[index])
