"""The input of a method, one image with one encoder and the number to explain, and its output.

A task runs the encoder for the method and counts its passes: one for an embedding, two more for a gradient through it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from encoders import Encoder, EncoderError
from relax.baselines.costs import GRADIENT
from relax.baselines.scalar import Scalar
from relax.estimators.budget import Budget, Progress, check_progress
from relax.run import Run
from relax.scene import Scene
from relax.settings import Hiding


class MethodError(ValueError):
    """The method cannot work with this encoder, head or image; the message, one line, says why and what to do."""


@dataclass(frozen=True)
class Maps:
    """The result of a method, in the frame of the view.

    Attributes:
        importance: (h, w), in `unit`, never rescaled; higher = more important.
        unit: Unit of the importance, such as "drop of the cosine".
        uncertainty: (h, w), the variance as in RELAX; None for methods without one.
        standard_error: (h, w), the Monte-Carlo error of the importance; None for methods without one.
        settings: Settings of the method, as JSON types.
        masks: Number of masked images that were embedded.
        run: What averaged the masks, for methods that do.
    """

    importance: Tensor
    unit: str
    uncertainty: Tensor | None = None
    standard_error: Tensor | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    masks: int = 0
    run: Run | None = None


@dataclass
class Task:
    """One image, one encoder, and the number to explain.

    Attributes:
        method: The name of the method, for messages.
        scene: The image in the encoder's view, with its fill and masks.
        scalar: Embeddings (N, D) to the numbers (N,) to explain.
        hiding: How the caller hides pixels: regions, cells, keep, fill, seed.
        budget: Number of masks, and of images in one batch.
        samples: Number of masks, noisy copies or steps, for methods that sample.
        progress: Called with (passes done, passes expected) after every batch.
        expected: Total encoder passes of the method; None while it is unknown.
        passes: Encoder passes so far.
        every: Masks between two looks at the maps so far, for methods that average masks; None for no look.
        layer: Whose activations or attention the map shows; None is the method's own choice.
    """

    method: str
    scene: Scene
    scalar: Scalar
    hiding: Hiding
    budget: Budget
    samples: int
    progress: Progress | None = None
    expected: int | None = None
    passes: int = 0
    every: int | None = None
    layer: str | None = None

    def __post_init__(self) -> None:
        check_progress(self.progress)

    @property
    def encoder(self) -> Encoder:
        """The encoder."""
        return self.scene.encoder

    @property
    def batch(self) -> int:
        """Images in one forward pass."""
        return next(self.budget.stretches(2**31, self.scene.view))[1]

    def embed(self, pixels: Tensor) -> Tensor:
        """(N, C, h, w) pixels of the view, or of the region's box, in one batch to (N, D), without gradients."""
        if self.scene.region is not None:
            pixels = self.scene.region.put(pixels, self.scene.view)
        embeddings = self.scene.embed(pixels).to(self.scene.accumulator_device)
        self.count(len(pixels))
        return embeddings

    def scores(self, pixels: Tensor) -> Tensor:
        """(N, C, h, w) pixels in one batch to the numbers (N,) float64 to explain, without gradients."""
        return self.scalar(self.embed(pixels))

    def scores_with_gradients(self, pixels: Tensor, passes: int | None = None) -> Tensor:
        """As `scores`, for autograd to follow.

        Args:
            pixels: (N, C, h, w), on any device.
            passes: What they cost, for methods that do not run the whole network on each; by default a gradient each.

        Raises:
            MethodError: If encoder or scalar cannot be followed back to the pixels.
        """
        try:
            scores = self.scalar(self.encoder.embed_with_gradients(pixels).to(self.scene.accumulator_device))
        except EncoderError as error:
            raise MethodError(f"{self.method} needs gradients: {error}") from error
        if torch.is_grad_enabled() and not scores.requires_grad:
            raise MethodError(
                f"{self.method} needs gradients of the {self.scalar.name}, and none reach the pixels through encoder "
                f"{self.encoder.name!r}: choose a method that only hides pixels, such as relax, lime or occlusion"
            )
        each = GRADIENT if torch.is_grad_enabled() else 1
        self.count(len(pixels) * each if passes is None else passes)
        return scores

    @property
    def view(self) -> Tensor:
        """(1, C, h, w) in [0, 1]: the view, or its part in the region's box, on the scores' device, for captum."""
        return self._part(self.scene.view)

    @property
    def fill(self) -> Tensor:
        """(1, C, h, w) in [0, 1]: the same with everything hidden, on the same device."""
        return self._part(self.scene.fill.expand_as(self.scene.view))

    def _part(self, pixels: Tensor) -> Tensor:
        region = self.scene.region
        return (pixels if region is None else region.cut(pixels)).to(self.scene.accumulator_device)

    def leaf(self, pixels: Tensor) -> Tensor:
        """A copy of pixels (N, C, h, w) at which gradients are taken; only inside `gradients_allowed`."""
        return pixels.detach().clone().requires_grad_()

    def to_view(self, values: Tensor) -> Tensor:
        """A coarse map (gh, gw) at the size of the view: (h, w) float64, bilinear between the cells' centres."""
        coarse = values.to(self.scene.accumulator_device).double()[None, None]
        return F.interpolate(coarse, self.scene.size, mode="bilinear", align_corners=False)[0, 0]

    def expect(self, passes: int) -> None:
        """Set the total of passes, once it is known exactly."""
        self.expected = passes

    def count(self, passes: int) -> None:
        """Add to the passes so far, and report progress."""
        self.passes += passes
        if self.progress is not None:
            self.progress(self.passes, max(self.expected or 0, self.passes))


@contextmanager
def gradients_allowed() -> Iterator[None]:
    """Record gradients inside the block, whatever mode the caller is in."""
    with torch.inference_mode(False), torch.enable_grad():
        yield
