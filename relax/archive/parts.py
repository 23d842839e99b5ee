"""Embed image files in parts that outlive a kill: every few seconds, what is done is written to a file of its own."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from hashlib import file_digest
from os import cpu_count
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders import Encoder, EncoderError
from relax.archive.files import PARTS, ImageRow, read_table, to_rows, to_table, write_table
from relax.estimators.budget import Budget, within_memory
from relax.files import written_aside
from relax.io.errors import ImageError
from relax.io.images import read_image

PART_IMAGES, PART_SECONDS = 4096, 10.0  # a part ends at whichever comes first: so much is lost in a kill
READERS = min(4, cpu_count() or 1)  # images that are decoded at the same time

Vectors = NDArray[np.float32]
Item = TypeVar("Item")
Result = TypeVar("Result")


class Parts:
    """Rows and their embeddings, written to numbered files as they come; a context, so that nothing stays behind."""

    def __init__(self, out: Path, encoder: str) -> None:
        """Go on after the parts that are in `out`; `encoder` is noted in each."""
        self.folder, self.encoder = out / PARTS, encoder
        numbers = [int(path.stem) for path in part_files(out)]
        self.number = max(numbers, default=-1) + 1
        self.waiting: list[tuple[ImageRow, Vectors]] = []
        self.since = time.monotonic()

    def __enter__(self) -> Parts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.write()

    def add(self, row: ImageRow, embedding: Vectors) -> None:
        """Keep one image; written now or soon."""
        self.waiting.append((row, embedding))
        if len(self.waiting) >= PART_IMAGES or time.monotonic() - self.since > PART_SECONDS:
            self.write()

    def write(self) -> None:
        """Write what waits."""
        if self.waiting:
            vectors = np.stack([vector for _, vector in self.waiting])
            column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
            table = to_table(row for row, _ in self.waiting).append_column("embedding", column)
            with written_aside(self.folder / f"{self.number:06d}.parquet") as aside:
                write_table(aside, table, {"encoder": self.encoder})
            self.number += 1
            self.waiting = []
        self.since = time.monotonic()


def part_files(out: Path) -> list[Path]:
    """The parts in an output folder, oldest first."""
    return sorted((out / PARTS).glob("[0-9]*.parquet"))


def kept_images(out: Path) -> int:
    """How many embeddings lie in parts."""
    return sum(pq.read_metadata(path).num_rows for path in part_files(out))


def read_part(path: Path) -> tuple[list[ImageRow], Vectors, str]:
    """The rows (M) of a part, their embeddings (M, D), and its encoder."""
    table, about = read_table(path)
    vectors = table.column("embedding").combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
    return to_rows(table), vectors, about["encoder"]


def embed_files(
    todo: Iterable[tuple[ImageRow, str | None]],
    root: Path,
    encoder: Encoder,
    parts: Parts,
    budget: Budget,
    done: Callable[[int], None],
) -> list[ImageRow]:
    """Embed files into parts; files are decoded by a few threads while the encoder works.

    Args:
        todo: Images, each with the SHA-256 that its file had when it was embedded before, or None.
        root: Where their paths start.
        encoder: Who looks. Images whose views have one size share a batch; those of an encoder of any size go one by
            one, unless the batch size is given: they may be large.
        parts: Where the embeddings go.
        budget: Its batch size is that of a forward pass.
        done: Told how many images are through since the last call.

    Returns:
        The other rows: `status` "ok" where the bytes turned out to be the same as before, else "failed".

    Raises:
        EncoderError: If the encoder fails on every image of a batch.
    """
    others: list[ImageRow] = []
    batch: list[tuple[ImageRow, Tensor]] = []

    def embed() -> None:
        others.extend(_embed_batch(batch, encoder, parts))
        done(len(batch))
        batch.clear()

    # Views of a fixed size are small, so a batch of them may wait; whole photographs are not.
    of_any_size = encoder.preprocess.size is None
    ahead = READERS if of_any_size else max(READERS, 32)
    for row, view in _ahead(lambda item: _look(*item, root, encoder), todo, ahead):
        if view is None:
            others.append(row)
            done(1)
            continue
        if batch and batch[0][1].shape != view.shape:
            embed()
        batch.append((row, view))
        most = 1 if of_any_size and budget.batch_size == "auto" else budget.batch(view.to(encoder.device))
        if len(batch) >= most:
            embed()
    if batch:
        embed()
    return others


def _look(row: ImageRow, known: str | None, root: Path, encoder: Encoder) -> tuple[ImageRow, Tensor | None]:
    """Read one file. The hash comes first: a file that changes meanwhile is then seen as changed next time."""
    path = root / row.path
    try:
        with path.open("rb") as file:
            row = replace(row, sha256=file_digest(file, "sha256").hexdigest())
        if row.sha256 == known:
            return row, None
        pixels = read_image(path, channels=encoder.channels)
        view = encoder.view(pixels)
    except (ImageError, EncoderError) as error:
        return _failed(row, str(error).removeprefix(f"{path}: ")), None
    except OSError as error:
        return _failed(row, f"cannot be read: {error.strerror or error}"), None
    return replace(row, width=pixels.shape[-1], height=pixels.shape[-2]), view


def _embed_batch(batch: list[tuple[ImageRow, Tensor]], encoder: Encoder, parts: Parts) -> list[ImageRow]:
    """Embed images whose views have one shape; where the batch fails, each on its own, to find out which."""
    views = torch.cat([view for _, view in batch])
    try:
        found, _ = within_memory(lambda size: [encoder.embed(part).cpu() for part in views.split(size)], len(views))
    except EncoderError as error:
        if len(batch) == 1:
            return [_failed(batch[0][0], str(error))]
        failed = [row for one in batch for row in _embed_batch([one], encoder, parts)]
        if len(failed) == len(batch):
            raise  # it is not the images
        return failed
    for (row, _), vector in zip(batch, torch.cat(found).numpy(), strict=True):
        parts.add(row, vector)
    return []


def _failed(row: ImageRow, reason: str) -> ImageRow:
    return replace(row, status="failed", reason=reason)


def _ahead(work: Callable[[Item], Result], items: Iterable[Item], most: int) -> Iterator[Result]:
    """`work` of each item, in order, by threads that are up to `most` items ahead."""
    running: deque[Future[Any]] = deque()
    pool = ThreadPoolExecutor(READERS)
    try:
        for item in items:
            running.append(pool.submit(work, item))
            if len(running) >= most:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
