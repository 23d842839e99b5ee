"""What the parts of the benchmark of scale left is put together, and its faults are added up."""

import csv
import json

from PIL import Image

from experiments.benchmarks.scale_figure import summarise

ROWS = {
    "workers": [{"how": "1 workers", "pictures_per_second": 1.0}, {"how": "2 workers", "pictures_per_second": 1.8}],
    "memory": [{"pictures": 1000, "peak_mib": 900.0}, {"pictures": 100_000, "peak_mib": 950.0}],
    "kills": [{"kills": 3, "damaged": 1, "lost": 0, "doubled": 0, "other_files": 0}],
    "cluster": [{"worker_kills": 2, "node_kills": 1, "driver_kills": 1, "lost": 0, "doubled": 0, "other_files": 0}],
}


def test_all_parts_are_put_together_and_the_figure_is_drawn(tmp_path):
    for name, rows in ROWS.items():
        (tmp_path / f"scale_{name}.json").write_text(json.dumps({"command": name}))
        with (tmp_path / f"scale_{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    counts, parts = summarise(tmp_path, tmp_path / "scale.png")

    assert [row["measurements"] for row in counts] == [2, 2, 1, 1]
    assert {name: part["rows"] for name, part in parts.items()} == ROWS
    assert {part["command"] for part in parts.values()} == {*ROWS}
    assert Image.open(tmp_path / "scale.png").size[0] > 1000
