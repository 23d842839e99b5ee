"""All images of an audit as the report shows them: scores, metadata, places on the maps, nearest images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from relax.auditing.charts import TITLES
from relax.auditing.predictability import MAX_GROUPS, Value
from relax.auditing.result import Audit
from relax.report import Collection, Column, Plane

NEIGHBOURS = 6  # of each image


def collection_of(audit: Audit, colour_by: str, small: Callable[[int], NDArray[np.uint8] | None]) -> Collection:
    """The collection of the report.

    Args:
        audit: The results.
        colour_by: The metadata column that colours the map at first; "" is the cluster.
        small: Reads a thumbnail; None where the file has disappeared.
    """
    space = audit.space
    return Collection(
        names=audit.paths,
        columns=columns_of(audit),
        planes=tuple(Plane(TITLES[layout.method], layout.points) for layout in space.layouts),
        colour_by=colour_by or "cluster",
        neighbours=space.neighbours.indices[:, :NEIGHBOURS],
        similarities=space.neighbours.similarities[:, :NEIGHBOURS],
        explained=audit.explained,
        small=small,
    )


def columns_of(audit: Audit) -> tuple[Column, ...]:
    """Cluster and scores, then the metadata; numbers of few values are names of groups, as in the test of columns."""
    space = audit.space
    scores = {
        "distance": (space.outliers.distance, "mean cosine distance to the nearest images"),
        "outlier factor": (space.outliers.local_factor, "sparser than where its neighbours lie: well above 1"),
        "times a neighbour": (space.hubs.occurrence.astype(float), f"among the {space.hubs.k} nearest of others"),
    }
    scores |= {
        name: (audit.quality.measures[name], about)
        for name, about in (("sharpness", "spread of the Laplacian"), ("entropy", "bits of the brightness"))
        if name in audit.quality.measures
    }
    metadata = {} if audit.metadata is None else audit.metadata.columns
    return (
        Column("cluster", [str(label) for label in space.clusters.labels]),
        *(Column(name, values.tolist(), about) for name, (values, about) in scores.items()),
        Column("checks", _problems(audit), "what may be wrong with the picture itself"),
        *(Column(name, values if _many(values) else _names(values)) for name, values in metadata.items()),
    )


def _problems(audit: Audit) -> list[Value]:
    """Of each image what the checks found, or that they found nothing."""
    return [", ".join(names) or "passed" for names in audit.quality.by_picture(len(audit.paths))]


def _many(values: list[Value]) -> bool:
    return len({value for value in values if value is not None}) > MAX_GROUPS


def _names(values: list[Value]) -> list[Value]:
    return [None if value is None else str(value) for value in values]
