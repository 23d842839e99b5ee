"""Random small transformations, under which a picture that is made must keep exciting its unit.

Without them, gradients find patterns of single pixels that no picture has. Each look at the picture is turned, moved,
scaled and made noisy a little differently; what it shows beyond its edge is its mirror image.

Source: Olah, Mordvintsev & Schubert, "Feature Visualization", Distill 2017, "transformation robustness"; crops and
noise as in MACO (Fel et al., NeurIPS 2023).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from relax.units.forms import Wobble


def looks_at(picture: Tensor, wobble: Wobble, generator: torch.Generator) -> Tensor:
    """(looks, C, h, w) of a picture (1, C, h, w), with gradients to it.

    Args:
        picture: In [0, 1].
        wobble: How far they may be from it.
        generator: The only source of randomness.
    """
    whole = picture.expand(wobble.looks, -1, -1, -1)
    if wobble.still:
        return whole
    drawn = torch.rand(wobble.looks, 4, generator=generator) * 2 - 1
    side = wobble.smallest + (wobble.largest - wobble.smallest) * (drawn[:, 0] + 1) / 2
    angle = drawn[:, 1] * math.radians(wobble.turn)
    shift = drawn[:, 2:] * (1 - side).abs()[:, None]
    cosine, sine = side * angle.cos(), side * angle.sin()
    # Angles are those of pixels: a wide picture is not sheared.
    wide = picture.shape[-1] / picture.shape[-2]
    rows = [torch.stack([cosine, -sine / wide, shift[:, 0]], 1), torch.stack([sine * wide, cosine, shift[:, 1]], 1)]
    places = F.affine_grid(torch.stack(rows, 1).to(picture), list(whole.shape), align_corners=False)
    seen = F.grid_sample(whole, places, padding_mode="reflection", align_corners=False)
    return seen + wobble.noise * torch.randn(seen.shape, generator=generator).to(seen) if wobble.noise else seen
