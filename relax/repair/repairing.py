"""`relax.repair_encoder`: a mark, what rests on it, and the encoder without it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from encoders.identity import identity
from encoders.values import described, is_whole
from relax.archive.archive import Archive, load_archive
from relax.estimators.budget import Progress
from relax.influence.labels import Labels, labels_of
from relax.progress import Silent, shown
from relax.provenance import surroundings
from relax.repair.defaults import DIRECTIONS, FILL, HIDING, NEIGHBOURS, PICTURES
from relax.repair.directions import directions_of
from relax.repair.examples import examples_of
from relax.repair.marked import LEAST, Marks, Rows, Twins, drawn, embed_twins
from relax.repair.result import Repair
from relax.repair.steps import Bench
from relax.text import one_of


def repair_encoder(
    archive: Archive | str | Path,
    marks: str | Path,
    *,
    labels: str | Path | Labels | None = None,
    directions: int = DIRECTIONS,
    fill: str = FILL,
    neighbours: int = NEIGHBOURS,
    pictures: int = PICTURES,
    seed: int = 0,
    progress: Progress | Silent | None = None,
) -> Repair:
    """Find the directions in which a mark moves embeddings, take them out, and measure what rested on them.

        repair = relax.repair_encoder("photos-archive", "marks")       # a folder of masks, or boxes.csv
        print(repair.findings)
        repair.save("watermark")                                       # watermark.safetensors, .json, .png
        relax.explain("cat.png", "repaired:watermark.safetensors")

    Each of some pictures gets a twin: its mark hidden, or another picture's mark pasted in. Half of the twins tell the
    directions; the other half, which the numbers are of, judge them.

    Args:
        archive: Of `relax.make_archive`, or its folder.
        marks: Where the mark is: a folder of masks or Pascal VOC files, or a CSV of boxes, as for `relax.evaluate`.
            Pictures that have none carry no mark; at least 16 of each kind are needed.
        labels: As for `relax.influential`: a head then learns them, and is asked about pictures whose mark has moved.
            None asks no head.
        directions: How many to take out. More leave less of the mark, and fewer of the neighbours that have nothing to
            do with it.
        fill: What hides marks: "blur", "mean" or "noise".
        neighbours: Of a picture, that count.
        pictures: With a mark, and as many without, that get a twin, at most; each costs three passes.
        seed: Which pictures these are.
        progress: Called with (pictures done, all); False draws no bar in a notebook.

    Raises:
        ValueError: If an argument is impossible, or too few pictures have a mark, or have none.
        TruthError, ImageError, EncoderError: If a mark, a picture or the encoder cannot be used.
    """
    start = time.perf_counter()
    one_of("fill", fill, HIDING)
    counts = (("directions", directions, 1), ("neighbours", neighbours, 1), ("pictures", pictures, LEAST))
    for name, count, least in counts:
        if not is_whole(count, least):
            raise ValueError(f"{name} must be a whole number, {least} or more; got {described(count)}")
    archive = archive if isinstance(archive, Archive) else load_archive(archive)
    if len(archive) <= neighbours:
        raise ValueError(f"neighbours must be fewer than the {len(archive)} pictures; got {neighbours}")
    known = Marks.of(archive, marks)
    named = None if labels is None else labels_of(archive, labels, seed=seed)
    encoder, rng = archive.network(), np.random.default_rng(seed)
    learning, judging = drawn(known, pictures, rng)
    with shown(progress, "pictures") as report:
        learned, judged = _twins(archive, known, (learning, judging), fill, rng, report)
    carriers = np.zeros(len(archive), dtype=bool)
    carriers[known.rows] = True
    bench = Bench(np.asarray(archive.embeddings, np.float64), carriers, learned, judged, named, neighbours)
    removed = directions_of(learned, directions)
    steps = tuple(bench.steps(removed))
    settings: dict[str, Any] = {
        "encoder": identity(encoder),
        "pictures": {
            "archive": len(archive),
            "with a mark": len(known.truths),
            "that told the directions": len(learned.rows),
            "that judged them": len(judged.rows),
        },
        "labels": None if named is None else named.source,
        "directions": directions,
        "fill": fill,
        "neighbours": neighbours,
        "seed": seed,
    }
    return Repair(
        directions=removed.astype(np.float32),
        steps=steps,
        settings={**settings, **surroundings(encoder.device, time.perf_counter() - start)},
        encoder=encoder,
        bench=bench,
        examples=examples_of(archive, encoder, known, judging, fill),
    )


def _twins(
    archive: Archive,
    marks: Marks,
    halves: tuple[tuple[Rows, Rows], tuple[Rows, Rows]],
    fill: str,
    rng: np.random.Generator,
    progress: Progress | None,
) -> list[Twins]:
    """Those of both halves."""
    encoder, twins, done = archive.network(), list[Twins](), 0
    total = 2 * sum(len(rows) for rows, _ in halves)
    for rows in halves:
        step = None if progress is None else _onwards(progress, done, total)
        twins.append(embed_twins(archive, encoder, marks, rows, fill, rng, step))
        done += 2 * len(rows[0])
    return twins


def _onwards(progress: Progress, done: int, total: int) -> Progress:
    return lambda further, _: progress(done + further, total)
