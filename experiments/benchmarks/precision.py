"""What does each step towards a faster encoder gain here, and do its maps stay the same?

    OMP_NUM_THREADS=1 python -m experiments.benchmarks.precision
    OMP_NUM_THREADS=1 python -m experiments.benchmarks.precision --compile
    python -m experiments.benchmarks.precision --device cuda --batch-size 256 --name precision_gpu

Speed: one batch through each form of the network in turn, round after round; the median over rounds of the time of the
plain network (float32, channels first, batch norms as they are) over that of the form. Agreement: `relax.explain` at
every precision, correlation of the importance maps with that at "exact". All weights but the bundled encoder's are
random: times are the same, and agreement is harder to reach, since random networks tell images apart less well.
"exact", "rounded" and those in OpenVINO, where that is installed, are the forms that the package runs. On a GPU,
convolutions in all others of 32 bits round their inputs to 10 bits (TF32), as torch does by default.
With --compile the compiled forms too, and how long compiling took (minutes, hence separate).
"""

from __future__ import annotations

import copy
import statistics
import time
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import relax
from encoders import Encoder, converted
from encoders.choices import PRECISIONS
from encoders.devices import half_type
from encoders.fast import Run, Way
from encoders.folding import fold_batch_norms
from experiments.benchmarks.measuring import seconds
from experiments.data.pictures import SMEAR
from experiments.named import NAMES, encoder_named
from experiments.options import Options
from experiments.record import write_results
from experiments.summaries import map_correlation

ENCODERS = (
    "default",
    "random:torchvision:resnet18",
    "random:torchvision:resnet50",
    "random:timm:vit_tiny_patch16_224",
    "random:timm:vit_small_patch16_224",
)


def forms(encoder: Encoder, pixels: Tensor, compiled: bool) -> dict[str, Run]:
    """Every form of the network, by name; compiled ones have been run once."""
    network, device = copy.deepcopy(encoder.network), pixels.device
    assert isinstance(network, nn.Module)
    folded = copy.deepcopy(network)
    norms = fold_batch_norms(folded, pixels[:2])
    last = copy.deepcopy(folded).to(memory_format=torch.channels_last)
    runs: dict[str, Run] = {
        "plain": network,
        "channels last": on_channels_last(copy.deepcopy(network).to(memory_format=torch.channels_last)),
    }
    if norms:
        runs["folded"] = folded
        runs["folded, channels last"] = on_channels_last(last)
    half = half_type(device)
    if half is not None:
        runs["half"] = rounded(network, half, device)
        runs["half, folded, channels last"] = rounded(on_channels_last(last), half, device)
    if (form := encoder.form) is not None:
        runs["exact"] = form.exact
        if form.half is not None:
            runs["rounded"] = form.rounded
        if device.type == "cpu" and converted.available():
            encoder.convert(pixels)
            runs |= {way: partial(form.run, way=way) for way in form.ways if way != Way.HALF}
    if compiled:
        options: dict[str, Any] = {"freezing": True} if device.type == "cpu" else {"triton.cudagraphs": True}
        runs["compiled"] = on_channels_last(torch.compile(last, dynamic=False, options=options))
        if half is not None:
            other = torch.compile(copy.deepcopy(last), dynamic=False, options=options)
            runs["compiled, half"] = rounded(on_channels_last(other), half, device)
    return runs


def on_channels_last(run: Run) -> Run:
    """The form, given pixels that lie channels last in memory."""
    return lambda pixels: run(pixels.contiguous(memory_format=torch.channels_last))


def rounded(run: Run, half: torch.dtype, device: torch.device) -> Run:
    """The form under autocast to half precision."""

    def run_rounded(pixels: Tensor) -> Tensor:
        with torch.autocast(device.type, half):
            return run(pixels)

    return run_rounded


def speeds(encoder: Encoder, rounds: int, compiled: bool, size: int | None = None) -> list[dict[str, Any]]:
    """A row per form: milliseconds per image, and how many times faster than the plain network, in batches of `size`.

    By default of as many as suit a processor.
    """
    height, width = encoder.preprocess.size or (224, 224)
    batch = size or (20 if height > 100 else 64)
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
        ratios = [plain / time_taken for plain, time_taken in zip(times["plain"], taken, strict=True)]
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
    """Per precision: correlation of the map with that at "exact", seconds, and what the encoder did."""
    table: dict[str, Any] = {}
    exact = None
    for precision in PRECISIONS:
        start = time.perf_counter()
        explanation = relax.explain(SMEAR, encoder, masks=masks, precision=precision)
        exact = explanation.importance if exact is None else exact
        table[precision] = {
            "map_correlation": round(map_correlation(exact, explanation.importance), 6),
            "seconds": round(time.perf_counter() - start, 2),
            **explanation.provenance["precision"],
        }
    return table


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS), help=f"each one of: {NAMES}")
    parser.add_rounds(7)
    parser.add_masks(160)
    parser.add_device()
    parser.add_argument("--batch-size", type=int, help="images at once; by default as many as suit a processor")
    parser.add_name("precision")
    parser.add_argument("--compile", action="store_true", help="time compiled forms too, in files NAME_compiled")
    args = parser.parse_args()
    rows, agreement = [], {}
    for name in args.encoders:
        encoder = encoder_named(name).to(args.device)
        rows += speeds(encoder, args.rounds, args.compile, args.batch_size)
        if not args.compile:
            agreement[name] = agreements(encoder, args.masks)
            print(name, agreement[name], flush=True)
    summary: dict[str, Any] = {"rounds": args.rounds}
    if agreement:
        summary |= {"masks": args.masks, "agreement": agreement}
    write_results(f"{args.name}_compiled" if args.compile else args.name, rows, summary)


if __name__ == "__main__":
    main()
