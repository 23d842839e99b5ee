"""The figure shows the maps unchanged, on stated scales, with a caption that explains them, for any image."""

import math
import warnings

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import relax
from relax.plotting.figure import figure, figure_file
from relax.plotting.kinds import KINDS
from relax.plotting.overlay import outlines
from relax.text import number, shortened
from tests.relax.plotting.explanations import check_that_nothing_overlaps_or_leaves, explanation, with_importance, words

ALL = tuple(KINDS)
MAPS = ("importance", "uncertainty", "standard_error")


def panels(drawing):
    """The axes of the panels, without the colour bars."""
    return [axes for axes in drawing.axes if axes.images]


def bars(drawing):
    """The labels of the colour bars."""
    return [[tick.get_text() for tick in axes.get_xticklabels()] for axes in drawing.axes if not axes.images]


def norm(axes):
    return axes.images[-1].norm.vmin, axes.images[-1].norm.vmax


def test_the_default_shows_image_overlay_importance_and_uncertainty():
    text = words(figure(explanation()))

    titles = ["image", "importance over the image", "importance", "uncertainty"]
    assert [text_.get_text() for text_ in figure(explanation()).texts if text_.get_text() in titles] == titles
    assert "clear below the median, 60% opaque in the outlined top 20%" in text


def test_every_map_is_drawn_unchanged():
    given = explanation(standard_error=np.linspace(0.001, 0.004, 192, dtype=np.float32).reshape(12, 16))

    image, *maps = panels(figure(given, panels=["image", *MAPS]))

    assert (image.images[0].get_array() == given.image).all()
    for axes, name in zip(maps, MAPS, strict=True):
        assert (axes.images[0].get_array() == getattr(given, name)).all()
        assert norm(axes) == (getattr(given, name).min(), getattr(given, name).max())


def test_the_overlay_lies_over_the_image_in_grey():
    y, x = np.mgrid[:40, :60] / 10
    given = with_importance(np.exp(-((y - 2) ** 2) - (x - 3) ** 2))

    (axes,) = panels(figure(given, panels=["overlay"], alpha=0.4))

    below, above = (drawn.get_array() for drawn in axes.images)
    red, green, blue = np.moveaxis(given.image.astype(float), -1, 0)
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    np.testing.assert_allclose(below[..., :3], np.repeat(grey[..., None], 3, -1), atol=0.51)
    np.testing.assert_array_equal(above, relax.overlay(given, alpha=0.4, outline=False))
    (lines,) = axes.collections
    assert [segment.tolist() for segment in lines.get_segments()] == [
        line.tolist() for line in outlines(given.importance)
    ]
    assert len(lines.get_segments()) == 1


def test_u_relax_colours_the_image_where_the_importance_is_certain_and_shows_it_everywhere():
    given = explanation()

    (axes,) = panels(figure(given, panels=["u_relax"], quantile=0.25, alpha=0.4))

    below, above = (drawn.get_array() for drawn in axes.images)
    certain = np.isfinite(given.u_relax(quantile=0.25))
    assert (above[certain, 3] == 102).all()
    assert (above[~certain, 3] == 0).all()
    assert (below[..., 3] == 255).all()
    expected = matplotlib.colormaps["viridis"](
        (given.importance - given.importance.min()) / np.ptp(given.importance), bytes=True
    )
    np.testing.assert_allclose(above[certain, :3], expected[certain, :3], atol=3)


def test_overlay_importance_and_u_relax_have_one_scale():
    drawing = figure(explanation(), panels=["overlay", "importance", "u_relax"], limits={"importance": (0.81, 0.9)})

    assert bars(drawing) == [["0.810", "0.855", "0.900"]] * 3


def test_colour_bars_state_the_ends_and_the_middle():
    maps = np.tile(np.linspace(0.80, 0.84, 16, dtype=np.float32), (12, 1))

    ends = bars(figure(explanation(importance=maps, uncertainty=(maps - 0.79) / 1000)))

    assert ends[1:] == [["0.800", "0.820", "0.840"], ["1.0×10⁻⁵", "3.0×10⁻⁵", "5.0×10⁻⁵"]]


def test_a_bar_across_zero_states_zero():
    values = np.tile(np.linspace(-0.5, 1.5, 16, dtype=np.float32), (12, 1))

    assert bars(figure(with_importance(values), panels=["importance"])) == [["−0.5", "0", "1.5"]]


def test_a_colour_map_that_diverges_is_centred_on_zero():
    drawing = figure(with_importance([[-0.5, 1.5]]), panels=["importance"], cmap="RdBu_r")

    (axes,) = panels(drawing)
    assert norm(axes) == (-1.5, 1.5)
    assert axes.images[-1].get_cmap().name == "RdBu_r"
    assert bars(drawing) == [["−1.5", "0", "1.5"]]


def test_the_narrow_band_of_the_cosine_is_stated():
    maps = np.tile(np.linspace(0.80, 0.84, 16, dtype=np.float32), (12, 1))

    assert "colours span 0.040 of the measure's range of 2" in words(figure(explanation(importance=maps)))
    assert "colours span" not in words(figure(explanation(record={"similarity": "dot"})))


def test_given_limits_are_used_and_values_beyond_them_point_the_bar():
    given = explanation()

    drawing = figure(given, limits={"importance": (0.81, 0.9)})

    assert norm(panels(drawing)[2]) == (0.81, 0.9)
    extended = [axes._colorbar.extend for axes in drawing.axes if not axes.images]
    assert extended == ["min", "min", "neither"]


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"weight": (0, 1)}, "limits are for importance, uncertainty and standard_error; got weight"),
        ({"\x1b[31mred\n": (0, 1)}, r"limits are for importance, .*; got \?\[31mred\?"),
        ({"importance": (1, 1)}, r"limits of importance must be two numbers \(low, high\), low below high"),
        ({"uncertainty": (0, math.nan)}, "limits of uncertainty must be two numbers"),
    ],
)
def test_impossible_limits_are_refused(limits, text):
    with pytest.raises(ValueError, match=text):
        figure(explanation(), limits=limits)


@pytest.mark.parametrize(
    ("keywords", "text"),
    [
        ({"panels": ["overlai"]}, "panels must be one of image, overlay, .*; got 'overlai': did you mean 'overlay'?"),
        ({"panels": []}, "panels must be one or more names; got none"),
        ({"panels": "overlay"}, "panels must be a list of one or more names; got 'overlay'"),
        ({"theme": "drak"}, "theme must be one of light, dark; got 'drak': did you mean 'dark'?"),
        ({"cmap": 3}, "cmap must be the name of a colour map of matplotlib, .*; got 3"),
        ({"alpha": -1}, "alpha is an opacity, between 0 and 1; got -1"),
        ({"width": 1}, "width must be 2 to 100 inches; got 1"),
    ],
)
def test_impossible_choices_are_refused(keywords, text):
    with pytest.raises(ValueError, match=text.replace("?", r"\?")):
        figure(explanation(), **keywords)


def test_pixels_never_seen_are_hatched_and_named():
    drawing = figure(explanation(unseen=np.s_[:, :4]), panels=ALL)

    _, overlay, *maps, certain = panels(drawing)
    for axes in (overlay, *maps, certain):
        assert axes.patches[0].get_hatch()
        assert axes.patches[0].get_zorder() < axes.images[0].get_zorder()
    for axes in maps:
        assert axes.images[-1].get_array().mask[:, :4].all()
    for axes in (overlay, certain):
        image, layer = (drawn.get_array() for drawn in axes.images)
        assert (image[:, :4, 3] == 0).all()  # the image does not cover the hatch either
        assert (image[:, 4:, 3] == 255).all()
        assert (layer[:, :4, 3] == 0).all()
    assert "hatched: never seen by the encoder" in words(drawing)
    assert "never seen" not in words(figure(explanation()))


def test_around_a_region_the_photograph_shows_and_the_caption_names_the_region():
    record = {"within": {"named": "lesion.png", "sha256": "ab", "share": 0.0312}}
    drawing = figure(explanation(unseen=np.s_[:, :4], record=record), panels=ALL)

    _, overlay, *maps, certain = panels(drawing)
    for axes in (overlay, *maps, certain):
        assert not axes.patches
        around = axes.images[0].get_array()
        np.testing.assert_array_equal(around[..., :3].std(-1), 0)
        assert len(np.unique(around[:, :4, 0])) > 20
        assert around.shape[-1] == 3 or (around[..., 3] == 255).all()
    for axes in maps:
        assert axes.images[-1].get_array().mask[:, :4].all()
    text = words(drawing)
    assert "within lesion.png (3.1% of the picture)" in text
    assert "the photograph: outside the region, and always visible" in text
    assert "never seen" not in text


def test_the_drawn_hatch_is_visible_and_the_map_covers_it_elsewhere():
    """Right half never seen: there only greys are drawn, on the left only colours of the map."""
    given = explanation(unseen=np.s_[:, 8:], importance=np.full((12, 16), 0.5, np.float32))
    drawing = figure(given, panels=["importance"])
    canvas = FigureCanvasAgg(drawing)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    box = panels(drawing)[0].get_window_extent()
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
        "median standard error of the importance 4.0×10⁻⁴",
    ):
        assert phrase in text


def test_the_caption_follows_the_settings():
    given = explanation(record={"fill": [0.5, 0.25, 0.1], "tolerance": 0.002, "converged": False})

    assert "fill 0.5, 0.25, 0.1" in words(figure(given))
    assert "tolerance 0.002 NOT reached" in words(figure(given))
    reached = explanation(record={"tolerance": 0.002, "converged": True})
    assert "tolerance 0.002 reached" in words(figure(reached))
    unknown = explanation(standard_error=np.full((12, 16), np.nan, np.float32))
    assert "no standard error (the masks are not random)" in words(figure(unknown))


def test_a_list_has_a_row_for_each_and_says_once_what_they_share():
    cat, dog = explanation(), explanation(record={"image": "dog.png", "seed": 4})

    drawing = figure([cat, dog], panels=["image", "importance"])

    assert [text.get_text() for text in drawing.texts if text.get_weight() == "bold"] == ["photos/cat.png", "dog.png"]
    tops = [round(axes.get_position().y1, 3) for axes in panels(drawing)]
    assert tops[0] == tops[1] > tops[2] == tops[3]
    text = words(drawing)
    assert text.count("encoder default") == 1
    assert "photos/cat.png: seed 3" in text
    assert "dog.png: seed 4" in text
    assert "each map has a colour scale of its own" in text


def test_a_list_may_share_its_scales():
    low, high = with_importance([[0.1, 0.3]]), with_importance([[0.2, 0.7]])

    def scales(**keywords):
        return [norm(axes) for axes in panels(figure([low, high], panels=["importance"], **keywords))]

    assert scales() == [pytest.approx((0.1, 0.3)), pytest.approx((0.2, 0.7))]
    assert scales(scales="shared") == [pytest.approx((0.1, 0.7))] * 2


def test_maps_in_different_units_share_no_scale():
    other = explanation(record={"map": "mean activation"})

    with pytest.raises(ValueError, match='scales="shared" needs maps in one unit; got mean cosine and mean activation'):
        figure([explanation(), other], scales="shared")


@pytest.mark.parametrize(("nothing", "got"), [([], r"\[\]"), (3, "3"), ([1, 2], r"\[1, 2\]"), ("cat.npz", "'cat.npz'")])
def test_what_is_no_explanation_is_refused(nothing, got):
    with pytest.raises(ValueError, match=f"explanation must be what relax.explain gives, a list .*; got {got}"):
        figure(nothing)


def test_panels_are_drawn_into_given_axes_with_their_scale():
    drawing, places = plt.subplots(1, 2)
    given = explanation()

    returned = figure(given, panels=["image", "importance"], ax=places)

    assert returned is drawing
    assert [axes.get_title(loc="left") for axes in places] == ["image", "importance"]
    assert (places[1].images[0].get_array() == given.importance).all()
    (bar,) = [axes for axes in drawing.axes if axes not in places]
    low, *_, high = (float(tick.get_text()) for tick in bar.get_xticklabels())
    assert (low, high) == (
        pytest.approx(given.importance.min(), abs=1e-3),
        pytest.approx(given.importance.max(), abs=1e-3),
    )
    assert bar.get_xlabel() == "mean cosine similarity"
    plt.close(drawing)


def test_there_must_be_an_axes_for_each_panel():
    drawing, axes = plt.subplots()

    with pytest.raises(ValueError, match="ax must be one of matplotlib's Axes for each panel, here 4; got 1"):
        figure(explanation(), ax=axes)
    plt.close(drawing)


def test_an_explanation_plots_one_panel():
    drawing, axes = plt.subplots()
    given = explanation()

    assert given.plot("importance", ax=axes) is drawing
    assert (axes.images[0].get_array() == given.importance).all()
    alone = given.plot(alpha=0.3)
    assert "importance over the image" in words(alone)
    assert (len(panels(alone)), alone.get_figwidth()) == (1, 3.5)
    plt.close(drawing)


def test_the_caption_says_what_u_relax_keeps_where_it_is_drawn():
    given = explanation()

    def caption(**keywords):
        return words(figure(given, panels=["u_relax"], **keywords))

    assert "(quantile 0.5), keeps 50%" in caption()
    assert "U-RELAX threshold 0.0020 (given)" in caption(threshold=0.002)
    assert "coloured where the uncertainty is ≤ 0.0020" in caption(threshold=0.002)
    assert "1.1 × the mean" in caption(gamma=1.1)
    assert "keeps 25%" in caption(quantile=0.25)
    assert "U-RELAX" not in words(figure(given))


@pytest.mark.parametrize("value", [0.0, 0.5, -3.0, 1e-9, 1e6])
def test_constant_maps_are_drawn(value):
    flat = np.full((12, 16), value, np.float32)

    drawing = figure(explanation(importance=flat, uncertainty=np.zeros_like(flat)))

    assert figure_file(explanation(importance=flat, uncertainty=np.zeros_like(flat)))
    assert [len(labels) for labels in bars(drawing)] == [1, 1, 1]
    assert panels(drawing)[2].images[-1].norm(flat[0, 0]) == pytest.approx(0.5, abs=0.02)  # the middle of the scale
    assert "constant" in words(drawing)


@pytest.mark.filterwarnings("ignore:All-NaN slice")
def test_maps_that_are_nowhere_defined_are_drawn():
    drawing = figure(explanation(unseen=np.s_[:]), panels=ALL)

    assert bars(drawing) == [[], [], [], [], []]
    assert "nowhere defined" in words(drawing)


@pytest.mark.parametrize("page", [3.3, 7.2])
@pytest.mark.parametrize("shape", [(40, 40), (30, 70), (4, 400), (400, 4), (60, 30), (1, 1)])
def test_nothing_overlaps_or_leaves_the_figure(shape, page):
    name = "a_long_folder/" * 30 + "W" * 40 + ".png"
    record = {"image": name, "encoder": {"name": name}, "reference": name, "tolerance": 0.001, "converged": True}
    drawing = figure(explanation(*shape, unseen=np.s_[1:2], record=record), panels=ALL, width=page)

    check_that_nothing_overlaps_or_leaves(drawing)
    assert drawing.get_figwidth() == page


def test_text_keeps_its_size_in_a_column():
    sizes = {text.get_fontsize() for text in figure(explanation(), width=3.3).texts}

    assert sizes == {6.0, 7.0, 8.0}


def test_a_column_has_two_panels_side_by_side_and_a_page_four():
    def lefts(width):
        return len({round(axes.get_position().x0, 3) for axes in panels(figure(explanation(), width=width))})

    assert (lefts(3.3), lefts(7.2)) == (2, 4)


def test_a_dark_figure_has_light_text_on_a_dark_page():
    def luma(colour):
        return float(np.dot(matplotlib.colors.to_rgb(colour), (0.299, 0.587, 0.114)))

    drawing = figure(explanation(), theme="dark")

    assert luma(drawing.get_facecolor()) < 0.15
    labels = [tick for axes in drawing.axes for tick in axes.get_xticklabels()]
    assert all(luma(text.get_color()) > 0.6 for text in (*drawing.texts, *labels))


@pytest.mark.parametrize("name", [r"$\frac{1}{$.png", "$x^2$", "two\nlines.png", "%s{}[bold]", "猫.png"])
def test_names_are_plain_text(name):
    drawing = figure(explanation(record={"image": name, "reference": name, "encoder": {"name": name}}))

    assert name.replace("\n", "?") in words(drawing)
    assert figure_file(explanation(record={"image": name}))


def test_drawing_leaves_no_global_state():
    before, settings = plt.get_fignums(), dict(matplotlib.rcParams)
    given = explanation()
    copies = [given.importance.copy(), given.uncertainty.copy(), given.image.copy()]

    figure_file(given, panels=ALL)

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
    assert any(text.startswith("encoder random:timm:test_resnet · occlusion of ") for text in texts)
    assert np.isnan(result.u_relax()).all()
    assert np.isnan(result.u_relax(gamma=1.0)).all()
