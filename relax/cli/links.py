"""`relax pair --links`: which part of one picture is close to which part of the other, or to which word of a text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from relax.cli.console import DONE, MaskProgress, UsageError
from relax.cli.early import check_there
from relax.cli.options import option_name
from relax.cli.usage import usage_errors
from relax.files import file_names, write_files
from relax.io.choice import stem_of
from relax.settings import DEFAULTS
from relax.text import PROMPT, number, shortened

if TYPE_CHECKING:  # torch comes with it
    from relax.links.explanation import LinksExplanation

NEVER = ("regions", "estimator", "preset")  # keywords of a pair that links have no choice of
TOLD = 3  # links in words


def links(
    a: str,
    b: str,
    options: dict[str, Any],
    encoder: str,
    text_encoder: str | None,
    report: Path | None,
    out: Path,
    *,
    quiet: bool,
    debug: bool,
) -> int:
    """Write A-B-links.npz and A-B-links.png, and the page if one is asked for; returns the exit code."""
    for name in NEVER:
        if options[name] != DEFAULTS[name]:
            raise UsageError(f"{option_name(name)} is not for --links, which hides the cells of one grid: leave it out")
    check_there(*(source for source in (a, b) if not (source is b and b.startswith(PROMPT))))
    from relax.cli.prepare import prepared
    from relax.links.explaining import links_with
    from relax.links.page import write_links_page

    if report is not None and report.is_dir():
        raise UsageError(f"--report must be a file; {report} is a folder")
    progress = MaskProgress(2, visible=not quiet)
    with progress.bar, usage_errors(debug=debug):
        with usage_errors(debug=debug, of_images=True):
            network, settings = prepared(encoder, options, out)
        progress.advance(f"{a} and {b}")
        explained = links_with(a, b, network, settings, text_encoder, progress.masks)
        files = write(explained, out, a, b)
        if report is not None:
            files.append(write_links_page(explained, report))
    if not quiet:
        typer.echo(in_words(explained))
        typer.echo(f"written: {file_names(files)}")
    return DONE


def in_words(explained: LinksExplanation) -> str:
    """The similarity and the strongest links, one per line."""
    lines = [f"{explained.provenance['similarity']} of the whole: {number(explained.similarity)}"]
    for link in explained.strongest(TOLD):
        error = number(link.standard_error)
        lines.append(
            f"{_place(link.a)} of {_name(explained.a.name)} - {_part(explained, link.b)}: "
            f"{number(link.value, link.standard_error)}, standard error {error}"
        )
    if len(lines) == 1:
        lines.append("no link is more than two standard errors above 0: take more masks, or fewer cells")
    return "\n".join(lines)


def _part(explained: LinksExplanation, place: tuple[int, ...]) -> str:
    words = getattr(explained.b, "words", None)
    if words is not None:
        return f"“{shortened(words[place[0]], 40)}”"
    return f"{_place(place)} of {_name(explained.b.name)}"


def _place(place: tuple[int, ...]) -> str:
    return f"row {place[0] + 1}, column {place[1] + 1}"


def _name(name: str) -> str:
    return shortened(Path(name).name, 60)


def write(explained: LinksExplanation, out: Path, a: str, b: str) -> list[Path]:
    """Write the links and the figure, each file whole or not at all. Returns their paths."""
    from relax.cli.outputs import FreeNames
    from relax.plotting.drawing import file_of

    second = "text" if b.startswith(PROMPT) else stem_of(b)
    given = (a,) if b.startswith(PROMPT) else (a, b)
    stem = FreeNames(out, given, [".npz", ".png"]).numbered(f"{stem_of(a)}-{second}-links")
    return write_files(out / stem, {".npz": explained.to_bytes(), ".png": file_of(explained.plot())})
