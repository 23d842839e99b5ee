"""What does each step of a faster encoder gain here, and do its maps stay the same?

    OMP_NUM_THREADS=1 python -m experiments.benchmarks.precision
    OMP_NUM_THREADS=1 python -m experiments.benchmarks.precision --compile

Speed: one batch through each form of the network in turn, round after round; the median over rounds of the time of the
plain network (float32, channels first, batch norms as they are) over that of the form. Agreement: `relax.explain` at
every precision, correlation of the importance maps with that at "exact". Weights are random but for the bundled
encoder's: that leaves the time as it is, and makes agreement harder, since random networks tell images apart less.
With --compile the compiled forms too, and how long compiling took (minutes, so apart).
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import relax
from encoders import Encoder
from encoders.choices import PRECISIONS
from encoders.devices import half_type
from encoders.fast import Run, fold_batch_norms
from experiments.benchmarks.overhead import seconds
from experiments.named import NAMES, encoder_named
from experiments.record import write_results

ENCODERS = (
    "default",
    "random:torchvision:resnet18",
    "random:torchvision:resnet50",
    "random:timm:vit_tiny_patch16_224",
    "random:timm:vit_small_patch16_224",
)
PICTURE = Path(__file__).parents[1] / "samples" / "blood_smear.jpg"


def forms(encoder: Encoder, pixels: Tensor, compiled: bool) -> dict[str, Run]:
    """Every form of the network, by name; compiled ones have been run once."""
    network, device = copy.deepcopy(encoder.network), pixels.device
    assert isinstance(network, nn.Module)
    folded = copy.deepcopy(network)
    norms = fold_batch_norms(folded, pixels[:2])
    last = copy.deepcopy(folded).to(memory_format=torch.channels_last)
    found: dict[str, Run] = {
        "plain": network,
        "channels last": on_channels_last(copy.deepcopy(network).to(memory_format=torch.channels_last)),
    }
    if norms:
        found["folded"] = folded
        found["folded, channels last"] = on_channels_last(last)
    half = half_type(device)
    if half is not None:
        found["half"] = rounded(network, half, device)
        found["half, folded, channels last"] = rounded(on_channels_last(last), half, device)
    if compiled:
        options: dict[str, Any] = {"freezing": True} if device.type == "cpu" else {"triton.cudagraphs": True}
        found["compiled"] = on_channels_last(torch.compile(last, dynamic=False, options=options))
        if half is not None:
            other = torch.compile(copy.deepcopy(last), dynamic=False, options=options)
            found["compiled, half"] = rounded(on_channels_last(other), half, device)
    return found


def on_channels_last(run: Run) -> Run:
    return lambda pixels: run(pixels.contiguous(memory_format=torch.channels_last))


def rounded(run: Run, half: torch.dtype, device: torch.device) -> Run:
    def rounds(pixels: Tensor) -> Tensor:
        with torch.autocast(device.type, half):
            return run(pixels)

    return rounds


def speeds(encoder: Encoder, rounds: int, compiled: bool) -> list[dict[str, Any]]:
    """One row a form: milliseconds an image and how many times faster than the plain network."""
    height, width = encoder.preprocess.size or (224, 224)
    batch = 20 if height > 100 else 64
    pixels = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0)).to(encoder.device)
    with torch.inference_mode():
        runs = forms(encoder, pixels, compiled)
        first = {name: seconds(lambda run=run: run(pixels)) for name, run in runs.items()}
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(rounds):
            for name, run in runs.items():
                times[name].append(seconds(lambda run=run: run(pixels)))
    rows = []
    for name, taken in times.items():
        ratios = [plain / own for plain, own in zip(times["plain"], taken, strict=True)]
        rows.append(
            {
                "encoder": encoder.name,
                "batch": batch,
                "form": name,
                "ms_per_image": round(statistics.median(taken) / batch * 1000, 3),
                "times_faster": round(statistics.median(ratios), 2),
                "least": round(min(ratios), 2),
                "most": round(max(ratios), 2),
                "compile_s": round(first[name] - statistics.median(taken), 1) if name.startswith("compiled") else "",
            }
        )
        print(rows[-1], flush=True)
    return rows


def agreements(encoder: Encoder, masks: int) -> dict[str, Any]:
    """Correlation of the maps with those at "exact", what was done, and the seconds that it took."""
    found: dict[str, Any] = {}
    exact = None
    for precision in PRECISIONS:
        start = time.perf_counter()
        made = relax.explain(PICTURE, encoder, masks=masks, precision=precision)
        values = made.importance[np.isfinite(made.importance)]
        exact = values if exact is None else exact
        found[precision] = {
            "map_correlation": round(float(np.corrcoef(exact, values)[0, 1]), 6),
            "seconds": round(time.perf_counter() - start, 2),
            **made.provenance["precision"],
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS), help=f"each {NAMES}")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--masks", type=int, default=160)
    parser.add_argument("--compile", action="store_true", help="time compiled forms too, under another name")
    args = parser.parse_args()
    rows, agreed = [], {}
    for name in args.encoders:
        encoder = encoder_named(name)
        rows += speeds(encoder, args.rounds, args.compile)
        if not args.compile:
            agreed[name] = agreements(encoder, args.masks)
            print(name, agreed[name], flush=True)
    summary: dict[str, Any] = {"rounds": args.rounds}
    if agreed:
        summary |= {"masks": args.masks, "agreement": agreed}
    write_results("precision_compiled" if args.compile else "precision", rows, summary)


if __name__ == "__main__":
    main()
