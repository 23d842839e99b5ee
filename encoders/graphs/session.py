"""ONNX files on disk, and ONNX Runtime to run them: on the processor, or on a GPU where it can.

Nothing but the operators of ONNX Runtime itself is ever loaded: a graph with others is refused.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import torch

from encoders.errors import EncoderError, EncoderWarning, one_line
from encoders.graphs.signature import Port
from encoders.libraries import of_extra
from encoders.places import no_graph

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
QUIET = 4  # ONNX Runtime's log: only what is fatal, since errors are raised

# Where the tensors of a graph lie in files of their own, protobuf writes the name of each file behind this key, with
# its length before it in seven bits a byte. What looks alike and names no file is passed over.
_LOCATION = re.compile(rb"\n\x08location\x12([\x80-\xff]?[\x00-\x7f])", re.DOTALL)

# Codes and source lines in its messages.
_ITS_OWN = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : |/onnxruntime_src/.*?\) (?=[A-Z])|\w+\.cc:\d+ \w+ ")

Provider = str | tuple[str, dict[str, int]]


@dataclass(frozen=True)
class GraphFile:
    """An ONNX file as it was read.

    Attributes:
        path: Where it lies.
        checksum: SHA-256 of its bytes, and after them of those of its external data files, sorted by name.
        scales_by_batch: Whether it rounds activations by the largest of the whole batch, so that the embedding of a
            picture depends on those beside it.
    """

    path: Path
    checksum: str
    scales_by_batch: bool

    @classmethod
    def read(cls, path: Path, name: str) -> GraphFile:
        """Read a file whole; `name` is the encoder's, for messages.

        Raises:
            EncoderError: If it is not there, empty, or cannot be read.
        """
        try:
            with path.open("rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as content:
                digest = hashlib.sha256(content)
                dynamic = content.find(b"DynamicQuantizeLinear") >= 0
                beside = sorted(path.parent / location for location in _locations(content))
            for data in filter(Path.is_file, beside):
                with data.open("rb") as stream:
                    hashlib.file_digest(stream, lambda: digest)
        except (OSError, ValueError) as error:  # ValueError: an empty file
            raise no_graph(name, error) from error
        return cls(path, digest.hexdigest(), dynamic)


def open_session(path: Path, device: torch.device, name: str) -> Any:
    """An `onnxruntime.InferenceSession` for a device, with as many threads as torch has now.

    Raises:
        ImportError: If ONNX Runtime is not installed.
        EncoderError: If the file is no graph that it can run.
    """
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = QUIET
    try:
        session = runtime.InferenceSession(str(path), options, providers=providers_of(device))
    except Exception as error:  # each of its errors has a type of its own, below Exception
        raise EncoderError(
            f"encoder {name!r} must be an ONNX file that ONNX Runtime {runtime.__version__} can run ({reason(error)}): "
            "check the file and any data files beside it, export it again with a lower opset, or update onnxruntime"
        ) from error
    if device.type == "cuda" and CUDA not in session.get_providers():
        warnings.warn(
            f"encoder {name!r} runs on the processor, since ONNX Runtime has no CUDA here: install onnxruntime-gpu "
            "instead of onnxruntime, with the CUDA that it needs",
            EncoderWarning,
            stacklevel=2,
        )
    return session


def providers(device: torch.device, available: Sequence[str]) -> list[Provider]:
    """What ONNX Runtime shall run on, best first: the GPU of `device` where it can, and always the processor.

    On a GPU without TF32, which would round inputs to 10 bits; `encoders.fast` leaves it out for torch too.
    """
    if device.type == "cuda" and CUDA in available:
        return [(CUDA, {"device_id": device.index or 0, "use_tf32": 0}), CPU]
    return [CPU]


def providers_of(device: torch.device) -> list[Provider]:
    """`providers` of the ONNX Runtime that is installed; an ImportError where none is."""
    return providers(device, _runtime().get_available_providers())


def ports(nodes: Sequence[Any]) -> list[Port]:
    """Inputs or outputs of a session."""
    return [Port(node.name, node.type, tuple(map(_axis, node.shape or ()))) for node in nodes]


def reason(error: Exception) -> str:
    """What ONNX Runtime says, without the places in its own source."""
    text = " ".join(str(error).split()).rpartition(" failed:")[2]
    return one_line(ValueError(_ITS_OWN.sub("", text)), 300)


def _runtime() -> Any:
    return of_extra("onnxruntime", "ONNX graphs need ONNX Runtime", "onnx")


def _axis(axis: object) -> int | None:
    return axis if isinstance(axis, int) and axis > 0 else None


def _locations(content: mmap) -> set[str]:
    """Names of the files that hold tensors of a graph."""
    names = set()
    for match in _LOCATION.finditer(content):
        low, *high = match[1]
        length = low & 0x7F | sum(byte << 7 for byte in high)
        names.add(content[match.end() : match.end() + length].decode(errors="replace"))
    return names
