"""Is memory flat in the number of masks? Peak resident memory at 1,000 and at 10,000 masks.

    python -m experiments.benchmarks.memory

Each measurement is a process of its own, which explains one picture and reports its peak. With --figures, is memory
flat in the number of explanations? One process explains, draws, saves and loads picture after picture, every warning
is an error, and its resident memory is taken after every hundredth.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from experiments.benchmarks.measuring import in_fresh_process, peak_mib, resident_mib
from experiments.options import Options
from experiments.record import write_results

COUNTS = (1000, 10_000)
ENCODERS = ("default", "random:timm:test_resnet")  # 64 px and 160 px views
FIGURES, EVERY = 500, 100
FORMATS = ("png", "svg", "pdf")


def peak_of_explaining(encoder: str, masks: int) -> float:
    """Peak resident memory in MiB of this process after it has explained one picture."""
    import relax

    relax.explain(torch.rand(3, 480, 640), encoder, masks=masks, device="cpu")
    return peak_mib()


def means(batch: Tensor) -> Tensor:
    """(N, 48) an encoder that takes no time: the mean colours of 4 x 4 squares."""
    return adaptive_avg_pool2d(batch, 4).flatten(1)


def after_figures(folder: Path, count: int, every: int) -> list[float]:
    """Resident memory in MiB of this process after every so many of `count` pictures, explained and drawn."""
    import relax

    taken = []
    for number in range(count):
        image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(number))
        explanation = relax.explain(image, means, masks=8, seed=number, device="cpu")
        file = folder / f"map.{FORMATS[number % len(FORMATS)]}"
        relax.figure(explanation).savefig(file)
        loaded = relax.Explanation.load(explanation.save(folder / "map.npz"))
        if loaded.provenance != explanation.provenance or not file.stat().st_size:
            raise AssertionError(f"explanation {number} was not written as it is")
        if (number + 1) % every == 0:
            taken.append(resident_mib())
    return taken


def measure_figures() -> None:
    """Write `results/memory_figures`."""
    taken = in_fresh_process(
        "experiments.benchmarks.memory", "--after", FIGURES, EVERY, environment={"PYTHONWARNINGS": "error"}
    )
    rows = [{"figures": EVERY * (step + 1), "resident_mib": round(mib, 1)} for step, mib in enumerate(taken)]
    grown = taken[-1] - taken[0]
    summary = {"grown_mib": round(grown, 1), "grown_kib_per_figure": round(1024 * grown / (FIGURES - EVERY), 2)}
    print(rows, summary)
    write_results("memory_figures", rows, {**summary, "warnings": "every warning is an error"})


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--figures", action="store_true", help="memory in the number of explanations with figures")
    parser.add_argument("--one", nargs=2, metavar=("ENCODER", "MASKS"), help="measure in this process")
    parser.add_argument("--after", type=int, nargs=2, metavar=("FIGURES", "EVERY"), help="the same, of --figures")
    args = parser.parse_args()
    if args.one:
        print(peak_of_explaining(args.one[0], int(args.one[1])))
        return
    if args.after:
        with tempfile.TemporaryDirectory() as folder:
            print(after_figures(Path(folder), *args.after))
        return
    if args.figures:
        measure_figures()
        return
    rows = []
    for encoder in ENCODERS:
        few, many = (in_fresh_process("experiments.benchmarks.memory", "--one", encoder, masks) for masks in COUNTS)
        rows.append(
            {
                "encoder": encoder,
                "mib_at_1000": round(few, 1),
                "mib_at_10000": round(many, 1),
                "ratio": round(many / few, 4),
            }
        )
        print(rows[-1], flush=True)
    write_results("memory", rows, {"ratio": {row["encoder"]: row["ratio"] for row in rows}})


if __name__ == "__main__":
    main()
