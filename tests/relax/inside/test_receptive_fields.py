"""The pixels that a cell depends on are those of the hand formula, and of the Jacobian, in any network."""

import numpy as np
import torch
from torch import nn

from encoders.trace import layers
from relax.inside.fields import receptive_fields
from relax.inside.sight import fields_of
from tests.relax.inside.networks import SIDE, Planted, loaded


def network(*parts):
    """Convolutions with random weights, among which some are zero."""
    torch.manual_seed(0)
    model = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for part in model.modules():
        if isinstance(part, nn.Conv2d):
            part.weight.data[:, :, 0] = 0  # a weight of 0 is a dependence all the same
    return model


def fields(model):
    encoder = loaded(model)
    view = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    spatial_layers = [layer for layer in layers(encoder, view) if layer.spatial]
    return fields_of(encoder, view, spatial_layers), {layer.name: layer.grid for layer in spatial_layers}


def edges(cells, stride, kernel, padding, length=SIDE):
    """First row and the one after the last of each cell, by the formula of one convolution."""
    starts = np.arange(cells) * stride - padding
    return np.stack([starts, starts + kernel], 1).clip(0, length)


def test_the_field_of_three_layers_is_that_of_the_hand_formula():
    """3 x 3 stride 2 padding 1, pooling 2 x 2, then 3 x 3 padding 1: fields of 3, 5 and 13 px, 2, 4 and 4 px apart."""
    layer_fields, grids = fields(
        network(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3, 1, 1))
    )

    assert grids["0"] == (12, 12)
    for name, cells, stride, kernel, padding in [("0", 12, 2, 3, 1), ("2", 6, 4, 5, 1), ("3", 6, 4, 13, 5)]:
        assert layer_fields[name].rows.tolist() == edges(cells, stride, kernel, padding).tolist(), name
        assert layer_fields[name].columns.tolist() == layer_fields[name].rows.tolist()
    assert layer_fields["2"].box(1, 5) == (3, 19, 8, 24)


def test_rows_and_columns_are_told_apart():
    layer_fields, _ = fields(network(nn.Conv2d(3, 4, (5, 1), (1, 2), (2, 0))))

    assert layer_fields["0"].rows.tolist() == edges(24, 1, 5, 2).tolist()
    assert layer_fields["0"].columns.tolist() == edges(12, 2, 1, 0).tolist()


def test_where_the_cells_do_not_divide_the_view_every_row_is_tried():
    layer_fields, grids = fields(network(nn.Conv2d(3, 4, 5)))

    assert grids["0"] == (20, 20)
    assert layer_fields["0"].rows.tolist() == edges(20, 1, 5, 0).tolist()


def test_a_field_with_holes_is_the_box_around_what_is_seen():
    """Kernel 3, 2 px apart: cell i sees rows i - 2, i and i + 2, as far as there are such."""
    layer_fields, _ = fields(network(nn.Conv2d(3, 4, 3, padding=2, dilation=2)))

    seen = [[row for row in (cell - 2, cell, cell + 2) if 0 <= row < SIDE] for cell in range(SIDE)]
    assert layer_fields["0"].rows.tolist() == [[rows[0], rows[-1] + 1] for rows in seen]


def test_what_looks_everywhere_sees_the_whole_view():
    class Gated(nn.Module):  # squeeze and excitation
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
            self.gated = nn.Conv2d(4, 4, 1)

        def forward(self, pixels):
            maps = self.conv(pixels)
            return self.gated(maps * maps.mean((2, 3), keepdim=True).sigmoid()).mean((2, 3))

    layer_fields, _ = fields(Gated())

    assert layer_fields["conv"].rows.tolist() == edges(24, 1, 3, 1).tolist()
    assert layer_fields["gated"].rows.tolist() == [[0, SIDE]] * 24


def test_a_token_sees_its_patch_before_the_first_block_and_everything_it_attends_to_behind_it():
    """Its numbers: head 0 attends to one token, but a share of 0 of the others is a dependence all the same."""
    layer_fields, _ = fields(Planted())

    assert layer_fields["patch_embed"].rows.tolist() == [[0, 8], [8, 16], [16, 24]]
    assert layer_fields["blocks.0"].rows.tolist() == [[0, SIDE]] * 3


def test_fewer_rows_are_tried_where_they_repeat():
    """Two strides of rows and of columns, and two corners."""
    tried = []

    def run(marked, names):
        tried.append(len(marked))
        seen = torch.nn.functional.max_pool2d(torch.from_numpy(marked).float()[:, None], 4)[:, 0].bool().numpy()
        return {name: seen for name in names}

    layer_fields = receptive_fields(run, (64, 64), {"pool": (16, 16)})

    assert layer_fields["pool"].rows.tolist() == edges(16, 4, 4, 0, 64).tolist()
    assert sum(tried) == 2 + 8 + 8


def test_a_layer_that_no_pixel_reaches_has_no_field():
    layer_fields = receptive_fields(
        lambda marked, names: {"a": np.zeros((len(marked), 3, 3), bool)}, (9, 9), {"a": (3, 3)}
    )

    assert layer_fields == {}
