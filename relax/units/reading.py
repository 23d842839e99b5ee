"""Pictures of a folder through a layer, batch by batch: read ahead by a few threads, the unusable ones listed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from encoders import Encoder, EncoderError
from encoders.trace import Layer
from relax.estimators.budget import Budget, within_memory
from relax.io.choice import discreet_name
from relax.io.images import read_image
from relax.io.limits import sharing_memory
from relax.io.sources import Row, unusable
from relax.readahead import READERS, ahead
from relax.units.asked import features_of


@dataclass
class Reading:
    """A run over pictures.

    Attributes:
        encoder: The encoder.
        layer: The layer that is looked at; None for the embedding.
        budget: Its batch size is that of a forward pass.
        failed: Name, why and reason of each picture that cannot be used, as they come.
        title: From the address of a picture to its name there.
        report: Called with the number of pictures finished since its last call.
    """

    encoder: Encoder
    layer: Layer | None
    budget: Budget
    failed: list[Row] = field(default_factory=list)
    title: Callable[[str], str] = discreet_name
    report: Callable[[int], None] = lambda _: None

    def features(self, pictures: Sequence[str]) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        """Numbers of the pictures of a batch, their views (B, C, h, w), and their features (B, D, gh, gw) or (B, D).

        Raises:
            EncoderError: If the encoder fails on every picture of a batch.
        """
        batch: list[tuple[int, Tensor]] = []
        any_size = self.encoder.preprocess.size is None
        for number, view in ahead(
            partial(self._read, pictures), range(len(pictures)), READERS if any_size else max(READERS, 32)
        ):
            if view is None:
                self.report(1)
                continue
            if batch and batch[0][1].shape != view.shape:
                yield from self._run(batch, pictures)
                batch = []
            batch.append((number, view))
            limit = 1 if any_size and self.budget.batch_size == "auto" else self.budget.batch(view)
            if len(batch) >= limit:
                yield from self._run(batch, pictures)
                batch = []
        if batch:
            yield from self._run(batch, pictures)

    def _read(self, pictures: Sequence[str], number: int) -> tuple[int, Tensor | None]:
        try:
            with sharing_memory():
                return number, self.encoder.view(read_image(pictures[number], channels=self.encoder.channels))
        except (ValueError, OSError) as error:  # of pictures and encoders
            self._left_out(pictures[number], error)
            return number, None

    def _left_out(self, picture: str, error: object) -> None:
        _, why, reason = unusable(picture, error)
        self.failed.append((self.title(picture), why, reason))

    def _run(
        self, batch: list[tuple[int, Tensor]], pictures: Sequence[str]
    ) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        """The features of a batch; if it fails, of its pictures one by one, to find the culprit."""
        views = torch.cat([view for _, view in batch])
        try:
            parts, _ = within_memory(
                lambda size: [features_of(self.encoder, self.layer, part).cpu() for part in views.split(size)],
                len(views),
            )
            features = torch.cat(parts)
            if not features.isfinite().all():
                raise EncoderError("the layer returned NaN or infinity")
        except EncoderError as error:
            if len(batch) == 1:
                self._left_out(pictures[batch[0][0]], error)
                self.report(1)
                return
            answered = [answer for item in batch for answer in self._run([item], pictures)]
            if not answered:
                raise  # the encoder is at fault, not the pictures
            yield from answered
            return
        yield [number for number, _ in batch], views, features
        self.report(len(batch))
