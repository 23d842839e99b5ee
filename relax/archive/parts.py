"""Embed image files in parts that survive a kill: every few seconds, new embeddings are written to a file.

.parts/000003.parquet                     by a process that embeds alone
.parts/000003-000012-5f3a90c1.parquet     of the 12th shard, by a worker; no two ever write the same name
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders import Encoder, EncoderError
from relax.archive.files import PARTS, ImageRow, read_table, to_rows, to_table, undamaged, write_table
from relax.estimators.budget import Budget, within_memory
from relax.files import written_aside
from relax.io.errors import ImageError
from relax.io.images import name_of, read_image
from relax.io.limits import sharing_memory
from relax.io.sources import digest_of
from relax.readahead import READERS, ahead

PART_IMAGES, PART_SECONDS = 4096, 10.0  # a part ends at whichever comes first: the most that a kill loses
LEAST = 4  # pictures in a pass: of one alone, libraries for processors sum in another order

Vectors = NDArray[np.float32]


class Parts:
    """Rows and their embeddings, written to numbered files as they come; the last when the context ends.

    Args:
        out: The output folder.
        encoder: What is recorded of it in each part.
        number: Of the first part; None continues after those in `out`.
        shard: That of a worker, beside others that write at the same time; None for a process alone.
    """

    def __init__(self, out: Path, encoder: str, number: int | None = None, shard: int | None = None) -> None:
        self.folder, self.encoder, self.shard = out / PARTS, encoder, shard
        self.number = next_part(out) if number is None else number
        self.pending: list[tuple[ImageRow, Vectors]] = []
        self.since = time.monotonic()

    def __enter__(self) -> Parts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.write()

    def add(self, row: ImageRow, embedding: Vectors) -> None:
        """Add one image, and write the part if it is large or old enough."""
        self.pending.append((row, embedding))
        if len(self.pending) >= PART_IMAGES or time.monotonic() - self.since > PART_SECONDS:
            self.write()

    def write(self) -> None:
        """Write the pending images as one part."""
        if self.pending:
            vectors = np.stack([vector for _, vector in self.pending])
            column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
            table = to_table(row for row, _ in self.pending).append_column("embedding", column)
            own = "" if self.shard is None else f"-{self.shard:06d}-{token_hex(4)}"
            with written_aside(self.folder / f"{self.number:06d}{own}.parquet") as aside:
                write_table(aside, table, {"encoder": self.encoder})
            self.number += 1
            self.pending = []
        self.since = time.monotonic()


def part_files(out: Path, shard: int | None = None) -> list[Path]:
    """The parts in an output folder, those of earlier runs first; or those of one shard."""
    return sorted((out / PARTS).glob("[0-9]*.parquet" if shard is None else f"[0-9]*-{shard:06d}-*.parquet"))


def next_part(out: Path) -> int:
    """A number above those of the parts in an output folder."""
    return max((int(path.stem.partition("-")[0]) for path in part_files(out)), default=-1) + 1


def kept_images(out: Path) -> int:
    """Number of embeddings in parts."""
    count = 0
    for path in part_files(out):
        with undamaged(path):
            count += pq.read_metadata(path).num_rows
    return count


def read_part(path: Path) -> tuple[list[ImageRow], Vectors, str]:
    """The rows (M) of a part, their embeddings (M, D), and its encoder.

    Raises:
        ValueError: If it is damaged.
    """
    with undamaged(path):
        table, about = read_table(path)
        vectors = table.column("embedding").combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
        return to_rows(table), vectors, about["encoder"]


def embed_files(
    files: Iterable[tuple[ImageRow, str | None]],
    root: Path,
    encoder: Encoder,
    parts: Parts,
    budget: Budget,
    report: Callable[[int], None],
) -> list[ImageRow]:
    """Embed files into parts; files are decoded by a few threads while the encoder works.

    Args:
        files: Images, each with the SHA-256 that its file had when it was last embedded, or None.
        root: The folder to which their paths are relative.
        encoder: The encoder. Images with views of the same size share a batch; if the encoder takes any size, they go
            one by one unless a batch size is given, since they may be large.
        parts: Receives the embeddings.
        budget: Its batch size is that of a forward pass.
        report: Called with the number of images finished since the last call.

    Returns:
        Rows that were not embedded: `status` "ok" if the bytes are the same as before, else "failed".

    Raises:
        EncoderError: If the encoder fails on every image of a batch.
    """
    others: list[ImageRow] = []
    batch: list[tuple[ImageRow, Tensor]] = []
    limit = 1

    def embed() -> None:
        others.extend(_embed_batch(batch, encoder, parts, min(limit, LEAST)))
        report(len(batch))
        batch.clear()

    # Views of a fixed size are small enough to read a batch ahead; whole photographs are not.
    of_any_size = encoder.preprocess.size is None
    limit_ahead = READERS if of_any_size else max(READERS, 32)
    for row, view in ahead(lambda item: _read(*item, root, encoder), files, limit_ahead):
        if view is None:
            others.append(row)
            report(1)
            continue
        if batch and batch[0][1].shape != view.shape:
            embed()
        batch.append((row, view))
        limit = 1 if of_any_size and budget.batch_size == "auto" else budget.batch(view.to(encoder.device))
        if len(batch) >= limit:
            embed()
    if batch:
        embed()
    return others


def _read(row: ImageRow, previous: str | None, root: Path, encoder: Encoder) -> tuple[ImageRow, Tensor | None]:
    """Read one file. The hash comes first, so that a file which changes meanwhile counts as changed next time."""
    path = root / row.path
    try:
        row = replace(row, sha256=digest_of(path))
        if row.sha256 == previous:
            return row, None
        with sharing_memory():
            pixels = read_image(path, channels=encoder.channels)
            view, size = encoder.view(pixels), pixels.shape[-2:]
            del pixels
    except (ImageError, EncoderError) as error:
        return _failed(row, str(error).removeprefix(f"{name_of(path)}: ")), None
    except OSError as error:
        return _failed(row, f"cannot be read: {error.strerror or error}"), None
    return replace(row, width=size[1], height=size[0]), view


def _embed_batch(batch: list[tuple[ImageRow, Tensor]], encoder: Encoder, parts: Parts, least: int) -> list[ImageRow]:
    """Embed images with views of the same shape; if the batch fails, embed them singly to find the culprit.

    A batch below the least size is filled up by repetition, so that a picture has the same embedding, bit for bit,
    where a shard, a part or the folder ends.
    """
    views = torch.cat([view for _, view in (batch * least)[: max(least, len(batch))]])
    try:
        chunks, _ = within_memory(lambda size: [encoder.embed(part).cpu() for part in views.split(size)], len(views))
    except EncoderError as error:
        if len(batch) == 1:
            return [_failed(batch[0][0], str(error))]
        failed = [row for item in batch for row in _embed_batch([item], encoder, parts, least)]
        if len(failed) == len(batch):
            raise  # the encoder is at fault, not the images
        return failed
    for (row, _), vector in zip(batch, torch.cat(chunks).numpy(), strict=False):  # without what was filled up
        parts.add(row, vector)
    return []


def _failed(row: ImageRow, reason: str) -> ImageRow:
    return replace(row, status="failed", reason=reason)
