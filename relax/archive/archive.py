"""A folder of images embedded by one encoder and kept on disk, to search without embedding them again.

    archive = make_archive("photos", "default", "photos-archive")
    for neighbour in archive.search("cat.png", k=5):
        print(neighbour.path, neighbour.similarity)

In the output folder:

    images.parquet   one row per image: first those with an embedding, sorted by path, then failures with the reason
    embeddings.npy   (N, D) float32, as the encoder returned them, in the order of the first N rows
    index.faiss      the same vectors, searchable, under the ids of the table
    archive.json     root, encoder, metric, kind, versions

Root and table hold paths as they are, to find the files again: an archive of pictures that are named after patients is
as confidential as their folder.

A second call adds what is new or changed and forgets what is gone: see `relax/archive/update.py`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from encoders import Encoder
from relax.archive.files import EMBEDDINGS, INDEX, RECORD, TABLE, finish_replacing, undamaged
from relax.archive.hits import Hits, Neighbour
from relax.archive.parts import kept_images
from relax.archive.record import check_same_encoder, read_record
from relax.archive.rows import Places, Rows
from relax.archive.stored import Changes
from relax.archive.update import ListedImages, bring_up_to_date, find_images
from relax.crew import Crew
from relax.estimators.budget import Budget, Progress
from relax.io.choice import name_within
from relax.io.elsewhere import absolute
from relax.io.images import ImageSource, name_of, read_image
from relax.io.sources import CANNOT_BE_USED, write_passed_over
from relax.lock import sole_run
from relax.progress import Silent, shown
from relax.scene import EncoderSource, load_encoder
from relax.settings import BatchSize
from similarity.index import Index

Vectors = NDArray[np.float32]
QUERIES = 1024  # images per search for neighbours
COMPARED = 2**20  # rows up to which all ids are compared at once; in a larger archive, those of each answer are


@dataclass
class Archive:
    """Images, their embeddings and an index over them.

    Attributes:
        folder: The folder of its files.
        root: The folder of the images, to which their paths are relative.
        rows: (N) file, size and id of each image with an embedding, sorted by path; read when they are asked for.
        embeddings: (N, D) float32 in the order of `rows`, memory-mapped.
        index: The same vectors, under the `id` of each row.
        failed: Path and reason of each image without one.
        record: How it was made, as in archive.json.
        changes: What `make_archive` changed; None for an archive that was loaded.
        encoder: The encoder; None until a search needs it.
    """

    folder: Path
    root: Path
    rows: Rows
    embeddings: Vectors
    index: Index
    failed: list[tuple[str, str]]
    record: dict[str, Any]
    changes: Changes | None = None
    encoder: Encoder | None = field(default=None, repr=False)

    @cached_property
    def paths(self) -> list[str]:
        """(N) absolute paths."""
        return [os.path.join(self.root, path) for path in self.rows.paths()]

    def __repr__(self) -> str:
        failed = f", {len(self.failed):,} without one" if self.failed else ""
        return (
            f"Archive of {self.root.name}: {len(self):,} embeddings (D={self.embeddings.shape[1]:,}){failed}, "
            f"by {self.record['encoder']['name']}, {self.index.kind} index for {self.index.metric}, in {self.folder}"
        )

    def __len__(self) -> int:
        return len(self.rows)

    def unusable(self) -> list[tuple[str, str, str]]:
        """Name, "cannot be used" and reason of each image without an embedding; a hash for a patient's name."""
        return [(name_within(self.root, path), CANNOT_BE_USED, reason) for path, reason in self.failed]

    def search(self, query: ImageSource, k: int = 10) -> Hits:
        """The k images closest to an image or embedding, closest first; an image of the archive finds itself.

        They can be drawn and saved as a sheet of pictures, see `Hits`.

        Args:
            query: An image as for `read_image`, or an embedding (D,), numpy or torch.
            k: How many, 1 or more; fewer are returned if the archive is smaller.

        Raises:
            ImageError: If the image cannot be used.
            EncoderError, ValueError: If the archive's encoder cannot be loaded, or has changed since.
        """
        similarities, ids = self.index.search(self.embed(query)[None], k, self._exact)
        neighbours = zip(similarities[0].tolist(), self._rows_of(ids[0]).tolist(), strict=True)
        is_vector = isinstance(query, np.ndarray | Tensor) and query.ndim == 1
        return Hits(
            "an embedding" if is_vector else name_of(query),
            tuple(Neighbour(self._path(row), similarity, row) for similarity, row in neighbours if row >= 0),
            self.root,
            self.index.metric,
            self.record["encoder"]["name"],
            len(self),
            None if is_vector else query,
        )

    def neighbours(self, k: int) -> tuple[Vectors, NDArray[np.int64]]:
        """The k images closest to each image, excluding itself.

        Returns:
            Similarities (N, k) float32, descending, and positions (N, k) int64 in `rows` and `paths`; -inf and -1
            where there are fewer. An hnsw or ivfpq index may miss some.

        Raises:
            ValueError: If an embedding in the file is not finite.
        """
        similarities = np.empty((len(self), k), np.float32)
        rows = np.empty((len(self), k), np.int64)
        for start in range(0, len(self), QUERIES):
            queries = slice(start, start + QUERIES)
            with undamaged(self.folder / EMBEDDINGS):
                scores, ids = self.index.search(self.embeddings[queries], k + 1, self._exact)
            positions = self._rows_of(ids)
            is_itself = positions == np.arange(start, start + len(positions))[:, None]
            is_itself[~is_itself.any(1), -1] = True  # not returned, as among many copies: drop the last instead
            similarities[queries] = scores[~is_itself].reshape(-1, k)
            rows[queries] = positions[~is_itself].reshape(-1, k)
        return similarities, rows

    def _path(self, row: int) -> str:
        return os.path.join(self.root, self.rows.path_of(row))

    @cached_property
    def _places(self) -> Places:
        return Places(self.rows.ids)

    def _rows_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row of each id that the index found; -1 stays -1."""
        try:
            return self._places(ids)
        except KeyError:
            raise _not_together(self.folder) from None

    @property
    def _exact(self) -> Any:
        return (lambda ids: self.embeddings[self._rows_of(ids)]) if self.index.kind == "ivfpq" else None

    def embed(self, query: ImageSource) -> Vectors:
        """(D,) float32 of an image, embedded by the archive's encoder, or of a vector; errors as for `search`."""
        if isinstance(query, np.ndarray | Tensor) and query.ndim == 1:
            vector: Vectors = np.asarray(query.cpu() if isinstance(query, Tensor) else query).astype(np.float32)
            return vector
        encoder = self.network()
        embedding: Vectors = encoder(read_image(query, channels=encoder.channels))[0].cpu().numpy()
        return embedding

    def network(self) -> Encoder:
        """The archive's encoder, loaded once; errors as for `search`."""
        if self.encoder is None:
            record = self.record["encoder"]
            encoder = load_encoder(record["name"], pooling=record["pooling"], view=record.get("view", "auto"))
            check_same_encoder(record, encoder, self.folder)
            self.encoder = encoder
        return self.encoder


def make_archive(
    root: str | Path,
    encoder: EncoderSource,
    out: str | Path,
    *,
    kind: str = "flat",
    metric: str = "cosine",
    batch_size: BatchSize = "auto",
    recursive: bool = True,
    workers: int | None = None,
    ray: str | None = None,
    progress: Progress | Silent | None = None,
) -> Archive:
    """Embed a folder of images, or bring its archive up to date.

    Embeddings are written every few seconds, and a call after a kill resumes from there. Images whose size and time,
    or else bytes, have not changed are not embedded again (objects of a store, whose time is not known, are read for
    that); another kind or metric only rebuilds the index. An image
    that cannot be used is listed in `failed`, and tried again next time.

    Args:
        root: The folder. Images are recognised by their file ending, whatever `read_image` can read, and DICOM by its
            content; names and folders that begin with a dot are skipped. Or one series in it, a DICOMDIR, all frames or
            slices of a file: see `relax.io.sources`. A warning tells what is passed over, and passed_over.csv lists it.
        encoder: A spec, an `Encoder`, a module or a function.
        out: The folder to write to, created if it does not exist.
        kind: "flat" (exact), "hnsw" (fast) or "ivfpq" (fast and small); see `similarity.index`.
        metric: "cosine" or "l2".
        batch_size: Images in one forward pass, or "auto".
        recursive: Whether to include folders below `root`.
        workers: Processes that embed; more than one need Ray, the extra [ray]. The embeddings do not depend on it.
        ray: The address of a Ray cluster, as for `relax.explain_all`.
        progress: Called with (images done, images to embed); otherwise as for `relax.explain`.

    Returns:
        The archive, with its `changes`.

    Raises:
        ValueError: If there is no image or none can be used, the options are impossible, or `out` belongs to another
            encoder or folder.
        ImportError: If Ray is needed and is not installed.
        OSError: If `out` cannot be written to, or another run is writing to it (`relax.lock.InUse`).
    """
    crew = Crew(workers, ray, partial(load_encoder, encoder))
    return make_by(
        crew,
        crew.load(),
        root,
        out,
        kind=kind,
        metric=metric,
        batch_size=batch_size,
        recursive=recursive,
        progress=progress,
    )


def make_by(
    crew: Crew,
    encoder: Encoder,
    root: str | Path,
    out: str | Path,
    *,
    kind: str = "flat",
    metric: str = "cosine",
    batch_size: BatchSize = "auto",
    recursive: bool = True,
    progress: Progress | Silent | None = None,
    listing: ListedImages | None = None,
) -> Archive:
    """`make_archive` with a loaded encoder, who embeds, and the images, where they are found already."""
    budget = Budget.of(None, None, batch_size)
    folder = Path(os.path.abspath(out))
    listing = listing or find_images(absolute(root), recursive, folder, kind, metric)
    source = listing[2].root
    with sole_run(folder, "relax index"), shown(progress, "images") as report:
        changes = bring_up_to_date(
            source,
            encoder,
            folder,
            listing,
            budget,
            crew=crew,
            kind=kind,
            metric=metric,
            recursive=recursive,
            progress=report,
        )
        archive = load_archive(out, source)
        write_passed_over(folder, [*listing[2].passed_over(), *archive.unusable()])
    archive.changes, archive.encoder = changes, encoder
    return archive


def load_archive(out: str | Path, root: str | Path | None = None) -> Archive:
    """Load the archive that `make_archive` wrote to `out`.

    Args:
        out: Its folder.
        root: The folder of the images now, if they were moved.

    Raises:
        FileNotFoundError: If there is no finished archive.
        ValueError: If its files are damaged, or do not belong together.
    """
    out = Path(out)
    if out.is_dir():
        finish_replacing(out)
    if not (out / RECORD).is_file():
        count = kept_images(out)
        state = f"is not finished, {count:,} images are embedded" if count else "holds no archive"
        raise FileNotFoundError(f"{out} {state}: run relax index DIR --out {out}")
    record = read_record(out)
    rows = Rows(out / TABLE)
    with undamaged(out / EMBEDDINGS):
        embeddings = np.lib.format.open_memmap(out / EMBEDDINGS, mode="r")  # unlike np.load, opens no other format
    index = Index.load(out / INDEX, mapped=True)
    same = embeddings.shape == (len(rows), index.dimension) and len(index) == len(rows)
    if not same or (len(rows) <= COMPARED and not np.array_equal(index.ids, np.sort(rows.ids))):
        raise _not_together(out)
    return Archive(
        folder=out,
        root=Path(absolute(root or record["root"])),
        rows=rows,
        embeddings=embeddings,
        index=index,
        failed=[(row.path, row.reason) for row in rows.failed],
        record=record,
    )


def _not_together(out: Path) -> ValueError:
    return ValueError(f"the files of {out} do not belong together: delete the folder and make the archive again")
