"""What do pictures of a run gain that share a batch, and how far are their maps from those that they have alone?

    python -m experiments.benchmarks.sharing
    python -m experiments.benchmarks.sharing --encoder random:timm:mobilenetv3_small_100 --masks 6 --name sharing_mobile

Runs of `relax.explain_all` with and without shared batches in turn, by one thread of a processor, after one of each
that warms up: seconds of the processor, since others may be at work on it, and the largest difference of a map.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import relax
from encoders import Encoder
from experiments.benchmarks.bulk_runs import pictures
from experiments.named import NAMES
from experiments.options import Options
from experiments.record import write_results
from experiments.summaries import median_and_range
from relax.bulk import work
from relax.bulk.explaining import explain_all
from relax.bulk.sharing import pictures_in_batch
from relax.bulk.store import StoredMaps
from relax.estimators.budget import Budget
from relax.maps import MAPS
from relax.settings import Hiding


def runs_of(tar: Path, encoder: Encoder, masks: int, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Seconds of the processor for all pictures, alone and in shared batches, and how far apart their maps are."""
    rows = []
    for number in range(rounds + 1):
        row: dict[str, Any] = {"masks": masks, "round": number}
        maps = {}
        for how, together in (("alone", lambda *_: 1), ("shared", pictures_in_batch)):
            work.pictures_in_batch = together  # type: ignore[assignment]
            start = time.process_time()
            maps[how] = explain_all(tar, encoder, out=folder / f"{masks}-{number}-{how}", masks=masks, progress=False)
            row[f"{how}_s"] = round(time.process_time() - start, 3)
        row["gain"] = round(row["alone_s"] / row["shared_s"], 4)
        if number:  # the first warms up
            rows.append(row | {"apart": apart(*maps.values())})
            print(rows[-1], flush=True)
    return rows


def apart(first: StoredMaps, second: StoredMaps) -> float:
    """The largest difference of a pixel of any map."""
    pairs = ((first.in_view(name)[kind], second.in_view(name)[kind]) for name in first.names for kind in MAPS)
    return max(float(np.nanmax(np.abs(a - b))) for a, b in pairs)


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--encoder", default="default", help=NAMES)
    parser.add_argument("--masks", type=int, nargs="+", default=[8, 16], help="per picture")
    parser.add_argument("--count", type=int, default=12, help="pictures")
    parser.add_rounds(7)
    parser.add_name("sharing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    encoder, rows = relax.load_encoder(args.encoder, device="cpu"), []
    summary: dict[str, Any] = {"encoder": args.encoder, "pictures": args.count, "rounds": args.rounds}
    with tempfile.TemporaryDirectory() as name:
        tar = pictures(Path(name) / "pictures.tar", args.count, side=96)
        for masks in args.masks:
            rows += (of_masks := runs_of(tar, encoder, masks, args.rounds, Path(name)))
            summary[f"{masks} masks"] = {
                "pictures_in_batch": pictures_in_batch(encoder, Hiding(), Budget(masks)),
                "ms_alone": round(1000 * float(np.median([row["alone_s"] for row in of_masks])) / args.count, 1),
                "ms_shared": round(1000 * float(np.median([row["shared_s"] for row in of_masks])) / args.count, 1),
                "gain": median_and_range([row["gain"] for row in of_masks]),
                "apart": max(row["apart"] for row in of_masks),
            }
    write_results(args.name, rows, summary)


if __name__ == "__main__":
    main()
