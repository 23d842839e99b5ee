"""Does the same question get the same answer? Small changes of the picture, other seeds.

Both compare the shape of maps: above their own mean, because the large constant in a RELAX map would make any
change look small. Robustness says nothing of truth: a map that ignores the picture is perfectly robust.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from relax.metrics.maps import UNDEFINED, Map, known_in_both, pearson

if TYPE_CHECKING:
    from torch import Tensor

RADIUS, SAMPLES = 0.05, 5
STREAM = 6  # of the seed's random numbers


def max_sensitivity(
    explain: Callable[[Tensor], Map],
    image: Tensor,
    *,
    radius: float = RADIUS,
    samples: int = SAMPLES,
    seed: int = 0,
    centred: bool = True,
) -> float:
    """The most that a map changes, relative to its size, when every value of the picture moves by up to `radius`.

    Args:
        explain: From (1, C, H, W) in [0, 1] to a map (H, W); called `samples` + 1 times. Give it a fixed seed, or its
            randomness is measured as well.
        image: (1, C, H, W) in [0, 1]. Noise on a large photograph averages out when it is made smaller for the
            encoder, so give it the size that the encoder sees.
        radius: Of the uniform noise, on the scale of the pixels; the result stays in [0, 1].
        samples: How many noisy pictures.
        seed: The only source of randomness here.
        centred: Compare the maps around their own means. False: as they are, as Quantus does (the paper does not
            divide by the size of the map), which flatters maps with a large constant.

    Returns:
        0 or more; NaN for a constant map.

    Source: On the (In)fidelity and Sensitivity of Explanations (Yeh et al., NeurIPS 2019), section 4.
    """
    if not 0 < radius <= 1 or samples < 1:
        raise ValueError(f"radius must be in (0, 1] and samples 1 or more; got {radius} and {samples}")
    random = np.random.default_rng((STREAM, seed))
    before = explain(image)
    worst = UNDEFINED
    for _ in range(samples):
        noise = image.new_tensor(random.uniform(-radius, radius, tuple(image.shape)))
        first, second = known_in_both(before, explain((image + noise).clamp(0, 1)))
        if centred:
            first, second = first - first.mean(), second - second.mean()
        size = float(np.linalg.norm(first))
        if size > 0:
            worst = float(np.fmax(worst, np.linalg.norm(first - second) / size))
    return worst


def seed_stability(maps: Sequence[Map]) -> float:
    """Mean correlation between maps that differ only in their seed, in [-1, 1]; 1 for a method without chance.

    Args:
        maps: Two or more, (H, W) each.

    Returns:
        The mean of Pearson's correlation over all pairs; NaN where a map is constant.

    Source: as the between-run agreement in RELAX (Wickstrøm et al., IJCV 2023) and REPEAT (AAAI 2025).
    """
    if len(maps) < 2:
        raise ValueError(f"maps must be two or more to compare; got {len(maps)}")
    return float(np.mean([pearson(*known_in_both(first, second)) for first, second in combinations(maps, 2)]))
