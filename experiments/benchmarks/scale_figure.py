"""What the parts of `benchmarks.scale` left, in one JSON and one figure."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PARTS = ("workers", "memory", "kills", "cluster")
INK, BLUE, GREY = "#222222", "#3b6ea5", "#9a9a9a"


def summarise(results: Path, figure: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Draw the results of the parts; returns how many measurements each left, and all of them."""
    parts = {name: _part(results, name) for name in PARTS}
    drawing, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    _throughput(left, parts["workers"]["rows"])
    _memory(middle, parts["memory"]["rows"])
    _faults(right, parts["kills"]["rows"], parts["cluster"]["rows"])
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
    drawing.savefig(figure, dpi=130, metadata={"Software": None})
    plt.close(drawing)
    return [{"part": name, "measurements": len(part["rows"])} for name, part in parts.items()], parts


def _part(results: Path, name: str) -> dict[str, Any]:
    with (results / f"scale_{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(file)]
    return {**json.loads((results / f"scale_{name}.json").read_text()), "rows": rows}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _throughput(axes: Any, rows: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(row["how"] for row in rows))
    for place, name in enumerate(names):
        paces = sorted(row["pictures_per_second"] for row in rows if row["how"] == name)
        axes.bar(place, paces[len(paces) // 2], color=GREY if "Ray" in name else BLUE)
        axes.plot([place] * len(paces), paces, "o", color=INK, markersize=4)
    axes.set_xticks(range(len(names)), ["1 worker", "2 workers", "2 x forward\npasses alone"][: len(names)])
    axes.set_ylabel("pictures per second")
    axes.set_title("Throughput on 2 cores", fontsize=10)


def _memory(axes: Any, rows: list[dict[str, Any]]) -> None:
    axes.plot([row["pictures"] for row in rows], [row["peak_mib"] for row in rows], "o-", color=BLUE)
    axes.set(xscale="log", xlabel="pictures", ylabel="peak memory, MiB", ylim=(0, 1200))
    axes.set_title("Memory of one process", fontsize=10)


def _faults(axes: Any, kills: list[dict[str, Any]], cluster: list[dict[str, Any]]) -> None:
    sums = [
        ("one process killed", _sum(kills, "kills")),
        ("workers killed", _sum(cluster, "worker_kills")),
        ("nodes killed", _sum(cluster, "node_kills")),
        ("drivers killed", _sum(cluster, "driver_kills")),
        ("files damaged", _sum(kills, "damaged") + _sum(cluster, "damaged")),
        ("disks full", _sum(cluster, "disk_full")),
        ("pictures lost", _sum([*kills, *cluster], "lost")),
        ("pictures doubled", _sum([*kills, *cluster], "doubled")),
        ("other files", _sum([*kills, *cluster], "other_files")),
    ]
    names, counts = zip(*reversed(sums), strict=True)
    bars = axes.barh(names, counts, color=[GREY] * 3 + [BLUE] * 6)
    axes.bar_label(bars, [f"{int(count)}" for count in counts], padding=3)
    axes.set_title("Faults, and what they did", fontsize=10)
    axes.set_xticks([])


def _sum(rows: list[dict[str, Any]], name: str) -> float:
    return sum(row.get(name) or 0 for row in rows)
