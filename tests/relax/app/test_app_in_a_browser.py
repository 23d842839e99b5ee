"""The app as its users meet it: a picture dropped into a real browser, a map that grows, is stopped and continued."""

import io
import json
import re
import shlex
import time
import zipfile

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

import relax
from relax.cli.app import run
from tests.relax.app.conftest import MOST, drop, explain, number, result_of

VOLATILE = {"created", "seconds", "convergence"}  # when, how long, and how often somebody looked
ASKED = {"command"}  # of the command line alone


def growing(page, looks):
    """Wait for so many looks at a map that comes in."""
    expect(page.locator(".stack")).to_have_attribute("data-looks", re.compile(f"[{looks}-9]"), timeout=30_000)


def similarity(page, row="whole"):
    """(cosine, L2 distance) as shown."""
    cells = page.locator(f"#similar tr[data-name={row}] td").all_inner_texts()
    return tuple(float(cell.replace("−", "-")) for cell in cells)


def test_the_map_of_a_dropped_picture_grows_is_stopped_with_an_honest_error_and_goes_on(app, visit, picture):
    page = visit()
    drop(page, picture())
    explain(page, encoder="slow", masks=MOST, wait=False)
    growing(page, 2)
    looks = page.evaluate("errors")  # [masks, median standard error] of each
    page.click("#stop")
    page.wait_for_selector(".stack[data-done]")

    stopped = number(page, ".stack", "data-masks")
    assert [masks for masks, _ in looks[:2]] == [128, 256]
    assert looks[0][1] > looks[1][1]
    assert 256 <= stopped < MOST
    assert page.inner_text("#words").startswith(f"{stopped:,.0f} of 4,000 masks: mean cosine ")
    assert "standard error" in page.inner_text("#words")
    kept = result_of(app).explanation
    settings = {"encoder": app.service.encoders[1][1], "batch_size": 32}  # the same numbers, faster
    alone = relax.explain(str(picture()), masks=int(stopped), **settings)
    np.testing.assert_allclose(kept.standard_error, alone.standard_error, rtol=1e-4)

    page.fill("#more", "200")
    page.click("#add")
    page.wait_for_selector(f".stack[data-done='{stopped + 200:.0f}']")

    page.evaluate("errors.push([99999, 0.000012]); drawCurve()")
    title = page.evaluate("(({x, width}) => x + width)($('curve-top').getBBox())")
    assert 100 < title <= 200  # of the 200 units that the curve is wide

    whole = relax.explain(str(picture()), masks=int(stopped) + 200, **settings)
    np.testing.assert_allclose(result_of(app).explanation.importance, whole.importance, rtol=1e-5)
    assert (
        page.inner_text("#command")
        == f"relax explain cat.png --encoder slow --masks {stopped + 200:.0f} --batch-size 32"
    )


def test_what_is_painted_over_moves_the_similarity_and_clearing_brings_it_back(visit, picture):
    page = visit()
    page.select_option("#encoder", "blocks")
    drop(page, picture())
    expect(page.locator("#painted")).to_have_text("Nothing is painted yet.")  # said by the first answer, not before
    assert similarity(page) == (1, 0)

    page.locator("#easel").scroll_into_view_if_needed()
    box = page.locator("#easel").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 27 / 60, box["y"] + box["height"] * 17 / 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 30 / 60, box["y"] + box["height"] * 17 / 40, steps=3)
    page.mouse.up()
    expect(page.locator("#painted")).to_contain_text("% of what the encoder sees is hidden")
    painted = similarity(page)
    assert 0 < painted[0] < 1
    assert painted[1] > 0

    page.focus("#easel")  # the same by keys
    for key in ("ArrowRight", "Shift+ArrowRight", "Space"):
        page.keyboard.press(key)
    expect(page.locator("#similar tr[data-name=whole] td").first).not_to_have_text(f"{painted[0]:.4f}")

    page.click("#all")
    expect(page.locator("#painted")).to_contain_text("100.0 %")
    assert similarity(page) == similarity(page, "all")
    page.click("#clear")
    expect(page.locator("#painted")).to_have_text("Nothing is painted yet.")
    assert similarity(page) == (1, 0)


def test_what_is_saved_is_what_the_command_line_writes(visit, picture, tmp_path, monkeypatch):
    page = visit()
    drop(page, picture("cat.png"))
    page.click("#others summary")
    drop(page, picture("dog.png", 1, (2, 40)), "reference")
    page.wait_for_selector("#similar tr[data-name=reference_whole]")
    drop(page, picture("bird.png", 2, (20, 2)), "foil")
    explain(page, encoder="default", masks=128, cells=4, fill="blur", keep=0.6)
    with page.expect_download() as download:
        page.click("text=All as ZIP")
    with zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())) as archive:
        saved = {name: archive.read(name) for name in archive.namelist()}

    monkeypatch.chdir(tmp_path)
    command = page.inner_text("#command")
    assert command == (
        "relax explain cat.png --reference dog.png --foil bird.png --cells 4 --keep 0.6 --fill blur --masks 128 "
        "--batch-size 32"
    )
    assert run([*shlex.split(command)[1:], "--quiet"]) == 0

    written = {path.name: path.read_bytes() for path in (tmp_path / "relax-out").iterdir()}
    assert sorted(saved) == sorted(written) == ["cat.json", "cat.npz", "cat.png"]
    assert saved["cat.png"] == written["cat.png"]
    ours, theirs = (np.load(io.BytesIO(files["cat.npz"])) for files in (saved, written))
    for name in ("importance", "uncertainty", "standard_error", "image", "scores"):
        np.testing.assert_array_equal(ours[name], theirs[name])
    records = [json.loads(files["cat.json"]) for files in (saved, written)]
    for record in records:
        assert (record["reference"], record["foil"]) == ("dog.png", "bird.png")
        assert set(record) >= VOLATILE
    assert {k: v for k, v in records[0].items() if k not in VOLATILE} == {
        k: v for k, v in records[1].items() if k not in VOLATILE | ASKED
    }

    code = page.inner_text("#python").replace("import relax\n", "")
    names = {"relax": relax}
    exec(code, names)
    np.testing.assert_allclose(names["explanation"].importance, ours["importance"], rtol=1e-6)
    assert Image.open("cat-figure.png").size == Image.open(io.BytesIO(saved["cat.png"])).size


def test_two_visitors_wait_in_line_and_each_gets_the_map_of_his_own_picture(app, visit, picture):
    pages = [visit(), visit()]
    places = [(3, 3), (24, 44)]
    for seed, (page, place) in enumerate(zip(pages, places, strict=True)):
        drop(page, picture(f"mine{seed}.png", seed, place))
    explain(pages[0], encoder="slow", masks=1500, wait=False)
    growing(pages[0], 1)
    explain(pages[1], encoder="slow", masks=300, wait=False)
    expect(pages[1].locator("#count")).to_have_text("waiting: 1 is before you")
    pages[0].click("#stop")
    for page in pages:
        page.wait_for_selector(".stack[data-done]")

    results = {visitor.result.explanation.provenance["image"]: visitor.result for visitor in app.service.visitors}
    assert sorted(results) == ["mine0.png", "mine1.png"]
    for seed, (page, place) in enumerate(zip(pages, places, strict=True)):
        assert page.get_attribute("#figure", "alt").startswith(f"mine{seed}.png: ")
        importance = results[f"mine{seed}.png"].explanation.importance
        row, column = np.unravel_index(np.nanargmax(importance), importance.shape)
        assert abs(row - place[0] - 7) < 15
        assert abs(column - place[1] - 7) < 15


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.txt", b"no picture", "notes.txt: not a PNG, JPEG, TIFF"),
        ("half.png", None, "half.png: is damaged or truncated"),
        ("large.png", b"\x89PNG" * 400_000, "is larger than the 1,000,000 bytes that are read here"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_words_and_not_kept(
    app, visit, picture, tmp_path, monkeypatch, name, content, words
):
    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", "1e6")
    page = visit()
    path = tmp_path / name
    path.write_bytes(picture().read_bytes()[:3000] if content is None else content)

    page.set_input_files("#image-file", path)

    expect(page.locator("#trouble")).to_contain_text(words)
    assert "Traceback" not in page.content()
    assert str(app.service.folder) not in page.content()
    assert [path for path in app.service.folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_the_page_has_no_fault_that_axe_finds_and_fits(visit, picture, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = visit(viewport={"width": width, "height": 900}, color_scheme=scheme)
    drop(page, picture())
    page.click("#others summary")
    explain(page, encoder="blocks", masks=100)
    expect(page.locator("#viewer")).to_have_attribute("height", re.compile(r"\d{3}"))

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    value = page.frame_locator("#viewer").locator("#importance")
    assert 0 < float(value.get_attribute("value")) <= 1
    faults = axe.Axe().run(page).response
    assert [fault["help"] for fault in faults["violations"]] == []
    assert len(faults["passes"]) > 25  # it has looked


def test_of_a_visitor_who_leaves_nothing_stays(app, visit, picture):
    page = visit()
    drop(page, picture("Doe_Jane.png"))
    (file,) = app.service.folder.rglob("Doe_Jane.png")

    page.goto("about:blank")

    end = time.monotonic() + 10
    while file.parent.parent.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert [*app.service.folder.iterdir()] == []
    assert len(app.service.visitors) == 0
