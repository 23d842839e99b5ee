"""The arrows between the rooms go one way, and `relax` starts only on its own rooms."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {"relax", "encoders", "masking", "similarity", "experiments", "tests"}
ALLOWED = {
    "masking": {"masking"},
    "encoders": {"encoders"},
    "similarity": {"similarity"},
    "relax": {"relax", "encoders", "masking", "similarity"},
    "experiments": {"experiments", "relax", "encoders", "masking", "similarity"},
}


def imported_rooms(path):
    """Names of rooms that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports between modules are absolute"
            names = [node.module]
        found |= {name.split(".")[0] for name in names}
    return found & ROOMS


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_what_the_arrows_allow(room):
    files = sorted((ROOT / room).rglob("*.py"))
    assert files

    for path in files:
        extra = imported_rooms(path) - ALLOWED[room]
        assert not extra, f"{path.relative_to(ROOT)} imports {', '.join(sorted(extra))}"


def test_a_foreign_room_is_named_with_the_way_out(tmp_path):
    """A project with a masking.py of its own, first on the path."""
    (tmp_path / "masking.py").write_text("")
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; import relax"

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)

    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: relax-explainer needs its own package 'masking', but Python finds ")
    assert "masking.py: rename that file" in last


def test_the_method_itself_is_free_of_the_authors_package():
    for path in ROOT.rglob("*.py"):
        if ".venv" not in path.parts and "tests" not in path.parts and "experiments" not in path.parts:
            assert "relax_xai" not in path.read_text(), path


def test_every_public_name_is_there_and_torch_waits_until_it_is_needed():
    code = "import sys, relax; assert 'torch' not in sys.modules; [getattr(relax, name) for name in relax.__all__]"

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)

    assert run.returncode == 0, run.stderr


def test_an_unknown_name_lists_the_known_ones():
    import relax

    with pytest.raises(AttributeError, match=r"module 'relax' has no attribute 'explian'; it has .*explain"):
        relax.explian  # noqa: B018
