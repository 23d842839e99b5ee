"""What could a surrogate explain? The variance of scores, by how many cells act together.

    python -m experiments.studies.orders --data DATA
    python -m experiments.studies.orders --data DATA --encoder sscd --count 2

At keep 0.5 and a given shift, a score is a sum of effects of single cells, of pairs, of threes and so on, which do not
correlate (its Walsh expansion). Two masks that agree in each cell with correlation r have scores whose covariance is
the sum of r^k V_k over the orders k; V_0 is what the shift alone does. So masks come in groups of one shift: a random
one, its complement, one drawn anew, and two that redraw each cell, or each cell of the complement, with probability
1/2. The covariances of their ten pairs, at r = 1, 1/2, 0, -1/2 and -1, tell V_0, the odd and the even orders, and, of
each, how much is its lowest order. No regression is involved, so this bounds every surrogate. Errors come
from resampling groups.

Source: noise stability, O'Donnell, "Analysis of Boolean Functions" (2014), section 2.4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from encoders import Encoder
from experiments.data.pictures import Picture, pictures
from experiments.named import NAMES, encoder_named
from experiments.options import Options
from experiments.record import write_results
from masking import RandomGrid
from masking.grid import spread
from relax.scene import Scene
from relax.settings import Hiding
from similarity import cosine

PAIRS = {  # of the five masks of a group, by the correlation of their cells
    -1.0: [(0, 1)],
    0.0: [(0, 2), (1, 2), (2, 3), (2, 4)],
    0.5: [(0, 3), (1, 4)],
    -0.5: [(0, 4), (1, 3), (3, 4)],
}
ORDERS = ("shift", "single", "pairs", "odd_beyond", "even_beyond")
BATCH, RESAMPLED = 60, 200


def stable_cells(table: tuple[int, ...], groups: int, rng: torch.Generator) -> Tensor:
    """(groups, 5, *table): cells of the masks of each group, 1 = visible, which correlate as `PAIRS` says."""

    def coins() -> Tensor:
        return (torch.rand(groups, *table, generator=rng) < 0.5).float()

    first, kept = coins(), coins() > 0
    return torch.stack(
        [first, 1 - first, coins(), torch.where(kept, first, coins()), torch.where(kept, 1 - first, coins())], 1
    )


def stable_masks(grid: RandomGrid, groups: int, seed: int) -> Tensor:
    """(groups, 5, 1, H, W): masks of the cells of `stable_cells`, with one shift in each group."""
    rng = torch.Generator().manual_seed(seed)
    cells, shifts = stable_cells(grid.table, groups, rng), torch.rand(groups, grid.axes, generator=rng)
    hats = [
        grid.hats(grid.positions(pixels, shifts[:, axis])).unsqueeze(1) for axis, pixels in enumerate(grid.image_size)
    ]
    return spread(cells, hats).clamp_(0, 1).unsqueeze(2)


def shares(scores: Tensor) -> dict[str, float]:
    """Of the variance, from scores (groups, 5): `ORDERS`, none below 0, by least squares.

    Odd orders beyond the first are taken to be the third, and even ones beyond the second the fourth.
    """
    centred = (scores - scores.mean()).double().numpy()
    variance = float(np.square(centred).mean())
    pairs = [(r, float(np.mean([centred[:, a] * centred[:, b] for a, b in which]))) for r, which in PAIRS.items()]
    known = np.array([1.0, *(covariance / variance for _, covariance in pairs)])
    powers = np.array([[r**order for order in range(len(ORDERS))] for r in (1.0, *PAIRS)])
    weights = np.sqrt([1000.0, *map(len, PAIRS.values())])  # the whole is known best
    values, _ = nnls(powers * weights[:, None], known * weights)
    return dict(zip(ORDERS, map(float, values), strict=True))


def standard_errors(scores: Tensor, seed: int) -> dict[str, float]:
    """Of `shares`, by drawing groups again."""
    draws = torch.randint(len(scores), (RESAMPLED, len(scores)), generator=torch.Generator().manual_seed(seed))
    again = [shares(scores[groups]) for groups in draws]
    return {name: float(np.std([values[name] for values in again])) for name in ORDERS}


def measure(encoder: Encoder, picture: Picture, cells: int, groups: int, seed: int) -> dict[str, Any]:
    """One row: how the variance of one picture's scores is made up."""
    scene = Scene.of(picture.pixels, encoder, Hiding(cells=cells, seed=seed))
    assert isinstance(scene.source, RandomGrid)
    masks = stable_masks(scene.source, groups, seed).flatten(0, 1)
    with torch.inference_mode():
        scores = torch.cat(
            [cosine(scene.embed(scene.masked(part)), scene.image_embedding) for part in masks.split(BATCH)]
        )
    table = scores.view(groups, -1)
    values = {name: round(share, 4) for name, share in shares(table).items()}
    errors = {f"{name}_error": round(error, 4) for name, error in standard_errors(table, seed).items()}
    return {"image": picture.name, "cells": cells, "sd": round(float(scores.std()), 5), **values, **errors}


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("imagenet_sample")
    parser.add_argument("--encoder", default="default", help=NAMES)
    parser.add_argument("--cells", type=int, nargs="+", default=[7, 14])
    parser.add_count(3, "photographs, evenly spaced over the sorted names")
    parser.add_argument("--groups", type=int, default=256, help="of five masks")
    parser.add_seed()
    parser.add_argument("--name", help="of the files in results/; orders_ENCODER if it is left out")
    args = parser.parse_args()
    encoder = encoder_named(args.encoder)
    rows = []
    for number, picture in enumerate(pictures("imagenet", args.data, args.count)):
        for cells in args.cells:
            rows.append(measure(encoder, picture, cells, args.groups, args.seed + number))
            print(rows[-1], flush=True)
    means = {
        str(cells): {
            name: round(float(np.mean([row[name] for row in rows if row["cells"] == cells])), 3) for name in ORDERS
        }
        for cells in args.cells
    }
    write_results(
        args.name or f"orders_{args.encoder}".replace("-", "_"),
        rows,
        {"encoder": {"name": encoder.name, "checksum": encoder.checksum}, "groups": args.groups, "mean_share": means},
    )
    print(means)


if __name__ == "__main__":
    main()
