"""`python -m docs.site.keywords`: the pictures of the page about figures, a cat through the bundled encoder."""

import io
from typing import Any

import numpy as np
import skimage.data
from matplotlib.figure import Figure
from PIL import Image

import relax
from docs.site.pages import ROOT


def main() -> None:
    """Draw one picture a keyword, as the page says."""
    picture = Image.fromarray(np.asarray(skimage.data.chelsea())[:, 65:365])
    picture.filename = "cat.png"  # type: ignore[attr-defined]  # the name in the figures
    explanation = relax.explain(picture, masks=512, progress=False)
    values = explanation.importance
    limits = {"importance": tuple(float(np.quantile(values, share)) for share in (0.2, 0.8))}
    keywords: dict[str, dict[str, Any]] = {
        "default": {},
        "panels": {"panels": ["overlay", "u_relax", "standard_error"]},
        "cmap": {"panels": ["overlay", "importance"], "cmap": "magma", "alpha": 0.9, "limits": limits, "width": 4},
        "dark": {"theme": "dark"},
    }
    for name, options in keywords.items():
        keep(relax.figure(explanation, **options), name)
    drawing = Figure(figsize=(7, 3.4), layout="constrained")
    left, right = drawing.subplots(1, 2)
    explanation.plot("overlay", ax=left)
    explanation.plot("convergence", ax=right)
    keep(drawing, "ax")


def keep(drawing: Figure, name: str) -> None:
    """Write a figure into docs/images, small."""
    drawing.savefig(stream := io.BytesIO(), dpi=110)
    Image.open(stream).convert("RGB").save(ROOT / f"docs/images/figures-{name}.webp", quality=88, method=6)


if __name__ == "__main__":
    main()
