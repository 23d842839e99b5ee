"""Bring an archive up to date with its folder: embed what is new or changed, forget what is gone, join the results."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from encoders import Encoder
from encoders.folders import image_endings
from encoders.identity import identity
from relax.archive.files import ImageRow, finish_replacing, list_images
from relax.archive.joining import join
from relax.archive.stored import Changes, Stored
from relax.archive.workers import embed
from relax.crew import Crew
from relax.estimators.budget import Budget, Progress
from relax.io.choice import discreet_name, folder_name, name_within
from relax.io.elsewhere import is_url
from relax.io.sources import Sources, names_several
from similarity.kinds import check_settings

ListedImages: TypeAlias = tuple[dict[str, ImageRow], list[ImageRow], Sources]  # as `list_images` returns them


def bring_up_to_date(
    root: Path,
    encoder: Encoder,
    out: Path,
    listing: ListedImages,
    budget: Budget,
    *,
    crew: Crew,
    kind: str,
    metric: str,
    recursive: bool,
    progress: Progress | None,
) -> Changes:
    """As `relax.archive.archive.make_archive`, of the images found; no other run may write to `out` meanwhile."""
    start = time.monotonic()
    files, unlisted, _ = listing
    finish_replacing(out)
    stored = Stored.read(out, encoder)
    check_same_root(stored.record, root, out)

    outdated = [(row, stored.checksum(path)) for path, row in files.items() if not stored.is_current(row)]
    unembedded = embed(outdated, root, encoder, out, budget, crew, _counter(progress, len(outdated)))
    stored = Stored.read(out, encoder)
    stored.touch(row for row in unembedded if row.status == "ok")
    unusable = {row.path: row for row in unembedded if row.status != "ok"}
    failed = [*unlisted, *unusable.values()]
    images = stored.with_ids(path for path in files if path not in unusable)
    if not images:
        first, name = failed[0], folder_name(root, (root / row.path for row in failed))
        raise ValueError(
            f"none of the {len(failed)} images in {name} can be used; {name_within(root, first.path)}: {first.reason}"
        )

    fresh = {row.path for row in images if not stored.in_archive(row.path)}
    changes = Changes(
        new=sum(path not in stored.archived for path in fresh),
        changed=sum(path in stored.archived for path in fresh),
        unchanged=len(images) - len(fresh),
        removed=len(stored.archived.keys() - files.keys()),
        failed=len(failed),
        embedded=len(outdated) - len(unembedded),
        seconds=time.monotonic() - start,
    )
    options = {"root": str(root), "recursive": recursive, "encoder": identity(encoder), "metric": metric, "kind": kind}
    join(out, stored, images, sorted(failed, key=lambda row: row.path), options, encoder, changes, crew.record())
    return replace(changes, seconds=time.monotonic() - start)


def find_images(root: str, recursive: bool, out: Path, kind: str, metric: str) -> ListedImages:
    """As `list_images`, refusing what cannot become an archive.

    Raises:
        ValueError: As for `relax.archive.archive.make_archive`.
    """
    check_root(root)
    files, failed, sources = list_images(root, recursive, out)
    if not files:
        reason = f"; {name_within(sources.root, failed[0].path)} {failed[0].reason}" if failed else ""
        raise ValueError(f"{root} holds no image ({', '.join(image_endings())}){reason}")
    check_settings(kind, metric, len(files))
    return files, failed, sources


def check_root(root: str | Path) -> None:
    """Refuse what is neither a folder nor names several pictures in another way."""
    if not names_several(root):
        exists, root = os.path.exists(root), discreet_name(str(root))
        raise ValueError(f"root must be a folder of images; {root} is {'a file' if exists else 'not there'}")


def check_same_root(record: dict[str, Any] | None, root: Path, out: Path) -> None:
    """Refuse another folder, which would replace everything; one that was moved is fine.

    Raises:
        ValueError: Naming both.
    """
    if record and record["root"] != str(root) and (is_url(record["root"]) or Path(record["root"]).is_dir()):
        raise ValueError(f"{out} is the archive of {record['root']}; for {root} choose another folder to write to")


def _counter(progress: Progress | None, total: int) -> Callable[[int], None]:
    """A function that takes how many images were finished since its last call, and reports their sum."""
    finished = 0

    def count(images: int) -> None:
        nonlocal finished
        finished += images
        if progress is not None:
            progress(finished, total)

    count(0)
    return count
