"""Hard cells: a pixel is as its cell, cells are shown as the design draws them, and edges stand still."""

import pytest
import torch

from masking.cells import CellMasks


def test_a_pixel_is_shown_where_its_cell_is():
    source = CellMasks((7, 5), cells=3, seed=4)

    masks, shown = source.masks(0, 64), source.shown(0, 64).view(-1, 3, 3)

    rows, columns = (0, 0, 1, 1, 1, 2, 2), (0, 0, 1, 2, 2)  # floor of (y + 1/2) 3 / 7 and of (x + 1/2) 3 / 5
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            assert torch.equal(masks[:, 0, y, x], shown[:, row, column])
    assert masks.shape == (64, 1, 7, 5)
    assert masks.dtype == torch.float32
    assert set(masks.unique().tolist()) == {0.0, 1.0}


def test_any_stretch_is_the_same_masks_and_cells_are_shown_as_often_as_said():
    source = CellMasks((8, 8), cells=4, keep=0.25, seed=1, design="independent")

    shown = source.shown(0, 4000)

    assert torch.equal(source.masks(300, 310), source.masks(0, 400)[300:310])
    assert shown.mean(0).sub(0.25).abs().max() < 4 * (0.25 * 0.75 / 4000) ** 0.5
    assert CellMasks((8, 8), cells=4).block == 128


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cells": 9}, "cells must be between 1 and"),
        ({"keep": 1.0}, "keep is the chance"),
        ({"design": "x"}, "design must"),
    ],
)
def test_impossible_masks_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        CellMasks((8, 8), **{"cells": 2, **changed})


def test_cells_that_a_caller_chose_are_shown():
    source = CellMasks((4, 6), cells=2)

    mask = source.enlarged(torch.tensor([[1.0, 0.0, 0.0, 1.0]]))

    assert mask[0, 0].tolist() == [[1, 1, 1, 0, 0, 0]] * 2 + [[0, 0, 0, 1, 1, 1]] * 2
