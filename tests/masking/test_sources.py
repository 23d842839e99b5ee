"""What all mask sources have in common: a recipe that says how to make them again, random numbers by block, devices."""

import json

import numpy as np
import pytest
import torch

from masking import AuthorsGrid, GivenMasks, PatchMasks, RandomGrid, SlidingWindows, Superpixels
from masking.source import BLOCK, block_words, random_rows

EDGE = torch.cat([torch.zeros(1, 3, 12, 6), torch.ones(1, 3, 12, 8)], dim=3)  # two superpixels, 12 x 14 px

RECIPES = [
    (
        RandomGrid((9, 12), 3, 0.4, 5, "sobol"),
        {"kind": "random-grid", "image_size": [9, 12], "cells": 3, "keep": 0.4, "seed": 5, "design": "sobol"},
    ),
    (
        AuthorsGrid((9, 12), 3, 0.4, 5),
        {"kind": "authors-grid", "image_size": [9, 12], "cells": 3, "keep": 0.4, "seed": 5},
    ),
    (
        PatchMasks((12, 20), (3, 5), 0.4, 5),
        {"kind": "patches", "image_size": [12, 20], "grid": [3, 5], "visible": 6, "seed": 5},
    ),
    (SlidingWindows((7, 10), 3, 2), {"kind": "sliding-windows", "image_size": [7, 10], "window": 3, "stride": 2}),
    (
        Superpixels(EDGE, 2, 0.4, 5),
        {"kind": "superpixels", "image_size": [12, 14], "asked": 2, "found": 2, "keep": 0.4, "seed": 5},
    ),
    (GivenMasks(torch.ones(5, 4, 6)), {"kind": "given", "image_size": [4, 6], "given": 5}),
]


@pytest.mark.parametrize(("source", "recipe"), RECIPES, ids=lambda value: type(value).__name__)
def test_the_recipe_holds_all_that_makes_the_masks_as_json(source, recipe):
    assert source.recipe() == recipe
    assert json.loads(json.dumps(source.recipe())) == recipe
    assert source.image_size == tuple(recipe["image_size"])
    assert source.masks(0, 2).shape[-2:] == source.image_size


def test_each_block_of_rows_has_a_generator_started_from_seed_block_and_stream():
    """64 bits of NumPy's seed sequence, the first word in the upper half."""
    rows = random_rows(7, 0, 2 * BLOCK, 3, stream=1)

    for block in (0, 1):
        upper, lower = (int(word) for word in np.random.SeedSequence([7, block, 1]).generate_state(2))
        assert block_words(7, block, 1) == upper * 2**32 + lower  # torch's generator takes the lower half, NumPy's all
        generator = torch.Generator().manual_seed(upper * 2**32 + lower)
        expected = torch.rand(BLOCK, 3, generator=generator)
        assert torch.equal(rows[block * BLOCK : (block + 1) * BLOCK], expected)


def test_no_rows_have_the_width_that_was_asked_for():
    for place in (0, 5, BLOCK):
        assert random_rows(0, place, place, 3).shape == (0, 3)


def test_streams_of_one_seed_differ():
    assert not torch.equal(random_rows(0, 0, 9, 4), random_rows(0, 0, 9, 4, stream=1))
