"""Doors that are bad on purpose: one for each fault that the judge must see."""

import os
import signal
import time

import numpy as np

from experiments.fuzzing.doors import Door, Limits
from experiments.fuzzing.samples import Sample


def crash(path):
    if path.read_bytes() != GOOD:
        os.kill(os.getpid(), signal.SIGSEGV)
    return {}


def hang(path):
    while path.read_bytes() != GOOD:
        pass
    return {}


def sleep(path):
    if path.read_bytes() != GOOD:
        time.sleep(1000)
    return {}


def fill(path):
    if path.read_bytes() != GOOD:
        np.ones(int(1.9e9), np.uint8)
    return {}


def ask(path):
    """For more than there may be; a reader that says so has asked for it all the same."""
    if path.read_bytes() != GOOD:
        try:
            np.ones(int(8e9), np.uint8)
        except MemoryError as error:
            raise ValueError(f"{path} needs more memory than there is") from error
    return {}


def raising(make):
    def read(path):
        if path.read_bytes() != GOOD:
            raise make(path)
        return {}

    return read


def answering(**answer):
    return lambda path: {} if path.read_bytes() == GOOD else answer


def write(folder):
    (folder / "a.bin").write_bytes(GOOD)


GOOD = bytes(range(200))
LIMITS = {"values": Limits(0, 1)}

# By name: the reader, and the outcome that the judge must come to.
DOORS = {
    "right": (answering(values=[0.0, 1.0]), "right"),
    "clear": (raising(lambda path: ValueError(f"{path} is damaged: copy it again")), "clear error"),
    "crash": (crash, "crash"),
    "hang": (hang, "hang"),
    "sleep": (sleep, "hang"),
    "fill": (fill, "memory"),
    "ask": (ask, "memory"),
    "type": (raising(lambda path: KeyError(str(path))), "unclear error"),
    "lines": (raising(lambda path: ValueError(f"{path}\nis damaged")), "unclear error"),
    "control": (raising(lambda path: ValueError(f"{path} is \x1b[31mred")), "unclear error"),
    "nameless": (raising(lambda path: ValueError("is damaged")), "unclear error"),
    "long": (raising(lambda path: ValueError(f"{path} {'x' * 1000}")), "unclear error"),
    "address": (raising(lambda path: ValueError(f"{path}: <object at 0x7f5deadbeef0>")), "unclear error"),
    "nan": (answering(values=[0.5, float("nan")]), "silent"),
    "infinity": (answering(values=[0.5, float("inf")]), "silent"),
    "beyond": (answering(values=[0.5, 1.5]), "silent"),
    "empty": (answering(values=[]), "silent"),
    "text": (answering(values=["a"]), "silent"),
}
SAMPLES = tuple(
    Sample(name, "bin", "a.bin", Door(read, limits=LIMITS), write) for name, (read, _) in sorted(DOORS.items())
)
