"""One self-contained HTML file that makes no network requests.

A content security policy admits only the style and script of the page, by their hashes; all text of the report is
escaped. Without scripts, only the viewer of the gallery is missing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from string import Template

from relax.files import written_aside
from relax.report.blocks import findings, section, settings, space
from relax.report.content import Report
from relax.report.gallery import gallery
from relax.report.text import escaped
from relax.text import counted

STYLES = ("page.css", "viewer.css", "stack.css", "gallery.css", "space.css", "print.css")
SCRIPTS = (
    *("page.js", "pictures.js", "maps.js", "viewer.js", "stack.js", "window.js", "gallery.js"),
    *("dots.js", "view.js", "legend.js", "pane.js", "space.js", "start.js"),  # the map of the space
)


def write_report(report: Report, path: str | Path, *, progress: Callable[[int, int], None] | None = None) -> Path:
    """Write a report as one self-contained HTML file, which appears whole or not at all.

    Args:
        report: The content. Its strings are plain text and are escaped.
        path: The file to write.
        progress: Called with (pictures done, pictures) after each picture of the gallery.

    Returns:
        The path.

    Raises:
        OSError: If the file cannot be written.
    """
    path = Path(path)
    text = page(report, progress)
    with written_aside(path) as aside:
        aside.write_bytes(text.encode())
    return path


def page(report: Report, progress: Callable[[int, int], None] | None = None) -> str:
    """The HTML of a report; the arguments as for `write_report`."""
    style, script = "\n".join(map(part, STYLES)), "\n".join(map(part, SCRIPTS))
    chapters = {f"section-{place}": chapter for place, chapter in enumerate(report.sections, 1)}
    has_pictures = bool(report.exhibits or report.collection)
    body = [findings(report.findings)]
    if report.space is not None:
        body.append(space(report.space, part("space.html") if report.collection else ""))
    if has_pictures:
        skeleton = part("viewer.html") + part("gallery.html")
        body += gallery(report.exhibits, report.collection, skeleton, progress)
    body += [section(chapter, anchor) for anchor, chapter in chapters.items()]
    links = {"findings": "Key findings"} if report.findings else {}
    links |= {"space": report.space.title} if report.space else {}
    links |= {"pictures": "Pictures"} if has_pictures else {}
    links |= {anchor: chapter.title for anchor, chapter in chapters.items()}
    links |= ({"reading": "Reading the maps"} if report.about_maps else {}) | (
        {"settings": "Settings"} if report.settings else {}
    )
    return document(
        title=report.title,
        preface=_count(len(report.exhibits)),
        contents=links,
        body="\n".join(body),
        style=style,
        script=script,
        reading=part("reading.html") if report.about_maps else "",
        settings=settings(report.settings),
    )


def document(
    *,
    title: str,
    contents: Mapping[str, str],
    body: str,
    style: str,
    script: str,
    preface: str = "",
    reading: str = "",
    settings: str = "",
) -> str:
    """A page of this package as HTML, with the policy under which only its own style and script run.

    Args:
        title: The heading, plain text.
        contents: Titles of the chapters, plain text, by the `id` of their elements.
        body: HTML of the chapters, in which all text is escaped already.
        style: The only one of the page.
        script: The only one of the page.
        preface: Plain text before the date; ends in a separator if there is any.
        reading: HTML of a chapter at the end; "" for none.
        settings: HTML of the last chapter; "" for none.
    """
    today = datetime.now()
    return Template(part("page.html")).substitute(
        policy=policy(style, script),
        title=escaped(title),
        made=escaped(f"{preface}{today.day} {today:%B %Y} · relax-explainer {_version()}"),
        contents="".join(f'<li><a href="#{anchor}">{escaped(name)}</a></li>' for anchor, name in contents.items()),
        body=body,
        reading=reading,
        settings=settings,
        style=style,
        script=script,
    )


def policy(style: str, script: str) -> str:
    """A policy under which nothing is fetched, and nothing runs but the style and script with these hashes."""
    allowed = [f"style-src {hash_source(style)}", f"script-src {hash_source(script)}"]
    rules = ["default-src 'none'", "img-src data:", *allowed]
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])


def hash_source(text: str) -> str:
    """What a policy calls a style or script that stands in the page, so that this text alone is let through."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def part(name: str) -> str:
    """A static file of this package."""
    return (files("relax.report") / "static" / name).read_text(encoding="utf-8")


def _count(pictures: int) -> str:
    return f"{counted(pictures, 'picture')} explained · " if pictures else ""


def _version() -> str:
    try:
        return version("relax-explainer")
    except PackageNotFoundError:
        return "(not installed as a package)"
