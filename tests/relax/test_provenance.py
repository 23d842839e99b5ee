"""The record names what could change the numbers: every package always, an extra once it runs the encoder."""

import sys
from importlib.metadata import version

import pytest

from relax import provenance


def test_versions_are_those_of_the_installed_packages():
    assert provenance.versions().items() >= {name: version(name) for name in ("torch", "timm", "numpy")}.items()


def test_an_extra_is_named_once_it_is_loaded(monkeypatch):
    pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")
    assert provenance.versions()["onnxruntime"] == version("onnxruntime")

    monkeypatch.delitem(sys.modules, "onnxruntime")

    assert "onnxruntime" not in provenance.versions()
