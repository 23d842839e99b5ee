"""`python -m docs.site.figures`: the figures of the page about settings, a cat through SSCD (some minutes)."""

import io
from typing import Any

import numpy as np
import skimage.data
from matplotlib.figure import Figure
from PIL import Image

import relax
from docs.site.pages import ROOT
from relax.plotting.scales import COLOURS

MASKS, SEED, SIDE = 512, 0, 300
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "cells": {"4 cells": {"cells": 4}, "7 cells": {}, "14 cells": {"cells": 14}},
    "keep": {"keep 0.25": {"keep": 0.25}, "keep 0.5": {}, "keep 0.75": {"keep": 0.75}},
    "fill": {"mean": {}, "blur": {"fill": "blur"}, "noise": {"fill": "noise"}},
    "regions": {"grid": {}, "superpixels": {"regions": "superpixels"}, "windows": {"regions": "windows"}},
}


def main() -> None:
    """Draw one figure a setting: the picture, and its importance under three values, each in its own range."""
    encoder = relax.load_encoder("sscd")
    picture = np.asarray(skimage.data.chelsea())[:, 65:365]
    maps: dict[str, Any] = {}
    for setting, variants in VARIANTS.items():
        for keywords in variants.values():
            key = repr(keywords)
            if key not in maps:
                count: dict[str, Any] = {} if keywords.get("regions") == "windows" else {"masks": MASKS}
                maps[key] = relax.explain(picture, encoder, seed=SEED, **{**count, **keywords})
        drawing = strip(picture, {title: maps[repr(keywords)] for title, keywords in variants.items()})
        drawing.savefig(stream := io.BytesIO(), dpi=110)
        Image.open(stream).convert("RGB").quantize(128).save(
            ROOT / f"docs/images/settings-{setting}.png", optimize=True
        )


def strip(picture: Any, explanations: dict[str, Any]) -> Figure:
    """The picture and the maps in one row, each with the range of its colours."""
    drawing = Figure(figsize=(9, 2.7), layout="constrained")
    axes = drawing.subplots(1, 1 + len(explanations))
    axes[0].imshow(picture)
    axes[0].set_title("picture", fontsize=10)
    for axis, (title, explanation) in zip(axes[1:], explanations.items(), strict=True):
        values = explanation.importance
        axis.imshow(values, cmap=COLOURS["importance"])
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(f"{values.min():.3f} to {values.max():.3f}", fontsize=9)
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    return drawing


if __name__ == "__main__":
    main()
