"""Does the page of an audit stay usable with very many pictures? Its size, the time until it answers, and of one frame.

    python -m experiments.benchmarks.page --images PHOTOGRAPHS

Pages of 1,000, 10,000 and 100,000 pictures (photographs again and again, in invented places, with six neighbours, a
column of groups and two of scores) in a headless Chromium without a graphics card. Measured are the bytes of the file;
the seconds from opening it until it is ready; the milliseconds of a frame while zooming, of finding the picture under
the pointer, and of a lasso around nearly all pictures. Beside the time that passed stands that of the processor, over
all processes of the browser, which other work on the machine does not inflate.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

from experiments.options import Options
from experiments.record import write_results
from relax.report import Collection, Column, Plane, Report, Section, write_report
from relax.report.sheets import side_for

FRAMES = 40
PREPARE = """() => {
  const marks = document.getElementById("marks"), box = marks.getBoundingClientRect();
  marks.setPointerCapture = () => {};  // of a pointer that is not real
  window.pointer = (name, x, y, more) => marks.dispatchEvent(new PointerEvent(name, {
    clientX: box.x + x * box.width, clientY: box.y + y * box.height, pointerId: 1, bubbles: true, ...more}));
  window.zoom = (turn) => {
    const middle = {clientX: box.x + box.width / 2, clientY: box.y + box.height / 2};
    const step = {deltaY: turn % 2 ? 40 : -40, ctrlKey: true, cancelable: true};
    marks.dispatchEvent(new WheelEvent("wheel", {...step, ...middle}));
    return new Promise(requestAnimationFrame);
  };
}"""
ACTIONS = {
    "frame": "async (count) => { for (let turn = 0; turn < count; turn++) await zoom(turn); }",
    "pointer": """(count) => {
      for (let turn = 0; turn < count; turn++) pointer("pointermove", 0.2 + 0.6 * turn / count, 0.5);
    }""",
    "lasso": """() => {
      pointer("pointerdown", 0.01, 0.01, {shiftKey: true});
      for (let turn = 0; turn <= 100; turn++) {
        const angle = turn / 100 * 2 * Math.PI;
        pointer("pointermove", 0.5 + 0.49 * Math.cos(angle), 0.5 + 0.49 * Math.sin(angle));
      }
      pointer("pointerup", 0.99, 0.5);
    }""",
}


def main() -> None:
    parser = Options(__doc__)
    parser.add_images(300)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000], help="pictures of each page")
    parser.add_name("page")
    args = parser.parse_args()
    files = sorted(args.images.rglob("*.jpg"))[: args.count]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count in args.sizes:
            page = write_report(report(count, thumbnails(files, side_for(count))), Path(folder) / "page.html")
            rows.append({"pictures": count, "mb": round(page.stat().st_size / 1e6, 1), **measured(page)})
            print(rows[-1], flush=True)
    write_results(args.name, rows, {"photographs": len(files), "frames": FRAMES})


def thumbnails(files: Sequence[Path], side: int) -> list[NDArray[np.uint8]]:
    """Pictures of at most `side` px, as they stand in the page."""
    pictures = []
    for file in files:
        with Image.open(file) as picture:
            picture.draft("RGB", (side, side))
            small = picture.convert("RGB")
            small.thumbnail((side, side))
            pictures.append(np.asarray(small))
    return pictures


def report(count: int, photographs: Sequence[NDArray[np.uint8]]) -> Report:
    """Twelve clouds in eight dimensions, of which the map shows two."""
    draws = np.random.default_rng(0)
    groups = draws.integers(0, 12, count)
    space = draws.normal(0, 4, (12, 8))[groups] + draws.normal(0, 1, (count, 8))
    distances, nearest = cKDTree(space).query(space, k=7)
    columns = (
        Column("cluster", groups.astype(str).tolist()),
        Column("distance", distances[:, 1:].mean(1).tolist()),
        Column("age", draws.integers(18, 90, count).astype(float).tolist()),
    )
    names = [f"site-{draws.integers(20):02}/patient-{number:06}.png" for number in range(count)]
    collection = Collection(
        names,
        columns,
        (Plane("PCA", space[:, :2]),),
        "cluster",
        nearest[:, 1:],
        np.exp(-distances[:, 1:]),
        small=lambda number: photographs[number % len(photographs)],
    )
    return Report(f"{count:,} pictures", collection=collection, space=Section("Map of the space"))


def measured(page: Path) -> dict[str, Any]:
    """Open the page and use its map; times in seconds and milliseconds."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        session = browser.new_browser_cdp_session()

        def used() -> float:
            """Seconds of the processor so far, over all processes of the browser."""
            return sum(process["cpuTime"] for process in session.send("SystemInfo.getProcessInfo")["processInfo"])

        tab = browser.new_context(offline=True, viewport={"width": 1400, "height": 900}).new_page()
        tab.set_default_timeout(300_000)
        before = used()
        tab.goto(page.as_uri(), wait_until="commit")
        tab.wait_for_selector("html[data-ready]")
        ready = tab.evaluate("performance.now() / 1000")
        loaded = used() - before
        tab.locator(".field").scroll_into_view_if_needed()
        tab.evaluate(PREPARE)
        tab.evaluate(ACTIONS["frame"], 5)
        times = {}
        for name, action in ACTIONS.items():
            turns = 1 if name == "lasso" else FRAMES
            tab.wait_for_timeout(
                3000
            )  # until what came before is over, such as the card of the picture under the pointer
            before = used()
            took = tab.evaluate(
                f"async (turns) => {{ const start = performance.now(); await ({action})(turns);"
                " return performance.now() - start; }",
                turns,
            )
            times |= {
                f"{name}_ms": round(took / turns, 1),
                f"{name}_cpu_ms": round(1000 * (used() - before) / turns, 1),
            }
        selected = tab.inner_text("#selected-count")
        browser.close()
    return {"ready_s": round(ready, 2), "ready_cpu_s": round(loaded, 2), **times, "selected": selected}


if __name__ == "__main__":
    main()
