"""A text with some of its parts hidden, embedded: masks (N, P) to embeddings (N, D)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from encoders.words.encoder import TextEncoder, TokenEncoder
from relax.estimators.budget import within_memory
from relax.text import one_of
from relax.words.parts import Parts
from relax.words.tables import FILLS

BATCH = 64  # masked texts in one pass, where memory allows


def fill_of(encoder: TextEncoder, fill: str) -> str:
    """The fill itself, or for "auto" the mask token where there is one, else dropping.

    Raises:
        ValueError: If it is unknown, or the encoder cannot do it.
    """
    one_of("fill", fill, ("auto", *FILLS))
    if not isinstance(encoder, TokenEncoder):
        if fill in ("auto", "drop"):
            return "drop"
        raise ValueError(f'fill must be "drop" for {encoder.name!r}, which takes texts and no tokens; got {fill!r}')
    if fill == "auto":
        return "drop" if encoder.mask_id is None else "mask"
    if fill == "mask" and encoder.mask_id is None:
        raise ValueError(f'fill must be "drop" or "attention" for {encoder.name!r}, which has no mask token')
    return fill


@dataclass
class HiddenText:
    """One text whose parts can be hidden.

    Attributes:
        encoder: The encoder.
        parts: The text, taken apart.
        fill: A key of `FILLS` that the encoder can do.
    """

    encoder: TextEncoder
    parts: Parts
    fill: str

    def embeddings(self, masks: Tensor) -> Tensor:
        """(N, D) float32 under masks (N, P), 1 = visible; tokens that belong to no part are always there."""
        size, done, rows = BATCH, 0, []
        while done < len(masks):
            batch, size = within_memory(lambda size, start=done: self._embedded(masks[start : start + size]), size)  # type: ignore[misc]
            rows.append(batch)
            done += len(batch)
        return torch.cat(rows)

    def _embedded(self, masks: Tensor) -> Tensor:
        encoder = self.encoder
        if not isinstance(encoder, TokenEncoder):
            return encoder([self.shown(row) for row in (masks > 0.5).tolist()])
        visible = self._visible(masks > 0.5)
        ids = self._ids.expand(len(masks), -1)
        if self.fill == "mask":
            assert encoder.mask_id is not None  # noqa: S101  # `fill_of` has seen to it
            return encoder.embed(ids.where(visible, torch.tensor(encoder.mask_id)), torch.ones_like(visible))
        if self.fill == "attention":
            return encoder.embed(ids, visible)
        order = visible.logical_not().long().argsort(dim=1, stable=True)  # what is visible moves to the front
        longest = int(visible.sum(1).max())
        present = visible.gather(1, order)[:, :longest]
        moved = ids.gather(1, order)[:, :longest]
        return encoder.embed(moved.where(present, torch.tensor(encoder.pad_id)), present)

    def shown(self, visible: list[bool]) -> str:
        """The text with only some of its parts, each with the white space behind it."""
        starts = [start for start, _ in self.parts.spans]
        ends = [*starts[1:], len(self.parts.text)]
        kept = (self.parts.text[start:end] for start, end, shown in zip(starts, ends, visible, strict=True) if shown)
        return "".join(kept).strip()

    @cached_property
    def _ids(self) -> Tensor:
        assert self.parts.tokens is not None  # noqa: S101
        return torch.tensor([self.parts.tokens.ids])

    def _visible(self, shown: Tensor) -> Tensor:
        """(N, T) whether each token is visible, from (N, P) bool."""
        assert self.parts.token_part is not None  # noqa: S101
        owners = torch.from_numpy(self.parts.token_part)
        always = torch.ones(len(shown), 1, dtype=torch.bool)
        return torch.cat([shown, always], 1)[:, owners.where(owners >= 0, torch.tensor(shown.shape[1]))]
