"""Embed the pictures of an archive by this process, or in shards by the workers of a crew.

A shard that is begun again, because its worker died, goes on after the parts that it has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from encoders import Encoder
from encoders.identity import identity
from relax.archive.files import ImageRow
from relax.archive.parts import Parts, embed_files, next_part, part_files, read_part
from relax.cluster import Work
from relax.crew import Crew
from relax.estimators.budget import Budget

Outdated: TypeAlias = tuple[ImageRow, str | None]
"""A picture to embed, and the SHA-256 that its file had when it was last embedded."""
Shard: TypeAlias = tuple[int, Sequence[Outdated]]
LEAST, MOST = 64, 512  # pictures in a shard, whole batches: few enough that workers end together


def embed(
    outdated: Sequence[Outdated],
    root: Path,
    encoder: Encoder,
    out: Path,
    budget: Budget,
    crew: Crew,
    report: Callable[[int], None],
) -> list[ImageRow]:
    """Embed pictures into parts of `out`; see `relax.archive.parts.embed_files`.

    Raises:
        WriteError, EncoderError, RuntimeError: As for `relax.crew.Crew.each`.
    """
    if not crew.needs_ray:
        with Parts(out, json.dumps(identity(encoder))) as parts:
            return embed_files(outdated, root, encoder, parts, budget, report)
    others: list[ImageRow] = []
    make = partial(_work_of, root, out, next_part(out), budget)
    with closing(crew.each(encoder, make, shards_of(outdated, crew.workers))) as answers:
        for answer in answers:
            others += [ImageRow(*values) for values in answer["others"]]
            report(answer["images"])
    return others


def shards_of(outdated: Sequence[Outdated], workers: int | None) -> list[Shard]:
    """The pictures in numbered shards, of which each worker gets several."""
    size = max(LEAST, min(MOST, len(outdated) // (8 * (workers or 8)) // LEAST * LEAST))
    return [(start // size, outdated[start : start + size]) for start in range(0, len(outdated), size)]


def _work_of(root: Path, out: Path, first: int, budget: Budget, encoder: Encoder) -> Work[Shard]:
    """What a worker does with a shard; `first` is the number of the parts of this run."""
    made_by = json.dumps(identity(encoder))

    def work(shard: Shard) -> dict[str, Any]:
        number, outdated = shard
        kept = {(row.path, row.size, row.modified) for file in part_files(out, number) for row in read_part(file)[0]}
        missing = [pair for pair in outdated if (pair[0].path, pair[0].size, pair[0].modified) not in kept]
        with Parts(out, made_by, first, number) as parts:
            others = embed_files(missing, root, encoder, parts, budget, lambda _: None)
        return {"images": len(outdated), "others": [astuple(row) for row in others]}

    return work
