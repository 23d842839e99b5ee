"""A vision transformer that is shown some patch tokens computes on these, its prefix tokens, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from torch import Tensor

import relax
from encoders import Encoder, EncoderError, load
from masking import PatchMasks

# Class token; class token and mean pooling; register tokens, whatever timm calls them.
NETWORKS = {
    "class token": {"model_name": "vit_tiny_patch16_224", "img_size": 64},
    "mean": {"model_name": "vit_tiny_patch16_224", "img_size": 64, "global_pool": "avg"},
    "registers": {"model_name": "vit_tiny_patch16_224", "img_size": 64, "reg_tokens": 2, "no_embed_class": True},
    "no prefix": {"model_name": "vit_tiny_patch16_224", "img_size": 64, "class_token": False, "global_pool": "avg"},
}


def network(name: str) -> timm.models.VisionTransformer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return timm.create_model(num_classes=0, depth=2, **NETWORKS[name]).eval()


def encoder(name: str = "class token") -> Encoder:
    return load(network(name), device="cpu")


def view(seed: int = 0) -> Tensor:
    return torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def kept(count: int = 6) -> Tensor:
    return PatchMasks((64, 64), (4, 4), 0.5, 1).kept(0, count)


@pytest.mark.parametrize("name", NETWORKS)
def test_with_every_patch_kept_it_is_the_ordinary_embedding(name: str) -> None:
    embedding = encoder(name).embed_visible(view(), torch.arange(16).expand(3, -1))

    torch.testing.assert_close(embedding, encoder(name).embed(view()).expand(3, -1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_equals_the_blocks_run_by_hand_on_the_tokens_that_are_left(name: str) -> None:
    model, patches = network(name), kept()
    expected = []
    with torch.inference_mode():
        tokens = model._pos_embed(model.patch_embed(view()))
        for row in patches.tolist():
            prefix = model.num_prefix_tokens
            left = [*range(prefix), *(prefix + patch for patch in row)]
            z = model.norm(model.blocks(model.norm_pre(tokens[:, left])))
            pooled = z[:, prefix:].mean(1) if "avg" in str(NETWORKS[name].get("global_pool")) else z[:, 0]
            expected.append(model.fc_norm(pooled)[0])

    embedding = encoder(name).embed_visible(view(), patches)

    torch.testing.assert_close(embedding, torch.stack(expected), rtol=1e-4, atol=1e-5)


def test_hidden_pixels_make_no_difference_and_shown_ones_do() -> None:
    changed, visible = view(), torch.tensor([[1, 2, 5, 7]])
    changed[..., :16, :16] = 0.9  # patch 0, which is hidden

    vit = encoder()
    assert torch.equal(vit.embed_visible(changed, visible), vit.embed_visible(view(), visible))
    changed[..., :16, 16:32] = 0.9  # patch 1
    assert not torch.allclose(vit.embed_visible(changed, visible), vit.embed_visible(view(), visible), atol=1e-3)


def test_the_network_is_left_as_it_was() -> None:
    vit = encoder()
    before = vit.embed(view())

    vit.embed_visible(view(), kept())

    assert torch.equal(vit.embed(view()), before)
    assert isinstance(vit.network.patch_drop, torch.nn.Identity)


def test_explain_drops_the_tokens_of_its_masks() -> None:
    vit, masks = encoder(), PatchMasks((64, 64), (4, 4), 0.5, 7)
    scores = torch.cosine_similarity(vit.embed_visible(view(), masks.kept(0, 60)), vit.embed(view())).double()
    weights = masks.masks(0, 60)[:, 0].double()
    expected = (scores[:, None, None] * weights).sum(0) / weights.sum(0)

    explanation = relax.explain(view()[0], vit, masks=60, regions="patches", fill="drop", seed=7, batch_size=25)

    np.testing.assert_allclose(explanation.importance, expected, atol=1e-6)
    assert explanation.provenance["fill"] == "drop"
    assert explanation.provenance["masks"]["visible"] == 8


def test_patches_can_be_filled_as_well() -> None:
    vit, masks = encoder(), PatchMasks((64, 64), (4, 4), 0.5, 7).masks(0, 60)

    explanation = relax.explain(view()[0], vit, masks=60, regions="patches", fill=0.5, seed=7)

    expected = relax.explain(view()[0], vit, masks=masks, fill=0.5)
    np.testing.assert_allclose(explanation.importance, expected.importance, atol=1e-6)


@pytest.mark.parametrize("fill", ["drop", "mean"])
def test_other_networks_are_refused_with_the_way_out(fill: str) -> None:
    with pytest.raises(
        EncoderError,
        match=r"need a VisionTransformer of timm whose patches tile what it sees, here 96 x 96 px; encoder "
        r"'random:default' is a ResNet: take regions=\"grid\" and fill=\"mean\"",
    ):
        relax.explain(view()[0], "random:default", masks=4, regions="patches", fill=fill)
    with pytest.raises(EncoderError, match="is a function: take"):
        relax.explain(view()[0], lambda pixels: pixels.flatten(1), masks=4, regions="patches")


def test_dropping_needs_patches() -> None:
    with pytest.raises(ValueError, match=r'fill "drop" .* needs regions="patches"; got regions=\'grid\''):
        relax.explain(view()[0], encoder(), masks=4, fill="drop")
    with pytest.raises(ValueError, match='needs regions="patches"; got given masks'):
        relax.explain(view()[0], encoder(), masks=torch.ones(4, 1, 64, 64), regions="patches", fill="drop")
