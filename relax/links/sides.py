"""A picture or a text under random masks of its parts, embedded: one side of links."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from encoders import Encoder
from encoders.words.encoder import TextEncoder
from masking.cells import CellMasks
from relax.estimators.budget import Budget, Progress
from relax.io.images import ImageSource
from relax.links.effects import Replicates, grouping
from relax.links.estimating import Side
from relax.links.linked import LinkedPicture, LinkedText
from relax.scene import Scene
from relax.settings import Hiding, Settings
from relax.words.hiding import BATCH, HiddenText, fill_of
from relax.words.masks import PartMasks
from relax.words.parts import parts_of
from relax.words.question import checked_text


@dataclass(frozen=True)
class Embedded:
    """A side with what is shown of it.

    Attributes:
        side: Its masks and embeddings.
        linked: The picture or text, without maps.
        record: How it was embedded, as JSON types.
    """

    side: Side
    linked: LinkedPicture | LinkedText
    record: dict[str, Any]


def picture_read(image: ImageSource, encoder: Encoder, settings: Settings, number: int) -> Scene:
    """A picture as `picture_side` takes it; whatever is wrong with it is found here, before any mask is embedded.

    Args:
        image: The picture.
        encoder: Of pictures, not volumes.
        settings: Cells, keep, fill, seed and design.
        number: Of the side, 0 or 1, so that the two are drawn independently.

    Raises:
        ImageError: If the picture cannot be used.
        ValueError: If the encoder takes volumes.
    """
    if encoder.takes_volumes:
        raise ValueError("links are of pictures and texts, and this encoder takes volumes")
    hiding = replace(settings.hiding, seed=seed_of(settings.hiding, number))
    scene = Scene.of(image, encoder, hiding, "plain")
    return replace(scene, source=CellMasks(scene.size, hiding.cells, hiding.keep, hiding.seed, hiding.design))


def picture_side(scene: Scene, settings: Settings, progress: Progress | None = None) -> Embedded:
    """A picture under masks of hard cells.

    Args:
        scene: Of `picture_read`.
        settings: As there, and masks.
        progress: Called with (masks done, masks at the end).

    Raises:
        ValueError: If there are too few masks.
    """
    source = cast(CellMasks, scene.source)
    hiding = replace(settings.hiding, seed=source.seed)
    masks, groups = grouping(settings.count, source.block)
    budget = Budget(masks, None, settings.execution.batch_size)
    embeddings = torch.cat([batch for _, batch in scene.passes(budget, progress)])
    record = {**scene.record(hiding), "scale": scene.yardsticks.record()}
    record["masks"] = {**record["masks"], "count": masks, "groups": groups}
    replicates = Replicates(source.shown(0, masks).double(), hiding.keep, groups)
    linked = LinkedPicture(scene.name, (hiding.cells, hiding.cells), scene.picture(), tuple(scene.placed()["seen"]))
    return Embedded(Side(replicates, embeddings, scene.image_embedding), linked, record)


def text_side(
    text: str, encoder: TextEncoder, settings: Settings, number: int, progress: Progress | None = None
) -> Embedded:
    """A text under masks of its words; where all subsets are no more than the masks, an independent draw all the same.

    Raises:
        ValueError: If the text is empty, has words that the encoder does not read, or there are too few masks.
        EncoderError: If it is too long for the encoder.
    """
    parts = parts_of(encoder, checked_text(text), "words")
    if not parts.read.all():
        unread = [word for word, read in zip(parts.words, parts.read, strict=True) if not read]
        raise ValueError(f"the encoder reads nothing of {', '.join(map(repr, unread[:3]))}: leave that out of the text")
    hidden = HiddenText(encoder, parts, fill_of(encoder, "auto"))
    hiding = settings.hiding
    source = PartMasks(len(parts), hiding.keep, seed_of(hiding, number), hiding.design)
    masks, groups = grouping(settings.count, source.block)
    shown = source.subsets(0, masks)
    embeddings = _embedded(hidden, shown, progress)
    whole = hidden.embeddings(torch.ones(1, len(parts)))[0]
    record = {
        "text": text,
        "encoder": encoder.record(),
        "fill": hidden.fill,
        "masks": {**source.recipe(), "count": masks, "groups": groups},
    }
    return Embedded(
        Side(Replicates(shown.double(), hiding.keep, groups), embeddings, whole),
        LinkedText(text, parts.words, tuple(parts.spans)),
        record,
    )


def _embedded(hidden: HiddenText, shown: Tensor, progress: Progress | None) -> Tensor:
    """(N, D); each subset of few words is embedded once."""
    different, of_mask = shown.unique(dim=0, return_inverse=True)
    rows: list[Tensor] = []
    for batch in different.split(BATCH):
        rows.append(hidden.embeddings(batch))
        if progress is not None:
            progress(round(len(shown) * sum(map(len, rows)) / len(different)), len(shown))
    return torch.cat(rows)[of_mask]


def seed_of(hiding: Hiding, number: int) -> int:
    """The seed of a side: no other seed of the user's gives either side the same masks."""
    return 2 * hiding.seed + number
