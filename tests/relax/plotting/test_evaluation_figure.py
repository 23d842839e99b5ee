"""The figure of an evaluation shows every method and metric, cuts no label, and tells methods apart without colour."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from relax.metrics import METRICS, Evaluation, Outcome
from relax.plotting.evaluation import _styles

METHODS = ("relax", "integrated-gradients", "random")
NAMES = ("auc", "representation-shift", "insertion", "monotonicity-correlation")
ITSELF = "cosine to the image itself"


@pytest.fixture
def evaluation():
    random = np.random.default_rng(0)
    outcomes = [
        Outcome(
            f"{picture}.png",
            method,
            {name: float(random.random() + place) for name in NAMES},
            curves={"insertion": tuple(np.linspace(0, 1, 21) ** (place + 1))},
        )
        for picture in range(8)
        for place, method in enumerate(METHODS)
    ]
    return Evaluation(
        tuple(outcomes), tuple(METRICS[name] for name in NAMES), {"scores": dict.fromkeys(METHODS, ITSELF)}
    )


def texts(figure):
    return [text for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text().strip()]


def test_every_metric_and_method_is_named_and_nothing_is_cut(evaluation):
    figure = evaluation.plot()

    figure.draw_without_rendering()
    words = [text.get_text() for text in texts(figure)]
    assert all(any(name in word for word in words) for name in NAMES)
    assert all(words.count(method) >= len(NAMES) for method in METHODS)
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert (box.x0, box.y0) >= (0, 0)
    assert box.x1 <= width
    assert box.y1 <= height


def test_dots_lie_at_the_means_and_lines_span_the_intervals(evaluation):
    axes = next(axes for axes in evaluation.plot("metrics").axes if axes.get_title(loc="left").startswith("auc"))

    means = [mean for mean in evaluation.summary() if mean.metric == "auc"]
    dots = [line.get_xydata() for line in axes.lines if line.get_marker() != "None"]
    spans = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2]
    np.testing.assert_allclose([dot[0] for dot in dots], [[mean.mean, place] for place, mean in enumerate(means)])
    np.testing.assert_allclose(spans, [[mean.low, mean.high] for mean in means])


def test_only_methods_level_with_the_best_are_filled(evaluation):
    axes = evaluation.plot("ranks").axes[0]

    (localisation, *_) = evaluation.standings()
    dots = [line for line in axes.lines if len(line.get_xdata()) == 1]
    filled = [to_hex(dot.get_markerfacecolor()) != "#ffffff" for dot in dots]
    assert filled == list(localisation.level.values())
    assert filled == [True, False, False]


def test_methods_differ_in_grey_as_well():
    styles = _styles(["relax", "lafam", "gradcam", "layercam", "lime", "occlusion", "saliency", "random", "centre"])

    assert len({style.marker for style in styles.values()}) == len(styles)
    assert styles["random"].colour == styles["centre"].colour  # the controls


def test_what_cannot_be_drawn_is_refused(evaluation):
    with pytest.raises(ValueError, match="parts must be one of ranks, metrics, curves; got 'rank': did you mean"):
        evaluation.plot("rank")
    failed = Evaluation((Outcome("a.png", "relax", {}, failure="a.png: no picture"),), (), {})
    with pytest.raises(ValueError, match="nothing to draw: no ranks or metrics or curves of this evaluation"):
        failed.plot()
    assert isinstance(evaluation.plot("curves"), Figure)
