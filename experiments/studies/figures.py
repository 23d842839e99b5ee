"""Draw what the experiments found, for docs/results.md.

    python -m experiments.studies.figures

Reads results/*.json and *.csv, writes docs/images/results-*.png; an experiment without results is left out and named.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.options import Options
from experiments.record import IMAGES, RESULTS
from masking import DESIGNS
from relax.files import written_aside

RELAX, OTHER, CONTROL = "#0072b2", "#767676", "#c8c8c8"  # the last: controls that see nothing
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
FAITHFUL = ("relax", "lafam", "gradcam", "lime", "occlusion", "smoothgrad", "random")
MAPS = ("importance", "uncertainty")
PRECISIONS = ("exact", "auto", "fast")
TIMES = (0.25, 0.5, 1, 2, 4, 8, 16, 32)
DPI = 130


def ranks(study: str = "evidence") -> Figure:
    """Mean rank of every method in each family of metrics."""
    families = summary(study)["mean_rank"]
    drawing = Figure(figsize=(11, 4.2), layout="constrained")
    for axes, (family, means) in zip(drawing.subplots(1, len(families)), families.items(), strict=True):
        names, values = list(means), list(means.values())
        colours = [CONTROL if name in ("random", "centre") else RELAX if name == "relax" else OTHER for name in names]
        axes.barh(names, values, color=colours)
        axes.invert_yaxis()
        axes.set_title(family)
        axes.set_xlabel("mean rank (1 = best)")
        quiet(axes)
    return drawing


def localisation(study: str = "evidence") -> Figure:
    """The probability that a pixel of the object has more importance than one outside."""
    methods = ("relax", "lafam", "gradcam", "lime", "occlusion", "smoothgrad", "centre")
    return per_dataset("auc", methods, "AUC of the truth (0.5 = chance)", 0.5, study=study)


def insertion() -> Figure:
    """Similarity when the most important pixels are shown first."""
    return per_dataset("insertion", FAITHFUL, "cosine on the way (higher is better)")


def deletion() -> Figure:
    """Similarity when the most important pixels are hidden first."""
    return per_dataset("deletion", FAITHFUL, "cosine on the way (lower is better)")


def choices() -> Figure:
    """Each change of RELAX's settings: metrics that got better beyond chance, minus those that got worse."""
    comparisons = summary("choices")["against_default"]
    families = ("localisation", "faithfulness", "complexity")
    drawing = Figure(figsize=(11, 4.6), layout="constrained")
    for axes, family in zip(drawing.subplots(1, 3, sharey=True), families, strict=True):
        names = list(comparisons)
        counts = [comparisons[name].get(family, {"better": 0, "worse": 0}) for name in names]
        axes.barh(names, [count["better"] for count in counts], color=COLOURS[0], label="better")
        axes.barh(names, [-count["worse"] for count in counts], color=COLOURS[1], label="worse")
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_title(family)
        axes.set_xlabel("metrics x picture sets beyond chance")
        quiet(axes)
    axes.invert_yaxis()
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return drawing


def planted() -> Figure:
    """Where maps lie on a watermark that one encoder was trained to notice."""
    rows = [row for row in summary("shortcuts")["means"] if row["part"] == "planted"]
    names = {"planted": "trained on marked pictures", "simclr": "its clean twin", "default": "bundled"}
    renamed = [row | {"encoder": names[row["encoder"]], "panel": "planted watermark"} for row in rows]
    drawing = Figure(figsize=(8, 3.8), layout="constrained")
    methods = list(dict.fromkeys(row["method"] for row in rows))
    dots(drawing.subplots(), renamed, "method", "encoder", methods, list(names.values()), "auc")
    drawing.axes[0].set_xlabel("AUC of the mark (0.5 = chance)")
    drawing.axes[0].axvline(0.5, color="black", linewidth=0.8, linestyle=":")
    return drawing


def burned_in() -> Figure:
    """How much importance lies on text, borders and marker boxes, against chance."""
    rows = [row for row in summary("shortcuts")["means"] if row["part"] == "real"]
    drawing = Figure(figsize=(8, 2.8), layout="constrained")
    kinds, encoders = (list(dict.fromkeys(row[name] for row in rows)) for name in ("kind", "encoder"))
    dots(drawing.subplots(), rows, "kind", "encoder", kinds, encoders, "auc")
    drawing.axes[0].set_xlabel("AUC of the region (0.5 = chance)")
    drawing.axes[0].axvline(0.5, color="black", linewidth=0.8, linestyle=":")
    return drawing


def strangers() -> Figure:
    """How well three numbers separate blood smears and photographs from colonoscopies."""
    rows = [row | {"row": f"{row['kind']}, {row['encoder']}"} for row in summary("out_of_distribution")["auroc"]]
    drawing = Figure(figsize=(8, 3.4), layout="constrained")
    lines, numbers = (list(dict.fromkeys(row[name] for row in rows)) for name in ("row", "by"))
    dots(drawing.subplots(), rows, "row", "by", lines, numbers, "auroc", ends=("low", "high"))
    drawing.axes[0].set_xlabel("AUROC against colonoscopies (0.5 = chance)")
    drawing.axes[0].axvline(0.5, color="black", linewidth=0.8, linestyle=":")
    return drawing


def trust() -> Figure:
    """The numbers of `relax.assess`, per encoder."""
    means = summary("trust")["encoders"]
    numbers = ("ceiling", "mirrored", "shifted", "stability", "neighbours", "auc")
    rows = [
        {"encoder": name, "number": number, **{key: values[f"{number}{key}"] for key in ("", "_low", "_high")}}
        for name, values in means.items()
        for number in numbers
    ]
    drawing = Figure(figsize=(8, 3.6), layout="constrained")
    dots(drawing.subplots(), rows, "number", "encoder", numbers, list(means), "", ends=("_low", "_high"))
    drawing.axes[0].set_xlabel("mean over pictures")
    return drawing


def designs() -> Figure:
    """Squared error against the paper's masks and average, at equal masks, where all designs were compared."""
    stems = [path.stem for path in RESULTS.glob("designs_*.json")]
    stems = [name for name in stems if len(summary(name)["squared_error_against_paper"]) > 2]
    names = sorted(stems, key=lambda name: (name.rpartition("_")[0], int(name.rpartition("_")[2])))
    columns = min(2, len(names))
    lines = -(-len(names) // columns)
    drawing = Figure(figsize=(4.4 * columns + 2.4, 3.4 * lines), layout="constrained")
    panels = drawing.subplots(lines, columns, sharey=True, sharex=True, squeeze=False).ravel()
    # One order for all panels, which share its names.
    designs = [f"{design}, {estimator}" for design in DESIGNS for estimator in ("plain", "controlled")]
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(panels, names, strict=False):
        errors = summary(name)["squared_error_against_paper"]
        rows = [
            {"row": row.replace(", 1024 masks", ""), "map": which, **ratios[which]}
            for row, ratios in errors.items()
            for which in MAPS
            if row.endswith("1024 masks")
        ]
        dots(
            axes,
            rows,
            "row",
            "map",
            designs,
            MAPS,
            "ratio",
            ends=("low", "high"),
            legend=False,
        )
        axes.axvline(1 / 3, color="black", linewidth=0.8, linestyle=":")
        axes.set_xscale("log")
        axes.set_title(name.removeprefix("designs_").replace("_", ", ") + " cells", fontsize=10)
        axes.set_xlabel("squared error / the paper's")
    drawing.legend(*panels[0].get_legend_handles_labels(), frameon=False, loc="outside right upper")
    return drawing


def sooner() -> Figure:
    """How much sooner than relax-xai its error after 3,000 masks is reached, for both maps and by precision."""
    reached = {name: part for name, part in summary("speed_both").items() if isinstance(part, dict) and MAPS[0] in part}
    drawing = Figure(figsize=(9, 0.62 * len(reached) + 1.3), layout="constrained")
    panels = drawing.subplots(1, 2, sharex=True, sharey=True)
    for axes, which in zip(panels, MAPS, strict=True):
        rows = [
            {"encoder": name, "precision": precision, **part[which][f"times_faster_to_it_{precision}"]}
            for name, part in reached.items()
            for precision in PRECISIONS
        ]
        last = which == MAPS[-1]
        dots(axes, rows, "encoder", "precision", list(reached), PRECISIONS, "median", ends=("min", "max"), legend=last)
        axes.axvline(1, color="black", linewidth=0.8, linestyle=":")
        axes.set_xscale("log")
        axes.set_xticks(TIMES, [f"{times:g} ×" for times in TIMES], fontsize=8)
        axes.minorticks_off()
        axes.set_title(f"to the error of the {which}", fontsize=10)
        axes.set_xlabel("times sooner than relax-xai")
    return drawing


FIGURES: dict[str, Callable[[], Figure]] = {
    "published-ranks": partial(ranks, "evidence_published"),
    "published-localisation": partial(localisation, "evidence_published"),
    "ranks": ranks,
    "localisation": localisation,
    "insertion": insertion,
    "deletion": deletion,
    "choices": choices,
    "planted": planted,
    "burned-in": burned_in,
    "strangers": strangers,
    "trust": trust,
    "designs": designs,
    "sooner": sooner,
}


def per_dataset(
    metric: str, methods: Sequence[str], label: str, chance: float | None = None, *, study: str = "evidence"
) -> Figure:
    """A panel per set of pictures, a line per encoder, a dot per method."""
    rows = [row for row in table(study) if row["metric"] == metric]
    panels, lines = (list(dict.fromkeys(row[name] for row in rows)) for name in ("dataset", "encoder"))
    drawing = Figure(figsize=(2.9 * len(panels) + 1.6, 4.2), layout="constrained")
    for axes, name in zip(np.atleast_1d(drawing.subplots(1, len(panels), sharey=True)), panels, strict=True):
        panel = [row for row in rows if row["dataset"] == name]
        dots(axes, panel, "encoder", "method", lines, methods, "mean", ends=("low", "high"), legend=name == panels[-1])
        axes.set_title(name, fontsize=10)
        axes.set_xlabel(label, fontsize=9)
        if chance is not None:
            axes.axvline(chance, color="black", linewidth=0.8, linestyle=":")
    return drawing


def dots(
    axes: Axes,
    rows: Sequence[dict[str, Any]],
    line: str,
    series: str,
    lines: Sequence[str],
    names: Sequence[str],
    value: str,
    *,
    ends: tuple[str, str] | None = None,
    legend: bool = True,
) -> None:
    """On each of `lines`, a dot with its 95 % interval for each of `names`, side by side."""
    low, high = ends or (f"{value}_low", f"{value}_high")
    for number, name in enumerate(names):
        shown = [row for row in rows if row[series] == name and row[line] in lines]
        places = [lines.index(row[line]) + 0.7 * ((number + 0.5) / len(names) - 0.5) for row in shown]
        values, lows, highs = (np.array([float(row[key]) for row in shown]) for key in (value, low, high))
        reach = np.clip([values - lows, highs - values], 0, None)
        axes.errorbar(values, places, xerr=reach, fmt="o", markersize=4, color=COLOURS[number], label=name, linewidth=1)
    axes.set_yticks(range(len(lines)), lines)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    for edge in np.arange(len(lines) - 1) + 0.5:
        axes.axhline(edge, color="#dddddd", linewidth=0.8)
    quiet(axes)
    if legend:
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))


def quiet(axes: Axes) -> None:
    """Without a frame at the top and on the right."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)


def table(name: str) -> list[dict[str, Any]]:
    """The rows of results/NAME.csv."""
    with (RESULTS / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
        return [*csv.DictReader(stream)]


def summary(name: str) -> dict[str, Any]:
    """results/NAME.json."""
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return content


def main() -> None:
    Options(__doc__).parse_args()
    for name, draw in FIGURES.items():
        try:
            drawing = draw()
        except FileNotFoundError as error:
            print(f"{name}: left out, {Path(error.filename).name} is not there")
            continue
        target = IMAGES / f"results-{name}.png"
        with written_aside(target) as aside:
            drawing.savefig(aside, format="png", dpi=DPI, facecolor="white")
        print(target.name)


if __name__ == "__main__":
    main()
