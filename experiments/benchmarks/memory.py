"""Is memory flat in the number of masks? Peak resident memory at 1,000 and at 10,000 masks.

    python -m experiments.benchmarks.memory

Each measurement is a process of its own, which explains one picture and reports its peak.
"""

from __future__ import annotations

import torch

from experiments.benchmarks.measuring import in_fresh_process, peak_mib
from experiments.options import Options
from experiments.record import write_results

COUNTS = (1000, 10_000)
ENCODERS = ("default", "random:timm:test_resnet")  # 64 px and 160 px views


def peak_of_explaining(encoder: str, masks: int) -> float:
    """Peak resident memory in MiB of this process after it has explained one picture."""
    import relax

    relax.explain(torch.rand(3, 480, 640), encoder, masks=masks, device="cpu")
    return peak_mib()


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--one", nargs=2, metavar=("ENCODER", "MASKS"), help="measure in this process")
    args = parser.parse_args()
    if args.one:
        print(peak_of_explaining(args.one[0], int(args.one[1])))
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
