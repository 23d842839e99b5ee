"""Files are named after their image, and no two images write the same file, whatever the outputs are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import relax
from relax.cli.outputs import OUTPUTS, Output, chosen_outputs, targets, write_outputs
from relax.explanation import Explanation
from relax.plotting.figure import figure_file

OVERLAY = Output("-overlay.png", lambda explanation: b"overlay of " + explanation.provenance["image"].encode())


def endings(outputs):
    return [output.ending for output in outputs]


def names(images, outputs, **keywords):
    return [target.name for target in targets(images, Path("out"), endings=endings(outputs), **keywords)]


def test_today_an_image_has_a_figure_the_maps_and_a_record():
    (target,) = targets(["photos/a.png"], Path("out"))

    assert target == Path("out/a")
    assert endings(OUTPUTS) == [".png", ".npz", ".json"]
    assert names(["a.png", "a-overlay.png"], OUTPUTS) == ["a", "a-overlay"]


def test_the_figure_has_the_chosen_format_and_the_overlay_comes_on_request(tmp_path):
    maps = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
    given = Explanation(maps, maps, maps, np.zeros((20, 30, 3), np.uint8), {"image": "a.png"})

    chosen = chosen_outputs("svg", overlay=True, panels=["importance"], theme="dark")
    figure, _, _, overlay = write_outputs(given, tmp_path / "a", chosen)

    assert endings(chosen_outputs("pdf", overlay=False)) == [".pdf", ".npz", ".json"]
    assert (figure.name, overlay.name) == ("a.svg", "a-overlay.png")
    assert figure.read_bytes() == figure_file(given, "svg", panels=["importance"], theme="dark")
    layer = Image.open(overlay)
    assert (layer.mode, layer.size) == ("RGBA", (30, 20))
    np.testing.assert_array_equal(np.asarray(layer), relax.overlay(given))


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (["a.png", "a-overlay.png"], ["a", "a-overlay-2"]),
        (["a-overlay.png", "a.png"], ["a-overlay", "a-2"]),
        (["a.png", "A-Overlay.jpg"], ["a", "A-Overlay-2"]),  # one file where upper and lower case are the same
        (["a.png", "a-overlay.png", "a-overlay-2.png"], ["a", "a-overlay-3", "a-overlay-2"]),
        (["a.png", "a-overlay.tif", "b/a.png"], ["a", "a-overlay-2", "a-2"]),
        (["a.png", "a-2-overlay.png", "b/a.png"], ["a", "a-2-overlay", "a-3"]),
    ],
)
def test_an_additional_output_reserves_its_complete_file_name(images, expected):
    """The overlay of a.png is a-overlay.png, and so is the figure of a-overlay.png."""
    assert names(images, (*OUTPUTS, OVERLAY)) == expected


def test_an_additional_output_overwrites_no_input():
    images = ["out/a.png", "out/b.png"]

    assert names(images, (*OUTPUTS, OVERLAY), inputs=["out/b-2-overlay.png"]) == ["a-2", "b-3"]


def test_every_file_holds_the_explanation_of_its_own_image(tmp_path):
    images, outputs = ["a.png", "a-overlay.png", "b/a.png"], (*OUTPUTS, OVERLAY)
    maps = np.zeros((2, 3), np.float32)
    blank = Explanation(maps, maps, maps, np.zeros((2, 3, 3), np.uint8), {"image": ""})
    outputs = [replace(output, content=OVERLAY.content) for output in outputs]

    files = {
        image: write_outputs(replace(blank, provenance={"image": image}), target, outputs)
        for image, target in zip(images, targets(images, tmp_path, endings=endings(outputs)), strict=True)
    }

    assert len(list(tmp_path.iterdir())) == 3 * 4
    for image, paths in files.items():
        assert [path.read_bytes() for path in paths] == [f"overlay of {image}".encode()] * 4
