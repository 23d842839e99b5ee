"""What the benchmarks of many pictures share: pictures in a tar, encoders, and whether two runs left the same."""

from __future__ import annotations

import io
import random
import tarfile
import time
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import relax
from encoders import Encoder
from relax.bulk.store import load_maps

FAST = {"masks": 16, "cells": 3, "device": "cpu"}
SIDE = 16  # px of a picture


def means(batch: torch.Tensor) -> torch.Tensor:
    """(N, 6) an encoder that takes no time: mean and largest colours."""
    return torch.cat([batch.mean((2, 3)), batch.amax((2, 3))], 1)


def slow_means(batch: torch.Tensor) -> torch.Tensor:
    """The same, a tenth of a second later, without work for the processor."""
    time.sleep(0.1)
    return means(batch)


@cache
def _bundled() -> Encoder:
    return relax.load_encoder("default", device="cpu")


def slow_bundled(batch: torch.Tensor) -> torch.Tensor:
    """The bundled encoder, a fifth of a second later for each picture."""
    time.sleep(len(batch) / 5)
    return _bundled()(batch)


def pictures(tar: Path, count: int, side: int = SIDE) -> Path:
    """A tar of random pictures."""
    rng = np.random.default_rng(0)
    with tarfile.open(tar, "w") as archive:
        for number in range(count):
            stream = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(stream, "PNG")
            member = tarfile.TarInfo(f"{number // 1000:03d}/{number:06d}.png")
            member.size = stream.tell()
            stream.seek(0)
            archive.addfile(member, stream)
    return tar


def files(out: Path) -> dict[str, str]:
    """Checksum by name of every file of maps."""
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in sorted((out / "shards").rglob("*.parquet"))}


def compared(out: Path, undisturbed: Path, count: int) -> dict[str, int]:
    """How many pictures are lost, doubled and other than in the run that nobody disturbed."""
    names = load_maps(out).names
    return {
        "lost": count - len(set(names)),
        "doubled": len(names) - len(set(names)),
        "other_files": len(files(out).items() ^ files(undisturbed).items()),
    }


def damage(out: Path, rng: random.Random) -> bool:
    """Change a byte in the middle of a file that is done; whether there was one."""
    done = sorted((out / "shards").rglob("*.parquet"))
    if not done:
        return False
    path = rng.choice(done)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return True


def summary_of(ratios: np.ndarray) -> dict[str, float]:
    """Median and range over the runs."""
    return {
        "median": round(float(np.median(ratios)), 2),
        "least": round(float(ratios.min()), 2),
        "most": round(float(ratios.max()), 2),
    }
