"""A map is read against the picture hidden, its pieces shuffled and its references; if it says little, that is said."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

import relax
from encoders import EncoderError, EncoderWarning
from relax.cli.app import run
from relax.maps import map_unit
from relax.report import Exhibit, plain_report
from relax.scale import HARDLY, SHUFFLED, doubts, yardsticks_in_words
from relax.scene import within_limits
from relax.yardsticks import shuffled


def picture(seed: int = 0) -> Tensor:
    return torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(seed))


def rows(pixels: Tensor) -> Tensor:
    return pixels.mean(3).flatten(1)


def cosine(a: Tensor, b: Tensor) -> float:
    return float(F.cosine_similarity(a.double(), b.double(), dim=-1))


def test_the_record_holds_the_cosines_by_their_definition() -> None:
    probe = relax.probe(picture(), rows, masks=30, cells=4, fill=0.5)
    itself = rows(picture()[None])[0]
    masked = F.cosine_similarity(probe.embeddings.double(), itself.double()[None])

    scale = probe.provenance["scale"]

    assert scale["cosine"]["hidden"] == pytest.approx(
        cosine(rows(torch.full((1, 3, 16, 16), 0.5))[0], itself), abs=1e-5
    )
    assert scale["cosine"]["shuffled"] == pytest.approx(cosine(rows(shuffled(picture()[None]))[0], itself), abs=1e-5)
    expected = {name: float(getattr(masked, name)()) for name in ("mean", "min", "max")}
    assert scale["cosine"]["masked"] == pytest.approx(expected, abs=1e-5)
    assert scale["zeros"] == 0


@pytest.mark.parametrize("method", ["relax", "occlusion"])
def test_an_encoder_without_an_embedding_of_the_hidden_picture_still_explains_another(method: str) -> None:
    """Black pixels have no direction, and no masked view of this picture is all black."""

    def directions(pixels: Tensor) -> Tensor:
        vectors = rows(pixels)
        return vectors / vectors.norm(dim=1, keepdim=True)

    explanation = relax.explain(picture(), directions, masks=32, cells=4, method=method)
    same = relax.explain(picture(), rows, masks=32, cells=4, method=method)

    np.testing.assert_allclose(explanation.importance, same.importance, atol=1e-5)
    assert explanation.provenance["scale"]["cosine"]["hidden"] is None
    assert explanation.provenance["scale"]["cosine"]["shuffled"] == pytest.approx(
        same.provenance["scale"]["cosine"]["shuffled"], abs=1e-5
    )


def test_references_at_hand_are_a_yardstick_too() -> None:
    others = relax.Corpus([picture(1), picture(2)])
    explanation = relax.explain(picture(), rows, masks=8, cells=2, reference=others, similarity="l2")

    mean = np.mean([cosine(rows(picture(seed)[None])[0], rows(picture()[None])[0]) for seed in (1, 2)])
    assert explanation.provenance["scale"]["cosine"]["references"] == pytest.approx(mean, abs=1e-5)
    assert "references 0." in yardsticks_in_words(explanation.provenance)[0]


@pytest.mark.parametrize("size", [(16, 16), (224, 224), (37, 50), (5, 64), (1, 1)])
def test_shuffling_moves_pieces_and_changes_no_pixel(size: tuple[int, int]) -> None:
    view = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))

    mixed = shuffled(view)

    assert torch.equal(mixed.flatten(2).sort(2).values, view.flatten(2).sort(2).values)
    assert torch.equal(mixed, shuffled(view))
    assert torch.equal(mixed, view) == (size == (1, 1))
    height, width = (max(1, side // 16) for side in size)
    piece = mixed[0, :, :height, :width]
    places = view[0].unfold(1, height, height).unfold(2, width, width).flatten(1, 2).unbind(1)
    assert any(torch.equal(piece, place) for place in places)


def test_an_encoder_that_hiding_hardly_moves_is_said_in_figure_report_and_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(skimage.data.chelsea()[::3, ::3]).save("cat.png")

    assert run(["explain", "cat.png", "--encoder", "random:default", "--masks", "300", "--device", "cpu"]) == 0

    explanation = relax.Explanation.load("relax-out/cat.npz")
    (doubt,) = [doubt for doubt in doubts(explanation) if doubt.reason == "hiding hardly moves the embedding"]
    masked = explanation.provenance["scale"]["cosine"]["masked"]
    assert masked["mean"] >= HARDLY
    assert f"masked views have cosines of {masked['min']:.4f}" in doubt.numbers
    assert "of the cosine's range of 2" in doubt.numbers
    assert "cat.png: hiding hardly moves the embedding: " in capsys.readouterr().out
    caption = " ".join(text.get_text().replace("\xa0", " ") for text in relax.figure(explanation).texts)
    assert "hiding hardly moves the embedding" in caption
    assert "cosine to the image: masked views 0.99" in caption
    findings = " ".join(plain_report([Exhibit(explanation, "cat.png")]).findings)
    assert "cat.png: hiding hardly moves the embedding" in findings
    assert "more than noise" not in findings


def test_commands_of_several_maps_say_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(skimage.data.chelsea()[::3, ::3]).save("cat.png")
    Image.fromarray(skimage.data.chelsea()[::3, ::-3]).save("tac.png")
    common = ["--masks", "64", "--device", "cpu"]

    assert run(["pair", "cat.png", "tac.png", "--encoder", "random:default", *common]) == 0
    of_pair = capsys.readouterr().out.splitlines()
    assert run(["compare", "cat.png", "--encoders", "default,random:default", *common]) == 0
    of_encoders = capsys.readouterr().out.splitlines()

    says = "hiding hardly moves the embedding: "
    assert [line.partition(says)[0] for line in of_pair if says in line] == ["cat.png: ", "tac.png: "]
    assert [line.partition(says)[0] for line in of_encoders if says in line] == ["random:default: "]


def test_a_trained_encoder_on_a_photograph_gives_no_doubt_and_a_random_transformer_does() -> None:
    image = skimage.data.chelsea()[::3, ::3]

    trained = relax.explain(image, "default", masks=64, device="cpu")
    random = relax.explain(image, "random:timm:vit_tiny_patch16_224", masks=16, device="cpu")

    assert doubts(trained) == []
    assert [doubt.reason for doubt in doubts(random)] == ["what is where hardly moves the embedding"]
    assert random.provenance["scale"]["cosine"]["shuffled"] >= SHUFFLED


def test_more_doubtful_pictures_than_a_report_names_are_counted() -> None:
    record = {"scale": {"cosine": {"masked": {"mean": 0.995, "min": 0.99, "max": 0.999}}, "unsteady": 0.0}}
    explanation = relax.explain(picture(), rows, masks=8, cells=2)
    doubtful = relax.Explanation(
        *(getattr(explanation, name) for name in ("importance", "uncertainty", "standard_error", "image")),
        provenance={**explanation.provenance, **record},
    )

    findings = plain_report([Exhibit(doubtful, f"{place}.png") for place in range(5)]).findings

    assert sum("hiding hardly moves the embedding" in finding for finding in findings) == 3
    assert "The maps of 2 more may say little: their figures say why." in findings


def test_explanations_of_earlier_versions_have_no_yardsticks_and_no_doubts() -> None:
    explanation = relax.explain(picture(), rows, masks=8, cells=2)
    earlier = {key: value for key, value in explanation.provenance.items() if key != "scale"}

    assert yardsticks_in_words(earlier) == []
    assert yardsticks_in_words({"scale": None}) == []


def test_one_embedding_for_every_picture_is_a_warning_unless_there_is_only_one_picture() -> None:
    def constant(pixels: Tensor) -> Tensor:
        return torch.ones(len(pixels), 4)

    with pytest.warns(EncoderWarning, match="'constant' gives this picture, .* one and the same embedding"):
        explanation = relax.explain(picture(), constant, masks=20, cells=2)
    assert np.unique(explanation.importance).tolist() == [1]
    assert doubts(explanation)[0].reason == "hiding hardly moves the embedding"

    with pytest.warns(UserWarning, match=r"tensor \(3, 16, 16\): nearly all its values lie between 0 and 0, where"):
        relax.explain(
            torch.zeros(3, 16, 16), lambda pixels: pixels.mean((2, 3)) + 1, masks=8, cells=2
        )  # black on black


@pytest.mark.parametrize("method", ["relax", "occlusion", "sbsm"])
def test_embeddings_without_a_direction_have_no_cosine(method: str) -> None:
    settings: dict[str, Any] = {"cells": 2, "method": method} | ({"masks": 8} if method == "relax" else {})
    with pytest.raises(ValueError, match="reference must have a direction for the cosine; got an embedding of zeros"):
        relax.explain(picture(), lambda pixels: torch.zeros(len(pixels), 4), **settings)
    with pytest.raises(ValueError, match=r'two numbers or more for the cosine.*; got one: choose similarity="l2"'):
        relax.explain(picture(), lambda pixels: pixels.mean((1, 2, 3))[:, None], **settings)

    explanation = relax.explain(picture(), lambda pixels: pixels.mean((1, 2, 3))[:, None], similarity="l2", **settings)
    assert np.isfinite(explanation.importance).all()


def test_masked_views_without_a_direction_are_counted() -> None:
    """Nothing is left of a picture on black of which all is hidden."""
    masks = torch.ones(6, 1, 16, 16)
    masks[:2] = 0
    with pytest.warns(EncoderWarning, match="2 of 6 masked views have an embedding of zeros"):
        explanation = relax.explain(picture(), lambda pixels: pixels.mean((2, 3)), masks=masks)

    assert explanation.provenance["scale"]["zeros"] == 2
    assert explanation.provenance["scale"]["cosine"]["hidden"] is None
    assert json.loads(explanation.to_json())["scale"]["zeros"] == 2


def test_a_cosine_map_stays_in_the_range_of_the_cosine() -> None:
    """Control variates overshoot here: whatever shows the corner has a cosine of 1."""

    def corner(pixels: Tensor) -> Tensor:
        lit = (pixels[..., :3, :3].mean((1, 2, 3)) > 0.2).float()
        return torch.stack([lit, 1 - lit + 1e-3], 1)

    image = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.5
    beyond = 0
    for seed in range(2):
        explanation = relax.explain(image, corner, masks=256, seed=seed)
        assert float(explanation.importance.max()) <= 1
        beyond += explanation.provenance["estimator"].get("beyond_limits", 0)
    assert beyond > 0


def test_only_maps_in_a_unit_with_limits_are_kept_inside_them() -> None:
    values = torch.tensor([[1.5, -2.0, math.nan, 0.5]], dtype=torch.float64)

    inside, record = within_limits(values, "mean cosine")
    assert inside[0, [0, 1, 3]].tolist() == [1, -1, 0.5]
    assert record == {"beyond_limits": 2}
    assert within_limits(values, "mean probability")[0][0, [0, 1, 3]].tolist() == [1, 0, 0.5]
    for unit in ("mean l2", map_unit({"map": "mean cosine minus that to the foil"})):
        assert within_limits(values, unit)[0] is values
        assert within_limits(values, unit)[1] == {}


def test_a_network_that_takes_one_picture_at_a_time_is_explained_by_methods_that_need_no_more() -> None:
    def single(pixels: Tensor) -> Tensor:
        if len(pixels) > 1:
            raise RuntimeError("one at a time")
        return rows(pixels)

    explanation = relax.explain(picture(), single, masks=8, cells=2, batch_size=1)

    assert explanation.provenance["scale"]["unsteady"] == 0
    with pytest.raises(EncoderError, match="one at a time"):
        relax.explain(picture(), single, masks=8, cells=2, batch_size=4)
