"""Does a head that has seen holes, as F-Fidelity's fine-tuned model has, judge maps better than one that has not?

    python -m experiments.studies.fine_tuned_head

F-Fidelity (Zheng et al., ICLR 2025) fine-tunes a classifier on pictures with random holes and then removes only a
bounded share of the cells, at random from those that a map calls important, or from the others. Here the encoder stays
frozen and two logistic regressions on its embeddings tell six objects pasted on textures (composed pictures, exact
outline): one learned from whole pictures, the other from these and eight versions of each with up to half of the cells
hidden. Penalties by cross-validation over pictures. On pictures that neither has seen:

accuracy  the share that a head names rightly, with 0, 6, 16 and 32 of 64 cells hidden at random
object    what hiding the object's cells takes from the probability of its class, and as many random others; the
          difference of the two in standard deviations over pictures
order     the object's outline as a map, and worse and worse ones: the rank correlation of the damage with what it costs
          to remove important cells rather than others, -1 where maps are ordered rightly; with a tenth of the cells
          removed at a time (bounded) and with all of them

Object and order are of pictures that both heads name rightly when whole. results/NAME.csv has a row per encoder, head
and measurement.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from torch import Tensor

from encoders import Encoder
from experiments.data.composed import OBJECTS, Composed, composed
from experiments.named import encoder_named
from experiments.options import Options
from experiments.record import write_results
from experiments.studies.fine_tuned import (
    CELLS,
    ENCODERS,
    HOLES,
    PER_PICTURE,
    REMOVED,
    Judge,
    Numbers,
    effect,
    fidelity,
    object_and_others,
    shares_of,
    trial_of,
    unchanged,
    with_hidden,
    with_random_holes,
    with_up_to_half_hidden,
    worse_and_worse,
)
from experiments.studies.fine_tuned import LEVELS as DAMAGE
from experiments.summaries import Row, with_interval
from relax.metrics import Trial
from relax.metrics.maps import spearman

PENALTIES = (1.0, 10.0, 100.0, 1000.0)  # C of the logistic regression, on embeddings of length 1
TRIALS = 4  # draws of holes of each test picture
WHOLE, HOLED = "whole", "whole and holes"


@dataclass(frozen=True)
class Head:
    """Probabilities of `OBJECTS` from embeddings."""

    model: LogisticRegression

    def probabilities(self, embeddings: Tensor) -> Numbers:
        """(N, 6) of embeddings (N, D)."""
        values: Numbers = self.model.predict_proba(unchanged(embeddings).numpy())
        return values

    def lost(self, embeddings: Tensor, whole: Tensor, *, label: int) -> Numbers:
        """(N,) what the probability of a class loses from the embedding (D,) of the whole picture on."""
        values: Numbers = self.probabilities(whole[None])[0, label] - self.probabilities(embeddings)[:, label]
        return values

    @classmethod
    def of(cls, embeddings: Tensor, labels: NDArray[np.int64], groups: NDArray[np.int64]) -> Head:
        """Fitted to (N, D) and (N,); the penalty by cross-validation over pictures."""
        search = GridSearchCV(LogisticRegression(max_iter=2000), {"C": PENALTIES}, cv=GroupKFold(5))
        return cls(search.fit(unchanged(embeddings).numpy(), labels, groups=groups).best_estimator_)


def heads_of(sample: Sequence[Composed], encoder: Encoder, random: np.random.Generator) -> dict[str, Head]:
    """By what they learned from."""
    whole, holes = [], []
    for picture in sample:
        trial = trial_of(picture.pixels(), encoder)
        whole.append(trial.image_embedding)
        holes.append(with_up_to_half_hidden(trial, random))
    labels = np.array([label_of(picture) for picture in sample])
    groups = np.arange(len(sample))
    both = torch.cat([torch.stack(whole), *holes])
    repeated = [np.concatenate([values, np.repeat(values, PER_PICTURE)]) for values in (labels, groups)]
    return {WHOLE: Head.of(torch.stack(whole), labels, groups), HOLED: Head.of(both, *repeated)}


def label_of(picture: Composed) -> int:
    return OBJECTS.index(picture.label)


def accuracies(trial: Trial, label: int, heads: dict[str, Head], random: np.random.Generator) -> dict[Any, float]:
    """By head and count of cells: the share of draws of holes with which it still names the object."""
    shares = {}
    for count in (0, *HOLES):
        embeddings = with_random_holes(trial, [count] * TRIALS, random)
        for name, head in heads.items():
            right = head.probabilities(embeddings).argmax(1) == label
            shares[name, f"accuracy, {count} cells hidden"] = float(right.mean())
    return shares


def objects_and_orders(
    trial: Trial, shares: Numbers, judges: dict[str, Judge], random: np.random.Generator
) -> dict[Any, float]:
    """What a picture says of each judge."""
    answers: dict[Any, float] = {}
    embeddings = with_hidden(trial, object_and_others(shares, random))
    for name, judge in judges.items():
        own, *others = judge(embeddings, trial.image_embedding)
        answers |= {(name, "object"): float(own), (name, "as many others"): float(np.mean(others))}
    values = defaultdict(list)
    for importance in worse_and_worse(trial, shares, random):
        for kind, most in (("bounded", REMOVED), ("all", CELLS**2)):
            for name, value in fidelity(trial, importance, judges, random, most).items():
                values[name, f"order, {kind}"].append(value)
    return answers | {key: spearman(np.array(DAMAGE), np.array(ordered)) for key, ordered in values.items()}


def measure(name: str, args: argparse.Namespace) -> list[Row]:
    """All of one encoder."""
    encoder, random = encoder_named(name), np.random.default_rng(args.seed)
    sample = composed(args.train + args.count, args.seed)
    heads = heads_of(sample[args.count :], encoder, random)
    answers, judged = defaultdict(list), 0
    for picture in sample[: args.count]:
        trial, label = trial_of(picture.pixels(), encoder), label_of(picture)
        values = accuracies(trial, label, heads, random)
        if all(head.probabilities(trial.image_embedding[None]).argmax() == label for head in heads.values()):
            judges: dict[str, Judge] = {each: partial(head.lost, label=label) for each, head in heads.items()}
            values |= objects_and_orders(trial, shares_of(trial, picture.truth()), judges, random)
            judged += 1
        for key, value in values.items():
            answers[key].append(value)
    rows = [
        {"encoder": name, "head": head, "what": what, "pictures": len(values), **with_interval("value", values)}
        for (head, what), values in answers.items()
    ]
    for head in heads:
        gap = np.subtract(answers[head, "object"], answers[head, "as many others"])
        rows.append({"encoder": name, "head": head, "what": "gap / its deviation", "pictures": judged})
        rows[-1] |= effect(gap, args.seed)
    for what in ("order, bounded", "order, all"):
        gain = np.subtract(answers[HOLED, what], answers[WHOLE, what])
        rows.append({"encoder": name, "head": f"{HOLED} minus {WHOLE}", "what": what, "pictures": judged})
        rows[-1] |= with_interval("value", list(gain))
    for row in rows:
        print(row, flush=True)
    return rows


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--encoders", nargs="+", default=ENCODERS)
    parser.add_count(36, "pictures that are judged")
    parser.add_argument("--train", type=int, default=120, help="pictures that the heads learn from")
    parser.add_seed()
    parser.add_name("fine_tuned_head")
    args = parser.parse_args()
    rows = [row for name in args.encoders for row in measure(name, args)]
    write_results(args.name, rows, {"count": args.count, "train": args.train, "seed": args.seed})


if __name__ == "__main__":
    main()
