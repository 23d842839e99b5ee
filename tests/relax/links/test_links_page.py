"""The page: what it reads out are the arrays, by pointer and by keys; hostile names stay text."""

import dataclasses
import re

import numpy as np
import pytest
import torch

import relax
from relax.links.linked import LinkedText
from relax.links.page import links_page

HOSTILE = '<img src=x onerror="alert(1)">.png'


@pytest.fixture(scope="module")
def explained():
    generator = torch.Generator().manual_seed(0)
    pictures = [torch.rand(3, 30, 40, generator=generator) for _ in range(2)]
    explanation = relax.explain_links(
        *pictures,
        lambda pixels: torch.tanh(4 * pixels[:, :, ::10, ::10].flatten(1)) + 0.1,
        cells=3,
        masks=512,
        progress=False,
    )
    return dataclasses.replace(explanation, a=dataclasses.replace(explanation.a, name=HOSTILE))


@pytest.fixture
def page(pages, explained, tmp_path):
    opened = pages.open(explained.page(tmp_path / "links.html").as_uri(), viewport={"width": 1200, "height": 900})
    opened.wait_for_selector("html[data-ready]")
    return opened


def told(page):
    return page.locator("#told").inner_text()


def test_a_part_that_is_chosen_lights_up_its_partners(page, pages, explained):
    page.locator(".side").nth(1).locator(".part").nth(5).click()

    column = explained.from_b(1, 2)
    best = int(column.argmax())
    assert told(page).startswith("Row 2, column 3 of ")
    if column.ravel()[best] > 2 * explained.standard_error[..., 1, 2].ravel()[best]:
        assert f"is linked to row {best // 3 + 1}, column {best % 3 + 1} (" in told(page)
    parts = page.locator(".side").nth(0).locator(".part")
    light = [parts.nth(number).evaluate("part => part.style.getPropertyValue('--light')") for number in range(9)]
    percent = [int(re.search(r"(\d+)%", text).group(1)) for text in light]
    share = abs(column.ravel()) / abs(explained.links).max()
    assert (
        percent == [round(85 * value) for value in share]
        or max(abs(p - 85 * s) for p, s in zip(percent, share, strict=True)) <= 0.51
    )
    assert ["--down" in text for text in light] == [bool(value < 0) for value in column.ravel()]
    assert pages.noises == []
    assert pages.asked_beside("file:", "data:") == set()


def test_keys_move_from_part_to_part_and_the_other_map_is_what_only_a_side_shows(page, explained):
    page.locator(".side").nth(0).locator(".part").nth(0).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")

    assert told(page).startswith("Row 2, column 2 of ")
    page.select_option("#way", "only")
    value = explained.of_a.only[1, 1]
    shown = float(re.search(r": (−?[\d.]+) ±", told(page)).group(1).replace("−", "-"))
    assert shown == pytest.approx(value, abs=explained.of_a.only_error[1, 1])


def test_the_chosen_part_alone_is_pressed_and_reached_by_tab(page):
    """Of the other side the first part is reached, so that keys lead there, too."""
    page.locator(".side").nth(1).locator(".part").nth(4).click()

    sides = [page.locator(".side").nth(side).locator(".part") for side in (0, 1)]
    pressed = [parts.evaluate_all("parts => parts.map(part => part.ariaPressed)") for parts in sides]
    reached = [parts.evaluate_all("parts => parts.map(part => part.tabIndex)") for parts in sides]
    assert [values.count("true") for values in pressed] == [0, 1]
    assert pressed[1][4] == "true"
    assert reached == [[0] + 8 * [-1], [0 if part == 4 else -1 for part in range(9)]]


def test_words_are_parts_too(pages, explained, tmp_path):
    """The second picture's first three cells stand for three words, the last of them in another script."""
    words = LinkedText("a <b>black</b> כלב", ("a", "<b>black</b>", "כלב"), ((0, 1), (2, 14), (15, 18)))
    of_b = dataclasses.replace(
        explained.of_b, **{name: values.ravel()[:3] for name, values in vars(explained.of_b).items()}
    )
    arrays = {name: getattr(explained, name)[..., 0, :] for name in ("links", "standard_error")}
    linked = dataclasses.replace(explained, b=words, of_b=of_b, **arrays)
    page = pages.open(linked.page(tmp_path / "words.html").as_uri(), viewport={"width": 390, "height": 800})
    page.wait_for_selector("html[data-ready]")

    parts = page.locator(".side").nth(1).locator(".part")
    parts.nth(2).click()

    assert parts.all_inner_texts() == ["“a”", "“<b>black</b>”", "“כלב”"]
    assert [part.get_attribute("dir") for part in parts.all()] == 3 * ["auto"]
    assert told(page).startswith("“כלב” of ")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert pages.noises == []


def test_as_many_lines_as_are_asked_for_are_drawn(page, explained):
    most = len(explained.strongest(16))
    assert page.locator(".lines line").count() == 2 * min(5, most)

    page.locator("#lines").fill(str(min(2, most)))

    assert page.locator(".lines line").count() == 2 * min(2, most)


def test_names_are_text(explained):
    html = links_page(explained)

    assert HOSTILE not in html
    assert "&lt;img src=x" in html
    assert "<script>alert" not in html


def test_more_links_than_a_page_holds_are_refused(explained):
    large = dataclasses.replace(explained, links=np.zeros((33, 33, 33, 33), dtype=np.float64))
    with pytest.raises(ValueError, match=r"a page holds 1,048,576 links; here are 1,185,921: take fewer cells"):
        links_page(large)
