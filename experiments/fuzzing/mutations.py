"""Damage to bytes of any format: what a disk, a transfer or an attacker does. Structures are in `structures.py`.

A mutation is a function from bytes and a generator to bytes; the generator is its only source of randomness.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import numpy as np

Rng: TypeAlias = np.random.Generator
Mutation: TypeAlias = Callable[[bytes, Rng], bytes]
T = TypeVar("T")

EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 10**6, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1)
"""Numbers at which lengths and counts overflow, or ask for all memory."""
FLOATS = (0.0, -1.0, float("nan"), float("inf"), float("-inf"), 1e-38, 3e38, 1e9)
HEAD = 256  # bytes in which most formats keep their header


def pick(rng: Rng, choices: list[T] | tuple[T, ...]) -> T:
    """One of the choices."""
    return choices[int(rng.integers(len(choices)))]


def place(rng: Rng, size: int) -> int:
    """A position in `size` bytes; half of the time among the first, where headers are."""
    return int(rng.integers(max(1, min(size, HEAD) if rng.random() < 0.5 else size)))


def stretch(rng: Rng, size: int) -> slice:
    """A stretch of 1 to 64 bytes, or of up to a quarter of the whole."""
    start = place(rng, size)
    longest = 64 if rng.random() < 0.7 else max(64, size // 4)
    return slice(start, min(size, start + 1 + int(rng.integers(longest))))


def flipped_bits(data: bytes, rng: Rng) -> bytes:
    """One to eight bits flipped."""
    changed = bytearray(data)
    for _ in range(1 + int(rng.integers(8)) if data else 0):
        changed[place(rng, len(data))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def random_bytes(data: bytes, rng: Rng) -> bytes:
    """A stretch overwritten with noise."""
    part = stretch(rng, len(data))
    return data[: part.start] + rng.bytes(part.stop - part.start) + data[part.stop :]


def zeros(data: bytes, rng: Rng) -> bytes:
    """A stretch overwritten with zeros, as a sparse file has them."""
    part = stretch(rng, len(data))
    return data[: part.start] + bytes(part.stop - part.start) + data[part.stop :]


def truncated(data: bytes, rng: Rng) -> bytes:
    """Cut off, at any place; also at none left."""
    return data[: place(rng, len(data))]


def removed(data: bytes, rng: Rng) -> bytes:
    """A stretch left out."""
    part = stretch(rng, len(data))
    return data[: part.start] + data[part.stop :]


def duplicated(data: bytes, rng: Rng) -> bytes:
    """A stretch written twice."""
    part = stretch(rng, len(data))
    return data[: part.stop] + data[part] + data[part.stop :]


def spliced(data: bytes, rng: Rng) -> bytes:
    """A stretch from elsewhere in the file, written over another."""
    part, start = stretch(rng, len(data)), place(rng, len(data))
    return data[:start] + data[part] + data[start + part.stop - part.start :]


def appended(data: bytes, rng: Rng) -> bytes:
    """Something behind the end: noise, zeros or the file once more."""
    return data + pick(rng, (rng.bytes(100), bytes(1000), data))


def extreme_number(data: bytes, rng: Rng) -> bytes:
    """A number of 1, 2, 4 or 8 bytes at an extreme, in either byte order, as a length field may be."""
    size = pick(rng, (1, 2, 4, 8))
    value = pick(rng, EXTREMES) & (256**size - 1)
    start = place(rng, len(data)) // size * size
    return data[:start] + value.to_bytes(size, pick(rng, ("little", "big"))) + data[start + size :]


def extreme_float(data: bytes, rng: Rng) -> bytes:
    """A float of 4 bytes that is no number, infinite, tiny or huge."""
    start = place(rng, len(data)) // 4 * 4
    return data[:start] + struct.pack(pick(rng, ("<f", ">f")), pick(rng, FLOATS)) + data[start + 4 :]


def twice(data: bytes, rng: Rng) -> bytes:
    """Two of the others, one after the other."""
    return pick(rng, ANY[:-1])(pick(rng, ANY[:-1])(data, rng), rng)


ANY: tuple[Mutation, ...] = (
    flipped_bits,
    random_bytes,
    zeros,
    truncated,
    removed,
    duplicated,
    spliced,
    appended,
    extreme_number,
    extreme_float,
    twice,
)
"""For every format."""
