"""From a spec, a module with its tokenizer or a function to a text encoder: the front door."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from encoders.choices import one_of
from encoders.encoder import Encoder
from encoders.errors import EncoderError
from encoders.kinds import POOLING_ITEM, forms, resolve
from encoders.parsing import parse_spec
from encoders.values import described, is_whole, plain
from encoders.words.encoder import TextEncoder, TokenEncoder, Tokenizer
from encoders.words.kinds import POOLINGS, TEXT_KINDS
from encoders.words.towers import of_towers


def load_text_encoder(
    encoder: str | nn.Module | Callable[[Sequence[str]], Any] | Encoder | TextEncoder,
    device: str | torch.device = "auto",
    pooling: str = "auto",
    seed: int = 0,
    *,
    tokenizer: Tokenizer | None = None,
    mask_id: int | None = None,
    pad_id: int = 0,
    limit: int | None = None,
) -> TextEncoder:
    """Load a text encoder: frozen, in eval mode, offline where its files are here.

        encoder = load_text_encoder("minilm")
        encoder = load_text_encoder("hf:my-folder?pooling=mean")
        encoder = load_text_encoder(module, tokenizer=my_tokenizer, mask_id=4)
        encoder = load_text_encoder(sentence_transformer.encode)

    Args:
        encoder: A spec, see `encoders.words.kinds.TEXT_KINDS`; a module of tokens, which is copied and called on ids
            (B, T) and whether each is attended to (B, T), and returns (B, D); a function from a list of K texts to
            (K, D), tensor or array, in which words can only be left out; an image `Encoder` with a text tower; or a
            `TextEncoder`, passed through.
        device: A torch device, or "auto" = cuda, else mps, else cpu.
        pooling: How one vector is made of the tokens, see `encoders.words.kinds.POOLINGS`.
        seed: What random weights are drawn from.
        tokenizer: For a module: from a text to its `encoders.words.encoder.Tokens`.
        mask_id: For a module: the token that stands for a hidden one; None if it knows none.
        pad_id: For a module: the token that fills up shorter rows; it is never attended to.
        limit: For a module: tokens that it reads at most, special ones included; None is unlimited.

    Raises:
        ImportError: If the spec needs a package that is not installed.
        EncoderError: If the spec is not understood, or its weights, pooling or tokenizer cannot be had.
    """
    one_of("pooling", pooling, POOLINGS)
    seed = plain(seed)
    if not is_whole(seed):
        raise EncoderError(f"seed must be a whole number from 0 to 2**63 - 1; got {described(seed)}")
    if tokenizer is not None and (not isinstance(encoder, nn.Module) or isinstance(encoder, str)):
        raise EncoderError(f"tokenizer= is for a module of tokens, and {described(encoder)} brings its own")
    if isinstance(encoder, TextEncoder):
        return encoder
    if isinstance(encoder, Encoder):
        return of_towers(encoder)
    if isinstance(encoder, str):
        spec = parse_spec(encoder, TEXT_KINDS)
        chosen = spec.items.get(POOLING_ITEM, pooling) if pooling == "auto" else pooling
        loaded: TextEncoder = resolve(spec.kind.builder)(spec, device, one_of("pooling", chosen, POOLINGS), seed)
        return loaded
    if isinstance(encoder, nn.Module):
        if tokenizer is None:
            raise EncoderError(
                f"encoder {type(encoder).__name__!r} is a module of tokens: say its tokenizer=, or pass a function of "
                "texts"
            )
        name = type(encoder).__name__
        return TokenEncoder(
            copy.deepcopy(encoder), tokenizer, name, device=device, mask_id=mask_id, pad_id=pad_id, limit=limit
        )
    if callable(encoder) and not isinstance(encoder, type):
        return TextEncoder(encoder, getattr(encoder, "__name__", type(encoder).__name__))
    raise EncoderError(
        f"encoder must be a spec of a text encoder ({', '.join(forms(TEXT_KINDS))}), a module with its tokenizer, a "
        f"function of texts or an encoder with a text tower; got {described(encoder)}"
    )
