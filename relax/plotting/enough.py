"""Draw sets of cells: the picture, what is enough of it alone, and what is left of it without what is needed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from relax.plotting.panels import draw_image
from relax.plotting.sheet import Panel, Row, Sheet
from relax.plotting.themes import THEMES
from relax.text import number, shortened


class SetLike(Protocol):
    """The part of a `relax.enough.result.CellSet` that is drawn."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W), its pixels in the picture."""

    @property
    def size(self) -> int:
        """How many cells."""

    @property
    def members(self) -> NDArray[np.bool_]:
        """(n,), which cells."""

    @property
    def at_least(self) -> int:
        """No set of fewer cells does."""

    @property
    def proven(self) -> bool:
        """Whether it is known to be the smallest."""

    @property
    def similarities(self) -> dict[str, float]:
        """By fill."""


class SetsLike(Protocol):
    """The part of a `relax.SmallestSets` that is drawn."""

    @property
    def enough(self) -> SetLike:
        """The set that keeps the similarity."""

    @property
    def needed(self) -> SetLike | None:
        """The set without which it is lost."""

    @property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3)."""

    @property
    def provenance(self) -> dict[str, Any]:
        """How they were found."""


def sets_figure(sets: SetsLike, theme: str = "light") -> Figure:
    """The picture, the cells that are enough, and the picture without those that are needed."""
    record = sets.provenance
    limit = number(record["similarity_at_least"])
    panels = [
        _panel("picture", sets.image, np.ones(sets.image.shape[:2], bool), theme),
        _panel(f"enough to keep {limit}", sets.image, sets.enough.mask, theme, sets.enough),
    ]
    if sets.needed is None:
        missing = "hiding all of it does not lose the similarity"
        panels.append(_panel(f"nothing is needed to keep {limit}: {missing}", sets.image, ~sets.enough.mask, theme))
    else:
        panels.append(
            _panel(f"without what is needed, below {limit}", sets.image, ~sets.needed.mask, theme, sets.needed)
        )
    return Sheet([Row(panels, shortened(str(record.get("image", "")), 120))], [_caption(record)], THEMES[theme]).draw()


def promised_figure(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], title: str, caption: Sequence[str], theme: str = "light"
) -> Figure:
    """The picture (H, W, 3), and the cells (H, W) bool that a promise takes of it."""
    panels = [
        _panel("picture", image, np.ones(mask.shape, bool), theme),
        _panel("promised to be enough", image, mask, theme),
    ]
    return Sheet([Row(panels, title)], [caption], THEMES[theme]).draw()


def _panel(
    title: str, image: NDArray[np.uint8], mask: NDArray[np.bool_], theme: str, cells: SetLike | None = None
) -> Panel:
    """The picture where the mask is, in paler colours of the paper where it is hidden."""
    paper = np.array([int(THEMES[theme].unseen[place : place + 2], 16) for place in (1, 3, 5)], np.uint8)
    drawn = np.where(mask[..., None], image, paper)
    label = note = ""
    if cells is not None:
        label = f"{cells.size} of {len(cells.members)} cells: " + (
            "proven smallest" if cells.proven else f"smallest found, at least {cells.at_least} are necessary"
        )
        note = "similarity " + ", ".join(f"{number(value)} ({name})" for name, value in cells.similarities.items())
    return Panel(title, mask.shape, partial(draw_image, image=drawn), label=label, note=note)


def _caption(record: dict[str, Any]) -> list[str]:
    encoder = record.get("encoder") or {}
    phrases = [
        f"encoder {shortened(str(encoder.get('name')), 60)}",
        f"{record.get('similarity')} to the whole picture",
        f"hidden cells show {', '.join(shortened(str(fill), 40) for fill in record.get('fills', []))}",
        f"{record.get('passes', 0):,} passes of the search",
        f"seed {record.get('seed')}",
    ]
    if record.get("stopped_early"):
        phrases.append("STOPPED EARLY")
    if backgrounds := record.get("backgrounds"):
        low, high = backgrounds["interval"]
        phrases.append(
            f"enough before {backgrounds['share']:.0%} of {backgrounds['pictures']} other pictures "
            f"(95 % interval {low:.0%} to {high:.0%})"
        )
    return phrases
