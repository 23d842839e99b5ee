"""The page of an `Inside`: one HTML file, offline, in which the picture is followed through the layers."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relax.files import written_aside
from relax.inside.packing import packed_page
from relax.plotting.scales import COLOURS, SIGNED
from relax.report.blocks import settings
from relax.report.gallery import colour_table, data_script
from relax.report.maps import jpeg
from relax.report.page import document, part
from relax.report.text import plain, without_folders

if TYPE_CHECKING:  # which imports this module
    from relax.inside.result import Inside


STYLES = ("page.css", "viewer.css", "print.css")
SCRIPTS = ("page.js", "pictures.js", "maps.js")
OWN_STYLES = ("inside.css",)
OWN_SCRIPTS = ("layers.js", "flow.js", "kinds.js", "start_inside.js")
PICTURE, QUALITY = 640, 92  # px of the longer side of the view, and of its JPEG
LAYER = "layer"


def write_page(inside: Inside, path: str | Path) -> Path:
    """Write the page, which appears whole or not at all. Returns its path.

    Raises:
        OSError: If the file cannot be written.
    """
    text = page(inside)
    with written_aside(path) as aside:
        aside.write_bytes(text.encode())
    return Path(path)


def page(inside: Inside) -> str:
    """The HTML."""
    content = packed_page(inside)
    record = without_folders(inside.provenance)
    effect = (record.get("effect") or {}) if isinstance(record.get("effect"), dict) else {}
    data: dict[str, Any] = {
        "image": jpeg(inside.view, PICTURE, QUALITY),
        "size": inside.view.shape[:2],
        "embedding": [float(f"{value:.4g}") for value in inside.embedding],
        "effect": str(effect.get("method", "")),
        "left_out": plain(_left_out(record.get("left_out", []), content.left_out)),
    }
    tables = {"positive": colour_table(COLOURS["importance"]), "signed": colour_table(SIGNED)}
    scripts = [data_script("colours", {"tables": tables}), data_script("inside", data)]
    scripts += [data_script(LAYER, stage) for stage in content.stages]
    image, encoder = str(record.get("image", "a picture")), (record.get("encoder") or {}).get("name", "an encoder")
    return document(
        title=f"{image} inside {encoder}",
        contents={"flow-part": "From the picture to the embedding", "layer": "One layer", "settings": "Settings"},
        body="\n".join([_own("inside.html"), *scripts]),
        style="\n".join([*map(part, STYLES), *map(_own, OWN_STYLES)]),
        script="\n".join([*map(part, SCRIPTS), *map(_own, OWN_SCRIPTS)]),
        settings=settings(record),
    )


def _left_out(everywhere: Sequence[str], here: Sequence[str]) -> str:
    """What was not looked at, and what only the page is too small for: the arrays have that."""
    sentences = [f"Left out: {'; '.join(everywhere)}."] if everywhere else []
    if here:
        sentences.append(
            f"Left out of this page, for its size: {'; '.join(here)}. The arrays (--write arrays) have it."
        )
    return " ".join(sentences)


def _own(name: str) -> str:
    """A static file of this room."""
    return (files("relax.inside") / "static" / name).read_text(encoding="utf-8")
