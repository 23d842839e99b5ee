"""`relax report`: explanations that `relax explain` saved, as one HTML file."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, overload

import typer

from relax.cli.console import DONE, SOME_FAILED, complain, progress_bar
from relax.cli.options import DEFAULT_OUT, OUT_PANEL, Debug, Quiet, usage_errors

if TYPE_CHECKING:
    from rich.progress import Progress

    from relax.report import Exhibit

EXAMPLES = """[bold]Examples[/bold]

relax report relax-out/cat.npz relax-out/dog.npz
    relax-out/report.html: open it in a browser, or send it to somebody; it needs no network

relax report relax-out --title "Retinas of clinic 3" --out retinas.html
    every saved explanation of a folder
"""


def report(
    explanations: Annotated[
        list[Path], typer.Argument(metavar="NPZ|DIR", help="What `relax explain` saved, or a folder of it.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The HTML file that is written.", rich_help_panel=OUT_PANEL)
    ] = DEFAULT_OUT / "report.html",
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="The heading of the page.")] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Put saved explanations into one HTML file: what stands out, and a gallery with a read-out under the pointer.

    The page holds everything it shows and asks the network for nothing. Files that cannot be read are named and left
    out.
    """
    from relax.report import plain_report, write_report

    with usage_errors(debug=debug):
        paths = listed(explanations)
        if out.is_dir():
            raise ValueError(f"--out must be a file; {out} is a folder")
        if out.resolve() in {path.resolve() for path in paths}:
            raise ValueError(f"--out {out} would replace an explanation: choose another name")
    try:
        with progress_bar("pictures", shown=not quiet) as bar:
            good = readable(paths, bar, debug=debug)
            if good:
                content = plain_report(Saved(good), *([] if title is None else [title]))
                task = bar.add_task("writing", total=len(good))
                write_report(content, out, progress=lambda done, _: bar.update(task, completed=done))
    except (ValueError, OSError) as error:
        if debug:
            traceback.print_exc()
        complain(f"{out}: {error}")
        return SOME_FAILED
    if not good:
        complain(f"none of the {len(paths)} files could be read, so {out} is not written")
    elif not quiet:
        size = out.stat().st_size / 1e6
        typer.echo(f"written: {out}, {len(good)} picture{'s' * (len(good) != 1)}, {size:.1f} MB")
    return DONE if len(good) == len(paths) else SOME_FAILED


def listed(given: Sequence[Path]) -> list[Path]:
    """Files as they are, and the `.npz` files of folders, each once.

    Raises:
        ValueError: If a folder has none.
    """
    found: list[Path] = []
    for path in given:
        inside = sorted(path.glob("*.npz")) if path.is_dir() else [path]
        if not inside:
            raise ValueError(f"{path} has no .npz file in it: give a folder that `relax explain --out` wrote to")
        found += inside
    return list(dict.fromkeys(found))


def readable(paths: Sequence[Path], bar: Progress, *, debug: bool = False) -> list[Path]:
    """The files that hold an explanation; on stderr, what is wrong with the others."""
    good = []
    for path in bar.track(paths, description="reading"):
        try:
            exhibit_of(path)
            good.append(path)
        except (ValueError, OSError) as error:
            if debug:
                traceback.print_exc()
            missing = isinstance(error, FileNotFoundError)
            complain(f"{path}: there is no such file" if missing else _about(path, error))
    return good


def exhibit_of(path: Path) -> Exhibit:
    """A saved explanation under the name of its image.

    Raises:
        ValueError, OSError: If it cannot be read or shown; see `Explanation.load`.
    """
    from relax.explanation import Explanation
    from relax.plotting.caption import recipe
    from relax.report import Exhibit

    explanation = Explanation.load(path)
    try:
        recipe(explanation.provenance)
        name = Path(str(explanation.provenance.get("image") or path.stem)).name
    except (AttributeError, KeyError, TypeError, ValueError) as reason:
        raise ValueError(f"{path} is not a saved explanation: its provenance is not one ({reason})") from None
    return Exhibit(explanation, name, notes=(("File", str(path)),))


@dataclass(frozen=True)
class Saved(Sequence["Exhibit"]):
    """Explanations in files, read when they are looked at, so that memory holds one at a time."""

    paths: Sequence[Path]

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, place: int) -> Exhibit: ...
    @overload
    def __getitem__(self, place: slice) -> Saved: ...
    def __getitem__(self, place: int | slice) -> Exhibit | Saved:
        return Saved(self.paths[place]) if isinstance(place, slice) else exhibit_of(self.paths[place])


def _about(path: Path, error: Exception) -> str:
    return str(error) if str(error).startswith(str(path)) else f"{path}: {error}"
