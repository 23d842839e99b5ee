"""A comparison shows the image, the maps of each on its own scale, and how alike they are; no name is cut."""

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pytest

import relax
from tests.relax.plotting.explanations import check_that_nothing_overlaps_or_leaves, explanation, words


@dataclass
class Pair:
    """How alike two maps are."""

    first: str
    second: str
    rank_correlation: float
    ssim: float


@dataclass
class Compared:
    """Explanations side by side, with likenesses by hand."""

    explanations: dict
    failures: dict = field(default_factory=dict)
    varied: str = "encoders"
    limits: tuple | None = None
    alike: tuple = (0.25, 0.75)

    def likenesses(self):
        return [Pair(a, b, *self.alike) for a, b in combinations(self.explanations, 2)]


def comparison(*names, **keywords):
    """Maps whose values are higher for every further name."""
    rng = np.random.default_rng(0)
    maps = [(rng.random((20, 30)) + place).astype(np.float32) for place in range(len(names))]
    explained = {name: explanation(20, 30, importance=values) for name, values in zip(names, maps, strict=True)}
    return Compared(explained, **keywords)


def maps_of(drawing):
    """The axes with values; those of the square have a text in each field."""
    drawn = [axes for axes in drawing.axes if axes.images and not axes.texts]
    return [axes for axes in drawn if axes.images[-1].get_array().ndim == 2]


def test_each_map_has_a_scale_of_its_own_unless_they_share_one():
    own = relax.figure(comparison("x", "y"), panels=["importance"])
    shared = relax.figure(comparison("x", "y", limits=(0.0, 2.0)), panels=["importance"])

    first, second = (axes.images[-1].norm for axes in maps_of(own))
    assert first.vmax < 1 < second.vmin
    assert [(axes.images[-1].norm.vmin, axes.images[-1].norm.vmax) for axes in maps_of(shared)] == [(0, 2), (0, 2)]
    assert "each map on its own scale" in words(own)
    assert "one colour scale for all maps" in words(shared)
    asked = relax.figure(comparison("x", "y"), panels=["importance"], scales="shared")
    assert len({axes.images[-1].norm.vmin for axes in maps_of(asked)}) == 1


def test_the_default_is_the_overlay_with_its_rule_said_once():
    text = words(relax.figure(comparison("x", "y")))

    assert text.count("clear below the median, 60% opaque in the outlined top 20%") == 1
    assert "a x" in text
    assert "b y" in text
    assert text.count("3,001 passes, 1.5 s") == 2


def test_the_likeness_stands_in_a_square_rank_correlation_above_the_diagonal():
    drawing = relax.figure(comparison("x", "y", "z", alike=(-0.25, np.nan)))

    (square,) = [axes for axes in drawing.axes if axes.texts]
    numbers = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in square.texts}
    for row in range(3):
        assert numbers[row, row] == "abc"[row]
        for column in range(3):
            if row != column:
                assert numbers[row, column] == ("−0.25" if column > row else "–")


def test_several_panels_each_stand_in_rows_under_the_name():
    drawing = relax.figure(comparison("x", "y"), panels=["overlay", "importance", "uncertainty"])

    assert [text.get_text() for text in drawing.texts if text.get_weight() == "bold"] == [
        "photos/cat.png",
        "a x · 3,001 passes, 1.5 s",
        "b y · 3,001 passes, 1.5 s",
    ]


def test_a_failure_is_listed_with_its_reason_and_a_doubt_beside_its_map():
    scale = {"cosine": {"masked": {"mean": 0.999, "min": 0.99, "max": 1.0}}}
    given = comparison("x", "y", failures={"attention": "needs a transformer"})
    given.explanations["y"] = explanation(20, 30, record={"scale": scale})

    text = words(relax.figure(given))

    assert "not drawn: attention: needs a transformer" in text
    assert text.count("hiding hardly moves the embedding") == 1


@pytest.mark.parametrize("page", [3.3, 7.2])
@pytest.mark.parametrize("count", [1, 2, 5, 9])
@pytest.mark.parametrize(
    "name", ["Q", "timm:vit_small_patch14_dinov2.lvd142m?size=224&mean=0.485", "W" * 90, "a b " * 25]
)
def test_no_name_is_cut_or_written_over_at_any_number(count, name, page):
    drawing = relax.figure(comparison(*(f"{name}{place}" for place in range(count))), width=page)

    check_that_nothing_overlaps_or_leaves(drawing)
    assert words(drawing).replace(" ", "").count(name.replace(" ", "")) == count
