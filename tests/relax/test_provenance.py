"""The record names what could change the numbers: every package always, an extra once it runs the encoder."""

import json
import subprocess
import sys
from importlib.metadata import version

import pytest
import torch

from relax import provenance

CPU = torch.device("cpu")


@pytest.fixture
def asked_anew():
    """The commit is asked for again."""
    provenance.commit.cache_clear()
    yield
    provenance.commit.cache_clear()


def test_versions_are_those_of_the_installed_packages():
    assert provenance.versions().items() >= {name: version(name) for name in ("torch", "timm", "numpy")}.items()


def test_an_extra_is_named_once_it_is_loaded(monkeypatch):
    pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")
    assert provenance.versions()["onnxruntime"] == version("onnxruntime")

    monkeypatch.delitem(sys.modules, "onnxruntime")

    assert "onnxruntime" not in provenance.versions()


def test_it_holds_the_threads_and_the_command_that_asked_for_it_which_is_worked_out_once():
    asked = []
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with provenance.asked_by(lambda: asked.append(1) or "relax explain cat.png"):
        first, second = provenance.surroundings(CPU, 1.0), provenance.surroundings(CPU, 2.0)
    torch.set_num_threads(before)

    assert (first["command"], second["command"], len(asked)) == (*["relax explain cat.png"] * 2, 1)
    assert first["threads"] == 2
    assert "command" not in provenance.surroundings(CPU, 3.0)


def test_the_commit_is_that_of_the_checkout_and_says_whether_files_changed(tmp_path, monkeypatch, asked_anew):
    def git(*arguments):
        command = ["git", "-C", tmp_path, "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    (tmp_path / "code.py").write_text("1")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path)

    assert provenance.surroundings(CPU, 1.0)["commit"] == git("rev-parse", "HEAD")

    (tmp_path / "code.py").write_text("2")
    provenance.commit.cache_clear()
    assert provenance.commit() == git("rev-parse", "HEAD") + "-dirty"


@pytest.mark.parametrize(
    ("origin", "expected"), [({"vcs_info": {"commit_id": "abc"}}, "abc"), ({"dir_info": {}}, None)]
)
def test_of_an_installation_it_is_the_commit_that_pip_took(tmp_path, monkeypatch, asked_anew, origin, expected):
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path)
    info = tmp_path / "relax_explainer-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: relax-explainer\nVersion: 9.9\n")
    (info / "direct_url.json").write_text(json.dumps({"url": "https://example.org", **origin}))
    monkeypatch.syspath_prepend(tmp_path)

    assert provenance.surroundings(CPU, 1.0).get("commit") == expected
