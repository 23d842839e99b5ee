"""Embeddings of masked pictures, recorded once: estimators are then compared on the same masks, without an encoder.

    python -m experiments.data.recordings --data DATA --out OUT
    python -m experiments.data.recordings --data DATA --out OUT --encoder sscd --dataset kvasir --cells 14

A file per picture in OUT/ENCODER/, written when all its masks are done, so that a stopped run continues. The masks are
those of the default design with the seed of the file, and are drawn again from it.
With --precision auto the passes run in OpenVINO where it is sooner and the scores agree.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from encoders import Encoder
from encoders.choices import PRECISIONS
from experiments.data.pictures import DATASETS, Picture, pictures
from experiments.named import NAMES, encoder_named
from experiments.options import Options
from masking import RandomGrid
from relax.estimators.budget import Budget
from relax.files import written_aside
from relax.scene import Scene
from relax.settings import Hiding


@dataclass(frozen=True)
class Recording:
    """One picture through one encoder.

    Attributes:
        encoder: Its name.
        picture: Its name.
        grid: The masks.
        embeddings: (N, D) float32 under masks 0 to N - 1.
        reference: (D,) float32 of the picture itself.
        seconds: What the masks and their embeddings took.
    """

    encoder: str
    picture: str
    grid: RandomGrid
    embeddings: Tensor
    reference: Tensor
    seconds: float

    @classmethod
    def read(cls, path: Path) -> Recording:
        """The recording in a file that `record` wrote."""
        with np.load(path, allow_pickle=False) as kept:
            size, cells, seed = (kept[name].tolist() for name in ("size", "cells", "seed"))
            grid = RandomGrid(tuple(size), cells, seed=seed, design=str(kept["design"]))
            embeddings, reference = (torch.from_numpy(kept[name]) for name in ("embeddings", "reference"))
            seconds = float(kept["seconds"])
        return cls(path.parent.name, path.stem.rpartition("_")[0], grid, embeddings, reference, seconds)

    def scores(self) -> Tensor:
        """(N,) float64 cosines to the picture itself."""
        return torch.cosine_similarity(self.embeddings.double(), self.reference.double()[None], dim=1)


def record(encoder: Encoder, picture: Picture, cells: int, seed: int, masks: int, folder: Path) -> Path:
    """Write the recording of one picture, unless it is there."""
    path = folder / f"{picture.name}_{cells}.npz"
    if path.exists():
        return path
    scene = Scene.of(picture.pixels, encoder, Hiding(cells=cells, seed=seed, design="orthogonal"))
    assert isinstance(scene.source, RandomGrid)
    start = time.perf_counter()
    with torch.inference_mode():
        embeddings = torch.cat([batch for _, batch in scene.passes(Budget(masks))])
    seconds = time.perf_counter() - start
    with written_aside(path) as aside, aside.open("wb") as stream:
        np.savez(
            stream,
            embeddings=embeddings.float().cpu().numpy(),
            reference=scene.image_embedding.float().cpu().numpy(),
            size=np.array(scene.source.image_size),
            cells=np.array(cells),
            seed=np.array(seed),
            design=np.array(scene.source.design),
            seconds=np.array(seconds),
        )
    return path


def recordings(folder: Path, encoder: str, cells: int) -> Iterator[Recording]:
    """All recordings of an encoder with so many cells, in the order of their names."""
    for path in sorted((folder / encoder).glob(f"*_{cells}.npz")):
        yield Recording.read(path)


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("imagenet_sample or kvasir_seg")
    parser.add_argument("--dataset", default="imagenet", choices=DATASETS)
    parser.add_argument("--encoder", default="default", help=NAMES)
    parser.add_argument("--cells", type=int, nargs="+", default=[7, 14])
    parser.add_count(6, "pictures, evenly spaced over the sorted names")
    parser.add_masks(4096)
    parser.add_argument("--precision", default="exact", choices=PRECISIONS, help="auto: OpenVINO where it agrees")
    parser.add_argument("--out", type=Path, default=Path("runs/recordings"), help="where recordings are kept")
    parser.add_seed()
    args = parser.parse_args()
    encoder = encoder_named(args.encoder).with_precision(args.precision)
    for number, picture in enumerate(pictures(args.dataset, args.data, args.count)):
        for cells in args.cells:
            seed = args.seed + number + (1000 if args.dataset == "kvasir" else 0)
            path = record(encoder, picture, cells, seed, args.masks, args.out / args.encoder)
            print(path.name, flush=True)


if __name__ == "__main__":
    main()
