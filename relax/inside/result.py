"""What a picture is inside an encoder: the activations of its layers, with all that orders and explains them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relax.inside.factors import Factors
from relax.inside.saving import packed, unpacked
from relax.inside.stage import Stage
from relax.inside.tables import ORDERS
from relax.saved import Saved
from relax.text import listed, nearest

if TYPE_CHECKING:  # matplotlib takes a while to load
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Inside(Saved):
    """A picture inside an encoder.

    Attributes:
        view: (h, w, 3) uint8, the picture as the encoder sees it, in whose frame all cells lie.
        embedding: (D,) float32.
        stages: The layers, in the order in which they run.
        provenance: How it was made, as JSON types; "left_out" says what was not kept.
    """

    view: NDArray[np.uint8]
    embedding: NDArray[np.float32]
    stages: tuple[Stage, ...]
    provenance: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        parts = ", ".join(f"{stage.name} {' x '.join(map(str, stage.activations.shape))}" for stage in self.stages[:12])
        more = f" and {len(self.stages) - 12} more" if len(self.stages) > 12 else ""
        name = (self.provenance.get("encoder") or {}).get("name")
        return f"Inside {name}: {self.provenance.get('image', 'an image')} in {parts}{more}"

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    def __len__(self) -> int:
        return len(self.stages)

    def __getitem__(self, name: str | int) -> Stage:
        """A layer by its name, or by its place.

        Raises:
            KeyError: If there is none of this name; it lists those that there are.
            IndexError: If there is none at this place.
        """
        if isinstance(name, int):
            return self.stages[name]
        names = [stage.name for stage in self.stages]
        if name not in names:
            raise KeyError(f"{name!r} is not among the layers {listed(names)}{nearest(name, names)}")
        return self.stages[names.index(name)]

    def record(self) -> dict[str, Any]:
        """The provenance, and for each layer its shape, field and leading channels, as JSON types."""
        return {**self.provenance, "layers": [_summary(stage) for stage in self.stages]}

    def to_json(self) -> str:
        """`record` as JSON text."""
        return json.dumps(self.record(), indent=2)

    def to_bytes(self) -> bytes:
        """All of it, as the bytes of an `.npz` file without pickle."""
        return packed(self.view, self.embedding, self.stages, self.provenance)

    @classmethod
    def load(cls, path: str | Path) -> Inside:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is none of these, is damaged, or would take more memory than `encoders.limits` says.
        """
        return cls(*unpacked(path))

    def plot(self, layers: list[str] | None = None, *, by: str = "energy", channels: int = 3, **options: Any) -> Figure:
        """Draw the leading channels of each layer and its parts.

        Args:
            layers: Names of layers to draw; None for all.
            by: What channels are sorted by, a key of `ORDERS`.
            channels: How many of each layer, 1 to 12.
            options: `theme` and `width`, as for `relax.figure`.

        Returns:
            The figure.

        Raises:
            ValueError: If an argument is impossible.
        """
        from relax.inside.drawing import inside_figure  # matplotlib takes a while to load

        return inside_figure(self, layers, by=by, channels=channels, **options)

    def page(self, path: str | Path) -> Path:
        """Write a page to walk through the layers, one HTML file that works offline. Returns its path."""
        from relax.inside.page import write_page  # it takes matplotlib, too

        return write_page(self, path)


def _summary(stage: Stage) -> dict[str, Any]:
    """A layer as JSON types."""
    leading = {
        by: stage.order(by)[:12].tolist()
        for by in ORDERS
        if by != "number" and not (by == "effect" and stage.effect is None)
    }
    effect = None if stage.effect is None else [float(value) for value in stage.effect]
    return {
        "name": stage.name,
        "kind": stage.kind,
        "shape": list(stage.activations.shape),
        "prefix": len(stage.prefix),
        "leading_channels": leading,
        "effect": effect,
        "reset": stage.reset,
        "field_of_the_middle_cell": _middle(stage),
        "factors": None if stage.factors is None else _of_factors(stage.factors),
        "heads": None if stage.heads is None else len(stage.heads.weights),
    }


def _middle(stage: Stage) -> list[int] | None:
    """(top, left, bottom, right) in pixels of the view."""
    return None if stage.field is None else list(stage.field.box(stage.grid[0] // 2, stage.grid[1] // 2))


def _of_factors(factors: Factors) -> Mapping[str, Any]:
    return {"method": factors.method, "shares": [float(share) for share in factors.shares], "note": factors.note}
