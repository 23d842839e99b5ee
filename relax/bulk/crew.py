"""Who does the shards of a run: this process, or workers of Ray."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from encoders import Encoder, EncoderError
from encoders.identity import differences, recipe
from relax.bulk.record import read_record
from relax.bulk.work import Worker
from relax.cluster import Work, check_workers, needs_ray, spread
from relax.files import WriteError
from relax.settings import Settings


@dataclass(frozen=True)
class Crew:
    """How many workers, where, and how each gets the encoder.

    Attributes:
        workers: Processes; None for one, or in a cluster for as many as it has GPUs or CPUs.
        address: Of a Ray cluster; None for none.
        load: Loads the encoder, in this process and in each worker.
    """

    workers: int | None
    address: str | None
    load: Callable[[], Encoder]

    def __post_init__(self) -> None:
        check_workers(self.workers, self.address)

    @property
    def needs_ray(self) -> bool:
        """Whether this process does not do it itself."""
        return needs_ray(self.workers, self.address)

    def work(
        self, folder: Path, settings: Settings, retry_failed: bool, shards: Sequence[int]
    ) -> Generator[int, None, None]:
        """The number of pictures of each shard, as it is done.

        Raises:
            WriteError, EncoderError: As `Worker.work` raised it in a worker.
            RuntimeError: If a worker failed otherwise.
        """
        if not shards:
            return
        make = partial(_work_of, self.load, folder, settings, retry_failed)
        for answer in spread(make, shards, self.workers, self.address):
            if "error" in answer:
                raise _raised(answer)
            yield answer["pictures"]


def here(worker: Worker, shards: Sequence[int]) -> Generator[int, None, None]:
    """As `Crew.work`, in this process: pictures one by one."""
    for number in shards:
        yield from worker.steps(number)


def _work_of(load: Callable[[], Encoder], folder: Path, settings: Settings, retry_failed: bool) -> Work:
    """The work of a worker, in its process."""
    encoder = load()
    then = read_record(folder)["encoder"]
    if different := differences(then, recipe(encoder)):
        raise EncoderError(f"encoder {then['name']!r} has another {', '.join(different)} in a worker")
    worker = Worker(folder, encoder, settings, retry_failed=retry_failed)

    def work(number: int) -> dict[str, Any]:
        try:
            return {"pictures": sum(worker.steps(number))}
        except WriteError as error:
            return {"error": "write", "text": error.strerror, "file": error.filename, "number": error.errno}
        except EncoderError as error:
            return {"error": "encoder", "text": str(error)}

    return work


def _raised(answer: dict[str, Any]) -> Exception:
    if answer["error"] == "write":
        return WriteError(answer["number"], answer["text"], answer["file"])
    return EncoderError(answer["text"])
