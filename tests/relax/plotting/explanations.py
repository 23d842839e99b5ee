"""Small explanations with random maps, for the tests of the figures."""

import numpy as np

from relax.explanation import Explanation

PROVENANCE = {
    "image": "photos/cat.png",
    "encoder": {"name": "default", "checksum": "ab", "input_size": [64, 64]},
    "similarity": "cosine",
    "reference": "itself",
    "masks": {"kind": "random-grid", "cells": 7, "keep": 0.5, "seed": 3, "count": 3000},
    "fill": "mean",
    "seed": 3,
    "tolerance": None,
    "converged": None,
    "cost": {"passes": 3001},
    "seconds": 1.5,
}


def explanation(height=12, width=16, unseen=None, record=None, **maps):
    """Random maps in a narrow band; `unseen` is an index of pixels that the encoder never saw."""
    rng = np.random.default_rng(0)
    values = {
        "importance": rng.uniform(0.80, 0.84, (height, width)).astype(np.float32),
        "uncertainty": rng.uniform(0.001, 0.003, (height, width)).astype(np.float32),
        "standard_error": np.full((height, width), 0.0004, np.float32),
    } | maps
    if unseen is not None:
        for name in values:
            values[name][unseen] = np.nan
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Explanation(**values, image=image, provenance=PROVENANCE | (record or {}))


def with_importance(values):
    """An explanation with this importance and otherwise random maps."""
    values = np.asarray(values, np.float32)
    return explanation(*values.shape, importance=values)


def words(drawing):
    """All text of a figure, without line breaks."""
    return " ".join(text.get_text() for text in drawing.texts)


def check_that_nothing_overlaps_or_leaves(drawing):
    """Every text, number and panel lies within the figure, and none over another."""
    import itertools

    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(drawing).draw()
    texts = [(text.get_text(), text.get_window_extent()) for text in drawing.texts if text.get_text()]
    panels = [(f"axes {i}", axes.get_window_extent()) for i, axes in enumerate(drawing.axes)]
    ticks = [
        (tick.get_text(), tick.get_window_extent())
        for axes in drawing.axes
        for tick in axes.get_xticklabels()
        if tick.get_text()
    ]
    page = drawing.bbox
    for name, box in texts + panels + ticks:
        assert page.x0 <= box.x0 and box.x1 <= page.x1, f"{name!r} leaves the figure sideways"  # noqa: PT018
        assert page.y0 <= box.y0 and box.y1 <= page.y1, f"{name!r} leaves the figure up or down"  # noqa: PT018
    for (first, a), (second, b) in itertools.combinations(texts + panels, 2):
        assert not a.overlaps(b), f"{first!r} lies over {second!r}"
    for (first, a), (second, b) in [*itertools.combinations(ticks, 2), *itertools.product(texts, ticks)]:
        assert not a.overlaps(b), f"{first!r} lies over {second!r}"
