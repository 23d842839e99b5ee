"""What does explaining cost on top of the encoder? Time of `relax.explain` over the bare forward passes.

    python -m experiments.benchmarks.overhead
    python -m experiments.benchmarks.overhead --encoder default --masks 3008 --name overhead_default
    python -m experiments.benchmarks.overhead --masks 3072 --batch-size 256 --device cuda --name overhead_gpu

By default for a ResNet-18, 224 px, float32, random weights: the same number of images in the same batches through the
bare network, in its fastest exact form (`encoders.fast`) and as it is, and through `relax.explain`, alternating in one
process; the median over rounds of the ratio of their times. As it is, a network on a GPU rounds the inputs of
convolutions to 10 bits (TF32), which the exact form does not.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

import relax
from experiments.benchmarks.measuring import seconds
from experiments.named import NAMES, encoder_named
from experiments.options import Options
from experiments.record import write_results
from experiments.summaries import median_and_range


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--encoder", default="random:torchvision:resnet18", help=NAMES)
    parser.add_masks(320, "images per round")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_rounds(7)
    parser.add_device()
    parser.add_name("overhead")
    args = parser.parse_args()
    encoder = encoder_named(args.encoder).to(args.device)
    height, width = encoder.preprocess.size or (224, 224)
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    view = encoder.view(image)
    # Normalised beforehand: the bare network and nothing else.
    batch = encoder.preprocess.normalise(torch.rand(args.batch_size, *view.shape[1:]).to(encoder.device))

    def bare(network: Callable[[torch.Tensor], torch.Tensor]) -> None:
        with torch.inference_mode():
            for _ in range(args.masks // args.batch_size):
                network(batch)

    def explain() -> None:
        relax.explain(image, encoder, masks=args.masks, batch_size=args.batch_size)

    explain()  # prepares the fast form
    form = encoder.form
    assert form is not None
    bare(form.exact), bare(encoder.network)
    rows = []
    for number in range(args.rounds):
        floor, whole = seconds(lambda: bare(form.exact)), seconds(explain)
        row = {"round": number, "bare_s": floor, "explain_s": whole, "ratio": whole / floor}
        row["plain_s"] = seconds(lambda: bare(encoder.network))
        row["ratio_to_plain"] = whole / row["plain_s"]
        rows.append({name: round(value, 4) for name, value in row.items()})
        print(rows[-1], flush=True)
    summary = {"encoder": encoder.name, "masks": args.masks, "batch_size": args.batch_size}
    for name in ("ratio", "ratio_to_plain"):
        summary[name] = median_and_range([row[name] for row in rows])
    write_results(args.name, rows, summary)
    print(summary["ratio"], summary["ratio_to_plain"])


if __name__ == "__main__":
    main()
