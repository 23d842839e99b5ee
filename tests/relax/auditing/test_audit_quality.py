"""What is wrong with a picture is found by its own numbers; ordinary pictures have no problem."""

import csv

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage.data import chelsea
from torch.nn import functional as F

import relax
from relax.auditing.quality import CHECKS, check_pictures, judged, measured

PHOTOGRAPH = Image.fromarray(chelsea())
CROPS = [(x, y, x + 200, y + 150) for y in (0, 75, 150) for x in (0, 60, 120, 180, 240)]


def colours(pixels):
    """An encoder: the mean colours of a grid of 4 x 4."""
    return F.adaptive_avg_pool2d(pixels, 4).flatten(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Fifteen crops of a photograph, and one picture for each check."""
    root = tmp_path_factory.mktemp("pictures")
    for number, box in enumerate(CROPS):
        PHOTOGRAPH.crop(box).save(root / f"good-{number:02}.png")
    crop = PHOTOGRAPH.crop((100, 60, 300, 210))
    light = np.asarray(crop).astype(np.float64)
    two_shades = np.where(np.asarray(crop)[..., :1] > 128, (200, 120, 60), (40, 90, 20))
    planted = {
        "blank": Image.new("RGB", (200, 150), (90, 20, 20)),
        "dark": Image.fromarray((light * 0.25).astype(np.uint8)),
        "over-exposed": Image.fromarray(np.minimum(255, 238 + light / 6).astype(np.uint8)),
        "low information": Image.fromarray(two_shades.astype(np.uint8)),
        "blurred": crop.filter(ImageFilter.GaussianBlur(4)),
        "odd shape": PHOTOGRAPH.crop((0, 0, 400, 75)),
        "odd size": PHOTOGRAPH.resize((2000, 1500)).filter(ImageFilter.UnsharpMask(8, 300)),
        "no colour": crop.convert("L"),
    }
    for name, picture in planted.items():
        picture.save(root / f"{name}.png")
    return root


def test_every_check_finds_what_was_planted_for_it_and_nothing_else(folder):
    paths = sorted(path.name for path in folder.iterdir())

    quality = check_pictures(folder, paths, lambda done, total: None)

    problems = {name: [paths[image] for image in images] for name, images in quality.problems.items()}
    expected = {check.name: [f"{check.name}.png"] for check in CHECKS}
    for name in ("low information", "blurred"):  # nearly white nearly everywhere is that as well
        expected[name].append("over-exposed.png")
    assert problems == expected
    assert quality.by_picture(len(paths))[paths.index("dark.png")] == ["dark"]
    assert quality.by_picture(len(paths))[0] == (["blank"] if paths[0] == "blank.png" else [])


def test_measures_by_hand(tmp_path):
    """Half black, half pure green: one bit; the 99th percentile of the brightness is the square root of 0.691."""
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[:, 30:, 1] = 255
    Image.fromarray(pixels).save(tmp_path / "half.png")

    measures = measured(tmp_path / "half.png")

    edge = 0.587 * np.array([0] * 29 + [1, -1] + [0] * 29)
    assert (measures["width"], measures["height"]) == (60, 40)
    assert measures["entropy"] == pytest.approx(1)
    assert (measures["brightness_1"], measures["brightness_99"]) == pytest.approx((0, 0.691**0.5))
    assert measures["sharpness"] == pytest.approx(edge.std())
    assert measures["colour"] == 1


def test_a_picture_that_has_disappeared_has_no_measures_and_no_problem(folder):
    quality = check_pictures(folder, ["good-00.png", "gone.png", "blank.png"], lambda done, total: None)

    assert np.isnan(quality.measures["entropy"]).tolist() == [False, True, False]
    assert quality.problems == {"blank": (2,)}
    assert judged({}).problems == {}


def test_sharpness_size_and_colour_are_compared_with_the_folder(folder):
    """Half of the folder grey, or half twice as large, is how the folder is."""
    measures = check_pictures(folder, ["good-00.png"] * 12, lambda done, total: None).measures
    for name, value in (("colour", 0.0), ("width", 2000.0), ("sharpness", 0.01)):
        changed = {**measures, name: np.where(np.arange(12) < 6, value, measures[name])}
        assert judged(changed).problems == ({"odd shape": tuple(range(6))} if name == "width" else {}), name


def test_the_audit_tells_of_them(folder, tmp_path):
    result = relax.audit(folder, colours, tmp_path, explain=0, hide=0, layouts=["pca"])

    rows = {row["path"]: row["problems"] for row in csv.DictReader((tmp_path / "quality.csv").open())}
    assert rows["blank.png"] == "blank"
    assert rows["good-03.png"] == ""
    assert any("found 1 blank, 1 dark, 1 over-exposed" in finding for finding in result.findings)
    page = result.report.read_text()
    assert "Checks of the pictures" in page
    assert "Blurred: 2" in page
