"""The next pictures of a run are read while one is explained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from relax.bulk.plan import Planned
from relax.io.limits import sharing_memory
from relax.notes import collected
from relax.readahead import READERS, ahead
from relax.scene import Scene


@dataclass(frozen=True)
class Prepared:
    """A picture of the plan that was read, or was not.

    Attributes:
        picture: Of the plan.
        scene: What was read, without the pixels; None if it was not, or could not be.
        error: Why it could not be.
        notes: Warnings.
    """

    picture: Planned
    scene: Scene | None = None
    error: Exception | None = None
    notes: tuple[str, ...] = ()


def prepared(pictures: Iterable[Planned], make: Callable[[str], Scene] | None, together: int = 1) -> Iterator[Prepared]:
    """Pictures, a few of them read ahead by threads, which share the memory that decoding may take.

    Args:
        pictures: In their order.
        make: Reads the picture of an address; None where it is not to be read ahead.
        together: How many are in use at a time.
    """

    def read(picture: Planned) -> Prepared:
        scene, error = None, None
        with collected() as notes:
            try:
                with sharing_memory():
                    scene = None if make is None else make(picture.address).without_pixels()
            except Exception as reason:  # raised again when it is the picture's turn
                error = reason
        return Prepared(picture, scene, error, tuple(notes))

    return ahead(read, pictures, READERS + together)
