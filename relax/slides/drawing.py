"""Figures of slides, in words and pictures that the slide's own modules know."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from relax.plotting.slide import tissue_figure
from relax.slides.tiles import TileGrid
from relax.slides.tissue import Tissue


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
