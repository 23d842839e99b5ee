"""A site is whole if every address on its pages leads somewhere and a browser fetches nothing from elsewhere."""

import pytest

from docs.site.links import faults


@pytest.fixture
def site(tmp_path):
    """Two pages, a picture and a style sheet that hold together."""
    (tmp_path / "guide").mkdir()
    (tmp_path / "cat.png").write_bytes(b"a cat")
    (tmp_path / "style.css").write_text("body { background: url(cat.png) }")
    (tmp_path / "guide" / "index.html").write_text('<h2 id="two">Two</h2><a href="..">home</a>')
    write(tmp_path, "")
    return tmp_path


def write(site, more):
    whole = (
        '<link rel="stylesheet" href="style.css"><img src="cat.png"><a href="guide/#two">two</a><a href="#top">up</a>'
    )
    (site / "index.html").write_text(f'<body id="top">{whole}{more}')


def test_a_whole_site_has_no_faults(site):
    write(
        site, '<a href="https://doi.org/1">elsewhere</a><a href="/guide/">guide</a><img src="data:image/png;base64,">'
    )

    assert faults(site) == []


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ('<a href="gone/">gone</a>', "index.html refers to gone/, which is not there"),
        ('<img src="dog.png">', "index.html refers to dog.png, which is not there"),
        ('<a href="guide/#three">three</a>', "index.html refers to guide/#three, a place that is not on that page"),
        ('<a href="#nowhere">x</a>', "index.html refers to #nowhere, a place that is not on that page"),
        ('<script src="https://cdn.example/x.js"></script>', "index.html loads https://cdn.example/x.js"),
        ('<link rel="stylesheet" href="//fonts.example/x">', "index.html loads //fonts.example/x"),
        ('<img src="https://example.org/badge.svg">', "index.html loads https://example.org/badge.svg"),
    ],
)
def test_a_fault_is_named_with_its_page(site, more, fault):
    write(site, more)

    assert faults(site) == [fault]


@pytest.mark.parametrize(
    "rule", ['@import "https://fonts.example/x.css";', "a { background: url('https://x.example/a.png') }"]
)
def test_a_style_sheet_that_fetches_is_named(site, rule):
    (site / "style.css").write_text(rule)

    assert faults(site) == ["style.css loads something from elsewhere"]
