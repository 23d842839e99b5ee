"""A pair is explained in both directions from one probe of each image, and what goes beyond is what a fit leaves."""

import json
import math

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import relax
from encoders import EncoderWarning
from relax.cli.app import run
from relax.plotting.questions import pair_figure
from relax.questions.pairs import pair_of
from tests.reference import contrast_by_definition, importance_by_definition


def image(seed=0):
    return torch.rand(3, 12, 10, generator=torch.Generator().manual_seed(seed))


def rows(pixels):
    return pixels.mean(3).flatten(1)


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(skimage.data.chelsea()[::4, ::4]).save("cat.png")
    Image.fromarray(skimage.data.coffee()[::6, ::6]).save("cup.png")


@pytest.mark.parametrize("similarity", ["cosine", "l2", "dot", "rbf"])
def test_both_directions_are_the_maps_for_the_other_image(similarity):
    settings = {"masks": 60, "cells": 3, "seed": 4}

    pair = relax.explain_pair(image(), image(1), rows, similarity=similarity, **settings)

    for direction, picture, other in ((pair.a, image(), image(1)), (pair.b, image(1), image())):
        for explanation, reference in ((direction.to_other, other), (direction.to_itself, None)):
            alone = relax.explain(picture, rows, reference=reference, similarity=similarity, **settings)
            np.testing.assert_allclose(explanation.importance, alone.importance, rtol=1e-6, atol=1e-7)
            np.testing.assert_allclose(explanation.standard_error, alone.standard_error, rtol=1e-4, atol=1e-9)
        whole = contrast_by_definition(similarity, rows(picture[None]).double(), rows(other[None]).double())
        assert direction.similarity == pytest.approx(whole.item(), rel=1e-6)
    assert pair.similarity == pair.a.similarity
    assert pair.a.to_other.provenance["reference"] == "tensor (3, 12, 10)"
    assert pair.a.to_itself.provenance["reference"] == "itself"


def test_beyond_is_the_map_of_what_least_squares_leaves():
    probes = [relax.probe(image(seed), rows, masks=60, cells=3, estimator="plain") for seed in (0, 1)]

    direction = pair_of(*probes).a

    z = probes[0].embeddings
    itself, other = (contrast_by_definition("cosine", z, probe.image_embedding[None]) for probe in probes)
    design = torch.stack([torch.ones_like(itself), itself], 1)
    fit = torch.linalg.lstsq(design, other[:, None]).solution[:, 0]
    importance, _ = importance_by_definition(other - design @ fit, probes[0].scene.source.masks(0, 60)[:, 0])
    np.testing.assert_allclose(direction.beyond.importance, importance, atol=1e-6)
    assert (direction.offset, direction.slope) == (pytest.approx(fit[0].item()), pytest.approx(fit[1].item()))
    assert direction.correlation == pytest.approx(np.corrcoef(itself, other)[0, 1])
    assert 0.1 < direction.correlation < 0.9999
    assert importance.abs().max() > 1e-4


def test_beyond_is_the_map_for_the_other_minus_what_the_fit_says():
    direction = relax.explain_pair(image(), image(1), rows, masks=60, estimator="plain").b

    expected = direction.to_other.importance - direction.offset - direction.slope * direction.to_itself.importance
    np.testing.assert_allclose(direction.beyond.importance, expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*nearly all its values lie between")
def test_beyond_shows_what_the_two_images_share_and_nothing_else():
    """Left and right half of the image count each for themselves; the other image shares only the left one."""

    def halves(pixels):
        left, right = pixels.mean(1).chunk(2, dim=2)
        return torch.stack([left.mean((1, 2)), right.mean((1, 2)), torch.full((len(pixels),), 0.3)], 1)

    both, left_only = torch.ones(3, 12, 12), torch.ones(3, 12, 12)
    left_only[..., 6:] = 0

    direction = relax.explain_pair(both, left_only, halves, masks=300, cells=4, similarity="dot").a

    assert direction.beyond.importance[:, :4].min() > 0
    assert direction.beyond.importance[:, 8:].max() < 0
    assert direction.to_itself.importance[:, :4].mean() == pytest.approx(
        direction.to_itself.importance[:, 8:].mean(), rel=0.05
    )


def test_an_image_and_itself_have_nothing_beyond_in_either_direction():
    pair = relax.explain_pair(image(), image(), rows, masks=50)

    np.testing.assert_array_equal(pair.a.to_other.importance, pair.b.to_other.importance)
    for direction in (pair.a, pair.b):
        np.testing.assert_array_equal(direction.to_other.importance, direction.to_itself.importance)
        assert (direction.beyond.importance == 0).all()
        assert (direction.slope, direction.offset) == (1, 0)
        assert direction.correlation == pytest.approx(1)
        assert direction.similarity == pytest.approx(1)


def test_swapping_the_images_swaps_the_directions():
    forward = relax.explain_pair(image(), image(1), rows, masks=50)
    swapped = relax.explain_pair(image(1), image(), rows, masks=50)

    np.testing.assert_array_equal(forward.a.beyond.importance, swapped.b.beyond.importance)
    np.testing.assert_array_equal(forward.b.to_other.importance, swapped.a.to_other.importance)


def test_an_encoder_that_sees_no_difference_has_a_level_fit_and_no_correlation():
    with pytest.warns(EncoderWarning, match="one and the same embedding"):
        pair = relax.explain_pair(image(), image(1), lambda pixels: torch.ones(len(pixels), 4), masks=20)

    assert math.isnan(pair.a.correlation)
    assert pair.a.slope == 0
    assert json.loads(json.dumps(pair.record()))["a"]["correlation"] is None


def test_a_pair_costs_one_probe_of_each_image():
    seen = []

    def counting(pixels):
        seen.append(len(pixels))
        return rows(pixels)

    relax.explain_pair(image(), image(1), counting, masks=50)

    assert sum(seen) == 2 * (50 + 1 + 3)  # in a batch of three: is the encoder steady?


def test_probes_of_different_encoders_are_no_pair():
    def columns(pixels):
        return pixels.mean(2).flatten(1)

    with pytest.raises(ValueError, match="a pair must be probed by one encoder; got 'rows' and 'columns'"):
        pair_of(relax.probe(image(), rows, masks=5), relax.probe(image(), columns, masks=5))


def test_an_unknown_measure_is_refused_before_anything_is_encoded():
    with pytest.raises(ValueError, match="similarity must be one of cosine"):
        relax.explain_pair("nosuch.png", "nosuch.png", similarity="cosin")


@pytest.mark.parametrize("pair", [["cat.png", "text.png"], ["text.png", "cat.png"]])
@pytest.mark.parametrize("links", [[], ["--links"]])
def test_a_picture_that_cannot_be_read_is_refused_before_the_other_is_masked(
    pair, links, pictures, tmp_path, monkeypatch, capsys
):
    (tmp_path / "text.png").write_text("no picture\n")
    monkeypatch.setattr("relax.scene.Scene.passes", lambda *_: pytest.fail("a picture was masked"))

    assert run(["pair", *pair, *links, "--encoder", "random:default"]) == 1
    assert "text.png: not a PNG" in capsys.readouterr().err
    with pytest.raises(relax.ImageError, match=r"text\.png: not a PNG"):
        (relax.explain_links if links else relax.explain_pair)(*pair, rows)


def test_the_figure_names_both_images_and_puts_zero_of_the_signed_maps_in_the_middle(pictures):
    pair = relax.explain_pair("cat.png", "cup.png", masks=20)

    drawing = pair_figure(pair)

    texts = [text.get_text() for text in drawing.findobj(lambda a: hasattr(a, "get_text"))]
    for text in (
        "brings it to cup.png",
        "to cup.png, beyond itself",
        "brings it to cat.png",
        "to cat.png, beyond itself",
    ):
        assert text in texts
    signed = [
        mapped.norm
        for axes in drawing.axes
        for mapped in axes.get_images()
        if mapped.get_cmap().name == "RdBu_r"
    ]  # fmt: skip
    reach = [float(np.abs(direction.beyond.importance).max()) for direction in (pair.a, pair.b)]
    assert [(norm.vmin, norm.vmax) for norm in signed] == [(pytest.approx(-far), pytest.approx(far)) for far in reach]


def test_the_command_writes_the_figure_the_numbers_and_all_maps(pictures, tmp_path, capsys):
    code = run(["pair", "cat.png", "cup.png", "--masks", "30", "--cells", "4", "--similarity", "l2", "--out", "maps"])

    assert code == 0, capsys.readouterr().err
    folder = tmp_path / "maps"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["cat-cup-pair.json", "cat-cup-pair.png"]
        + [f"cat-cup-pair-{which}-{name}.npz" for which in "ab" for name in ("to-other", "to-itself", "beyond")]
    )
    pair = relax.explain_pair("cat.png", "cup.png", masks=30, cells=4, similarity="l2")
    beyond = relax.Explanation.load(folder / "cat-cup-pair-b-beyond.npz")
    np.testing.assert_allclose(beyond.importance, pair.b.beyond.importance, atol=1e-5)
    numbers = json.loads((folder / "cat-cup-pair.json").read_text())
    assert numbers["a"]["similarity"] == pytest.approx(pair.similarity)
    assert numbers["b"]["slope"] == pytest.approx(pair.b.slope)
    out = capsys.readouterr().out
    assert "l2 of the whole images: " in out


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["cat.png", "dog.png"], "dog.png: no such file", 1),
        (["cat.png"], "Missing argument 'B'", 2),
        (["cat.png", "cup.png", "--similarity", "cosin"], "--similarity must be one of cosine", 2),
        (
            ["cat.png", "cup.png", "--fill", "gold"],
            "--fill must be mean, blur, noise, drop, a number, three numbers r,g,b or the path of an image; got gold",
            2,
        ),
        (["cat.png", "cup.png", "--cells", "0"], "cells must be a whole number", 2),
        (["cat.png", "cup.png", "--encoder", "timm:nosuch"], "encoder 'timm:nosuch' is not known", 2),
        (["cat.png", "cup.png", "--masks", "5", "--out", "cat.png"], "--out cat.png cannot be a folder", 2),
    ],
)
def test_what_cannot_be_done_is_one_line(pictures, arguments, message, code, capsys):
    assert run(["pair", *arguments]) == code

    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
