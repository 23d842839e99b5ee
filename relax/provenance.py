"""The environment in which a result was computed."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

PACKAGES = ("relax-explainer", "torch", "torchvision", "timm", "numpy")


def surroundings(device: torch.device, seconds: float) -> dict[str, Any]:
    """Device, precision, duration, date and versions, as JSON types."""
    return {
        "device": device_name(device),
        "dtype": "float32",
        "seconds": round(seconds, 3),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": dict(versions()),
    }


def device_name(device: torch.device) -> str:
    """The type of the device, with the name of the GPU if it is one."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """Name and version of Python and of the packages that affect the numbers."""
    pairs = [("python", platform.python_version())]
    for name in PACKAGES:
        try:
            pairs.append((name, version(name)))
        except PackageNotFoundError:
            pairs.append((name, "not installed as a package"))
    return tuple(pairs)
