"""From the pages of the repository to those of the site: what they include is put in, links lead to the site's pages.

A page may hold comments, which GitHub does not show and which are replaced here:

    <!-- include README.md -->          what stands before the first section
    <!-- include README.md#Start -->    one section, without its heading
    <!-- table methods -->              a table made from the code, see `docs.site.tables`
    <!-- setting masks -->              what a setting does, see `docs.site.tables`

A file that a page links to and that is no page comes along: a picture, a table of numbers, the licence.
"""

from __future__ import annotations

import json
import posixpath
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

from docs.site import notebooks, tables
from docs.site.commands import commands
from docs.site.reference import PACKAGES, package

ROOT = Path(__file__).parent.parent.parent
PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "encoders/MODEL_CARD.md", "experiments/README.md")  # beside docs/*.md
GENERATED: dict[str, Callable[[], str]] = {
    **{f"reference/{name}.md": partial(package, name) for name in PACKAGES},
    "reference/commands.md": commands,
}
MOVED = {"README.md": "index.md"}  # the home page has what the README opens with

_LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=[)#])")
_INCLUDE = re.compile(r"<!-- include (\S+?\.md)(?:#(.+?))? -->")
_TABLE = re.compile(r"<!-- (table|setting) (\S+) -->")
_CODE = re.compile(r"^```.*?^```", flags=re.DOTALL | re.MULTILINE)


class PageError(ValueError):
    """A page names what is not there."""


def gather(out: Path, root: Path = ROOT) -> None:
    """Write every page of the site, and the files that pages link to, into the folder."""
    sources = [path.relative_to(root).as_posix() for path in sorted((root / "docs").glob("*.md"))]
    for source in (*sources, *PAGES):
        text = filled(source, root)
        _write(out, place(source), text)
        _copy_files(source, text, out, root)
    for path in sorted((root / "docs" / "notebooks").glob("*.ipynb")):
        text, figures = notebooks.page(json.loads(path.read_text()), path.stem)
        source = path.relative_to(root).as_posix()
        _write(out, place(source), _with_links(text, source, source, root, skip={path.name, *figures}))
        shutil.copyfile(path, out / "notebooks" / path.name)
        for name, figure in figures.items():
            (out / "notebooks" / name).write_bytes(figure)
    for name, page in GENERATED.items():
        _write(out, name, page())


def place(source: str) -> str:
    """Where a file of the repository is on the site: what is in docs/ moves to the top."""
    return MOVED.get(source, source.removeprefix("docs/").replace(".ipynb", ".md"))


def filled(source: str, root: Path = ROOT) -> str:
    """The text of a page with its comments replaced and its links relative to its place on the site.

    Raises:
        PageError: If a comment names a section, table or setting that is not there, or a link a file.
    """
    text = _with_links((root / source).read_text(), source, source, root)
    text = _INCLUDE.sub(lambda match: _included(match[1], match[2], source, root), text)
    return _TABLE.sub(lambda match: _table(match[1], match[2], source), text)


def _included(file: str, section: str | None, source: str, root: Path) -> str:
    title, *sections = re.split(r"^## (.+)\n", (root / file).read_text(), flags=re.MULTILINE)
    bodies = dict(zip(sections[::2], sections[1::2], strict=True))
    if section is not None and section not in bodies:
        raise PageError(f"{source}: {file} has no section {section!r}; it has {', '.join(bodies)}")
    text = bodies[section] if section else re.sub(r"\A# .*\n", "", title)
    return _with_links(text.strip(), file, source, root)


def _table(kind: str, name: str, source: str) -> str:
    rows = tables.SETTINGS if kind == "setting" else tables.TABLES
    if name not in rows:
        raise PageError(f"{source}: there is no {kind} {name!r}; there are {', '.join(rows)}")
    return rows[name]()


def _with_links(text: str, file: str, source: str, root: Path, skip: Collection[str] = ()) -> str:
    """The text of a file as part of the page `source`, with links, but for some, relative to the place of that page."""

    def moved(match: re.Match[str]) -> str:
        if re.match(r"[a-z]+:", match[1]) or match[1] in skip:
            return match[1]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(file), match[1]))
        if not (root / target).is_file() and place(target) not in GENERATED:
            raise PageError(f"{file} links to {match[1]}, which is no file")
        return posixpath.relpath(place(target), posixpath.dirname(place(source)) or ".")

    return "".join(part if code else _LINK.sub(moved, part) for code, part in _parts(text))


def _parts(text: str) -> Iterator[tuple[bool, str]]:
    """The text in pieces, each with whether it is a block of code."""
    end = 0
    for block in _CODE.finditer(text):
        yield False, text[end : block.start()]
        yield True, block[0]
        end = block.end()
    yield False, text[end:]


def _copy_files(source: str, text: str, out: Path, root: Path) -> None:
    """Copy the files that the page links to and that are no pages."""
    for code, part in _parts(text):
        for link in () if code else _LINK.findall(part):
            if re.match(r"[a-z]+:", link) or link.endswith(".md"):
                continue
            target = posixpath.normpath(posixpath.join(posixpath.dirname(place(source)), link))
            original = root / target if (root / target).is_file() else root / "docs" / target
            (out / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(original, out / target)


def _write(out: Path, name: str, text: str) -> None:
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text(text)
