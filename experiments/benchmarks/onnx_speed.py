"""How fast is ONNX Runtime beside torch? Time of `relax.explain` per masked view, the same weights in both.

    python -m experiments.benchmarks.onnx_speed

By default a ResNet-50 with random weights, 224 px: in torch (its fastest exact form, `encoders.fast`) and as an ONNX
graph of the same weights, exported here. Beside them SSCD in int8, where its extra is installed: a ResNet-50 too, but
with other weights and GeM pooling, so that the one in torch is a yardstick and no twin. They take turns in one process,
at 1 and 2 threads; a ratio is of the times of one round.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn
from torch.nn import functional as F

import relax
from encoders import Encoder
from experiments.benchmarks.measuring import seconds
from experiments.options import Options
from experiments.record import write_results
from experiments.summaries import grouped, median_and_range

THREADS = (1, 2)


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--encoder", default="random:torchvision:resnet50", help="that torch can export")
    parser.add_masks(64, "images per round")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_rounds(7)
    parser.add_name("onnx_speed")
    args = parser.parse_args()
    rows, agreement = [], 0.0
    with TemporaryDirectory() as folder:
        spec = exported(relax.load_encoder(args.encoder, device="cpu"), Path(folder) / "network.onnx")
        for threads in THREADS:
            torch.set_num_threads(threads)
            encoders = loaded(args.encoder, spec)  # anew: ONNX Runtime takes its threads when a graph is opened
            image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
            agreement = float(F.cosine_similarity(encoders["torch"](image), encoders["onnx"](image)))
            for number in range(args.rounds + 1):  # the first warms up
                taken = {name: each(encoder, image, args.masks, args.batch_size) for name, encoder in encoders.items()}
                row = {"threads": threads, "round": number}
                row |= {f"{name}_ms": round(ms, 3) for name, ms in taken.items()}
                row |= {f"{name}_to_torch": round(ms / taken["torch"], 4) for name, ms in taken.items()}
                if number:
                    rows.append(row)
                    print(row, flush=True)
    summary = {"encoder": args.encoder, "masks": args.masks, "batch_size": args.batch_size, "cosine": agreement}
    for (threads,), group in grouped(rows, "threads").items():
        names = [name for name in group[0] if name.endswith(("_ms", "_to_torch")) and name != "torch_to_torch"]
        summary[f"threads_{threads}"] = {name: median_and_range([row[name] for row in group]) for name in names}
    write_results(args.name, rows, summary)


def exported(encoder: Encoder, path: Path) -> str:
    """Write the network as an ONNX graph of free batch; returns the spec that loads it with the same preprocessing."""
    network, preprocess = encoder.network, encoder.preprocess
    assert isinstance(network, nn.Module)
    view = encoder.prepare(encoder.view(torch.zeros(2, 3, 224, 224)))
    with warnings.catch_warnings(action="ignore"):  # the newer exporter needs a further package
        torch.onnx.export(
            network, (view,), path, dynamo=False, input_names=["pixels"], dynamic_axes={"pixels": {0: "batch"}}
        )
    mean, std = (",".join(map(str, values or ())) for values in (preprocess.mean, preprocess.std))
    resize = preprocess.resize or preprocess.size or 224
    shorter = "x".join(map(str, resize)) if isinstance(resize, tuple) else resize
    return f"onnx:{path}?resize={shorter}&mean={mean}&std={std}&interpolation={preprocess.interpolation}"


def loaded(torch_spec: str, onnx_spec: str) -> dict[str, Encoder]:
    """The encoders to compare, by the names of their columns."""
    specs = {"torch": torch_spec, "onnx": onnx_spec, "sscd": "sscd"}
    encoders = {}
    for name, spec in specs.items():
        try:
            encoders[name] = relax.load_encoder(spec, device="cpu")
        except ImportError as error:
            print(f"without {name}: {error}", flush=True)
    return encoders


def each(encoder: Encoder, image: torch.Tensor, masks: int, batch_size: int) -> float:
    """Milliseconds for a masked view."""
    return seconds(lambda: relax.explain(image, encoder, masks=masks, batch_size=batch_size)) / masks * 1000


if __name__ == "__main__":
    main()
