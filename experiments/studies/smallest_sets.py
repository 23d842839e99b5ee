"""How small are the sets of cells that are enough, by which ranking and after a search, and before what are they?

    python -m experiments.studies.smallest_sets --data DATA --count 10 --passes 400

Photographs of the ImageNet sample, 7 x 7 cells, a cosine of 0.8. Cells that the ranking alone needs, in the order of
RELAX, occlusion, LaFAM, a blob in the middle and at random (the mean of three draws), and the smallest set after a
search from RELAX's and from a random ranking. Then whether the set that is enough before the mean pixel is so before
a blurred picture, noise and other photographs, and how large one is that is enough before all three fills. Last the
metrics of every map: do `enough` and `needed` order methods otherwise than insertion and deletion by region?
results/NAME.csv has a row per picture and method; RUNS keeps pictures that are done.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import relax
from encoders import Encoder
from experiments.data.datasets import Sample, imagenet_sample
from experiments.named import encoder_named
from experiments.options import Options
from experiments.record import write_results
from experiments.summaries import Row, grouped, with_interval
from relax.enough.backgrounds import similarities_before
from relax.enough.cells import Cells
from relax.enough.game import Game
from relax.enough.search import Aim, Search
from relax.metrics import METRICS, Case, Trial
from relax.metrics.maps import spearman
from relax.references import Question
from relax.scene import Scene
from relax.settings import Hiding

METHODS = ("relax", "occlusion", "lafam", "centre", "random")
MEASURED = ("enough", "needed", "region-insertion", "region-deletion")
AT_LEAST, CELLS, DRAWS = 0.8, 7, 3
FILLS = ("mean", "blur", "noise")
RUNS = Path("runs/smallest_sets")


def measured(sample: Sample, encoder: Encoder, others: list[Sample], args: argparse.Namespace) -> dict[str, Any]:
    """Everything about one picture: "rows" of its methods, and what there is of its sets."""
    pixels = sample.pixels()
    hiding = Hiding(cells=CELLS, fill="mean")
    scene = Scene.of(pixels, encoder, hiding)
    cells, question = Cells.of(scene, "grid", CELLS), Question.of("cosine", None, None, encoder)
    trial = Trial.of(scene, question)
    rows, orders = [], {}
    for method in METHODS:
        keywords = {"masks": args.masks} if method == "relax" else {}
        importance = relax.explain(pixels, encoder, method=method, cells=CELLS, progress=False, **keywords).importance
        orders[method] = np.argsort(-cells.means(trial.in_view(importance)), kind="stable")
        judged = {name: METRICS[name](Case(importance, trial=trial)) for name in MEASURED}
        rows.append({"picture": sample.name, "method": method, **_sizes(scene, cells, question, orders[method])})
        rows[-1] |= {name: round(float(value), 4) for name, value in judged.items()}
    random = np.random.default_rng(args.seed)
    draws = [_sizes(scene, cells, question, random.permutation(cells.count)) for _ in range(DRAWS)]
    rows[-1] |= {name: round(float(np.mean([draw[name] for draw in draws])), 2) for name in draws[0]}
    smallest = _searched(scene, cells, question, orders["relax"], ("mean",), args)
    before = {fill: float(_similarity(scene, cells, question, smallest.best, fill)) for fill in FILLS}
    behind = similarities_before(scene, cells, question, smallest.best, [other.pixels() for other in others], hiding)
    return {
        "rows": rows,
        "searched": smallest.size,
        "necessary": smallest.at_least,
        "searched_from_random": _searched(
            scene, cells, question, random.permutation(cells.count), ("mean",), args
        ).size,
        "needed": _searched(scene, cells, question, orders["relax"], ("mean",), args, shown=False).size,
        "before": before,
        "backgrounds": (behind >= AT_LEAST).mean().item(),
        "all_fills": _searched(scene, cells, question, orders["relax"], FILLS, args).size,
        "hidden": {
            fill: float(_similarity(scene, cells, question, np.zeros(cells.count, bool), fill)) for fill in FILLS
        },
    }


def _game(scene: Scene, cells: Cells, question: Question, fills: tuple[str, ...]) -> Game:
    return Game.of(scene, cells, question, Hiding(cells=CELLS, fill=fills[0]), fills)


def _similarity(scene: Scene, cells: Cells, question: Question, members: NDArray[np.bool_], fill: str) -> float:
    return float(_game(scene, cells, question, (fill,)).scores(members[None])[0, 0])


def _sizes(scene: Scene, cells: Cells, question: Question, order: NDArray[np.int64]) -> dict[str, float]:
    """Cells that a ranking alone needs, shown and hidden."""
    game = _game(scene, cells, question, ("mean",))
    sizes = {}
    for name, shown in (("cells_enough", True), ("cells_needed", False)):
        search = Search(Aim(game, AT_LEAST, shown), order)
        sizes[name] = float(search.prefix(order).sum())
    return sizes


def _searched(
    scene: Scene,
    cells: Cells,
    question: Question,
    order: NDArray[np.int64],
    fills: tuple[str, ...],
    args: argparse.Namespace,
    shown: bool = True,
) -> Search:
    """A search; each fill has as many passes."""
    game = _game(scene, cells, question, fills)
    game.limit = args.passes * len(fills)
    search = Search(Aim(game, AT_LEAST, shown), order)
    search.run(args.seed)
    return search


def summarise(pictures: list[dict[str, Any]]) -> dict[str, Any]:
    """Means with intervals over pictures, and rank correlations of the metrics."""
    rows: list[Row] = [row for picture in pictures for row in picture["rows"]]
    by_method = {method: group for (method,), group in grouped(rows, "method").items()}
    summary: dict[str, Any] = {
        "by_ranking": {
            method: {
                **with_interval("cells_enough", [row["cells_enough"] for row in group]),
                **with_interval("cells_needed", [row["cells_needed"] for row in group]),
            }
            for method, group in by_method.items()
        },
        **{
            name: with_interval("cells", [picture[name] for picture in pictures])
            for name in ("searched", "searched_from_random", "needed", "all_fills", "necessary")
        },
        "kept_before": {
            fill: sum(picture["before"][fill] >= AT_LEAST for picture in pictures) / len(pictures) for fill in FILLS
        },
        "kept_before_other_pictures": with_interval("share", [picture["backgrounds"] for picture in pictures]),
        "lowest_before": {fill: round(min(picture["before"][fill] for picture in pictures), 3) for fill in FILLS},
        "hidden": {fill: with_interval("cosine", [picture["hidden"][fill] for picture in pictures]) for fill in FILLS},
    }
    pairs = (("enough", "region-insertion"), ("needed", "region-deletion"), ("enough", "needed"))
    for first, second in pairs:
        within = [
            spearman(*(np.array([row[name] for row in picture["rows"]], float) for name in (first, second)))
            for picture in pictures
        ]
        means = [[np.mean([row[name] for row in group]) for group in by_method.values()] for name in (first, second)]
        summary[f"rank_correlation {first}, {second}"] = {
            **with_interval("within_pictures", within),
            "of_methods": round(spearman(*map(np.array, means)), 3),
        }
    return summary


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("imagenet_sample")
    parser.add_argument("--encoder", default="default")
    parser.add_count(10, "pictures, evenly spaced over the sorted names")
    parser.add_argument("--others", type=int, default=20, help="other photographs as background")
    parser.add_argument("--passes", type=int, default=400, help="of each search, for each fill")
    parser.add_masks(256, "of RELAX")
    parser.add_argument("--runs", type=Path, default=RUNS, help="where pictures that are done are kept")
    parser.add_seed()
    parser.add_name("smallest_sets")
    args = parser.parse_args()
    encoder = encoder_named(args.encoder)
    samples = imagenet_sample(args.data)
    chosen = [samples[place] for place in np.linspace(0, len(samples) - 1, args.count).round().astype(int)]
    others = [sample for sample in samples[5 :: len(samples) // args.others] if sample not in chosen][: args.others]
    args.runs.mkdir(parents=True, exist_ok=True)
    pictures = []
    for sample in chosen:
        path = args.runs / f"{args.name}-{args.passes}-{sample.name}.json"
        if not path.exists():
            path.write_text(json.dumps(measured(sample, encoder, others, args)))
        pictures.append(json.loads(path.read_text()))
        print(sample.name, {name: value for name, value in pictures[-1].items() if name != "rows"}, flush=True)
    settings = {"count": args.count, "passes": args.passes, "masks": args.masks, "others": len(others)}
    record = {"name": encoder.name, "checksum": encoder.checksum}
    rows = [row for picture in pictures for row in picture["rows"]]
    write_results(args.name, rows, {**settings, "encoder": record, "at_least": AT_LEAST, **summarise(pictures)})


if __name__ == "__main__":
    main()
