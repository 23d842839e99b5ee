"""The page of links: a part of either side is chosen and its partners in the other light up, in one HTML file."""

from __future__ import annotations

import base64
import io
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relax.files import written_aside
from relax.links.drawing import box_of, title_of
from relax.links.linked import LinkedPicture, LinkedText
from relax.plotting.caption import measure_unit
from relax.plotting.drawing import file_of
from relax.report.blocks import findings, section, settings
from relax.report.content import Chart, Grid, Section
from relax.report.page import document, part
from relax.report.text import embedded, visible, without_folders
from relax.text import number, shortened

if TYPE_CHECKING:
    from relax.links.explanation import FirstOrder, LinksExplanation

LONGEST = 900  # pixels of a picture on the page, along its longer side
DRAWN = 16  # links at most that are lines or rows of the table
MOST_LINKS = 2**20  # on a page


def links_page(explained: LinksExplanation) -> str:
    """The HTML of the page.

    Raises:
        ValueError: If there are more links than a page holds, 1,048,576, which are those of 32 x 32 cells.
    """
    if explained.links.size > MOST_LINKS:
        raise ValueError(f"a page holds {MOST_LINKS:,} links; here are {explained.links.size:,}: take fewer cells")
    names = (_title(explained.a), _title(explained.b))
    style = "\n".join([part("page.css"), part("print.css"), _own("links.css")])
    script = "\n".join([part("page.js"), _own("links.js")])
    data = f'<script type="application/json" id="links-data">{embedded(_data(explained, names))}</script>'
    body = [findings(_findings(explained, names)), _own("links.html") + data]
    body += [section(_table(explained), "table"), section(_figure(explained, names), "figure")]
    body.append('<p id="said" class="unseen" role="status"></p>')
    chapters = {"findings": "Key findings", "links": "Part to part", "table": "Strongest links", "figure": "Figure"}
    return document(
        title=f"Which part of {names[0]} is close to which part of {names[1]}?",
        contents={**chapters, "settings": "Settings"},
        body="\n".join(body),
        style=style,
        script=script,
        settings=settings(_record(explained)),
    )


def write_links_page(explained: LinksExplanation, path: str | Path) -> Path:
    """Write the page, which appears whole or not at all. Returns its path.

    Raises:
        ValueError: As `links_page`.
    """
    content = links_page(explained).encode()
    with written_aside(path) as aside:
        aside.write_bytes(content)
    return Path(path)


def _own(name: str) -> str:
    return (files("relax.links") / "static" / name).read_text(encoding="utf-8")


def _title(linked: LinkedPicture | LinkedText) -> str:
    title = shortened(visible(title_of(linked)), 60)
    return f"“{title}”" if isinstance(linked, LinkedText) else title


def _record(explained: LinksExplanation) -> dict[str, Any]:
    record = without_folders(explained.provenance)
    return {**record, "a": without_folders(record["a"]), "b": without_folders(record["b"])}


def part_name(linked: LinkedPicture | LinkedText, place: tuple[int, ...]) -> str:
    """A part in words: "row 2, column 4", or the word itself."""
    if isinstance(linked, LinkedText):
        return f"“{shortened(visible(linked.words[place[0]]), 40)}”"
    return f"row {place[0] + 1}, column {place[1] + 1}"


def _data(explained: LinksExplanation, names: tuple[str, str]) -> dict[str, Any]:
    alone = np.concatenate([own.only.ravel() for own in (explained.of_a, explained.of_b)])
    return {
        "sides": [
            _side(explained.a, explained.of_a, names[0]),
            _side(explained.b, explained.of_b, names[1]),
        ],
        "links": _rounded(explained.links),
        "errors": _rounded(explained.standard_error),
        "limit": float(np.abs(explained.links).max()),
        "onlyLimit": float(np.abs(alone).max()),
        "unit": measure_unit(explained.provenance["similarity"]),
        "strongest": [[_flat(explained.a, link.a), _flat(explained.b, link.b)] for link in explained.strongest(DRAWN)],
    }


def _side(linked: LinkedPicture | LinkedText, own: FirstOrder, title: str) -> dict[str, Any]:
    places = [*np.ndindex(*linked.shape)]
    side: dict[str, Any] = {
        "title": title,
        "names": [part_name(linked, place) for place in places],
        "only": _rounded(own.only),
        "onlyErrors": _rounded(own.only_error),
        "words": isinstance(linked, LinkedText),
        "columns": linked.shape[-1] if isinstance(linked, LinkedPicture) else 1,
    }
    if isinstance(linked, LinkedPicture):
        height, width = linked.image.shape[:2]
        sizes = (width, height, width, height)
        boxes = [[round(100 * e / s, 4) for e, s in zip(box_of(linked, p), sizes, strict=True)] for p in places]
        side |= {"image": _jpeg(linked.image), "boxes": boxes}
    return side


def _jpeg(pixels: NDArray[np.uint8]) -> str:
    picture = Image.fromarray(pixels)
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _rounded(values: NDArray[np.float64]) -> list[float]:
    """To 5 digits, flat."""
    return [float(f"{value:.5g}") for value in values.ravel()]


def _flat(linked: LinkedPicture | LinkedText, place: tuple[int, ...]) -> int:
    return int(np.ravel_multi_index(place, linked.shape))


def _findings(explained: LinksExplanation, names: tuple[str, str]) -> list[str]:
    unit = measure_unit(explained.provenance["similarity"])
    sentences = [f"The {unit} of {names[0]} and {names[1]} is {number(explained.similarity, 1e-3)}."]
    strongest = explained.strongest(1)
    if not strongest:
        return [*sentences, "No link is more than two standard errors above 0: take more masks, or fewer cells."]
    link = strongest[0]
    ends = f"{part_name(explained.a, link.a)} of {names[0]} and {part_name(explained.b, link.b)} of {names[1]}"
    sentences.append(
        f"The strongest link joins {ends}: showing both brings the two closer by "
        f"{number(link.value, link.standard_error)} more than each of them alone, standard error "
        f"{number(link.standard_error)}."
    )
    certain = int((np.abs(explained.links) > 2 * explained.standard_error).sum())
    sentences.append(
        f"{certain:,} of {explained.links.size:,} links differ from 0 by more than two standard errors; by chance "
        f"about {0.05 * explained.links.size:,.0f} would."
    )
    for linked, own, name in ((explained.a, explained.of_a, names[0]), (explained.b, explained.of_b, names[1])):
        place = tuple(map(int, np.unravel_index(int(own.only.argmax()), own.only.shape)))
        if own.only[place] > 2 * own.only_error[place]:
            sentences.append(f"What {name} alone shows is most in {part_name(linked, place)}.")
    return sentences


def _table(explained: LinksExplanation) -> Section:
    low, high = explained.interval()
    rows = tuple(
        (
            rank,
            part_name(explained.a, link.a),
            part_name(explained.b, link.b),
            link.value,
            link.standard_error,
            float(low[(*link.a, *link.b)]),
            float(high[(*link.a, *link.b)]),
        )
        for rank, link in enumerate(explained.strongest(DRAWN), 1)
    )
    headers = ("rank", _title(explained.a), _title(explained.b), "link", "standard error", "95 % from", "to")
    note = "A link is the weighted Banzhaf interaction of two parts in the similarity of the sides, in its unit."
    return Section("Strongest links", blocks=(Grid("", headers, rows, note),))


def _figure(explained: LinksExplanation, names: tuple[str, str]) -> Section:
    chart = Chart(
        file_of(explained.plot()),
        "Above, the strongest links; below, in red what only each side shows, which brings it closer to itself than to "
        "the other.",
        f"{names[0]} and {names[1]} with their strongest links as lines.",
    )
    return Section("Figure", blocks=(chart,))
