"""What an audit found: everything in one value, before anything is written or drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.auditing.clusters import Clusters
from relax.auditing.duplicates import Duplicates
from relax.auditing.hubs import Hubness
from relax.auditing.layout import Layout
from relax.auditing.metadata import Metadata
from relax.auditing.neighbours import Neighbours
from relax.auditing.outliers import Outliers
from relax.auditing.predictability import Predictability
from relax.auditing.shortcuts import Shortcuts


@dataclass(frozen=True)
class Space:
    """What the embeddings alone say.

    Attributes:
        neighbours: By cosine.
        agreement: (N,) share of the neighbours that L2 has in common with cosine.
        duplicates, outliers, hubs, clusters: See their modules.
        layouts: Maps in two dimensions.
    """

    neighbours: Neighbours
    agreement: NDArray[np.float64]
    duplicates: Duplicates
    outliers: Outliers
    hubs: Hubness
    clusters: Clusters
    layouts: tuple[Layout, ...]


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        paths: The N images, relative to the folder.
        failed: Images that could not be used, with the reason.
        dimensions: D of the embeddings.
        space: What the embeddings alone say.
        metadata: What was known beside them, and how well it can be guessed from them.
        columns: Most predictable first; without columns that are neither groups nor numbers.
        explained: Which images were explained.
        maps: Mean standardised importance in what the encoder sees, by cluster: (56, 56) each.
        map_counts: From how many pictures.
        shortcuts: None if there were too few pictures for a test.
        findings: Sentences for a reader in a hurry.
        settings: How it was made, as JSON types.
        report: Where the report was written.
    """

    paths: tuple[str, ...]
    failed: dict[str, str]
    dimensions: int
    space: Space
    metadata: Metadata | None
    columns: tuple[Predictability, ...]
    explained: tuple[int, ...]
    maps: dict[int, NDArray[np.float64]]
    map_counts: dict[int, int]
    shortcuts: Shortcuts | None
    findings: tuple[str, ...]
    settings: dict[str, Any]
    report: Path

    def __repr__(self) -> str:
        return "\n".join([f"Audit of {len(self.paths)} images, report in {self.report}:", *self.findings])
