"""A text encoder: sentences in, one vector each out, and for networks that take tokens, which tokens it read.

`TextEncoder` is any function of texts. `TokenEncoder` has a tokenizer and takes tokens too, so that some of them can be
hidden without writing the text anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from encoders.checks import check_floats, check_weights
from encoders.checksum import network_checksum
from encoders.devices import find_device
from encoders.encoder import Encoder
from encoders.errors import EncoderError, one_line
from encoders.values import described


@dataclass(frozen=True)
class Tokens:
    """A text as a network reads it.

    Attributes:
        ids: Numbers of the tokens, T.
        spans: T pairs (start, end) of the characters of the text that a token stands for; empty for special tokens.
        special: T times whether the tokenizer added it, such as [CLS].
        pieces: T texts to show.
        whole: Tokens before the text was cut; T if it was not.
    """

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    special: tuple[bool, ...]
    pieces: tuple[str, ...]
    whole: int

    def __len__(self) -> int:
        return len(self.ids)

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.spans) == len(self.special) == len(self.pieces):
            raise ValueError("ids, spans, special and pieces of Tokens must be of one length")


class Tokenizer(Protocol):
    """From a text to its tokens; all of them, however many."""

    def __call__(self, text: str, /) -> Tokens:
        """The tokens."""


class TextEncoder:
    """A function of texts with a name, whose answers are checked.

    Attributes:
        name: The spec that it was loaded by, or the name of the function or class.
        device: Of the embeddings.
        limit: Tokens that it reads at most, special ones included; None = unlimited or unknown.
        pictures: The image encoder of the same space, where the network has two towers.
        pooling: A key of `encoders.words.kinds.POOLINGS`.
        seed: What random weights were drawn from; None where there are none.
    """

    reads_tokens = False

    def __init__(
        self,
        function: Callable[[list[str]], Any],
        name: str,
        *,
        device: str | torch.device = "cpu",
        limit: int | None = None,
        pictures: Encoder | None = None,
        pooling: str = "auto",
        seed: int | None = None,
    ) -> None:
        self._function, self.name, self.limit, self.pictures = function, name, limit, pictures
        self.device = find_device(device)
        self.pooling, self.seed = pooling, seed

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        """K texts to (K, D) float32 on `device`.

        Raises:
            EncoderError: If it fails, or returns anything but a finite vector per text.
        """
        return self._checked(lambda: self._function(list(texts)), len(texts))

    @property
    def checksum(self) -> str | None:
        """SHA-256 of the weights, as `encoders.checksum` has it; None for a function."""
        return None if self.pictures is None else self.pictures.checksum

    def record(self) -> dict[str, Any]:
        """What determines its embeddings, as JSON types."""
        return {
            "name": self.name,
            "checksum": self.checksum,
            "pooling": self.pooling,
            "limit": self.limit,
            "seed": self.seed,
        }

    def _checked(self, work: Callable[[], Any], count: int) -> Tensor:
        """What the network returns, as float32 on the device."""
        try:
            answer = work()
        except (EncoderError, torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:  # networks and functions of others raise anything
            raise EncoderError(
                f"encoder {self.name!r} cannot embed these texts ({type(error).__name__}: {one_line(error)}): check "
                "what it takes"
            ) from error
        vectors = torch.from_numpy(answer) if isinstance(answer, np.ndarray) else answer
        if not isinstance(vectors, Tensor):
            raise EncoderError(
                f"encoder {self.name!r} must return a tensor or array (K, D), one row a text; got {described(answer)}"
            )
        check_floats(vectors, self.name)
        if vectors.ndim != 2 or len(vectors) != count or not vectors.shape[1]:
            raise EncoderError(
                f"encoder {self.name!r} must return one vector a text, here ({count}, D); got {tuple(vectors.shape)}"
            )
        if not vectors.isfinite().all():
            raise EncoderError(f"encoder {self.name!r} gives NaN or infinity: check its weights, and run it in float32")
        return vectors.detach().float().to(self.device)


class TokenEncoder(TextEncoder):
    """A module that takes tokens, with its tokenizer.

    Args:
        network: Called on ids (B, T) int64 and attended (B, T) bool, False where a token is padding or hidden; returns
            (B, D). Its method `attentions(ids, attended)`, if there is one, returns (B, layers, heads, T, T). It is put
            in eval mode and frozen, in place.
        tokenizer: From a text to its `Tokens`.
        name: As for `TextEncoder`, like the keywords that are not named here.
        mask_id: The token that stands for a hidden one, such as [MASK]; None if the network knows none.
        pad_id: The token with which shorter rows are filled up; it is never attended to.
    """

    reads_tokens = True

    def __init__(
        self,
        network: nn.Module,
        tokenizer: Tokenizer,
        name: str,
        *,
        device: str | torch.device = "auto",
        mask_id: int | None = None,
        pad_id: int = 0,
        limit: int | None = None,
        pooling: str = "auto",
        seed: int | None = None,
    ) -> None:
        super().__init__(self._of_texts, name, device=device, limit=limit, pooling=pooling, seed=seed)
        check_weights(network)
        self.network = network.eval().requires_grad_(False).to(self.device)
        self.tokenizer, self.mask_id, self.pad_id = tokenizer, mask_id, pad_id

    @property
    def checksum(self) -> str | None:
        """SHA-256 of the weights."""
        return network_checksum(self.network)

    def tokens(self, text: str, *, cut: bool = False) -> Tokens:
        """The tokens of a text.

        Args:
            text: The text.
            cut: Whether of a text that is too long the beginning is read; else it is refused.

        Raises:
            EncoderError: If the text has more tokens than the network reads, or none.
        """
        try:
            tokens = self.tokenizer(text)
        except EncoderError:
            raise
        except Exception as error:  # tokenizers of others raise anything
            raise EncoderError(
                f"encoder {self.name!r} cannot take the text apart ({type(error).__name__}: {one_line(error)})"
            ) from error
        if not isinstance(tokens, Tokens):
            raise EncoderError(
                f"tokenizer of {self.name!r} must return encoders.words.encoder.Tokens; got {described(tokens)}"
            )
        if all(tokens.special):
            raise EncoderError(f"encoder {self.name!r} reads no token in {text[:40]!r}: give a text with words")
        if self.limit is not None and len(tokens) > self.limit:
            if not cut:
                place = _beginning(tokens, self.limit).spans
                end = max(end for _, end in place)
                raise EncoderError(
                    f"text has {len(tokens):,} tokens, and encoder {self.name!r} reads at most {self.limit:,}, here up "
                    f"to character {end:,} of {len(text):,}: shorten it, or read the beginning alone (cut, --cut)"
                )
            tokens = _beginning(tokens, self.limit)
        return tokens

    @torch.inference_mode()
    def embed(self, ids: Tensor, attended: Tensor) -> Tensor:
        """Tokens (B, T) int64, and whether each is attended to (B, T) bool, to (B, D) float32 on `device`."""
        return self._checked(lambda: self.network(ids.to(self.device), attended.to(self.device)), len(ids))

    @torch.inference_mode()
    def attentions(self, tokens: Tokens) -> Tensor:
        """(layers, heads, T, T) float32 on the CPU: how much each token (row) attends to each (column).

        Raises:
            EncoderError: If the network does not tell.
        """
        method = getattr(self.network, "attentions", None)
        if not callable(method):
            raise EncoderError(f"encoder {self.name!r} does not tell what it attends to: use one of transformers")
        ids = torch.tensor([tokens.ids], device=self.device)
        weights = method(ids, torch.ones_like(ids, dtype=torch.bool))
        count = len(tokens)
        if not isinstance(weights, Tensor) or weights.ndim != 5 or weights.shape[-2:] != (count, count):
            raise EncoderError(
                f"encoder {self.name!r} must return attentions (1, layers, heads, {count}, {count}); got "
                f"{described(weights)}"
            )
        return weights[0].float().cpu()

    def _of_texts(self, texts: list[str]) -> Tensor:
        """(K, D), each text alone: what it is filled up to changes the last digits."""
        rows = []
        for text in texts:
            ids = torch.tensor([self.tokens(text).ids], device=self.device)
            rows.append(self.network(ids, torch.ones_like(ids, dtype=torch.bool)))
        return torch.cat(rows)


def _beginning(tokens: Tokens, limit: int) -> Tokens:
    """The first tokens, and the special ones at the end, `limit` in all."""
    tail = 0
    while tail < len(tokens) and tokens.special[-1 - tail]:
        tail += 1
    keep = [*range(max(0, limit - tail)), *range(len(tokens) - tail, len(tokens))][:limit]
    parts = (tokens.ids, tokens.spans, tokens.special, tokens.pieces)
    ids, spans, special, pieces = (tuple(part[place] for place in keep) for part in parts)
    return Tokens(ids, spans, special, pieces, len(tokens))  # type: ignore[arg-type]
