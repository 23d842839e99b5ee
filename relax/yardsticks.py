"""What the similarities in a map are to be read against: how close does the encoder call what is not this picture?

Two pictures without further data: the picture entirely hidden, and the picture cut into 16 x 16 pieces in a random
order, which has its colours and textures and none of its objects. They are embedded once per picture, in one batch with
the picture itself, whose embedding in that company must be the one that it has alone. All are cosines to the
picture itself, whatever the measure of the map.

Measured with the default masks: a trained encoder calls pictures with half of them hidden 0.43 to 0.96 similar on
average, and the shuffled picture -0.03 to 0.89 (SSCD, EfficientNet-Lite0, a salience ViT-S/14, a thin ResNet-50 and the
bundled encoder on photographs; on pictures of one texture up to 0.98 and 0.99). ResNets with random weights call masked
pictures 0.997 to 0.999 similar; vision transformers with random weights 0.80 to 0.93, but the shuffled one 0.96 to
0.996.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from encoders import Encoder, EncoderError, EncoderWarning
from encoders.checks import check_steady, check_unchanged, versions
from encoders.errors import STEADY
from relax.estimators.budget import within_memory
from similarity import cosine

PIECES = 16  # along each side
PICTURES = 3  # that are embedded beside the masked views, see `pictures_of`


@dataclass
class Yardsticks:
    """Cosines to a picture: of its masked views, of the picture entirely hidden, and of its shuffled pieces.

    Attributes:
        picture: (D,) its embedding.
        hidden: The cosine of the picture entirely hidden; NaN where either embedding is all zeros, or where the encoder
            has none for it, as one that divides by the length of what it sees.
        shuffled: Likewise of its pieces in a random order.
        unsteady: How far its embedding in a batch is from that alone, as a share of its length.
        masked: (N,) cosines of the masked views so far, in parts.
        zeros: How many of these had embeddings of zeros, in parts.
    """

    picture: Tensor
    hidden: float
    shuffled: float
    unsteady: float
    masked: list[Tensor] = field(default_factory=list)
    zeros: list[Tensor] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        encoder: Encoder,
        embed: Callable[[Tensor], Tensor],
        view: Tensor,
        fill: Tensor,
        picture: Tensor,
        embedded: Tensor | None = None,
    ) -> Yardsticks:
        """Embed all three in a batch.

        Args:
            encoder: The encoder.
            embed: From pixels (N, C, h, w) to their embeddings (N, D).
            view: (1, C, h, w) the picture.
            fill: (1, C, h, w) or (1, C, 1, 1), what hidden pixels show.
            picture: (D,) the embedding of the view alone.
            embedded: (3, D) those of `pictures_of`, where a larger batch had them; None to embed them here.

        Raises:
            EncoderError: If the encoder fails, or returns vectors of several lengths.

        Warns:
            EncoderWarning: If the encoder gives the picture several embeddings, changes its own weights, or gives all
                three pictures the same embedding.
        """
        before = versions(encoder.network)
        pictures = pictures_of(view, fill)
        embedded = _together(embed, pictures, picture) if embedded is None else embedded
        hidden, pieces, in_company = embedded.to(picture.device)
        unsteady = check_steady(encoder.name, encoder.network, picture, in_company, lambda: embed(view)[0])
        check_unchanged(encoder.name, encoder.network, before)
        if unsteady <= STEADY and _blind(pictures, picture, hidden, pieces):
            warnings.warn(
                f"encoder {encoder.name!r} gives this picture, the picture entirely hidden and its pieces shuffled "
                "one and the same embedding: the map is constant and shows nothing",
                EncoderWarning,
                stacklevel=2,
            )
        return cls(picture, _cosine(hidden, picture), _cosine(pieces, picture), unsteady)

    def start(self) -> None:
        """Forget the masked views of an earlier run."""
        self.masked.clear()
        self.zeros.clear()

    def add(self, embeddings: Tensor) -> None:
        """Take embeddings (N, D) of masked views into account."""
        self.masked.append(cosine(embeddings, self.picture.to(embeddings.device)))
        self.zeros.append((embeddings == 0).all(1))

    def record(self, references: Tensor | None = None, *, warn: bool = True) -> dict[str, Any]:
        """The cosines, as JSON types; None where a cosine is undefined or nothing was masked.

        Args:
            references: (D,) or (K, D) embeddings of other pictures that are at hand, whose mean cosine to the picture
                is a further yardstick.
            warn: Of embeddings of zeros; not while masks still come.

        Warns:
            EncoderWarning: If masked views have embeddings of zeros, which have no direction.
        """
        known = torch.cat(self.masked) if self.masked else torch.empty(0)
        zeros = int(torch.cat(self.zeros).sum()) if self.zeros else 0
        if zeros and warn:
            warnings.warn(
                f"{zeros} of {len(known)} masked views have an embedding of zeros, which has no direction: their "
                "cosine is taken as 0; another fill may avoid that",
                EncoderWarning,
                stacklevel=2,
            )
        masked = {name: _rounded(float(getattr(known, name)())) for name in ("mean", "min", "max") if len(known)}
        cosines: dict[str, Any] = {
            "masked": masked or None,
            "hidden": _rounded(self.hidden),
            "shuffled": _rounded(self.shuffled),
        }
        if references is not None:
            others = references.reshape(-1, references.shape[-1]).to(self.picture.device)
            cosines["references"] = _rounded(float(cosine(others, self.picture).mean()))
        return {
            "cosine": cosines,
            "zeros": zeros,
            "unsteady": _rounded(self.unsteady),
        }


def pictures_of(view: Tensor, fill: Tensor) -> Tensor:
    """(3, C, h, w): a view (1, C, h, w) entirely hidden by its fill, its pieces shuffled, and the view itself."""
    return torch.cat([fill.expand_as(view), shuffled(view), view])


def shuffled(view: Tensor) -> Tensor:
    """(1, C, h, w) cut into `PIECES` x `PIECES` pieces in a random order, the same for every picture of its size.

    A volume (1, C, d, h, w) is cut along its depth, too. A rest of the sides that the pieces do not divide stays where
    it is.
    """
    counts = [min(PIECES, side) for side in view.shape[2:]]
    sizes = [side // count for side, count in zip(view.shape[2:], counts, strict=True)]
    mixed, axes = view.clone(), range(len(counts))
    inside = mixed
    for axis, (count, size) in enumerate(zip(counts, sizes, strict=True), 2):
        inside = inside.narrow(axis, 0, count * size)
    order = torch.randperm(math.prod(counts), generator=torch.Generator().manual_seed(0)).to(view.device)
    # (C, count, size, count, size, ...) to pieces (counts, C, sizes), and back.
    apart = [*(1 + 2 * axis for axis in axes), 0, *(2 + 2 * axis for axis in axes)]
    cut = inside.reshape(-1, *(side for both in zip(counts, sizes, strict=True) for side in both)).permute(apart)
    pieces = cut.reshape(len(order), *cut.shape[len(counts) :])[order]
    back = pieces.unflatten(0, counts).permute([apart.index(place) for place in range(len(apart))])
    inside.copy_(back.reshape(inside.shape))
    return mixed


def _together(embed: Callable[[Tensor], Tensor], pictures: Tensor, picture: Tensor) -> Tensor:
    """(N, D): in one batch, or in smaller ones where the encoder or the memory takes no more; `picture` is (D,)."""

    def in_parts(size: int) -> Tensor:
        return torch.cat([_embedded(embed, part, picture) for part in pictures.split(size)])

    return within_memory(in_parts, len(pictures))[0]


def _embedded(embed: Callable[[Tensor], Tensor], pictures: Tensor, like: Tensor) -> Tensor:
    """(N, D), NaN where the encoder refuses a picture: no yardstick is no reason against the map of another picture."""
    try:
        return embed(pictures)
    except EncoderError:  # perhaps a network for single pictures, which methods that need no batch can explain
        if len(pictures) == 1:
            return torch.full_like(like, math.nan)[None]
        return torch.cat([_embedded(embed, picture[None], like) for picture in pictures])


def _blind(pictures: Tensor, *embeddings: Tensor) -> bool:
    """Whether different pictures have one embedding."""
    differ = any(not torch.equal(pictures[0], other) for other in pictures[1:])
    return differ and all(torch.equal(embeddings[0], other) for other in embeddings[1:])


def _cosine(embedding: Tensor, picture: Tensor) -> float:
    known = bool(embedding.isfinite().all() and embedding.any() and picture.any())
    return float(cosine(embedding[None], picture)[0]) if known else math.nan


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.6g}")
