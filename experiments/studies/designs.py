"""How many masks does the same error need? Designs and control variates against the paper's independent masks.

    python -m experiments.studies.designs --images FOLDER
    python -m experiments.studies.designs --images FOLDER OTHER --count 20 10
    python -m experiments.studies.designs --images FOLDER --encoder cifar-resnet20 --data DATA --cells 14
    python -m experiments.studies.designs --images FOLDER --encoder vit      # after experiments.recipes.train_vit
    python -m experiments.studies.designs --images FOLDER --encoder salience-112 --pairs   # after recipes.pretrained

Scores are kept in --scores, so that a stopped run can continue and a changed estimator needs no encoder.

Per image: the truth comes from 8,192 orthogonal masks with control variates, in two halves whose difference gives its
own error, which is subtracted from every squared error below. Then, with 1,024 masks each: the mean squared error of
importance and uncertainty, as a share of the map's variance over the pixels, for every design and for the plain and the
controlled estimator on the same scores. The squared error of independent masks falls as 1 / N, so a ratio of two
squared errors is the share of the masks that reaches the same error. Also compared directly: 1,024 masks of the default
with 3,072 independent ones under the plain estimator.

With --pairs, for slow encoders: only the default and the paper, without a truth. The squared difference of two
independent runs is on average twice the squared error of one. The paper's two runs have half the masks each, and the
squared error of their mean is reported.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.data.pictures import photographs_in
from experiments.named import NAMES, encoder_named
from experiments.options import Options
from experiments.record import write_results
from experiments.studies.coverage import Z95, moments_of
from experiments.summaries import middle_95
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
    """Cosines of masked images to the image itself, kept in a file."""

    scene: Scene
    folder: Path

    def of(self, grid: RandomGrid, count: int, batch: int = 64) -> Tensor:
        """(count,) scores of the first masks of the grid."""
        path = self.folder / f"{grid.cells}_{grid.design}_{grid.seed}_{count}.npy"
        if path.exists():
            return torch.from_numpy(np.load(path, allow_pickle=False))
        image_embedding = self.scene.image_embedding
        batches = []
        for start in range(0, count, batch):
            masks = grid.masks(start, min(start + batch, count))
            batches.append(cosine(self.scene.embed(self.scene.masked(masks)), image_embedding))
        scores = torch.cat(batches)
        with written_aside(path) as aside, aside.open("wb") as stream:
            np.save(stream, scores.numpy())
        return scores


def digest(scene: Scene) -> str:
    """Of what the scores depend on beside encoder and masks: two pictures may have the same name."""
    pixels = b"".join(tensor.cpu().numpy().tobytes() for tensor in (scene.view, scene.fill))
    return hashlib.sha256(pixels).hexdigest()[:16]


def controlled(grid: RandomGrid, scores: Tensor, first: int = 0) -> ControlledMoments:
    """Moments with control variates, of scores from mask `first` on."""
    moments = ControlledMoments(GridSurrogate(grid), first)
    moments.add(scores, torch.empty(0))
    return moments


def measure(image: str, kept: Scores, cells: int, seed: int) -> list[dict[str, Any]]:
    """Squared errors and coverage for one image: a row per design, estimator and number of masks."""
    size = kept.scene.size
    grid = RandomGrid(size, cells, seed=seed + 1_000_000, design="orthogonal")
    scores = kept.of(grid, TRUTH)
    halves = [controlled(grid, scores[: TRUTH // 2]), controlled(grid, scores[TRUTH // 2 :], TRUTH // 2)]
    truth = {name: torch.stack([getattr(half, name) for half in halves]) for name in MAPS}

    rows = []
    for design in DESIGNS:
        pooled = RelaxMoments.empty(size)
        for run in range(RUNS if design in REPEATED else 1):
            grid = RandomGrid(size, cells, seed=seed + 1000 * run, design=design)
            scores = kept.of(grid, COUNT)
            plain = moments_of(scores, grid, 0, COUNT)
            rows += [
                _row_by_truth(image, (design, "plain"), plain, truth),
                _row_by_truth(image, (design, "controlled"), controlled(grid, scores), truth),
            ]
            pooled.merge(plain.moments)
        if design == PAPER[0]:
            rows.append(_row_by_truth(image, PAPER, pooled, truth))
    return rows


def measure_pairs(image: str, kept: Scores, cells: int, seed: int) -> list[dict[str, Any]]:
    """Squared errors and coverage of the paper's masks and of the default, from two runs each."""
    grids = [RandomGrid(kept.scene.size, cells, seed=seed + 1000 * run, design=DEFAULT[0]) for run in range(2)]
    paper = RandomGrid(kept.scene.size, cells, seed=seed, design=PAPER[0])
    scores, half = kept.of(paper, COUNT), COUNT // 2
    ours = [controlled(grid, kept.of(grid, COUNT)) for grid in grids]
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
    """The squared error is the squared distance to the truth, less the squared error of the truth."""
    middles = {name: halves.mean(0) for name, halves in truth.items()}
    truth_errors = {name: ((halves[0] - halves[1]) / 2).square().mean() for name, halves in truth.items()}
    squared = {name: (getattr(moments, name) - middles[name]).square().mean() - truth_errors[name] for name in MAPS}
    errors = {name: squared[name] / middles[name].var() for name in MAPS}
    error = (moments.standard_error.square() + truth_errors["importance"]).sqrt()
    return _row(image, kind, moments.count, errors, (moments.importance - middles["importance"]) / error, moments)


def _row(
    image: str,
    kind: tuple[str, str],
    masks: int,
    errors: dict[str, Tensor],
    distances: Tensor,
    moments: Estimator,
) -> dict[str, Any]:
    """Relative squared errors, and the share of the distances, in standard errors, inside the 95 % interval."""
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
    for (design, estimator, masks), values in means.items():
        table[f"{design}, {estimator}, {masks} masks"] = {
            "importance": _ratio(values[:, 0], base[:, 0]),
            "uncertainty": _ratio(values[:, 1], base[:, 1]),
            "coverage": round(float(values[:, 2].mean()), 4),
        }
    result: dict[str, Any] = {"squared_error_against_paper": table}
    if (thrice := means.get((*PAPER, RUNS * COUNT))) is not None:
        result["default_1024_against_paper_3072"] = {
            name: _ratio(means[*DEFAULT, COUNT][:, axis], thrice[:, axis]) for axis, name in enumerate(MAPS)
        }
    return result


def _ratio(errors: np.ndarray, base: np.ndarray) -> dict[str, float]:
    """The ratio of two means over images, and its bootstrap interval over images."""
    draws = np.random.default_rng(0).integers(0, len(errors), (2000, len(errors)))
    ratios = errors[draws].mean(1) / base[draws].mean(1)
    low, high = middle_95(ratios)
    return {
        "ratio": round(float(errors.mean() / base.mean()), 4),
        "low": round(low, 4),
        "high": round(high, 4),
    }


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders of pictures (*.jpg)")
    parser.add_argument(
        "--count",
        type=int,
        nargs="+",
        default=[20],
        help="pictures of each folder, evenly spaced over the sorted names",
    )
    parser.add_argument("--encoder", default="default", help=NAMES)
    parser.add_data("cifar10_resnets, for cifar-resnet20", required=False)
    parser.add_argument("--cells", type=int, default=7)
    parser.add_argument("--pairs", action="store_true", help="only the default and the paper, from pairs of runs")
    parser.add_argument("--scores", type=Path, default=Path("runs/scores"), help="folder where scores are kept")
    parser.add_seed()
    args = parser.parse_args()
    if len(args.count) not in (1, len(args.images)):
        parser.error(f"--count takes one number or one for each folder; got {len(args.count)} for {len(args.images)}")
    counts = args.count * (len(args.images) // len(args.count))
    folders = zip(args.images, counts, strict=True)
    paths = [path for folder, count in folders for path in photographs_in(folder, count)]
    encoder = encoder_named(args.encoder, args.data)
    rows: list[dict[str, Any]] = []
    for number, path in enumerate(paths):
        scene = Scene.of(str(path), encoder, Hiding(cells=args.cells))
        scores = Scores(scene, args.scores / encoder.checksum[:16] / f"{path.stem}-{digest(scene)}")
        rows += (measure_pairs if args.pairs else measure)(path.stem, scores, args.cells, args.seed + number)
        print(number + 1, path.stem, flush=True)
    summary = {"encoder": {"name": encoder.name, "checksum": encoder.checksum}, "cells": args.cells, "seed": args.seed}
    summary["pictures"] = {folder.name: count for folder, count in zip(args.images, counts, strict=True)}
    ratios = summarise(rows)
    write_results(f"designs_{encoder.name}_{args.cells}".replace("-", "_"), rows, {**summary, **ratios})
    for name, values in {
        **ratios["squared_error_against_paper"],
        **ratios.get("default_1024_against_paper_3072", {}),
    }.items():
        print(f"{name:<45} {values}")


if __name__ == "__main__":
    main()
