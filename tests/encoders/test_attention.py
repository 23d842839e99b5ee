"""The attention of blocks is recorded head by head, as computed from their own weights."""

import timm
import torch
from torch import nn

from encoders.attention import attention_layer, watching_attention


def by_hand(queries, keys):
    """(heads, T, T) softmax of the products of (heads, T, d), over the root of d."""
    return torch.softmax(queries @ keys.mT / queries.shape[-1] ** 0.5, -1)


def test_a_block_of_timm_gives_the_softmax_of_its_queries_and_keys_per_head():
    torch.manual_seed(0)
    network = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, num_classes=0).eval()
    pixels = torch.rand(1, 3, 32, 32)
    inputs = []
    network.blocks[1].attn.qkv.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    fused = network.blocks[1].attn.fused_attn
    seen = {}

    with torch.no_grad(), watching_attention(dict(network.blocks.named_children()), seen.__setitem__):
        network(pixels)

    with torch.no_grad():
        projected = network.blocks[1].attn.qkv(inputs[0])[0]
    queries, keys, _ = projected.unflatten(1, (3, 3, 64)).permute(1, 2, 0, 3)
    assert [*seen] == ["0", "1"]
    torch.testing.assert_close(seen["1"][0], by_hand(queries, keys), atol=1e-6, rtol=1e-5)
    assert network.blocks[1].attn.fused_attn is fused  # as it was before


def test_a_block_of_torch_does_too_and_one_without_attention_is_passed_over():
    torch.manual_seed(0)
    block = nn.Module()
    block.self_attention = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    tokens = torch.rand(1, 5, 8)
    seen = {}

    with torch.no_grad(), watching_attention({"first": block, "other": nn.Linear(8, 8)}, seen.__setitem__):
        block.self_attention(tokens, tokens, tokens)

    layer = block.self_attention
    queries, keys, _ = (
        (tokens[0] @ layer.in_proj_weight.T + layer.in_proj_bias).unflatten(1, (3, 2, 4)).permute(1, 2, 0, 3)
    )
    torch.testing.assert_close(seen["first"][0], by_hand(queries, keys), atol=1e-6, rtol=1e-5)
    assert [*seen] == ["first"]
    assert attention_layer(nn.Linear(8, 8)) is None
