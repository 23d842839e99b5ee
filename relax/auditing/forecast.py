"""What an audit will take, before it begins: time, memory and disk, from a few of its pictures and one timed batch.

Of pictures spread over all it is timed how long reading, embedding, checking and shrinking take. What follows on the
embeddings grows with their number or its square; comparing pictures, with a number that is fixed. What these steps took
in an audit of 100,000 pictures (docs/scale.md) is multiplied by how much longer than there the comparison of two
pictures takes here and now, so that a busy machine counts as a slow one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from encoders import Encoder
from relax.auditing.gallery import SMALL
from relax.auditing.group_marks import PICTURES as IN_GROUP
from relax.auditing.group_marks import groups_of
from relax.auditing.layout import SAMPLE
from relax.auditing.marks import PICTURES, peaks
from relax.auditing.metadata import MetadataTable
from relax.auditing.options import Options
from relax.auditing.pictures import CELLS, FRAME
from relax.auditing.quality import measured
from relax.auditing.spectra import SIDE
from relax.io.choice import name_within
from relax.io.errors import ImageError
from relax.io.images import read_image
from relax.io.small import small_picture
from relax.progress import duration

TIMED, COMPARED = 16, 8  # pictures, and spectra
PAIR = 0.96e-3  # s that comparing the spectra of two pictures took where the other seconds come from
ARRANGED, CLUSTERED, PLANTED = 30.0, 2.7, 46.0  # s, of t-SNE of `SAMPLE`, clusters of a few, tests beside pairs
NEIGHBOURS = 44.0 / 1e5**2 / 256  # s for each pair of pictures and dimension
EACH, WRITTEN, OPENED = 0.67e-3, 0.3e-3, 1.5  # s a picture, of clusters and the like, of page and tables; s of a page
BASE, COMPARISON, PICTURE = 1.1e9, 1.4e9, 4.3e3  # bytes of memory: with torch and all, of comparing, of each picture
PAGE, ROW = 3e6, 1.7e3  # bytes on the disk: of the page, of each picture in it and in the tables


@dataclass(frozen=True)
class Forecast:
    """What an audit will take from its beginning; what is kept of an earlier run is not counted off.

    Attributes:
        pictures: Their number.
        seconds: By stage.
        memory: Bytes of the process at most.
        disk: Bytes in the output folder, at the end.
    """

    pictures: int
    seconds: dict[str, float]
    memory: float
    disk: float

    def __str__(self) -> str:
        return (
            f"{self.pictures:,} pictures: about {duration(sum(self.seconds.values()))}, "
            f"{self.memory / 1e9:.1f} GB of memory and {self.disk / 1e6:,.0f} MB in the output folder"
        )


def forecast(
    root: Path,
    paths: Sequence[str],
    encoder: Encoder,
    options: Options,
    table: MetadataTable | None = None,
    workers: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Forecast | None:
    """Time a few pictures, and tell what all will take.

    Args:
        root: The folder.
        paths: Of the pictures, relative to it.
        encoder: The encoder.
        options: Of the audit.
        table: The metadata.
        workers: Processes that embed and explain.
        clock: Seconds; another one than that on the wall leaves out what else the machine does.

    Returns:
        The forecast; None if none of the pictures that were tried can be used.
    """
    count = len(paths)
    timed = _timed(
        root, [paths[place] for place in np.linspace(0, count - 1, min(TIMED, count)).astype(int)], encoder, clock
    )
    if timed is None:
        return None
    pair = _pair(clock)
    slow, compared = pair / PAIR, min(PICTURES, count)
    names = [name_within(root, path) for path in paths]
    groups = groups_of(names, table.of(paths, names) if table else None)
    explained, hidden = min(options.explain, count), min(options.hide, count)
    passes = 2 * explained * options.settings.count + 2 * hidden * CELLS**2
    among_all = 2 * pair * compared**2  # anywhere and at one place, each with all others and their mirror images
    within = 2 * pair * timed.detail * sum(min(len(group.images), IN_GROUP) ** 2 for group in groups)
    space = CLUSTERED + ARRANGED * min(1, count / SAMPLE) + EACH * count + NEIGHBOURS * timed.dimensions * count**2
    seconds = {
        "embedding": count * (timed.reading + timed.passing) / workers,
        "explaining and hiding": passes * timed.passing / workers,
        "checking": count * timed.checking,
        "the space": slow * space,
        "comparing": among_all + within,
        "planting": among_all + slow * PLANTED,
        "writing": slow * OPENED + count * (timed.shrinking + slow * WRITTEN),
    }
    memory = BASE + COMPARISON * compared / PICTURES + PICTURE * count
    vectors = 2 * count + 2 * hidden * CELLS**2  # the index has those of the pictures, too
    disk = PAGE + ROW * count + 4 * timed.dimensions * vectors + explained * timed.map_bytes
    return Forecast(count, seconds, memory, disk)


class Timed(NamedTuple):
    """Of a picture, as a mean over a few: seconds, size, and numbers of its embedding.

    Attributes:
        reading: Seconds until it is a view.
        checking: Seconds of its measures.
        shrinking: Seconds of its small version.
        map_bytes: Of its three maps, as they are kept.
        detail: Pixels of what is compared of it, as a share of the most.
        passing: Seconds of one view in a batch.
        dimensions: Of its embedding.
    """

    reading: float
    checking: float
    shrinking: float
    map_bytes: float
    detail: float
    passing: float
    dimensions: int


def _timed(root: Path, paths: Sequence[str], encoder: Encoder, clock: Callable[[], float]) -> Timed | None:
    """What pictures take; None if none can be used."""
    views, seen = [], []
    for path in paths:
        try:
            start = clock()
            pixels = read_image(root / path, channels=encoder.channels)
            views.append(encoder.view(pixels))
            read = clock()
            measured(root / path)
            checked = clock()
            small_picture(root / path, SMALL)
            height, width = pixels.shape[-2:]
            map_bytes = 3 * 4 * height * width * min(1, FRAME / max(height, width)) ** 2
            detail = min(1, max(height, width) / SIDE) ** 2
            seen.append((read - start, checked - read, clock() - checked, map_bytes, detail))
        except (ImageError, OSError):
            continue
    if not seen:
        return None
    batch = torch.cat([view for view in views if view.shape == views[0].shape])
    encoder.embed(batch)  # the first takes longer
    start = clock()
    dimensions = encoder.embed(batch).shape[1]
    passing = (clock() - start) / len(batch)
    reading, checking, shrinking, map_bytes, detail = np.mean(seen, 0).tolist()
    return Timed(reading, checking, shrinking, map_bytes, detail, passing, dimensions)


def _pair(clock: Callable[[], float]) -> float:
    """Seconds of the comparison of two pictures, as they are or mirrored."""
    side = 2 * SIDE
    spectra = np.random.default_rng(0).standard_normal((COMPARED, side, side // 2 + 1)).astype(np.complex64)
    peaks(spectra[:2], spectra[:2])
    start = clock()
    peaks(spectra, spectra)
    return (clock() - start) / (COMPARED * (COMPARED - 1) / 2)
