"""LeGrad equals its definition, block by block, in vision transformers of four kinds."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import encoders
import relax
from relax.baselines import MethodError
from tests.relax.baselines.small import SmallHead, bare, drawn
from tests.relax.baselines.test_baselines_layers import VITS

IMAGE = drawn(3, 32, 32)


def heads_of(values, heads):
    """(T, heads d) to (heads, T, d)."""
    return values.unflatten(1, (heads, -1)).movedim(1, 0)


def block_of_timm(block, tokens):
    """A block's tokens (T, D) as a function of its attention (heads, T, T), and that attention."""
    q, k, v = (heads_of(part, 2) for part in block.attn.qkv(block.norm1(tokens)).chunk(3, 1))
    attention = (q @ k.mT / q.shape[2] ** 0.5).softmax(2)

    def after(attention):
        mixed = tokens + block.attn.proj((attention @ v).movedim(0, 1).flatten(1))
        return mixed + block.mlp(block.norm2(mixed))

    return after, attention


def block_of_torchvision(block, tokens):
    layer = block.self_attention
    q, k, v = (
        heads_of(part, 2) for part in F.linear(block.ln_1(tokens), layer.in_proj_weight, layer.in_proj_bias).chunk(3, 1)
    )
    attention = (q @ k.mT / q.shape[2] ** 0.5).softmax(2)

    def after(attention):
        mixed = tokens + layer.out_proj((attention @ v).movedim(0, 1).flatten(1))
        return mixed + block.mlp(block.ln_2(mixed))

    return after, attention


def end_of_timm(vit, token):
    """The embedding of a picture whose tokens after the last block are all alike."""
    return vit.fc_norm(vit.norm(token))


BLOCKS = {name: (lambda vit: vit.blocks, block_of_timm, end_of_timm) for name in VITS if name.startswith("timm")} | {
    "torchvision": (lambda vit: vit.encoder.layers, block_of_torchvision, lambda vit, token: vit.encoder.ln(token))
}


def by_definition(name, vit, score):
    """(L, 4, 4): the positive gradient of each block, averaged over heads and queries, of the patches."""
    blocks_in, block_of, end = BLOCKS[name]
    inputs, maps = [], []
    blocks = blocks_in(vit)
    handles = [block.register_forward_pre_hook(lambda _, given: inputs.append(given[0][0])) for block in blocks]
    with torch.no_grad():
        vit(IMAGE[None])
    [handle.remove() for handle in handles]
    for block, tokens in zip(blocks, inputs, strict=True):
        with torch.no_grad():
            after, attention = block_of(block, tokens)
        attention = attention.requires_grad_()
        [gradient] = torch.autograd.grad(score(end(vit, after(attention).mean(0))), attention)
        maps.append(gradient.clamp(min=0).mean((0, 1))[VITS[name].prefix :].view(4, 4))
    return torch.stack(maps)


def enlarged(cells):
    return F.interpolate(cells[None, None], (32, 32), mode="bilinear")[0, 0].detach()


@pytest.mark.parametrize("name", BLOCKS)
def test_it_is_the_gradient_of_every_block_with_respect_to_its_own_attention(name):
    vit = VITS[name].make()
    with torch.no_grad():
        embedding = vit(IMAGE[None])[0]
    cells = by_definition(name, vit, lambda token: token @ embedding)

    explanation = relax.explain(IMAGE, vit, method="legrad")

    np.testing.assert_allclose(explanation.importance, enlarged(cells.mean(0)), rtol=1e-3)
    assert len(explanation.provenance["settings"]["blocks"]) == 3
    assert explanation.provenance["scalar"] == "dot to the image itself"


def test_a_layer_chooses_its_block_and_a_head_a_class():
    vit, head = VITS["timm"].make(), SmallHead(16)
    cells = by_definition("timm", vit, lambda token: head.logits(token[None])[0, 2])

    explanation = relax.explain(IMAGE, vit, method="legrad", layer="blocks.1", head=head, target="owl")

    np.testing.assert_allclose(explanation.importance, enlarged(cells[1]), rtol=1e-3, atol=1e-9)
    assert explanation.provenance["settings"]["blocks"] == ["blocks.1"]


def test_blocks_of_open_clip_are_found_in_the_image_tower():
    pytest.importorskip("open_clip")
    encoder = encoders.load("random:open_clip:ViT-S-32-alt?size=64", device="cpu")

    explanation = relax.explain(drawn(3, 64, 64), encoder, method="legrad")

    assert explanation.provenance["settings"]["grid"] == [2, 2]
    assert explanation.provenance["settings"]["blocks"][0] == "model.visual.transformer.resblocks.0"
    assert np.ptp(explanation.importance) > 0


def test_blocks_of_transformers_are_found():
    transformers = pytest.importorskip("transformers")
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.ViTModel(transformers.ViTConfig(image_size=32, patch_size=8, **shape)).eval()

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, pixels):
            return self.model(pixels).last_hidden_state[:, 0]

    explanation = relax.explain(IMAGE, bare(Network()), method="legrad")

    assert explanation.provenance["settings"] == {
        "blocks": ["model.layers.0", "model.layers.1"],
        "grid": [4, 4],
    }
    assert np.ptp(explanation.importance) > 0


def test_a_network_that_hides_its_attention_is_refused():
    class Hidden(nn.Module):
        """Attention that no layer passes through."""

        def __init__(self, layer):
            super().__init__()
            self.qkv, self.proj = layer.qkv, layer.proj

        def forward(self, tokens, **_):
            q, k, v = (part.unflatten(2, (2, -1)).movedim(2, 1) for part in self.qkv(tokens).chunk(3, 2))
            return self.proj(F.scaled_dot_product_attention(q, k, v).movedim(1, 2).flatten(2))

    vit = VITS["timm"].make()
    for block in vit.blocks:
        block.attn = Hidden(block.attn)

    with pytest.raises(MethodError, match="legrad needs the attention between all tokens of every block, which encod"):
        relax.explain(IMAGE, vit, method="legrad")
