"""Do links join what two pictures share, how exact are they, and what do other ways of linking give?

    OMP_NUM_THREADS=1 python -m experiments.studies.links --images FOLDER --out runs/links

Each pair is two collages of 2 x 2 photographs that share one photograph, at another place in each; the links are those
of 6 x 6 cells (3 x 3 in a photograph), so that 9 of 1,296 links join a cell and its copy, and one of 16 sums over
photographs. Embeddings are kept in `--out`, so that a run that was stopped goes on.

- cells, tiles: area under the ROC curve of the true links among all, by cells and by sums over photographs
- pointing: of the cells of the shared photograph, those whose strongest link in the other collage is their copy
- only: area under the ROC curve of the photographs that are not shared, by the map of what only one side shows
- insertion, deletion: mean cosine of both while their cells are shown, or hidden, in the order of their strongest links
- error: against 4,096 masks of each side, for two pairs, for as many passes

The other ways, of as many passes where they need any:

- pairs: regression on masks that are drawn for both sides together, with all products of two parts (the model of
  FIxLIP, least squares of least norm)
- table: regression on the table of all pairs of independent masks, FIxLIP's cross-modal form; for the error alone
- gradients: products of integrated gradients of the embedding along cells, as exCLIP's second-order attributions, by
  central differences at 7 places of the path from fill to picture
- alone: cosine of the two cells, each shown alone
- maps: product of the effects that each cell has on the closeness to the whole other side
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional as F

from encoders import Encoder
from experiments.options import Options
from experiments.record import write_results
from masking.cells import CellMasks
from relax.links.effects import Replicates
from relax.links.estimating import Side, effects_on, links_of, products
from relax.scene import Scene, load_encoder
from relax.settings import Settings

TILES, CELLS = 2, 6  # along each side of a collage
PLACES, STEP = 7, 0.05  # of the path, and of a central difference on it
BATCH = 16
LONG, KNOWN = 4096, 2  # masks of the long run, and pairs that have one
BLOCK = 128  # of the orthogonal array over 36 cells


@dataclass(frozen=True)
class Collages:
    """Two collages with a photograph in common.

    Attributes:
        pictures: Two of (H, W, 3) uint8.
        places: The number of the tile that has it, in each.
    """

    pictures: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    places: tuple[int, int]


def collages(files: list[Path], rng: np.random.Generator, side: int) -> Collages:
    """Draw a pair of `side` px."""
    others = TILES**2 - 1
    chosen = [files[number] for number in rng.choice(len(files), 1 + 2 * others, replace=False)]
    places = [int(place) for place in rng.choice(TILES**2, 2, replace=False)]
    pictures = []
    for place, rest in zip(places, (chosen[1 : 1 + others], chosen[1 + others :]), strict=True):
        tiles = [_tile(file, side // TILES) for file in [*rest[:place], chosen[0], *rest[place:]]]
        pictures.append(np.vstack([np.hstack(tiles[row : row + TILES]) for row in range(0, TILES**2, TILES)]))
    return Collages((pictures[0], pictures[1]), (places[0], places[1]))


def _tile(file: Path, side: int) -> NDArray[np.uint8]:
    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    shorter = min(picture.size)
    left, top = (picture.width - shorter) // 2, (picture.height - shorter) // 2
    cropped = picture.crop((left, top, left + shorter, top + shorter))
    return np.asarray(cropped.resize((side, side), Image.Resampling.LANCZOS))


@dataclass
class Embedder:
    """One side of a pair under masks of its cells."""

    scene: Scene
    seed: int

    @classmethod
    def of(cls, picture: NDArray[np.uint8], encoder: Encoder, number: int) -> Embedder:
        """Of a collage, with masks from that seed."""
        hiding = replace(Settings.of({"cells": CELLS}).hiding, seed=number)
        return cls(Scene.of(picture, encoder, hiding, "plain"), number)

    def __call__(self, cells: Tensor) -> Tensor:
        """(N, D) under masks of cells (N, 36) in [0, 1]."""
        masks = CellMasks(self.scene.size, CELLS)
        masked = (self.scene.masked(masks.enlarged(batch)) for batch in cells.float().split(BATCH))
        return torch.cat([self.scene.encoder.embed(views).cpu() for views in masked])

    def shown(self, masks: int, design: str = "orthogonal", keep: float = 0.5, seed: int | None = None) -> Tensor:
        """(N, 36)."""
        return CellMasks(self.scene.size, CELLS, keep, self.seed if seed is None else seed, design).shown(0, masks)

    def kept(self, masks: int, *, everything: bool) -> dict[str, Tensor]:
        """What all ways of linking need."""
        shown, single = self.shown(masks), torch.eye(CELLS**2)
        kept = {"shown": shown, "Z": self(shown), "one": self(single), "whole": self.scene.image_embedding}
        if everything:
            path = (torch.arange(PLACES) + 0.5) / PLACES
            grid = path[:, None, None] + STEP * torch.stack([single, -single])[:, None].flatten(0, 1).view(
                2, 1, -1, CELLS**2
            )
            ends = self(grid.view(-1, CELLS**2)).view(2, PLACES, CELLS**2, -1)
            kept["gradients"] = ((ends[0] - ends[1]) / (2 * STEP)).mean(0)
        return kept


def kept_pairs(args: Any, encoder: Encoder) -> list[tuple[list[dict[str, Tensor]], tuple[int, int]]]:
    """Embeddings of both sides of each pair, computed or read."""
    args.out.mkdir(parents=True, exist_ok=True)
    pairs = []
    for number in range(args.count):
        path = args.out / f"{number}.pt"
        if not path.exists():
            drawn = drawn_pair(args, number)
            sides = [
                Embedder.of(picture, encoder, side).kept(args.masks, everything=not args.links_only)
                for side, picture in enumerate(drawn.pictures)
            ]
            aside = path.with_suffix(".part")
            torch.save((sides, drawn.places), aside)
            os.replace(aside, path)
            print(f"pair {number + 1} of {args.count}", flush=True)
        pairs.append(torch.load(path, weights_only=True))
    return pairs


def drawn_pair(args: Any, number: int) -> Collages:
    """One of the pairs of the study."""
    return collages(sorted(args.images.glob("*.jpg")), np.random.default_rng([args.seed, number]), args.side)


def side_of(kept: dict[str, Tensor], masks: int) -> Side:
    """Of the first so many masks."""
    replicates = Replicates(kept["shown"][:masks].double(), 0.5, masks // BLOCK)
    return Side(replicates, kept["Z"][:masks], kept["whole"])


def ways(sides: list[dict[str, Tensor]], masks: int) -> dict[str, Tensor]:
    """(36, 36) links by every way."""
    first, second = (side_of(kept, masks) for kept in sides)
    unit = [F.normalize(side.embeddings.double(), dim=1) for side in (first, second)]
    links = {"relax": links_of(products(first, second, "cosine"))[0]}
    links["pairs"] = regressed(first.replicates.shown, second.replicates.shown, (unit[0] * unit[1]).sum(1))
    if "gradients" in sides[0]:
        # of the unit embedding: what lies along the embedding itself does not turn it
        turned = [_turning(kept["gradients"].double(), kept["whole"].double()) for kept in sides]
        links["gradients"] = turned[0] @ turned[1].T
    alone = [F.normalize(kept["one"].double(), dim=1) for kept in sides]
    links["alone"] = alone[0] @ alone[1].T
    to_other = [_to_other(first, second), _to_other(second, first)]
    links["maps"] = to_other[0][:, None] * to_other[1]
    return links


def _turning(gradients: Tensor, whole: Tensor) -> Tensor:
    along = F.normalize(whole, dim=0)
    turned: Tensor = (gradients - (gradients @ along)[:, None] * along) / whole.norm()
    return turned


def _to_other(side: Side, other: Side) -> Tensor:
    return effects_on(side, F.cosine_similarity(side.embeddings.double(), other.whole.double()[None]))[0]


def regressed(first: Tensor, second: Tensor, scores: Tensor) -> Tensor:
    """(36, 36) cross terms of the least squares of least norm, on single parts and all products of two of them."""
    both = 2 * torch.cat([first, second], 1).double() - 1
    pairs = torch.combinations(torch.arange(both.shape[1]), 2)
    features = torch.cat([torch.ones_like(both[:, :1]), both, both[:, pairs[:, 0]] * both[:, pairs[:, 1]]], 1)
    weights = torch.from_numpy(np.linalg.lstsq(features.numpy(), scores.numpy(), rcond=None)[0])[1 + both.shape[1] :]
    table = torch.zeros(both.shape[1], both.shape[1], dtype=torch.float64)
    table[pairs[:, 0], pairs[:, 1]] = 4 * weights  # of parts that are 0 or 1
    return table[: first.shape[1], first.shape[1] :]


def judged(links: Tensor, places: tuple[int, int]) -> dict[str, float]:
    """How well links join what is shared."""
    at = [_members(place) for place in places]
    truth = torch.zeros(CELLS**2, CELLS**2)
    truth[at[0], at[1]] = 1
    of_tile = torch.stack([torch.bincount(_members(tile), minlength=CELLS**2) for tile in range(TILES**2)]).double()
    tiles = of_tile @ links @ of_tile.T
    true_tile = torch.zeros(TILES**2, TILES**2)
    true_tile[places] = 1
    return {
        "cells": float(roc_auc_score(truth.flatten(), links.flatten())),
        "tiles": float(roc_auc_score(true_tile.flatten(), tiles.flatten())),
        "pointing": float(
            torch.cat([links[at[0]].argmax(1) == at[1], links[:, at[1]].argmax(0) == at[0]]).double().mean()
        ),
    }


def _members(tile: int) -> Tensor:
    """(9,) numbers of the cells of a tile."""
    cells = torch.arange(CELLS**2).view(CELLS, CELLS)
    size = CELLS // TILES
    row, column = divmod(tile, TILES)
    return cells[row * size : (row + 1) * size, column * size : (column + 1) * size].flatten()


def only_of(sides: list[dict[str, Tensor]], places: tuple[int, int], masks: int) -> float:
    """Area under the ROC curve of what is not shared, by what only one side shows; mean of both sides."""
    both = [side_of(kept, masks) for kept in sides]
    areas = []
    for side, other, place in ((both[0], both[1], places[0]), (both[1], both[0], places[1])):
        unshared = torch.ones(CELLS**2)
        unshared[_members(place)] = 0
        closer = [F.cosine_similarity(side.embeddings.double(), each.whole.double()[None]) for each in (side, other)]
        areas.append(float(roc_auc_score(unshared, effects_on(side, closer[0] - closer[1])[0])))
    return float(np.mean(areas))


def hidden(links: Tensor, embedders: list[Embedder]) -> dict[str, float]:
    """Mean cosine of both sides while cells are shown, or hidden, in the order of their strongest links."""
    steps = torch.tril(torch.ones(CELLS**2 + 1, CELLS**2), -1)
    curves: dict[str, list[Tensor]] = {"insertion": [], "deletion": []}
    for embedder, order in zip(
        embedders, (links.amax(1).argsort(descending=True), links.amax(0).argsort(descending=True)), strict=True
    ):
        shown = torch.zeros_like(steps).scatter_(1, order.expand(len(steps), -1), steps)
        curves["insertion"].append(embedder(shown))
        curves["deletion"].append(embedder(1 - shown))
    return {name: float(F.cosine_similarity(*both).mean()) for name, both in curves.items()}


def errors(args: Any, encoder: Encoder) -> list[dict[str, float]]:
    """For the first pairs: root mean squared error against a long run, relative to that of all links."""
    rows = []
    for number in range(KNOWN):
        drawn = drawn_pair(args, number)
        embedders = [Embedder.of(picture, encoder, side) for side, picture in enumerate(drawn.pictures)]
        long, short, single = ([_drawn(e, n, design, keep) for e in embedders] for n, design, keep in _runs(args.masks))
        truth, _ = links_of(products(*long, "cosine"))
        links, stated = links_of(products(*short, "cosine"))
        size = float(truth.square().mean().sqrt())
        units = [F.normalize(side.embeddings.double(), dim=1) for side in single]
        shown = [side.replicates.shown for side in single]
        by = {
            "relax": links,
            "table": _fitted(shown[0], units[0]) @ _fitted(shown[1], units[1]).T,
            "pairs": regressed(*shown, (units[0] * units[1]).sum(1)),
        }
        row = {name: float((values - truth).square().mean().sqrt()) / size for name, values in by.items()}
        groups = short[0].replicates.groups
        from scipy.stats import t as student

        reach = float(student.ppf(0.975, groups - 1)) * stated
        row["covered"] = float(((links - truth).abs() <= reach).double().mean())
        row["stated"] = float(stated.square().mean().sqrt()) / size
        row |= {f"surrogate_{keep}": _saved(embedders, args.masks, keep) for keep in (0.3, 0.7)}
        rows.append(row)
        print(number, row, flush=True)
    return rows


def _runs(masks: int) -> list[tuple[int, str, float]]:
    return [(LONG, "orthogonal", 0.5), (masks, "orthogonal", 0.5), (masks, "independent", 0.5)]


def _drawn(embedder: Embedder, masks: int, design: str, keep: float) -> Side:
    """A side under masks of its own: a long run has others than a short one."""
    shown = embedder.shown(masks, design, keep, embedder.seed + (100 if masks == LONG else 200))
    return Side(Replicates(shown.double(), keep, masks // BLOCK), embedder(shown), embedder.scene.image_embedding)


def _fitted(shown: Tensor, unit: Tensor) -> Tensor:
    """(36, D) the least squares of embeddings on parts."""
    features = torch.cat([torch.ones_like(shown[:, :1]), shown], 1)
    return torch.linalg.lstsq(features, unit).solution[1:]


def _saved(embedders: list[Embedder], masks: int, keep: float) -> float:
    """Mean squared standard error of links with the surrogate, as a share of that without."""
    sides = [_drawn(embedder, masks, "orthogonal", keep) for embedder in embedders]
    with_surrogate = links_of(products(*sides, "cosine"))[1]
    by_groups = []
    for side in sides:
        shown, unit = side.replicates.shown, F.normalize(side.embeddings.double(), dim=1)
        weights = (shown - keep) / (keep * (1 - keep))
        centred = unit - unit.mean(0)
        by_groups.append(
            torch.stack([w.T @ u / BLOCK for w, u in zip(weights.split(BLOCK), centred.split(BLOCK), strict=True)])
        )
    without = links_of(torch.einsum("rgk,shk->rsgh", *by_groups))[1]
    return float(with_surrogate.square().mean() / without.square().mean())


def interval(values: list[float]) -> list[float]:
    """Mean and 95 % bootstrap interval over pairs."""
    draws = np.random.default_rng(0).choice(values, (10_000, len(values)))
    low, high = np.quantile(draws.mean(1), [0.025, 0.975])
    return [round(float(value), 4) for value in (np.mean(values), low, high)]


def main() -> None:
    parser = Options(__doc__)
    parser.add_images(24)
    parser.add_masks(512, "of each side")
    parser.add_seed()
    parser.add_argument("--encoder", default="default")
    parser.add_argument("--side", type=int, default=224, help="of a collage, in pixels")
    parser.add_argument("--out", type=Path, required=True, help="folder of the embeddings")
    parser.add_argument(
        "--links-only", action="store_true", help="without gradients, insertion, deletion and the error"
    )
    parser.add_name("links")
    args = parser.parse_args()
    encoder = load_encoder(args.encoder)
    rows: list[dict[str, Any]] = []
    for number, (sides, places) in enumerate(kept_pairs(args, encoder)):
        embedders = [
            Embedder.of(picture, encoder, side) for side, picture in enumerate(drawn_pair(args, number).pictures)
        ]
        for way, links in ways(sides, args.masks).items():
            row = {"pair": number, "way": way, **judged(links, places)}
            row |= {} if args.links_only else hidden(links, embedders)
            row["only"] = only_of(sides, places, args.masks) if way == "relax" else ""
            rows.append(row)

    def measured(way: str, name: str) -> list[float]:
        return [row[name] for row in rows if row["way"] == way]

    names = [name for name in rows[0] if name not in ("pair", "way", "only")]
    summary = {
        "encoder": args.encoder,
        "pairs": args.count,
        "masks": args.masks,
        "mean_and_interval": {
            way: {name: interval(measured(way, name)) for name in names}
            for way in dict.fromkeys(r["way"] for r in rows)
        },
        "only": interval(measured("relax", "only")),
    }
    if not args.links_only:
        known = errors(args, encoder)
        summary["against_a_long_run"] = {
            name: round(float(np.mean([row[name] for row in known])), 4) for name in known[0]
        }
    write_results(args.name, rows, summary)
    print(summary)


if __name__ == "__main__":
    main()
