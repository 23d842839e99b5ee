import numpy as np
import pytest
import torch

from experiments.data.slides import blobs, write_slide


@pytest.fixture(scope="package")
def layout():
    """8 x 9 squares, a third of them tissue."""
    return blobs(8, 9, seed=1, share=0.33)


@pytest.fixture(scope="package")
def slide_path(layout, tmp_path_factory):
    return write_slide(tmp_path_factory.mktemp("slides") / "small.tif", layout)


@pytest.fixture(scope="package")
def ome_path(layout, tmp_path_factory):
    return write_slide(tmp_path_factory.mktemp("slides") / "small.ome.tif", layout, ome=True)


class MeanColours(torch.nn.Module):
    """(N, 12) the mean colours of 2 x 2 squares; counts the pictures that all copies of it have seen."""

    seen = 0

    def forward(self, batch):
        type(self).seen += len(batch)
        return torch.nn.functional.adaptive_avg_pool2d(batch, 2).flatten(1)


@pytest.fixture
def mean_colours():
    MeanColours.seen = 0
    return MeanColours


@pytest.fixture
def small_tiles():
    """Thirty tiles of random embeddings, on a grid of 6 x 5."""
    from relax.slides.tiles import SlideTiles

    rng = np.random.default_rng(0)
    corners = np.array([(x * 100, y * 100) for y in range(5) for x in range(6)], np.int64)
    features = (rng.normal(size=(30, 8)) + 1).astype(np.float32)
    return SlideTiles("made up", features, corners, 100, (700, 600))
