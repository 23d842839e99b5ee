"""Every mask source takes from a request what it needs, and nothing else."""

import pytest
import torch

from masking import REGIONS, MaskRequest

VIEW = torch.rand(1, 3, 40, 60, generator=torch.Generator().manual_seed(0))
REQUEST = MaskRequest(VIEW, cells=5, keep=0.3, seed=7, design="sobol", patches=(4, 6))
GRID = {"image_size": [40, 60], "cells": 5, "keep": 0.3, "seed": 7}


@pytest.mark.parametrize(
    ("regions", "recipe"),
    [
        ("grid", {"kind": "random-grid", **GRID, "design": "sobol"}),
        ("authors-grid", {"kind": "authors-grid", **GRID}),
        ("windows", {"kind": "sliding-windows", "image_size": [40, 60], "window": 8, "stride": 4}),
        ("patches", {"kind": "patches", "image_size": [40, 60], "grid": [4, 6], "visible": 7, "seed": 7}),
    ],
)
def test_the_recipe_has_the_numbers_of_the_request(regions, recipe):
    assert REGIONS[regions].load().of(REQUEST).recipe() == recipe


def test_as_many_superpixels_are_requested_as_a_grid_has_cells():
    recipe = REGIONS["superpixels"].load().of(REQUEST).recipe()

    assert (recipe["asked"], recipe["keep"], recipe["seed"]) == (25, 0.3, 7)


@pytest.mark.parametrize(("cells", "window", "stride"), [(64, 1, 1), (40, 1, 1), (13, 3, 1), (7, 6, 3)])
def test_windows_are_a_cell_wide_and_overlap_by_half_but_never_vanish(cells, window, stride):
    windows = REGIONS["windows"].load().of(MaskRequest(VIEW, cells))

    assert (windows.window, windows.stride) == (window, stride)
