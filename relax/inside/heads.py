"""Attention per head in the blocks that are looked at, as far as the network holds it and it fits into memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from encoders import Encoder
from encoders.attention import attention_layer, watching_attention
from encoders.layouts import TOKENS, Layer
from encoders.trace import module_of
from relax.inside.stage import Heads

MOST = 64_000_000  # shares over all blocks: 128 MB of float16


def heads_of(encoder: Encoder, view: Tensor, layers: Sequence[Layer]) -> tuple[dict[str, Heads], str]:
    """By name of a block, from one forward pass, and a sentence on blocks that were left out; "" where none were."""
    tokens = {layer.name: layer.shape[0] for layer in layers if layer.layout == TOKENS and layer.spatial}
    blocks = {name: module_of(encoder, name) for name in tokens}
    blocks = {name: block for name, block in blocks.items() if attention_layer(block) is not None}
    kept: dict[str, Heads] = {}
    left_out: list[str] = []

    def record(name: str, shares: Tensor) -> None:
        if shares.shape[:1] != (1,) or shares.shape[2:] != (tokens[name], tokens[name]):
            return  # of windows, or of other tokens
        kept[name] = Heads(shares[0].detach().float().cpu().numpy().astype(np.float16))
        while sum(heads.weights.size for heads in kept.values()) > MOST:  # the last blocks stay
            left_out.append(next(iter(kept)))
            del kept[left_out[-1]]

    if blocks:
        with watching_attention(blocks, record):
            encoder.embed(view)
    return kept, f"attention of {', '.join(left_out)}, for its size" if left_out else ""
