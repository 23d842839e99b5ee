"""An explanation below a cell: the viewer in a frame, and the figure where no script runs."""

import html
import re

import numpy as np
import pytest

from relax.report.notebook import notebook_html
from tests.relax.report.test_report import HOSTILE, explanation


@pytest.fixture
def cells(pages, tmp_path):
    """Open a page that holds outputs, as a notebook does."""

    def open_page(*outputs, **options):
        path = tmp_path / "notebook.html"
        path.write_text(f"<!DOCTYPE html><meta charset=utf-8><style>p {{ color: red }}</style>{''.join(outputs)}")
        return pages.open(path.as_uri(), offline=True, viewport={"width": 900, "height": 1400}, **options)

    yield open_page
    pages.close()
    assert pages.noises == []
    assert pages.asked_beside("data:", "blob:", "about:") == {(tmp_path / "notebook.html").as_uri()}


def read(frame):
    return float(frame.locator("#importance").get_attribute("value"))


def test_each_cell_has_a_viewer_of_its_own_that_reads_the_values_under_the_pointer(cells):
    values = np.linspace(0.2, 0.6, 12 * 16, dtype=np.float32).reshape(12, 16)
    page = cells(notebook_html(explanation(importance=values)), notebook_html(explanation(importance=values + 1)))
    page.wait_for_function("[...document.querySelectorAll('iframe')].every((frame) => frame.height > 100)")
    first, second = (page.frame_locator("iframe").nth(place) for place in (0, 1))

    box = first.locator("#canvas").bounding_box()
    page.mouse.move(box["x"] + 3.5 / 16 * box["width"], box["y"] + 2.5 / 12 * box["height"])

    assert read(first) == pytest.approx(values[2, 3], abs=1e-4)
    assert read(second) == pytest.approx(values.max() + 1, abs=1e-4)  # it opens at the peak
    first.locator("#opacity").fill("10")
    assert first.locator("#opacity-value").text_content() == "10 %"
    assert second.locator("#opacity-value").text_content() == "65 %"
    assert page.locator("body > div > img").evaluate_all("(all) => all.map((image) => image.hidden)") == [True, True]


def test_the_frame_grows_with_what_is_unfolded_in_it(cells):
    page = cells(notebook_html(explanation()))
    page.wait_for_function("document.querySelector('iframe').height > 100")
    before = int(page.locator("iframe").get_attribute("height"))

    page.frame_locator("iframe").locator("summary").click()

    page.wait_for_function(f"document.querySelector('iframe').height > {before} + 50")


def test_without_scripts_there_is_the_figure(cells):
    page = cells(notebook_html(explanation()), java_script_enabled=False)

    image, frame = page.locator("body > div > img").bounding_box(), page.locator("iframe").bounding_box()
    assert image["width"] > 500
    assert frame["height"] <= 1


@pytest.mark.parametrize("name", HOSTILE)
def test_names_stay_text_and_inside(name):
    output = notebook_html(explanation(record={"image": name}))

    tags = re.findall(r"<[^>]*>", output)
    assert [re.match(r"</?\w+", tag).group() for tag in tags] == ["<div", "<iframe", "</iframe", "<img", "</div"]
    assert 'sandbox="allow-scripts"' in tags[1]
    page = html.unescape(re.search(r'srcdoc="([^"]*)"', tags[1]).group(1))
    assert page.count("<script>") == 1
    assert "<img src=x" not in page


def test_the_size_is_bounded_whatever_the_picture():
    """Noise compresses worst."""
    rng = np.random.default_rng(0)
    maps = {name: rng.random((1500, 1500), np.float32) for name in ("importance", "uncertainty", "standard_error")}

    assert len(notebook_html(explanation(1500, 1500, **maps))) < 2e6
