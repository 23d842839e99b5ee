from __future__ import annotations

import pytest
import torch
from torch import Tensor


def pixels_from(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def pixels() -> Tensor:
    """Five colour images of 40 x 56 px."""
    return pixels_from(0, 5, 3, 40, 56)
