"""Every line of Python in the README runs, and every file it links to is there."""

import re
from pathlib import Path

import skimage.data
from PIL import Image

README = Path(__file__).parent.parent / "README.md"


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    """Fewer masks than shown, so that it takes seconds."""
    Image.fromarray(skimage.data.chelsea()).save(tmp_path / "cat.png")
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "dog.png")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) == 3

    exec("\n".join(blocks).replace("masks=3000", "masks=100"), {})

    assert (tmp_path / "cat.npz").exists()
    assert (tmp_path / "cat.pdf").stat().st_size > 10_000


def test_the_links_of_the_readme_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README.read_text()) if not link.startswith("http")]
    assert len(links) >= 5

    for link in links:
        assert (README.parent / link).exists(), link
