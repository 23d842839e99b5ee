"""Slices of one volume: their profile, and in a real browser the slider, its keys, wheel, lines and touch."""

import numpy as np
import pytest

from relax.io.choice import stack_of
from relax.report import Exhibit, stack_report
from relax.report.stack import Profile
from tests.relax.report.conftest import wait_for_picture, wait_until
from tests.relax.report.test_report import explanation

NUMBERS = [4, 6, 8, 10, 15]


def exhibits():
    """Slice k has an importance of k / 10, but one pixel of 1, and an uncertainty of k / 100."""
    shape = (10, 10)
    for k in range(len(NUMBERS)):
        importance = np.full(shape, k / 10, np.float32)
        importance[3, 3] = 1
        maps = {"importance": importance, "uncertainty": np.full(shape, k / 100, np.float32)}
        yield Exhibit(explanation(*shape, **maps), f"axial slice {NUMBERS[k]}")


def stack():
    return stack_report(tuple(exhibits()), NUMBERS, "axial slice")


def test_the_profile_is_worked_out_by_hand():
    profile = Profile.of(tuple(exhibits()), NUMBERS)

    assert profile.low == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert profile.high == pytest.approx([1] * 5)
    assert profile.mean == pytest.approx([0.01 + 0.99 * k / 10 for k in range(5)])
    assert profile.uncertainty == pytest.approx([0, 0.01, 0.02, 0.03, 0.04])


def test_a_slice_without_a_value_leaves_a_gap():
    nowhere = np.full((4, 4), np.nan, np.float32)
    shown = (*exhibits(), Exhibit(explanation(4, 4, importance=nowhere), "axial slice 20"))

    report = stack_report(shown, [*NUMBERS, 20], "axial slice")

    values = {column.name: column.values for column in report.collection.columns}
    assert np.isnan(values["mean importance"][-1])
    assert np.isnan(values["span of the importance"][-1])
    assert values["slice"] == [*NUMBERS, 20]


@pytest.mark.parametrize("numbers", [[4, 6], [4, 6, 8, 15, 10], [4, 4, 8, 10, 15]])
def test_there_is_one_ascending_number_for_each_slice(numbers):
    with pytest.raises(ValueError, match="numbers must ascend, one for each of the 5 slices"):
        stack_report(tuple(exhibits()), numbers, "axial slice")


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["a.nii#axial=4", "a.nii#axial=2"], ("axial slice", [4, 2])),
        (["a.nii.gz#volume=1&coronal=0", "a.nii.gz#coronal=7&volume=1"], ("coronal slice", [0, 7])),
        (["a.dcm#frame=1&window=40,400", "a.dcm#frame=2&window=40,400"], ("frame", [1, 2])),
        (["a.nii#axial=4"], None),
        (["a.nii#axial=4", "b.nii#axial=5"], None),
        (["a.nii#axial=4", "a.nii#coronal=5"], None),
        (["a.nii#axial=4", "a.nii#axial=4"], None),
        (["a.dcm#frame=1&window=40,400", "a.dcm#frame=2&window=40,80"], None),
        (["a.png", "b.png"], None),
        (["a.nii#axial=4", "a.nii#axial=high"], None),
    ],
)
def test_slices_of_one_file_are_told_by_their_addresses(addresses, expected):
    assert stack_of(addresses) == expected


def value(page):
    return page.locator("#slice").input_value(), page.inner_text("#slice-name"), page.inner_text("#name")


def test_the_slider_the_keys_and_the_wheel_go_through_the_slices(visit):
    page = visit(stack())
    assert value(page) == ("2", "8", "axial slice 8")  # the one in the middle comes first

    page.focus("#slice")
    page.keyboard.press("ArrowRight")
    wait_for_picture(page, 4)
    assert value(page) == ("3", "10", "axial slice 10")
    assert page.get_attribute("#slice", "aria-valuetext") == "axial slice 10"

    page.focus("#canvas")
    for key, shown in (("ArrowUp", 5), ("ArrowUp", 5), ("ArrowDown", 4), ("Home", 1), ("End", 5), ("PageDown", 1)):
        page.keyboard.press(key)
        wait_for_picture(page, shown)
    page.locator("#canvas").hover()
    page.mouse.wheel(0, -100)  # away from the hand: upwards
    wait_for_picture(page, 2)
    page.keyboard.press("Enter")  # now the arrows move the read-out
    page.keyboard.press("ArrowUp")
    assert value(page)[0] == "1"
    page.keyboard.press("Escape")

    page.evaluate("document.activeElement.blur()")
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, 100)
    wait_until(page, f"scrollY > {before}")  # without the focus, the wheel moves the page
    assert page.evaluate("scrollY") > before
    assert value(page)[0] == "1"


def test_the_lines_show_each_number_and_lead_to_its_slice(visit):
    page = visit(stack())
    lines = page.locator(".profile")
    assert lines.all_inner_texts() == [
        "mean importance\n0.21",
        "span of the importance\n0.80",
        "mean uncertainty\n0.020",
    ]
    points = lines.nth(2).locator("polyline").get_attribute("points")
    assert points == "0,95.00 1,72.50 2,50.00 3,27.50 4,5.00"  # a straight line upwards

    box = lines.first.locator("svg").bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 5)
    page.mouse.down()
    wait_for_picture(page, 1)
    page.mouse.move(box["x"] + 0.76 * box["width"], box["y"] + 5)
    wait_for_picture(page, 4)
    page.mouse.up()
    page.mouse.move(box["x"] + 2, box["y"] + 5)

    assert value(page) == ("3", "10", "axial slice 10")
    assert lines.first.locator(".mark").get_attribute("x1") == "3"


def test_fingers_move_the_slider_and_the_phone_shows_it_whole(visit):
    page = visit(stack(), viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.locator("#slice").scroll_into_view_if_needed()
    box = page.locator("#slice").bounding_box()

    page.touchscreen.tap(box["x"] + 0.97 * box["width"], box["y"] + box["height"] / 2)
    wait_for_picture(page, 5)
    page.locator(".profile svg").first.scroll_into_view_if_needed()
    row = page.locator(".profile svg").first.bounding_box()
    page.touchscreen.tap(row["x"] + 0.25 * row["width"], row["y"] + row["height"] / 2)
    wait_for_picture(page, 2)

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    assert [fault["help"] for fault in axe.Axe().run(page).response["violations"]] == []


def test_the_slider_goes_along_when_a_slice_is_opened_from_its_card(visit):
    page = visit(stack())
    assert page.locator(".sheet .value").first.inner_text() == "axial slice 4"

    page.locator(".sheet button").nth(4).click()
    wait_for_picture(page, 5)

    assert page.is_visible("#lightbox #slice")
    assert value(page)[:2] == ("4", "15")


def valued():
    """Slices of Hounsfield units from -1000 to 1000, row by row, under a map that is hidden by an opacity of 0."""
    ramp = np.repeat(np.linspace(-1000, 1000, 21, dtype=np.float32)[:, None], 21, 1)
    slices = [Exhibit(explanation(21, 21), f"axial slice {number}", values=ramp + number) for number in NUMBERS]
    return stack_report(slices, NUMBERS, "axial slice", window=(-1000.0, 1000.0, "HU"))


def grey(page, row):
    """The grey of the picture in the middle of a row of 21."""
    return page.evaluate(
        """(share) => {
            const pen = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
            pen.drawImage(canvas, canvas.width / 2, Math.floor(canvas.height * share), 1, 1, 0, 0, 1, 1);
            return pen.getImageData(0, 0, 1, 1).data[0];
        }""",
        (row + 0.5) / 21,
    )


def test_window_and_level_are_set_by_sliders_keys_presets_and_the_mouse(visit):
    page = visit(valued())
    page.fill("#opacity", "0")
    shown = page.locator(".window > output").last
    assert shown.inner_text() == "black −1000, white 1000 HU"
    assert abs(grey(page, 10) - 128) <= 3  # 8 HU in the middle slice
    assert page.locator(".window .presets button").all_inner_texts() == [
        *("as explained", "lung", "soft tissue", "bone", "brain", "liver")
    ]

    page.get_by_role("button", name="soft tissue").click()
    assert shown.inner_text() == "black −160, white 240 HU"
    assert abs(grey(page, 10) - 255 * (8 + 160) / 400) <= 4
    assert (grey(page, 2), grey(page, 18)) == (0, 255)
    page.evaluate("slice.value = 4; slice.dispatchEvent(new Event('input'))")
    wait_for_picture(page, 5)
    assert abs(grey(page, 10) - 255 * (15 + 160) / 400) <= 4  # the next slice has the same window

    page.focus("#canvas")
    page.keyboard.press("]")
    page.keyboard.press(".")
    assert shown.inner_text() == "black −158, white 282 HU"  # 440 wide, and a twentieth of it higher
    box = page.locator("#canvas").bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 75, box["y"] + 50)
    page.mouse.up()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    wait_until(page, "width.value === '640'")  # 25 px of 250 of the first window, 2000
    page.evaluate("level.value = 300; level.dispatchEvent(new Event('input'))")
    assert shown.inner_text() == "black −20, white 620 HU"
    page.get_by_role("button", name="as explained").click()
    assert abs(grey(page, 0) - 255 * 15 / 2000) <= 3
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    assert [fault["help"] for fault in axe.Axe().run(page).response["violations"]] == []


def test_slices_of_one_map_share_a_scale_and_a_finding():
    report = stack_report(tuple(exhibits()), NUMBERS, "axial slice", whole=True)

    assert report.collection.alike
    assert len(report.findings) == 1
    assert "its importance spans 0 to 1.0: 250 of its standard errors." in report.findings[0]  # of 0.004


def test_a_page_without_values_has_no_window():
    assert stack().collection.window is None
    assert valued().collection.window.presets[0] == ("lung", -600.0, 1500.0)
    other = stack_report(tuple(exhibits()), NUMBERS, "axial slice", window=(0.0, 1.0, ""))
    assert other.collection.window is None
    with pytest.raises(ValueError, match="values must have the shape of the image"):
        Exhibit(explanation(4, 5), "a", values=np.zeros((5, 4), np.float32))
