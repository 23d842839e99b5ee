"""Network Dissection: which units of a layer detect which concepts, how well, and what chance alone would give.

dissection = relax.dissect("CONCEPTS", "timm:resnet50", layer="layer4")
dissection.detectors()                       units that follow a concept, best first
dissection.iou                               (D, C)
dissection.save("out")                       tables, record, pictures and a page

Source: Bau, Zhou, Khosla, Oliva & Torralba, Network Dissection: Quantifying Interpretability of Deep Visual
Representations (CVPR 2017).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relax.concepts.chance import LEVEL
from relax.concepts.parts import PARTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IOU = 0.04
"""Above which the authors call a unit a detector."""


@dataclass(frozen=True)
class Detector:
    """One unit with the concept that it overlaps with most.

    Attributes:
        unit: Its channel in the layer, from 0.
        concept: The concept's name.
        iou: Of the areas of the unit and the concept, over all pictures, in [0, 1].
        p: That chance gives any unit and concept so large an excess, see `relax.concepts.chance`.
        auc: Chance that a cell on the concept is more active than one beside it.
        ap: Average precision of the cells, to be read against the concept's share of the cells.
        part: The part of the concept where the unit's area is densest, "inside", "rim" or "outside".
        threshold: The activation that it exceeds in the share `quantile` of the cells.
        named: Whether IoU is above the limit.
        beyond_chance: Whether p is at most 0.05 as well.
    """

    unit: int
    concept: str
    iou: float
    p: float
    auc: float
    ap: float
    part: str
    threshold: float
    named: bool
    beyond_chance: bool


@dataclass(frozen=True)
class Example:
    """One picture that excites a unit.

    Attributes:
        unit: The unit.
        name: Of the picture.
        peak: Its largest activation there.
        pixels: (h, w, 3) uint8 what the encoder sees.
        area: (h, w) bool where the unit exceeds its threshold.
        mask: (h, w) bool where the concept is.
    """

    unit: int
    name: str
    peak: float
    pixels: NDArray[np.uint8] = field(repr=False)
    area: NDArray[np.bool_] = field(repr=False)
    mask: NDArray[np.bool_] = field(repr=False)


@dataclass(frozen=True)
class Dissection:
    """The units of a layer against concepts.

    Attributes:
        concepts: C names.
        layer: Name of the layer.
        iou: (D, C) of each unit and concept, over all pictures.
        p: (D, C) corrected for all units and concepts; NaN without shuffles.
        auc: (D, C), ap: (D, C) of cells; NaN where a concept covers no cell.
        density: (D, C, 3) how much denser the unit's area is `inside`, on the `rim` and `outside` the concept than in
            the whole of the pictures with it; NaN where there is none.
        thresholds: (D,) of activations.
        shares: (C,) of all pixels that each concept covers.
        counts: (C,) pictures that show it.
        peaks: (N, D) the largest activation of each unit in each picture.
        pictures: N names.
        failed: Why other pictures could not be used, by name.
        limit: Of the IoU.
        record: How it was made, as JSON types.
        examples: Pictures of the best detectors.
    """

    concepts: tuple[str, ...]
    layer: str
    iou: NDArray[np.float64]
    p: NDArray[np.float64]
    auc: NDArray[np.float64]
    ap: NDArray[np.float64]
    density: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    shares: NDArray[np.float64]
    counts: NDArray[np.int64]
    peaks: NDArray[np.float32] = field(repr=False)
    pictures: tuple[str, ...] = field(repr=False)
    failed: dict[str, str]
    limit: float
    record: dict[str, Any] = field(repr=False)
    examples: tuple[Example, ...] = field(default=(), repr=False)

    def units(self) -> list[Detector]:
        """Every unit with its best concept, in order."""
        return [self._detector(unit) for unit in range(len(self.iou))]

    def detectors(self, concept: str | None = None) -> list[Detector]:
        """Units whose IoU is above the limit, highest first: of one concept, or of all."""
        named = [unit for unit in self.units() if unit.named and concept in (None, unit.concept)]
        return sorted(named, key=lambda unit: -unit.iou)

    def unique(self, *, beyond_chance: bool = False) -> list[str]:
        """The concepts that have a detector: their number is the authors' "unique detectors"."""
        return sorted(
            {detector.concept for detector in self.detectors() if detector.beyond_chance or not beyond_chance}
        )

    def sentences(self) -> Iterator[str]:
        """The main results in words."""
        detectors = self.detectors()
        sure = sum(detector.beyond_chance for detector in detectors)
        told = (
            f"{sure} of them do so beyond chance (p <= {LEVEL:g} for all units and concepts together)."
            if np.isfinite(self.p).all()
            else "Whether beyond chance was not asked."
        )
        yield (
            f"{len(detectors)} of the {len(self.iou):,} units of {self.layer!r} overlap with a concept above the "
            f"published limit, IoU > {self.limit:g}: of {len(self.unique())} of {len(self.concepts)} concepts. {told}"
        )
        for place in range(len(self.concepts)):
            yield self._sentence(place)

    def ceiling(self, concept: str) -> float:
        """About the highest IoU that a unit can reach, whose area has the share `quantile` and the concept its own."""
        quantile, share = float(self.record["quantile"]), float(self.shares[self.concepts.index(concept)])
        return min(quantile, share) / max(quantile, share)

    def _sentence(self, place: int) -> str:
        concept, best = self.concepts[place], int(self.iou[:, place].argmax())
        detectors = self.detectors(concept)
        sure = sum(detector.beyond_chance for detector in detectors)
        text = (
            f"{concept}: {len(detectors)} detectors, {sure} beyond chance; the best unit, {best}, has "
            f"IoU {self.iou[best, place]:.3f} (p {self.p[best, place]:.2g}), AUC "
            f"{self.auc[best, place]:.2f}. {self.counts[place]} of {len(self.pictures)} pictures show it, on "
            f"{self.shares[place]:.1%} of all pixels."
        )
        if (ceiling := self.ceiling(concept)) > 2 * self.limit:
            return text
        return (
            f"{text} Areas of {float(self.record['quantile']):.1%} of the cells can reach an IoU of about "
            f"{ceiling:.3f} with it at most: choose a quantile nearer to its share."
        )

    def __str__(self) -> str:
        return "\n".join(self.sentences())

    def plot(self, **options: Any) -> Figure:
        """The pictures of the best detectors as a figure; options as `width` in inches and `theme`."""
        from relax.concepts.drawing import dissection_figure

        return dissection_figure(self, **options)

    def save(self, folder: str | Path) -> list[Path]:
        """Write units.csv, pairs.csv, dissection.json, dissection.png and dissection.html; see `relax.concepts.files`.

        Returns:
            Their paths.

        Raises:
            OSError: If one cannot be written.
        """
        from relax.concepts.files import save_dissection

        return save_dissection(self, Path(folder))

    def _detector(self, unit: int) -> Detector:
        place = int(self.iou[unit].argmax())
        iou, p = float(self.iou[unit, place]), float(self.p[unit, place])
        densest = self.density[unit, place]
        named = iou > self.limit
        return Detector(
            unit,
            self.concepts[place],
            iou,
            p,
            float(self.auc[unit, place]),
            float(self.ap[unit, place]),
            PARTS[int(np.nanargmax(densest))] if np.isfinite(densest).any() else "",
            float(self.thresholds[unit]),
            named,
            named and p <= LEVEL,
        )
