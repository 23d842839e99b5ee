"""Would cheap passes of the same network spare full ones? Two fidelities, as in multilevel Monte Carlo.

    OMP_NUM_THREADS=1 python -m experiments.studies.fidelities --images FOLDER

after the recipes `pretrained` and `published`. The scores of the same masks at full cost and at lower ones: the network
on smaller pictures, its first layers, its products in bfloat16 (OpenVINO). From both the surrogate of the maps is
taken first, linear in regions and products of neighbours and cross-fitted, since it costs no passes: what is left of
the cheap scores may tell what is left of the full ones. With their correlation rho and the ratio w of the costs, the
best division of the passes among the two reaches the same error in

    (sqrt(1 - rho^2) + sqrt(w) |rho|)^2

of the time that full passes alone take (Peherstorfer, Willcox & Gunzburger, "Optimal model management for multifidelity
Monte Carlo estimation", SIAM J. Sci. Comput. 2016), or in all of it where cheap passes do not pay. `gain` is its
inverse.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict
from torch import Tensor, nn

import relax
from encoders import Encoder
from encoders.converted import Converted
from encoders.inner import at_layer
from experiments.benchmarks.measuring import seconds
from experiments.data.pictures import photographs_in
from experiments.named import encoder_named
from experiments.options import Options
from experiments.record import write_results
from experiments.summaries import grouped, with_interval
from masking import GridSurrogate, RandomGrid, blend

SIDES = {"default": (64, 48), "salience": (168, 112, 84), "salience-112": (84, 56)}  # whole patches of 14 px
OTHER_SIDES = (160, 112, 96)
LAYERS = {
    "default": ("layer2", "layer3"),
    "sscd": ("twin.layer2", "twin.layer3"),
    "efficientnet-lite0": ("blocks.2", "blocks.4"),
    "resnet50-thin": ("layer2", "layer3"),
    "salience-112": ("blocks.3", "blocks.7"),
    "salience": ("blocks.3", "blocks.7"),
}
CELLS, BATCH, TIMED = 7, 16, 5
Embed = Callable[[Tensor], Tensor]
Numbers = NDArray[np.float64]


def resized(name: str, encoder: Encoder, side: int) -> Encoder:
    """The same network on pictures of side x side px."""
    if name.startswith("salience"):
        return encoder_named(f"salience-{side}")
    preprocess = encoder.preprocess
    assert preprocess.size is not None
    shrink = side / preprocess.size[0]
    resize = preprocess.resize
    smaller = (
        tuple(round(length * shrink) for length in resize)
        if isinstance(resize, tuple)
        else resize and round(resize * shrink)
    )
    return Encoder(
        encoder.network,
        name=encoder.name,
        preprocess=replace(preprocess, size=(side, side), resize=smaller),
        device="cpu",
    )


def fast(encoder: Encoder, dtype: torch.dtype = torch.float32) -> Embed:
    """Prepared views to embeddings by OpenVINO; SSCD's own graph of 8-bit numbers stays what it is in float32."""
    network = cast(nn.Module, encoder.network)
    if hasattr(network, "twin"):
        if dtype == torch.float32:
            return network
        network = network.twin
    height, width = encoder.preprocess.size or (224, 224)
    return partial(Converted(network, torch.zeros(2, 3, height, width)).run, dtype=dtype)


def levels(name: str, layers: bool) -> Iterator[tuple[str, Encoder, Embed, Encoder, Embed]]:
    """Names of the cheaper levels, each with the full one that it is compared with, embedded in the same library."""
    encoder = encoder_named(name)
    full = fast(encoder)
    for side in SIDES.get(name, OTHER_SIDES):
        smaller = resized(name, encoder, side)
        yield f"{side} px", smaller, fast(smaller), encoder, full
    yield "bfloat16", encoder, fast(encoder, torch.bfloat16), encoder, full
    for layer in LAYERS[name] if layers else ():
        inner = at_layer(encoder, layer)
        whole = cast(nn.Module, encoder.network)
        yield layer, inner, cast(nn.Module, inner.network), encoder, getattr(whole, "twin", whole)


@torch.inference_mode()
def scores_of(encoder: Encoder, embed: Embed, picture: Tensor, masks: int, seed: int) -> tuple[Tensor, float]:
    """(masks,) cosines to the picture itself under the masks of a seed, and the least seconds that a view took."""
    view = encoder.view(picture)
    prepared = encoder.preprocess.normalise(view)
    fill = torch.zeros(1, 3, 1, 1)  # the mean pixel
    grid = RandomGrid((view.shape[2], view.shape[3]), CELLS, seed=seed, design="orthogonal")
    itself = embed(prepared.expand(2, -1, -1, -1).contiguous())[:1]
    scores, taken = [], []
    for start in range(0, masks, BATCH):
        views = blend(prepared, grid.masks(start, min(start + BATCH, masks)), fill)
        embeddings: list[Tensor] = []
        taken.append(seconds(lambda views=views, into=embeddings: into.append(embed(views))) / len(views))
        scores.append(torch.cosine_similarity(embeddings[0].double(), itself.double()))
    return torch.cat(scores), min(taken)


def residuals(scores: Numbers, features: Numbers, singles: int) -> Numbers:
    """What cross-fitted ridge regressions on the surrogate's features leave of the scores."""
    scaled = features / features.std(0)
    scaled[:, singles:] /= math.sqrt(10)  # products are penalised more
    predicted = cross_val_predict(RidgeCV(np.geomspace(0.1, 3000, 12)), scaled, scores, cv=4)
    return cast(Numbers, scores - predicted)


def share_of_time(rho: float, cost: float) -> float:
    """Of full passes alone, at the same error, with the best division among the levels."""
    pays = rho**2 > 4 * cost / (1 + cost) ** 2
    return (math.sqrt(1 - rho**2) + math.sqrt(cost) * abs(rho)) ** 2 if pays else 1.0


def compared(cheap: Numbers, full: Numbers, features: Numbers, singles: int, cost: float) -> dict[str, float]:
    """Correlations before and after the surrogate, of scores and of their squares, and the gain that follows."""
    left = [residuals(values - values.mean(), features, singles) for values in (cheap, full)]
    squares = [residuals((values - values.mean()) ** 2, features, singles) for values in (cheap, full)]
    rho, rho_squares = (abs(float(np.corrcoef(*pair)[0, 1])) for pair in (left, squares))
    return {
        "explained": round(1 - float(left[1].var() / full.var()), 4),
        "correlation": round(float(np.corrcoef(cheap, full)[0, 1]), 5),
        "residual_correlation": round(rho, 5),
        "residual_correlation_of_squares": round(rho_squares, 5),
        "cost": round(cost, 4),
        "gain": round(1 / share_of_time(rho, cost), 3),
        "gain_of_squares": round(1 / share_of_time(rho_squares, cost), 3),
    }


def measure(name: str, paths: list[Path], masks: int, seed: int, layers: bool) -> Iterator[dict[str, Any]]:
    """A row per level and picture."""
    known: dict[tuple[int, Path], tuple[Tensor, float]] = {}
    for level, encoder, embed, whole, full in levels(name, layers):
        for path in paths:
            picture = relax.read_image(path)
            key = id(full), path
            if key not in known:
                known[key] = scores_of(whole, full, picture, masks, seed)
            cheap, fast_seconds = scores_of(encoder, embed, picture, masks, seed)
            expected, full_seconds = known[key]
            height, width = whole.preprocess.size or (224, 224)
            surrogate = GridSurrogate(RandomGrid((height, width), CELLS, seed=seed, design="orthogonal"))
            features = surrogate.features(0, masks).numpy()
            row = {"encoder": name, "level": level, "image": path.stem}
            row |= compared(cheap.numpy(), expected.numpy(), features, surrogate.linear, fast_seconds / full_seconds)
            print(row, flush=True)
            yield row


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders of pictures (*.jpg)")
    parser.add_count(4, "pictures of each folder, evenly spaced over the sorted names")
    parser.add_argument("--encoders", nargs="+", default=list(LAYERS), choices=LAYERS)
    parser.add_argument("--layers", action="store_true", help="the first layers too, which run in torch and take long")
    parser.add_masks(512)
    parser.add_seed()
    parser.add_name("fidelities")
    args = parser.parse_args()
    paths = [path for folder in args.images for path in photographs_in(folder, args.count)]
    rows: list[dict[str, Any]] = []
    for name in args.encoders:
        rows += measure(name, paths, args.masks, args.seed, args.layers)
        write_results(args.name, rows, {"masks": args.masks, "pictures": len(paths), "levels": summary(rows)})


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row per encoder and level: means over the pictures, with intervals of the gain."""
    table = []
    for (name, level), group in grouped(rows, "encoder", "level").items():
        means = {key: round(statistics.fmean(row[key] for row in group), 4) for key in list(group[0])[3:]}
        table.append(
            {"encoder": name, "level": level, **means, **with_interval("gain", [row["gain"] for row in group])}
        )
    return table


if __name__ == "__main__":
    main()
