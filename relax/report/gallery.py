"""The pictures of the gallery as data for the script of the page, and as a sheet of small pictures without it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from relax.maps import MAPS, ExplanationLike, uncertainty_limit
from relax.plotting.caption import measure_unit, recipe
from relax.plotting.panels import COLOURS
from relax.report.content import Exhibit
from relax.report.maps import LONGEST, NEVER, STEPS, averaged, fitted, jpeg, packed
from relax.report.text import embedded, escaped, named, plain
from relax.text import number

PICTURE, SMALL = 640, 160  # longer side of a picture, and of the small ones in the sheet
TABLES = {**COLOURS, "standard_error": "cividis"}
GREY = (0xE4, 0xE4, 0xE4)  # never seen by the encoder, as in the figures


@dataclass(frozen=True)
class Frame:
    """One picture of the gallery: what the script gets, and its entry in the sheet."""

    data: dict[str, Any]
    entry: str

    @classmethod
    def of(cls, exhibit: Exhibit) -> Frame:
        """Average the maps down, store them, and draw the small pictures."""
        explanation = exhibit.explanation
        size = fitted(explanation.importance.shape, LONGEST)
        maps = {name: averaged(getattr(explanation, name), size) for name in MAPS}
        data = {
            "title": plain(exhibit.title),
            "size": explanation.importance.shape,
            "grid": size,
            "image": jpeg(explanation.image, PICTURE),
            "maps": {name: packed(values) for name, values in maps.items()},
            "limit": _finite(uncertainty_limit(explanation.uncertainty)),
            "units": units(explanation),
            "recipe": plain(" · ".join(recipe(explanation.provenance))),
            "notes": [[plain(name), plain(value)] for name, value in exhibit.notes],
            "neighbours": [
                {
                    "name": plain(neighbour.name),
                    "similarity": _finite(neighbour.similarity),
                    "image": jpeg(neighbour.pixels, SMALL),
                }
                for neighbour in exhibit.neighbours
            ],
            "how": "\n".join(map(plain, json.dumps(explanation.provenance, indent=2, ensure_ascii=False).split("\n"))),
        }
        return cls(data, _entry(exhibit, data, maps["importance"]))


def units(explanation: ExplanationLike) -> dict[str, str]:
    """What the values of each map are, in words."""
    made = explanation.provenance
    measure = str(made.get("similarity", "similarity"))
    unit = plain(measure_unit(measure))
    value = plain(str(made["map"])) if made.get("map") else f"mean {unit}"  # other methods name their own
    if made.get("foil"):
        value, unit = f"mean difference in {unit}, to the reference minus to the foil", "difference"
    return {
        "importance": value,
        "uncertainty": f"variance of the {unit}",
        "standard_error": "standard error of the importance",
    }


def gallery(
    exhibits: Sequence[Exhibit], skeleton: str, progress: Callable[[int, int], None] | None = None
) -> Iterable[str]:
    """The HTML of the gallery in pieces: the viewer, the sheet, and the data of each picture.

    Args:
        exhibits: The pictures; one at a time is held.
        skeleton: HTML of the viewer.
        progress: Called with (pictures done, pictures) after each.
    """
    frames = []
    for exhibit in exhibits:
        frames.append(Frame.of(exhibit))
        if progress is not None:
            progress(len(frames), len(exhibits))
    shared = common_ranges([frame.data for frame in frames])
    yield skeleton
    yield f'<ol class="sheet">{"".join(frame.entry for frame in frames)}</ol></section>'
    yield _script("colours", {"tables": {name: _table(table) for name, table in TABLES.items()}} | _CODE)
    for frame in frames:
        own = {name: shared.get((name, unit)) for name, unit in frame.data["units"].items()}
        yield _script("exhibit", frame.data | {"shared": own})


def common_ranges(frames: Sequence[dict[str, Any]]) -> dict[tuple[str, str], dict[str, float]]:
    """Per (map, unit): the range over all pictures that have such a map, and how many these are, if several."""
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for frame in frames:
        for name, values in frame["maps"].items():
            if values is not None:
                found.setdefault((name, frame["units"][name]), []).append(values)
    return {
        key: {
            "low": min(one["low"] for one in group),
            "high": max(one["high"] for one in group),
            "pictures": len(group),
        }
        for key, group in found.items()
        if len(group) > 1
    }


def _entry(exhibit: Exhibit, data: dict[str, Any], importance: NDArray[np.float64]) -> str:
    """A button of the sheet: the picture and its importance, small, with the range that the colours span."""
    found = data["maps"]["importance"]
    if found is None:
        span = "nowhere defined"
    else:
        width = found["high"] - found["low"]
        span = f"{number(found['low'], width)} to {number(found['high'], width)}"
    return (
        '<li><button type="button"><span class="pair">'
        f'<img src="{jpeg(exhibit.explanation.image, SMALL)}" alt="">'
        f'<img src="{jpeg(_coloured(importance), SMALL, 92)}" alt="">'
        f'</span><span class="name">{named(exhibit.title)}</span>'
        f'<span class="range">importance {escaped(span)}</span></button></li>'
    )


def _coloured(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A map (h, w) in colours that span its own range, grey where it has no value: (h, w, 3)."""
    known = np.isfinite(values)
    low, high = (values[known].min(), values[known].max()) if known.any() else (0.0, 0.0)
    share = (np.where(known, values, low) - low) / (high - low) if high > low else np.full(values.shape, 0.5)
    colours = matplotlib.colormaps[TABLES["importance"]](share, bytes=True)[..., :3]
    return np.where(known[..., None], colours, np.array(GREY, np.uint8)).astype(np.uint8)


def _table(name: str) -> str:
    """The 256 colours of a colour map as text: 768 bytes of red, green, blue."""
    colours = matplotlib.colormaps[name](np.arange(256), bytes=True)[:, :3]
    return base64.b64encode(colours.astype(np.uint8).tobytes()).decode()


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _script(kind: str, data: dict[str, Any]) -> str:
    return f'<script type="application/json" class="{kind}">{embedded(data)}</script>'


_CODE = {"steps": STEPS, "never": NEVER}
