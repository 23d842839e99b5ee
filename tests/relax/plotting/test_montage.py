"""A montage of a volume: which slices, one colour scale for all of them, tinted by the whole map, and in words."""

from types import SimpleNamespace

import numpy as np
import pytest

import relax
from relax.explanation import Explanation


def volume(count=40, *, whole=True):
    """A map that rises from slice to slice, 0 to 1 in all; noise in the pictures."""
    values = np.linspace(0, 1, count * 8 * 10, dtype=np.float32).reshape(count, 8, 10)
    image = np.random.default_rng(0).integers(0, 255, (8, 10, 3)).astype(np.uint8)
    record = {"image": "ct.nii.gz", "similarity": "cosine", "masks": {"count": 600}, "seed": 0, "fill": "mean"}
    slices = {index: Explanation(of, of, of / 100, image, record) for index, of in enumerate(values)}
    return SimpleNamespace(axis="axial", slices=slices, whole=whole, name="ct.nii.gz", uncertainty=values)


def titles(drawing):
    return [text.get_text() for text in drawing.texts if text.get_text().startswith("axial ")]


def test_every_so_many_slices_are_drawn_and_sixteen_at_most_unless_said():
    assert titles(relax.figure(volume())) == [f"axial {index}" for index in range(0, 40, 3)]
    assert titles(relax.figure(volume(), every=20)) == ["axial 9", "axial 29"]
    assert titles(relax.figure(volume(5), every=1)) == [f"axial {index}" for index in range(5)]


def test_all_slices_have_the_scale_of_the_volume_and_its_bar_once():
    drawing = relax.figure(volume(), every=10, panels=["importance"])

    maps = [image for axes in drawing.axes for image in axes.images if image.get_array().shape == (8, 10)]
    assert [(image.norm.vmin, image.norm.vmax) for image in maps] == [(0, 1)] * 4
    bars = [axes for axes in drawing.axes if axes.images and axes.images[0].get_array().shape[0] == 1]
    text = " ".join(text.get_text() for text in drawing.texts)
    assert len(drawing.axes) - len(bars) - len(maps) <= 1
    assert "one colour scale for all slices of the volume, 0 to 1.0" in text
    assert "every 10 of 40 axial slices, seen at once, by masks in three axes" in text


@pytest.mark.parametrize("whole", [True, False])
def test_a_map_of_a_volume_is_tinted_by_the_volume_and_maps_of_slices_each_by_itself(whole):
    drawing = relax.figure(volume(whole=whole), every=13)

    layers = [
        axes.images[-1].get_array()
        for axes in drawing.axes
        if axes.images and axes.images[-1].get_array().shape == (8, 10, 4)
    ]
    most = [layer[..., 3].max() for layer in layers]
    assert len(most) == 4
    if whole:
        assert most[:2] == [0, 0]  # below the median of the volume
        assert most[3] == 153  # 60 %
    else:
        assert most == [153] * 4


def test_what_a_montage_cannot_do_is_refused():
    with pytest.raises(ValueError, match="panels must be one kind for the slices of a volume; got image, overlay"):
        relax.figure(volume(), panels=["image", "overlay"])
    with pytest.raises(ValueError, match="every is how many slices lead from one to the next, 1 or more; got 0"):
        relax.figure(volume(), every=0)
    with pytest.raises(ValueError, match="every is for volumes"):
        relax.figure(volume().slices[0], every=2)
    with pytest.raises(ValueError, match="must have a slice"):
        relax.figure(SimpleNamespace(axis="axial", slices={}, whole=True, name="ct", uncertainty=0))
