"""How many masks does the same error need? Designs and control variates against the paper's independent masks.

    python -m experiments.designs --images FOLDER
    python -m experiments.designs --images FOLDER --encoder cifar-resnet20 --data DATA --cells 14
    python -m experiments.designs --images FOLDER --encoder vit      # after experiments.train_vit

Per image: the truth comes from 8,192 orthogonal masks with control variates, in two halves whose difference tells its
own error, which is taken off every squared error below. Then, with 1,024 masks each: the mean squared error of
importance and uncertainty, in shares of the map's variance over the pixels, for every design and for the plain and the
controlled estimator from the same scores. An error of independent masks falls as 1 / N, so a ratio of two squared
errors is the share of the masks that reaches the same error. Told directly as well: 1,024 masks of the default against
3,072 independent ones with the plain estimator.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import relax
from encoders import Encoder
from experiments.coverage import Z95, moments_of
from experiments.record import write_results
from masking import DESIGNS, GridSurrogate, RandomGrid
from relax.control import ControlledMoments
from relax.estimators import RelaxMoments
from relax.scene import Hiding, Scene
from similarity import cosine

TRUTH, COUNT, RUNS = 8192, 1024, 3
DEFAULT, PAPER = ("orthogonal", "controlled"), ("independent", "plain")
REPEATED = ("orthogonal", "sobol", "independent")  # designs that are drawn `RUNS` times an image


def scores_of(scene: Scene, grid: RandomGrid, count: int, batch: int = 64) -> Tensor:
    """(count,) cosines of the masked image to the image itself."""
    own = scene.own_embedding()
    found = []
    for start in range(0, count, batch):
        masks = grid.masks(start, min(start + batch, count))
        found.append(cosine(scene.embed(scene.masked(masks)), own))
    return torch.cat(found)


def controlled(grid: RandomGrid, scores: Tensor, first: int = 0) -> ControlledMoments:
    moments = ControlledMoments(GridSurrogate(grid), first)
    moments.add(scores, torch.empty(0))
    return moments


def measure(path: Path, encoder: Encoder, cells: int, seed: int) -> list[dict[str, Any]]:
    """Squared errors and coverage for one image: a row per design, estimator and number of masks."""
    scene = Scene.of(str(path), encoder, Hiding(cells=cells))
    grid = RandomGrid(scene.size, cells, seed=seed + 1_000_000, design="orthogonal")
    scores = scores_of(scene, grid, TRUTH)
    halves = [controlled(grid, scores[: TRUTH // 2]), controlled(grid, scores[TRUTH // 2 :], TRUTH // 2)]
    truth = {name: torch.stack([getattr(half, name) for half in halves]) for name in ("importance", "uncertainty")}

    rows = []
    for design in DESIGNS:
        pooled = RelaxMoments.empty(scene.size)
        for run in range(RUNS if design in REPEATED else 1):
            grid = RandomGrid(scene.size, cells, seed=seed + 1000 * run, design=design)
            scores = scores_of(scene, grid, COUNT)
            one = moments_of(scores, grid, 0, COUNT)
            rows += [
                _row(path, design, "plain", one, truth),
                _row(path, design, "controlled", controlled(grid, scores), truth),
            ]
            pooled.merge(one)
        if design == PAPER[0]:
            rows.append(_row(path, design, "plain", pooled, truth))
    return rows


def _row(
    path: Path, design: str, estimator: str, moments: RelaxMoments | ControlledMoments, truth: dict[str, Tensor]
) -> dict[str, Any]:
    row: dict[str, Any] = {"image": path.stem, "design": design, "estimator": estimator, "masks": moments.count}
    for name, (first, second) in truth.items():
        middle, own = (first + second) / 2, ((first - second) / 2).square().mean()
        error = (getattr(moments, name) - middle).square().mean() - own
        row[name] = round(float(error / middle.var()), 6)
    middle, own = truth["importance"].mean(0), ((truth["importance"][0] - truth["importance"][1]) / 2).square().mean()
    within = (moments.importance - middle).abs() <= Z95 * (moments.standard_error.square() + own).sqrt()
    row["coverage"] = round(float(within.double().mean()), 4)
    row["explained"] = round(moments.explained, 4) if isinstance(moments, ControlledMoments) else ""
    return row


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
    direct = {
        name: _ratio(means[*DEFAULT, COUNT][:, axis], means[*PAPER, RUNS * COUNT][:, axis])
        for axis, name in enumerate(("importance", "uncertainty"))
    }
    return {"squared_error_against_paper": table, "default_1024_against_paper_3072": direct}


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


def encoder_named(name: str, data: Path | None) -> Encoder:
    """A spec, "vit" as `experiments.train_vit` left it, or "cifar-resnet20", which needs the data folder."""
    if name == "vit":
        from experiments.train_vit import vit_encoder

        return vit_encoder()
    if name == "cifar-resnet20" and data is not None:
        from experiments.cifar_resnet import PREPROCESS, load_cifar_resnet

        network = load_cifar_resnet(data / "cifar10_resnets" / "resnet20-12fca82f.th", 20)
        network.linear = torch.nn.Identity()
        return Encoder(network, name=name, preprocess=PREPROCESS)
    return relax.load_encoder(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder with at least --count pictures (*.jpg)")
    parser.add_argument("--count", type=int, default=20, help="pictures, evenly spaced over the sorted names")
    parser.add_argument("--encoder", default="default", help="a spec, vit or cifar-resnet20")
    parser.add_argument("--data", type=Path, help="folder with cifar10_resnets, for cifar-resnet20")
    parser.add_argument("--cells", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    paths = sorted(args.images.glob("*.jpg"))
    paths = paths[len(paths) // (2 * args.count) :: len(paths) // args.count][: args.count]
    encoder = encoder_named(args.encoder, args.data)
    rows: list[dict[str, Any]] = []
    for number, path in enumerate(paths):
        rows += measure(path, encoder, args.cells, args.seed + number)
        print(number + 1, path.stem, flush=True)
    summary = {"encoder": {"name": encoder.name, "checksum": encoder.checksum}, "cells": args.cells, "seed": args.seed}
    found = summarise(rows)
    write_results(f"designs_{encoder.name}_{args.cells}".replace("-", "_"), rows, {**summary, **found}, "designs")
    for name, values in {**found["squared_error_against_paper"], **found["default_1024_against_paper_3072"]}.items():
        print(f"{name:<45} {values}")


if __name__ == "__main__":
    main()
