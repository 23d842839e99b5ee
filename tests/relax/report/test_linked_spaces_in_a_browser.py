"""In a real browser: two spaces side by side, of which each shows what is pointed at and chosen in the other."""

import numpy as np
import pytest

from relax.report import Plane
from relax.report.collection import Linked
from tests.relax.report.test_collection_in_a_browser import COUNT, colour_on_map, drawn, report, shown

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


def linked_report():
    """The lattice of the other tests, and beside it the same turned about; a picture's nearest there is the next."""
    places = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), -1).reshape(-1, 2)
    following = (np.arange(COUNT)[:, None] + 1) % COUNT
    linked = Linked(following, np.full((COUNT, 1), 17.0), "rank by the other")
    return report(planes=(Plane("A", places), Plane("B", places[::-1])), linked=linked)


def place(page, space, number):
    """Where a picture is in one of the spaces, in px of the page."""
    box = page.locator(".marks").nth(space).bounding_box()
    step = 0.92 * min(box["width"], box["height"]) / 5
    row, column = divmod(number if space == 0 else COUNT - 1 - number, 6)
    return box["x"] + box["width"] / 2 + (column - 2.5) * step, box["y"] + box["height"] / 2 - (row - 2.5) * step


@pytest.fixture
def page(visit):
    opened = visit(linked_report(), viewport={"width": 1400, "height": 900})
    opened.locator(".field").first.scroll_into_view_if_needed()
    return opened


def test_both_spaces_stand_side_by_side_under_their_names(page):
    assert page.locator(".plane-name").all_inner_texts() == ["A", "B"]
    first, second = (page.locator(".marks").nth(space).bounding_box() for space in (0, 1))
    assert first["y"] == second["y"]
    assert first["x"] + first["width"] < second["x"]
    assert not page.is_visible("#plane-choice")


@pytest.mark.parametrize(("here", "nearest"), [(0, [25, 26]), (1, [11])])
def test_a_picture_that_is_pointed_at_is_lit_in_the_other_space(page, here, nearest):
    """With its nearest of the space in which it is pointed at: the opposite and the one after in A, the next in B."""
    page.mouse.move(*place(page, here, 10))

    page.wait_for_selector(".card:not([hidden])")
    assert page.locator(".marks").nth(here).get_attribute("data-hovered") == "10"
    assert page.locator(".marks").nth(1 - here).get_attribute("data-lit") == "10"
    titles = page.locator(".card:not([hidden]) .near button").evaluate_all("all => all.map((each) => each.title)")
    assert [int(title.split("/")[1][:2]) for title in titles] == nearest

    page.mouse.move(5, 5)
    page.wait_for_selector(".marks[data-hovered='-1'] >> nth=0")
    assert page.locator(".marks").nth(1 - here).get_attribute("data-lit") == "-1"


def test_a_ring_is_drawn_in_the_other_space(page):
    inked = """() => {
      const marks = document.querySelectorAll(".marks")[1], {width, height} = marks;
      const copy = Object.assign(document.createElement("canvas"), {width, height});
      const pen = copy.getContext("2d", {willReadFrequently: true});
      pen.drawImage(marks, 0, 0);
      return pen.getImageData(0, 0, width, height).data.some(Boolean);
    }"""
    assert not page.evaluate(inked)

    page.mouse.move(*place(page, 0, 10))
    drawn(page)

    assert page.evaluate(inked)


def test_a_box_in_the_second_space_selects_and_turns_the_others_pale_in_both(page):
    page.check("input[value=box]", force=True)
    before = colour_on_map(page, *place(page, 0, 30))
    (left, top), (right, bottom) = place(page, 1, 35), place(page, 1, 28)

    page.mouse.move(left - 10, top + 10)
    page.mouse.down()
    page.mouse.move(right + 10, bottom - 10, steps=3)
    page.mouse.up()
    drawn(page)

    chosen = {int(name.split("/")[1][:2]) for name in page.input_value("#selected-names").split("\n")}
    assert chosen == {35, 34, 29, 28}
    assert len(shown(page)) == 4
    assert colour_on_map(page, *place(page, 0, 30)) != before


def test_the_keys_move_the_space_that_has_the_focus(page):
    first, second = (page.locator(".marks").nth(space) for space in (0, 1))
    second.focus()
    for key in ["ArrowLeft", "ArrowUp"] * 6:
        page.keyboard.press(key)
        if second.get_attribute("data-hovered") != "-1":
            break

    assert second.get_attribute("data-hovered") != "-1"
    assert first.get_attribute("data-lit") == second.get_attribute("data-hovered")

    page.keyboard.press(" ")
    assert page.input_value("#selected-names") == shown(page)[0]


def test_on_a_phone_the_spaces_stand_one_above_the_other(visit):
    page = visit(linked_report(), viewport={"width": 390, "height": 800})

    first, second = (page.locator(".marks").nth(space).bounding_box() for space in (0, 1))
    assert first["y"] + first["height"] <= second["y"]
    assert first["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
