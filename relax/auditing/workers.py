"""The single pictures of an audit, made ahead by the workers of a crew, which keep them where the audit finds them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Any, TypeAlias

from encoders import Encoder
from relax.auditing.pictures import Pictures
from relax.auditing.positions import mirror_of
from relax.cluster import Work
from relax.crew import Crew
from relax.estimators.budget import Progress
from relax.io.errors import ImageError

Item: TypeAlias = tuple[str, str, str]
"""What is done with a picture, "explain" or "hide", its path, and how it is mirrored."""


def with_mirror_images(what: str, paths: Sequence[str], chosen: Sequence[int]) -> list[Item]:
    """What there is to do for chosen pictures, as `relax.auditing.stages` asks for it."""
    return [(what, paths[image], mirror) for place, image in enumerate(chosen) for mirror in ("", mirror_of(place))]


def make_ahead(crew: Crew, pictures: Pictures, items: Sequence[Item], progress: Progress) -> None:
    """Let workers make what is not kept yet; without any, nothing: it is made when it is asked for.

    A picture that cannot be used is passed over, and found to be so when it is asked for.

    Raises:
        WriteError, EncoderError, RuntimeError: As for `relax.crew.Crew.each`.
    """
    if not crew.needs_ray:
        return
    missing = [item for item in items if _is_missing(pictures, item)]
    done = len(items) - len(missing)
    make = partial(_work_of, {**vars(pictures), "encoder": None, "new_files": set()})
    with closing(crew.each(pictures.encoder, make, missing)) as answers:
        for answer in answers:
            pictures.new_files.add(pictures.file_of(*answer["item"]))
            done += 1
            progress(done, len(items))


def _is_missing(pictures: Pictures, item: Item) -> bool:
    try:
        return not pictures.is_kept(*item)
    except ImageError:
        return False


def _work_of(pictures: dict[str, Any], encoder: Encoder) -> Work[Item]:
    """What a worker does with a picture; `pictures` come without the encoder."""
    own = Pictures(**{**pictures, "encoder": encoder})

    def work(item: Item) -> dict[str, Any]:
        what, path, mirror = item
        if _is_missing(own, item):
            (own.explain if what == "explain" else own.hide)(path, mirror)
        return {"item": item}

    return work
