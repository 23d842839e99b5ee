"""The choices of this room as tables: regions, fills, and designs.

Each choice is described here and only here: settings are validated against these tables, and help texts and
documentation are built from their rows. torch is not imported, so that a command line can list the choices at once; a
row names its function as "module:name", which is imported on first use.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Choice:
    """One row of a table.

    Attributes:
        name: The value that selects it, in Python and on the command line.
        what: Description, a noun phrase without a full stop.
        function: The function or class behind it, as "module:name" in this room.
    """

    name: str
    what: str
    function: str

    def load(self) -> Any:
        """The function or class behind it."""
        module, _, name = self.function.partition(":")
        return getattr(import_module(f"masking.{module}"), name)


@dataclass(frozen=True)
class Regions(Choice):
    """Regions that are hidden as a whole; `of` of the class turns a `masking.source.MaskRequest` into a `MaskSource`.

    Attributes:
        patches: Whether the regions are the patches of a vision transformer, whatever the cells.
        controlled_cells: Largest number of cells per side for which averages over all masks are known
            (`masking.surrogate`), so that control variates can be used; 0 where they are never known.
        volumes: Whether volumes have them too.
    """

    patches: bool = False
    controlled_cells: int = 0
    volumes: bool = False


@dataclass(frozen=True)
class Fill(Choice):
    """What hidden pixels show; a function from a `masking.fill.FillRequest` to pixels.

    Attributes:
        drops: Whether hidden patches are withheld from the network, which needs regions that are patches.
    """

    drops: bool = False


@dataclass(frozen=True)
class Design(Choice):
    """How the masks of the grid depend on each other; a `masking.designs.MaskDesign`."""


REGIONS = {
    row.name: row
    for row in (
        Regions("grid", "RISE's soft random grid", "grid:RandomGrid", controlled_cells=36, volumes=True),
        Regions("authors-grid", "the grid of the authors' package", "grid:AuthorsGrid"),
        Regions("windows", "one square after the other, not random", "segments:SlidingWindows"),
        Regions("superpixels", "segments of the image (SLIC)", "segments:Superpixels"),
        Regions("patches", "patches of a vision transformer of timm", "patches:PatchMasks", patches=True),
    )
}

FILLS = {
    row.name: row
    for row in (
        Fill("mean", "the encoder's mean pixel; black for a plain module", "fill:mean_pixel"),
        Fill("blur", "the image, blurred by 1/16 of its shorter side", "fill:blurred"),
        Fill("noise", "uniform noise", "fill:noise"),
        Fill("drop", 'nothing: with regions "patches", hidden patches are left out', "fill:mean_pixel", drops=True),
    )
}

DESIGNS = {
    row.name: row
    for row in (
        Design("orthogonal", "a randomised orthogonal array of strength 3", "designs:Orthogonal"),
        Design("sobol", "Owen-scrambled Sobol points", "designs:Sobol"),
        Design("antithetic", "pairs, the second showing what the first hides", "designs:Antithetic"),
        Design("independent", "independent draws, as in the paper", "designs:Independent"),
    )
}
