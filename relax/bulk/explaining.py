"""Explain as many pictures as there are: in shards, stopped and continued, by one process or by Ray."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Unpack

from encoders import Encoder, EncoderError
from encoders.values import described, is_whole
from relax.bulk.defaults import NUMBERS, SHARD
from relax.bulk.folder import RECORD
from relax.bulk.listing import Changes, Listed, up_to_date
from relax.bulk.manifest import Standing, write_manifest
from relax.bulk.plan import Plan
from relax.bulk.record import check_same, read_record, record_of, write_record
from relax.bulk.shards import sweep_unnamed
from relax.bulk.store import StoredMaps, load_maps
from relax.bulk.work import Worker, here, work_of
from relax.crew import Crew
from relax.estimators.budget import Progress
from relax.io.sources import write_passed_over
from relax.keywords import ExplainKeywords, shows
from relax.lock import sole_run
from relax.progress import Silent, shown
from relax.provenance import surroundings
from relax.scene import EncoderSource, loaded
from relax.settings import Settings
from relax.text import one_of


@dataclass(frozen=True)
class Result:
    """What a run did.

    Attributes:
        changes: Of its plan, since the last run.
        standing: How far it is now.
        damaged: Shards of earlier runs that were damaged, and are done anew.
        before: Pictures that were done, or had failed, before.
    """

    changes: Changes
    standing: Standing
    damaged: int
    before: int


@shows(ExplainKeywords)
def explain_all(
    images: str | Path | Sequence[str | Path],
    encoder: EncoderSource = "default",
    *,
    out: str | Path,
    retry_failed: bool = False,
    shard: int = SHARD,
    numbers: str = "float32",
    workers: int | None = None,
    ray: str | None = None,
    progress: Progress | Silent | None = None,
    **keywords: Unpack[ExplainKeywords],
) -> StoredMaps:
    """Explain all pictures of a folder, or of a list of them, and keep the maps on the disk.

    Each map is that of `relax.explain` under the same keywords, up to rounding, since pictures with few masks share
    batches. The call can be stopped or killed at any time: the same call goes on where it was, and one with further
    pictures adds those. A picture that cannot be used is noted, see `StoredMaps.failed`, and passed over.

    Args:
        images: A folder, or whatever else names pictures, see `relax.io.sources`; or several of them.
        encoder: As for `relax.explain`.
        out: The folder of the run, created if it does not exist.
        retry_failed: Whether pictures that failed in an earlier call are tried again.
        shard: Pictures in a file.
        numbers: Of the maps on the disk: "float32", or "float16" in half the space, rounded to 11 binary digits.
        workers: Processes that explain; more than one need Ray, the extra [ray]. The maps do not depend on it.
        ray: The address of a Ray cluster, "auto" for one that runs on this machine; its machines must see pictures and
            `out` under the same paths. There, None workers are one for each GPU, or else for each CPU.
        progress: Called with (pictures done, pictures); otherwise as for `relax.explain`.
        keywords: Keywords of `relax.explain`.

    Returns:
        The maps, to be read one by one.

    Raises:
        ImageError: If nothing that is named can be read.
        EncoderError: If the encoder cannot be loaded, or fails on each picture of a shard.
        ValueError: If an argument is impossible, or `out` holds a run by another encoder or under other settings.
        ImportError: If Ray is needed and is not installed.
        OSError: If `out` cannot be written to, or another run is writing to it (`relax.lock.InUse`).
    """
    settings = Settings.of(keywords, function="explain_all")
    crew = Crew(workers, ray, partial(loaded, encoder, settings.execution, settings.request))
    network = crew.load()
    named = [images] if isinstance(images, str | Path) else list(images)
    with shown(progress, "pictures") as report:
        run(named, network, settings, Path(out), crew, retry_failed, shard, numbers, report)
    return load_maps(out)


def run(
    named: Sequence[str | Path],
    encoder: Encoder,
    settings: Settings,
    folder: Path,
    crew: Crew,
    retry_failed: bool = False,
    shard: int = SHARD,
    numbers: str = "float32",
    progress: Progress | None = None,
) -> Result:
    """`explain_all` with a loaded encoder, checked settings, and who works."""
    start = time.monotonic()
    check(encoder, shard, numbers)
    folder = Path(folder).absolute()
    with sole_run(folder, "relax explain"):
        plan, changes, listed = _prepare(named, encoder, settings, folder, shard, numbers)
        standing = Standing.of(folder, plan, retry_failed=retry_failed)
        before = plan.pictures - sum(len(plan.shard(number)) for number in standing.pending)
        damaged = standing.damaged
        try:
            if crew.needs_ray:
                steps = _by_crew(crew, encoder, folder, settings, retry_failed, standing.pending)
            else:
                steps = here(Worker(folder, encoder, settings, retry_failed=retry_failed), standing.pending)
            with closing(steps):  # so that Ctrl-C ends them before what is done is counted
                _count(steps, before, plan.pictures, progress)
        finally:
            sweep_unnamed(folder)
            about = {**surroundings(encoder.device, time.monotonic() - start), **crew.record()}
            write_manifest(folder, plan, {**about, "changes": vars(changes)})
            standing = Standing.of(folder, plan, check=False)
            write_passed_over(folder, [*listed.passed_over, *standing.passed_over(plan)])
    return Result(changes, standing, damaged, before)


def check(encoder: Encoder, shard: int, numbers: str) -> None:
    """Refuse what cannot be a run.

    Raises:
        ValueError, EncoderError: With the reason.
    """
    one_of("numbers", numbers, NUMBERS)
    if not is_whole(shard, 1):
        raise ValueError(f"shard must be the number of pictures in a file, 1 or more; got {described(shard)}")
    if encoder.takes_volumes:
        raise EncoderError(
            f"encoder {encoder.name!r} takes volumes: explain them with relax.explain_volume, or relax volume on the "
            "command line"
        )


def _prepare(
    named: Sequence[str | Path], encoder: Encoder, settings: Settings, folder: Path, shard: int, numbers: str
) -> tuple[Plan, Changes, Listed]:
    """The plan of a run, after it was compared with the run that is there."""
    record = record_of(encoder, settings, shard, numbers, list(map(str, named)))
    if (folder / RECORD).is_file():
        earlier = read_record(folder)
        check_same(earlier, record, folder)
        record = {**earlier, "sources": record["sources"]}
    listed = Listed.of(named, leave_out=folder)
    write_record(folder, record)
    return *up_to_date(folder, listed, shard), listed


def _by_crew(
    crew: Crew, encoder: Encoder, folder: Path, settings: Settings, retry_failed: bool, shards: Sequence[int]
) -> Generator[int, None, None]:
    """The number of pictures of each shard, as it is done by a worker."""
    with closing(crew.each(encoder, partial(work_of, folder, settings, retry_failed), shards)) as answers:
        for answer in answers:
            yield answer["pictures"]


def _count(steps: Iterable[int], before: int, total: int, progress: Progress | None) -> None:
    """Report pictures as they are done."""
    done = before
    if progress is not None:
        progress(done, total)
    for pictures in steps:
        done += pictures
        if progress is not None:
            progress(done, total)
