"""How many masks does the same error need? Designs and control variates against the paper's independent masks.

    python -m experiments.studies.designs --images FOLDER
    python -m experiments.studies.designs --images FOLDER --encoder cifar-resnet20 --data DATA --cells 14
    python -m experiments.studies.designs --images FOLDER --encoder vit      # after experiments.recipes.train_vit
    python -m experiments.studies.designs --images FOLDER --encoder salience-112 --pairs   # after recipes.pretrained

Scores are kept in --scores, so that a stopped run goes on, and an estimator that was changed needs no encoder.

Per image: the truth comes from 8,192 orthogonal masks with control variates, in two halves whose difference tells its
own error, which is taken off every squared error below. Then, with 1,024 masks each: the mean squared error of
importance and uncertainty, in shares of the map's variance over the pixels, for every design and for the plain and the
controlled estimator from the same scores. An error of independent masks falls as 1 / N, so a ratio of two squared
errors is the share of the masks that reaches the same error. Told directly as well: 1,024 masks of the default against
3,072 independent ones with the plain estimator.

With --pairs, for encoders that are slow: only the default against the paper, and no truth. Two runs that know nothing
of each other differ by twice the squared error of one. For the paper's they have half the masks each, and what is told
is the squared error of the two together.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.named import NAMES, encoder_named
from experiments.record import write_results
from experiments.studies.coverage import Z95, moments_of
from masking import DESIGNS, GridSurrogate, RandomGrid
from relax.estimators.control import ControlledMoments
from relax.estimators.moments import Estimator, RelaxMoments
from relax.files import written_aside
from relax.scene import Scene
from relax.settings import Hiding
from similarity import cosine

TRUTH, COUNT, RUNS = 8192, 1024, 3
MAPS = ("importance", "uncertainty")
DEFAULT, PAPER = ("orthogonal", "controlled"), ("independent", "plain")
REPEATED = ("orthogonal", "sobol", "independent")  # designs that are drawn `RUNS` times an image


@dataclass(frozen=True)
class Scores:
    """Cosines of a masked image to the image itself, which are kept in a file."""

    scene: Scene
    folder: Path

    def of(self, grid: RandomGrid, count: int, batch: int = 64) -> Tensor:
        """(count,) of the first masks of the grid."""
        path = self.folder / f"{grid.cells}_{grid.design}_{grid.seed}_{count}.npy"
        if path.exists():
            return torch.from_numpy(np.load(path, allow_pickle=False))
        own = self.scene.own_embedding()
        found = []
        for start in range(0, count, batch):
            masks = grid.masks(start, min(start + batch, count))
            found.append(cosine(self.scene.embed(self.scene.masked(masks)), own))
        scores = torch.cat(found)
        with written_aside(path) as aside, aside.open("wb") as stream:
            np.save(stream, scores.numpy())
        return scores


def _seen(scene: Scene) -> str:
    """What the scores depend on beside encoder and masks: a picture of the same name may be another one."""
    pixels = (scene.view, scene.fill)
    return hashlib.sha256(b"".join(one.cpu().numpy().tobytes() for one in pixels)).hexdigest()[:16]


def controlled(grid: RandomGrid, scores: Tensor, first: int = 0) -> ControlledMoments:
    moments = ControlledMoments(GridSurrogate(grid), first)
    moments.add(scores, torch.empty(0))
    return moments


def measure(image: str, found: Scores, cells: int, seed: int) -> list[dict[str, Any]]:
    """Squared errors and coverage for one image: a row per design, estimator and number of masks."""
    size = found.scene.size
    grid = RandomGrid(size, cells, seed=seed + 1_000_000, design="orthogonal")
    scores = found.of(grid, TRUTH)
    halves = [controlled(grid, scores[: TRUTH // 2]), controlled(grid, scores[TRUTH // 2 :], TRUTH // 2)]
    truth = {name: torch.stack([getattr(half, name) for half in halves]) for name in MAPS}

    rows = []
    for design in DESIGNS:
        pooled = RelaxMoments.empty(size)
        for run in range(RUNS if design in REPEATED else 1):
            grid = RandomGrid(size, cells, seed=seed + 1000 * run, design=design)
            scores = found.of(grid, COUNT)
            one = moments_of(scores, grid, 0, COUNT)
            rows += [
                _row_by_truth(image, (design, "plain"), one, truth),
                _row_by_truth(image, (design, "controlled"), controlled(grid, scores), truth),
            ]
            if isinstance(one, RelaxMoments):
                pooled.merge(one)
        if design == PAPER[0]:
            rows.append(_row_by_truth(image, PAPER, pooled, truth))
    return rows


def measure_pairs(image: str, found: Scores, cells: int, seed: int) -> list[dict[str, Any]]:
    """The same of the paper's masks and of the default, from two runs each."""
    grids = [RandomGrid(found.scene.size, cells, seed=seed + 1000 * run, design=DEFAULT[0]) for run in range(2)]
    paper = RandomGrid(found.scene.size, cells, seed=seed, design=PAPER[0])
    scores, half = found.of(paper, COUNT), COUNT // 2
    ours = [controlled(grid, found.of(grid, COUNT)) for grid in grids]
    theirs = [moments_of(scores, paper, start, start + half) for start in (0, half)]
    variances = {name: (getattr(ours[0], name) + getattr(ours[1], name)).div(2).var() for name in MAPS}
    return [_pair_row(image, PAPER, theirs, variances, parts=4), _pair_row(image, DEFAULT, ours, variances, parts=2)]


def _pair_row(
    image: str,
    kind: tuple[str, str],
    runs: Sequence[Estimator],
    variances: dict[str, Tensor],
    parts: int,
) -> dict[str, Any]:
    """The squared error is the squared difference of two runs, divided by `parts`."""
    first, second = runs
    squared = {name: (getattr(first, name) - getattr(second, name)).square().mean() / parts for name in MAPS}
    errors = {name: squared[name] / variances[name] for name in MAPS}
    error = (first.standard_error.square() + second.standard_error.square()).sqrt()
    return _row(image, kind, COUNT, errors, (first.importance - second.importance) / error, first)


def _row_by_truth(image: str, kind: tuple[str, str], moments: Estimator, truth: dict[str, Tensor]) -> dict[str, Any]:
    """The squared error is the squared distance to the truth, less the truth's own."""
    middles = {name: halves.mean(0) for name, halves in truth.items()}
    own = {name: ((halves[0] - halves[1]) / 2).square().mean() for name, halves in truth.items()}
    squared = {name: (getattr(moments, name) - middles[name]).square().mean() - own[name] for name in MAPS}
    errors = {name: squared[name] / middles[name].var() for name in MAPS}
    error = (moments.standard_error.square() + own["importance"]).sqrt()
    return _row(image, kind, moments.count, errors, (moments.importance - middles["importance"]) / error, moments)


def _row(
    image: str,
    kind: tuple[str, str],
    masks: int,
    errors: dict[str, Tensor],
    distances: Tensor,
    moments: Estimator,
) -> dict[str, Any]:
    """Relative squared errors, and how many of the distances, in standard errors, are within a 95 % interval."""
    return {
        "image": image,
        "design": kind[0],
        "estimator": kind[1],
        "masks": masks,
        **{name: round(float(error), 6) for name, error in errors.items()},
        "coverage": round(float((distances.abs() <= Z95).double().mean()), 4),
        "explained": round(moments.explained, 4) if isinstance(moments, ControlledMoments) else "",
    }


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Ratios of mean squared errors to that of independent masks with the plain estimator, with 95 % intervals."""
    errors: dict[tuple[str, str, int], dict[str, list[list[float]]]] = defaultdict(dict)
    for row in rows:
        key = row["design"], row["estimator"], row["masks"]
        errors[key].setdefault(row["image"], []).append([row["importance"], row["uncertainty"], row["coverage"]])
    means = {key: np.array([np.mean(runs, 0) for runs in images.values()]) for key, images in errors.items()}
    base = means[*PAPER, COUNT]
    table = {}
    for (design, estimator, masks), own in means.items():
        table[f"{design}, {estimator}, {masks} masks"] = {
            "importance": _ratio(own[:, 0], base[:, 0]),
            "uncertainty": _ratio(own[:, 1], base[:, 1]),
            "coverage": round(float(own[:, 2].mean()), 4),
        }
    result: dict[str, Any] = {"squared_error_against_paper": table}
    if (thrice := means.get((*PAPER, RUNS * COUNT))) is not None:
        result["default_1024_against_paper_3072"] = {
            name: _ratio(means[*DEFAULT, COUNT][:, axis], thrice[:, axis]) for axis, name in enumerate(MAPS)
        }
    return result


def _ratio(own: np.ndarray, base: np.ndarray) -> dict[str, float]:
    """The ratio of means over images, and its bootstrap interval over images."""
    draws = np.random.default_rng(0).integers(0, len(own), (2000, len(own)))
    ratios = own[draws].mean(1) / base[draws].mean(1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return {
        "ratio": round(float(own.mean() / base.mean()), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder with at least --count pictures (*.jpg)")
    parser.add_argument("--count", type=int, default=20, help="pictures, evenly spaced over the sorted names")
    parser.add_argument("--encoder", default="default", help=NAMES)
    parser.add_argument("--data", type=Path, help="folder with cifar10_resnets, for cifar-resnet20")
    parser.add_argument("--cells", type=int, default=7)
    parser.add_argument("--pairs", action="store_true", help="only the default and the paper's, from pairs of runs")
    parser.add_argument("--scores", type=Path, default=Path("runs/scores"), help="folder where scores are kept")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    paths = sorted(args.images.glob("*.jpg"))
    paths = paths[len(paths) // (2 * args.count) :: len(paths) // args.count][: args.count]
    encoder = encoder_named(args.encoder, args.data)
    rows: list[dict[str, Any]] = []
    for number, path in enumerate(paths):
        scene = Scene.of(str(path), encoder, Hiding(cells=args.cells))
        scores = Scores(scene, args.scores / encoder.checksum[:16] / f"{path.stem}-{_seen(scene)}")
        rows += (measure_pairs if args.pairs else measure)(path.stem, scores, args.cells, args.seed + number)
        print(number + 1, path.stem, flush=True)
    summary = {"encoder": {"name": encoder.name, "checksum": encoder.checksum}, "cells": args.cells, "seed": args.seed}
    found = summarise(rows)
    write_results(f"designs_{encoder.name}_{args.cells}".replace("-", "_"), rows, {**summary, **found})
    for name, values in {
        **found["squared_error_against_paper"],
        **found.get("default_1024_against_paper_3072", {}),
    }.items():
        print(f"{name:<45} {values}")


if __name__ == "__main__":
    main()
