"""Findings, chapters, figures, tables, strips and settings as HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from relax.report.content import Chart, Grid, Section, Strip, Thumbnail
from relax.report.maps import data_uri, jpeg
from relax.report.text import escaped, named, readable, rows_of

SMALL = 144  # pixels of a thumbnail along its longer side


def findings(sentences: Sequence[str]) -> str:
    """The key findings; empty without any."""
    if not sentences:
        return ""
    items = "".join(f"<li>{escaped(text)}</li>" for text in sentences)
    return f'<section id="findings" class="findings"><h2>Key findings</h2><ol>{items}</ol></section>'


def space(chapter: Section, live: str) -> str:
    """The chapter on the map of the space: the live map, and the charts in its place without scripts and on paper."""
    text = "".join(f"<p>{escaped(paragraph)}</p>" for paragraph in chapter.paragraphs)
    still = "".join(_block(block) for block in chapter.blocks)
    return (
        f'<section id="space"><h2>{escaped(chapter.title)}</h2>{text}{live}<div class="still">{still}</div></section>'
    )


def section(chapter: Section, anchor: str) -> str:
    """A chapter with its anchor."""
    text = "".join(f"<p>{escaped(paragraph)}</p>" for paragraph in chapter.paragraphs)
    inner = "".join(_block(block) for block in chapter.blocks)
    return f'<section id="{anchor}"><h2>{escaped(chapter.title)}</h2>{text}{inner}</section>'


def settings(record: Mapping[str, Any]) -> str:
    """Settings and provenance, collapsed; empty without any."""
    rows = "".join(
        f'<tr><th scope="row">{escaped(name)}</th><td>{named(value)}</td></tr>' for name, value in rows_of(record)
    )
    if not rows:
        return ""
    return (
        '<section id="settings"><h2>Settings and provenance</h2><details><summary>How this was made</summary>'
        f'<div class="scroll"><table class="settings"><tbody>{rows}</tbody></table></div></details></section>'
    )


def _block(block: Chart | Grid | Strip) -> str:
    if isinstance(block, Chart):
        return _chart(block)
    return _grid(block) if isinstance(block, Grid) else _strip(block)


def _chart(chart: Chart) -> str:
    picture = f'<img src="{data_uri(chart.png, "image/png")}" alt="{escaped(chart.alt)}">'
    return f'<figure class="chart" tabindex="0">{picture}<figcaption>{escaped(chart.caption)}</figcaption></figure>'


def _grid(grid: Grid) -> str:
    numeric = [all(not isinstance(row[place], str) for row in grid.rows) for place in range(len(grid.headers))]
    kind = ["number" if is_number else "words" for is_number in numeric]
    head = "".join(
        f'<th scope="col" class="{kind[place]}"><button type="button">{escaped(header)}</button></th>'
        for place, header in enumerate(grid.headers)
    )
    body = "".join(
        "<tr>" + "".join(_cell(value, kind[place]) for place, value in enumerate(row)) + "</tr>" for row in grid.rows
    )
    note = f'<p class="note">{escaped(grid.note)}</p>' if grid.note else ""
    return (
        f'<figure class="grid"><div class="scroll" role="region" tabindex="0" aria-label="{escaped(grid.title)}">'
        f'<table class="sortable"><caption>{escaped(grid.title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}</figure>"
    )


def _cell(value: str | float | int | None, kind: str) -> str:
    """A cell with its sort key, which is empty for a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return f'<td class="{kind}" data-sort="">–</td>'
    key = value if isinstance(value, str) else repr(float(value))
    return f'<td class="{kind}" data-sort="{escaped(key)}">{named(readable(value))}</td>'


def _strip(strip: Strip) -> str:
    pictures = "".join(f"<li>{_thumbnail(thumbnail)}</li>" for thumbnail in strip.thumbnails)
    note = f'<p class="note">{escaped(strip.note)}</p>' if strip.note else ""
    title = f"<h3>{escaped(strip.title)}</h3>" if strip.title else ""
    return f'<div class="strip">{title}<ul>{pictures}</ul>{note}</div>'


def _thumbnail(thumbnail: Thumbnail) -> str:
    """A small picture with its caption; a button if it leads to a picture of the collection."""
    inner = f'<img src="{jpeg(thumbnail.pixels, SMALL)}" alt="" loading="lazy"><span>{named(thumbnail.caption)}</span>'
    if thumbnail.picture is None:
        return inner
    return f'<button type="button" data-picture="{thumbnail.picture:d}">{inner}</button>'
