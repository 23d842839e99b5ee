"""What a layer or token returns is explained as the embedding is, in every function; CAMs and attention show layers."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

import relax
from encoders import load
from encoders.inner import at_layer
from encoders.trace import activations
from relax.baselines import MethodError
from relax.plotting.caption import recipe
from relax.settings import Request
from tests.relax.baselines.small import SmallHead, bare, drawn, small_cnn
from tests.relax.baselines.test_baselines_layers import small_timm_vit

MAPS = ("importance", "uncertainty", "standard_error")
SMALL: dict[str, Any] = {"masks": 64, "cells": 4}


def assert_same(a: relax.Explanation, b: relax.Explanation) -> None:
    for name in MAPS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


class Patches(nn.Module):
    """Four patches that never mix: cells of a map, and the mean of all as the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, 3, 4, stride=4)
        with torch.no_grad():
            self.embed.weight.copy_(drawn(3, 1, 4, 4, seed=3))

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.embed(pixels)
        return features.mean((2, 3))


def test_the_map_of_a_patch_that_never_mixes_is_flat_outside_that_patch() -> None:
    """Over all 16 masks: 1 where the patch shows, and elsewhere the mean of 1 and of the cosine of the hidden patch."""
    masks = torch.tensor([*product([0.0, 1.0], repeat=4)]).view(16, 1, 2, 2)
    masks = masks.repeat_interleave(4, 2).repeat_interleave(4, 3)
    image, network = drawn(1, 8, 8), Patches()
    with torch.inference_mode():
        whole, hidden = network.embed(image[None])[0, :, 1, 0], network.embed(torch.zeros(1, 1, 4, 4))[0, :, 0, 0]
    cosine = float(torch.cosine_similarity(whole.double(), hidden.double(), dim=0))

    explanation = relax.explain(image, network, token=(1, 0), masks=masks, fill=0.0, estimator="plain")

    seen = np.zeros((8, 8))
    seen[4:, :4] = 1
    np.testing.assert_allclose(explanation.importance, np.where(seen, 1, (1 + cosine) / 2), rtol=1e-6)
    encoder = explanation.provenance["encoder"]
    assert (encoder["layer"], encoder["token"]) == ("embed", [1, 0])


def test_the_whole_network_as_a_layer_gives_the_ordinary_map_bit_for_bit() -> None:
    image, encoder = drawn(3, 16, 16), load(small_cnn(), device="cpu")

    assert_same(relax.explain(image, encoder, layer="", **SMALL), relax.explain(image, encoder, **SMALL))


@pytest.mark.parametrize(("layer", "token"), [("2", None), ("2", (1, 3)), ("5", None)])
def test_the_map_of_a_layer_is_that_of_an_encoder_that_ends_there(layer: str, token: Any) -> None:
    """A network cut behind the layer, with the pooling by hand; references are seen through the layer, too."""
    image, other, network = drawn(3, 16, 16), drawn(3, 16, 16, seed=9), small_cnn()

    def cut(pixels: Tensor) -> Tensor:
        output: Tensor = network[: int(layer) + 1](pixels)
        if output.ndim == 2:
            return output
        return output.mean((2, 3)) if token is None else output[:, :, token[0], token[1]]

    for question in ({}, {"reference": other}, {"dimension": 2}):
        inner = relax.explain(image, network, layer=layer, token=token, **question, **SMALL)
        expected = relax.explain(image, cut, **question, **SMALL)
        np.testing.assert_allclose(inner.importance, expected.importance, rtol=1e-4, atol=1e-5)


def test_probes_pairs_comparisons_and_evaluations_ask_the_layer() -> None:
    image, other, network = drawn(3, 16, 16), drawn(3, 16, 16, seed=9), small_cnn()
    where: dict[str, Any] = {"layer": "2", "token": (0, 1)}
    inner = at_layer(load(network, device="cpu"), "2", (0, 1))
    expected = relax.explain(image, inner, **SMALL)

    assert_same(relax.probe(image, network, **where, **SMALL).explain(), expected)
    pair = relax.explain_pair(image, other, network, **where, **SMALL)
    assert_same(pair.a.to_itself, expected)
    assert pair.a.to_other.provenance["encoder"]["token"] == [0, 1]
    compared = relax.compare_methods(image, ["relax", "lafam", "occlusion"], network, **where, **SMALL)
    assert not compared.failures
    assert_same(compared.explanations["relax"], expected)
    assert compared.explanations["lafam"].provenance["settings"]["layer"] == "2"  # the last that is computed
    assert_same(relax.compare_encoders(image, [network], **where, **SMALL).explanations["Sequential"], expected)
    evaluation = relax.evaluate(
        [image], None, network, methods=["relax", "random"], metrics=["insertion"], **where, **SMALL
    )
    assert not evaluation.failures
    assert evaluation.settings["encoder"]["layer"] == "2"
    assert (evaluation.settings["layer"], evaluation.settings["token"]) == ("2", (0, 1))


def test_records_and_captions_tell_layer_and_token(tmp_path: Path) -> None:
    explanation = relax.explain(drawn(3, 16, 16), small_cnn(), layer="2", token=(0, 1), **SMALL)
    explanation.save(tmp_path / "maps.npz")

    read = relax.load(tmp_path / "maps.npz")

    assert read.provenance["encoder"]["layer"] == "2"
    assert "cell (0, 1) of layer 2" in recipe(read.provenance)
    assert "through Sequential, cell (0, 1) of layer 2: cosine" in repr(read)
    classed = relax.explain(drawn(3, 32, 32), load(small_timm_vit(), device="cpu", size=32), token="class", masks=8)
    assert "class token of layer norm" in recipe(classed.provenance)
    assert "layer" not in relax.explain(drawn(3, 16, 16), small_cnn(), **SMALL).provenance["encoder"]


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam", "scorecam", "eigencam", "lafam"])
def test_cams_show_the_layer_that_is_chosen(method: str) -> None:
    network, image = timm.create_model("test_resnet", num_classes=0).eval(), drawn(3, 32, 32)

    explanation = relax.explain(image, bare(network), method=method, layer="layer2")

    assert explanation.provenance["settings"]["layer"] == "layer2"
    assert "layer" not in explanation.provenance["encoder"]
    if method == "lafam":
        (activation,) = activations(bare(network), image[None], ["layer2"]).values()
        expected = torch.nn.functional.interpolate(activation.mean(1, keepdim=True), (32, 32), mode="bilinear")[0, 0]
        np.testing.assert_allclose(explanation.importance, expected, rtol=1e-5)


def test_attention_is_that_of_the_chosen_block() -> None:
    """The last block by name is the last without a name; the first differs; a part of a block names it."""
    image, encoder = drawn(3, 32, 32), bare(small_timm_vit())

    def attention(layer: str | None) -> relax.Explanation:
        return relax.explain(image, encoder, method="attention", layer=layer)

    assert_same(attention("blocks.2"), attention(None))
    assert_same(attention("blocks.0.norm1"), attention("blocks.0"))
    assert attention("blocks.0").provenance["map"] == "share of the attention in blocks.0"
    assert np.abs(attention("blocks.0").importance - attention(None).importance).max() > 1e-4
    with pytest.raises(
        MethodError, match=r"attention needs a block, and layer 'norm' .* choose from blocks.0 to blocks.2"
    ):
        attention("norm")
    with pytest.raises(MethodError, match="layer 'fc_norm' of encoder 'VisionTransformer' gives none"):
        relax.explain(image, encoder, method="lafam", layer="fc_norm")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"layer": 3}, "layer must be the name of a module, as relax layers lists; got 3"),
        ({"token": 3}, r'token must be "class", or row and column of a cell or patch, from 0, such as \(3, 7\); got 3'),
        ({"token": "klass"}, "token must be"),
        ({"token": (1, -1)}, "token must be"),
        ({"layer": "a", "method": "attention-rollout"}, "layer makes no difference to attention-rollout"),
        ({"token": (1, 1), "method": "random"}, "token makes no difference to random"),
        (
            {"token": (1, 1), "method": "gradcam"},
            "token is for methods that explain what a layer returns; gradcam shows",
        ),
        ({"layer": "a", "method": "lime", "head": SmallHead(6)}, "layer cannot be explained with a head, .*gradcam"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_loaded(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Request(**keywords)


def test_arrays_name_tokens_and_gradcam_takes_a_head_with_a_layer() -> None:
    assert Request(token=np.array([1, 2])).token == (1, 2)
    assert Request(layer="a", method="gradcam", head=SmallHead(6)).shown == "a"
