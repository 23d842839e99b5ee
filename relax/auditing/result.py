"""The results of an audit: everything in one value, before anything is written or drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.auditing.answers import Answer
from relax.auditing.clusters import Clusters
from relax.auditing.duplicates import Duplicates
from relax.auditing.group_marks import GroupMarks
from relax.auditing.hubs import Hubness
from relax.auditing.layout import Layout
from relax.auditing.marks import Marks
from relax.auditing.metadata import Metadata
from relax.auditing.neighbours import Neighbours
from relax.auditing.outliers import Outliers
from relax.auditing.power import Power
from relax.auditing.predictability import Predictability
from relax.auditing.quality import Quality
from relax.auditing.shortcuts import Shortcuts


@dataclass(frozen=True)
class Space:
    """Results that depend on the embeddings alone.

    Attributes:
        neighbours: By cosine.
        agreement: (N,) share of the neighbours that cosine and L2 have in common; NaN where it was not asked, as beyond
            a sample of very many images.
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
    """The results of an audit.

    Attributes:
        paths: Names of the N images: their paths in the folder, or a hash where a path identifies a patient.
        failed: Images that could not be used, with the reason.
        dimensions: D of the embeddings.
        space: Results that depend on the embeddings alone.
        quality: Measures of the pictures themselves, without the encoder.
        metadata: Metadata of the images; None without a table.
        columns: How well each column can be predicted, most predictable first; columns that are neither groups nor
            numbers are left out.
        explained: Indices of the explained images.
        maps: Mean standardised importance in the view of the encoder, by cluster: (56, 56) each.
        map_counts: Number of pictures in each of them.
        shortcuts: None if there were too few pictures for the test.
        marks: A detail that recurs, at one place or anywhere; None with too few pictures.
        answer: What the encoder makes of it; None where nothing recurs.
        group_marks: Details that recur within folders and groups of the metadata, the smallest p first.
        power: How often planted marks are found by the two tests.
        findings: The main results as sentences.
        settings: How it was made, as JSON types.
        report: Where the report was written.
    """

    paths: tuple[str, ...]
    failed: dict[str, str]
    dimensions: int
    space: Space
    quality: Quality
    metadata: Metadata | None
    columns: tuple[Predictability, ...]
    explained: tuple[int, ...]
    maps: dict[int, NDArray[np.float64]]
    map_counts: dict[int, int]
    shortcuts: Shortcuts | None
    marks: Marks | None
    answer: Answer | None
    group_marks: tuple[GroupMarks, ...]
    power: tuple[Power, ...]
    findings: tuple[str, ...]
    settings: dict[str, Any]
    report: Path

    def __repr__(self) -> str:
        return "\n".join([f"Audit of {len(self.paths)} images, report in {self.report}:", *self.findings])
