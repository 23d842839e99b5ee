"""`relax pair --links`: two files and a page; what is not for links is refused in one line."""

import pytest
import skimage.data
from PIL import Image

from relax.cli.app import run
from relax.links.explanation import LinksExplanation


@pytest.fixture(autouse=True)
def pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(skimage.data.chelsea()[::4, ::4]).save("cat.png")
    Image.fromarray(skimage.data.coffee()[::6, ::6]).save("cup.png")


LINKS = ["pair", "cat.png", "cup.png", "--links", "--cells", "3", "--masks", "512", "--out", "out"]


def test_links_are_written_with_their_figure_and_page(tmp_path, capsys):
    assert run([*LINKS, "--report", "page.html"]) == 0

    out = capsys.readouterr().out
    assert out.startswith("cosine of the whole: ")
    assert "written: out/cat-cup-links.npz, cat-cup-links.png, ./page.html" in out
    explained = LinksExplanation.load(tmp_path / "out" / "cat-cup-links.npz")
    assert explained.links.shape == (3, 3, 3, 3)
    assert explained.provenance["cost"]["passes"] == 1024
    assert 'id="links-data"' in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([*LINKS, "--regions", "superpixels"], "--regions is not for --links, which hides the cells of one grid"),
        ([*LINKS, "--preset", "paper"], "--preset is not for --links"),
        ([*LINKS[:3], "--text-encoder", "minilm"], "--text-encoder is for --links"),
        (["pair", "cat.png", "text:a cat", "--links", "--masks", "512"], "has no text tower"),
        (["pair", "cat.png", "nowhere.png", "--links"], "nowhere.png"),
        ([*LINKS, "--masks", "100"], "masks must be 512 or more here"),
    ],
)
def test_wrong_usage_is_one_line(options, message, capsys):
    assert run(options) in (1, 2)

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
