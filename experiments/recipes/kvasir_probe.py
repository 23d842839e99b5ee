"""Two questions to an encoder about Kvasir-SEG: is this crop mostly polyp, and does this picture carry a watermark?

k-NN and a linear classifier on the embeddings of the training pictures answer for the validation pictures; the encoder
itself stays frozen. Used by `experiments.recipes.train_kvasir`; `contrast` puts the same questions to RELAX.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from experiments.summaries import middle_95
from relax import Corpus

NEIGHBOURS = 20
CROP = 0.4  # side of a crop, as a share of the shorter side of the picture


@dataclass(frozen=True)
class Question:
    """Pictures with a yes (1) or no (0) each."""

    images: NDArray[np.uint8]  # (N, SIZE, SIZE, 3)
    answers: NDArray[np.int64]  # (N,)
    picture: NDArray[np.int64]  # (N,) number of the picture that each comes from


def mostly_polyp(samples: list[Sample], per_picture: int) -> Question:
    """Is at least half of the crop polyp? Half of the crops are centred on it, so that both answers are frequent."""
    images, answers = [], []
    for number, sample in enumerate(samples):
        rng, pixels, polyp = np.random.default_rng(number), sample.pixels(), sample.truth()
        for _ in range(per_picture):
            crop, share = random_crop(pixels, polyp, CROP, rng)
            images.append(view(crop))
            answers.append(int(share >= 0.5))
    return Question(np.stack(images), np.array(answers), np.repeat(np.arange(len(samples)), per_picture))


def carries_mark(samples: list[Sample]) -> Question:
    """Does the picture carry the watermark? Every picture comes without it and then with it."""
    images = [view(pixels) for pair in plain_and_marked(samples) for pixels in pair]
    count = len(samples)
    return Question(np.stack(images), np.tile([0, 1], count), np.repeat(np.arange(count), 2))


def plain_and_marked(samples: list[Sample]) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """The pixels of every picture, without the watermark and with it."""
    for number, sample in enumerate(samples):
        pixels = sample.pixels()
        yield pixels, plant(pixels, rng=np.random.default_rng(number))[0]


def random_crop(
    pixels: NDArray[np.uint8], polyp: NDArray[np.bool_], share: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], float]:
    """A square crop with `share` of the shorter side as its side, and how much of it is polyp, in [0, 1].

    Its centre lies on the polyp or beside it with equal probability, where the picture has both; at the border the crop
    is shifted inside.
    """
    height, width = polyp.shape
    side = round(share * min(height, width))
    centres = polyp == (rng.random() < 0.5)
    places = np.flatnonzero(centres if centres.any() else ~centres)
    y, x = np.unravel_index(rng.choice(places), polyp.shape)
    top = min(max(int(y) - side // 2, 0), height - side)
    left = min(max(int(x) - side // 2, 0), width - side)
    part = np.s_[top : top + side, left : left + side]
    return pixels[part], float(polyp[part].mean())


def resized(pixels: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
    """To (width, height), with the antialiased bilinear filter of the encoder's view."""
    return Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)


def view(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(SIZE, SIZE, 3) a picture of any size as the encoders see it."""
    return np.asarray(resized(pixels, (SIZE, SIZE)))


def embed_pictures(encoder: Encoder, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """(N, D) unit vectors of pictures of any size, each resized from its own pixels to what the encoder sees."""
    return embed(encoder, [np.array(image) for image in images]).numpy()


def contrast(encoder: Encoder, question: Question, yes: str, no: str) -> dict[str, Corpus]:
    """The question put to RELAX: pictures answered yes as reference, those answered no as foil, under these names."""
    embeddings, answers = embed(encoder, question.images), question.answers == 1
    return {"reference": Corpus(embeddings[answers], yes), "foil": Corpus(embeddings[~answers], no)}


def answered(encoder: Encoder, bank: Question, test: Question) -> tuple[dict[str, float], NDArray[np.float64]]:
    """How well the embedding answers, and the linear classifier's score (N,) for every test image.

    The first holds "knn", the accuracy of the vote of the 20 nearest of the bank, as in `experiments.recipes.knn`;
    "linear", that of logistic regression (C = 0.1) on standardised unit vectors; and "auroc", the area under its ROC
    curve, the probability that a yes scores above a no.
    """
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    features, embeddings = embed(encoder, bank.images), embed(encoder, test.images)
    classifier.fit(features.numpy(), bank.answers)
    scores = classifier.decision_function(embeddings.numpy())
    labels = torch.from_numpy(bank.answers)
    votes = knn_predict(embeddings, features.T, labels, num_classes=2, knn_k=NEIGHBOURS, knn_t=0.1)
    quality = {
        "knn": float((votes[:, 0].numpy() == test.answers).mean()),
        "linear": float(((scores > 0) == test.answers).mean()),
        "auroc": float(roc_auc_score(test.answers, scores)),
    }
    return quality, scores


def gain(test: Question, scores: NDArray[Any], base: NDArray[Any], draws: int = 1000) -> tuple[float, float, float]:
    """AUROC of `scores` minus that of `base`, and its 95 % bootstrap interval over pictures."""
    rng, count = np.random.default_rng(0), int(test.picture.max()) + 1
    members = [np.flatnonzero(test.picture == number) for number in range(count)]
    differences = []
    for draw in range(draws + 1):
        resample = np.concatenate([members[n] for n in (rng.integers(0, count, count) if draw else range(count))])
        answers = test.answers[resample]
        if len(set(answers.tolist())) == 2:
            differences.append(roc_auc_score(answers, scores[resample]) - roc_auc_score(answers, base[resample]))
    return float(differences[0]), *middle_95(differences[1:])
