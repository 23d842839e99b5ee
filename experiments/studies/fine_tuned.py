"""Does an adapter that has seen holes, as F-Fidelity's fine-tuned model has, judge maps better than the encoder itself?

    python -m experiments.studies.fine_tuned --data DATA

F-Fidelity (Zheng et al., ICLR 2025) fine-tunes the model on pictures with random holes and then removes only a bounded
share of the cells, at random from those that a map calls important, or from the others. Here encoders stay frozen; a
ridge regression on top takes embeddings of pictures with holes to those of the whole pictures. It learns the difference
of the two, so that little data leave the embedding as it is, and is judged on pictures it has not seen:

holes     the cosine drop of random holes, before and after the adapter, on photographs (ImageNet sample)
object    the same where the cells of an object on a texture are hidden (composed pictures, exact outline), and as many
          random others: how much more does the object's removal cost, in standard deviations over pictures?
order     the object's outline as a map, and worse ones, in which 1/4, 1/2, 3/4 and all of the cells are exchanged at
          random: the rank correlation of that share with each metric, -1 where the metric orders all maps rightly

results/NAME.csv has a row per encoder, adapter and measurement.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_predict
from torch import Tensor
from torch.nn import functional as F

from encoders import Encoder
from experiments.data.composed import composed
from experiments.data.pictures import pictures
from experiments.named import encoder_named
from experiments.options import Options
from experiments.record import write_results
from experiments.summaries import middle_95, with_interval
from relax.metrics import METRICS, Case, Trial
from relax.metrics.faithfulness import grid_labels, pixel_order
from relax.metrics.maps import spearman
from relax.scene import Scene
from relax.settings import Hiding

ENCODERS = ("default", "efficientnet-lite0", "sscd")
METRICS_JUDGED = ("region-insertion", "region-deletion", "mirrored-insertion", "mirrored-deletion", "road")
CELLS, HOLES, PER_PICTURE = 8, (6, 16, 32), 8
SIZES, REMOVED, DRAWS = (0.2, 0.4, 0.6, 0.8), 6, 5  # of an explanation; a tenth of the cells, as in the paper
LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
ALPHAS = (0.01, 0.1, 1.0, 10.0, 100.0)
Pixels = NDArray[np.uint8]
Numbers = NDArray[np.float64]
Judge = Callable[[Tensor, Tensor], Numbers]  # embeddings (N, D) with holes and (D,) without to what they cost (N,)


@dataclass(frozen=True)
class Adapter:
    """Embeddings (N, D) of pictures with holes to what those of the whole pictures would be, of length 1."""

    weight: Tensor  # (D, D)
    bias: Tensor  # (D,)

    def __call__(self, embeddings: Tensor) -> Tensor:
        """(N, D) of length 1."""
        unit = F.normalize(embeddings.double(), dim=1)
        return F.normalize(unit + unit @ self.weight.T + self.bias, dim=1)

    @classmethod
    def of(cls, holes: Numbers, whole: Numbers, groups: NDArray[np.int64]) -> Adapter:
        """Fitted to (N, D) and (N, D) of length 1; the penalty by cross-validation over pictures."""
        folds = list(GroupKFold(5).split(holes, groups=groups))
        errors = [
            float(np.square(cross_val_predict(Ridge(alpha), holes, whole - holes, cv=folds) - (whole - holes)).sum())
            for alpha in ALPHAS
        ]
        model = Ridge(ALPHAS[int(np.argmin(errors))]).fit(holes, whole - holes)
        return cls(torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_))


def unchanged(embeddings: Tensor) -> Tensor:
    """No adapter."""
    return F.normalize(embeddings.double(), dim=1)


def with_hidden(trial: Trial, hidden: Sequence[NDArray[np.int64]]) -> Tensor:
    """(N, D) embeddings with these cells hidden."""
    labels = grid_labels(trial.scene.size, CELLS)
    return trial.embeddings(np.stack([~np.isin(labels, cells) for cells in hidden]))


def with_random_holes(trial: Trial, counts: Iterable[int], random: np.random.Generator) -> Tensor:
    """(N, D) embeddings with as many cells hidden at random as each count says."""
    return with_hidden(trial, [random.permutation(CELLS**2)[:count] for count in counts])


def with_up_to_half_hidden(trial: Trial, random: np.random.Generator) -> Tensor:
    """(8, D) embeddings with random sets of up to half of the cells hidden, `PER_PICTURE` of them."""
    return with_random_holes(trial, random.integers(1, CELLS**2 // 2 + 1, PER_PICTURE).tolist(), random)


def trial_of(pixels: Pixels, encoder: Encoder) -> Trial:
    return Trial.of(Scene.of(pixels, encoder, Hiding(cells=7)))


def trained(sample: Sequence[Pixels], encoder: Encoder, random: np.random.Generator) -> Adapter:
    """On these pictures, each with `PER_PICTURE` random sets of up to half of its cells hidden."""
    holes, whole = [], []
    for pixels in sample:
        trial = trial_of(pixels, encoder)
        holes.append(with_up_to_half_hidden(trial, random))
        whole.append(trial.image_embedding.expand(PER_PICTURE, -1))
    groups = np.repeat(np.arange(len(sample)), PER_PICTURE)
    return Adapter.of(unchanged(torch.cat(holes)).numpy(), unchanged(torch.cat(whole)).numpy(), groups)


def drops(embeddings: Tensor, whole: Tensor, adapter: Any) -> Numbers:
    """(N,) 1 - cosine to the embedding (D,) of the whole picture, both through the adapter."""
    values: Numbers = (1 - adapter(embeddings) @ adapter(whole[None])[0]).numpy()
    return values


def judges(adapters: dict[str, Any]) -> dict[str, Judge]:
    """By adapter: what it says that holes cost."""
    return {name: partial(drops, adapter=adapter) for name, adapter in adapters.items()}


def fidelity(
    trial: Trial, importance: NDArray[Any], judges: dict[str, Judge], random: np.random.Generator, most: int = REMOVED
) -> dict[str, float]:
    """By judge: how much more it costs to remove important cells, at most so many at a time, than others.

    The mean over sizes of the explanation.
    """
    labels, places = grid_labels(trial.scene.size, CELLS), pixel_order(trial, importance, 0, CELLS)
    order = np.argsort(np.bincount(labels.ravel(), places.ravel()) / np.bincount(labels.ravel()))
    hidden = []
    for size in SIZES:
        end = round(size * len(order))
        for part in (order[:end], order[end:]):
            hidden += [random.permutation(part)[:most] for _ in range(DRAWS)]
    embeddings = with_hidden(trial, hidden)
    values = {}
    for name, judge in judges.items():
        important, others = judge(embeddings, trial.image_embedding).reshape(len(SIZES), 2, DRAWS).mean((0, 2))
        values[name] = float(important - others)
    return values


def of_holes(sample: Sequence[Pixels], encoder: Encoder, adapters: dict[str, Any], args: argparse.Namespace) -> Any:
    """By adapter and count of cells: the mean drop; and how far other pictures are."""
    random, answers, wholes = np.random.default_rng(args.seed), defaultdict(list), []
    for pixels in sample:
        trial = trial_of(pixels, encoder)
        embeddings = with_random_holes(trial, np.repeat(HOLES, 4), random)
        wholes.append(trial.image_embedding)
        for name, adapter in adapters.items():
            lost = drops(embeddings, trial.image_embedding, adapter)
            for count, values in zip(HOLES, np.split(lost, len(HOLES)), strict=True):
                answers[name, f"holes of {count} cells"].append(float(values.mean()))
    for name, adapter in adapters.items():
        units = adapter(torch.stack(wholes))
        apart = 1 - (units @ units.T).numpy()
        answers[name, "other pictures"] += list(apart[np.triu_indices(len(apart), 1)])
    return answers


def shares_of(trial: Trial, truth: NDArray[np.bool_]) -> Numbers:
    """(64,) the share of each cell that the object (H, W) covers."""
    inside = trial.in_view(truth.astype(float))
    labels = grid_labels(inside.shape, CELLS)
    shares: Numbers = np.bincount(labels.ravel(), inside.ravel()) / np.bincount(labels.ravel())
    return shares


def object_and_others(shares: Numbers, random: np.random.Generator) -> list[NDArray[np.int64]]:
    """The cells of the object, then four times as many of those that have nothing of it."""
    inside, outside = np.flatnonzero(shares > 0.25), np.flatnonzero(shares == 0)
    return [inside, *(random.permutation(outside)[: len(inside)] for _ in range(4))]


def worse_and_worse(trial: Trial, shares: Numbers, random: np.random.Generator) -> Iterator[Numbers]:
    """Maps (h, w) of the view: the object's outline in cells, and with `LEVELS` of the cells exchanged."""
    labels = grid_labels(trial.scene.size, CELLS)
    for level in LEVELS:
        worse, moved = shares.copy(), random.permutation(CELLS**2)[: round(level * CELLS**2)]
        worse[moved] = worse[random.permutation(moved)]
        yield worse[labels]


def of_objects(sample: Sequence[Any], encoder: Encoder, adapters: dict[str, Any], args: argparse.Namespace) -> Any:
    """By adapter: what hiding the object costs beyond as many others; and how metrics order worse and worse maps."""
    random, answers = np.random.default_rng(args.seed), defaultdict(list)
    for picture in sample:
        trial = trial_of(picture.pixels(), encoder)
        shares = shares_of(trial, picture.truth())
        embeddings = with_hidden(trial, object_and_others(shares, random))
        for name, adapter in adapters.items():
            own, *rest = drops(embeddings, trial.image_embedding, adapter)
            answers[name, "object"].append(own)
            answers[name, "as many others"].append(np.mean(rest))
        values = defaultdict(list)
        for importance in worse_and_worse(trial, shares, random):
            for name in METRICS_JUDGED:
                sign = 1 if METRICS[name].direction == "higher" else -1
                values[name].append(sign * METRICS[name](Case(picture_map(trial, importance), trial=trial)))
            for name, value in fidelity(trial, importance, judges(adapters), random).items():
                values[f"bounded fidelity, {name}"].append(value)
        for name, ordered in values.items():
            answers[name, "order"].append(spearman(np.array(LEVELS), np.array(ordered)))
    return answers


def picture_map(trial: Trial, importance: NDArray[Any]) -> NDArray[Any]:
    """A map of the view in the frame of the picture."""
    return trial.scene.to_image(torch.from_numpy(importance))


def effect(gap: Numbers, seed: int) -> dict[str, float]:
    """Mean over standard deviation, with its 95 % bootstrap interval over pictures."""
    drawn = gap[np.random.default_rng(seed).integers(len(gap), size=(1000, len(gap)))]
    low, high = middle_95(drawn.mean(1) / drawn.std(1, ddof=1))
    value = float(gap.mean() / gap.std(ddof=1))
    return {"value": round(value, 4), "value_low": round(low, 4), "value_high": round(high, 4)}


def measure(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """All of one encoder."""
    encoder, random = encoder_named(name), np.random.default_rng(args.seed + 1)
    photographs = [picture.pixels for picture in pictures("imagenet", args.data, args.train + args.count)]
    composites = composed(args.train + args.count)
    step = len(photographs) // args.count
    test, train = photographs[::step][: args.count], [pixels for i, pixels in enumerate(photographs) if i % step]
    adapters = {"none": unchanged, f"of {args.few}": trained(train[: args.few], encoder, random)}
    adapters |= {f"of {len(train)}": trained(train, encoder, random)}
    answers = of_holes(test, encoder, adapters, args)
    own = [picture.pixels() for picture in composites[args.count :]]
    adapters = {"none": unchanged, f"of {args.few}": trained(own[: args.few], encoder, random)}
    adapters |= {f"of {len(own)}": trained(own, encoder, random)}
    answers |= of_objects(composites[: args.count], encoder, adapters, args)
    rows = [
        {"encoder": name, "judge": judge, "what": what, **with_interval("value", values)}
        for (judge, what), values in answers.items()
    ]
    for adapter in adapters:
        gap = np.subtract(answers[adapter, "object"], answers[adapter, "as many others"])
        rows.append({"encoder": name, "judge": adapter, "what": "gap / its deviation", **effect(gap, args.seed)})
    for row in rows:
        print(row, flush=True)
    return rows


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("imagenet_sample")
    parser.add_argument("--encoders", nargs="+", default=ENCODERS)
    parser.add_count(12, "pictures of each kind that are judged")
    parser.add_argument("--few", type=int, default=19, help="pictures that the small adapter is trained on")
    parser.add_argument("--train", type=int, default=100, help="pictures that the large adapter is trained on")
    parser.add_seed()
    parser.add_name("fine_tuned")
    args = parser.parse_args()
    rows = [row for name in args.encoders for row in measure(name, args)]
    write_results(args.name, rows, {"count": args.count, "train": args.train, "few": args.few, "seed": args.seed})


if __name__ == "__main__":
    main()
