"""The pictures of a page: data for its viewer and its gallery, and a contact sheet that needs no script."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from relax.maps import MAPS, ExplanationLike, uncertainty_limit
from relax.plotting.caption import measure_unit, recipe
from relax.plotting.scales import COLOURS
from relax.report.collection import Collection
from relax.report.content import Exhibit
from relax.report.maps import LONGEST, NEVER, STEPS, averaged, fitted, jpeg, packed
from relax.report.packing import GROUP_COLOURS, compressed, packed_collection
from relax.report.sheets import Sheets
from relax.report.text import embedded, escaped, named, plain, visible, without_folders
from relax.text import number

PICTURE, SMALL = 640, 160  # px of the longer side of a picture, and of a thumbnail
VALUES = 320  # px of that of values behind a window
TABLES = COLOURS
PACKING = {"steps": STEPS, "never": NEVER}
GREY = (0xE4, 0xE4, 0xE4)  # pixels that the encoder never saw, as in the figures


@dataclass(frozen=True)
class Frame:
    """One picture of the gallery: its data for the script, and its entry in the contact sheet."""

    data: dict[str, Any]
    entry: str

    @classmethod
    def of(cls, exhibit: Exhibit) -> Frame:
        """Reduce and pack the maps, and draw the thumbnails."""
        explanation = exhibit.explanation
        provenance = without_folders(explanation.provenance)
        size = fitted(explanation.importance.shape, LONGEST)
        maps = {name: averaged(getattr(explanation, name), size) for name in MAPS}
        data = {
            "title": plain(exhibit.title),
            "size": explanation.importance.shape,
            "grid": size,
            "image": jpeg(explanation.image, PICTURE),
            "maps": {name: packed(values) for name, values in maps.items()},
            **({} if exhibit.values is None else {"values": _windowed(exhibit.values)}),
            "limit": _finite(uncertainty_limit(explanation.uncertainty)),
            "units": units(explanation),
            "within": bool(provenance.get("within")),
            "recipe": plain(" · ".join(recipe(provenance))),
            "notes": [[plain(name), plain(value)] for name, value in exhibit.notes],
            "neighbours": [
                {
                    "name": plain(neighbour.name),
                    "similarity": _finite(neighbour.similarity),
                    "image": jpeg(neighbour.pixels, SMALL),
                }
                for neighbour in exhibit.neighbours
            ],
            "how": "\n".join(map(visible, json.dumps(provenance, indent=2, ensure_ascii=False).split("\n"))),
        }
        return cls(data, _entry(exhibit, data, maps["importance"]))


def _windowed(values: NDArray[np.float32]) -> dict[str, Any] | None:
    """Values behind a window, reduced and packed as a map is, with their rows and columns."""
    size = fitted(values.shape, VALUES)
    reduced = packed(averaged(values, size))
    return None if reduced is None else {"grid": size, **reduced}


def units(explanation: ExplanationLike) -> dict[str, str]:
    """Quantity and unit of each map, in words."""
    provenance = explanation.provenance
    measure = str(provenance.get("similarity", "similarity"))
    unit = plain(measure_unit(measure))
    value = (
        plain(str(provenance["map"])) if provenance.get("map") else f"mean {unit}"
    )  # given by other methods than RELAX
    if provenance.get("foil"):
        value, unit = f"mean difference in {unit}, to the reference minus to the foil", "difference"
    return {
        "importance": value,
        "uncertainty": f"variance of the {unit}",
        "standard_error": "standard error of the importance",
    }


def gallery(
    exhibits: Sequence[Exhibit],
    collection: Collection | None,
    skeleton: str,
    progress: Callable[[int, int], None] | None = None,
) -> Iterable[str]:
    """The HTML of the gallery in pieces: the viewer, the contact sheet, and the data of the pictures.

    Args:
        exhibits: The explained pictures; only one at a time is in memory.
        collection: All pictures; None if they are those of the exhibits.
        skeleton: HTML of the viewer and the gallery.
        progress: Called with (pictures done, pictures) after each.
    """
    sheets = (
        Sheets(len(collection.names), collection.small, collection.side) if collection and collection.small else None
    )
    total = len(exhibits) + (sheets.count if sheets else 0)
    done = count(1)

    def advance() -> None:
        if progress is not None:
            progress(next(done), total)

    frames = []
    for exhibit in exhibits:
        frames.append(Frame.of(exhibit))
        advance()
    shared = common_ranges([frame.data for frame in frames])
    pictures = collection or Collection([frame.data["title"] for frame in frames], explained=range(len(frames)))
    yield skeleton
    yield f'<ol class="sheet">{"".join(frame.entry for frame in frames)}</ol></section>'
    tables = {name: colour_table(table) for name, table in TABLES.items()}
    yield data_script("colours", {"tables": tables, "groups": GROUP_COLOURS} | PACKING)
    for frame in frames:
        ranges = {name: shared.get((name, unit)) for name, unit in frame.data["units"].items()}
        yield data_script("exhibit", frame.data | {"shared": ranges})
    for sheet in sheets.drawn(advance) if sheets else ():
        yield f'<script type="text/plain" class="sheet-file">{sheet}</script>'
    thumbnails = sheets and {"side": sheets.side, "across": sheets.across, "sizes": compressed(sheets.sizes)}
    yield data_script("collection", packed_collection(pictures) | {"thumbnails": thumbnails})


def common_ranges(frames: Sequence[dict[str, Any]]) -> dict[tuple[str, str], dict[str, float]]:
    """Per (map, unit): the range over all pictures with such a map, and their number, if there are several."""
    groups: dict[tuple[str, str], list[dict[str, float]]] = {}
    for frame in frames:
        for name, values in frame["maps"].items():
            if values is not None:
                groups.setdefault((name, frame["units"][name]), []).append(values)
    return {
        key: {
            "low": min(values["low"] for values in group),
            "high": max(values["high"] for values in group),
            "pictures": len(group),
        }
        for key, group in groups.items()
        if len(group) > 1
    }


def _entry(exhibit: Exhibit, data: dict[str, Any], importance: NDArray[np.float64]) -> str:
    """An entry of the contact sheet: thumbnails of picture and importance, with the range that the colours span."""
    packed_map = data["maps"]["importance"]
    if packed_map is None:
        span = "nowhere defined"
    else:
        width = packed_map["high"] - packed_map["low"]
        span = f"{number(packed_map['low'], width)} to {number(packed_map['high'], width)}"
    return (
        '<li><button type="button"><span class="pair">'
        f'<img src="{jpeg(exhibit.explanation.image, SMALL)}" alt="">'
        f'<img src="{jpeg(_coloured(importance), SMALL, 92)}" alt="">'
        f'</span><span class="name">{named(exhibit.title)}</span>'
        f'<span class="range">importance {escaped(span)}</span></button></li>'
    )


def _coloured(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A map (h, w) in colours that span its range, grey where it is undefined: (h, w, 3)."""
    known = np.isfinite(values)
    low, high = (values[known].min(), values[known].max()) if known.any() else (0.0, 0.0)
    share = (np.where(known, values, low) - low) / (high - low) if high > low else np.full(values.shape, 0.5)
    colours = matplotlib.colormaps[TABLES["importance"]](share, bytes=True)[..., :3]
    return np.where(known[..., None], colours, np.array(GREY, np.uint8)).astype(np.uint8)


def colour_table(name: str) -> str:
    """The 256 colours of a colour map as text: 768 bytes of red, green, blue."""
    colours = matplotlib.colormaps[name](np.arange(256), bytes=True)[:, :3]
    return base64.b64encode(colours.astype(np.uint8).tobytes()).decode()


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def data_script(kind: str, data: dict[str, Any]) -> str:
    """Data for the script of a page, in an element of this class."""
    return f'<script type="application/json" class="{kind}">{embedded(data)}</script>'
