"""Does knowing other pictures of an archive save masks? Learnt coefficients as a control variate.

    python -m experiments.studies.amortised --images FOLDER

Before a picture has masks of its own, the maps of other pictures of the archive allow a guess of how far each region
moves its score. The guess joins the surrogate of `relax.estimators.control` as one more number per mask, whose average
is known exactly, with a weight that is cross-fitted like all others. So the estimand stays, and the standard error is
that of what is left. The guess comes from pictures under other masks: under the same, it would not be independent of
the masks that it is used with.

Guesses, in rising cost (see `GUESSES`): the mean of the archive, the nearest pictures in it, a ridge regression and a
small network on the feature maps of the unmasked picture, trained with the loss of FastSHAP. For
comparison stand the picture's own coefficients, from 1,280 masks that are not those it is tried on.

Every block of 256 masks of a held-out picture is tried by itself, with 16 to 256 masks, against the mean of its other
blocks, whose squared error is subtracted. Squared errors are shares of the map's variance over the pixels.

Sources: FastSHAP, Jethani et al. (ICLR 2022); ViT-Shapley, Covert et al. (ICLR 2023).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders import trace
from experiments.named import NAMES, encoder_named
from experiments.options import Options
from experiments.record import write_results
from experiments.studies.coverage import Z95
from experiments.studies.designs import MAPS, Scores, digest
from experiments.summaries import grouped, middle_95
from masking import GridSurrogate, RandomGrid
from relax.estimators.control import ControlledMoments
from relax.scene import Scene
from relax.settings import Hiding

CELLS, BLOCK, BLOCKS = 7, 256, 6
BUDGETS = (16, 32, 64, 128, 256)
HELD_OUT = 24  # at most: the first pictures, which are never learnt from
SIDE = 24  # pixels along a side of the maps that are compared; a mask of a grid has a value wherever it is looked at
LAYERS = ("layer3", "layer4")  # of ResNets, the bundled one among them
COPIES = 32  # of the guess among the numbers per mask: a ridge regression then hardly holds its weight back
NEAREST, STEPS = 20, 100


class WithGuess:
    """The surrogate of a grid, with a guess of its coefficients (features,) as one more number per mask."""

    def __init__(self, own: GridSurrogate, guess: Tensor) -> None:
        self.own, self.guess = own, guess
        self.grid, self.device, self.linear = own.grid, own.device, own.linear + COPIES

    def features(self, start: int, stop: int) -> Tensor:
        """(N, COPIES + features)."""
        own = self.own.features(start, stop)
        return torch.cat([(own @ self.guess)[:, None].expand(-1, COPIES), own], 1)

    def conditional_mean(self, weights: Tensor) -> Tensor:
        """(H, W), exactly: the guess is a sum of the features, so its average is that of theirs."""
        return self.own.conditional_mean(self._joined(weights))

    def mean_of_square(self, weights: Tensor, shares: Tensor, masks: int) -> Tensor:
        """(H, W)."""
        return self.own.mean_of_square(self._joined(weights), shares, masks)

    def _joined(self, weights: Tensor) -> Tensor:
        joined: Tensor = weights[..., COPIES:] + weights[..., :COPIES].sum(-1, keepdim=True) * self.guess
        return joined


@dataclass(frozen=True)
class Known:
    """What is known of pictures, P of them.

    Attributes:
        squares: (P, f, f) mean products of the numbers per mask with each other.
        products: (P, f) of them with the scores, whose variance is brought to 1 for each picture.
        places: (P, cells^2, D) of the unmasked pictures: colours and features of each region.
        embeddings: (P, E), of unit length.
    """

    squares: Tensor
    products: Tensor
    places: Tensor
    embeddings: Tensor

    @classmethod
    def of(cls, parts: list[tuple[Tensor, Tensor, Tensor, Tensor]]) -> Known:
        """From those of each picture."""
        return cls(*(torch.stack(part) for part in zip(*parts, strict=True)))

    def fit(self) -> Tensor:
        """(f,) the coefficients that predict the scores of all pictures best."""
        squares = self.squares.mean(0)
        return torch.linalg.solve(squares + 0.01 * torch.diag(squares.diagonal()), self.products.mean(0))

    def only(self, chosen: Tensor) -> Known:
        """Some of the pictures."""
        return Known(*(part[chosen] for part in vars(self).values()))


def known(scene: Scene, scores: Tensor, grid: RandomGrid) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What is known of one picture, as in `Known`."""
    x = GridSurrogate(grid).features(0, len(scores))
    x, y = x - x.mean(0), (scores.double() - scores.mean()) / scores.double().std()
    embedding = F.normalize(scene.image_embedding.float(), dim=0)
    maps = [scene.view, *trace.activations(scene.encoder, scene.view, LAYERS).values()]
    maps.append((maps[-1] * embedding[:, None, None]).sum(1, keepdim=True))
    coarse = [F.adaptive_avg_pool2d(F.interpolate(each, 42, mode="bilinear"), CELLS) for each in maps]
    return x.mT @ x / len(x), x.mT @ y / len(x), torch.cat(coarse, 1)[0].flatten(1).mT.double(), embedding.double()


Guess = Callable[[Tensor, Tensor], Tensor]  # from places (cells^2, D) and embedding (E,) to coefficients (features,)


def mean_of_archive(archive: Known) -> Guess:
    """The same for every picture."""
    weights = archive.fit()
    return lambda places, embedding: weights


def nearest_pictures(archive: Known) -> Guess:
    """Those of the pictures whose embeddings are nearest."""
    return lambda places, embedding: archive.only((archive.embeddings @ embedding).topk(NEAREST).indices).fit()


def ridge_of_features(archive: Known) -> Guess:
    """Linear in the features of a region, and a map for all pictures, from all scores at once."""
    middle, scale = archive.places.mean((0, 1)), archive.places.std((0, 1)) + 1e-6
    regions = archive.places.shape[1]

    def inputs(places: Tensor) -> Tensor:
        return torch.cat([(places - middle) / scale, 10 * torch.eye(regions, dtype=torch.float64)], 1)

    squares = products = torch.tensor(0.0, dtype=torch.float64)
    for part, square, product in zip(archive.places, archive.squares, archive.products, strict=True):
        x = inputs(part)
        squares = squares + x.mT @ square[:regions, :regions] @ x / len(archive.places)
        products = products + x.mT @ product[:regions] / len(archive.places)
    weights = torch.linalg.solve(squares + squares.diagonal().mean() * torch.eye(len(squares)), products)
    rest = archive.products.shape[1] - regions
    return lambda places, embedding: F.pad(inputs(places) @ weights, (0, rest))


def network(archive: Known) -> Guess:
    """Two convolutions over the features, beside the map of all pictures; FastSHAP's loss over all masks at once."""
    torch.manual_seed(0)
    base = archive.fit().float()
    squares, products, all_places = (part.float() for part in (archive.squares, archive.products, archive.places))
    middle, scale = all_places.mean((0, 1)), all_places.std((0, 1)) + 1e-6
    regions, depth = all_places.shape[1:]
    layers = (nn.Conv2d(depth, 16, 1), nn.GELU(), nn.Dropout(0.2), nn.Conv2d(16, 1, 3, padding=1))
    net = nn.Sequential(*layers)
    nn.init.zeros_(layers[-1].weight)

    def guesses(places: Tensor) -> Tensor:
        x = ((places - middle) / scale).mT.unflatten(-1, (CELLS, CELLS))
        return base + F.pad(net(x).flatten(1), (0, len(base) - regions))

    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.1)
    for _ in range(STEPS):
        weights = guesses(all_places)
        loss = (((weights[:, None] @ squares)[:, 0] - 2 * products) * weights).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    net.eval()
    return lambda places, embedding: guesses(places[None].float())[0].detach().double()


GUESSES: dict[str, Callable[[Known], Guess]] = {
    "mean of the archive": mean_of_archive,
    "nearest pictures": nearest_pictures,
    "ridge on features": ridge_of_features,
    "network on features": network,
}


def measure(name: str, scores: Tensor, grid: RandomGrid, guesses: dict[str, Tensor]) -> Iterator[dict[str, Any]]:
    """A row per block, guess and number of masks."""
    own = GridSurrogate(grid)
    x = own.features(0, len(scores))
    whole = [_estimate(own, scores[start : start + BLOCK], start) for start in range(0, len(scores), BLOCK)]
    for block in range(len(whole)):
        others = [estimate for number, estimate in enumerate(whole) if number != block]
        truth = {key: torch.stack([getattr(other, key) for other in others]) for key in MAPS}
        first = block * BLOCK
        unseen = torch.cat([torch.arange(first), torch.arange(first + BLOCK, len(scores))])
        from_others = _ridge(x[unseen], scores[unseen])
        surrogates = {"none (the default)": own}
        for kind, guess in {**guesses, "its own coefficients": from_others}.items():
            surrogates[kind] = WithGuess(own, guess)
        for masks in BUDGETS:
            for kind, surrogate in surrogates.items():
                estimate = _estimate(surrogate, scores[first : first + masks], first)
                yield {"image": name, "block": block, "masks": masks, "guess": kind, **_judged(estimate, truth)}


def _estimate(surrogate: Any, scores: Tensor, first: int) -> ControlledMoments:
    moments = ControlledMoments(surrogate, first)
    moments.add(scores)
    return moments


def _ridge(x: Tensor, scores: Tensor) -> Tensor:
    """(features,) coefficients from many masks."""
    x, y = x - x.mean(0), scores.double() - scores.double().mean()
    return torch.linalg.solve(x.mT @ x + torch.diag(3 * x.square().mean(0)), x.mT @ y)


def _judged(estimate: ControlledMoments, truth: dict[str, Tensor]) -> dict[str, float]:
    """Squared errors over the map's variance, less that of the truth, and how often the 95 % interval holds it."""
    result = {}
    for name, others in truth.items():
        middle, error = others.mean(0), others.var(0) / len(others)
        distance = getattr(estimate, name) - middle
        result[name] = round(float((distance.square() - error).mean() / middle.var()), 6)
        if name == "importance":
            limit = Z95 * (estimate.standard_error.square() + error).sqrt()
            result["coverage"] = round(float((distance.abs() <= limit).double().mean()), 4)
    return {**result, "explained": round(estimate.explained, 4)}


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """For each guess and number of masks: error against the default's, by pictures; what is explained; coverage."""
    table: dict[str, Any] = {}
    base = {masks: group for (masks,), group in grouped(rows, "masks").items()}
    for (masks, guess), group in grouped(rows, "masks", "guess").items():
        default = [row for row in base[masks] if row["guess"] == rows[0]["guess"]]
        ratios = {name: _ratio(group, default, name) for name in MAPS}
        means = {
            name: round(float(np.mean([row[name] for row in group])), 4) for name in (*MAPS, "coverage", "explained")
        }
        table[f"{masks} masks, {guess}"] = {"error": means, "against_default": ratios}
    return table


def _ratio(group: list[dict[str, Any]], base: list[dict[str, Any]], name: str) -> dict[str, float]:
    """The ratio of mean errors, and its bootstrap interval over pictures."""
    errors, others = (
        np.array([np.mean([row[name] for row in rows]) for rows in grouped(part, "image").values()])
        for part in (group, base)
    )
    draws = np.random.default_rng(0).integers(0, len(errors), (2000, len(errors)))
    low, high = middle_95(errors[draws].mean(1) / others[draws].mean(1))
    return {"ratio": round(float(errors.mean() / others.mean()), 3), "low": round(low, 3), "high": round(high, 3)}


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures (*.jpg), and folders in it")
    parser.add_count(120, "pictures to learn from")
    parser.add_argument("--held-out", type=int, default=6, help=f"pictures to try it on, at most {HELD_OUT}")
    parser.add_masks(128, "masks of a picture to learn from")
    parser.add_argument("--encoder", default="default", help=NAMES)
    parser.add_argument("--scores", type=Path, default=Path("runs/scores"), help="folder where scores are kept")
    parser.add_name("amortised")
    args = parser.parse_args()
    encoder = encoder_named(args.encoder)
    paths = sorted(args.images.rglob("*.jpg"))
    random.Random(0).shuffle(paths)

    def scored(number: int, seed: int, masks: int) -> tuple[Scene, RandomGrid, Tensor]:
        scene = Scene.of(str(paths[number]), encoder, Hiding(cells=CELLS))
        folder = args.scores / encoder.checksum[:16] / f"{paths[number].stem}-{digest(scene)}"
        folder.mkdir(parents=True, exist_ok=True)
        scores = Scores(scene, folder).of(RandomGrid(scene.size, CELLS, seed=seed, design="orthogonal"), masks)
        return scene, RandomGrid((SIDE, SIDE), CELLS, seed=seed, design="orthogonal"), scores

    parts = []
    for number in range(HELD_OUT, HELD_OUT + args.count):
        scene, grid, scores = scored(number, 10_000 + number, args.masks)
        parts.append(known(scene, scores, grid))
    archive = Known.of(parts)
    guesses = {name: learn(archive) for name, learn in GUESSES.items()}
    rows: list[dict[str, Any]] = []
    for number in range(args.held_out):
        scene, grid, scores = scored(number, 1_000_000 + number, BLOCK * BLOCKS)
        _, _, places, embedding = known(scene, scores, grid)
        coefficients = {name: guess(places, embedding) for name, guess in guesses.items()}
        rows += measure(f"{paths[number].parent.name}/{paths[number].stem}", scores, grid, coefficients)
        print(number + 1, paths[number].stem, flush=True)
    learnt = {"pictures": args.count, "masks": args.masks, "held_out": args.held_out}
    summary = {"encoder": {"name": encoder.name, "checksum": encoder.checksum}, "learnt_from": learnt}
    table = summarise(rows)
    write_results(args.name, rows, {**summary, "squared_errors": table})
    for key, values in table.items():
        print(f"{key:<50} {values}")


if __name__ == "__main__":
    main()
