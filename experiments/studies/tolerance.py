"""How many masks does `tolerance=` save? The default against the paper's masks and average, to the same standard error.

    python -m experiments.studies.tolerance --images FOLDER

Per picture and tolerance: the masks after which every pixel's standard error is at most the tolerance, with the default
and with preset="paper-rise". Both look every 256 masks. A run that has not stopped after --most masks counts as that
many, which makes the ratio too small, and is counted. results/tolerance.csv has a row per picture and tolerance.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from pathlib import Path
from typing import Any

import relax
from experiments.record import write_results
from experiments.studies.evidence import spaced

TOLERANCES = (0.003, 0.002, 0.001)
PRESETS: dict[str, dict[str, Any]] = {"default": {}, "paper": {"preset": "paper-rise"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder with at least --count pictures (*.jpg)")
    parser.add_argument("--count", type=int, default=20, help="pictures, evenly spaced over the sorted names")
    parser.add_argument("--encoder", default="default")
    parser.add_argument("--tolerances", type=float, nargs="+", default=TOLERANCES)
    parser.add_argument("--most", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    encoder = relax.load_encoder(args.encoder)
    paths = sorted(args.images.glob("*.jpg"))
    rows: list[dict[str, Any]] = []
    for path in [paths[index] for index in spaced(len(paths), args.count)]:
        for tolerance in args.tolerances:
            row: dict[str, Any] = {"picture": path.stem, "tolerance": tolerance}
            for name, preset in PRESETS.items():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # that the masks ran out is in the row
                    found = relax.explain(
                        path, encoder, tolerance=tolerance, masks=args.most, seed=args.seed, **preset
                    ).provenance
                row |= {f"{name}_masks": found["masks"]["count"], f"{name}_reached": found["converged"]}
            rows.append(row)
        print(path.stem, flush=True)
    write_results("tolerance", rows, {"encoder": encoder.name, "most": args.most, "masks": summarise(rows)})


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per tolerance: medians over pictures, and of the masks saved."""
    found = []
    for tolerance in dict.fromkeys(row["tolerance"] for row in rows):
        own = [row for row in rows if row["tolerance"] == tolerance]
        saved = [1 - row["default_masks"] / row["paper_masks"] for row in own]
        found.append(
            {
                "tolerance": tolerance,
                **{f"{name}_median": statistics.median(row[f"{name}_masks"] for row in own) for name in PRESETS},
                **{f"{name}_not_reached": sum(not row[f"{name}_reached"] for row in own) for name in PRESETS},
                "saved": {"median": round(statistics.median(saved), 3), "min": min(saved), "max": max(saved)},
            }
        )
    return found


if __name__ == "__main__":
    main()
