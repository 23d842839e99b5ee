"""Measure the colours and the spectrum of natural pictures, for pictures that are made from nothing (relax/units).

    python -m experiments.recipes.natural_statistics --data DATA --out relax/units/natural.npz

2,000 photographs of Caltech 101 (Fei-Fei, Fergus & Perona 2004, CC BY 4.0), evenly spaced over all of its kinds,
squeezed to 128 x 128 px. What is written is 128 x 65 magnitudes for each of three decorrelated colours, their mixture,
the mean colour and the fall of the spectrum; results/natural_statistics.csv says how far two halves of the photographs
agree.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from experiments.data.datasets import caltech101
from experiments.options import Options
from experiments.record import write_results
from relax.files import written_aside
from relax.units.statistics import Statistics, measured

SIDE = 128


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("caltech101.zip")
    parser.add_count(2000, "photographs")
    parser.add_argument("--out", type=Path, required=True, help="the table, an .npz file")
    args = parser.parse_args()
    photographs = caltech101(args.data, "train")[0]
    step = max(1, len(photographs) // args.count)
    chosen = [squeezed(picture) for picture in photographs[::step][: args.count]]
    table = measured(chosen, "Caltech 101")
    with written_aside(args.out) as aside, aside.open("wb") as stream:
        np.savez_compressed(
            stream,
            mean=table.mean.numpy(),
            mix=table.mix.numpy(),
            spectrum=table.spectrum.numpy().astype(np.float16),
            fall=np.array(table.fall),
            count=np.array(table.count),
        )
    halves = [measured(chosen[start::2], "half") for start in (0, 1)]
    rows = [
        {
            "colour": number,
            "strength": round(float(strength), 4),
            "halves_correlate": round(agreement(halves, number), 4),
        }
        for number, strength in enumerate(table.mix.norm(dim=0))
    ]
    mean = [round(value, 4) for value in table.mean.tolist()]
    write_results("natural_statistics", rows, {"count": table.count, "fall": round(table.fall, 3), "mean": mean})


def squeezed(picture: np.ndarray) -> torch.Tensor:
    """(3, 128, 128) in [0, 1] of a picture (H, W, 3)."""
    small = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1) / 255


def agreement(halves: list[Statistics], colour: int) -> float:
    """Correlation of the logarithms of two spectra of one colour."""
    logarithms = torch.stack([half.spectrum[colour].clamp(min=1e-9).log().flatten() for half in halves])
    return float(torch.corrcoef(logarithms)[0, 1])


if __name__ == "__main__":
    main()
