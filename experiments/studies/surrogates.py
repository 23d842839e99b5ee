"""Which prediction of the scores leaves the least error in both maps? Compared on recorded masks.

    python -m experiments.data.recordings --data DATA --out runs/recordings       # for every encoder, see there
    python -m experiments.studies.surrogates --recordings runs/recordings

    python -m experiments.studies.surrogates --masks 512 1024 2048 --predictions plain products finer following smooth \
        --name surrogates_followed

For each recording, runs of 1,024 masks of the default design. The predictions of `experiments.studies.learned` are
cross-fitted, their maps averaged over 8,192 masks that no encoder sees (freed of what the features explain, whose map
is known), and what they leave over the masks of the run, at 28 x 28 pixels. For the uncertainty, the squares of the
prediction are taken off the squared scores, and what is left is freed of what the features explain, as by default.

The squared error of a map comes from the differences between the independent blocks of the design, plus the error from
unseen masks, and is given as a share of that of as many independent masks under the paper's average, whose formula
takes all masks of the recording; `between` is the same from the differences between whole runs. `apart` says how far
the maps of a prediction are from the default's, in the same unit, over all masks: an unbiased one stays within the
errors of both. Seconds are those of fit and maps of a run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from experiments.data.recordings import Recording
from experiments.options import Options
from experiments.record import write_results
from experiments.studies.coverage import Z95
from experiments.studies.learned import LEARNERS, Fitted, Learning, further_features, ridge
from experiments.summaries import grouped, with_interval
from masking import GridSurrogate, RandomGrid
from masking.grid import spread
from relax.estimators.control import ControlledMoments

UNSEEN, SIDE, FOLDS = 8192, 28, 4
PLAIN, DEFAULT = "plain", "products"
KEY = ("image", "encoder", "cells", "masks")  # of rows of one picture, which are compared


@dataclass(frozen=True)
class Masks:
    """So many masks of a grid: features, further ones, and values at SIDE x SIDE pixels."""

    features: Tensor
    further: dict[str, Tensor]
    values: Tensor

    @classmethod
    def of(cls, grid: RandomGrid, count: int) -> Masks:
        """The first ones."""
        cells, shifts = (values.double() for values in grid.draw(0, count))
        at = [grid.hats(grid.positions(SIDE, shifts[:, axis])) for axis in range(grid.axes)]
        values = spread(cells, at)
        further = further_features(grid, cells, shifts, values)
        return cls(GridSurrogate(grid).features(0, count), further, values.flatten(1))


class Trial:
    """One recording, with what is known of its masks."""

    def __init__(self, recording: Recording) -> None:
        self.recording, self.grid = recording, recording.grid
        self.scores = recording.scores()
        embeddings = recording.embeddings.double()
        self.embeddings = F.normalize(embeddings)
        self.reference = F.normalize(recording.reference.double()[None])[0]
        self.seen = Masks.of(self.grid, len(self.scores))
        self.unseen = Masks.of(RandomGrid(**{**vars(self.grid), "seed": self.grid.seed + 777_000}), UNSEEN)
        self.single = self.grid.cells**2

    def learning(self, chosen: slice) -> Learning:
        """The masks of a run, in folds of whole blocks."""
        scores = self.scores[chosen]
        blocks = len(scores) // self.grid.block
        folds = torch.arange(len(scores)).tensor_split(min(FOLDS, blocks))
        return Learning(
            scores=scores - scores.mean(),
            embeddings=self.embeddings[chosen],
            reference=self.reference,
            features=self.seen.features[chosen],
            unseen=self.unseen.features,
            single=self.single,
            further={name: (seen[chosen], self.unseen.further[name]) for name, seen in self.seen.further.items()},
            folds=list(folds),
        )

    @cached_property
    def papers_errors(self) -> Tensor:
        """(2,): mean squared errors of importance and uncertainty from one independent mask, by their formulas."""
        masks, keep = self.seen.values, self.grid.keep
        weight = masks.sum(0)
        away = self.scores[:, None] - masks.mT @ self.scores / weight
        spread_ = (masks * away.square()).sum(0) / weight
        parts = [masks * away, masks * (away.square() - spread_)]
        return torch.stack([part.square().mean() / keep**2 for part in parts])

    @cached_property
    def exact(self) -> Tensor:
        """(features, SIDE^2): their mask-weighted means, which are 0 for products at keep 0.5."""
        shifts = (torch.arange(256, dtype=torch.float64) + 0.5) / 256
        along = []
        for pixels in self.grid.image_size:
            of_regions = F.adaptive_avg_pool1d(
                self.grid.hats(self.grid.positions(pixels, shifts)).double().mT, self.grid.cells
            ).mT
            at = self.grid.hats(self.grid.positions(SIDE, shifts)).double()
            along.append(torch.einsum("uyp,uap->ya", at, of_regions) / len(shifts))
        maps = torch.einsum("ya,xb->abyx", *along).reshape(self.single, -1) * (1 - self.grid.keep)
        others = self.unseen.features.shape[1] - self.single
        return torch.cat([maps, torch.zeros(others, maps.shape[1], dtype=torch.float64)])

    @cached_property
    def _least_squares(self) -> tuple[Tensor, Tensor]:
        x = torch.cat([self.unseen.features, torch.ones(UNSEEN, 1, dtype=torch.float64)], 1)
        return x, torch.linalg.cholesky(x.mT @ x + 1e-9 * torch.eye(x.shape[1], dtype=torch.float64))

    def averaged(self, values: Tensor, shares: Tensor) -> tuple[Tensor, float]:
        """(folds, SIDE^2) mask-weighted means of numbers (folds, UNSEEN), and the mean squared error of their mean."""
        x, root = self._least_squares
        weights = torch.cholesky_solve(x.mT @ values.mT, root).mT
        left = values - weights @ x.mT
        masks = self.unseen.values / self.grid.keep
        maps = weights[:, :-1] @ self.exact + weights[:, -1:] + left @ masks / UNSEEN
        return maps, float(((shares @ left)[:, None] * masks).var(0).mean()) / UNSEEN

    def maps(self, chosen: slice, fitted: Fitted, learning: Learning) -> tuple[Tensor, Tensor]:
        """Importance (less the mean score) and uncertainty (2, SIDE^2), and their squared errors (2,)."""
        masks = self.seen.values[chosen]
        shares = torch.tensor([len(fold) / len(masks) for fold in learning.folds], dtype=torch.float64)
        known, error = self.averaged(fitted.unseen, shares)
        squares, square_error = self.averaged(fitted.unseen.square(), shares)
        left, square_left = learning.scores - fitted.seen, learning.scores.square() - fitted.seen.square()
        unit = torch.cat([torch.zeros(1, self.single), torch.eye(self.single)]).double()
        points = F.pad(unit, (0, self.exact.shape[0] - self.single))
        again = ridge(learning.features, points, square_left[:, None], learning.folds, self.single)
        constant, slopes = again.unseen[:, :1, 0], again.unseen[:, 1:, 0]
        squares = squares + constant + (slopes - constant) @ self.exact[: self.single]
        square_left = square_left - again.seen[:, 0]
        importance = shares @ known + _mean(left, masks)
        uncertainty = shares @ squares + _mean(square_left, masks) - importance.square()
        # Every block has an estimate of its own: what its fold knows, and what is left in its masks, to first order.
        adds, square_adds = (
            (masks * (values[:, None] - _mean(values, masks)) / self.grid.keep)
            .unflatten(0, (-1, self.grid.block))
            .mean(1)
            for values in (left, square_left)
        )
        fold_of_block = torch.cat(
            [torch.full((len(fold) // self.grid.block,), k) for k, fold in enumerate(learning.folds)]
        )
        adds, square_adds = adds + known[fold_of_block], square_adds + squares[fold_of_block]
        of_blocks = torch.stack([adds, square_adds - 2 * importance * adds])
        errors = of_blocks.var(1).mean(1) / of_blocks.shape[1]
        return torch.stack([importance, uncertainty]), errors + torch.tensor([error, square_error])

    def plain(self, chosen: slice, learning: Learning) -> tuple[Tensor, Tensor]:
        """The same of the plain average over the design's masks."""
        masks, scores = self.seen.values[chosen], learning.scores
        importance = _mean(scores, masks)
        away = scores[:, None] - importance
        uncertainty = (masks * away.square()).sum(0) / masks.sum(0)
        adds = torch.stack([masks * away, masks * (away.square() - uncertainty)]) / self.grid.keep
        sums = adds.unflatten(1, (-1, self.grid.block)).mean(2)
        return torch.stack([importance, uncertainty]), sums.var(1).mean(1) / sums.shape[1]

    def runs(self, count: int) -> list[slice]:
        """The masks of each run of so many."""
        return [slice(start, start + count) for start in range(0, len(self.scores) - count + 1, count)]

    def rows(self, count: int, predictions: Sequence[str]) -> Iterator[dict[str, Any]]:
        """One row per way of predicting, from runs of `count` masks."""
        unit = self.papers_errors / count
        middles: dict[str, Tensor] = {}
        for name in (DEFAULT, *(name for name in predictions if name != DEFAULT)):
            maps, errors, explained = [], [], []
            start = time.perf_counter()
            for chosen in self.runs(count):
                learning = self.learning(chosen)
                if name == PLAIN:
                    of_run, error = self.plain(chosen, learning)
                    explained.append(0.0)
                else:
                    fitted = LEARNERS[name](learning)
                    of_run, error = self.maps(chosen, fitted, learning)
                    left = learning.scores - fitted.seen
                    explained.append(1 - float(left.square().sum() / learning.scores.square().sum()))
                of_run[0] += self.scores[chosen].mean()
                maps.append(of_run)
                errors.append(error / unit)
            seconds = (time.perf_counter() - start) / len(maps)
            middles[name] = torch.stack(maps).mean(0)
            apart = (middles[name] - middles[DEFAULT]).square().mean(1) / unit
            between = torch.stack(maps).var(0).mean(1) / unit if len(maps) > 1 else None
            yield {
                "encoder": self.recording.encoder,
                "image": self.recording.picture,
                "cells": self.grid.cells,
                "masks": count,
                "prediction": name,
                **_rounded("importance", "uncertainty", torch.stack(errors).mean(0)),
                **_rounded("importance_between", "uncertainty_between", between),
                "explained": round(float(np.mean(explained)), 4),
                **_rounded("apart_importance", "apart_uncertainty", apart),
                "seconds": round(seconds, 2),
                "seconds_of_passes": round(self.recording.seconds * count / len(self.scores), 2),
            }

    def stated(self, count: int) -> dict[str, float]:
        """Of the default: by how many stated errors the importance of two runs differs, and how often within 95 %."""
        runs = []
        for chosen in self.runs(count):
            runs.append(ControlledMoments(GridSurrogate(self.grid), chosen.start))
            runs[-1].add(self.scores[chosen])
        distances = torch.stack(
            [
                (first.importance - second.importance)
                / (first.standard_error.square() + second.standard_error.square()).sqrt()
                for first, second in combinations(runs, 2)
            ]
        )
        return {
            "distance_in_errors": round(float(distances.square().mean().sqrt()), 3),
            "coverage": round(float((distances.abs() <= Z95).double().mean()), 3),
        }


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """For each encoder, cells, masks and prediction: means over pictures; against the default with 95 % intervals."""
    table: dict[str, Any] = {}
    base = {tuple(row[name] for name in KEY): row for row in rows if row["prediction"] == DEFAULT}
    for (encoder, cells, masks, name), mine in sorted(grouped(rows, *KEY[1:], "prediction").items()):
        entry: dict[str, Any] = {
            column: round(float(np.mean([row[column] for row in mine])), 4)
            for column in ("importance", "uncertainty", "explained", "seconds", "seconds_of_passes")
        }
        for column in ("importance", "uncertainty", "importance_between", "uncertainty_between"):
            before = [base[tuple(row[part] for part in KEY)][column] for row in mine]
            if all(before):
                logs = [math.log(row[column] / default) for row, default in zip(mine, before, strict=True)]
                interval = with_interval("ratio", logs)
                entry[f"{column}_against_default"] = {key: round(math.exp(log), 3) for key, log in interval.items()}
        table[f"{encoder}, {cells} cells, {masks} masks, {name}"] = {**entry, "pictures": len(mine)}
    return table


def _rounded(first: str, second: str, values: Tensor | None) -> dict[str, float | str]:
    """Two columns, empty without values."""
    numbers = ["", ""] if values is None else [round(value, 4) for value in values.tolist()]
    return dict(zip((first, second), numbers, strict=True))


def _mean(values: Tensor, masks: Tensor) -> Tensor:
    """(pixels,) mask-weighted mean of values (N,)."""
    return values @ masks / masks.sum(0)


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument(
        "--recordings", type=Path, default=Path("runs/recordings"), help="of experiments.data.recordings"
    )
    parser.add_argument("--cells", type=int, default=7)
    parser.add_argument("--masks", type=int, nargs="+", default=[1024], help="of a run")
    parser.add_argument("--predictions", nargs="+", default=[PLAIN, *LEARNERS], choices=[PLAIN, *LEARNERS])
    parser.add_argument("--name", help="of the files in results/; surrogates_CELLS if it is left out")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    stated: dict[str, dict[str, float]] = {}
    for path in sorted(args.recordings.glob(f"*/*_{args.cells}.npz")):
        trial = Trial(Recording.read(path))
        for masks in args.masks:
            if len(trial.runs(masks)) > 1:
                stated[f"{path.parent.name}, {trial.recording.picture}, {masks} masks"] = trial.stated(masks)
            if trial.runs(masks):
                rows += trial.rows(masks, args.predictions)
        print(path.parent.name, path.name, flush=True)
        summary = summarise(rows)
        parts = {"squared_error_against_paper": summary, "stated_errors_of_default": stated}
        write_results(args.name or f"surrogates_{args.cells}", rows, parts)
    for name, values in summary.items():
        print(f"{name:<60} {values}")


if __name__ == "__main__":
    main()
