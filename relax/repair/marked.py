"""Pictures with a mark and pictures without, each with its twin: the mark hidden, or another picture's pasted in.

    with a mark       the picture          its twin: the mark hidden by the fill      aside: as much hidden elsewhere
    without           its twin: a mark pasted in from another picture                  aside: the same place of a
                      the picture                                                     picture without one pasted in

The twins differ in the mark alone, so that what it does to an embedding is seen picture by picture; what lies aside
tells what any change of that size would do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from encoders import Encoder
from masking.fill import blend, make_fill
from relax.archive.archive import Archive
from relax.estimators.budget import Progress
from relax.io.images import read_image
from relax.metrics.truth import Truth, find_truths

LEAST = 16  # pictures of each kind, half of which tell the directions and half judge them
OVERLAP = 0.25  # of its own place, at most, that a region elsewhere may cover

Vectors = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Marks:
    """Which pictures of an archive carry the mark, and where.

    Attributes:
        truths: By row of the archive.
        without: Rows of the pictures that carry none.
    """

    truths: dict[int, Truth]
    without: Rows

    @classmethod
    def of(cls, archive: Archive, source: str | Path) -> Marks:
        """From masks or boxes, see `relax.metrics.truth`; a picture that has none carries no mark.

        Raises:
            ValueError: If there is no such source, or fewer than `LEAST` pictures have one, or have none.
        """
        if not Path(source).exists():
            raise ValueError(f"marks must be a folder of masks or a CSV of boxes; there is no {source}")
        known = find_truths([Path(path) for path in archive.paths], source)
        truths = {row: truth for row, truth in enumerate(known) if truth is not None}
        without = np.array([row for row, truth in enumerate(known) if truth is None], dtype=np.int64)
        for count, kind in ((len(truths), "with a mark"), (len(without), "without one")):
            if count < LEAST:
                raise ValueError(
                    f"marks must leave at least {LEAST} pictures with a mark and {LEAST} without; "
                    f"{source} leaves {count} {kind} of {len(known)}"
                )
        return cls(truths, without)

    @property
    def rows(self) -> Rows:
        """Of the pictures that carry the mark."""
        return np.array(sorted(self.truths), dtype=np.int64)


class Trio(NamedTuple):
    """A picture (1, C, H, W) with the mark, without it, and with a change that has nothing to do with the mark."""

    present: Tensor
    absent: Tensor
    aside: Tensor | None


@dataclass(frozen=True)
class Twins:
    """Embeddings of pictures and of their twins, a row each.

    Attributes:
        rows: (n,) of the archive.
        marked: (n,) bool: whether the picture itself is the one that carries the mark.
        present: (n, D) float64 with the mark.
        absent: (n, D) without it.
        aside: (n, D) with a change of the same size that has nothing to do with the mark; NaN where there is no place.
    """

    rows: Rows
    marked: NDArray[np.bool_]
    present: Vectors
    absent: Vectors
    aside: Vectors

    @property
    def itself(self) -> Vectors:
        """(n, D) of the pictures as they are."""
        return np.where(self.marked[:, None], self.present, self.absent)

    @property
    def twin(self) -> Vectors:
        """(n, D) of the pictures with the mark moved: hidden where it was, pasted where there was none."""
        return np.where(self.marked[:, None], self.absent, self.present)

    def some(self, chosen: slice | NDArray[np.bool_]) -> Twins:
        """A part of them."""
        return Twins(*(getattr(self, field.name)[chosen] for field in fields(self)))


def drawn(marks: Marks, most: int, rng: np.random.Generator) -> tuple[tuple[Rows, Rows], tuple[Rows, Rows]]:
    """Rows with and without the mark, as many of each and at most `most`, in halves: to learn from, and to judge by."""
    count = min(most, len(marks.truths), len(marks.without)) // 2
    halves = [rng.permutation(rows)[: 2 * count].reshape(2, count) for rows in (marks.rows, marks.without)]
    return (halves[0][0], halves[1][0]), (halves[0][1], halves[1][1])


def embed_twins(
    archive: Archive,
    encoder: Encoder,
    marks: Marks,
    rows: tuple[Rows, Rows],
    fill: str,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Twins:
    """Embed pictures with the mark and without, and their twins.

    Args:
        archive: The pictures.
        encoder: Theirs.
        marks: Of the archive.
        rows: (n,) with the mark and (n,) without; the k-th without gets the mark of the k-th with it.
        fill: What hides marks, a key of `masking.tables.FILLS`.
        rng: Chooses the pictures that are pasted aside.
        progress: Called with (pictures done, all).

    Raises:
        ImageError, TruthError, EncoderError: If a picture, its mark or an embedding cannot be had.
    """
    carriers, others = rows
    strangers = rng.permutation(others)
    parts: list[Tensor] = []
    for number, chosen in enumerate(zip(carriers, others, strangers, strict=True), 1):
        for trio in pixels_of_twins(archive, encoder, marks, *map(int, chosen), fill=fill):
            parts.append(_embedded(encoder, trio))
        if progress is not None:
            progress(2 * number, 2 * len(carriers))
    embedded = torch.stack(parts).double().numpy()
    return Twins(
        np.stack([carriers, others], 1).reshape(-1),
        np.tile([True, False], len(carriers)),
        *(embedded[:, place] for place in range(3)),
    )


def pixels_of_twins(
    archive: Archive, encoder: Encoder, marks: Marks, carrier: int, other: int, stranger: int, *, fill: str
) -> tuple[Trio, Trio]:
    """A picture with the mark, and one without, each with its twin and with what lies aside.

    Args:
        archive: The pictures.
        encoder: Whose channels and mean pixel these have.
        marks: Of the archive.
        carrier: Row of the picture with the mark.
        other: Row of the picture without.
        stranger: Row of the picture without that is pasted aside; `other` itself is none.
        fill: What hides the mark.
    """
    donor = _picture(archive, encoder, carrier)
    height, width = donor.shape[2:]
    mask = torch.from_numpy(marks.truths[carrier].mask((height, width))).float()[None, None]
    filling = make_fill(fill, donor, mean=encoder.preprocess.mean)
    elsewhere = _elsewhere(mask)
    hidden = Trio(
        donor,
        blend(donor, 1 - mask, filling),
        None if elsewhere is None else blend(donor, 1 - elsewhere, filling),
    )
    picture = _picture(archive, encoder, other)
    size = picture.shape[2:]
    place = F.interpolate(mask, size, mode="nearest")
    pasted = Trio(
        blend(picture, 1 - place, _resized(donor, size)),
        picture,
        None if stranger == other else blend(picture, 1 - place, _resized(_picture(archive, encoder, stranger), size)),
    )
    return hidden, pasted


def _picture(archive: Archive, encoder: Encoder, row: int) -> Tensor:
    """(1, C, H, W) in [0, 1]."""
    return read_image(archive.paths[row], channels=encoder.channels)


def _elsewhere(mask: Tensor) -> Tensor | None:
    """The mask mirrored, whichever way covers least of itself; None if all cover too much."""
    mirrored = [mask.flip(axes) for axes in ([3], [2], [2, 3])]
    overlaps = [float((mask * other).sum() / mask.sum().clamp(min=1)) for other in mirrored]
    best = int(np.argmin(overlaps))
    return mirrored[best] if overlaps[best] <= OVERLAP else None


def _resized(picture: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(picture, list(size), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def _embedded(encoder: Encoder, trio: Trio) -> Tensor:
    """(3, D) float32 on the CPU; NaN for what there is none of."""
    present, absent, aside = trio
    embedded = encoder(torch.cat([present, absent, absent if aside is None else aside])).cpu().clone()
    if aside is None:
        embedded[2] = torch.nan
    return embedded
