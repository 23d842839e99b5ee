"""Figures of slides, in words and pictures that the slide's own modules know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from relax.explanation import Explanation
from relax.plotting.caption import measure_of, measure_unit
from relax.plotting.slide import slide_map_figure, tissue_figure
from relax.slides.map import SlideMap
from relax.slides.slide import Pixels
from relax.slides.tiles import TileGrid
from relax.slides.tissue import Tissue
from relax.text import counted, number, shortened

NUMBERED = 4  # tiles that are numbered on the slide, at least
FINE = 1e-3  # similarities are written so exactly


def draw_tissue(tissue: Tissue, grid: TileGrid, name: str, theme: str = "light") -> Figure:
    """Where tissue was found on a slide, by which rule, and the tiles on it."""
    boxes = np.concatenate([grid.corners, grid.corners + grid.span], 1) / np.tile(tissue.scale, 2)
    return tissue_figure(tissue.picture, tissue.mask, boxes, name, [*rule_in_words(tissue.rule), *_tiles(grid)], theme)


def rule_in_words(rule: dict[str, Any]) -> list[str]:
    """How tissue was found, in short phrases."""
    phrases = [f"tissue: {rule['rule']}"]
    if "saturation" in rule:
        source = "Otsu's" if rule["saturation"] == rule["otsu"] else f"Otsu's is {rule['otsu']:.3f}"
        phrases += [f"threshold {rule['saturation']:.3f} ({source})", f"least area {rule['least_area_mm2']:g} mm²"]
    return [*phrases, f"seen at {rule['mpp']:g} µm per pixel", f"{rule['share']:.1%} of the slide"]


def _tiles(grid: TileGrid) -> list[str]:
    return [f"tiles of {grid.size} px at {grid.mpp:g} µm per pixel, {grid.span} px of the slide"]


def draw_map(slide_map: SlideMap, picture: Pixels, inside: Sequence[Explanation] = (), theme: str = "light") -> Figure:
    """The map of a slide over the slide, and the most important tiles.

    Args:
        slide_map: The map.
        picture: (H, W, 3) the whole slide.
        inside: Explanations of the most important tiles, in their order.
        theme: "light" or "dark".
    """
    scale = np.array(slide_map.known_size) / picture.shape[1::-1]
    boxes = np.concatenate([slide_map.corners, slide_map.corners + slide_map.span], 1) / np.tile(scale, 2)
    record = slide_map.provenance
    unit = measure_unit(measure_of(record))
    maps = {
        "importance": slide_map.effect,
        "uncertainty": slide_map.uncertainty,
        "standard_error": slide_map.standard_error,
    }
    labels = {
        "importance": f"mean {unit}, above that of the mean tile",
        "uncertainty": f"variance of the {unit}",
        "standard_error": f"of the importance, mean {unit}",
    }
    top = slide_map.top(max(len(inside), NUMBERED))
    caption = map_in_words(slide_map)
    return slide_map_figure(picture, boxes, maps, labels, top, inside, slide_map.name, caption, theme)


def map_in_words(slide_map: SlideMap) -> list[str]:
    """How a map was made and what it comes to, in short phrases."""
    record, masks = slide_map.provenance, slide_map.provenance["masks"]
    reference = str(record.get("reference") or "itself")
    reference = "the slide itself" if reference == "itself" else reference
    minus = f" minus to {shortened(str(record['foil']), 60)}" if record.get("foil") else ""
    explained = (record.get("estimator") or {}).get("explained")
    return [
        f"encoder {shortened(str((record.get('encoder') or {}).get('name')), 60)}",
        f"{record.get('similarity')} of the mean of the tiles to {shortened(reference, 60)}{minus}: "
        f"{number(slide_map.score, FINE)} with all tiles",
        f"{len(slide_map):,} tiles" + (", weighted" if record.get("weights") == "given" else ""),
        f"{counted(masks['count'], 'subset')} of {counted(masks.get('visible', 0), 'tile')}",
        f"seed {record.get('seed')}",
        *([f"{min(explained, 0.9999):.2%} of the variance known exactly"] if isinstance(explained, float) else []),
        f"mean importance {number(float(slide_map.importance.mean()), FINE)}",
        f"median standard error {number(float(np.median(slide_map.standard_error)))}",
    ]
