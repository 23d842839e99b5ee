"""What became of a case: "right" or "clear error", and whatever else there is, which are faults."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.fuzzing.doors import Answer, Door, Limits

RIGHT, CLEAR, CRASH, HANG, MEMORY, UNCLEAR, SILENT = OUTCOMES = (
    "right", "clear error", "crash", "hang", "memory", "unclear error", "silent",
)  # fmt: skip
GOOD = (RIGHT, CLEAR)

LONGEST = 600  # characters of a message
LARGEST = 10**8  # numbers in an answer; the samples have a few hundred
GROWTH = 1800  # MiB that a case may take; the package promises about 1.6 GB
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")
_NO_MEMORY = re.compile(r"can't allocate|cannot allocate|bad_alloc|out of memory", re.IGNORECASE)


@dataclass(frozen=True)
class Verdict:
    """An outcome, and what led to it in a few words."""

    outcome: str
    detail: str


def judge_answer(door: Door, answer: Answer, warned: Sequence[str]) -> Verdict:
    """Right, if all numbers are plausible, or a warning told of them."""
    for name, values in answer.items():
        if problem := _problem(values, door.limits.get(name, Limits())):
            if warned:
                return Verdict(RIGHT, f"warned: {warned[0]}"[:LONGEST])
            return Verdict(SILENT, f"{name} {problem}")
    return Verdict(RIGHT, "")


def judge_error(door: Door, path: Path, error: BaseException) -> Verdict:
    """Clear, if it is a documented one whose message is one short printable line that names the file."""
    text = str(error)
    if any(isinstance(cause, MemoryError) or _NO_MEMORY.search(str(cause)) for cause in _chain(error)):
        return Verdict(MEMORY, _shown(error))
    if not isinstance(error, door.errors):
        return Verdict(UNCLEAR, f"{type(error).__name__} is not documented: {_shown(error)}")
    problems = {
        "is more than one line": len(text.splitlines()) != 1,
        "has control characters": not text.isprintable(),
        "is too long": len(text) > LONGEST,
        "has an address in memory": _ADDRESS.search(text),
        "does not name the file": path.name not in text and door.named(path) not in text,
    }
    for problem, holds in problems.items():
        if holds:
            return Verdict(UNCLEAR, f"the message {problem}: {_shown(error)}")
    return Verdict(CLEAR, text)


def judge_use(verdict: Verdict, seconds: float, growth: float, limit: float) -> Verdict:
    """The verdict, unless the case took too long or too much memory.

    Args:
        verdict: On the answer or error.
        seconds: Of processor time.
        growth: Of the memory in use, in MiB.
        limit: Seconds that a case may take.
    """
    if growth > GROWTH:
        return Verdict(MEMORY, f"{growth:.0f} MiB, then {verdict.outcome}")
    if seconds > limit:
        return Verdict(HANG, f"{seconds:.0f} s, then {verdict.outcome}")
    return verdict


def _problem(values: Any, limits: Limits) -> str:
    numbers = np.asarray(values)
    if not 0 < numbers.size <= LARGEST or numbers.dtype.kind not in "fiub":
        return f"is {numbers.dtype} {numbers.shape}"
    numbers = numbers.astype(np.float64)
    if np.isnan(numbers).any() and not limits.nan:
        return "holds NaN"
    if np.isinf(numbers).any():
        return "holds infinity"
    known = numbers[~np.isnan(numbers)]
    if known.size and not limits.low <= known.min() <= known.max() <= limits.high:
        return f"is from {known.min():.6g} to {known.max():.6g}, outside of {limits.low:g} to {limits.high:g}"
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _shown(error: BaseException) -> str:
    return ascii(str(error)[:LONGEST])[1:-1]
