"""In a real browser: the live map of the space and the gallery of all pictures obey pointer, fingers and keys."""

import csv
import io

import numpy as np
import pytest

from relax.report import Collection, Column, Exhibit, Plane, Report, Section, Strip, Thumbnail
from tests.relax.report.conftest import wait_for_picture, wait_until
from tests.relax.report.test_report import explanation, picture

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
COLUMNS = 6
COUNT = COLUMNS**2
PINK, GREEN = (204, 121, 167), (0, 158, 115)


def shade(number):
    """A thumbnail of one shade: the number of the picture, times six."""
    return np.full((30, 40, 3), 6 * number % 256, np.uint8)


def report(names=None, **changes):
    """Pictures on a lattice of six by six, numbered row by row from the lower left; the farthest is the nearest.

    Rows of the lattice are groups a, b, ...; the score falls from 35 to 0 and is unknown for the first picture.
    """
    places = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), -1).reshape(-1, 2)
    names = names or [f"shelf-{number // 6}/{number:02}.png" for number in range(COUNT)]
    groups = Column("shelf", [None if number == 7 else "abcdef"[number // 6] for number in range(COUNT)])
    scores = Column("oddness", [None, *map(float, range(34, -1, -1))], "how odd it is")
    opposite = np.arange(COUNT)[::-1, None]
    content = {
        "names": names,
        "columns": (groups, scores),
        "planes": (Plane("PCA", places[:, ::-1]), Plane("t-SNE", places)),
        "colour_by": "shelf",
        "neighbours": np.hstack([opposite, (opposite + 1) % COUNT]),
        "similarities": np.tile([0.75, 0.5], (COUNT, 1)),
        "explained": (8, 3),
        "small": shade,
    } | changes
    exhibits = tuple(Exhibit(explanation(), names[number]) for number in content["explained"])
    strip = Strip("A strip", (Thumbnail(picture(), "the last", COUNT - 1),))
    return Report(
        "r", (), (Section("s", (), (strip,)),), exhibits, {}, Collection(**content), Section("Map", ("About.",))
    )


def at(page, number):
    """Where a picture is on the map, in px of the page: the lattice fills 92 % of the shorter side."""
    box = page.locator("#marks").bounding_box()
    step = 0.92 * min(box["width"], box["height"]) / 5
    row, column = divmod(number, 6)
    return box["x"] + box["width"] / 2 + (column - 2.5) * step, box["y"] + box["height"] / 2 - (row - 2.5) * step


def to_map(page):
    page.locator(".field").scroll_into_view_if_needed()


def pixels(page, canvas, x, y, reach=0):
    """(2 reach + 1, 2 reach + 1, 4) of a canvas around a place of the page, in px of the page."""
    values = page.evaluate(
        """([id, x, y, reach]) => {
          const canvas = document.getElementById(id), box = canvas.getBoundingClientRect(), side = 2 * reach + 1;
          const copy = Object.assign(document.createElement("canvas"), {width: side, height: side});
          const pen = copy.getContext("2d", {willReadFrequently: true}), ratio = canvas.width / box.width;
          const place = [x - box.x - reach, y - box.y - reach, side, side].map((length) => length * ratio);
          pen.drawImage(canvas, ...place, 0, 0, side, side);
          return [...pen.getImageData(0, 0, side, side).data];
        }""",
        [canvas, x, y, reach],
    )
    return np.array(values).reshape(2 * reach + 1, 2 * reach + 1, 4)


def colour_on_map(page, x, y):
    """The colour of the dots under a place of the page."""
    return tuple(pixels(page, "dots", x, y)[0, 0, :3].tolist())


def drawn(page):
    """Wait until the browser has drawn what was asked for."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def hovered(page):
    """The picture with the ring."""
    return int(page.get_attribute("#marks", "data-hovered"))


def shown(page):
    """Names of the cards, in their order."""
    return page.locator(".sheet .name").all_inner_texts()


def test_dots_lie_where_the_pictures_do_in_the_colours_of_their_groups(visit):
    page = visit(report())
    page.uncheck("#show-thumbnails")
    drawn(page)

    for number, colour in ((18, PINK), (23, PINK), (12, GREEN), (7, (0xC8, 0xC8, 0xC8))):
        np.testing.assert_allclose(colour_on_map(page, *at(page, number)), colour, atol=40)
    x, y = at(page, 18)
    assert colour_on_map(page, x + 25, y + 25) == (255, 255, 255)
    legend = page.locator("#legend li").all_inner_texts()
    assert legend[0].split() == ["a", "6"]
    assert legend[-1].split() == ["other", "or", "unknown", "1"]


def test_a_ring_comes_at_once_a_card_a_little_later_and_it_stays_for_a_moment(visit):
    page = visit(report())
    to_map(page)
    page.mouse.move(*at(page, 9))

    assert hovered(page) == 9
    page.wait_for_selector("#card:not([hidden])")
    assert page.inner_text("#card .face bdi") == "shelf-1/09.png"
    assert page.locator("#card .words li").all_inner_texts() == ["shelf b", "oddness 26"]
    shades = page.evaluate(
        "async () => { const canvas = document.querySelector('#card .face canvas'); await canvas.ready;"
        "return [...canvas.getContext('2d').getImageData(5, 5, 1, 1).data]; }"
    )
    np.testing.assert_allclose(shades[:3], 54, atol=3)
    assert page.locator("#card .near span").all_inner_texts() == ["0.750", "0.500"]
    card = page.locator("#card").bounding_box()
    x, y = at(page, 9)
    page.mouse.move(x, y + 13)  # within the radius
    assert hovered(page) == 9
    page.mouse.move(x, y + 15)
    assert hovered(page) == -1
    page.mouse.move(card["x"] + 20, card["y"] + 20)  # on the way to the card it does not go
    page.wait_for_timeout(400)
    assert page.is_visible("#card")
    page.mouse.move(x - 25, y + 40)
    page.wait_for_selector("#card", state="hidden")


def test_lines_lead_to_the_nearest_pictures_in_the_space_itself(visit):
    """The nearest to picture 9 is 26, which lies on the other side of the map."""
    page = visit(report())
    to_map(page)

    page.mouse.move(*at(page, 9))

    drawn(page)
    inked = [number for number in range(COUNT) if pixels(page, "marks", *at(page, number), 12)[..., 3].any()]
    assert {9, 26, 27} <= set(inked)
    assert len(inked) < COUNT / 2  # a line may pass others


def test_a_click_opens_the_picture_with_its_map_or_without_one_and_escape_leads_back(visit):
    page = visit(report())
    to_map(page)

    page.mouse.click(*at(page, 8))
    wait_for_picture(page, 9)
    assert page.is_visible("#lightbox .readout")
    assert page.inner_text("#lightbox #name") == "shelf-1/08.png"
    page.keyboard.press("Escape")
    assert page.is_hidden("#lightbox")
    page.mouse.click(*at(page, 20))
    wait_for_picture(page, 21)
    assert page.is_hidden(".readout")
    assert page.is_visible("#unexplained")
    assert page.inner_text("#notes").split("\n") == ["shelf", "d", "oddness", "15"]
    page.click("#neighbours li:first-child button")
    wait_for_picture(page, COUNT - 20)
    page.click("#close")
    sync_api.expect(page.locator("#pictures > .viewer")).to_have_count(1)  # back in its place


def test_every_thumbnail_of_a_chapter_leads_to_its_picture(visit):
    page = visit(report())

    page.click(".strip button")

    wait_for_picture(page, COUNT)
    assert page.inner_text("#lightbox #name") == "shelf-5/35.png"


@pytest.mark.parametrize("how", ["box", "lasso", "shift"])
def test_a_box_or_a_lasso_gives_the_names_of_the_pictures_in_it(visit, how):
    page = visit(report())
    to_map(page)
    if how != "shift":
        page.locator(f"input[value={how}]").check(force=True)
    (left, top), (right, bottom) = at(page, 14), at(page, 9)  # two rows, two columns: 8, 9, 14, 15
    corners = [(left - 9, top - 9), (right + 9, top - 9), (right + 9, bottom + 9), (left - 9, bottom + 9)]
    if how == "box":
        corners = [corners[0], corners[2]]
    if how == "shift":
        page.keyboard.down("Shift")
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")

    names = ["shelf-1/08.png", "shelf-1/09.png", "shelf-2/14.png", "shelf-2/15.png"]
    assert page.input_value("#selected-names").split("\n") == names
    assert page.inner_text("#selected-count") == "4 selected"
    assert shown(page) == names  # the explained one first, which is the first here
    with page.expect_download() as download:
        page.click("#save-selected")
    rows = [*csv.reader(io.StringIO(download.value.path().read_text()))]
    assert rows[:2] == [["path", "tags", "shelf", "oddness"], ["shelf-1/08.png", "", "b", "27"]]
    page.click("#clear-selected")
    assert page.inner_text("#shown-count") == "36 pictures"


def test_names_are_copied(visit):
    page = visit(report(), permissions=["clipboard-read", "clipboard-write"])
    page.fill("#search", "shelf-4/2")

    page.click("#copy-shown")

    sync_api.expect(page.locator("#said")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == "\n".join(f"shelf-4/{n}.png" for n in range(24, 30))


def test_the_wheel_zooms_around_the_pointer_once_the_map_has_the_focus(visit):
    page = visit(report())
    to_map(page)
    page.mouse.move(*at(page, 9))
    scrolled = page.evaluate("scrollY")
    page.mouse.wheel(0, 100)
    wait_until(page, f"scrollY > {scrolled}")
    assert page.is_visible("#hint")

    page.focus("#marks")
    to_map(page)
    x, y = at(page, 9)
    page.mouse.move(x, y)
    scrolled = page.evaluate("scrollY")
    page.mouse.wheel(0, -400)
    drawn(page)
    page.mouse.move(x + 1, y)
    assert hovered(page) == 9  # it stays under the pointer
    across, down = at(page, 10)
    page.mouse.move(across, down)
    assert hovered(page) == -1  # its neighbour moved away
    assert page.evaluate("scrollY") == scrolled
    page.click("#zoom-all")
    page.wait_for_selector("#card", state="hidden")  # it may lie where the pointer goes
    drawn(page)
    page.mouse.move(*at(page, 10))
    assert hovered(page) == 10


def test_dragging_moves_the_map(visit):
    page = visit(report())
    to_map(page)
    x, y = at(page, 15)
    page.mouse.move(x + 20, y + 20)
    page.mouse.down()
    page.mouse.move(x + 120, y + 60, steps=3)
    page.mouse.up()
    drawn(page)

    page.mouse.move(x + 100, y + 40)

    assert hovered(page) == 15


def test_keys_move_the_map_under_a_cross_and_open_what_is_there(visit):
    page = visit(report())
    page.focus("#marks")

    while hovered(page) != 21:  # up and to the right of the middle
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowUp")
    sync_api.expect(page.locator("#said")).to_have_text("shelf-3/21.png, shelf d")
    page.keyboard.press(" ")
    assert page.input_value("#selected-names") == "shelf-3/21.png"
    page.keyboard.press("Escape")
    assert page.is_hidden("#selection")
    page.keyboard.press("Enter")
    wait_for_picture(page, 22)
    page.keyboard.press("Escape")
    page.focus("#marks")
    page.keyboard.press("0")
    page.keyboard.press("+")
    drawn(page)
    x, y = at(page, 21)
    box = page.locator("#marks").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*(centre + 1.25 * (place - centre) for place, centre in zip((x, y), middle, strict=True)))
    assert hovered(page) == 21


def test_two_fingers_zoom_and_one_shows_the_card(visit):
    page = visit(report(), has_touch=True, viewport={"width": 390, "height": 844})
    to_map(page)
    page.touchscreen.tap(*at(page, 9))
    page.wait_for_selector("#card:not([hidden])")
    assert page.is_hidden("#lightbox")
    session = page.context.new_cdp_session(page)
    (x, y), (u, v) = at(page, 14), at(page, 15)

    def touch(kind, *points):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": a, "y": b} for a, b in points]})

    touch("touchStart", (x, y), (u, v))
    for more in (10, 20, 30):
        touch("touchMove", (x - more, y), (u + more, v))
    touch("touchEnd")
    drawn(page)
    page.touchscreen.tap(u + 30, v)

    assert hovered(page) == 15  # it went with the finger


def test_thumbnails_take_the_place_of_dots_when_there_is_room(visit):
    """The thumbnail of picture 21 is grey, 126; its frame has the colour of its group."""
    page = visit(report())
    to_map(page)
    x, y = at(page, 21)

    for _ in range(50):  # the sheet is decoded meanwhile
        drawn(page)
        if colour_on_map(page, x, y) == pytest.approx((126,) * 3, abs=5):
            break
    else:
        pytest.fail(f"the thumbnail does not come; there is {colour_on_map(page, x, y)}")
    assert colour_on_map(page, x - 21, y) == PINK


def test_the_map_changes_its_projection_and_its_colours(visit):
    """On the first map rows and columns are swapped: picture 6 lies where 1 was."""
    page = visit(report())
    page.uncheck("#show-thumbnails")
    page.locator("#plane-choice input").first.check(force=True)
    page.select_option("#colour-by", label="oddness")
    to_map(page)
    drawn(page)

    page.mouse.move(*at(page, 1))
    assert hovered(page) == 6
    viridis_high, viridis_low = (253, 231, 36), (68, 1, 84)
    np.testing.assert_allclose(colour_on_map(page, *at(page, 6)), viridis_high, atol=40)  # picture 1
    np.testing.assert_allclose(colour_on_map(page, *at(page, 35)), viridis_low, atol=40)
    assert page.locator("#legend .ends span").all_inner_texts() == ["0", "34"]


def test_the_gallery_searches_filters_sorts_and_the_map_follows(visit):
    page = visit(report())
    assert page.inner_text("#shown-count") == "36 pictures"
    assert shown(page)[:3] == ["shelf-0/03.png", "shelf-1/08.png", "shelf-0/00.png"]  # explained first

    page.fill("#search", "SHELF-2")
    assert shown(page) == [f"shelf-2/{number}.png" for number in range(12, 18)]
    assert page.inner_text("#shown-count") == "6 of 36 pictures"
    page.click("#clear")
    page.select_option("#filter-by", label="shelf")
    page.select_option("#filter-value", label="b (5)")
    page.select_option("#sort-by", label="oddness")
    numbers = [6, 8, 9, 10, 11]  # the score falls with the number; 7 has no group
    assert shown(page) == [f"shelf-1/{number:02}.png" for number in numbers]
    assert page.inner_text(".sheet li:first-child .value") == "oddness 29"
    page.click("#sort-way")
    assert shown(page) == [f"shelf-1/{number:02}.png" for number in reversed(numbers)]
    to_map(page)
    page.mouse.move(*at(page, 9))
    assert hovered(page) == 9
    page.mouse.move(*at(page, 20))  # pale: another group
    assert hovered(page) == -1
    page.select_option("#filter-by", label="oddness")
    page.fill("#filter-low", "3")
    page.fill("#filter-high", "4")
    page.locator("#filter-high").blur()
    assert shown(page) == ["shelf-5/32.png", "shelf-5/31.png"]


def test_a_group_of_the_legend_filters_and_a_second_click_ends_it(visit):
    page = visit(report())

    page.click("#legend li:nth-child(3) button")
    assert page.inner_text("#shown-count") == "6 of 36 pictures"
    assert page.get_attribute("#legend li:nth-child(3) button", "aria-pressed") == "true"
    page.click("#legend li:nth-child(3) button")
    assert page.inner_text("#shown-count") == "36 pictures"


def test_the_arrows_go_through_what_the_gallery_shows_without_a_click_first(visit):
    page = visit(report())
    page.fill("#search", "shelf-2/1")
    page.locator("#search").blur()

    page.keyboard.press("ArrowRight")
    wait_for_picture(page, 13)
    page.keyboard.press("ArrowRight")
    wait_for_picture(page, 14)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    wait_for_picture(page, 18)
    assert page.inner_text("#place") == "6 of 6"


def test_tags_are_kept_filtered_by_and_saved_in_cells_that_no_spreadsheet_runs(visit):
    names = ["=1+1.png", *(f"{number:02}.png" for number in range(1, COUNT))]
    page = visit(report(names))
    page.fill("#search", "1.png")
    page.fill("#tag-shown-word", "@odd")
    page.keyboard.press("Enter")
    page.click("#clear")
    page.fill("#tag-word", "blurred, dark")
    page.keyboard.press("Enter")  # the first explained picture, 08.png
    assert page.locator("#tags li").all_inner_texts() == ["blurred, dark×"]

    page.select_option("#filter-by", label="tags")
    page.select_option("#filter-value", label="@odd")
    assert shown(page) == ["=1+1.png", "01.png", "11.png", "21.png", "31.png"]
    page.click("#clear")
    with page.expect_download() as download:
        page.click("#save-shown")
    rows = [*csv.reader(io.StringIO(download.value.path().read_text()))]
    assert len(rows) == 1 + COUNT
    tagged = {row[0]: row[1] for row in rows[1:]}
    assert tagged["'=1+1.png"] == "'@odd"
    assert tagged["08.png"] == "blurred, dark"
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.locator("#tags li").all_inner_texts() == ["blurred, dark×"]
    page.click("#tags button")
    assert page.locator("#tags li").count() == 0


def test_many_pictures_come_a_page_at_a_time(visit):
    names = [f"{number:03}.png" for number in range(150)]
    page = visit(Report("r", collection=Collection(names, small=shade)))

    assert page.locator(".sheet li").count() == 60
    page.click("#more")
    page.click("#more")
    assert page.locator(".sheet li").count() == 150
    assert page.is_hidden("#more")


def test_hostile_names_columns_and_groups_are_text_everywhere(visit):
    hostile = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
    columns = (Column(hostile, [hostile] * COUNT, hostile),)
    page = visit(report([f"{hostile}{number}" for number in range(COUNT)], columns=columns, colour_by=hostile))
    to_map(page)
    page.mouse.move(*at(page, 9))
    page.wait_for_selector("#card:not([hidden])")
    page.select_option("#filter-by", label=hostile)
    page.fill("#tag-word", hostile)
    page.keyboard.press("Enter")

    assert page.inner_text("#card .face bdi") == f"{hostile}9"
    assert hostile in page.inner_text("#legend")
    assert page.locator("[onerror]").count() == 0
    assert page.evaluate("document.images.length") == 5  # two photographs of entries with their maps, one strip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault_in_the_page_nor_in_an_open_picture(visit, scheme):
    """axe-core 4, all rules; contrast is judged in both schemes."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = visit(report(), color_scheme=scheme)

    for opened in (False, True):
        if opened:
            page.locator(".sheet button").last.click()
            page.wait_for_selector("#lightbox[open]")
        faults = axe.Axe().run(page).response
        assert [fault["help"] for fault in faults["violations"]] == []
        assert len(faults["passes"]) > 25  # it has looked


def test_on_paper_and_without_scripts_the_charts_stand_in_place_of_the_map(visit, browser, tmp_path):
    from relax.report import Chart
    from tests.relax.report.test_report import png

    content = report()
    content = Report(
        "r",
        collection=content.collection,
        space=Section("Map", (), (Chart(png(), "c", "a"),)),
        exhibits=content.exhibits,
    )
    page = visit(content)
    assert page.is_hidden(".still")
    page.emulate_media(media="print")
    assert page.is_visible(".still img")
    assert page.is_hidden(".space")

    still = browser.new_context(java_script_enabled=False).new_page()
    still.goto((tmp_path / "r.html").as_uri())
    assert still.is_visible(".still img")
    assert still.is_hidden(".space")
    still.context.close()


def test_of_very_many_pictures_some_are_drawn_while_the_map_moves_and_a_lasso_takes_those_inside(visit):
    """The lasso is a star, whose middle is outside (even-odd rule); dots within a pixel of it may do either."""
    count = 30_000
    places = np.random.default_rng(0).random((count, 2))
    places[:2] = [0, 0], [1, 1]
    names = [f"{number:05}" for number in range(count)]
    page = visit(Report("r", collection=Collection(names, (), (Plane("PCA", places),)), space=Section("Map", ("A.",))))
    to_map(page)
    box = page.locator("#marks").bounding_box()
    middle, side = np.array([box["width"], box["height"]]) / 2, 0.92 * min(box["width"], box["height"])
    star = [(0.5 + 0.45 * np.sin(4 * np.pi * turn / 5), 0.5 + 0.45 * np.cos(4 * np.pi * turn / 5)) for turn in range(5)]
    corners = [np.round(middle + side * np.array([u - 0.5, 0.5 - v])) for u, v in star]

    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + corners[0][0], box["y"] + corners[0][1])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(box["x"] + corner[0], box["y"] + corner[1])
    page.mouse.up()
    page.keyboard.up("Shift")

    chosen = {int(name) for name in page.input_value("#selected-names").split("\n")}
    dots = middle + side * (places - 0.5) * [1, -1]
    inside, near = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        crosses = (ay > dots[:, 1]) != (by > dots[:, 1])
        inside ^= crosses & (dots[:, 0] < (bx - ax) * (dots[:, 1] - ay) / (by - ay + (ay == by)) + ax)
        near |= np.abs((bx - ax) * (dots[:, 1] - ay) - (by - ay) * (dots[:, 0] - ax)) < np.hypot(bx - ax, by - ay)
    assert 4000 < inside.sum() < 12_000
    assert set(np.flatnonzero(inside & ~near)) <= chosen <= set(np.flatnonzero(inside | near))

    page.click("#clear-selected")
    drawn = """() => new Promise((done) => {
      document.getElementById("zoom-in").click();
      const dots = document.getElementById("dots");
      requestAnimationFrame(() => requestAnimationFrame(() => done(Number(dots.dataset.drawn))));
    })"""
    assert page.evaluate(drawn) == 25_000
    page.wait_for_selector("#dots[data-drawn='30000']")
