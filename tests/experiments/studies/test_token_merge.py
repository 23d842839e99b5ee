"""Hidden tokens that are alike may be merged without a trace, if the merged one is attended to as often."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from encoders import Encoder, Preprocess
from experiments.studies.token_merge import agreement, merging
from relax.scene import Scene
from relax.settings import Hiding


def scene_of(positions: bool) -> Scene:
    """A small transformer of 16 patches, with positions or without, and masks of half of them."""
    torch.manual_seed(0)
    network = VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=3, num_heads=2, num_classes=0).eval()
    with torch.no_grad():
        network.pos_embed.copy_(torch.randn_like(network.pos_embed) if positions else 0 * network.pos_embed)
    encoder = Encoder(network, name="small", preprocess=Preprocess(size=(32, 32)), device="cpu")
    return Scene.of(torch.rand(1, 3, 32, 32), encoder, Hiding(regions="patches"))


def filled_and_merged(scene: Scene, side: int, proportional: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    masks, kept = scene.source.masks(0, 6), scene.source.kept(0, 6)
    with torch.inference_mode():
        merge = merging(scene.encoder, scene, side, proportional)
        return scene.embed(scene.masked(masks)), merge(masks, kept)


@pytest.mark.parametrize("side", [1, 2])
def test_hidden_patches_without_positions_are_all_alike_and_merge_exactly(side):
    torch.testing.assert_close(*filled_and_merged(scene_of(positions=False), side))


def test_a_merged_token_that_is_attended_to_once_is_another_question():
    filled, merged = filled_and_merged(scene_of(positions=False), 1, proportional=False)

    assert (filled - merged).abs().max() > 0.01


def test_patches_that_are_merged_with_no_other_are_filled():
    torch.testing.assert_close(*filled_and_merged(scene_of(positions=True), 4))


def test_the_agreement_of_two_maps_does_not_count_the_noise_that_they_share():
    rng = np.random.default_rng(0)
    first = rng.normal(size=20_000)
    second = 0.6 * first + 0.8 * rng.normal(size=20_000)
    noise = 2 * rng.normal(size=(2, 20_000))  # of the masks of each half, the same in both maps

    assert agreement(first + noise, second + noise) == pytest.approx(0.6, abs=0.1)
    assert np.corrcoef(first + noise[0], second + noise[0])[0, 1] > 0.9
