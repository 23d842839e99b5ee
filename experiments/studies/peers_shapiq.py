"""Who needs the fewest passes for the Banzhaf values of a picture's cells: the default estimator, or shapiq's?

    .venv/bin/uv pip install shapiq lightgbm
    OMP_NUM_THREADS=1 python -m experiments.studies.peers_shapiq --data DATA
    OMP_NUM_THREADS=1 python -m experiments.studies.peers_shapiq --data DATA --encoder efficientnet-lite0 --count 2

One game for all: the players are the 7 x 7 hard cells of a fixed grid, and a coalition is worth the cosine of the
picture with these cells shown, and the mean pixel elsewhere, to the whole picture. The Banzhaf value of a cell, the
mean of what it adds to all coalitions of the others, is twice what its importance under masks of keep 0.5 is above the
mean score. So `relax` is the estimator behind every map (`relax.estimators.control.ControlledMoments`) on the design of
every map, with cells and products of neighbours for regions; `plain` is the average over independent masks. Both see
the game as shapiq's approximators do, which draw their own coalitions; a budget counts the passes asked for.

The truth is the default estimator with other masks, in two halves whose difference gives its own error, which is
subtracted: the mean squared error over the cells is given as a share of the variance of the values. shapiq's
approximators of Shapley values answer another question of the same game: their truth is KernelSHAP's, of two seeds.

Sources: Banzhaf values by sampling, Wang & Jia, "Data Banzhaf" (AISTATS 2023); shapiq, Muschalik et al. (NeurIPS 2024).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders import Encoder
from encoders.passes import TRIAL, Passes
from experiments.data.pictures import pictures
from experiments.named import NAMES, encoder_named
from experiments.options import Options
from experiments.record import write_results
from experiments.summaries import grouped, median_and_range
from masking import blend
from masking.cells import CellMasks
from relax.estimators.control import ControlledMoments
from relax.scene import Scene
from relax.settings import Hiding

SIDE, BATCH, KEEP = 7, 32, 0.5
CELLS = SIDE**2
Values = NDArray[np.float64]
Game = Callable[[Values], Values]


@dataclass(frozen=True)
class CellGrid:
    """The masks of hard cells, at one pixel a cell."""

    masks_of: CellMasks

    @property
    def block(self) -> int:
        """Number of consecutive masks that depend on each other."""
        return self.masks_of.block

    @property
    def image_size(self) -> tuple[int, ...]:
        """A pixel a cell."""
        return (SIDE, SIDE)

    def masks(self, start: int, stop: int, device: torch.device | str = "cpu") -> Tensor:
        """(N, 1, 7, 7): which cells are shown."""
        return self.masks_of.shown(start, stop).to(device).view(-1, 1, SIDE, SIDE)


class CellSurrogate:
    """As `masking.GridSurrogate`, of hard cells at keep 0.5: their centred visibility, and products of neighbours.

    Products of two centred cells have mean zero under the mask of any cell, and a cell has 1/2 under its own mask.
    """

    linear = CELLS

    def __init__(self, seed: int, design: str = "orthogonal") -> None:
        self.grid = CellGrid(CellMasks((SIDE, SIDE), SIDE, KEEP, seed, design))
        self.device = torch.device("cpu")
        at = torch.arange(CELLS).view(SIDE, SIDE)
        ends = [
            (at[:, :-1], at[:, 1:]),
            (at[:-1], at[1:]),
            (at[:-1, :-1], at[1:, 1:]),
            (at[:-1, 1:], at[1:, :-1]),
        ]
        self.first, self.second = (torch.cat([pair[end].flatten() for pair in ends]) for end in (0, 1))

    def features(self, start: int, stop: int) -> Tensor:
        """(N, 49 + 156), each with mean zero."""
        cells = self.grid.masks_of.shown(start, stop).double() - KEEP
        return torch.cat([cells, cells[:, self.first] * cells[:, self.second]], 1)

    def conditional_mean(self, weights: Tensor) -> Tensor:
        """(7, 7): E[m f] / E[m] is 1/2 of a cell's own weight."""
        return (1 - KEEP) * weights[:CELLS].view(SIDE, SIDE)

    def mean_of_square(self, weights: Tensor, shares: Tensor, masks: int) -> Tensor:
        """(7, 7): of the uncertainty, which is not asked for."""
        raise NotImplementedError("Banzhaf values have no uncertainty map")


def relax_values(game: Game, budget: int, seed: int) -> Values:
    """Banzhaf values (49,) by the estimator and the design of every map."""
    surrogate = CellSurrogate(seed)
    moments = ControlledMoments(surrogate)
    moments.add(torch.from_numpy(game(surrogate.grid.masks_of.shown(0, budget).numpy().astype(float))))
    importance: Values = moments.importance.flatten().numpy()
    return 2 * (importance - float(moments.scores.mean()))


def plain_values(game: Game, budget: int, seed: int) -> Values:
    """Banzhaf values (49,) from averages over independent masks: the mean score with a cell, less that without."""
    shown = CellMasks((SIDE, SIDE), SIDE, KEEP, seed, "independent").shown(0, budget).numpy().astype(float)
    scores = game(shown)
    values: Values = scores @ shown / shown.sum(0) - scores @ (1 - shown) / (1 - shown).sum(0)
    return values


def shapiq_values(name: str, **options: Any) -> Callable[[Game, int, int], Values]:
    """The same by one of shapiq's approximators."""

    def values(game: Game, budget: int, seed: int) -> Values:
        from shapiq import approximator

        interactions = getattr(approximator, name)(n=CELLS, random_state=seed, **options).approximate(budget, game)
        return np.array([interactions[(cell,)] for cell in range(CELLS)])

    return values


BANZHAF: dict[str, Callable[[Game, int, int], Values]] = {
    "relax": relax_values,
    "plain": plain_values,
    "RegressionFBII": shapiq_values("RegressionFBII", max_order=1),
    "RegressionFBII in pairs": shapiq_values("RegressionFBII", max_order=1, pairing_trick=True),
    "ProxySPEX": shapiq_values("ProxySPEX", index="BV", max_order=1),
    "SVARM": shapiq_values("SVARM", index="BV"),
    "SHAPIQ": shapiq_values("SHAPIQ", index="BV", max_order=1),
}
SHAPLEY: dict[str, Callable[[Game, int, int], Values]] = {
    "KernelSHAP, of Shapley values": shapiq_values("KernelSHAP", pairing_trick=True),
    "permutations, of Shapley values": shapiq_values("PermutationSamplingSV"),
}


class PictureGame:
    """What coalitions of cells of a picture are worth.

    Attributes:
        passes: How many coalitions were asked for.
        seconds: What they took.
    """

    def __init__(self, encoder: Encoder, pixels: NDArray[np.uint8], coming: int) -> None:
        scene = Scene.of(pixels, encoder, Hiding())
        self.passes, self.seconds = 0, 0.0
        self._run, self._whole = Passes(encoder), scene.image_embedding.double()
        self._view, self._fill = self._run.prepare(scene.view), self._run.prepare(scene.fill.expand_as(scene.view))
        self._cells = CellMasks(scene.size, SIDE)
        if self._run.wants_trial(coming):
            views = blend(self._view, self._cells.masks(0, TRIAL), self._fill)
            self._run.settle(views, self._scores, coming, BATCH)

    def __call__(self, coalitions: Values) -> Values:
        """(N, 49), 1 = shown, or one coalition (49,), to (N,) cosines."""
        start = time.perf_counter()
        shown = torch.from_numpy(np.atleast_2d(coalitions).astype(np.float32))
        with torch.inference_mode():
            views = (blend(self._view, self._cells.enlarged(part), self._fill) for part in shown.split(BATCH))
            scores = torch.cat([self._scores(self._run.embed(some)) for some in views])
        self.passes, self.seconds = self.passes + len(shown), self.seconds + time.perf_counter() - start
        values: Values = scores.numpy()
        return values

    def _scores(self, embeddings: Tensor) -> Tensor:
        """(N, D) to (N,) float64."""
        return torch.cosine_similarity(embeddings.double(), self._whole[None])


@dataclass(frozen=True)
class Truth:
    """Values known from two halves (2, 49)."""

    halves: Values

    def squared_error(self, values: Values) -> float:
        """Mean over the cells, less what the truth's own error adds, as a share of the variance of the values."""
        middle = self.halves.mean(0)
        own = np.square(self.halves[0] - self.halves[1]).mean() / 4
        return float((np.square(values - middle).mean() - own) / middle.var())


def rows_of(name: str, game: PictureGame, budgets: list[int], truth: int, seed: int) -> Iterator[dict[str, Any]]:
    """One row per estimator and budget."""
    kernel = SHAPLEY["KernelSHAP, of Shapley values"]
    known = {
        "Banzhaf": Truth(np.stack([relax_values(game, truth // 2, seed + 1_000_000 + half) for half in range(2)])),
        "Shapley": Truth(np.stack([kernel(game, truth // 4, seed + 1_000_000 + half) for half in range(2)])),
    }
    for kind, estimators in (("Banzhaf", BANZHAF), ("Shapley", SHAPLEY)):
        for (estimator, values), budget in product(estimators.items(), budgets):
            game.passes, game.seconds, start = 0, 0.0, time.perf_counter()
            estimates = values(game, budget, seed)
            seconds = time.perf_counter() - start
            yield {
                "image": name,
                "values": kind,
                "estimator": estimator,
                "budget": budget,
                "passes": game.passes,
                "squared_error": round(known[kind].squared_error(estimates), 6),
                "seconds_of_passes": round(game.seconds, 2),
                "seconds_besides": round(seconds - game.seconds, 2),
            }


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """By estimator and budget: squared errors, and against those of `relax` on the same pictures."""
    ours = {(row["image"], row["budget"]): row["squared_error"] for row in rows if row["estimator"] == "relax"}
    table = {}
    for (kind, estimator, budget), mine in grouped(rows, "values", "estimator", "budget").items():
        entry: dict[str, Any] = {
            name: median_and_range([row[name] for row in mine])
            for name in ("squared_error", "passes", "seconds_besides")
        }
        if kind == "Banzhaf":
            base = float(np.mean([ours[row["image"], budget] for row in mine]))
            entry["times_that_of_relax"] = round(float(np.mean([row["squared_error"] for row in mine])) / base, 3)
        table[f"{estimator}, {budget}"] = entry
    return table


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("imagenet_sample")
    parser.add_argument("--encoder", default="default", help=NAMES)
    parser.add_count(4, "photographs, evenly spaced over the sorted names")
    parser.add_argument("--budgets", type=int, nargs="+", default=[256, 1024, 4096], help="passes")
    parser.add_argument("--truth", type=int, default=16384, help="passes that the true Banzhaf values come from")
    parser.add_seed()
    args = parser.parse_args()
    encoder = encoder_named(args.encoder).with_precision("auto")
    rows: list[dict[str, Any]] = []
    for number, picture in enumerate(pictures("imagenet", args.data, args.count)):
        game = PictureGame(encoder, picture.pixels, args.truth)
        for row in rows_of(picture.name, game, args.budgets, args.truth, args.seed + number):
            rows.append(row)
            print(row, flush=True)
        summary = {
            "encoder": {"name": encoder.name, "checksum": encoder.checksum},
            "shapiq": version("shapiq"),
            "truth_passes": args.truth,
            "pictures": number + 1,
            "squared_error_of_values": summarise(rows),
        }
        write_results(f"peers_shapiq_{args.encoder}".replace("-", "_"), rows, summary)


if __name__ == "__main__":
    main()
