"""Do the formulas of influence say what leaving a picture out does, and do they find flipped labels?

    python -m experiments.studies.influence --data DATA --out runs/influence

Left out: a linear head of 5 classes of 40 pictures each, trained again without each of the 200 pictures, at 20 pictures
that it never saw. Every formula of `relax.influence.formulas` is correlated with how the loss really changes (Pearson
and Spearman; medians over the 20).

Flipped: in 10 classes of 60 pictures each, a tenth of the labels is changed at random (`--draws` times). Pictures are
ranked by how much the head knows their label by heart (self-influence; by Newton's step, to first order and by TracIn),
by the loss at the optimum, by the loss with the picture left out, by how few of the 20 nearest pictures have the label,
and at random. What is counted is the share of the flips in the first tenth of the ranking: at most all of them.

Heads see the first 64 principal axes of the embeddings. How often they are right about a picture that they have not
seen, with all labels right, is in the table as "accuracy".

Pictures are written to `--out` and embedded once. results/influence.csv has a row per encoder, data set, penalty and
formula or ranking.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import spearmanr

import relax
from experiments.data.datasets import CIFAR10, caltech101, cifar10
from experiments.data.pictures import chosen
from experiments.named import encoder_named
from experiments.options import Options
from experiments.record import write_results
from experiments.summaries import grouped
from relax.archive.archive import Archive
from relax.auditing.neighbours import nearest
from relax.influence.formulas import FORMULAS, left_out_logits, on_themselves, self_influence
from relax.influence.optimum import Optimum, Values, cross_entropy

CLASSES, EACH = 10, 60
FEW, SMALL, UNSEEN = 5, 40, 20  # classes and pictures of each where every one is left out, and pictures never seen
SHARE = 0.1  # of the labels that are flipped, and of the ranking that is looked at
NEIGHBOURS = 20
AXES = 64  # principal axes of the embeddings that heads see, so that training again 200 times takes seconds
DATASETS = ("cifar10", "caltech101")


def write_pictures(dataset: str, args: argparse.Namespace) -> Path:
    """`EACH` pictures of `CLASSES` classes in a folder each: of Caltech 101 the classes with the most pictures."""
    folder: Path = args.out / "pictures" / dataset
    if folder.exists():
        return folder
    images, labels, names = (*cifar10(args.data, "test"), CIFAR10) if dataset == "cifar10" else caltech(args.data)
    sizes = np.bincount(labels[labels >= 0], minlength=len(names))
    for number in np.argsort(-sizes, kind="stable")[:CLASSES]:
        (folder / names[number]).mkdir(parents=True)
        for place, index in enumerate(chosen(np.flatnonzero(labels == number).tolist(), EACH)):
            Image.fromarray(images[index]).save(folder / names[number] / f"{place:03}.png")
    return folder


def caltech(data: Path) -> tuple[Any, NDArray[np.int64], Any]:
    """The larger split of Caltech 101."""
    return caltech101(data, "train")


def left_out(archive: Archive, labels: NDArray[np.int64], penalty: float) -> Iterator[dict[str, Any]]:
    """A row per formula: how it correlates with leaving pictures out in truth."""
    members = [np.flatnonzero(labels == number) for number in range(FEW)]
    train = np.concatenate([rows[:SMALL] for rows in members])
    unseen = np.concatenate([rows[SMALL : SMALL + UNSEEN // FEW] for rows in members])
    head = Optimum.fit(archive.embeddings[train], labels[train], penalty=penalty, most=FEW * (AXES + 1))
    points = head.axes(archive.embeddings[unseen])
    truth = np.stack([changes(head, points, labels[unseen], place) for place in range(len(train))])  # (N, M)
    for name, formula in FORMULAS.items():
        estimates = np.stack(
            [formula.function(head, p, int(y)) for p, y in zip(points, labels[unseen], strict=True)], 1
        )
        pairs = list(zip(estimates.T, truth.T, strict=True))
        yield {
            "question": "left out",
            "by": name,
            "value": round(float(np.median([np.corrcoef(pair)[0, 1] for pair in pairs])), 4),
            "rank": round(float(np.median([spearmanr(*pair).statistic for pair in pairs])), 4),
        }


def accuracy(archive: Archive, labels: NDArray[np.int64], penalty: float) -> dict[str, Any]:
    """A row: how often the head is right about a picture that was left out."""
    head = Optimum.fit(archive.embeddings, labels, penalty=penalty, most=CLASSES * (AXES + 1))
    share = float((left_out_logits(head).argmax(1) == labels).mean())
    return {"question": "accuracy", "by": "left out", "value": round(share, 4)}


def changes(head: Optimum, points: Values, labels: NDArray[np.int64], place: int) -> Values:
    """(M,) how the loss at the points really changes without one picture: the head is trained to its optimum again."""
    without = head.without(place)
    before, after = cross_entropy(points @ head.weight.T, labels), cross_entropy(points @ without.weight.T, labels)
    return after - before


def flipped(archive: Archive, labels: NDArray[np.int64], penalty: float, seed: int) -> Iterator[dict[str, Any]]:
    """A row per ranking: the share of the flipped labels among the first tenth."""
    rng = np.random.default_rng(seed)
    flips = rng.permutation(len(labels))[: round(SHARE * len(labels))]
    wrong = labels.copy()
    wrong[flips] = (labels[flips] + rng.integers(1, CLASSES, len(flips))) % CLASSES
    head = Optimum.fit(archive.embeddings, wrong, penalty=penalty, most=CLASSES * (AXES + 1))
    loss = cross_entropy(head.coordinates @ head.weight.T, wrong)
    own, errors = on_themselves(head), head.residuals
    around = nearest(np.asarray(archive.embeddings), NEIGHBOURS).indices
    rankings = {
        "self-influence": self_influence(head),
        "self-influence, one step": own,
        "self-influence, tracin": np.square(head.coordinates).sum(1) * np.square(errors).sum(1),
        "loss left out": loss + own,
        "loss": loss,
        "neighbours": -(wrong[around] == wrong[:, None]).mean(1),
        "random": rng.random(len(labels)),
    }
    for name, values in rankings.items():
        first = np.argsort(-values, kind="stable")[: len(flips)]
        yield {"question": "flipped", "by": name, "value": round(len(np.intersect1d(first, flips)) / len(flips), 4)}


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("cifar10/ and caltech101.zip")
    parser.add_argument("--out", type=Path, required=True, help="folder for pictures and embeddings")
    parser.add_argument("--encoders", nargs="+", default=["default"], help="as experiments.named knows them")
    parser.add_argument("--penalties", nargs="+", type=float, default=[0.01, 0.1])
    parser.add_argument("--draws", type=int, default=5, help="how often labels are flipped")
    parser.add_name("influence")
    args = parser.parse_args()
    rows = []
    for spec in args.encoders:
        encoder = encoder_named(spec)
        for dataset in DATASETS:
            pictures = write_pictures(dataset, args)
            archive = relax.make_archive(pictures, encoder, args.out / f"{spec}_{dataset}")
            names = [row.path.split("/")[0] for row in archive.rows]
            labels = np.unique(names, return_inverse=True)[1]
            for penalty in args.penalties:
                about = {"encoder": spec, "pictures": dataset, "penalty": penalty}
                lines = [about | row for row in left_out(archive, labels, penalty)]
                lines.append(about | accuracy(archive, labels, penalty))
                for draw in range(args.draws):
                    lines += [about | row for row in flipped(archive, labels, penalty, draw)]
                rows += [{"rank": "", **row} | {"rank": row.get("rank", "")} for row in lines]
                print(spec, dataset, penalty, flush=True)
    write_results(args.name, rows, summary_of(rows))


def summary_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the draws, by question, encoder, pictures, penalty and formula or ranking."""
    keys = ("question", "encoder", "pictures", "penalty", "by")
    return {
        "pictures": CLASSES * EACH,
        "flipped": SHARE,
        "values": [
            dict(zip(keys, key, strict=True)) | {"mean": round(float(np.mean([row["value"] for row in group])), 4)}
            for key, group in grouped(rows, *keys).items()
        ],
    }


if __name__ == "__main__":
    main()
