"""The page of a look inside: what it reads out are the arrays, by pointer and by keys, at a desk and on a phone."""

import dataclasses
import re

import numpy as np
import pytest

import relax
from relax.inside.packing import heads_that_fit, queries
from relax.inside.page import page as html_of
from relax.inside.stage import Heads, Stage
from tests.relax.inside.networks import CORNER, SEES_CORNERS, SIDE, Corners, Planted, loaded, square

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
HOSTILE = '<img src=x onerror="alert(1)">.png'


@pytest.fixture(scope="module")
def inside():
    return relax.look_inside(square(), loaded(Corners()), layers=["conv", "relu", "mix"], parts=3)


@pytest.fixture(scope="module")
def page(visit, inside, tmp_path_factory):
    """One page for all tests of the convolutional network, which each open the layer that they need."""
    named = dataclasses.replace(inside, provenance={**inside.provenance, "image": HOSTILE})
    return visit(named.page(tmp_path_factory.mktemp("a") / "cnn.html"), viewport={"width": 1400, "height": 900})


@pytest.fixture(scope="module")
def transformer(visit, tmp_path_factory):
    looked = relax.look_inside(square(), loaded(Planted()))
    path = looked.page(tmp_path_factory.mktemp("b") / "vit.html")
    return looked, visit(path, viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True)


def open_layer(page, name, kind="channel"):
    page.locator("#flow button", has_text=re.compile(rf"^{re.escape(name)}\d")).click()
    page.evaluate(f"document.querySelector('input[value={kind}]').click()")


def point(page, row, column, grid):
    """Point at the middle of a cell."""
    page.locator("#canvas").scroll_into_view_if_needed()
    box = page.locator("#canvas").bounding_box()
    page.mouse.move(
        box["x"] + (column + 0.5) / grid[1] * box["width"], box["y"] + (row + 0.5) / grid[0] * box["height"]
    )


def choose(page, place):
    """A channel, part or head by its number."""
    page.locator(f"#thumbs button[data-at='{place}']").click()


def read(page):
    """The read-out by its names."""
    names, values = page.locator("#readout dt").all_inner_texts(), page.locator("#readout dd").all_inner_texts()
    return dict(zip(names, values, strict=True))


def number(text):
    return float(text.replace("−", "-"))


def test_channel_3_reads_1_at_the_red_corner_with_what_it_sees(page):
    open_layer(page, "relu")
    choose(page, SEES_CORNERS)

    point(page, *CORNER, (SIDE, SIDE))

    lines = read(page)
    assert number(lines["Value"]) == 1
    assert lines["Rank"] == "1 of 576 cells in this channel"
    assert lines["Cell"] == "row 6, column 8 of 24 × 24, from 0"
    assert lines["It sees"] == "rows 5 to 7, columns 7 to 9 of the view"
    around = [number(text) for text in page.locator("#around td").all_inner_texts()]
    assert around == [0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert page.locator("#field").bounding_box()["width"] == pytest.approx(
        3 / 24 * page.locator("#canvas").bounding_box()["width"], abs=1
    )
    point(page, 0, 0, (SIDE, SIDE))
    assert number(read(page)["Value"]) == 0
    assert page.locator("#around td").all_inner_texts()[0] == "–"


def test_values_are_those_of_the_arrays(page, inside):
    stage = inside["mix"]
    open_layer(page, "mix")
    for channel, row, column in [(0, 3, 5), (4, 11, 11), (2, 0, 0)]:
        choose(page, channel)
        point(page, row, column, stage.grid)
        shown = number(read(page)["Value"])
        assert shown == pytest.approx(float(stage.activations[channel, row, column]), rel=6e-3)


def test_the_products_of_pixels_and_weights_are_shown_and_add_up(page):
    open_layer(page, "conv")
    choose(page, SEES_CORNERS)

    point(page, *CORNER, (SIDE, SIDE))

    words = page.inner_text("#sum")
    assert words.endswith("4.00 (red) + 0 (green) + 0 (blue) + −3.00 (bias) = 1.00.")
    red = [
        number(text)
        for text in page.locator("#terms > div").first.locator("table").nth(2).locator("td").all_inner_texts()
    ]
    assert red == [0, 0, 0, 0, 1, 1, 0, 1, 1]
    open_layer(page, "mix")
    assert page.is_hidden("#products")


def test_channels_are_sorted_by_energy_and_by_effect(page, inside):
    open_layer(page, "relu")
    for by in ("energy", "effect", "number"):
        page.select_option("#sort", by)
        shown = [int(re.search(r"\d+", text)[0]) for text in page.locator("#thumbs button").all_inner_texts()]
        assert shown == inside["relu"].order(by).tolist()
    page.fill("#number", "2")
    page.press("#number", "Enter")
    assert page.inner_text("#shown") == "channel 2 in relu"


def test_parts_are_read_out(page, inside):
    open_layer(page, "relu", "parts")
    point(page, 10, 10, (SIDE, SIDE))

    values = [number(text) for text in read(page)["All"].split(", ")]

    np.testing.assert_allclose(values, inside["relu"].factors.maps[:, 10, 10], rtol=6e-3, atol=1e-4)
    assert page.inner_text("#choose-title") == "3 parts (NMF)"


def test_a_click_holds_the_cell_and_keys_move_it(page):
    open_layer(page, "relu")
    point(page, 4, 4, (SIDE, SIDE))
    page.locator("#canvas").click(position={"x": 5, "y": 5})
    point(page, 12, 12, (SIDE, SIDE))
    assert read(page)["Cell"] == "row 0, column 0 of 24 × 24, from 0"
    page.locator("#canvas").click(position={"x": 5, "y": 5})

    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")

    assert read(page)["Cell"] == "row 5, column 1 of 24 × 24, from 0"
    page.locator("#said", has_text="row 5, column 1 of 24").wait_for(state="attached")
    page.keyboard.press("Escape")
    page.locator("#next").click()
    assert page.inner_text("#layer-title") == "mix"
    assert page.locator("#flow [aria-current]").inner_text().startswith("mix")


def test_the_attention_of_a_head_from_a_cell_and_the_cosine_to_others(transformer):
    looked, page = transformer
    open_layer(page, "blocks.0", "attention")
    choose(page, 0)
    page.locator("#canvas").tap()  # the middle cell, token 5 of 10

    lines = read(page)
    assert lines["Most"] == "100 % to row 2, column 0"  # token 7 is patch 6
    assert lines["To this cell"] == "0 %"
    choose(page, 1)
    assert read(page)["To this cell"] == "100 %"
    width = page.locator("#canvas").bounding_box()["width"]
    page.locator("#canvas").tap(position={"x": width - 5, "y": 5})  # row 0, column 2, where it attends to itself too
    assert read(page)["Cell"] == "row 0, column 2 of 3 × 3, from 0"
    assert read(page)["To this cell"] == "100 %"
    page.locator("#canvas").tap()
    page.select_option("#query", "0")  # the class token, which attends to itself
    assert read(page)["Prefix"].startswith("100 %")
    assert lines["It sees"] == "the whole view"

    open_layer(page, "blocks.1", "alike")
    cosines = looked["blocks.1"].similarity(1, 1)
    shown = [number(text) for text in page.locator("#around td").all_inner_texts()]
    np.testing.assert_allclose(shown, cosines.ravel(), atol=0.009)
    open_layer(page, "patch_embed")
    assert page.evaluate("document.querySelector('input[value=attention]').disabled")


def test_the_pages_fit_and_can_be_used_without_seeing(page, transformer):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    assert transformer[1].evaluate("document.documentElement.scrollWidth") <= 390
    for shown in (page, transformer[1]):
        assert [fault["help"] for fault in axe.Axe().run(shown).response["violations"]] == []


def test_what_is_left_out_of_a_large_page_is_said(monkeypatch, inside):
    monkeypatch.setattr("relax.inside.packing.ACTIVATIONS", 8_000)
    monkeypatch.setattr("relax.inside.packing.COSINES", 0)

    text = html_of(inside)

    assert (
        "Left out of this page, for its size: all but 3 channels a layer, those with the most energy and effect, of "
        "conv, relu, mix; cosines between cells of conv, relu, mix. The arrays (--write arrays) have it." in text
    )


def test_what_was_not_looked_at_is_not_said_to_be_in_the_arrays(inside):
    thinned = dataclasses.replace(
        inside, provenance={**inside.provenance, "left_out": ["9 of 25 layers", "attention of block"]}
    )

    text = html_of(thinned)

    assert '"left_out":"Left out: 9 of 25 layers; attention of block."' in text.replace('": "', '":"')


def test_attention_of_fewer_patches_is_kept_where_a_page_would_be_too_large():
    """4 heads of a class token and 8 x 8 patches: 22 kB of all, 6 kB of the class token and 4 x 4 patches."""
    shares = np.random.default_rng(0).random((4, 65, 65)).astype(np.float16)
    cells, prefix = np.zeros((1, 8, 8), np.float32), np.zeros((1, 1), np.float32)
    stages = (Stage("block", "Block", cells, prefix, heads=Heads(shares)), Stage("other", "Conv2d", cells, prefix[:0]))

    assert heads_that_fit(stages, 30_000)[0] == 1
    step, (heads, none) = heads_that_fit(stages, 10_000)

    assert step == heads["step"] == 2
    assert none is None
    assert queries(stages[0], 2).tolist()[:6] == [0, 1, 3, 5, 7, 17]  # the class token, patches 0, 2, 4, 6 and 16


def test_nothing_failed_and_nothing_was_fetched(visit, page, transformer):
    assert "<img src=x" not in page.content()
    assert page.inner_text("h1").startswith(HOSTILE)
    assert visit.noises == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in visit.requests)
