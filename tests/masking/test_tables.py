"""Every row of the tables is described and leads to the function or class that keeps the promises of its table."""

import pytest
import torch

from masking.fill import FillRequest
from masking.source import MaskRequest
from masking.tables import DESIGNS, FILLS, REGIONS

TABLES = {"regions": REGIONS, "fills": FILLS, "designs": DESIGNS}
ROWS = [pytest.param(name, row, id=f"{table}-{name}") for table, rows in TABLES.items() for name, row in rows.items()]
VIEW = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_a_row_is_described_and_loads(name, row):
    assert row.name == name
    assert row.what
    assert row.what == row.what.strip()
    assert not row.what.endswith(".")
    assert callable(row.load())


@pytest.mark.parametrize("name", REGIONS)
def test_regions_make_masks_of_the_view_from_a_request(name):
    request = MaskRequest(VIEW, cells=4, keep=0.5, seed=1, patches=(2, 3))

    source = REGIONS[name].load().of(request)
    masks = source.masks(0, 5)

    assert source.image_size == (16, 24)
    assert masks.shape == (5, 1, 16, 24)
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert 0 < masks.mean() < 1
    if REGIONS[name].patches:
        assert source.grid == (2, 3)


@pytest.mark.parametrize("name", FILLS)
def test_a_fill_gives_pixels_for_an_image_from_a_request(name):
    pixels = FILLS[name].load()(FillRequest(VIEW, (0.4, 0.5, 0.6), seed=2)).expand_as(VIEW)

    assert pixels.min() >= 0
    assert pixels.max() <= 1
    assert not torch.equal(pixels, VIEW)
    if name in ("mean", "drop"):
        assert pixels[0, :, 3, 5].tolist() == pytest.approx([0.4, 0.5, 0.6])


@pytest.mark.parametrize("name", DESIGNS)
def test_a_design_draws_binary_cells_and_shifts_below_one(name):
    design = DESIGNS[name].load()()

    cells, shifts = design.draw(3, 10, 30, 9, 0.5, 2)

    assert design.length(9, 2) >= 1
    assert cells.shape == (20, 9)
    assert set(cells.unique().tolist()) == {0.0, 1.0}
    assert shifts.shape == (20, 2)
    assert 0 <= shifts.min() <= shifts.max() < 1


def test_only_patches_can_be_dropped():
    assert [name for name, fill in FILLS.items() if fill.drops] == ["drop"]
    assert [name for name, regions in REGIONS.items() if regions.patches] == ["patches"]
