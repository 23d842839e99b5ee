"""`python -m docs.site.screens`: the pages as a browser shows them, at 1,400 and 390 px (some minutes).

Everything is made here, from pictures of scikit-image and a phantom, by the commands that a user would run; what is in
build/screens already is not made again. Needs Chromium, playwright and the extra [medical].
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from docs.site.build import build
from docs.site.pages import ROOT
from relax.cli.app import run

FOLDER = ROOT / "build/screens"
SIZES = {1400: 900, 390: 844}  # px: width of the window, and its height
NAMES = ("astronaut", "cat", "coffee", "rocket", "retina", "immunohistochemistry")
CROPS, SIDE = 10, 160  # of each photograph; px
SEED = 0

COMMANDS = {
    "search.html": "search {0}/archive {0}/crops/coffee-0.jpg -k 23 --sheet {0}/search.html",
    "pair.html": "pair {0}/crops/cat-0.jpg {0}/crops/cat-3.jpg --masks 512 --out {0}/pair --report {0}/pair.html",
    "links.html": (
        "pair {0}/crops/cat-0.jpg {0}/crops/cat-3.jpg --links --masks 1024 --out {0}/links --report {0}/links.html"
    ),
    "volume.html": "volume {0}/phantom.nii.gz --slices 2:28:2 --masks 512 --out {0}/volume --report {0}/volume.html",
    "evaluation.html": (
        "evaluate {0}/few --strange {0}/strange --masks 128 --methods relax,lafam,gradcam,random --out {0}/evaluation "
        "--report {0}/evaluation.html"
    ),
    "inside/cat-0-inside.html": "inside {0}/crops/cat-0.jpg --out {0}/inside",
    "audit/report.html": "audit {0}/crops --out {0}/audit --explain 4 --masks 256",
}

Step = Callable[[Page], object]


def top(page: Page) -> object:
    """As the page opens."""
    return page.evaluate("scrollTo(0, 0)")


def at(selector: str) -> Step:
    """What is there, from the upper edge of the window."""
    return lambda page: page.eval_on_selector(
        selector, "node => scrollTo(0, node.getBoundingClientRect().top + scrollY - 16)"
    )


SCREENS: dict[str, tuple[str, Step]] = {
    "search": ("search.html", top),
    "pair": ("pair.html", at("#pictures")),
    "links": ("links.html", at("#links")),
    "volume": ("volume.html", at("#pictures")),
    "evaluation": ("evaluation.html", top),
    "audit-gallery": ("audit/report.html", at(".browse")),
    "viewer": ("audit/report.html", at("#pictures")),
    "inside": ("inside/cat-0-inside.html", at("#flow-part")),
    "site": ("site/methods/index.html", top),
}


def main() -> None:
    """Make what is missing, and look at it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    make_pictures()
    if not (FOLDER / "archive/archive.json").is_file():
        run(["index", f"{FOLDER}/crops", "--out", f"{FOLDER}/archive"])
    for page, command in COMMANDS.items():
        if not (FOLDER / page).is_file():
            run(command.format(FOLDER).split())
    build(FOLDER)
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, (file, step) in SCREENS.items():
            if (FOLDER / file).is_file():
                for width in SIZES:
                    shoot(browser, FOLDER / file, step, width, name)
        browser.close()


def make_pictures() -> None:
    """Crops of photographs, six of them apart, others as strange pictures, and a phantom with a bright spot."""
    if (FOLDER / "phantom.nii.gz").is_file():
        return
    for folder in ("crops", "few", "strange"):
        (FOLDER / folder).mkdir(exist_ok=True)
    rng = np.random.default_rng(SEED)
    for name in NAMES:
        whole = getattr(skimage.data, name)()
        height, width = whole.shape[:2]
        side = int(0.6 * min(height, width))
        for number in range(CROPS):
            row, column = rng.integers(0, height - side), rng.integers(0, width - side)
            crop = Image.fromarray(whole[row : row + side, column : column + side]).resize((SIDE, SIDE))
            crop.save(FOLDER / f"crops/{name}-{number}.jpg")
            if number < 2:
                crop.save(FOLDER / f"{'strange' if name.startswith('imm') else 'few'}/{name}-{number}.jpg")
    import nibabel

    z, y, x = np.mgrid[0:30, 0:40, 0:40]
    body = 0.6 * np.exp(-((((x - 20) / 14) ** 2 + ((y - 20) / 17) ** 2 + ((z - 15) / 13) ** 2) ** 3))
    spot = 0.6 * np.exp(-(((x - 27) / 4) ** 2 + ((y - 15) / 4) ** 2 + ((z - 18) / 4) ** 2))
    values = (body + spot + 0.05 * rng.random(body.shape)).transpose(2, 1, 0).astype(np.float32)
    fine = np.kron(values, np.ones((4, 4, 1), np.float32))
    image = nibabel.Nifti1Image(fine, np.eye(4))  # type: ignore[no-untyped-call]
    nibabel.save(image, FOLDER / "phantom.nii.gz")


def shoot(browser: Browser, file: Path, step: Step, width: int, name: str) -> None:
    """Write docs/images/page-NAME-WIDTH.webp."""
    page = browser.new_page(viewport={"width": width, "height": SIZES[width]})
    page.goto(file.resolve().as_uri())
    page.wait_for_timeout(1500)
    step(page)
    page.wait_for_timeout(500)
    page.screenshot(path=FOLDER / "screen.png")
    page.close()
    small = Image.open(FOLDER / "screen.png").convert("RGB")
    small.save(ROOT / f"docs/images/page-{name}-{width}.webp", quality=80, method=6)


if __name__ == "__main__":
    main()
