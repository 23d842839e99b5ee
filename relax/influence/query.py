"""What is asked about: a picture or an embedding, before an archive; and the rows that it may not answer with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from encoders.values import described, is_whole
from relax.archive.archive import Archive, load_archive
from relax.io.choice import discreet_name
from relax.io.images import ImageSource, name_of


@dataclass(frozen=True)
class Query:
    """A question's picture.

    Attributes:
        name: As results call it.
        source: The picture; None for an embedding.
        embedding: (D,) float32.
        row: Its own row, if it is a picture of the archive: no picture is evidence for itself.
    """

    name: str
    source: ImageSource | None
    embedding: NDArray[np.float32]
    row: int | None

    @classmethod
    def of(cls, archive: Archive, query: ImageSource) -> Query:
        """A picture, or an embedding (D,), numpy or torch.

        Raises:
            ImageError: If the picture cannot be used.
            ValueError: If an embedding has another length or is not finite, or the encoder has changed.
        """
        if isinstance(query, np.ndarray | Tensor) and query.ndim == 1:
            vector = np.asarray(query.detach().cpu() if isinstance(query, Tensor) else query).astype(np.float32)
            if len(vector) != archive.embeddings.shape[1] or not np.isfinite(vector).all():
                raise ValueError(
                    f"query must be a finite embedding of {archive.embeddings.shape[1]} numbers, as this archive has; "
                    f"got {len(vector)}"
                )
            return cls("an embedding", None, vector, None)
        row = _row_of(archive, query)
        embedding = archive.embeddings[row] if row is not None else archive.embed(query)
        name = discreet_name(str(query)) if isinstance(query, str | Path) else name_of(query)
        return cls(name, query, np.asarray(embedding, np.float32), row)


def nearest_rows(archive: Archive, query: Query, most: int) -> NDArray[np.int64]:
    """Rows of the pictures closest to the query, closest first, without itself: at most so many."""
    hits = archive.search(query.embedding, min(len(archive), most + 1))
    rows = [hit.row for hit in hits if hit.row != query.row]
    return np.array(rows[:most], dtype=np.int64)


def opened(archive: Archive | str | Path) -> Archive:
    """The archive, loaded if it is a path."""
    return archive if isinstance(archive, Archive) else load_archive(archive)


def whole_number(name: str, value: object) -> int:
    """A count of 1 or more.

    Raises:
        ValueError: If it is none.
    """
    if not is_whole(value, 1):
        raise ValueError(f"{name} must be a whole number, 1 or more; got {described(value)}")
    return int(str(value))


def _row_of(archive: Archive, query: ImageSource) -> int | None:
    if not isinstance(query, str | Path):
        return None
    path = os.path.abspath(query)
    return next((row for row, own in enumerate(archive.paths) if own == path), None)
