"""Who does the work on many pictures: this process, or workers of Ray that each load the encoder."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import torch

from encoders import Encoder, EncoderError
from encoders.identity import differences, recipe
from relax.cluster import Item, Work, check_workers, connected, needs_ray, spread
from relax.files import WriteError

Make: TypeAlias = Callable[[Encoder], Work[Item]]
"""From the encoder of a worker to what it does with each item; sent to the worker."""


@dataclass(frozen=True)
class Crew:
    """How many workers, where, and how each gets the encoder.

    Attributes:
        workers: Processes; None for one, or in a cluster for as many as it has GPUs or CPUs.
        address: Of a Ray cluster; None for none.
        load: Loads the encoder, in this process and in each worker.
        threads: Of torch in each worker that has answered.
        blocks: That keep one cluster, see `together`.
    """

    workers: int | None
    address: str | None
    load: Callable[[], Encoder]
    threads: set[int] = field(default_factory=set, repr=False, compare=False)
    blocks: list[ExitStack] = field(default_factory=list, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_workers(self.workers, self.address)

    @property
    def needs_ray(self) -> bool:
        """Whether this process does not do it itself."""
        return needs_ray(self.workers, self.address)

    def each(self, encoder: Encoder, make: Make[Item], items: Sequence[Item]) -> Generator[dict[str, Any], None, None]:
        """Do each item by one of the workers; the answers come as they are ready, in any order, see `spread`.

        Args:
            encoder: That of this process, which those of the workers must equal.
            make: Makes the work of a worker.
            items: What there is to do.

        Raises:
            WriteError, EncoderError: As a worker raised it.
            RuntimeError: If a worker failed otherwise.
        """
        if not items:
            return
        for block in self.blocks:
            block.enter_context(connected(self.workers, self.address))
        begin = partial(_begin, self.load, recipe(encoder), os.getcwd(), make)
        with closing(spread(begin, items, self.workers, self.address)) as answers:
            for answer in answers:
                if "error" in answer:
                    raise _raised(answer)
                self.threads.add(answer.pop("threads"))
                yield answer

    @contextmanager
    def together(self) -> Iterator[None]:
        """Keep one cluster, from the first that is done by workers, for all that is done in the block."""
        with ExitStack() as block:
            self.blocks.append(block)
            try:
                yield
            finally:
                self.blocks.remove(block)

    def record(self) -> dict[str, Any]:
        """How many work, and the threads of each, as JSON types, once they have."""
        if not self.needs_ray:
            return {"workers": 1, "threads": torch.get_num_threads()}
        threads = {"threads": max(self.threads)} if self.threads else {}
        return {"workers": self.workers or "one for each GPU, or each CPU, of the cluster", **threads}


def _begin(load: Callable[[], Encoder], wanted: dict[str, Any], place: str, make: Make[Item]) -> Work[Item]:
    """The work of a worker, in its process, which sees relative paths as the process that asked does."""
    with suppress(OSError):  # not there on another machine
        os.chdir(place)
    encoder = load()
    if different := differences(wanted, recipe(encoder)):
        raise EncoderError(f"encoder {wanted['name']!r} has another {', '.join(different)} in a worker")
    work = make(encoder)

    def answer(item: Item) -> dict[str, Any]:
        try:
            return {**work(item), "threads": torch.get_num_threads()}
        except WriteError as error:
            return {"error": "write", "text": error.strerror, "file": error.filename, "number": error.errno}
        except EncoderError as error:
            return {"error": "encoder", "text": str(error)}

    return answer


def _raised(answer: dict[str, Any]) -> Exception:
    if answer["error"] == "write":
        return WriteError(answer["number"], answer["text"], answer["file"])
    return EncoderError(answer["text"])
