"""Are methods ranked otherwise when the metric hides by another fill than the method does?

    python -m experiments.studies.second_fill --data DATA --encoders default --count 12

Maps of photographs (ImageNet sample) are judged side by side by region insertion and deletion with the fill that RELAX
and its like hide with (the mean pixel), by the same with surroundings mirrored, by ROAD, and by bounded fidelity: a
tenth of the cells removed at random from the important ones, or from the others, as in F-Fidelity, once by the encoder
as it is and once by an adapter that has seen holes (`experiments.studies.fine_tuned`), trained on other photographs.
RELAX is there twice, hiding with the mean pixel and with a blur, and for these two, and the controls, insertion and
deletion by the blur as well: the twin effect is how much better a map is under its own fill than under the other's.

RUNS keeps pictures that are done. results/NAME.csv has a row per encoder, metric and method: mean, interval and rank;
NAME.json the rank correlations of the metrics, how far RELAX is ahead of each method, which methods the random map is
ahead of, and the twin effect.
"""

from __future__ import annotations

import argparse
import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import relax
from encoders import Encoder
from experiments.data.pictures import Picture, pictures
from experiments.named import encoder_named
from experiments.options import Options
from experiments.record import write_results
from experiments.studies.fine_tuned import fidelity, judges, trained, unchanged
from experiments.summaries import Row, grouped, with_interval
from relax.metrics import METRICS, Case, Trial
from relax.metrics.maps import mid_ranks, spearman
from relax.scene import Scene
from relax.settings import Hiding

METHODS = ("relax", "lafam", "gradcam", "layercam", "eigencam", "lime", "occlusion", "sbsm", "smoothgrad",
           "integrated-gradients", "random", "centre")  # fmt: skip
CONTROLS, BLURRED = ("random", "centre"), "relax, blur"
OF_TABLE = ("region-insertion", "region-deletion", "mirrored-insertion", "mirrored-deletion", "road")
REGIONS, TWINS = ("region-insertion", "region-deletion"), ("relax", BLURRED)
OTHERS = 19  # photographs that the adapter is trained on
RUNS = Path("runs/second_fill")


def judged(picture: Picture, encoder: Encoder, adapters: dict[str, Any], args: argparse.Namespace) -> list[Row]:
    """A row per method and metric, of one picture; higher is better in all."""
    trials = {
        fill: Trial.of(Scene.of(picture.pixels, encoder, Hiding(cells=7, fill=fill))) for fill in ("mean", "blur")
    }
    rows = []
    for method in (*args.methods, BLURRED):
        name, _, fill = method.partition(", ")
        importance = relax.explain(
            picture.pixels, encoder, method=name, masks=args.masks, fill=fill or "mean", seed=args.seed, progress=False
        ).importance
        case = Case(importance, trial=trials["mean"], seed=args.seed)
        values = {metric: _higher(metric, case) for metric in OF_TABLE}
        drawn = np.random.default_rng(args.seed)
        for adapter, value in fidelity(trials["mean"], case.in_view, judges(adapters), drawn).items():
            values[f"bounded fidelity, {adapter}"] = value
        if name == "relax" or name in CONTROLS:
            blurred = Case(importance, trial=trials["blur"], seed=args.seed)
            values |= {f"{metric}, blur": _higher(metric, blurred) for metric in REGIONS}
        rows += [{"method": method, "metric": metric, "value": value} for metric, value in values.items()]
    return rows


def _higher(metric: str, case: Case) -> float:
    """The value, negated where lower is better."""
    return METRICS[metric](case) * (1 if METRICS[metric].direction == "higher" else -1)


def measured(name: str, args: argparse.Namespace) -> list[Row]:
    """All pictures before one encoder, from RUNS where they were done before."""
    encoder, rows = encoder_named(name), []
    sample = pictures("imagenet", args.data, args.count)
    others = [picture.pixels for picture in pictures("imagenet", args.data, args.count + OTHERS)]
    known = {picture.pixels.tobytes() for picture in sample}
    others = [pixels for pixels in others if pixels.tobytes() not in known][:OTHERS]
    adapters: dict[str, Any] = {}
    for picture in sample:
        path = args.runs / f"{name}-{args.masks}-{args.seed}-{picture.name}.json"
        if not path.exists():
            adapters = adapters or {
                "encoder": unchanged,
                "adapter": trained(others, encoder, np.random.default_rng(args.seed)),
            }
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(judged(picture, encoder, adapters, args)))
        rows += [{"encoder": name, "picture": picture.name, **row} for row in json.loads(path.read_text())]
        print(name, picture.name, flush=True)
    return rows


def table(rows: list[Row], methods: tuple[str, ...]) -> list[Row]:
    """Mean, interval and rank among the methods (1 = best), by encoder, metric and method."""
    lines = []
    for (encoder, metric), group in grouped(rows, "encoder", "metric").items():
        means = {method: [row["value"] for row in own] for (method,), own in grouped(group, "method").items()}
        whole = all(method in means for method in methods)
        ranks = mid_ranks(-np.array([np.mean(means[method]) for method in methods])) if whole else ()
        places = dict(zip(methods, map(float, ranks), strict=False))
        lines += [
            {"encoder": encoder, "metric": metric, "method": method, **with_interval("mean", values)}
            | {"rank": places.get(method, "")}
            for method, values in means.items()
        ]
    return lines


def agreement(rows: list[Row], methods: tuple[str, ...]) -> list[Row]:
    """By encoder and pair of metrics: Spearman's correlation of the methods, of their means and within pictures."""
    lines = []
    for (encoder,), own in grouped(rows, "encoder").items():
        values = {
            (row["metric"], row["picture"], row["method"]): row["value"] for row in own if row["method"] in methods
        }
        names = list(dict.fromkeys(row["picture"] for row in own))
        metrics = [metric for metric in dict.fromkeys(row["metric"] for row in own) if not metric.endswith(", blur")]
        tables = {
            metric: np.array([[values[metric, picture, method] for method in methods] for picture in names])
            for metric in metrics
        }
        for first, second in combinations(metrics, 2):
            within = [spearman(*pair) for pair in zip(tables[first], tables[second], strict=True)]
            means = spearman(tables[first].mean(0), tables[second].mean(0))
            line = {"encoder": encoder, "first": first, "second": second, "of_means": round(means, 3)}
            lines.append({**line, **with_interval("within_pictures", within)})
    return lines


def controls(lines: list[Row]) -> list[Row]:
    """By encoder and metric: the rank of RELAX, of the random map, and which methods the random map is ahead of."""
    rows = []
    for (encoder, metric), group in grouped(lines, "encoder", "metric").items():
        ranks = {line["method"]: line["rank"] for line in group if line["rank"] != ""}
        if ranks:
            behind = [
                method for method, rank in ranks.items() if method not in CONTROLS and rank > ranks.get("random", 0)
            ]
            best = min(ranks, key=lambda method: ranks[method])
            rows.append({"encoder": encoder, "metric": metric, "best": best, "relax": ranks["relax"]})
            rows[-1] |= {"random": ranks["random"], "of": len(ranks), "behind_random": behind}
    return rows


def ahead(rows: list[Row], methods: tuple[str, ...]) -> list[Row]:
    """By encoder, metric and other method: RELAX minus it, picture by picture, with the interval of the mean."""
    lines = []
    for (encoder, metric), group in grouped(rows, "encoder", "metric").items():
        values = {(row["method"], row["picture"]): row["value"] for row in group}
        names = list(dict.fromkeys(row["picture"] for row in group))
        for method in methods:
            if method != "relax" and (method, names[0]) in values:
                gains = [values["relax", name] - values[method, name] for name in names]
                lines.append({"encoder": encoder, "metric": metric, "of": method, **with_interval("gain", gains)})
    return lines


def twins(rows: list[Row]) -> list[Row]:
    """By encoder: how much better a map of RELAX is under its own fill than under the other's, both ways, halved.

    Insertion plus negated deletion; and which of the two maps is ahead under the metrics that hide with neither.
    """
    lines = []
    for (encoder,), own in grouped(rows, "encoder").items():
        values = {(row["picture"], row["method"], row["metric"]): row["value"] for row in own}
        names = list(dict.fromkeys(row["picture"] for row in own))

        def difference(metrics: tuple[str, ...], values: Any = values, names: Any = names) -> NDArray[np.float64]:
            """The map of the mean pixel minus that of the blur, by picture."""
            return np.array(
                [sum(values[name, TWINS[0], m] - values[name, TWINS[1], m] for m in metrics) for name in names]
            )

        mean, blur = difference(REGIONS), difference(tuple(f"{metric}, blur" for metric in REGIONS))
        line = {"encoder": encoder, **with_interval("twin_effect", list((mean - blur) / 2))}
        line |= with_interval("mean_ahead_under_mean", list(mean)) | with_interval("under_blur", list(blur))
        line |= with_interval("under_mirrored", list(difference(("mirrored-insertion", "mirrored-deletion"))))
        lines.append({**line, **with_interval("under_road", list(difference(("road",))))})
    return lines


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("imagenet_sample")
    parser.add_argument("--encoders", nargs="+", default=["default"], help="names as in experiments.named")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_count(12, "pictures, evenly spaced over the sorted names")
    parser.add_masks(512)
    parser.add_argument("--runs", type=Path, default=RUNS, help="where finished pictures are kept")
    parser.add_seed()
    parser.add_name("second_fill")
    args = parser.parse_args()
    args.methods = tuple(args.methods)
    rows = [row for name in args.encoders for row in measured(name, args)]
    lines = table(rows, args.methods)
    summary = {name: getattr(args, name) for name in ("count", "masks", "seed")} | {"adapter_trained_on": OTHERS}
    summary |= {"controls": controls(lines), "twins": twins(rows), "relax_ahead": ahead(rows, args.methods)}
    summary |= {"agreement": agreement(rows, args.methods)}
    write_results(args.name, lines, summary)


if __name__ == "__main__":
    main()
