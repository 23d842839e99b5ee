"""One image as one encoder sees it, with the masks and the fill: everything needed to make masked embeddings.

Pixels are hidden at the size that the encoder sees, after resizing and before normalisation, so that
neither time nor memory depend on the size of the photograph; maps are put back into its frame. Masks
that the caller gives in the size of the photograph are applied there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

import encoders
from encoders import Encoder
from masking import (
    FILLS,
    AuthorsGrid,
    GivenMasks,
    MaskSource,
    RandomGrid,
    SlidingWindows,
    Superpixels,
    blend,
    make_fill,
)
from relax.budget import Budget, Progress
from relax.estimators import RelaxMoments
from relax.explanation import Explanation
from relax.images import ImageSource, name_of, read_image

EncoderSource = str | nn.Module | Callable[[Tensor], Tensor] | Encoder
Fill = str | float | Sequence[float] | ImageSource

REGIONS = ("grid", "authors-grid", "windows", "superpixels")
PRESETS = {"paper": "authors-grid", "paper-rise": "grid"}


@dataclass(frozen=True)
class Hiding:
    """What the caller wants hidden, and how.

    Attributes:
        regions: "grid" (RISE's soft random grid), "authors-grid" (that of the authors' package), "windows"
            (one square hidden after the other) or "superpixels" (SLIC).
        cells: Scale of the regions: this many along a side (squared: superpixels), 1 to 64.
        keep: Chance that a region stays visible, in (0, 1).
        fill: What hidden pixels show, see `masking.make_fill`; a path, array or tensor is another image.
        seed: The only source of randomness.
        given: The caller's own masks, (N, 1, H, W) in [0, 1], instead of regions.
    """

    regions: str = "grid"
    cells: int = 7
    keep: float = 0.5
    fill: Fill = "mean"
    seed: int = 0
    given: Tensor | None = None

    def __post_init__(self) -> None:
        if self.regions not in REGIONS:
            raise ValueError(f"regions must be one of {', '.join(REGIONS)}; got {self.regions!r}")
        RandomGrid((64, 64), self.cells, self.keep, self.seed)  # refuses impossible numbers before any image is read

    @classmethod
    def of(
        cls,
        masks: int | Tensor | None,
        regions: str,
        cells: int,
        keep: float,
        fill: Fill,
        seed: int,
        preset: str | None,
    ) -> Hiding:
        """The wishes of a caller of `relax.explain`.

        Raises:
            ValueError: If one of them is impossible; the message names it.
        """
        if preset is not None:
            if preset not in PRESETS:
                raise ValueError(f"preset must be one of {', '.join(PRESETS)}; got {preset!r}")
            regions = PRESETS[preset]
        return cls(regions, cells, keep, fill, seed, masks if isinstance(masks, Tensor) else None)

    def source(self, view: Tensor) -> MaskSource:
        """The masks for a view (1, C, h, w)."""
        size = (int(view.shape[-2]), int(view.shape[-1]))
        if self.given is not None:
            return GivenMasks(self.given)
        if self.regions == "windows":
            window = max(1, round(min(size) / self.cells))
            return SlidingWindows(size, window, max(1, window // 2))
        if self.regions == "superpixels":
            return Superpixels(view, self.cells**2, self.keep, self.seed)
        grid = AuthorsGrid if self.regions == "authors-grid" else RandomGrid
        return grid(size, self.cells, self.keep, self.seed)


@dataclass(frozen=True)
class Scene:
    """One image as one encoder sees it.

    Attributes:
        name: What the caller called the image.
        image: (1, C, H, W) in [0, 1], in the caller's frame.
        view: (1, C, h, w) in [0, 1] on the encoder's device: where pixels are hidden.
        fill: (1, C, 1, 1) or (1, C, h, w): what hidden pixels show.
        source: The masks of the view.
        encoder: Who looks.
        resized: Whether the view has the encoder's own size (else the encoder resizes it).
    """

    name: str
    image: Tensor
    view: Tensor
    fill: Tensor
    source: MaskSource
    encoder: Encoder
    resized: bool

    @classmethod
    def of(cls, image: ImageSource, encoder: Encoder, hiding: Hiding) -> Scene:
        """Read the image and lay out its view, masks and fill.

        Raises:
            ImageError: If the image cannot be used.
            ValueError: If the masks or the fill do not fit the image.
        """
        pixels = read_image(image, channels=encoder.channels)
        view = encoder.view(pixels).to(encoder.device)
        resized = True
        if hiding.given is not None and tuple(hiding.given.shape[-2:]) != tuple(view.shape[-2:]):
            _check_frame(hiding.given, pixels, view)
            view, resized = pixels.to(encoder.device), False
        return cls(
            name=name_of(image),
            image=pixels,
            view=view,
            fill=_fill(hiding, view, encoder, resized),
            source=hiding.source(view),
            encoder=encoder,
            resized=resized,
        )

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the view."""
        return int(self.view.shape[-2]), int(self.view.shape[-1])

    @property
    def home(self) -> torch.device:
        """Where scores and moments live: the encoder's device, if it knows float64."""
        return torch.device("cpu") if self.encoder.device.type == "mps" else self.encoder.device

    def embed(self, pixels: Tensor) -> Tensor:
        """(N, C, h, w) pixels of the view's size to (N, D) embeddings."""
        return self.encoder.embed(pixels) if self.resized else self.encoder(pixels)

    def own_embedding(self) -> Tensor:
        """(D,) embedding of the image with nothing hidden."""
        return self.embed(self.view)[0].to(self.home)

    def passes(self, budget: Budget, progress: Progress | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of masks (N, 1, h, w) and the embeddings (N, D) of the image under them."""
        most = min(budget.masks, self.source.limit or budget.masks)
        for start, stop in budget.stretches(most, self.view):
            masks = self.source.masks(start, stop, self.encoder.device)
            yield masks.to(self.home), self.embed(blend(self.view, masks, self.fill)).to(self.home)
            if progress is not None:
                progress(stop, most)

    def explanation(self, moments: RelaxMoments, made: dict[str, Any]) -> Explanation:
        """The maps of these moments in the frame of the image, with how they were made."""
        error = moments.standard_error
        return Explanation(
            importance=self.to_image(moments.importance),
            uncertainty=self.to_image(moments.uncertainty),
            # Without randomness there is no Monte-Carlo error.
            standard_error=self.to_image(error if self.source.independent else torch.full_like(error, torch.nan)),
            image=self.picture(),
            provenance={**made, "masks": {**made["masks"], "count": moments.count}},
        )

    def to_image(self, values: Tensor) -> NDArray[np.float32]:
        """Put a map of the view (h, w) into the frame of the image: (H, W) float32, NaN where it was cropped away.

        Values between the view's pixels are interpolated; a standard error is then an upper bound.
        """
        height, width = self.image.shape[-2:]
        top, left, bottom, right = self.encoder.seen(height, width) if self.resized else (0.0, 0.0, height, width)
        rows = (torch.arange(height, dtype=torch.float64) + 0.5 - top) / (bottom - top)
        columns = (torch.arange(width, dtype=torch.float64) + 0.5 - left) / (right - left)
        if (height, width) == tuple(values.shape) and (top, left, bottom, right) == (0, 0, height, width):
            return values.cpu().numpy().astype(np.float32)
        grid = torch.stack(torch.meshgrid(columns * 2 - 1, rows * 2 - 1, indexing="xy"), -1)
        placed = F.grid_sample(
            values.cpu()[None, None], grid[None], mode="bilinear", padding_mode="border", align_corners=False
        )[0, 0]
        unseen = ((rows < 0) | (rows > 1))[:, None] | ((columns < 0) | (columns > 1))[None, :]
        return placed.masked_fill(unseen, torch.nan).numpy().astype(np.float32)

    def picture(self) -> NDArray[np.uint8]:
        """(H, W, 3) the image for drawing; grey, unless it has three channels."""
        pixels = self.image[0]
        if pixels.shape[0] != 3:
            pixels = pixels.mean(0, keepdim=True).expand(3, -1, -1)
        return (pixels * 255).round().byte().permute(1, 2, 0).numpy()

    def record(self, hiding: Hiding) -> dict[str, Any]:
        """How the masked images come about, as JSON types."""
        return {
            "image": self.name,
            "image_sha256": sha256(self.image.numpy().tobytes()).hexdigest(),
            "encoder": {
                "name": self.encoder.name,
                "checksum": self.encoder.checksum,
                "input_size": list(self.view.shape[-2:]),
                "pooling": self.encoder.pooling,
            },
            "masks": self.source.recipe(),
            "fill": hiding.fill if isinstance(hiding.fill, str | int | float) else _fill_name(hiding.fill),
            "seed": hiding.seed,
        }


def load_encoder(
    spec: EncoderSource, device: str | torch.device = "auto", pooling: str = "auto", seed: int = 0
) -> Encoder:
    """Load a frozen encoder with its preprocessing; see `encoders.load` for the specs."""
    return encoders.load(spec, device=device, pooling=pooling, seed=seed)


def _fill(hiding: Hiding, view: Tensor, encoder: Encoder, resized: bool) -> Tensor:
    fill = hiding.fill
    if isinstance(fill, int | float | list | tuple) or (isinstance(fill, str) and fill in FILLS):
        return make_fill(fill, view, mean=encoder.mean, seed=hiding.seed)
    other = read_image(cast(ImageSource, fill), channels=view.shape[1])
    return make_fill((encoder.view(other) if resized else other).to(view.device), view)


def _fill_name(fill: Fill) -> str | list[float]:
    if isinstance(fill, list | tuple):
        return [float(value) for value in fill]
    return name_of(fill)


def _check_frame(given: Tensor, pixels: Tensor, view: Tensor) -> None:
    size, seen = tuple(pixels.shape[-2:]), tuple(view.shape[-2:])
    if tuple(given.shape[-2:]) != size:
        raise ValueError(
            f"masks must have the image's size {size} or the size that the encoder sees {seen}; "
            f"got {tuple(given.shape[-2:])}"
        )
