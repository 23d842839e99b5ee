"""A network in OpenVINO: the same weights in kernels made for this processor, where the extra [openvino] is installed.

Torch writes the maps of every layer to memory and reads them for the next; OpenVINO joins layers, and multiplies in
bfloat16 where the processor does so in hardware. The network is traced once, for batches of any number, and compiled
in a fraction of a second for each type. It is never changed. Whether the answers agree is for the caller to check.

OpenVINO would report its use to its makers wherever it finds its package for that; here it does not find it.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from encoders.libraries import quiet

LIBRARY, REPORTS = "openvino", "openvino_telemetry"
TYPES = {torch.float32: "f32", torch.bfloat16: "bf16"}  # of products, in words of OpenVINO


def available() -> bool:
    """Whether OpenVINO is installed; it is not imported."""
    return LIBRARY in sys.modules or find_spec(LIBRARY) is not None


class Converted:
    """A network in OpenVINO, for pictures of one size in batches of any number.

    Args:
        network: In eval mode, on the processor, returning one tensor.
        pixels: (B, C, h, w) that it takes, B > 1, to watch what it does with them.

    Raises:
        Exception: Whatever tracing or OpenVINO raises; an ImportError without it.
    """

    def __init__(self, network: nn.Module, pixels: Tensor) -> None:
        self.library = _library()
        self.size = tuple(pixels.shape[1:])
        with _silent(), torch.inference_mode(False), torch.no_grad():
            self.model = self.library.convert_model(network, example_input=pixels.clone())
        if len(self.model.outputs) != 1:
            raise TypeError(f"the network returns {len(self.model.outputs)} tensors")
        self.model.reshape([-1, *self.size])
        self._compiled: dict[tuple[torch.dtype, int], Any] = {}
        self._one_at_a_time = threading.Lock()

    def run(self, pixels: Tensor, dtype: torch.dtype) -> Tensor:
        """The network's answer to pixels (B, C, h, w) float32 of its size, with products in a dtype of `TYPES`."""
        request = self._request(dtype)
        given = pixels.detach().contiguous().numpy()
        with self._one_at_a_time:
            answers = request.infer({0: given}, share_inputs=True)
            return torch.from_numpy(answers[request.model_outputs[0]])  # a copy: outputs are not shared

    def _request(self, dtype: torch.dtype) -> Any:
        """What runs it with as many threads as torch has now."""
        threads = torch.get_num_threads()
        if (dtype, threads) not in self._compiled:
            options = {
                "INFERENCE_PRECISION_HINT": TYPES[dtype],
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "ENABLE_CPU_PINNING": False,  # else several processes would crowd the same cores
            }
            compiled = _core(self.library).compile_model(self.model, "CPU", options)
            self._compiled[dtype, threads] = compiled.create_infer_request()
        return self._compiled[dtype, threads]


def _library() -> Any:
    """OpenVINO, imported without its reports: a module that is None cannot be imported, and it goes on without it."""
    if LIBRARY not in sys.modules:
        sys.modules.setdefault(REPORTS, None)  # type: ignore[arg-type]
    return import_module(LIBRARY)


@cache
def _core(library: Any) -> Any:
    """The only one of the process, for as long as that lives.

    Each gives the thread that made it a stack for its signals. When two end in the order in which they began, the
    second restores that of the first, which is gone, and the next Ctrl-C kills the process (OpenVINO 2026.4).
    """
    return library.Core()


@contextmanager
def _silent() -> Iterator[None]:
    """Without the warnings of tracing, which are of numbers taken for constants: answers are compared afterwards."""
    with quiet(), warnings.catch_warnings(action="ignore"):
        yield
