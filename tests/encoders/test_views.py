"""A picture gets to the encoder's input padded, cropped or squashed, and its map comes back to its own frame."""

import numpy as np
import pytest
import torch

import relax
from encoders import VIEWS, Encoder, EncoderError, Preprocess
from encoders.identity import differences, identity
from relax.auditing.pictures import in_view
from relax.cli.app import run

WIDE = torch.rand(1, 3, 20, 40, generator=torch.Generator().manual_seed(0))
MEAN = (0.2, 0.4, 0.6)
CROPPING = Preprocess((10, 10), 10, MEAN, (1.0, 1.0, 1.0))


class Blocks(torch.nn.Module):
    def forward(self, pixels):
        return torch.nn.functional.adaptive_avg_pool2d(pixels.mean(1, keepdim=True), 5).flatten(1) + 1


def encoder(preprocess=CROPPING):
    return Encoder(Blocks(), preprocess=preprocess, device="cpu")


def test_padding_shows_all_at_its_true_proportions_between_bars_of_the_mean_pixel():
    view = encoder().with_view("pad").view(WIDE)

    assert view.shape == (1, 3, 10, 10)
    bars = torch.cat([view[:, :, :2], view[:, :, 7:]], 2)
    torch.testing.assert_close(bars, torch.tensor(MEAN).view(1, 3, 1, 1).expand_as(bars))
    squeezed = torch.nn.functional.interpolate(WIDE, (5, 10), mode="bilinear", antialias=True, align_corners=False)
    torch.testing.assert_close(view[:, :, 2:7], squeezed)


@pytest.mark.parametrize(
    ("view", "seen"),
    [
        ("auto", (0, 10, 20, 30)),
        ("crop", (0, 10, 20, 30)),
        ("squash", (0, 0, 20, 40)),
        ("pad", (-8, 0, 32, 40)),
    ],
)
def test_what_is_seen_is_told_in_pixels_of_the_picture(view, seen):
    assert set(VIEWS) == {"auto", "crop", "squash", "pad"}
    assert encoder().with_view(view).seen(20, 40) == seen


@pytest.mark.parametrize(
    ("preprocess", "resize"),
    [
        (Preprocess((8, 8)), 8),
        (Preprocess((8, 12)), 12),
        (Preprocess((8, 8), (9, 10)), 8),
        (Preprocess((8, 8), 9), 9),
    ],
)
def test_a_crop_keeps_that_of_the_encoder_or_takes_the_largest_square(preprocess, resize):
    assert preprocess.fitted("crop").resize == resize
    assert preprocess.fitted("squash").resize is None
    assert preprocess.fitted("auto") is preprocess


def test_a_padded_map_lies_in_the_picture_where_a_cropped_one_is_unknown():
    """The encoder sees the brightness of its rows 3 to 5 and columns 0 to 2 alone: rows 4 to 12, columns 0 to 8."""

    def corner(pixels):
        return torch.stack([pixels[:, :, 3:5, :2].mean((1, 2, 3)), torch.ones(len(pixels))], 1)

    settings = {"masks": 512, "cells": 5, "similarity": "dot", "reference": torch.tensor([1.0, 0.0]), "fill": 0.0}

    cropped = relax.explain(WIDE, Encoder(corner, preprocess=CROPPING), **settings)
    padded = relax.explain(WIDE, Encoder(corner, preprocess=CROPPING), view="pad", **settings)

    assert np.isnan(cropped.importance[:, :10]).all()
    assert cropped.provenance["unseen"] == {"share": 0.5, "way_out": 'view="pad"'}
    assert np.isfinite(padded.importance).all()
    assert "unseen" not in padded.provenance
    row, column = np.unravel_index(padded.importance.argmax(), padded.importance.shape)
    assert 4 <= row < 12
    assert column < 8


def test_a_view_is_another_encoder_to_archives_and_heads_and_auto_is_the_same():
    own, padded = encoder(), encoder().with_view("pad")

    assert differences(identity(own), identity(padded)) == ["preprocess"]
    assert "view" not in identity(own)
    assert "padded" not in identity(own)["preprocess"]
    assert identity(padded)["view"] == "pad"
    assert own.with_view("auto") is own
    assert identity(padded.with_view("crop").with_view("pad")) == identity(padded)
    assert padded.with_precision("fast").view_kind == "pad"


def test_a_view_is_said_when_an_encoder_is_loaded_or_explains():
    loaded = relax.load_encoder(Blocks(), size=10, resize=10, view="squash")

    assert (loaded.view_kind, loaded.preprocess.resize) == ("squash", None)
    assert relax.load_encoder(loaded).view_kind == "squash"
    assert relax.load_encoder(loaded, view="pad").preprocess.padded
    with pytest.raises(
        EncoderError, match="view says how pictures get to the size of an encoder, which this one has not"
    ):
        relax.load_encoder(Blocks(), view="pad")
    with pytest.raises(EncoderError, match="view must be one of auto, pad, crop, squash; got 'fit'"):
        relax.load_encoder(loaded, view="fit")
    with pytest.raises(EncoderError, match="padded needs size and no resize"):
        Preprocess((8, 8), 9, padded=True)


def test_a_region_at_the_border_can_be_asked_about_with_padding():
    explanation = relax.explain(WIDE, encoder(), masks=64, cells=2, within=(0, 0, 8, 8), view="pad")

    known = np.zeros((20, 40), dtype=bool)
    known[:8, :8] = True
    np.testing.assert_array_equal(np.isfinite(explanation.importance), known)
    assert explanation.provenance["within"]["box"] == [2, 0, 4, 2]


def test_the_command_says_once_what_a_crop_hides_and_takes_the_view(tmp_path, monkeypatch, capsys):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    for name, size in (("a.png", (60, 40)), ("b.png", (80, 40))):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)).save(name)
    fast = ("--encoder", "random:timm:test_resnet", "--masks", "8", "--cells", "3", "--device", "cpu")

    assert run(["explain", "a.png", "b.png", *fast]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert out.count("the encoder's crop hides") == 1
    assert "the encoder's crop hides 40 to 55 % of the pictures: --view pad shows it all" in out
    assert run(["explain", "b.png", *fast, "--view", "pad"]) == 0
    assert "hides" not in capsys.readouterr().out
    saved = relax.Explanation.load("relax-out/b.npz")
    assert np.isfinite(saved.importance).all()
    assert saved.provenance["encoder"]["view"] == "pad"


@pytest.mark.parametrize(
    ("preprocess", "expected"),
    [
        (Preprocess((2, 2)), [[0.375, 0.25], [0.0, 0.0]]),
        (Preprocess((2, 2), padded=True), [[0.1875, 0.125], [0.0, 0.0]]),
        (Preprocess((8, 12)), None),
    ],
)
def test_a_mask_is_averaged_over_the_area_of_each_pixel_that_the_network_sees(preprocess, expected):
    """Of 4 x 6 px, by hand: columns 0 to 3 and 3 to 6, rows 0 to 2 and 2 to 4, or all of them; enlarged, no grey."""
    mask = torch.zeros(1, 1, 4, 6)
    mask[..., 0, :2], mask[..., 1, 2], mask[..., 0, 3:6] = 1.0, 0.25, 0.5

    share = preprocess.view_of_mask(mask)[0, 0]

    if expected is None:
        assert torch.equal(share, mask[0, 0].repeat_interleave(2, 0).repeat_interleave(2, 1))
    else:
        torch.testing.assert_close(share, torch.tensor(expected))


def test_an_archive_made_with_a_view_embeds_queries_with_it(tmp_path):
    from PIL import Image

    (tmp_path / "photos").mkdir()
    for number in range(4):
        values = np.random.default_rng(number).integers(0, 256, (20, 60, 3), dtype=np.uint8)
        Image.fromarray(values).save(tmp_path / "photos" / f"{number}.png")
    padded = relax.load_encoder("random:timm:test_resnet", device="cpu", view="pad")
    relax.make_archive(tmp_path / "photos", padded, tmp_path / "archive", progress=False)

    (nearest, *_) = relax.load_archive(tmp_path / "archive").search(tmp_path / "photos" / "2.png", k=2)

    assert nearest.path.endswith("2.png")
    assert nearest.similarity == pytest.approx(1, abs=1e-5)


def test_an_audit_finds_the_cells_of_a_padded_view():
    """The view has 40 rows for 20: 8 of a bar above, 12 below, so that the last row of cells shows no picture."""
    values = np.zeros((20, 40), dtype=np.float32)
    values[:, 20:] = 1

    cells = in_view(values, encoder().with_view("pad"), 4)

    np.testing.assert_allclose(cells, [*[[0, 0, 1, 1]] * 3, [0.5] * 4])
