"""Concepts without names: groups of cells that look alike to a layer, each by the patches that show it best.

found = relax.find_concepts("pictures", "timm:resnet50", layer="layer3")
found.concepts[0].importance, found.concepts[0].control     what the embedding loses without it, and without other cells
found.save("out")                                           a table, a record, a figure, a page, and the vectors
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class FoundConcept:
    """A group of cells.

    Attributes:
        number: From 0, the largest group.
        vector: (D,) its direction in the layer, of length 1.
        cells: Share of all cells that belong to it.
        pictures: Share of the pictures of which it has 5 % of the cells or more.
        importance: Mean of 1 - cosine between a picture's embedding and that in which its cells are replaced by the
            mean of the picture's others, over the judged pictures that have it; NaN where there is none.
        control: The same for as many cells of the picture, drawn at random.
        judged: In how many pictures.
        stability: Cosine of its vector with that of its counterpart from another start; NaN without one.
        patches: (h, w, 3) uint8, what the encoder sees around the cells that show it best, from different pictures.
        names: Of those pictures.
    """

    number: int
    vector: NDArray[np.float64] = field(repr=False)
    cells: float
    pictures: float
    importance: float
    control: float
    judged: int
    stability: float
    patches: tuple[NDArray[np.uint8], ...] = field(repr=False)
    names: tuple[str, ...] = field(repr=False)

    @property
    def label(self) -> str:
        """What it is called, for it has no name."""
        return f"concept {self.number}"

    def __str__(self) -> str:
        return (
            f"{self.label}: {self.cells:.0%} of the cells, in {self.pictures:.0%} of the pictures. Without it the "
            f"embedding turns by {self.importance:.3f}, without as many other cells by {self.control:.3f} (1 - cosine, "
            f"{self.judged} pictures). From another start its vector has a cosine of {self.stability:.2f} to this one."
        )


@dataclass(frozen=True)
class FoundConcepts:
    """The groups of one layer.

    Attributes:
        layer: Its name.
        concepts: The groups, the largest first.
        labels: (N, gh, gw) the group of each cell.
        pictures: N names.
        quality: Mean silhouette of the clusters; NaN for NMF.
        agreement: Adjusted Rand index of the cells with groups from another start, 1 = the same.
        failed: Why other pictures could not be used, by name.
        record: How it was made, as JSON types.
    """

    layer: str
    concepts: tuple[FoundConcept, ...]
    labels: NDArray[np.int64] = field(repr=False)
    pictures: tuple[str, ...] = field(repr=False)
    quality: float
    agreement: float
    failed: dict[str, str]
    record: dict[str, Any] = field(repr=False)

    def sentences(self) -> Iterator[str]:
        """The results in words."""
        silhouette = f" (mean silhouette {self.quality:.2f})" if np.isfinite(self.quality) else ""
        yield (
            f"{len(self.concepts)} groups of cells of layer {self.layer!r} in {len(self.pictures)} pictures"
            f"{silhouette}. From another start the same cells are grouped with an adjusted Rand index of "
            f"{self.agreement:.2f}, 1 being the same groups and 0 chance."
        )
        yield from map(str, self.concepts)

    def __str__(self) -> str:
        return "\n".join(self.sentences())

    def plot(self, **options: Any) -> Figure:
        """A row of patches for each concept; options as `width` in inches and `theme`."""
        from relax.concepts.found_files import found_figure

        return found_figure(self, **options)

    def save(self, folder: str | Path) -> list[Path]:
        """Write concepts.csv, concepts.json, concepts.png, concepts.html and concepts.safetensors, a vector for each.

        Returns:
            Their paths.

        Raises:
            OSError: If one cannot be written.
        """
        from relax.concepts.found_files import save_found

        return save_found(self, Path(folder))
