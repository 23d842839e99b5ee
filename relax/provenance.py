"""Where and with what a result was made."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

PACKAGES = ("relax-explainer", "torch", "torchvision", "timm", "numpy")


def surroundings(device: torch.device, seconds: float) -> dict[str, Any]:
    """Device, precision, time and versions, as JSON types."""
    return {
        "device": device_name(device),
        "dtype": "float32",
        "seconds": round(seconds, 3),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": dict(versions()),
    }


def device_name(device: torch.device) -> str:
    """The device, with the name of its GPU."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """Versions of Python and of the packages that decide over the numbers."""
    found = [("python", platform.python_version())]
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            found.append((name, "not installed as a package"))
    return tuple(found)
