"""One image as one encoder sees it, with masks and fill: all that masked embeddings are made from.

Pixels are hidden at the encoder's input size, after resizing and before normalisation, so that neither time nor
memory depends on the size of the photograph; maps are put back into its frame. Masks given at the size of the
photograph are applied to the photograph.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from hashlib import sha256
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

import encoders
from encoders import Encoder
from encoders import EncoderError as EncoderError
from encoders.identity import recipe
from encoders.inner import at_layer
from encoders.passes import TRIAL, Passes, Score
from masking import GridSurrogate, MaskSource, PatchMasks, RandomGrid, Region, blend
from relax.estimators.blocks import averages
from relax.estimators.budget import Budget, Progress, check_progress, within_memory
from relax.estimators.control import ControlledMoments
from relax.estimators.defaults import DEFAULT_MASKS
from relax.estimators.moments import Estimator, RelaxMoments
from relax.explanation import Explanation
from relax.frame import Frame, VolumeFrame
from relax.hiding import fill_pixels, grid_surrogate, mask_source, region_of
from relax.io.images import ImageSource, name_of, narrow_range, read_with_record
from relax.io.picture import Voxels
from relax.io.regions.within import Within, read_within
from relax.maps import map_unit
from relax.settings import Execution, Fill, Hiding, Request
from relax.yardsticks import PICTURES, Yardsticks, pictures_of
from similarity.measures import MEASURES
from similarity.references import Target

LIMITS = {**{name: measure.limits for name, measure in MEASURES.items()}, "probability": (0.0, 1.0)}
EncoderSource = str | nn.Module | Callable[[Tensor], Any] | Encoder

load_encoder = encoders.load


@dataclass(frozen=True)
class Shared:
    """A scene's part of a batch that it shared with others.

    Attributes:
        masks: (N, 1, h, w), all that the budget allows.
        embeddings: (N, D) under them.
        yardsticks: (3, D) of `relax.yardsticks.pictures_of`.
        seconds: The scene's share of the time that the batch took.
    """

    masks: Tensor
    embeddings: Tensor
    yardsticks: Tensor
    seconds: float


@dataclass(frozen=True)
class Scene:
    """One image as one encoder sees it.

    Attributes:
        name: What the caller called the image.
        image: (1, C, H, W) in [0, 1], in the caller's frame.
        view: (1, C, h, w) in [0, 1] on the encoder's device: where pixels are hidden.
        fill: (1, C, 1, 1) or (1, C, h, w): what hidden pixels show.
        source: The masks of the view.
        encoder: The encoder.
        resized: Whether the view has the encoder's input size (otherwise the encoder resizes it).
        run: How masked views are embedded: exactly, or faster.
        surrogate: Exact expectations over the masks, for control variates; None for plain averages.
        drops: Whether hidden patches are withheld from the network instead of filled.
        read: How the pixels were read where the file leaves a choice (frame, window), as JSON types.
        within: The region of the image that masks vary in; None for all of it.
        region: The same in the view, for whose box the masks are; None for all of it.
        in_view: Whether maps stay in the frame of the view, see `viewed`.
        sha256: Of the image's pixels, where these are gone, see `without_pixels`.
        shared: What is embedded already; None for nothing.
    """

    name: str
    image: Tensor
    view: Tensor
    fill: Tensor
    source: MaskSource
    encoder: Encoder
    resized: bool
    run: Passes
    surrogate: GridSurrogate | None = None
    drops: bool = False
    read: dict[str, Any] = field(default_factory=dict)
    within: Within | None = None
    region: Region | None = None
    in_view: bool = False
    sha256: str | None = None
    shared: Shared | None = None

    @classmethod
    def of(cls, image: ImageSource, encoder: Encoder, hiding: Hiding, estimator: str = "auto") -> Scene:
        """Read the image and prepare its view, masks and fill.

        Raises:
            ImageError: If the image cannot be used.
            ValueError: If the masks, the fill or the region do not fit the image.

        Warns:
            UserWarning: If nearly all values of the image are one shade, or the region is all of it, or cropped.
        """
        pixels, read = _read(image, encoder)
        if doubt := narrow_range(pixels):
            warnings.warn(f"{name_of(image)}: {doubt}", stacklevel=2)
        view = encoder.view(pixels).to(encoder.device)
        resized = True
        axes = view.ndim - 2
        if hiding.given is not None and tuple(hiding.given.shape[-axes:]) != tuple(view.shape[-axes:]):
            _check_frame(hiding.given, pixels, view)
            view, resized = pixels.to(encoder.device), False
        within = None if encoder.takes_volumes else read_within(hiding.within, image, pixels, read)
        region = region_of(within, hiding, view, encoder, resized=resized)
        if within is not None:
            _check_seen(name_of(image), within, _frame(pixels, encoder, resized, region, within))
        source = mask_source(hiding, view, encoder, region)
        fill = fill_pixels(hiding, view, encoder, resized=resized)
        return cls(
            name=name_of(image),
            image=pixels,
            view=view,
            fill=fill if region is None else region.filled(view, fill),
            source=source,
            encoder=encoder,
            resized=resized,
            run=Passes(encoder),
            surrogate=grid_surrogate(hiding, estimator, source, _accumulator_device(encoder)),
            drops=hiding.drops,
            read=read,
            within=within,
            region=region,
        )

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the view."""
        return int(self.view.shape[-2]), int(self.view.shape[-1])

    @property
    def accumulator_device(self) -> torch.device:
        """Where scores and moments are kept: the encoder's device, if it supports float64."""
        return _accumulator_device(self.encoder)

    def embed(self, pixels: Tensor) -> Tensor:
        """(N, D) embeddings of pixels (N, C, h, w) of the view's size."""
        return self.encoder.embed(pixels) if self.resized else self.encoder(pixels)

    @cached_property
    def image_embedding(self) -> Tensor:
        """(D,) embedding of the image with nothing hidden."""
        return self.embed(self.view)[0].to(self.accumulator_device)

    @cached_property
    def yardsticks(self) -> Yardsticks:
        """What similarities to the image are read against, and whether the encoder is steady: three passes, once."""
        embedded = None if self.shared is None else self.shared.yardsticks
        return Yardsticks.of(self.encoder, self.embed, self.view, self.fill, self.image_embedding, embedded)

    def passes(
        self, budget: Budget, progress: Progress | None = None, score: Score | None = None, first: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of masks (N, 1, h, w), of the region's box if there is one, and the embeddings (N, D) under them.

        A batch that exhausts the memory is repeated in halves, and later batches keep the smaller size.

        Args:
            budget: How many masks, and how many at a time.
            progress: Called with (masks done, masks at most) after every batch.
            score: From embeddings (N, D) to the scores (N,) that rounding must not change; by default the cosine
                similarity to the image itself.
            first: Number of the first mask, above 0 where earlier ones are added to; the budget counts from 0.
        """
        check_progress(progress)
        total = self.total(budget)
        size, start = budget.batch(self.view, len(self.encoder.devices)), first
        if first == 0:
            self.yardsticks.start()
            size = self._settle(budget, total, score, size)
        while start < total:
            batch, size = within_memory(partial(self._pass, budget, start, total), size)
            self.yardsticks.add(batch[1])
            yield batch
            start += len(batch[0])
            if progress is not None:
                progress(start, total)

    def total(self, budget: Budget) -> int:
        """Masks that a budget allows, at most."""
        return min(budget.masks, self.source.limit or budget.masks)

    def _settle(self, budget: Budget, total: int, score: Score | None, size: int) -> int:
        """Decide on the precision by the first masks, in batches of at most `size`; returns the size that fits."""
        expected = total if budget.tolerance is None else min(total, DEFAULT_MASKS)
        if self.drops or not self.resized or not self.run.wants_trial(expected):
            return size
        score = score or Target("cosine", self.image_embedding, None)
        views = self._prepared(self.source.masks(0, min(TRIAL, total), self.encoder.device))
        return within_memory(partial(self.run.settle, views, score, expected), size)[1]

    def _pass(self, budget: Budget, start: int, total: int, size: int) -> tuple[Tensor, Tensor]:
        """One batch of at most `size` masks, and the embeddings under them."""
        if self.shared is not None:
            return self.shared.masks, self.shared.embeddings
        stop = budget.end(start, size, total)
        masks = self.source.masks(start, stop, self.encoder.device)
        if self.drops:
            kept = cast(PatchMasks, self.source).kept(start, stop, self.encoder.device)
            embeddings = self.encoder.embed_visible(self.view, kept)
        elif self.resized:
            embeddings = self.run.embed(self._prepared(masks))
        else:
            embeddings = self.encoder(self.masked(self.of_view(masks)))
        return masks.to(self.accumulator_device), embeddings.to(self.accumulator_device)

    def of_view(self, masks: Tensor) -> Tensor:
        """(N, 1, h, w): masks of the region's box as masks of the view, which show what is around it."""
        return masks if self.region is None else self.region.put(masks, 1.0)

    def masked(self, masks: Tensor) -> Tensor:
        """(N, C, h, w): the view under masks (N, 1, h, w)."""
        return blend(self.view, masks, self.fill)

    def _prepared(self, masks: Tensor) -> Tensor:
        """The view under masks of the region's box, prepared for the network: image and fill once, and then blended."""
        return blend(self._prepared_view, self.of_view(masks), self._prepared_fill)

    def sharing(self, budget: Budget) -> tuple[Tensor, Tensor]:
        """All masks (N, 1, h, w), and what a batch needs to make `Shared` of: (N + 3, C, h, w), yardsticks last."""
        masks = self.source.masks(0, self.total(budget), self.encoder.device)
        return masks, torch.cat([self._prepared(masks), self.run.prepare(pictures_of(self.view, self.fill))])

    def with_shared(self, masks: Tensor, embeddings: Tensor, seconds: float) -> Scene:
        """The same, with masks and embeddings (N + 3, D) of what `sharing` gave, and the seconds that these took."""
        under_masks, yardsticks = embeddings.to(self.accumulator_device).split([len(masks), PICTURES])
        return replace(self, shared=Shared(masks.to(self.accumulator_device), under_masks, yardsticks, seconds))

    @cached_property
    def _prepared_view(self) -> Tensor:
        return self.run.prepare(self.view)

    @cached_property
    def _prepared_fill(self) -> Tensor:
        return self.run.prepare(self.fill.expand_as(self.view))

    def reduced(self, longest: int | None) -> Scene:
        """The same masks and embeddings, with maps and picture of at most `longest` px along a side; None: as it is.

        Maps in the frame of a photograph take seconds, more than the masks of a look at a running explanation.
        """
        factor = 1.0 if longest is None else longest / max(self.image.shape[-2:])
        if factor >= 1:
            return self
        size = tuple(max(1, round(side * factor)) for side in self.image.shape[-2:])
        within = None if self.within is None else self.within.reduced(size)
        return replace(self, image=F.interpolate(self.image, size, mode="area"), within=within)

    def viewed(self) -> Scene:
        """The same masks and embeddings, with maps and picture in the frame of the view: (h, w).

        `placed` says where the view lies in the picture, so that `relax.frame.Frame` puts the maps there later. Around
        the box of a region they are continued, as `Frame` needs it.
        """
        return replace(self, image=self.view.cpu(), in_view=True)

    def without_pixels(self) -> Scene:
        """The same for `viewed`, which needs the view alone: the pixels of a photograph take 1000 times as much."""
        return replace(self, image=self.image.new_zeros(()).expand(self.image.shape), sha256=digest_of(self.image))

    def placed(self) -> dict[str, Any]:
        """Where the view lies in the picture: "size", (H, W), and "seen", as `Frame` has them, as JSON types."""
        if isinstance(self.frame, VolumeFrame):
            return {"size": list(self.frame.size)}
        return {"size": list(self.frame.size), "seen": list(self.frame.seen)}

    def estimator(self, first: int = 0) -> Estimator:
        """Turns the scores of masks `first`, `first + 1`, ... into maps."""
        if self.surrogate is not None:
            return ControlledMoments(self.surrogate, first)
        if isinstance(self.source, RandomGrid):
            return averages(self.source, self.accumulator_device)
        return RelaxMoments.empty(self.source.image_size, self.accumulator_device)

    def explanation(
        self, moments: Estimator, record: dict[str, Any], scores: Tensor | None = None, *, warn: bool = True
    ) -> Explanation:
        """The maps of these moments in the frame of the image, with their provenance.

        Args:
            moments: The estimate.
            record: How it was made.
            scores: (N,) those that it was made from, to be kept.
            warn: Of pixels that no mask has shown; not while masks still come.
        """
        if warn:
            self.check_shown(moments.importance)
        error = moments.standard_error
        importance, beyond = within_limits(moments.importance, map_unit(record))
        return Explanation(
            importance=self.to_image(importance),
            uncertainty=self.to_image(moments.uncertainty),
            # Without randomness there is no Monte-Carlo error.
            standard_error=self.to_image(error if self.source.independent else torch.full_like(error, torch.nan)),
            image=self.picture(),
            provenance={
                **record,
                "masks": {**record["masks"], "count": moments.count},
                "estimator": {**moments.record(), **beyond},
            },
            scores=None if scores is None else scores.double().cpu().numpy(),
        )

    def check_shown(self, importance: Tensor) -> None:
        """Refuse an importance (h, w) that no mask has shown a pixel of, and warn of one that lacks some.

        Raises:
            ValueError: If it is NaN everywhere.

        Warns:
            UserWarning: If it is NaN somewhere, with the share of the pixels.
        """
        inside = importance if self.region is None else importance[self.region.inside]
        share = float(inside.isnan().double().mean())
        if share == 0:
            return
        keep = self.source.recipe().get("keep")
        way_out = "show every pixel in one of them" if keep is None else f"take a keep above {keep:g}, or more masks"
        if share == 1:
            raise ValueError(f"masks must show the picture; none of them shows a pixel of {self.name}: {way_out}")
        warnings.warn(
            f"{self.name}: no mask ever shows {_percent(share)} of the pixels, whose importance is NaN: {way_out}",
            stacklevel=3,
        )

    def to_image(self, values: Tensor) -> NDArray[np.float32]:
        """Put a map of the masks' size into the frame of the image, as `Frame.to_image`: (H, W) float32."""
        return self.frame.to_image(values)

    @cached_property
    def frame(self) -> Frame | VolumeFrame:
        """Where the view lies in the image."""
        if self.in_view:
            height, width = self.size
            return Frame(self.size, (0.0, 0.0, float(height), float(width)), self.region)
        if self.encoder.takes_volumes:
            return VolumeFrame(tuple(self.image.shape[2:]))
        return _frame(self.image, self.encoder, self.resized, self.region, self.within)

    def asked(self, values: Tensor) -> Tensor:
        """A map of the masks' size, NaN outside the region."""
        return values if self.region is None else values.where(self.region.inside, torch.nan)

    def picture(self) -> NDArray[np.uint8]:
        """(H, W, 3), or (D, H, W, 3): the image for drawing; grey unless it has three channels."""
        return drawn(self.image)

    def record(self, hiding: Hiding) -> dict[str, Any]:
        """How the masked images are made, as JSON types."""
        return {
            "image": self.name,
            "image_sha256": self.sha256 or digest_of(self.image),
            **({"read": self.read} if self.read else {}),
            **self._unseen_record(),
            **({} if self.within is None else {"within": {**self.within.record(), **self._region_record()}}),
            "encoder": {**recipe(self.encoder), "input_size": list(self.view.shape[2:])},
            "precision": self.run.record(),
            "masks": self.source.recipe(),
            "fill": hiding.fill if isinstance(hiding.fill, str | int | float) else _fill_name(hiding.fill),
            "seed": hiding.seed,
        }

    def _unseen_record(self) -> dict[str, Any]:
        """What share of the image a crop hides from the encoder, and the way out; nothing where it sees all."""
        if isinstance(self.frame, VolumeFrame):
            return {}
        share = replace(self.frame, region=None, inside=None).unseen
        return {"unseen": {"share": round(share, 4), "way_out": 'view="pad"'}} if share > 0 else {}

    def _region_record(self) -> dict[str, Any]:
        return {} if self.region is None else self.region.record()


def drawn(image: Tensor) -> NDArray[np.uint8]:
    """(H, W, 3) of pixels (1, C, H, W), or (D, H, W, 3) of (1, C, D, H, W); grey unless there are three channels."""
    pixels = image[0]
    if pixels.shape[0] != 3:
        pixels = pixels.mean(0, keepdim=True).expand(3, *pixels.shape[1:])
    return (pixels * 255).round().byte().movedim(0, -1).numpy()


def digest_of(image: Tensor) -> str:
    """SHA-256 of pixels (1, C, H, W)."""
    return sha256(image.contiguous().numpy().data).hexdigest()


def within_limits(importance: Tensor, unit: str) -> tuple[Tensor, dict[str, int]]:
    """A map (h, w) inside the limits of its unit, such as "mean cosine", and the pixels that were not, for the record.

    Control variates, being without bias, may overshoot a limit where an importance is close to it.
    """
    limits = LIMITS.get(unit.removeprefix("mean "))
    bounded = importance if limits is None else importance.clamp(*limits)
    beyond = int((bounded != importance).logical_and(importance.isfinite()).sum())
    return bounded, {"beyond_limits": beyond} if beyond else {}


def _percent(share: float) -> str:
    return "less than 1 %" if share < 0.01 else f"{min(share, 0.99):.0%}".replace("%", " %")


def loaded(encoder: EncoderSource, execution: Execution, request: Request | None = None) -> Encoder:
    """The encoder, loaded to run under these settings, from inside where a request asks for a layer or a token."""
    network = load_encoder(
        encoder, execution.device, execution.pooling, precision=execution.precision, view=execution.view
    )
    return network if request is None else at_layer(network, *request.explained)


def _accumulator_device(encoder: Encoder) -> torch.device:
    return torch.device("cpu") if encoder.device.type == "mps" else encoder.device


def _fill_name(fill: Fill) -> str | list[float]:
    if isinstance(fill, list | tuple):
        return [float(value) for value in fill]
    return name_of(fill)


def _read(image: ImageSource, encoder: Encoder) -> tuple[Tensor, dict[str, Any]]:
    """Pixels of a picture, or voxels of a volume, with the record of how they were read.

    Raises:
        EncoderError: If the encoder takes the other.
    """
    if isinstance(image, Voxels) and encoder.takes_volumes:
        return image.pixels, image.how
    if encoder.takes_volumes:
        raise EncoderError(
            f"encoder {encoder.name!r} takes volumes (B, C, D, H, W); {name_of(image)} is a picture: explain volumes "
            "with relax.explain_volume, or relax volume on the command line"
        )
    return read_with_record(image, channels=encoder.channels)


def _frame(pixels: Tensor, encoder: Encoder, resized: bool, region: Region | None, within: Within | None) -> Frame:
    height, width = pixels.shape[-2:]
    seen = encoder.seen(height, width) if resized else (0.0, 0.0, float(height), float(width))
    return Frame((height, width), seen, region, None if within is None or region is None else within.inside)


def _check_seen(name: str, within: Within, frame: Frame) -> None:
    if frame.region is None:
        warnings.warn(f"{name}: within covers the whole picture, so that the map is the one without it", stacklevel=3)
    elif frame.unseen >= 0.005:
        warnings.warn(
            f"{name}: {_percent(frame.unseen)} of what within names is cropped away by the encoder", stacklevel=3
        )


def _check_frame(given: Tensor, pixels: Tensor, view: Tensor) -> None:
    size, seen = tuple(pixels.shape[2:]), tuple(view.shape[2:])
    if (got := tuple(given.shape[-len(size) :])) != size:
        raise ValueError(f"masks must have the image's size {size} or the encoder's input size {seen}; got {got}")
