"""How many masks does the default save on the way to a standard error, against the paper's masks and average?

    python -m experiments.studies.tolerance --images FOLDER

Per picture and tolerance: the masks after which every pixel's standard error is at most the tolerance, with the default
and with preset="paper-rise". Both check every 256 masks. A run that has not stopped after --most masks enters with that
many, which understates the saving, and is counted. results/tolerance.csv has a row per picture and tolerance.
"""

from __future__ import annotations

import statistics
import warnings
from typing import Any

import relax
from experiments.data.pictures import photographs_in
from experiments.named import encoder_named
from experiments.options import Options
from experiments.record import write_results
from experiments.summaries import grouped

TOLERANCES = (0.003, 0.002, 0.001)
PRESETS: dict[str, dict[str, Any]] = {"default": {}, "paper": {"preset": "paper-rise"}}


def main() -> None:
    parser = Options(__doc__)
    parser.add_images(20)
    parser.add_argument("--encoder", default="default")
    parser.add_argument("--tolerances", type=float, nargs="+", default=TOLERANCES)
    parser.add_argument("--most", type=int, default=20_000, help="masks after which a run is given up")
    parser.add_seed()
    parser.add_name("tolerance")
    args = parser.parse_args()
    encoder = encoder_named(args.encoder)
    rows: list[dict[str, Any]] = []
    for path in photographs_in(args.images, args.count):
        for tolerance in args.tolerances:
            row: dict[str, Any] = {"picture": path.stem, "tolerance": tolerance}
            for name, preset in PRESETS.items():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # the row says that the masks ran out
                    provenance = relax.explain(
                        path, encoder, tolerance=tolerance, masks=args.most, seed=args.seed, **preset
                    ).provenance
                row |= {f"{name}_masks": provenance["masks"]["count"], f"{name}_reached": provenance["converged"]}
            rows.append(row)
        print(path.stem, flush=True)
    write_results(args.name, rows, {"encoder": encoder.name, "most": args.most, "masks": summarise(rows)})


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per tolerance: medians over pictures, and of the masks saved."""
    table = []
    for (tolerance,), runs in grouped(rows, "tolerance").items():
        saved = [1 - row["default_masks"] / row["paper_masks"] for row in runs]
        table.append(
            {
                "tolerance": tolerance,
                **{f"{name}_median": statistics.median(row[f"{name}_masks"] for row in runs) for name in PRESETS},
                **{f"{name}_not_reached": sum(not row[f"{name}_reached"] for row in runs) for name in PRESETS},
                "saved": {"median": round(statistics.median(saved), 3), "min": min(saved), "max": max(saved)},
            }
        )
    return table


if __name__ == "__main__":
    main()
