"""The site builds, without a warning and without the network, and every page of it is whole."""

import re

import pytest

pytest.importorskip("zensical", reason="the builder of the site is not installed: group docs")

from docs.site.build import SiteError, build
from docs.site.links import faults
from docs.site.pages import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The whole site, as `make site` builds it: three seconds of a processor."""
    return build(tmp_path_factory.mktemp("site"))


def test_every_page_of_the_docs_folder_is_built_and_in_the_navigation(site):
    navigation = (ROOT / "docs" / "site" / "zensical.toml").read_text()

    for path in (ROOT / "docs").glob("*.md"):
        page = site / "index.html" if path.stem == "index" else site / path.stem / "index.html"
        assert page.stat().st_size > 5000, path
        assert f'"{path.name}"' in navigation, f"{path.name} is not in docs/site/zensical.toml"


def test_no_page_refers_to_what_is_missing_or_fetches_anything(site):
    assert len(list(site.rglob("*.html"))) > 15
    assert faults(site) == []


def test_no_comment_is_left_to_be_replaced(site):
    for path in site.rglob("index.html"):
        assert not re.search(r"<!-- (include|table|setting) ", path.read_text()), path


def test_tables_and_words_of_the_code_are_on_the_pages(site):
    methods, settings = ((site / name / "index.html").read_text() for name in ("methods", "settings"))

    assert "attention-rollout" in methods
    assert "a randomised orthogonal array of strength 3" in settings
    assert "How far the importance could be" not in settings


def test_a_link_that_leads_nowhere_stops_the_build(tmp_path, monkeypatch):
    """The builder knows the anchors of its own pages, and warns; a warning is an error."""
    monkeypatch.setattr("docs.site.build.gather", lambda pages: write_broken(pages))

    with pytest.raises(SiteError, match="anchor"):
        build(tmp_path)


def write_broken(pages):
    """Every page of the navigation, nearly empty; the home page with a link to an anchor that is not there."""
    for name in re.findall(r'"([\w./-]+\.md)"', (ROOT / "docs" / "site" / "zensical.toml").read_text()):
        (pages / name).parent.mkdir(parents=True, exist_ok=True)
        (pages / name).write_text("# Page\n")
    (pages / "index.md").write_text("# Home\n\n[gone](methods.md#gone)\n")
