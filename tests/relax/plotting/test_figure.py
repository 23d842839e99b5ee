"""The figure shows the maps unchanged, on stated scales, with a caption that explains them, for any image."""

import io
import itertools
import math
import warnings

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

import relax
from relax.explanation import Explanation
from relax.plotting.figure import figure, png
from relax.text import number, shortened

PROVENANCE = {
    "image": "photos/cat.png",
    "encoder": {"name": "default", "checksum": "ab", "input_size": [64, 64]},
    "similarity": "cosine",
    "reference": "itself",
    "masks": {"kind": "random-grid", "cells": 7, "keep": 0.5, "seed": 3, "count": 3000},
    "fill": "mean",
    "seed": 3,
    "tolerance": None,
    "converged": None,
}


def explanation(height=12, width=16, unseen=None, record=None, **maps):
    """Random maps in a narrow band; `unseen` is an index of pixels that the encoder never saw."""
    rng = np.random.default_rng(0)
    values = {
        "importance": rng.uniform(0.80, 0.84, (height, width)).astype(np.float32),
        "uncertainty": rng.uniform(0.001, 0.003, (height, width)).astype(np.float32),
        "standard_error": np.full((height, width), 0.0004, np.float32),
    } | maps
    if unseen is not None:
        for name in values:
            values[name][unseen] = np.nan
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Explanation(**values, image=image, provenance=PROVENANCE | (record or {}))


def panels(drawing):
    """The axes of image, importance, uncertainty and U-RELAX, without the colour bars."""
    return [axes for axes in drawing.axes if axes.images]


def words(drawing):
    return " ".join(text.get_text() for text in drawing.texts).replace("\xa0", " ")


def bars(drawing):
    """The labels of the colour bars of importance, uncertainty and U-RELAX."""
    return [[tick.get_text() for tick in axes.get_xticklabels()] for axes in drawing.axes if not axes.images]


def test_every_panel_shows_its_array_unchanged():
    given = explanation()

    image, importance, uncertainty, certain = panels(figure(given))

    assert (image.images[0].get_array() == given.image).all()
    assert (importance.images[0].get_array() == given.importance).all()
    assert (uncertainty.images[0].get_array() == given.uncertainty).all()
    drawn = certain.images[-1].get_array()
    np.testing.assert_array_equal(drawn.filled(np.nan), given.u_relax())


def test_scales_span_the_map_itself_and_u_relax_shares_that_of_the_importance():
    given = explanation()

    _, importance, uncertainty, certain = panels(figure(given))

    assert importance.images[-1].norm.vmin == given.importance.min()
    assert importance.images[-1].norm.vmax == given.importance.max()
    assert uncertainty.images[-1].norm.vmax == given.uncertainty.max()
    assert certain.images[-1].norm.vmin == importance.images[-1].norm.vmin
    assert certain.images[-1].norm.vmax == importance.images[-1].norm.vmax
    assert certain.images[-1].get_cmap() == importance.images[-1].get_cmap()


def test_colour_bars_state_the_ends_and_the_middle():
    maps = np.tile(np.linspace(0.80, 0.84, 16, dtype=np.float32), (12, 1))

    ends = bars(figure(explanation(importance=maps, uncertainty=(maps - 0.79) / 1000)))

    assert ends == [["0.800", "0.820", "0.840"], ["1.0×10⁻⁵", "3.0×10⁻⁵", "5.0×10⁻⁵"], ["0.800", "0.820", "0.840"]]


def test_the_narrow_band_of_the_cosine_is_stated():
    maps = np.tile(np.linspace(0.80, 0.84, 16, dtype=np.float32), (12, 1))

    assert "colours span 0.040 of the measure's range of 2" in words(figure(explanation(importance=maps)))
    assert "colours span" not in words(figure(explanation(record={"similarity": "dot"})))


def test_given_limits_are_used_and_values_beyond_them_point_the_bar():
    given = explanation()

    drawing = figure(given, limits={"importance": (0.81, 0.9)})

    norm = panels(drawing)[1].images[-1].norm
    assert (norm.vmin, norm.vmax) == (0.81, 0.9)
    assert bars(drawing)[0] == ["0.810", "0.855", "0.900"]
    first, second, third = [axes for axes in drawing.axes if not axes.images]
    extended = [axes._colorbar.extend for axes in (first, second, third)]
    assert extended == ["min", "neither", "min"]


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"weight": (0, 1)}, "limits are for importance and uncertainty; got weight"),
        ({"importance": (1, 1)}, r"limits of importance must be two numbers \(low, high\), low below high"),
        ({"uncertainty": (0, math.nan)}, "limits of uncertainty must be two numbers"),
    ],
)
def test_impossible_limits_are_refused(limits, text):
    with pytest.raises(ValueError, match=text):
        figure(explanation(), limits=limits)


def test_pixels_never_seen_are_hatched_and_named():
    drawing = figure(explanation(unseen=np.s_[:, :4]))

    for panel in panels(drawing)[1:]:
        assert panel.images[-1].get_array().mask[:, :4].all()
        assert panel.patches[0].get_hatch()
        assert panel.patches[0].get_zorder() < panel.images[0].get_zorder()
    below = panels(drawing)[3].images[0].get_array()
    assert (below[:, :4, 3] == 0).all()  # the greyed image does not cover the hatch either
    assert (below[:, 4:, 3] == 255).all()
    assert "hatched: never seen by the encoder" in words(drawing)
    assert "never seen" not in words(figure(explanation()))


def test_the_drawn_hatch_is_visible_and_the_map_covers_it_elsewhere():
    """Right half never seen: there only greys are drawn, on the left only colours of the map."""
    given = explanation(unseen=np.s_[:, 8:], importance=np.full((12, 16), 0.5, np.float32))
    drawing = figure(given)
    canvas = FigureCanvasAgg(drawing)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    box = panels(drawing)[1].get_window_extent()
    top = pixels.shape[0] - int(box.y1)
    panel = pixels[top + 5 : top + int(box.height) - 5, int(box.x0) + 5 : int(box.x1) - 5]

    left, right = panel[:, : panel.shape[1] // 2 - 5], panel[:, panel.shape[1] // 2 + 5 :]

    assert len(np.unique(left.reshape(-1, 3), axis=0)) == 1  # a constant map has a single colour
    assert np.ptp(left[0, 0]) > 50  # no grey
    assert (np.ptp(right, axis=-1) == 0).all()  # greys
    assert len(np.unique(right[..., 0])) > 3  # several: the hatch


def test_the_caption_says_how_the_maps_were_made():
    text = words(figure(explanation()))

    for phrase in (
        "photos/cat.png",
        "encoder default",
        "cosine to the image itself",
        "3,000 masks",
        "random-grid",
        "cells 7",
        "keep 0.5",
        "fill mean",
        "seed 3",
        "(quantile 0.5), keeps 50%",
        "median standard error of the importance 4.0×10⁻⁴",
    ):
        assert phrase in text


def test_the_caption_follows_the_settings():
    given = explanation(record={"fill": [0.5, 0.25, 0.1], "tolerance": 0.002, "converged": False})

    assert "fill 0.5, 0.25, 0.1" in words(figure(given))
    assert "tolerance 0.002 NOT reached" in words(figure(given))
    reached = explanation(record={"tolerance": 0.002, "converged": True})
    assert "tolerance 0.002 reached" in words(figure(reached))
    assert "U-RELAX threshold 0.0020 (given)" in words(figure(given, threshold=0.002))
    assert "1.1 × the mean" in words(figure(given, gamma=1.1))
    assert "keeps 25%" in words(figure(given, quantile=0.25))
    unknown = explanation(standard_error=np.full((12, 16), np.nan, np.float32))
    assert "no standard error (the masks are not random)" in words(figure(unknown))


@pytest.mark.parametrize("value", [0.0, 0.5, -3.0, 1e-9, 1e6])
def test_constant_maps_are_drawn(value):
    flat = np.full((12, 16), value, np.float32)

    drawing = figure(explanation(importance=flat, uncertainty=np.zeros_like(flat)))

    assert png(explanation(importance=flat, uncertainty=np.zeros_like(flat)))
    assert [len(labels) for labels in bars(drawing)] == [1, 1, 1]
    norm = panels(drawing)[1].images[-1].norm
    assert norm(flat[0, 0]) == pytest.approx(0.5, abs=0.02)  # the middle of the scale
    assert "constant" in words(drawing)


@pytest.mark.filterwarnings("ignore:All-NaN slice")
def test_maps_that_are_nowhere_defined_are_drawn():
    drawing = figure(explanation(unseen=np.s_[:]))

    assert bars(drawing) == [[], [], []]
    assert "nowhere defined" in words(drawing)


@pytest.mark.parametrize(("height", "width"), [(40, 40), (30, 70), (4, 400), (400, 4), (60, 30)])
def test_nothing_overlaps_or_leaves_the_figure(height, width):
    name = "a_long_folder/" * 30 + "W" * 40 + ".png"
    record = {"image": name, "encoder": {"name": name}, "reference": name, "tolerance": 0.001, "converged": True}
    drawing = figure(explanation(height, width, unseen=np.s_[0], record=record))
    FigureCanvasAgg(drawing).draw()
    page = drawing.bbox

    texts = [text for text in drawing.texts if text.get_text()]
    boxes = [text.get_window_extent() for text in texts] + [axes.get_window_extent() for axes in drawing.axes]
    ticks = [tick.get_window_extent() for axes in drawing.axes for tick in axes.get_xticklabels()]

    for box in boxes + ticks:
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
        assert page.y0 <= box.y0
        assert box.y1 <= page.y1
    for first, second in itertools.combinations(boxes, 2):
        assert not first.overlaps(second)
    for text, tick in itertools.product(boxes[: len(texts)], ticks):
        assert not text.overlaps(tick)


@pytest.mark.parametrize("name", [r"$\frac{1}{$.png", "$x^2$", "two\nlines.png", "%s{}[bold]", "猫.png"])
def test_names_are_plain_text(name):
    drawing = figure(explanation(record={"image": name, "reference": name, "encoder": {"name": name}}))

    assert name.replace("\n", "?") in words(drawing)
    assert png(explanation(record={"image": name}))


def test_png_gives_the_bytes_of_an_image_file():
    picture = Image.open(io.BytesIO(png(explanation(), quantile=0.3)))

    assert picture.format == "PNG"
    assert picture.width > 1000


def test_drawing_leaves_no_global_state():
    before, settings = plt.get_fignums(), dict(matplotlib.rcParams)
    given = explanation()
    copies = [given.importance.copy(), given.uncertainty.copy(), given.image.copy()]

    png(given)

    assert plt.get_fignums() == before
    assert dict(matplotlib.rcParams) == settings
    for array, copy in zip([given.importance, given.uncertainty, given.image], copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(
    ("value", "span", "text"),
    [
        (0.81234, 0.04, "0.812"),
        (-1.5, 1.5, "−1.5"),
        (0.0, 1.0, "0"),
        (0.000123, None, "1.2×10⁻⁴"),
        (123456.0, 10000.0, "1.23×10⁵"),
        (0.5, None, "0.50"),
        (42.0, None, "42"),
        (float("nan"), None, "undefined"),
    ],
)
def test_numbers_have_the_digits_that_tell_them_apart(value, span, text):
    assert number(value, span) == text


def test_shortening_keeps_both_ends():
    assert shortened("cat.png", 10) == "cat.png"
    assert shortened("abcdefghijklmnop.png", 10) == "abc…op.png"


def test_another_method_is_drawn_in_its_own_unit_and_without_an_uncertainty():
    picture = np.random.default_rng(0).random((20, 24, 3), dtype=np.float32)
    result = relax.explain(picture, "random:timm:test_resnet", method="occlusion")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        texts = [text.get_text() for text in relax.figure(result).findobj(lambda a: hasattr(a, "get_text"))]

    assert "drop of the cosine" in texts
    assert "nowhere defined" in texts
    assert any(
        text.startswith("encoder random:timm:test_resnet · occlusion of ")
        for text in (t.replace("\xa0", " ") for t in texts)
    )
    assert np.isnan(result.u_relax()).all()
    assert np.isnan(result.u_relax(gamma=1.0)).all()
