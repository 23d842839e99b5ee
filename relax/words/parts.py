"""The parts of a text that are hidden as a whole, and which tokens each of them has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.words.encoder import TextEncoder, TokenEncoder, Tokens
from relax.text import one_of
from relax.words.segments import Span, sentences, words
from relax.words.tables import MOST_PARTS, PARTS

ALWAYS = -1  # the part of a special token


@dataclass(frozen=True)
class Parts:
    """What is hidden as a whole.

    Attributes:
        text: The text.
        by: A key of `PARTS`.
        spans: (start, end) of the characters of every part, P, in the order of the text.
        tokens: The tokens of the text; None where the encoder takes texts alone.
        token_part: (T,) the number of the part that each token belongs to, -1 for special tokens; None without tokens.
    """

    text: str
    by: str
    spans: tuple[Span, ...]
    tokens: Tokens | None
    token_part: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.spans)

    @property
    def words(self) -> tuple[str, ...]:
        """The text of every part."""
        return tuple(self.text[start:end] for start, end in self.spans)

    @property
    def read(self) -> NDArray[np.bool_]:
        """(P,) whether the network reads any of it: not what was cut off, nor what its tokenizer drops."""
        if self.token_part is None:
            return np.ones(len(self), bool)
        return np.isin(np.arange(len(self)), self.token_part)


def parts_of(encoder: TextEncoder, text: str, by: str, *, cut: bool = False) -> Parts:
    """Take a text apart.

    Args:
        encoder: Of the tokens.
        text: The text, not empty.
        by: A key of `PARTS`.
        cut: Whether of a text that is too long for the encoder the beginning is read; else it is refused.

    Raises:
        ValueError: If the encoder has no tokens to hide, or there are too many parts.
        EncoderError: If the text is too long for the encoder.
    """
    one_of("by", by, PARTS)
    tokens = encoder.tokens(text, cut=cut) if isinstance(encoder, TokenEncoder) else None
    of_token: NDArray[np.int64] | None = None
    if by != "tokens":
        spans = tuple(words(text) if by == "words" else sentences(text))
        of_token = None if tokens is None else _owners(tokens, spans)
    elif tokens is not None:
        spans, of_token = _tokens(tokens)
    else:
        raise ValueError(
            f'by="tokens" needs an encoder that takes tokens, and {encoder.name!r} takes texts: choose "words"'
        )
    if len(spans) > MOST_PARTS:
        way_out = 'hide whole sentences (by="sentences")' if by != "sentences" else "explain a part of it"
        raise ValueError(f"text must have at most {MOST_PARTS:,} {by} to be explained; got {len(spans):,}: {way_out}")
    return Parts(text, by, spans, tokens, of_token)


def _tokens(tokens: Tokens) -> tuple[tuple[Span, ...], NDArray[np.int64]]:
    """Every token but the special ones is a part."""
    own = np.array([not special for special in tokens.special])
    numbers = np.where(own, own.cumsum() - 1, ALWAYS)
    return tuple(span for span, special in zip(tokens.spans, tokens.special, strict=True) if not special), numbers


def _owners(tokens: Tokens, spans: tuple[Span, ...]) -> NDArray[np.int64]:
    """(T,) the part in which each token lies; one between two parts belongs to the later one, which it introduces."""
    starts, ends = np.array(spans).T
    owners = np.full(len(tokens), ALWAYS)
    for place, ((start, end), special) in enumerate(zip(tokens.spans, tokens.special, strict=True)):
        if not special:
            inside = np.minimum(ends, max(end, start + 1)) - np.maximum(starts, start)
            best = int(inside.argmax())
            owners[place] = (
                best if inside[best] > 0 else min(int(np.searchsorted(ends, start, "right")), len(spans) - 1)
            )
    return owners
