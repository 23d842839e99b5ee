"""Is memory flat in the size of a slide? Peak memory of embedding slides of 10,000 to 100,000 pixels a side.

    python -m experiments.benchmarks.slide_memory

The slides are synthetic, with 3 % tissue, on which tiles of 224 px at 0.5 micrometres per pixel are laid. Each
measurement is a process of its own, which imports, loads the encoder and embeds eight pictures, and then embeds the
slide and explains it; the peak is given over what it was before the slide. The last row is the largest slide as
OME-TIFF, which tifffile reads.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch

from experiments.benchmarks.measuring import in_fresh_process, peak_mib
from experiments.data.slides import SIDE, blobs, write_slide
from experiments.options import Options
from experiments.record import write_results

SQUARES = (20, 49, 98, 196)  # of 512 pixels, along a side
SHARE = 0.03


def measure(path: Path, out: Path) -> dict[str, float]:
    """Embed and explain one slide in this process."""
    import relax

    encoder = relax.load_encoder("default", device="cpu")
    encoder(torch.rand(8, 3, 224, 224))
    before, start = peak_mib(), time.perf_counter()
    tiles = relax.embed_slide(path, encoder, out, progress=False)
    embedded, peak = time.perf_counter() - start, peak_mib() - before
    start = time.perf_counter()
    relax.explain_slide(tiles, progress=False)
    explained, both = time.perf_counter() - start, peak_mib() - before
    return {
        "tiles": len(tiles),
        "imported_mib": round(before, 1),
        "embedding_mib": round(peak, 1),
        "embedding_s": round(embedded, 1),
        "explaining_mib": round(both, 1),
        "explaining_s": round(explained, 1),
    }


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--one", nargs=2, type=Path, metavar=("SLIDE", "OUT"), help="measure in this process")
    args = parser.parse_args()
    if args.one:
        import json

        print(json.dumps(measure(*args.one)))
        return
    rows = []
    for side, ome in [*((side, False) for side in SQUARES), (SQUARES[-1], True)]:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            path = write_slide(Path(folder) / f"slide{'.ome' * ome}.tif", blobs(side, side, share=SHARE), ome=ome)
            written = {"written_s": round(time.perf_counter() - start, 1), "mb": round(path.stat().st_size / 1e6, 1)}
            measurements = in_fresh_process(
                "experiments.benchmarks.slide_memory", "--one", path, Path(folder) / "tiles.h5"
            )
        rows.append({"pixels": side * SIDE, "reader": "tifffile" if ome else "openslide", **written, **measurements})
        print(rows[-1], flush=True)
    write_results(
        "slide_memory",
        rows,
        {"embedding_mib": {f"{row['pixels']} {row['reader']}": row["embedding_mib"] for row in rows}},
    )


if __name__ == "__main__":
    main()
