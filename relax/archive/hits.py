"""What a search found: the images closest to a query, as a list, a sheet of pictures, a page or a record.

hits = relax.load_archive("photos-archive").search("cat.png", k=20)
hits[0].path, hits[0].similarity
hits.save("cat-hits.html")          # or .png, .svg, .pdf
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from relax.files import written_aside
from relax.io.choice import discreet_name, name_within
from relax.io.errors import ImageError
from relax.io.images import ImageSource
from relax.io.small import small_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Neighbour:
    """An image of an archive that is close to a query: its path, its similarity, its row."""

    path: str
    similarity: float
    row: int


@dataclass(frozen=True)
class Hits(Sequence[Neighbour]):
    """The images of an archive that are closest to a query, closest first.

    Attributes:
        query: Name of the query; "an embedding" for a vector.
        neighbours: The images.
        root: The folder of the archive's images.
        measure: "cosine" or "l2" (negative distance), of which higher is closer.
        encoder: Name of the encoder.
        images: Number of images that were searched.
        source: The picture of the query; None for a vector.
    """

    query: str
    neighbours: tuple[Neighbour, ...]
    root: Path
    measure: str
    encoder: str
    images: int
    source: ImageSource | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.neighbours)

    @overload
    def __getitem__(self, place: int) -> Neighbour: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Neighbour, ...]: ...
    def __getitem__(self, place: int | slice) -> Neighbour | tuple[Neighbour, ...]:
        return self.neighbours[place]

    @property
    def similarities(self) -> list[float]:
        """Of each image, higher is closer."""
        return [hit.similarity for hit in self.neighbours]

    @property
    def names(self) -> list[str]:
        """The path of each image in the folder, or a hash if that identifies a patient."""
        return [name_within(self.root, str(Path(hit.path).relative_to(self.root))) for hit in self.neighbours]

    def small(self, rank: int, longest: int) -> NDArray[np.uint8] | None:
        """(h, w, 3) a small version of the image of a rank from 1, or of the query, whose rank is 0.

        None if there is none any more.
        """
        source = self.neighbours[rank - 1].path if rank else self.source
        try:
            return None if source is None else small_picture(source, longest)
        except ImageError:
            return None

    def record(self) -> dict[str, Any]:
        """The result as JSON types.

        query, encoder, measure, images (how many were searched) and hits: of each its rank, similarity (null if it is
        undefined), path, and row in images.parquet and embeddings.npy.
        """
        return {
            "query": self.query,
            "encoder": self.encoder,
            "measure": self.measure,
            "images": self.images,
            "hits": [
                {
                    "rank": rank,
                    "similarity": hit.similarity if math.isfinite(hit.similarity) else None,
                    "path": discreet_name(hit.path),
                    "row": hit.row,
                }
                for rank, hit in enumerate(self.neighbours, 1)
            ],
        }

    def plot(self, **options: Any) -> Figure:
        """A sheet of the pictures as a figure: the query, then each hit with its rank, similarity and path.

        Args:
            options: `width` in inches and `theme`, as for `relax.figure`.

        Raises:
            ValueError: If there are more hits than fit into a picture.
        """
        from relax.plotting.hits import hits_figure

        return hits_figure(self, **options)

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write the sheet: a figure (.png, .svg, .pdf), or a page (.html) to search, sort and tag, for any number.

        Args:
            path: The file.
            options: Of `plot`; a page has none.

        Returns:
            The path.

        Raises:
            ValueError: If the ending is another, or as `plot`.
            OSError: If the file cannot be written.
        """
        from relax.plotting.hits import hits_file
        from relax.report.hits import hits_report
        from relax.report.page import write_report

        path = Path(path)
        if path.suffix.lower() == ".html" and not options:
            return write_report(hits_report(self), path)
        content = hits_file(self, path.suffix, **options)
        with written_aside(path) as aside:
            aside.write_bytes(content)
        return path
