"""Every method gives an encoder that writes into its pixels the map of its twin that does not, and leaves them be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import relax
from encoders import Encoder
from relax.baselines import METHODS
from tests.relax.baselines.small import SmallHead, bare, drawn, small_cnn
from tests.relax.baselines.test_baselines_layers import small_timm_vit


def normalising(network: nn.Module, *, in_place: bool) -> nn.Module:
    """The network with the first step of many a training script."""

    class Normalising(type(network)):  # type: ignore[misc]
        def forward(self, pixels: Tensor) -> Tensor:
            out: Tensor = super().forward(pixels.sub_(0.4).div_(0.25) if in_place else (pixels - 0.4) / 0.25)
            return out

    network.__class__ = Normalising
    return network


def twins(*, attention: bool = False) -> tuple[Encoder, Encoder]:
    """Without preprocessing, so that the encoder's view of a tensor is that very tensor."""
    make = small_timm_vit if attention else small_cnn
    in_place, out_of_place = (bare(normalising(make(), in_place=flag)) for flag in (True, False))
    return in_place, out_of_place


def assert_same_maps(a: relax.Explanation, b: relax.Explanation) -> None:
    for name in ("importance", "uncertainty", "standard_error"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_the_map_is_that_of_the_twin_and_the_callers_tensor_stays(method: str) -> None:
    attention = "attention" in METHODS[method].needs
    settings: dict[str, Any] = {"cells": 2, "head": SmallHead(6)} if method == "rise" else {"cells": 2}
    if METHODS[method].samples:
        settings["masks"] = 24
    size = (3, 32, 32) if attention else (3, 16, 16)
    given = drawn(*size)

    maps = [relax.explain(given, encoder, method=method, **settings) for encoder in twins(attention=attention)]

    assert_same_maps(*maps)
    assert torch.equal(given, drawn(*size))


FILLS: list[dict[str, Any]] = [
    {"fill": "blur"},
    {"fill": "noise"},
    {"fill": 0.5},
    {"fill": drawn(3, 16, 16, seed=5)},
    {"regions": "windows"},
    {"regions": "superpixels"},
    {"masks": drawn(24, 1, 16, 16, seed=6)},
    {"reference": drawn(3, 16, 16, seed=7)},
    {"reference": relax.Corpus([drawn(3, 16, 16, seed=8), drawn(3, 16, 16, seed=9)]), "similarity": "l2"},
    {"precision": "fast"},
]


@pytest.mark.parametrize("settings", FILLS, ids=lambda settings: "-".join(settings))
def test_whatever_hidden_pixels_show_and_masked_views_are_compared_with(settings: dict[str, Any]) -> None:
    given = drawn(3, 16, 16)
    kept = {name: value.clone() for name, value in settings.items() if isinstance(value, Tensor)}

    maps = [relax.explain(given, encoder, **{"cells": 2, "masks": 24} | settings) for encoder in twins()]

    tolerance = 0.05 if settings.get("precision") == "fast" else 1e-5
    np.testing.assert_allclose(maps[0].importance, maps[1].importance, rtol=tolerance)
    assert torch.equal(given, drawn(3, 16, 16))
    for name, value in kept.items():
        assert torch.equal(settings[name], value), name


def test_patches_that_are_withheld() -> None:
    maps = [
        relax.explain(drawn(3, 32, 32), encoder, regions="patches", fill="drop", masks=24)
        for encoder in twins(attention=True)
    ]

    assert_same_maps(*maps)


def test_metrics_and_the_checks_of_a_map() -> None:
    results = []
    for encoder in twins():
        evaluation = relax.evaluate([drawn(3, 16, 16)], None, encoder, methods=["relax", "occlusion"], masks=24)
        trust = relax.assess(drawn(3, 16, 16), encoder, masks=24)
        pair = relax.explain_pair(drawn(3, 16, 16), drawn(3, 16, 16, seed=4), encoder, masks=24)
        results.append(([outcome.values for outcome in evaluation.outcomes], trust, pair.a.similarity))

    (values, trust, similarity), (expected, expected_trust, expected_similarity) = results
    assert values == expected
    assert trust.stability == expected_trust.stability
    assert similarity == expected_similarity
