"""The choices of a figure as tables: kinds of panels, and formats; `themes.py` has the themes.

matplotlib is not loaded, so that a command line can list them at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A kind of panel.

    Attributes:
        what: What it shows, for help texts.
        function: Makes it of an explanation and a `relax.plotting.kinds.Look`, as a name in that module.
    """

    what: str
    function: str

    def load(self) -> Any:
        """The function."""
        return getattr(import_module("relax.plotting.kinds"), self.function)


KINDS = {
    "image": Kind("the image", "image_panel"),
    "overlay": Kind("the importance over the image, transparent where it is low", "overlay_panel"),
    "importance": Kind("the importance", "importance_panel"),
    "uncertainty": Kind("the uncertainty", "uncertainty_panel"),
    "standard_error": Kind("the Monte-Carlo error of the importance", "standard_error_panel"),
    "u_relax": Kind("the importance over the image where it is certain", "u_relax_panel"),
}

PANELS = ("image", "overlay", "importance", "uncertainty")  # of an explanation, unless chosen
COMPARED = ("overlay",)  # of each method or encoder in a comparison
VOLUMES = ("overlay",)  # of each slice of a volume


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        what: What it is, for help texts.
        metadata: Entries of the file that are set or, if None, left out.
        settings: Of matplotlib, while the file is written.
    """

    what: str
    metadata: Mapping[str, None] = field(default_factory=dict)
    settings: Any = field(default_factory=dict)


FORMATS = {
    "png": Format("pixels, 200 per inch"),
    "svg": Format("vectors for the web", {"Date": None}, {"svg.hashsalt": "relax", "svg.fonttype": "path"}),
    "pdf": Format("vectors for print", {"CreationDate": None, "ModDate": None}, {"pdf.fonttype": 42}),
}
