"""The map of a slide as GeoJSON: a square per tile with its numbers, as QuPath opens it.

Drag the file onto the open slide, or use File > Import objects. The tiles are tile objects in pixels of level 0, in
five classes of a fifth of the tiles each, by importance, with the colours of the map; under Measure > Show measurement
maps every number can be shown.

Source: what QuPath 0.4 and later write (qupath-core, PathObjectTypeAdapters).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from relax.files import written_aside
from relax.slides.map import SlideMap

CLASSES = 5
COLOURS = "viridis"  # as the importance in figures
MEASUREMENTS = {
    "importance": "RELAX importance",
    "effect": "RELAX importance above the mean tile",
    "uncertainty": "RELAX uncertainty",
    "standard_error": "RELAX standard error",
    "alone": "similarity of the tile alone",
    "influence": "fall of the slide's similarity without the tile",
}
"""By attribute of the map, the names that QuPath shows."""


def write_geojson(slide_map: SlideMap, path: str | Path) -> Path:
    """Write the tiles of a map as GeoJSON; the file appears whole or not at all. Returns its path."""
    with written_aside(path) as aside, aside.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [\n')
        for number, feature in enumerate(features(slide_map)):
            file.write((",\n" if number else "") + json.dumps(feature, allow_nan=False))
        file.write("\n]}\n")
    return Path(path)


def features(slide_map: SlideMap) -> Iterator[dict[str, Any]]:
    """One feature per tile, in the order of the map."""
    values = {name: getattr(slide_map, attribute) for attribute, name in MEASUREMENTS.items()}
    classes, span = fifths(slide_map), slide_map.span
    colours = matplotlib.colormaps[COLOURS](np.linspace(1, 0, CLASSES), bytes=True)[:, :3].tolist()
    names = [f"RELAX importance, {20 * number} to {20 * (number + 1)} % from the top" for number in range(CLASSES)]
    space = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([slide_map.name, slide_map.provenance.get("created")]))
    for number, (x, y) in enumerate(slide_map.corners.tolist()):
        corners = [[x, y], [x + span, y], [x + span, y + span], [x, y + span], [x, y]]
        place = int(classes[number])
        yield {
            "type": "Feature",
            "id": str(uuid.uuid5(space, str(number))),
            "geometry": {"type": "Polygon", "coordinates": [corners]},
            "properties": {
                "objectType": "tile",
                "classification": {"name": names[place], "color": colours[place]},
                "measurements": {name: float(column[number]) for name, column in values.items()},
            },
        }


def fifths(slide_map: SlideMap) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(N,) the fifth of each tile by its importance; 0 is the most important."""
    rank = np.empty(len(slide_map), np.int64)
    rank[slide_map.top(len(slide_map))] = np.arange(len(slide_map))
    return rank * CLASSES // len(slide_map)
