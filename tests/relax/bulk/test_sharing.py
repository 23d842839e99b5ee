"""Pictures of a run that share a batch have the maps, records, failures and warnings that they have alone."""

import time

import numpy as np
import pytest
import torch
from PIL import Image

import relax
from relax.bulk import work
from relax.bulk.explaining import explain_all
from relax.bulk.sharing import pictures_in_batch
from relax.estimators.budget import Budget
from relax.settings import Settings
from tests.relax.bulk.test_bulk_run import Colours, assert_maps, files, picture

SIX = {"masks": 6, "cells": 3, "batch_size": 20}  # two pictures in a batch: 6 masked views and 3 yardsticks of each


class Seen(Colours):
    """Colours of pictures of one size, and the sizes of the batches."""

    def __init__(self, *stop):
        super().__init__(*stop)
        self.sizes = []

    def __call__(self, pixels):
        self.sizes.append(len(pixels))
        return super().__call__(pixels)


def of_one_size(network):
    return relax.load_encoder(network, size=(20, 24))


@pytest.fixture
def photos(tmp_path):
    for number in range(5):
        picture(tmp_path / "photos" / f"{number}.png", number, (20 + 4 * number, 30))
    return tmp_path / "photos"


@pytest.mark.parametrize("further", [{}, {"within": (4, 2, 20, 16)}, {"fill": "blur", "regions": "superpixels"}])
def test_pictures_that_share_a_batch_have_the_maps_that_they_have_alone(photos, tmp_path, further):
    seen = Seen()

    maps = explain_all(photos, of_one_size(seen), out=tmp_path / "out", **SIX, **further)

    assert sorted(seen.sizes) == [1, 1, 1, 1, 1, 3, 6, 18, 18]  # each picture alone, and four in twos
    for name in maps.names:
        expected = relax.explain(photos / name, of_one_size(Seen()), **SIX, **further)
        assert_maps(maps[name], expected)
        np.testing.assert_allclose(maps[name].scores, expected.scores, rtol=0, atol=1e-6)
        for key in ("masks", "cost", "convergence", "estimator"):
            assert maps[name].provenance[key] == expected.provenance[key]
        for key, value in expected.provenance["scale"]["cosine"].items():
            assert maps[name].provenance["scale"]["cosine"][key] == pytest.approx(value, abs=1e-6)


def without_blue(pixels):
    """NaN for what has red and no blue."""
    embeddings = Colours()(pixels)
    embeddings[(pixels[:, 2].amax((1, 2)) == 0) & (pixels[:, 0].amax((1, 2)) > 0)] = torch.nan
    return embeddings


def test_a_picture_that_the_encoder_fails_on_fails_alone(photos, tmp_path):
    pixels = np.asarray(Image.open(photos / "2.png")).copy()
    pixels[..., 2] = 0
    Image.fromarray(pixels).save(photos / "2.png")

    maps = explain_all(photos, of_one_size(without_blue), out=tmp_path / "out", **SIX)

    assert list(maps.failed) == ["2.png"]
    assert "finite" in maps.failed["2.png"]
    assert maps.names == ["0.png", "1.png", "3.png", "4.png"]
    assert_maps(maps["3.png"], relax.explain(photos / "3.png", of_one_size(without_blue), **SIX))


class Company(Colours):
    """An encoder that gives a picture other numbers in another batch."""

    def __call__(self, pixels):
        return super().__call__(pixels) + 0.01 * pixels.mean()


@pytest.mark.parametrize("stop", range(1, 8))
@pytest.mark.parametrize("seconds", [0, 30])
def test_a_run_that_was_stopped_goes_on_with_the_batches_that_it_would_have_had(
    photos, tmp_path, monkeypatch, stop, seconds
):
    """Files are equal byte for byte though the maps depend on which views share a batch."""
    (photos / "1.png").write_bytes(b"no picture")
    explain_all(photos, of_one_size(Company()), out=tmp_path / "undisturbed", **SIX)
    monkeypatch.setattr(work, "PART_SECONDS", seconds)

    with pytest.raises(KeyboardInterrupt):
        explain_all(photos, of_one_size(Company(stop, KeyboardInterrupt())), out=tmp_path / "out", **SIX)
    explain_all(photos, of_one_size(Company()), out=tmp_path / "out", **SIX)

    assert files(tmp_path / "out") == files(tmp_path / "undisturbed")


class Counting(torch.nn.Module):
    """A network that counts its calls in a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, pixels):
        self.calls += 1
        return pixels.mean((2, 3))


def test_a_network_that_changes_itself_is_named_in_the_notes_of_every_picture(photos, tmp_path):
    maps = explain_all(photos, of_one_size(Counting()), out=tmp_path / "out", **SIX)

    for notes in (row for table in maps.tables() for row in table["notes"].to_pylist()):
        assert any("changes its own calls" in note for note in notes)


def test_the_seconds_of_a_batch_are_those_of_its_pictures(photos, tmp_path):
    def slow(pixels):
        time.sleep(0.2 * (len(pixels) > 9))
        return pixels.mean((2, 3))

    maps = explain_all(photos, of_one_size(slow), out=tmp_path / "out", **SIX)

    assert all(maps[name].provenance["seconds"] >= 0.1 for name in ["0.png", "1.png", "2.png", "3.png"])


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({"masks": 8}, 64 // 11),  # what a batch of a processor holds at 96 px
        ({"masks": 29}, 2),
        ({"masks": 30}, 1),
        ({}, 1),
        ({"masks": 8, "batch_size": 21}, 1),
        ({"masks": 8, "batch_size": 22}, 2),
        ({"masks": 8, "tolerance": 0.1}, 1),
        ({"masks": torch.ones(8, 1, 96, 96)}, 1),
    ],
)
def test_as_many_pictures_share_a_batch_as_it_holds(keywords, expected):
    settings = Settings.of(keywords)
    budget = Budget(settings.count, settings.estimation.tolerance, settings.execution.batch_size)

    assert pictures_in_batch(relax.load_encoder("default", device="cpu"), settings.hiding, budget) == expected


def test_pictures_share_no_batch_where_views_differ_or_another_precision_is_tried():
    hiding, budget = Settings().hiding, Budget(8)

    assert pictures_in_batch(of_one_size(Colours()), hiding, budget) > 1
    assert pictures_in_batch(relax.load_encoder(Colours()), hiding, budget) == 1
    assert pictures_in_batch(of_one_size(Colours()).with_precision("fast"), hiding, budget) == 1
    assert pictures_in_batch(of_one_size(Colours()).with_precision("auto"), hiding, budget) > 1
    assert (
        pictures_in_batch(of_one_size(Colours()), Settings.of({"regions": "patches", "fill": "drop"}).hiding, budget)
        == 1
    )
