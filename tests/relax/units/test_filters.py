"""Filters are shown as they are, on a scale that is said; pictures of units can be kept and read again."""

import json

import numpy as np
import pytest
import timm
import torch
from torch import nn

import relax
from encoders import Encoder, EncoderError
from relax.units.pictures import UnitPictures
from relax.units.writing import table, write_pictures
from tests.relax.units.planted import red_corners


def network(channels=3, weights=None, kernel=3, stride=1):
    layer = nn.Conv2d(channels, 2 if weights is None else len(weights), kernel, stride=stride, bias=False)
    if weights is not None:
        layer.weight.data = weights
    return nn.Sequential(layer, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_filters_are_weights_on_one_scale():
    weights = torch.zeros(2, 3, 2, 2)
    weights[0, 0, 0, 1], weights[0, 2, 1, 1], weights[1, 1, 0, 0] = 4.0, -2.0, 1.0

    shown = relax.filters(network(weights=weights, kernel=2))

    assert shown.pictures[0, 0, 0, 1] == 1
    assert shown.pictures[0, 2, 1, 1] == 0.25
    assert shown.pictures[1, 1, 0, 0] == 0.625
    assert shown.pictures[1, 0].tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert shown.values.tolist() == pytest.approx([20**0.5, 1])
    assert "one scale for all: grey is 0, a full colour 4.0" in shown.how["said"]


def test_each_filter_may_have_a_scale_of_its_own():
    weights = torch.zeros(2, 3, 2, 2)
    weights[0, 0, 0, 1], weights[1, 1, 0, 0] = 4.0, -1.0

    shown = relax.filters(network(weights=weights, kernel=2), scale="each")

    assert shown.pictures[1, 1, 0, 0] == 0
    assert shown.how["scale"] == [4.0, 1.0]


def test_components_are_what_filters_span():
    """Twelve filters that are sums of two patterns, of which one is three times as strong: the components are those."""
    generator = torch.Generator().manual_seed(0)
    patterns, _ = torch.linalg.qr(torch.randn(3 * 8 * 8, 2, generator=generator))
    amounts = torch.randn(12, 2, generator=generator)
    amounts = torch.linalg.qr(amounts - amounts.mean(0))[0] * torch.tensor([3.0, 1.0])
    filters = (amounts @ patterns.T).view(12, 3, 8, 8)

    shown = relax.filters(network(weights=filters, kernel=8, stride=8), components=3)

    assert shown.values == pytest.approx([0.9, 0.1, 0.0], abs=1e-5)
    for place in range(2):
        component = shown.pictures[place] - 0.5
        assert abs(np.corrcoef(component.ravel(), patterns[:, place])[0, 1]) == pytest.approx(1, abs=1e-4)
        assert component.max() >= -component.min()


def test_a_patch_embedding_is_shown_by_its_components_unless_filters_are_asked_for():
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1, num_classes=0)

    assert relax.filters(vit).pictures.shape == (28, 3, 16, 16)
    assert relax.filters(vit, components=0).pictures.shape == (192, 3, 16, 16)
    assert relax.filters(timm.create_model("resnet18", num_classes=0)).pictures.shape == (64, 3, 7, 7)


def test_filters_of_grey_pictures_are_grey():
    shown = relax.filters(network(channels=1))

    assert shown.pictures.shape == (2, 3, 3, 3)
    assert np.array_equal(shown.pictures[:, 0], shown.pictures[:, 1])


@pytest.mark.parametrize(
    ("encoder", "keywords", "error", "match"),
    [
        (lambda pixels: pixels.mean((2, 3)), {}, EncoderError, "is a function: pass the module"),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), {}, EncoderError, "has none"),
        (network(channels=5), {}, EncoderError, "of one or three channels; '0' .* takes 5"),
        (network(), {"components": 3}, ValueError, "components must be a whole number from 0 to 2; got 3"),
        (network(), {"scale": "log"}, ValueError, "scale must be one of common, each"),
    ],
)
def test_what_has_no_filters_is_refused(encoder, keywords, error, match):
    encoder = Encoder(encoder, device="cpu", channels=3)

    with pytest.raises(error, match=match):
        relax.filters(encoder, **keywords)


def some():
    return relax.maximise(red_corners(), layer="see", unit=[0, 3], steps=2, progress=False)


def test_pictures_are_kept_and_come_back(tmp_path):
    original = some()

    back = UnitPictures.load(original.save(tmp_path / "made.npz"))

    for name in ("pictures", "values", "path"):
        assert np.array_equal(getattr(back, name), getattr(original, name)), name
    assert (back.units, back.names, back.how) == (original.units, original.names, json.loads(json.dumps(original.how)))
    assert back.places is None
    assert repr(back) == repr(original)
    assert repr(original).startswith("UnitPictures (maximised): 2 of 2 units, 24 x 24 px, through RedCorners\nmaco: ")


def test_those_of_one_unit_can_be_taken():
    channel = some().of("see, channel 3")

    assert len(channel) == 1
    with pytest.raises(ValueError, match="unit must be one of see, channel 0, see, channel 3; got 'x'"):
        some().of("x")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"pictures": np.full((2, 3, 24, 24), 2, np.float32)}, r"pictures must be in \[0, 1\]"),
        ({"pictures": np.zeros((2, 3, 24), np.float32)}, r"pictures must be \(N, 3, H, W\)"),
        ({"values": np.zeros(3)}, r"values must be float64 \(2,\)"),
        ({"record": np.array("{}")}, "its record lacks format, how, units, names"),
        ({"record": np.array([object()])}, "must hold numbers or text"),
        (
            {"record": np.array(json.dumps({"format": 9, "how": {}, "units": [], "names": []}))},
            "has format 9, this version reads up to 1",
        ),
        ({"record": np.array(json.dumps({"format": 1, "how": {}, "units": [], "names": []}))}, "units must be 2 texts"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(tmp_path, change, match):
    original = some()
    arrays = dict(np.load(original.save(tmp_path / "made.npz")))
    np.savez(tmp_path / "other.npz", **{**arrays, **change})

    with pytest.raises(ValueError, match=match):
        UnitPictures.load(tmp_path / "other.npz")


def test_files_are_written_together(tmp_path):
    files = write_pictures(some(), tmp_path / "made", singly=True)

    names = [path.name for path in files]
    assert names == ["made.png", "made.npz", "made.csv", "made.json", "made-0.png", "made-1.png"]
    assert table(some()).splitlines()[0] == "unit,rank,value,name"
    assert json.loads((tmp_path / "made.json").read_text())["form"] == "maco"


def test_figures_are_drawn_of_all_kinds():
    assert some().plot(width=4, theme="dark").get_figwidth() == 4
    mosaic = relax.filters(network(weights=torch.rand(20, 3, 5, 5), kernel=5)).plot()
    assert len(mosaic.axes) == 1
    with pytest.raises(ValueError, match="width must be"):
        some().plot(width=0)
