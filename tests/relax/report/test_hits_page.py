"""The page of what a search found: the query, then the hits, closest first, in a real browser."""

from dataclasses import replace

import pytest

from relax.report.hits import hits_report
from tests.relax.archive.test_hits import SHADES, hits  # noqa: F401


def test_the_cards_come_closest_first_and_arrows_go_through_the_open_picture(hits, visit):  # noqa: F811
    page = visit(hits_report(hits))
    cards = page.locator(".sheet li")

    assert cards.all_inner_texts() == [
        "query: query.png",
        "a.png\n1 · 0.900",
        "sub/b.png\n2 · 0.800",
        "gone.png\n3 · 0.400",
    ]
    assert page.is_hidden(".viewer")  # nothing is explained: the pictures come first
    page.keyboard.press("ArrowRight")
    assert page.get_attribute(".viewer", "data-shown") == "1"  # what is not seen does not move

    cards.nth(1).click()
    page.wait_for_selector("#lightbox[open]")
    page.wait_for_selector(".viewer[data-shown='2']")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".viewer[data-shown='3']")

    assert page.inner_text("#notes") == "rank\n2\ncosine similarity\n0.800"
    assert page.is_hidden("#unexplained")
    shade = page.evaluate("document.getElementById('canvas').getContext('2d').getImageData(100, 100, 1, 1).data[0]")
    assert abs(shade - SHADES[1]) <= 3  # WebP
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    assert [fault["help"] for fault in axe.Axe().run(page).response["violations"]] == []


def test_the_page_holds_no_folder_of_the_query(hits, tmp_path):  # noqa: F811
    content = replace(hits, query="clinic/query.png").save(tmp_path / "s.html").read_text()

    assert "Closest to query.png" in content
    assert "clinic" not in content
    assert str(tmp_path) not in content
    assert "What the maps mean" not in content  # there is none
