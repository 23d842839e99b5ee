"""What the pictures of an archive are called: by their folders, by a table, or by the clusters they form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from relax.archive.archive import Archive
from relax.auditing.clusters import find_clusters
from relax.auditing.metadata import read_metadata
from relax.io.choice import name_within
from relax.text import listed

FOLDERS, CLUSTERS = "folders", "clusters"
COLUMN = "label"  # of a table that has several

Labels = Sequence[str | None]


@dataclass(frozen=True)
class Named:
    """A label for every picture of an archive that has one.

    Attributes:
        of: (N,) in the order of the archive's rows; None where it is unknown.
        source: Where they are from, in words.
    """

    of: tuple[str | None, ...]
    source: str

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels that occur, in alphabetical order."""
        return tuple(sorted({label for label in self.of if label is not None}))

    @property
    def known(self) -> NDArray[np.int64]:
        """Rows of the pictures that have one."""
        return np.flatnonzero([label is not None for label in self.of])

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Class numbers of those pictures."""
        place = {name: number for number, name in enumerate(self.classes)}
        return np.array([place[label] for label in self.of if label is not None], dtype=np.int64)


def labels_of(archive: Archive, labels: str | Path | Labels | None, *, seed: int = 0) -> Named:
    """The labels of an archive's pictures.

    Args:
        archive: The pictures.
        labels: "folders" (the first folder below the archive's root), "clusters" (found in the embeddings, with the
            number of clusters of the best silhouette), a CSV or Parquet table with a column `path` relative to the root
            and one of labels, which is "label" unless named as in "table.csv#site", or a label per row. None is
            "folders" where there are some, otherwise no labels.
        seed: For clusters.

    Raises:
        ValueError: If there are none of that kind, a table cannot be used, or their number is another.
        FileNotFoundError: If there is no such table.
    """
    if labels is None or labels == FOLDERS:
        return _of_folders(archive, required=labels is not None)
    if labels == CLUSTERS:
        clusters = find_clusters(np.asarray(archive.embeddings), seed=seed)
        return Named(
            tuple(f"cluster {number}" for number in clusters.labels), f"{clusters.count} clusters of the embeddings"
        )
    if isinstance(labels, str | Path):
        return _of_table(archive, str(labels))
    given = tuple(None if label is None else str(label) for label in labels)
    if len(given) != len(archive):
        raise ValueError(f"labels must be one for each of the {len(archive):,} pictures; got {len(given):,}")
    return Named(given, "given")


def _of_folders(archive: Archive, *, required: bool) -> Named:
    parts = [PurePosixPath(row.path).parts for row in archive.rows]
    labels = tuple(part[0] if len(part) > 1 else None for part in parts)
    if len({label for label in labels if label is not None}) < 2:
        if required:
            raise ValueError(
                f"labels from folders need two folders below {archive.root.name}; it has fewer: give a table of labels"
            )
        return Named((None,) * len(labels), "no labels")
    return Named(labels, "folders")


def _of_table(archive: Archive, address: str) -> Named:
    file, _, column = address.rpartition("#") if "#" in address and not Path(address).exists() else (address, "", "")
    paths = [row.path for row in archive.rows]
    values = read_metadata(file).of(paths, [name_within(archive.root, path) for path in paths]).columns
    chosen = column or (COLUMN if COLUMN in values else next(iter(values)) if len(values) == 1 else "")
    if chosen not in values:
        raise ValueError(
            f"labels: {Path(file).name} has the columns {listed(list(values))}; "
            + (f"got {chosen!r}" if chosen else f"name one, as in {Path(file).name}#{next(iter(values))}")
        )
    of = tuple(None if value is None else str(value) for value in values[chosen])
    return Named(of, f"column {chosen} of {Path(file).name}")
