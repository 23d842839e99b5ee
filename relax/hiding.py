"""What the caller wants hidden, and how: checked before any image is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from masking import (
    AuthorsGrid,
    GivenMasks,
    GridSurrogate,
    MaskSource,
    PatchMasks,
    RandomGrid,
    SlidingWindows,
    Superpixels,
)
from masking.designs import check_design
from masking.surrogate import MOST_CELLS
from relax.io.images import ImageSource

Fill = str | float | Sequence[float] | ImageSource

REGIONS = ("grid", "authors-grid", "windows", "superpixels", "patches")
DROP = "drop"  # the fill of vision transformers that are not shown hidden patches at all
PRESETS = {"paper": "authors-grid", "paper-rise": "grid"}
ESTIMATORS = ("auto", "controlled", "plain")


@dataclass(frozen=True)
class Hiding:
    """What the caller wants hidden, and how.

    Attributes:
        regions: "grid" (RISE's soft random grid), "authors-grid" (that of the authors' package), "windows"
            (one square hidden after the other), "superpixels" (SLIC) or "patches" (of a vision transformer).
        cells: Scale of the regions: this many along a side (squared: superpixels), 1 to 64.
        keep: Chance that a region stays visible, in (0, 1).
        fill: What hidden pixels show, see `masking.make_fill`; a path, array or tensor is another image; "drop" leaves
            hidden patches out, see `encoders.tokens`.
        seed: The only source of randomness.
        given: The caller's own masks, (N, 1, H, W) in [0, 1], instead of regions.
        design: How the masks of the grid depend on each other, see `masking.designs`.
        estimator: "plain" (the paper's averages), "controlled" (the same from fewer masks, see
            `relax.estimators.control`), or "auto": controlled where it can be, on the grid.
    """

    regions: str = "grid"
    cells: int = 7
    keep: float = 0.5
    fill: Fill = "mean"
    seed: int = 0
    given: Tensor | None = None
    design: str = "orthogonal"
    estimator: str = "auto"

    def __post_init__(self) -> None:
        if self.regions not in REGIONS:
            raise ValueError(f"regions must be one of {', '.join(REGIONS)}; got {self.regions!r}")
        if self.drops and (self.regions != "patches" or self.given is not None):
            got = "given masks" if self.given is not None else f"regions={self.regions!r}"
            raise ValueError(f'fill "drop" leaves out patches, so it needs regions="patches"; got {got}')
        check_design(self.design)
        if self.estimator not in ESTIMATORS:
            raise ValueError(f"estimator must be one of {', '.join(ESTIMATORS)}; got {self.estimator!r}")
        if self.estimator == "controlled" and not self._controllable:
            raise ValueError(
                f'estimator "controlled" needs regions "grid" with at most {MOST_CELLS} cells; '
                f"got {'given masks' if self.given is not None else f'{self.regions!r} with {self.cells}'}: "
                'take "auto" or "plain"'
            )
        RandomGrid((64, 64), self.cells, self.keep, self.seed)  # refuses impossible numbers before any image is read

    @classmethod
    def of(
        cls,
        masks: int | Tensor | None,
        regions: str,
        cells: int,
        keep: float,
        fill: Fill,
        seed: int,
        preset: str | None,
        design: str = "orthogonal",
        estimator: str = "auto",
    ) -> Hiding:
        """The wishes of a caller of `relax.explain`.

        Raises:
            ValueError: If one of them is impossible; the message names it.
        """
        if preset is not None:
            if preset not in PRESETS:
                raise ValueError(f"preset must be one of {', '.join(PRESETS)}; got {preset!r}")
            regions, design, estimator = PRESETS[preset], "independent", "plain"
        given = masks if isinstance(masks, Tensor) else None
        return cls(regions, cells, keep, fill, seed, given, design, estimator)

    def surrogate(self, source: MaskSource, device: torch.device) -> GridSurrogate | None:
        """What is known exactly about these masks, for control variates; None for plain averages."""
        if self.estimator == "plain" or not self._controllable or not isinstance(source, RandomGrid):
            return None
        return GridSurrogate(source, device)

    @property
    def _controllable(self) -> bool:
        return self.given is None and self.regions == "grid" and self.cells <= MOST_CELLS

    @property
    def drops(self) -> bool:
        """Whether hidden patches are left out instead of filled."""
        return isinstance(self.fill, str) and self.fill == DROP

    def source(self, view: Tensor, grid: tuple[int, int] = (0, 0)) -> MaskSource:
        """The masks for a view (1, C, h, w); `grid` is (rows, columns) of the encoder's patches, if it has some."""
        size = (int(view.shape[-2]), int(view.shape[-1]))
        if self.given is not None:
            return GivenMasks(self.given)
        if self.regions == "windows":
            window = max(1, round(min(size) / self.cells))
            return SlidingWindows(size, window, max(1, window // 2))
        if self.regions == "superpixels":
            return Superpixels(view, self.cells**2, self.keep, self.seed)
        if self.regions == "patches":
            return PatchMasks(size, grid, self.keep, self.seed)
        if self.regions == "authors-grid":
            return AuthorsGrid(size, self.cells, self.keep, self.seed)
        return RandomGrid(size, self.cells, self.keep, self.seed, self.design)
