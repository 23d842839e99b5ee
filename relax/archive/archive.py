"""A folder of images embedded by one encoder and kept on disk: what is close to what, without looking twice.

    archive = make_archive("photos", "default", "photos-archive")
    for found in archive.search("cat.png", k=5):
        print(found.path, found.similarity)

In the output folder:

    images.parquet   a row per image: first those with an embedding, sorted by path, then those that failed, and why
    embeddings.npy   (N, D) float32, as the encoder gave them, in the order of the first N rows
    index.faiss      the same vectors for searching, under the ids of the table
    archive.json     root, encoder, metric, kind, versions

Made again, it takes up what is new or changed and forgets what is gone. `relax/archive/update.py` does that.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

import relax.archive.update as update
from encoders import Encoder
from relax.archive.files import EMBEDDINGS, INDEX, RECORD, TABLE, ImageRow, finish_replacing, read_table, to_rows
from relax.archive.parts import kept_images
from relax.estimators.budget import Progress
from relax.io.images import ImageSource, read_image
from relax.scene import EncoderSource, load_encoder
from relax.settings import BatchSize
from similarity.index import Index

Vectors = NDArray[np.float32]
QUERIES = 1024  # images whose neighbours are looked for at once


@dataclass(frozen=True)
class Neighbour:
    """An image of an archive that is close to a query: its path, its similarity, its row."""

    path: str
    similarity: float
    row: int


@dataclass
class Archive:
    """Images, their embeddings and an index over them.

    Attributes:
        folder: Where its files are.
        root: Where the paths of its images start.
        rows: (N) what is known of each image that has an embedding, sorted by path.
        embeddings: (N, D) float32 in the order of `rows`, memory-mapped.
        index: The same vectors, under the `id` of each row.
        failed: Path and reason of each image that has none.
        record: How it was made, as in archive.json.
        changes: What the call that made it changed; None for one that was only loaded.
    """

    folder: Path
    root: Path
    rows: list[ImageRow]
    embeddings: Vectors
    index: Index
    failed: list[tuple[str, str]]
    record: dict[str, Any]
    changes: update.Changes | None = None
    encoder: Encoder | None = field(default=None, repr=False)

    @cached_property
    def paths(self) -> list[str]:
        """(N) absolute paths."""
        return [os.path.join(self.root, row.path) for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def search(self, query: ImageSource, k: int = 10) -> list[Neighbour]:
        """The k images closest to an image or embedding, closest first; an image of the archive finds itself.

        Args:
            query: An image as for `read_image`, or an embedding (D,), numpy or torch.
            k: How many, 1 or more; fewer come where the archive is smaller.

        Raises:
            ImageError: If the image cannot be used.
            EncoderError, ValueError: If the archive's encoder cannot be loaded, or is not the same any more.
        """
        similarities, ids = self.index.search(self._embedding(query)[None], k, self._exact)
        found = zip(similarities[0].tolist(), self._position[ids[0]].tolist(), strict=True)
        return [Neighbour(self.paths[row], similarity, row) for similarity, row in found if row >= 0]

    def neighbours(self, k: int) -> tuple[Vectors, NDArray[np.int64]]:
        """The k images closest to each image, itself left out.

        Returns:
            Similarities (N, k) float32, descending, and positions (N, k) int64 in `rows` and `paths`; -inf and -1
            where there are fewer. Those of an hnsw or ivfpq index may miss some.
        """
        similarities = np.empty((len(self), k), np.float32)
        rows = np.empty((len(self), k), np.int64)
        for start in range(0, len(self), QUERIES):
            part = slice(start, start + QUERIES)
            scores, ids = self.index.search(self.embeddings[part], k + 1, self._exact)
            found = self._position[ids]
            own = found == np.arange(start, start + len(found))[:, None]
            own[~own.any(1), -1] = True  # not found, such as among many copies: the last one goes instead
            similarities[part], rows[part] = scores[~own].reshape(-1, k), found[~own].reshape(-1, k)
        return similarities, rows

    @cached_property
    def _position(self) -> NDArray[np.int64]:
        """From an id to its row; -1 stays -1."""
        ids = np.array([row.id for row in self.rows])
        position = np.full(ids.max() + 2, -1)
        position[ids] = np.arange(len(ids))
        return position

    @property
    def _exact(self) -> Any:
        return (lambda ids: self.embeddings[self._position[ids]]) if self.index.kind == "ivfpq" else None

    def _embedding(self, query: ImageSource) -> Vectors:
        """(D,) of an image or of a vector."""
        if isinstance(query, np.ndarray | Tensor) and query.ndim == 1:
            vector: Vectors = np.asarray(query.cpu() if isinstance(query, Tensor) else query).astype(np.float32)
            return vector
        if self.encoder is None:
            made = self.record["encoder"]
            loaded = load_encoder(made["name"], pooling=made["pooling"])
            update.check_same_encoder(made, loaded, self.folder)
            self.encoder = loaded
        embedding: Vectors = self.encoder(read_image(query, channels=self.encoder.channels))[0].cpu().numpy()
        return embedding


def make_archive(
    root: str | Path,
    encoder: EncoderSource,
    out: str | Path,
    *,
    kind: str = "flat",
    metric: str = "cosine",
    batch_size: BatchSize = "auto",
    recursive: bool = True,
    progress: Progress | None = None,
) -> Archive:
    """Embed a folder of images, or bring its archive up to date.

    What is embedded is written every few seconds, and a call after a kill goes on from there. Images whose size and
    time, or else bytes, are those of the last time are not embedded again; another kind or metric only makes the
    index anew. An image that cannot be used is listed in `failed`, and tried again next time.

    Args:
        root: The folder. Files with a usual ending of an image count (PNG, JPEG, TIFF, WebP, BMP, GIF), unless their
            name or folder begins with a dot.
        encoder: Who looks: a spec, an `Encoder`, a module or a function.
        out: The folder to write to, made if need be.
        kind: "flat" (exact), "hnsw" (fast) or "ivfpq" (fast and small); see `similarity.index`.
        metric: "cosine" or "l2".
        batch_size: Images in one forward pass, or "auto".
        recursive: Whether folders in `root` count, too.
        progress: Told how many of the images to look at are through, and how many there are.

    Returns:
        The archive; its `changes` count what was done.

    Raises:
        ValueError: If there is no image or none can be used, the options are impossible, or `out` belongs to another
            encoder or folder.
        OSError: If `out` cannot be written to.
    """
    loaded = load_encoder(encoder)
    changes = update.bring_up_to_date(
        Path(os.path.abspath(root)),
        loaded,
        Path(os.path.abspath(out)),
        kind=kind,
        metric=metric,
        batch_size=batch_size,
        recursive=recursive,
        progress=progress,
    )
    archive = load_archive(out, root)
    archive.changes, archive.encoder = changes, loaded
    return archive


def load_archive(out: str | Path, root: str | Path | None = None) -> Archive:
    """Read what `make_archive` left in `out`.

    Args:
        out: Its folder.
        root: Where the images are now, if they were moved.

    Raises:
        FileNotFoundError: If there is no finished archive.
        ValueError: If its files are damaged, or do not belong together.
    """
    out = Path(out)
    if out.is_dir():
        finish_replacing(out)
    if not (out / RECORD).is_file():
        kept = kept_images(out)
        state = f"is not finished, {kept:,} images are embedded" if kept else "holds no archive"
        raise FileNotFoundError(f"{out} {state}: run relax index DIR --out {out}")
    record = update.read_record(out)
    rows = to_rows(read_table(out / TABLE)[0])
    good = [row for row in rows if row.status == "ok"]
    embeddings = np.load(out / EMBEDDINGS, mmap_mode="r")
    index = Index.load(out / INDEX)
    if len(embeddings) != len(good) or not np.array_equal(index.ids, np.sort([row.id for row in good])):
        raise ValueError(f"the files of {out} do not belong together: delete the folder and make the archive again")
    return Archive(
        folder=out,
        root=Path(os.path.abspath(root or record["root"])),
        rows=good,
        embeddings=embeddings,
        index=index,
        failed=[(row.path, row.reason) for row in rows if row.status != "ok"],
        record=record,
    )
