"""Two questions to an encoder about Kvasir-SEG: is this crop mostly polyp, and does this picture carry a watermark?

k-NN and a linear classifier on the embeddings of the training pictures answer for the validation pictures. The
encoder never learns from the answers. Used by `experiments.recipes.train_kvasir`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightly.utils.benchmarking import knn_predict
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from encoders import Encoder
from experiments.data.datasets import Sample
from experiments.data.planted import plant
from experiments.recipes.knn import embed
from experiments.recipes.train_default import SIZE

NEIGHBOURS = 20
CROP = 0.4  # side of a crop, as a share of the shorter side of the picture


@dataclass(frozen=True)
class Question:
    """Pictures with a yes (1) or no (0) each."""

    images: NDArray[np.uint8]  # (N, SIZE, SIZE, 3)
    answers: NDArray[np.int64]  # (N,)
    picture: NDArray[np.int64]  # (N,) which picture each was made of


def mostly_polyp(samples: list[Sample], per_picture: int) -> Question:
    """Is at least half of the crop polyp? Half of the crops are centred on it, so both answers are frequent."""
    images, answers = [], []
    for number, sample in enumerate(samples):
        rng, pixels, polyp = np.random.default_rng(number), sample.pixels(), sample.truth()
        for _ in range(per_picture):
            crop, share = random_crop(pixels, polyp, CROP, rng)
            images.append(np.asarray(resized(crop, (SIZE, SIZE))))
            answers.append(int(share >= 0.5))
    return Question(np.stack(images), np.array(answers), np.repeat(np.arange(len(samples)), per_picture))


def carries_mark(samples: list[Sample]) -> Question:
    """Does the picture carry the watermark? Every picture is asked without it and then with it."""
    images = []
    for number, sample in enumerate(samples):
        pixels = sample.pixels()
        marked, _ = plant(pixels, rng=np.random.default_rng(number))
        images += [np.asarray(resized(each, (SIZE, SIZE))) for each in (pixels, marked)]
    count = len(samples)
    return Question(np.stack(images), np.tile([0, 1], count), np.repeat(np.arange(count), 2))


def random_crop(
    pixels: NDArray[np.uint8], polyp: NDArray[np.bool_], share: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], float]:
    """A square crop of `share` times the shorter side, and how much of it is polyp, in [0, 1].

    A coin decides whether its centre lies on the polyp or beside it, where both are there; at the border the crop is
    moved inside.
    """
    height, width = polyp.shape
    side = round(share * min(height, width))
    wanted = polyp == (rng.random() < 0.5)
    places = np.flatnonzero(wanted if wanted.any() else ~wanted)
    y, x = np.unravel_index(rng.choice(places), polyp.shape)
    top = min(max(int(y) - side // 2, 0), height - side)
    left = min(max(int(x) - side // 2, 0), width - side)
    part = np.s_[top : top + side, left : left + side]
    return pixels[part], float(polyp[part].mean())


def resized(pixels: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
    """To (width, height), with the antialiased bilinear filter that the encoder's own view has."""
    return Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)


def answered(encoder: Encoder, bank: Question, test: Question) -> tuple[dict[str, float], NDArray[np.float64]]:
    """How well the embedding answers, and the linear classifier's score (N,) for every test image.

    The first holds "knn", the accuracy of the vote of the 20 nearest of the bank, as in `experiments.recipes.knn`;
    "linear", that of logistic regression (C = 0.1) on standardised unit vectors; and "auroc", the area under its ROC
    curve, the chance that a yes scores above a no.
    """
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    known, asked = embed(encoder, bank.images), embed(encoder, test.images)
    classifier.fit(known.numpy(), bank.answers)
    scores = classifier.decision_function(asked.numpy())
    votes = knn_predict(asked, known.T, torch.from_numpy(bank.answers), num_classes=2, knn_k=NEIGHBOURS, knn_t=0.1)
    quality = {
        "knn": float((votes[:, 0].numpy() == test.answers).mean()),
        "linear": float(((scores > 0) == test.answers).mean()),
        "auroc": float(roc_auc_score(test.answers, scores)),
    }
    return quality, scores


def gain(test: Question, scores: NDArray[Any], base: NDArray[Any], draws: int = 1000) -> tuple[float, float, float]:
    """AUROC of `scores` minus that of `base`, with a 95 % interval: pictures drawn with replacement."""
    rng, count = np.random.default_rng(0), int(test.picture.max()) + 1
    members = [np.flatnonzero(test.picture == number) for number in range(count)]
    differences = []
    for draw in range(draws + 1):
        some = np.concatenate([members[n] for n in (rng.integers(0, count, count) if draw else range(count))])
        if len(set(test.answers[some].tolist())) == 2:
            yes = test.answers[some]
            differences.append(roc_auc_score(yes, scores[some]) - roc_auc_score(yes, base[some]))
    low, high = np.quantile(differences[1:], [0.025, 0.975])
    return float(differences[0]), float(low), float(high)
