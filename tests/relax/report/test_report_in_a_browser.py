"""In a real browser without network: the report draws, reads out the maps' own values, and obeys keys and pointer."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from relax.explanation import Explanation
from relax.report import Chart, Exhibit, Grid, Neighbour, Report, Section, Strip, Thumbnail
from tests.relax.report.conftest import wait_for_picture
from tests.relax.report.test_report import HOSTILE, explanation, full, picture, png

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
HEIGHT, WIDTH = 30, 40


def pictures(count=3, **options):
    """Pictures with different maps; the right quarter of each was never seen by the encoder."""
    rng = np.random.default_rng(0)
    exhibits = []
    for number in range(count):
        maps = {
            "importance": rng.uniform(0.1 * number, 0.1 * number + 0.05, (HEIGHT, WIDTH)).astype(np.float32),
            "uncertainty": rng.uniform(0, 1e-3, (HEIGHT, WIDTH)).astype(np.float32),
            "standard_error": rng.uniform(1e-4, 2e-4, (HEIGHT, WIDTH)).astype(np.float32),
        } | options
        for values in maps.values():
            values[:, 30:] = np.nan
        exhibits.append(Exhibit(explanation(HEIGHT, WIDTH, **maps), f"picture-{number + 1}.png"))
    return Report("A report", exhibits=tuple(exhibits))


def pixels(page):
    """(h, w, 3) what the canvas shows."""
    address = page.evaluate("canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("RGB"))


def point(page, row, column):
    """Point at the middle of a pixel of a map (HEIGHT, WIDTH)."""
    page.locator("#canvas").scroll_into_view_if_needed()
    box = page.locator("#canvas").bounding_box()
    page.mouse.move(box["x"] + (column + 0.5) / WIDTH * box["width"], box["y"] + (row + 0.5) / HEIGHT * box["height"])


def read(page):
    """Importance, standard error and uncertainty as numbers; None where there is none."""
    values = page.evaluate(
        "['importance', 'standard-error', 'uncertainty'].map((id) => document.getElementById(id).value)"
    )
    return [float(value) if value else None for value in values]


def slide(page, opacity):
    page.locator("#opacity").fill(str(opacity))


def test_the_read_out_under_the_pointer_is_the_map_there(visit):
    report = pictures()
    page = visit(report)
    explained = report.exhibits[0].explanation

    for row, column in [(0, 0), (29, 0), (7, 21), (13, 29)]:
        point(page, row, column)
        for value, name in zip(read(page), ("importance", "standard_error", "uncertainty"), strict=True):
            values = getattr(explained, name).astype(float)
            assert value == pytest.approx(
                values[row, column], abs=(np.nanmax(values) - np.nanmin(values)) / 32766 * 1.01
            )
        assert page.inner_text("#where") == f"x {column}, y {row} px"
        error = explained.standard_error[row, column]
        assert page.inner_text("#importance") == f"{explained.importance[row, column]:.5f}"  # two digits of the error
        assert page.inner_text("#error-line") == f"± {error:.5f}"


def test_pixels_that_the_encoder_never_saw_say_so_and_are_hatched(visit):
    page = visit(pictures())
    slide(page, 100)

    point(page, 5, 35)

    assert page.inner_text("#importance") == "not seen by the encoder"
    assert read(page) == [None, None, None]
    assert page.is_hidden("#error-line")
    hatch = pixels(page)[:, 730:]
    assert (hatch.max(-1) == hatch.min(-1)).all()  # grey
    assert {0xE4} < set(np.unique(hatch)) <= set(range(0xA8, 0xE5))


def test_around_a_region_the_photograph_shows_and_the_read_out_says_where_it_is(visit):
    record = {"within": {"named": "lesion.png", "sha256": "ab", "share": 0.7}}
    values = np.full((30, 40), np.nan, np.float32)
    values[:, :30] = np.random.default_rng(1).random((30, 30))
    explained = explanation(30, 40, record=record, importance=values, standard_error=values, uncertainty=values)
    page = visit(Report("r", exhibits=(Exhibit(explained, "with a region"),)))
    slide(page, 100)

    point(page, 5, 35)

    assert page.inner_text("#importance") == "outside the region"
    around = pixels(page)[:, 740:]
    assert (around.max(-1) > around.min(-1)).mean() > 0.9  # colours of the photograph


def test_the_read_out_of_a_large_map_is_the_average_over_the_area_that_it_names(visit):
    values = np.random.default_rng(1).random((300, 1024)).astype(np.float32)
    page = visit(Report("r", exhibits=(Exhibit(explanation(300, 1024, importance=values), "large"),)))
    box = page.locator("#canvas").bounding_box()

    page.mouse.move(box["x"] + 100.5 / 256 * box["width"], box["y"] + 10.5 / 75 * box["height"])

    assert read(page)[0] == pytest.approx(values[40:44, 400:404].mean(), abs=1e-4)
    assert page.inner_text("#where") == "x 402, y 42 px"
    assert page.inner_text("#over") == "averages over 4.0 × 4.0 px"


def test_the_slider_goes_from_the_picture_to_the_colours_of_the_map(visit):
    """A map of two halves: at 100 % the ends of viridis, at 0 % the picture, in between the mean of both."""
    values = np.zeros((20, 20), np.float32)
    values[:, 10:] = 1
    explained = Explanation(values, values, values, np.full((20, 20, 3), 200, np.uint8), {"similarity": "cosine"})
    page = visit(Report("r", exhibits=(Exhibit(explained, "halves"),)))
    seen = {}
    for opacity in (0, 50, 100):
        slide(page, opacity)
        seen[opacity] = pixels(page)[480, [100, 860]].astype(int)

    viridis = np.array([[68, 1, 84], [253, 231, 36]])
    np.testing.assert_allclose(seen[0], [[200] * 3] * 2, atol=3)  # JPEG
    np.testing.assert_allclose(seen[100], viridis, atol=1)
    np.testing.assert_allclose(seen[50], (viridis + 200) / 2, atol=3)
    assert page.inner_text("#opacity-value") == "100 %"


def test_the_switch_draws_each_map_and_names_its_range_and_unit(visit):
    report = pictures()
    explained = report.exhibits[0].explanation
    page = visit(report)
    drawn = []
    for name in ("importance", "uncertainty", "standard_error"):
        page.locator(f"input[value={name}]").check(force=True)
        drawn.append(pixels(page))
        low, high = (float(end(getattr(explained, name))) for end in (np.nanmin, np.nanmax))
        visible_range = [as_number(page.inner_text(f"#{end}")) for end in ("low", "high")]
        assert visible_range == pytest.approx([low, high], abs=(high - low) / 20)
        assert page.inner_text("#spans") == "Colours span the range of this picture"
    assert page.inner_text("#unit") == "standard error of the importance"
    page.locator("input[value=u_relax]").check(force=True)
    drawn.append(pixels(page))
    assert "where the uncertainty is at most" in page.inner_text("#unit")
    assert all((exhibit != other).any() for exhibit in drawn for other in drawn if exhibit is not other)


def test_u_relax_shows_colours_only_where_the_uncertainty_is_low(visit):
    """Uncertainty low on the left half: the right half shows the picture, in grey."""
    values = np.tile(np.linspace(0.2, 0.8, 40, dtype=np.float32), (40, 1))
    spread = np.repeat(np.array([[0.1] * 21 + [0.2] * 19], np.float32), 40, axis=0)
    page = visit(Report("r", exhibits=(Exhibit(explanation(40, 40, importance=values, uncertainty=spread), "x"),)))
    slide(page, 100)

    page.locator("input[value=u_relax]").check(force=True)

    left, right = pixels(page)[:, :490].astype(int), pixels(page)[:, 520:].astype(int)
    assert (right.max(-1) - right.min(-1)).max() == 0
    assert (left.max(-1) - left.min(-1)).min() > 20


def as_number(text):
    """-1.2×10⁻³ as -0.0012."""
    plain = text.replace("−", "-")
    match = re.fullmatch(r"(.+)×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", plain)
    power = match[2].translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) if match else "0"
    return float(match[1] if match else plain) * 10 ** int(power)


def test_one_colour_scale_for_all_pictures_changes_the_colours_but_no_value(visit):
    page = visit(pictures())
    point(page, 3, 3)
    before, values = pixels(page), read(page)

    page.check("#shared")

    assert (pixels(page) != before).any()
    assert read(page) == values
    assert page.inner_text("#spans") == "Colours span all 3 pictures"
    assert [as_number(page.inner_text(end)) for end in ("#low", "#high")] == pytest.approx([0, 0.25], abs=0.01)


def test_a_map_that_a_picture_lacks_cannot_be_chosen(visit):
    nowhere = np.full((HEIGHT, WIDTH), np.nan, np.float32)
    page = visit(pictures(1, uncertainty=nowhere.copy(), standard_error=nowhere.copy()))

    disabled = page.evaluate("[...document.getElementsByName('layer')].map((radio) => radio.disabled)")
    point(page, 4, 4)

    assert disabled == [False, True, True, True]
    assert page.is_hidden("#error-line")
    assert page.inner_text("#uncertainty") == "–"


def test_a_picture_without_any_value_is_hatched_all_over(visit):
    maps = {name: np.full((9, 9), np.nan, np.float32) for name in ("importance", "uncertainty", "standard_error")}
    page = visit(Report("r", exhibits=(Exhibit(explanation(9, 9, **maps), "empty"),)))
    slide(page, 100)

    assert page.inner_text("#middle") == "nowhere defined"
    assert page.inner_text("#importance") == "not seen by the encoder"
    drawn = pixels(page)
    assert (drawn.max(-1) == drawn.min(-1)).all()


def test_next_and_previous_go_round_and_the_sheet_leads_anywhere(visit):
    page = visit(pictures())
    drawn = pixels(page)

    page.click("#next")
    wait_for_picture(page, 2)
    assert page.inner_text("#name") == "picture-2.png"
    assert page.inner_text("#place") == "2 of 3"
    assert (pixels(page) != drawn).any()
    page.click("#previous")
    wait_for_picture(page, 1)
    page.click("#previous")
    wait_for_picture(page, 3)
    page.click(".sheet li:nth-child(2) button")
    wait_for_picture(page, 2)
    assert page.locator(".sheet [aria-current]").count() == 1


def test_everything_can_be_done_with_keys_alone(visit):
    """Tab to the picture, turn pages, move the read-out, leave it, slide, switch; what was read is said aloud."""
    report = pictures()
    page = visit(report)
    ring, outlined = "document.activeElement", "(one) => one && getComputedStyle(one).outlineStyle === 'solid'"
    focused = f"{ring}.id || {ring}.value"

    def tab_to(name):
        for _ in range(30):
            if page.evaluate(focused) == name:
                return
            page.keyboard.press("Tab")
            assert page.evaluate(f"[{ring}, {ring}.nextElementSibling].some({outlined})")  # the focus can be seen
        pytest.fail(f"{name} cannot be reached with Tab")

    tab_to("next")
    page.keyboard.press("Enter")
    wait_for_picture(page, 2)
    tab_to("canvas")
    page.keyboard.press("ArrowRight")
    wait_for_picture(page, 3)
    page.keyboard.press("ArrowLeft")
    wait_for_picture(page, 2)

    explained = report.exhibits[1].explanation.importance
    row, column = np.unravel_index(np.nanargmax(explained), explained.shape)
    assert page.inner_text("#where") == f"x {column}, y {row} px"  # it starts at the highest importance
    page.keyboard.press("Enter")
    for key in ["ArrowUp"] * 4 + ["ArrowLeft"] + ["Shift+ArrowLeft"] * 4 + ["ArrowRight", "ArrowDown"] * 2:
        page.keyboard.press(key)
    row = max(row - 4, 0) + 2
    assert page.inner_text("#where") == f"x 2, y {row} px"
    assert read(page)[0] == pytest.approx(explained[row, 2], abs=2e-6)
    value = re.escape(f"{explained[row, 2]:.5f}")
    sync_api.expect(page.locator("#said")).to_have_text(
        re.compile(rf"importance {value} plus or minus 0\.000\d\d, x 2, y {row}"), timeout=30_000
    )
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    wait_for_picture(page, 3)

    tab_to("importance")
    page.keyboard.press("ArrowRight")
    assert page.locator("input[value=uncertainty]").is_checked()
    before = pixels(page)
    tab_to("opacity")
    page.keyboard.press("Home")
    assert page.inner_text("#opacity-value") == "0 %"
    assert (pixels(page) != before).any()
    assert page.inner_text("#place") == "3 of 3"  # the arrows belonged to the switch


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(visit, scheme):
    """With long names, a wide table and a wide chart."""
    long = "a_very_long_name_without_any_space_" * 5
    grid = Grid(long, ("a column", long, *"bcdef"), ((long, 1.5, 1000, None, "x", 3, 4),) * 3, long)
    strip = Strip(long, (Thumbnail(picture(), long),) * 4, long)
    sections = (Section(long, (long,), (Chart(png(), long, long), grid, strip)),)
    exhibit = Exhibit(
        explanation(20, 600, record={"image": long}), long, (Neighbour(long, 0.5, picture()),), ((long, long),)
    )
    report = Report(long, (long,), sections, (exhibit, exhibit), {long: long})

    page = visit(report, viewport={"width": 360, "height": 740}, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")

    width, room = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert room == 360
    assert width <= room
    chart, drawn = page.evaluate("['.chart', '.chart img'].map((one) => document.querySelector(one).offsetWidth)")
    assert chart <= room
    assert drawn > 600  # its letters would be tiny otherwise; it scrolls in its own frame
    small = page.evaluate(
        "[...document.querySelectorAll('main *')].filter((one) => one.checkVisibility() && one.innerText"
        " && parseFloat(getComputedStyle(one).fontSize) < 12).length"
    )
    assert small == 0


@pytest.mark.parametrize("text", HOSTILE[:4])
def test_hostile_names_are_shown_and_never_run(visit, text):
    page = visit(full(text))
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")

    visible = text.replace("\u202e", "\\u202e")
    assert page.inner_text("#name") == visible
    assert page.inner_text("h1") == visible
    assert page.inner_text("#neighbours bdi") == visible
    assert visible in page.inner_text("#notes")
    assert page.locator("script").count() == 4  # the page's own, the colours, the picture, the names
    assert page.locator("[onerror]").count() == 0


def test_a_script_that_got_in_all_the_same_would_not_run(visit):
    page = visit(Report("r"))

    page.evaluate(
        "() => { const bad = document.createElement('img'); bad.setAttribute('onerror', 'document.title = 1');"
        "bad.src = 'data:,'; document.body.append(bad); }"
    )
    page.wait_for_timeout(200)

    assert page.title() == "r"
    assert "violates the following Content Security Policy directive" in visit.noises.pop()


def test_a_click_on_a_header_sorts_the_table_and_dashes_come_last(visit):
    rows = (("b", 10.0, 2), ("a", None, 10), ("c", 9.0, 1))
    page = visit(Report("r", sections=(Section("s", blocks=(Grid("t", ("name", "value", "count"), rows),)),)))

    def names():
        return page.locator("tbody td:first-child").all_inner_texts()

    page.click("text=value")
    assert names() == ["c", "b", "a"]
    page.click("text=value")
    assert names() == ["b", "c", "a"]
    assert page.get_attribute("th:nth-child(2)", "aria-sort") == "descending"
    page.click("text=name")
    assert names() == ["a", "b", "c"]
    page.click("text=count")
    assert names() == ["c", "b", "a"]  # as numbers, not as words


def test_paper_shows_the_settings_and_leaves_the_controls_out(visit):
    page = visit(Report("r", exhibits=pictures().exhibits, settings={"seed": 4}))

    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")

    assert page.is_visible("#settings td")
    assert page.is_visible("#canvas")
    assert page.is_hidden("#opacity")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.is_hidden("#settings td")
