"""Pictures that are made reach what is known to be the highest, at the known place, or what a formula says."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import relax
from encoders import Encoder, EncoderError, Preprocess
from encoders.heads.kinds import LinearHead
from relax.units.forms import FORMS, STILL, Wobble
from relax.units.wobble import looks_at
from tests.relax.units.planted import CORNER, HIGHEST, SIZE, Linear, mean_colour, pictures, red_corners

QUICK = {"progress": False, "steps": 3}


@pytest.mark.parametrize(("form", "least"), [("pixels", 0.9999), ("fourier", 0.97)])
def test_a_unit_that_sees_red_corners_gets_one_at_its_place(form, least):
    """The highest value is known: 4, for red 1 in 2 x 2 px, and neither red around nor green and blue there."""
    options = {"penalty": 0.0} if form == "pixels" else {"wobble": STILL, "rate": 0.3}

    result = relax.maximise(
        red_corners(), layer="see", unit=3, where=CORNER, form=form, steps=200, progress=False, **options
    )

    row, column = CORNER
    red, green, blue = result.pictures[0]
    assert least * HIGHEST <= result.values[0] <= HIGHEST
    assert red[row + 1 : row + 3, column + 1 : column + 3].min() > 0.9
    assert red[row, column : column + 3].max() < 0.1
    assert red[row : row + 3, column].max() < 0.1
    assert max(part[row + 1 : row + 3, column + 1 : column + 3].max() for part in (green, blue)) < 0.1
    assert result.units == ("see, channel 3",)
    assert result.how["value"] == f"channel at cell {row}, {column}"


def test_the_textbook_form_finds_the_maximum_that_has_a_formula():
    """Of w.x - penalty |x|^2, with x the difference from the mean colour, it is x = w / (2 penalty)."""
    preprocess = Preprocess(size=(16, 16), mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5))
    network = Linear()
    weights = network.sums.weight.detach()[1].view(3, 16, 16) / torch.tensor([0.2, 0.25, 0.5])[:, None, None]
    encoder = Encoder(network, preprocess=preprocess, device="cpu", channels=3)
    penalty = float(weights.abs().max()) / (2 * 0.25)  # so that no pixel is cut

    result = relax.maximise(encoder, unit=1, form="pixels", penalty=penalty, steps=300, progress=False)

    expected = torch.tensor([0.5, 0.4, 0.3])[:, None, None] + weights / (2 * penalty)
    assert np.abs(result.pictures[0] - expected.numpy()).max() < 1e-4
    assert result.values[0] == pytest.approx(float((weights.square() / (2 * penalty)).sum()), rel=1e-3)
    assert result.how["cut"] == [0.0]


def test_the_penalty_by_default_leaves_a_linear_unit_the_contrast_of_natural_pictures():
    encoder = Encoder(Linear(), preprocess=Preprocess(size=(16, 16)), device="cpu", channels=3)

    result = relax.maximise(encoder, unit=0, form="pixels", steps=300, progress=False)

    weights = encoder.network.sums.weight[0]
    assert result.how["penalty"][0] == pytest.approx(float(weights.norm() / (0.5 * 768**0.5)), rel=1e-4)
    inside = (result.pictures > 0) & (result.pictures < 1)
    assert result.how["cut"][0] == pytest.approx(1 - inside.mean())
    assert result.pictures.std() == pytest.approx(0.25, rel=0.1)  # 1 in 20 pixels is cut


def test_an_embedding_that_is_the_mean_colour_is_inverted():
    picture = torch.rand(3, 30, 40, generator=torch.Generator().manual_seed(0)) * 0.3
    picture[0] += 0.5

    result = relax.maximise(
        mean_colour(), embedding_of=picture, form="fourier", wobble=STILL, steps=250, progress=False
    )

    colour, wanted = result.pictures[0].mean((1, 2)), picture.mean((1, 2)).numpy()
    assert result.values[0] > 0.9998
    assert np.allclose(colour / np.linalg.norm(colour), wanted / np.linalg.norm(wanted), atol=0.02)
    assert result.how["value"] == "cosine to the embedding of tensor (3, 30, 40)"


def test_a_class_and_a_direction_are_climbed():
    head = LinearHead(("red", "blue"), torch.tensor([[5.0, -5, -5], [-5, -5, 5]]), torch.zeros(2))
    options = {"form": "fourier", "wobble": STILL, "steps": 150, "rate": 1.0, "progress": False}

    blue = relax.maximise(mean_colour(), head=head, target="blue", **options)
    green = relax.maximise(mean_colour(), direction=[0, 3.0, 0], **options)

    assert blue.pictures[0].mean((1, 2)).argmax() == 2
    assert 2 < blue.values[0] < 5
    assert blue.units == ("class blue",)
    assert green.pictures[0].mean((1, 2))[1] > 0.85
    assert green.values[0] == pytest.approx(green.pictures[0][1].mean(), rel=1e-4)  # the direction has length 1


def test_the_same_seed_makes_the_same_picture_and_the_path_leads_to_its_value():
    first, again, other = (
        relax.maximise(red_corners(), layer="see", unit=[3, 0], seed=seed, **QUICK) for seed in (0, 0, 1)
    )

    assert np.array_equal(first.pictures, again.pictures)
    assert not np.array_equal(first.pictures, other.pictures)
    assert first.path.shape == (2, 3)
    assert first.path[1, -1] > first.path[1, 0]
    assert first.how["statistics"] == {"of": "Caltech 101", "pictures": 2000}


@pytest.mark.parametrize("form", FORMS)
def test_a_network_of_grey_pictures_gets_grey_ones(form):
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    encoder = Encoder(network, preprocess=Preprocess(size=(16, 16)), device="cpu", channels=1)

    result = relax.maximise(encoder, layer="0", unit=0, form=form, **QUICK)

    assert result.pictures.shape == (1, 3, 16, 16)
    assert np.array_equal(result.pictures[:, 0], result.pictures[:, 2])


def test_real_pictures_are_compared_with_and_the_percentile_is_said(tmp_path):
    result = relax.maximise(red_corners(), layer="see", unit=3, where="max", real=pictures(tmp_path / "real"), **QUICK)

    assert result.how["real"]["values"][0]["largest"] == pytest.approx(HIGHEST)
    assert result.how["real"]["pictures"] == 5
    natural = result.how["natural"][0]
    assert 0 <= natural["percentile"] <= 100
    assert {each["name"] for each in natural["nearest"]} <= {
        "corner.png", "edge.png", "full.png", "green.png", "weak.png"
    }  # fmt: skip
    assert result.names[0].startswith("real at most 4.00; more natural than ")


def test_an_archive_has_the_embeddings_and_another_encoder_may_judge(tmp_path):
    encoder = mean_colour()
    archive = relax.make_archive(pictures(tmp_path / "real"), encoder, tmp_path / "archive")

    by_archive = relax.maximise(encoder, unit=0, real=tmp_path / "archive", **QUICK)
    by_other = relax.maximise(encoder, unit=0, real=archive, judge=red_corners(), **QUICK)

    assert by_archive.how["real"]["values"][0]["largest"] == pytest.approx(1)  # the red picture
    assert by_archive.how["real"]["judge"] == "MeanColour"
    assert by_other.how["real"]["judge"] == "RedCorners"


def test_ctrl_c_keeps_what_there_is():
    def stop(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(relax.UnitsInterrupted, match="4 of 9 steps are done") as stopped:
        relax.maximise(red_corners(), layer="see", unit=[0, 1, 2], steps=3, progress=stop)

    left = stopped.value.pictures
    assert len(left) == 2
    assert left.how["stopped_early"] == {"after": 4, "of": 9, "what": "steps"}
    assert np.isfinite(left.path[1]).tolist() == [True, False, False]


def test_looks_are_the_picture_a_little_moved():
    generator = torch.Generator().manual_seed(0)
    ramp = torch.linspace(0, 1, 65)[None, None, None, :].expand(1, 1, 65, 65)
    half = Wobble(looks=5, smallest=0.5, largest=0.5, turn=0, noise=0)

    looks = looks_at(ramp, half, generator)

    slopes = looks[..., 1:] - looks[..., :-1]
    assert torch.allclose(slopes[..., 2:-2], torch.full_like(slopes[..., 2:-2], 0.5 / 64), atol=1e-6)
    assert looks.amin() >= 0
    assert len({round(float(look.mean()), 4) for look in looks}) == 5
    constant = looks_at(torch.full((1, 3, 8, 12), 0.3), Wobble(noise=0), generator)
    assert torch.allclose(constant, torch.full_like(constant, 0.3))


def test_a_turned_wide_picture_is_not_sheared():
    """What is round in a picture of 32 x 96 px stays round: as high as wide, and not slanted."""
    rows, columns = torch.arange(32)[:, None] - 15.5, torch.arange(96)[None] - 47.5
    picture = torch.exp(-(rows**2 + columns**2) / 18)[None, None]

    looks = looks_at(picture, Wobble(8, 1, 1, 30, 0), torch.Generator().manual_seed(1))

    for look in looks[:, 0] / looks.sum((1, 2, 3))[:, None, None]:
        height, width, slant = ((look * part).sum() for part in (rows**2, columns**2, rows * columns))
        assert float(height) == pytest.approx(9, rel=0.1)
        assert float(width) == pytest.approx(9, rel=0.1)
        assert abs(float(slant)) < 0.5


def test_a_form_is_said_with_what_it_needs_and_a_record_is_json():
    result = relax.maximise(red_corners(), layer="see", unit=0, **QUICK)

    assert json.loads(json.dumps(result.how)) == result.how
    assert result.how["said"][0].startswith("maco: ")


class Detached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, pixels):
        return pixels.mean((2, 3)).detach() * self.weight.detach()


class Opaque(Detached):
    opaque = "an ONNX graph"


class Silent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.see = nn.Conv2d(3, 2, 1)
        nn.init.zeros_(self.see.weight)

    def forward(self, pixels):
        return torch.relu(self.see(pixels)).mean((2, 3)) + 1


@pytest.mark.parametrize(
    ("keywords", "match"),
    [
        ({}, "say one of unit, direction, embedding_of and target to be maximised; got none"),
        ({"unit": 1, "direction": [1, 0, 0, 0]}, "got unit and direction"),
        ({"unit": 4}, "unit must be a whole number from 0 to 3 for the embedding, or a list of them; got 4"),
        ({"layer": "see", "unit": -1}, "from 0 to 3 for layer 'see'.*got -1"),
        ({"unit": []}, "or a list of them; got"),
        ({"unit": "3"}, "unit must be a whole number"),
        ({"direction": [1.0, 2.0]}, "direction must be 4 numbers, one for each unit of the embedding; got 2"),
        ({"direction": [0, 0, 0, 0]}, "must not be all zeros"),
        ({"layer": "see", "unit": 1, "where": (30, 0)}, r"a cell \(row, column\) of 22 x 22"),
        ({"unit": 1, "where": (0, 0)}, 'where must be "mean" where there are no places'),
        ({"layer": "see", "unit": 1, "where": "middle"}, "where must be one of mean, max"),
        ({"unit": 1, "form": "makko"}, "form must be one of maco, fourier, pixels.*did you mean 'maco'"),
        ({"unit": 1, "steps": 0}, "steps must be a whole number from 1"),
        ({"unit": 1, "rate": -1}, "rate must be a number above 0; got -1"),
        ({"unit": 1, "penalty": float("nan")}, "penalty must be a number of 0 or more"),
        ({"unit": 1, "size": 32}, "size is for encoders that take any; 'RedCorners' takes 24 x 24 px"),
        ({"target": "a"}, "target and head go together"),
        ({"unit": 1, "seed": "x"}, "seed"),
        ({"layer": "see", "embedding_of": torch.rand(3, 8, 8)}, "layer is for unit and direction"),
    ],
)
def test_what_cannot_be_made_is_refused(keywords, match):
    with pytest.raises(ValueError, match=match):
        relax.maximise(red_corners(), **{**QUICK, **keywords})


def test_a_layer_that_does_not_exist_is_refused_with_a_suggestion():
    with pytest.raises(EncoderError, match="has none 'seee': did you mean see"):
        relax.maximise(red_corners(), layer="seee", unit=0, **QUICK)


@pytest.mark.parametrize(
    ("network", "match"),
    [
        (Detached(), "has no gradients"),
        (Opaque(), "is an ONNX graph, which has none: load the network in torch"),
        (lambda pixels: pixels.detach().mean((2, 3)), "has no gradients"),
    ],
)
def test_an_encoder_without_gradients_is_refused_with_the_way_out(network, match):
    encoder = Encoder(network, name="still", preprocess=Preprocess(size=(16, 16)), device="cpu", channels=3)

    with pytest.raises(EncoderError, match=match):
        relax.maximise(encoder, unit=0, **QUICK)


class Shy(nn.Module):
    """Unit 0 answers to pictures that are rather white, and to no other."""

    def __init__(self) -> None:
        super().__init__()
        self.see = nn.Conv2d(3, 1, 1)
        nn.init.ones_(self.see.weight)
        nn.init.constant_(self.see.bias, -2.3)
        self.act = nn.ReLU(inplace=True)

    def forward(self, pixels):
        return self.act(self.see(pixels.mean((2, 3), keepdim=True)))[..., 0, 0] + 1


def test_a_unit_that_is_silent_at_every_start_is_woken():
    encoder = Encoder(Shy(), preprocess=Preprocess(size=(16, 16)), device="cpu", channels=3)

    result = relax.maximise(
        encoder, layer="act", unit=0, form="fourier", wobble=STILL, rate=1.0, steps=60, progress=False
    )

    assert result.how["woken"][0] > 1
    assert 0 < result.path[0, 0] < result.path[0, -1]
    assert result.values[0] > 0.3  # of 0.7 at most
    assert torch.relu(torch.tensor(-1.0)) == encoder.network.act(torch.tensor(-1.0))  # as it was


def test_a_unit_that_answers_to_nothing_is_said_to():
    encoder = Encoder(Silent(), preprocess=Preprocess(size=(SIZE, SIZE)), device="cpu", channels=3)

    with pytest.raises(ValueError, match="see, channel 0: no gradient reaches the picture"):
        relax.maximise(encoder, layer="see", unit=0, form="pixels", **QUICK)
