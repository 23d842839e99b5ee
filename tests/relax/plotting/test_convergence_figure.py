"""The curve of the error is drawn as it is, with what a smaller error takes."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from relax.plotting.convergence import convergence_figure, draw_convergence
from tests.relax.report.test_report import explanation

CURVE = {"masks": [256, 512, 1024, 1100], "largest": [0.4, 0.3, 0.2, 0.18], "median": [0.3, 0.2, 0.1, 0.09]}
RECORD = {"image": "cat_$1.png", "encoder": {"name": "default"}, "similarity": "cosine", "tolerance": 0.1}


def drawn(**settings):
    axes = Figure().subplots()
    draw_convergence(axes, CURVE, **settings)
    return axes


def test_the_lines_are_the_points_and_the_dotted_one_halves_the_largest_error_with_four_times_the_masks():
    ahead, largest, median = (line.get_xydata() for line in drawn().lines)

    np.testing.assert_allclose(largest, np.transpose([CURVE["masks"], CURVE["largest"]]))
    np.testing.assert_allclose(median, np.transpose([CURVE["masks"], CURVE["median"]]))
    np.testing.assert_allclose(ahead, [[1100, 0.18], [4400, 0.09]])


def test_the_tolerance_is_a_line_of_its_own_and_named():
    axes = drawn(tolerance=0.1)

    assert axes.lines[-1].get_ydata() == [0.1, 0.1]
    assert "tolerance 0.1" in [text.get_text() for text in axes.texts]
    assert not any("tolerance" in text.get_text() for text in drawn().texts)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_labels_of_masks_do_not_touch_and_the_unit_is_said(theme):
    drawing = convergence_figure(CURVE, RECORD, theme=theme)
    drawing.draw_without_rendering()
    axes = drawing.axes[0]

    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["256", "512", "1,100", "4,400"]
    assert axes.get_ylabel() == "standard error of the mean cosine"
    assert axes.get_title(loc="left") == "cat_$1.png · encoder default"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masks": []}, "curve must have masks above 0"),
        ({"largest": [0.4, "0.3", 0.2, 0.1]}, "curve must have largest above 0"),
        ({"median": [0.3]}, "curve must have as many errors as masks"),
    ],
)
def test_what_is_no_curve_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        draw_convergence(Figure().subplots(), {**CURVE, **changes})


def test_an_explanation_plots_its_curve_alone_or_in_axes_of_the_caller():
    explained = explanation(record={"convergence": CURVE, "tolerance": 0.1})
    axes = Figure().subplots()

    assert explained.plot("convergence", ax=axes) is axes.figure
    alone = explained.plot("convergence", theme="dark").axes[0]

    for panel in (axes, alone):
        np.testing.assert_allclose(panel.lines[1].get_xydata(), np.transpose([CURVE["masks"], CURVE["largest"]]))
        assert panel.lines[-1].get_ydata() == [0.1, 0.1]
    with pytest.raises(ValueError, match="theme must be one of light, dark; got 'pink'"):
        explained.plot("convergence", theme="pink")
