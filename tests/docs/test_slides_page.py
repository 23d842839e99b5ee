"""The page on whole slides: its commands and its Python run on a synthetic slide, in their order."""

import re
import shlex

import numpy as np
import pytest

from experiments.data.slides import blobs, write_slide
from relax.cli.app import run
from tests.paths import ROOT

pytest.importorskip("openslide")

PAGE = (ROOT / "docs" / "slides.md").read_text()


def commands():
    """Every command of the page, without its comment."""
    for block in re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL):
        yield from (shlex.split(line.split(" #")[0])[1:] for line in block.splitlines() if line)


def test_what_the_page_shows_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, seed in (("biopsy.svs", 0), ("tumour.svs", 1), ("normal.svs", 2)):
        write_slide(tmp_path / name, blobs(5, 5, seed=seed, share=0.7))
    small = ["--tile-mpp", "1", "--quiet"]
    for name in ("tumour", "normal", "biopsy"):
        assert run(["slide", "embed", f"{name}.svs", "--out", f"{name}.h5", *small]) == 0, capsys.readouterr().err
    (tmp_path / "of-trident.h5").write_bytes((tmp_path / "biopsy.h5").read_bytes())
    np.save("prototype.npy", np.linspace(-1, 1, 256))
    monkeypatch.setattr("relax.cli.slide_outputs.FIGURE_PIXELS", 200)
    monkeypatch.setattr("relax.cli.slide_outputs.TILE_MASKS", 16)

    shown = [*commands()]
    assert len(shown) == 7
    for number, command in enumerate(shown):
        if command[1] == "embed":
            (tmp_path / "biopsy.h5").unlink()
        more = {"explain": ["--masks", "64", "--out", f"out{number}"], "embed": small}.get(command[1], [])
        assert run([*command, *more]) == 0, capsys.readouterr().err
    assert (tmp_path / "alike.html").is_file()

    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 2
    code = "\n".join(blocks).replace('"biopsy.h5")', '"python.h5", tile_mpp=1)')
    exec(code, names := {})
    assert len(names["found"].top(10)) == min(10, len(names["tiles"]))
