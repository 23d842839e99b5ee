"""Which fill of hidden cells looks most like a picture to an encoder, and how long does it take?

    python -m experiments.studies.imputations --data DATA

Half of the 8 x 8 cells of photographs (ImageNet sample) are hidden at random, and filled in twelve ways. A logistic
regression on the embeddings tells the pictures with a fill from the whole ones, in five folds with both versions of a
picture in one fold: its area under the ROC curve is 0.5 where the fill cannot be told from a picture, 1 where it always
can. Beside it the mean cosine of a filled picture to the whole one, and the milliseconds of processor time of a fill
at the encoder's input size, and of a pass of the encoder. results/NAME.csv has a row per encoder and fill.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage.restoration import inpaint_biharmonic
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import relax
from encoders import Encoder
from experiments.data.pictures import pictures
from experiments.named import encoder_named
from experiments.options import Options
from experiments.record import write_results
from masking import make_fill
from relax.metrics.faithfulness import grid_labels
from relax.metrics.imputation import imputed
from relax.metrics.mirroring import mirrored
from relax.metrics.separation import auroc, auroc_interval

ENCODERS = ("default", "sscd", "efficientnet-lite0")
CELLS, FOLDS, RADIUS = 8, 5, 3
View = NDArray[np.float32]  # (C, h, w) in [0, 1]
Hidden = NDArray[np.bool_]  # (h, w)
Fill = Callable[["Hole"], View]


@dataclass(frozen=True)
class Hole:
    """A view with hidden cells, and what a fill may draw on: the other views, the encoder's mean pixel, a generator."""

    index: int
    views: NDArray[np.float32]  # (N, C, h, w)
    hidden: Hidden
    encoder: Encoder
    random: np.random.Generator

    @property
    def view(self) -> View:
        """(C, h, w) before anything is hidden."""
        return cast(View, self.views[self.index])

    def filled(self, pixels: View) -> View:
        """The view with these pixels (C, h, w) where it is hidden."""
        return np.where(self.hidden, pixels, self.view)


def of_masking(name: str) -> Fill:
    """A fill of masks: it sees the hidden pixels, which a blur shows."""

    def fill(hole: Hole) -> View:
        pixels = make_fill(name, torch.from_numpy(hole.view)[None], mean=hole.encoder.mean)[0].numpy()
        return hole.filled(np.broadcast_to(pixels, hole.view.shape))

    return fill


def linear(hole: Hole, noise: float = 0.0) -> View:
    """The weighted means of neighbours that ROAD takes."""
    return imputed(hole.view, ~hole.hidden, hole.random, noise=noise)


def biharmonic(hole: Hole) -> View:
    """Continued as a bent plate (scikit-image)."""
    return cast(View, inpaint_biharmonic(hole.view, hole.hidden, channel_axis=0).clip(0, 1).astype(np.float32))


def opencv(method: int) -> Fill:
    """Telea's fast marching, or Navier-Stokes; in 8 bits."""

    def fill(hole: Hole) -> View:
        pixels = (hole.view.transpose(1, 2, 0) * 255).round().astype(np.uint8)
        painted = cv2.inpaint(pixels, hole.hidden.astype(np.uint8), RADIUS, method)
        return hole.filled((painted / np.float32(255)).transpose(2, 0, 1).astype(np.float32))

    return fill


def shuffled(hole: Hole) -> View:
    """Each hidden cell shows a visible one of the same picture, drawn at random."""
    labels = grid_labels(hole.hidden.shape, CELLS)
    visible, filled = np.unique(labels[~hole.hidden]), hole.view.copy()
    for label in np.unique(labels[hole.hidden]):
        to, source = np.nonzero(labels == label), np.nonzero(labels == hole.random.choice(visible))
        rows, columns = ((own - own.min()) % (np.ptp(its) + 1) + its.min() for own, its in zip(to, source, strict=True))
        filled[:, to[0], to[1]] = hole.view[:, rows, columns]
    return filled


def other(hole: Hole) -> View:
    """The same place of another picture, drawn at random."""
    return hole.filled(hole.views[hole.index - hole.random.integers(1, len(hole.views))])


def nearest_other(hole: Hole) -> View:
    """The same place of the picture whose visible pixels are nearest."""
    distances = np.array([np.square((view - hole.view)[:, ~hole.hidden]).sum() for view in hole.views])
    distances[hole.index] = np.inf
    return hole.filled(hole.views[distances.argmin()])


FILLS: dict[str, Fill] = {
    "mean": of_masking("mean"),
    "blur": of_masking("blur"),
    "noise": of_masking("noise"),
    "linear": linear,
    "linear, noise 0.01": lambda hole: linear(hole, 0.01),
    "biharmonic": biharmonic,
    "telea": opencv(cv2.INPAINT_TELEA),
    "navier-stokes": opencv(cv2.INPAINT_NS),
    "mirrored": lambda hole: mirrored(hole.view, ~hole.hidden),
    "shuffled cells": shuffled,
    "another picture": other,
    "nearest picture": nearest_other,
}


def embedded(encoder: Encoder, views: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, D) of views (N, C, h, w)."""
    parts = [encoder.embed(torch.from_numpy(part)) for part in np.array_split(views, max(1, len(views) // 16))]
    return torch.cat(parts).double().numpy()


def timed(work: Callable[[], NDArray[Any]], count: int) -> tuple[NDArray[Any], float]:
    """What it returns, and the milliseconds of processor time that each of `count` took."""
    started = time.process_time()
    result = work()
    return result, round(1000 * (time.process_time() - started) / count, 1)


def told_apart(whole: NDArray[np.float64], filled: NDArray[np.float64]) -> dict[str, float]:
    """The area under the ROC curve of a cross-validated logistic regression, with its 95 % interval."""
    groups = np.tile(np.arange(len(whole)), 2)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    labels = np.repeat([0, 1], len(whole))
    scores = cross_val_predict(
        model,
        np.concatenate([whole, filled]),
        labels,
        groups=groups,
        cv=GroupKFold(FOLDS),
        method="decision_function",
    )
    low, high = auroc_interval(scores[labels == 0], scores[labels == 1])
    area = auroc(scores[labels == 0], scores[labels == 1])
    return {"auroc": round(area, 4), "low": round(low, 4), "high": round(high, 4)}


def measure(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per fill, before one encoder."""
    encoder, random = encoder_named(name), np.random.default_rng(args.seed)
    sample = pictures("imagenet", args.data, args.count)
    views = np.concatenate([encoder.view(relax.read_image(picture.pixels)).numpy() for picture in sample])
    labels = grid_labels(views.shape[2:], CELLS)
    halves = [np.isin(labels, random.permutation(CELLS**2)[: CELLS**2 // 2]) for _ in sample]
    (whole, a_pass), rows = timed(lambda: embedded(encoder, views), len(views)), list[dict[str, Any]]()
    for fill, paint in FILLS.items():
        holes = [Hole(index, views, hidden, encoder, random) for index, hidden in enumerate(halves)]
        filled, a_fill = timed(lambda paint=paint, holes=holes: np.stack([paint(hole) for hole in holes]), len(views))
        embeddings = embedded(encoder, filled)
        cosines = torch.cosine_similarity(torch.from_numpy(whole), torch.from_numpy(embeddings))
        row = {"encoder": name, "fill": fill, **told_apart(whole, embeddings)}
        rows.append({**row, "cosine": round(float(cosines.mean()), 4), "milliseconds": a_fill, "pass": a_pass})
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("imagenet_sample")
    parser.add_argument("--encoders", nargs="+", default=ENCODERS)
    parser.add_count(240, "pictures, evenly spaced over the sorted names")
    parser.add_seed()
    parser.add_name("imputations")
    args = parser.parse_args()
    rows = [row for name in args.encoders for row in measure(name, args)]
    write_results(args.name, rows, {"count": args.count, "seed": args.seed, "cells": CELLS, "hidden": 0.5})


if __name__ == "__main__":
    main()
