"""A page of the site is its page in the repository, with includes and tables put in and links to the same files."""

import inspect
import re

import pytest

import relax
from docs.site.pages import PageError, filled, gather, place
from docs.site.tables import SETTINGS, TABLES
from relax.baselines import METHODS
from relax.metrics import METRICS
from relax.plotting.tables import FORMATS, KINDS
from relax.plotting.themes import THEMES
from relax.settings import DEFAULTS
from tests.paths import ROOT


@pytest.fixture
def repository(tmp_path):
    """A README with two sections and a picture, and a page that includes from it."""
    (tmp_path / "docs" / "images").mkdir(parents=True)
    (tmp_path / "docs" / "images" / "cat.png").write_bytes(b"a cat")
    (tmp_path / "LICENSE").write_text("MIT")
    (tmp_path / "README.md").write_text(
        "# Title\n\n![cat](docs/images/cat.png) Intro.\n\n"
        "## Start\n\nSee [guide](docs/guide.md#two) and [web](https://example.org/a.md).\n\n## End\n\nDone.\n"
    )
    (tmp_path / "docs" / "guide.md").write_text("# Guide\n\n[home](../README.md) [licence](../LICENSE)\n")
    return tmp_path


def page(repository, text):
    (repository / "docs" / "page.md").write_text(text)
    return filled("docs/page.md", repository)


def test_a_section_is_included_without_its_heading_and_with_its_links_moved(repository):
    text = page(repository, "# Page\n\n<!-- include README.md#Start -->\n")

    assert text == "# Page\n\nSee [guide](guide.md#two) and [web](https://example.org/a.md).\n"


def test_the_opening_of_a_file_is_what_stands_before_its_first_section(repository):
    assert page(repository, "<!-- include README.md -->") == "![cat](images/cat.png) Intro."


def test_links_lead_to_the_same_file_at_its_place_on_the_site(repository):
    assert filled("docs/guide.md", repository) == "# Guide\n\n[home](index.md) [licence](LICENSE)\n"
    assert place("encoders/MODEL_CARD.md") == "encoders/MODEL_CARD.md"
    assert place("docs/results.md") == "results.md"


def test_code_is_left_alone(repository):
    code = "```python\nx = [a](nowhere.md)\n```\n"

    assert page(repository, code) == code


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[gone](../GONE.md)", "docs/page.md links to ../GONE.md, which is no file"),
        ("[folder](images)", "docs/page.md links to images, which is no file"),
        ("<!-- include README.md#Middle -->", "README.md has no section 'Middle'; it has Start, End"),
        ("<!-- table nonsense -->", "there is no table 'nonsense'; there are methods"),
        ("<!-- setting nonsense -->", "there is no setting 'nonsense'; there are preset, method"),
    ],
)
def test_what_is_not_there_is_named(repository, text, reason):
    with pytest.raises(PageError, match=r"^docs/page\.md") as error:
        page(repository, text)

    assert reason in str(error.value)


def test_files_that_pages_link_to_come_along(tmp_path):
    gather(tmp_path)

    for source in ("encoders/default.json", "docs/images/sscd-cat.png", "experiments/results/coverage.json"):
        assert (tmp_path / place(source)).read_bytes() == (ROOT / source).read_bytes()
    assert not (tmp_path / "experiments" / "results" / "README.md").exists()


def test_every_setting_has_a_section_of_its_own():
    text = (ROOT / "docs" / "settings.md").read_text()

    assert set(SETTINGS) == set(DEFAULTS)
    for name in DEFAULTS:
        assert text.count(f"### {name}\n\n<!-- setting {name} -->\n\n") == 1, f"docs/settings.md: a section on {name}"


def test_a_setting_shows_its_default_its_option_and_its_words():
    assert SETTINGS["cells"]() == "Default `7` · option `--cells`"
    assert SETTINGS["masks"]().startswith("Default `None`, which is 3000; with --tolerance")
    assert SETTINGS["precision"]().startswith("Default `None` · option `--precision`, there `exact`\n\n| value | what")
    assert "| `superpixels` | segments of the image (SLIC) |" in SETTINGS["regions"]()


def test_the_table_of_methods_has_them_all_with_cost_and_limit():
    lines = TABLES["methods"]().splitlines()

    assert len(lines) == 2 + len(METHODS)
    (lafam,) = [line for line in lines if line.startswith("| `lafam`")]
    assert "| the network, not a question | layers | 2<br>1 to find the layer + 1 |" in lafam
    assert METHODS["lafam"].silent in lafam
    (scorecam,) = [line for line in lines if line.startswith("| `scorecam`")]
    assert "| the network decides<br>" in scorecam


def test_the_table_of_metrics_has_them_all():
    assert len(TABLES["metrics"]().splitlines()) == 2 + len(METRICS)


def test_the_page_on_figures_shows_every_keyword_and_format():
    text = (ROOT / "docs" / "figures.md").read_text()

    for name in inspect.signature(relax.figure).parameters.keys() - {"explanation"}:
        assert re.search(rf"## .*\b{name}\b|`{name}[=`]", text), f"docs/figures.md says nothing of {name}"
    for name in (*KINDS, *(f".{format}" for format in FORMATS), *THEMES.keys() - {"light"}):
        assert f"`{name}`" in text or f'"{name}"' in text, f"docs/figures.md says nothing of {name}"
