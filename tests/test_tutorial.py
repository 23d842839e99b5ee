"""Every command and line of Python in the tutorial runs, in order, on a dozen crops; what it names is there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from relax.cli.app import run

TUTORIAL = Path(__file__).parent.parent / "docs" / "tutorial.md"


@pytest.fixture(scope="module")
def blocks():
    return re.findall(r"```(bash|python)\n(.*?)```", TUTORIAL.read_text(), flags=re.DOTALL)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Crops of a cat and of a cup as photos; the same crops in a folder each; a table."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    lines = ["path,thing"]
    for name, picture in (("cat", skimage.data.chelsea()), ("cup", skimage.data.coffee())):
        (tmp_path / f"{name}s").mkdir()
        for number in range(1, 8):
            row, column = (rng.integers(0, side - 200) for side in picture.shape[:2])
            crop = Image.fromarray(picture[row : row + 200, column : column + 200])
            (tmp_path / "photos").mkdir(exist_ok=True)
            crop.save(f"photos/{name}-{number}.png")
            crop.save(f"{name}s/{number}.png")
            lines.append(f"{name}-{number}.png,{name}")
    (tmp_path / "photos.csv").write_text("\n".join(lines) + "\n")
    Image.fromarray(skimage.data.chelsea()).save("cat.png")
    return tmp_path


def test_the_tutorial_runs(blocks, here, capsys):
    """With fewer masks than shown, so that it takes seconds."""
    kinds = [kind for kind, _ in blocks]
    assert kinds.count("bash") >= 6
    assert kinds.count("python") == 1

    for kind, text in blocks:
        text = re.sub(r"masks(=| )\d+", r"masks\g<1>32", text)
        if kind == "python":
            exec(text, {})
            continue
        for line in text.strip().splitlines():
            words = shlex.split(line)
            assert words[0] == "relax"
            assert run(words[1:]) == 0, line

    for name in ("maps/cat.png", "maps/cat.npz", "maps/cat.json", "maps.html", "centre.png", "contrast/cat-1.png"):
        assert (here / name).stat().st_size > 1000, name
    page = TUTORIAL.read_text()
    for folder in ("photos-archive", "photos-audit"):
        for file in (here / folder).iterdir():
            if file.is_file() and not file.name.startswith("."):
                assert file.name in page, f"the tutorial does not say what {folder}/{file.name} is"
    named = set(re.findall(r"`([a-z]+\.(?:csv|parquet|json|faiss|npy|html))`", page)) - {
        "photos.csv",
        "groups.csv",
    }  # of pictures in folders
    written = {file.name for folder in ("photos-archive", "photos-audit") for file in (here / folder).iterdir()}
    assert named <= written


def test_the_links_and_pictures_of_the_tutorial_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TUTORIAL.read_text()) if not link.startswith("http")]
    assert links

    for link in links:
        assert (TUTORIAL.parent / link).exists(), link
