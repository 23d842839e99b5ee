"""What a network attends to in a text: every layer and head, their means, and attention followed through all layers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from encoders.words.encoder import TextEncoder, TokenEncoder
from relax.baselines.attention import rollout
from relax.words.question import checked_text


@dataclass(frozen=True)
class TextAttention:
    """The attention between the tokens of a text.

    Attributes:
        pieces: The T tokens, special ones too.
        special: T times whether the tokenizer added it.
        weights: (layers, heads, T, T) float32; each row (a token that looks) sums to 1 over the columns.
    """

    pieces: tuple[str, ...]
    special: tuple[bool, ...]
    weights: Tensor

    @cached_property
    def over_heads(self) -> Tensor:
        """(layers, T, T) float64: the mean over the heads of each layer."""
        return self.weights.double().mean(1)

    @cached_property
    def rollout(self) -> Tensor:
        """(T, T) float64: attention followed through all layers, the product of (A + 1) / 2 over them.

        Source: Quantifying Attention Flow in Transformers (Abnar & Zuidema, ACL 2020), section 3.
        """
        return rollout(list(self.over_heads))


def text_attention(encoder: TextEncoder, text: str, *, cut: bool = False) -> TextAttention:
    """The attention of an encoder on a text.

    Args:
        encoder: One that takes tokens.
        text: The text.
        cut: As for `explain_text`.

    Raises:
        EncoderError: If the encoder does not tell what it attends to, or the text is too long for it.
        ValueError: If it takes texts and no tokens.
    """
    if not isinstance(encoder, TokenEncoder):
        raise ValueError(f"attention needs an encoder that takes tokens, and {encoder.name!r} takes texts")
    tokens = encoder.tokens(checked_text(text), cut=cut)
    return TextAttention(tokens.pieces, tokens.special, encoder.attentions(tokens))
