"""Are the groups on which two encoders differ those that were planted, and does it stay silent where nothing differs?

    .venv/bin/uv pip install --group pretrained
    python -m experiments.studies.diff --data DATA --out runs/diff

Photographs of Caltech 101, cut to squares. `relax.diff_encoders` compares, for each of the encoders:

tint    grey photographs, each tinted in one of four hues: the encoder, and the same on grey pictures
mark    a label of 28 x 47 % at the bottom right of a fifth of the photographs: the encoder, and the same with that
        corner hidden
colour  the photographs as they are: the encoder, and the same on grey pictures; there is no truth about groups
equal   the encoder twice, and the encoder behind a rotation of its embedding: nothing differs

and pairs of different encoders on the photographs (`real`). A row per case says

groups, strongest, noise    how many are beyond chance, the strength of the strongest, and what noise reaches
purity        mean share of the most frequent value of a group's pictures, over its pictures; by chance for a mark 0.8
with_mark     share of the pictures of the purest group that carry the mark, `recall` of those that carry it
auroc         of the pictures' scores by the first encoder: do they tell who carries the mark
on_mark       of what is above 0 by two standard errors in the maps of the difference, the share on the mark; for
              `on_mark_a` of the first encoder's own map above its mean; `area` is that of the mark

and, by the same truth and with as many groups, what k-means of the first encoder's embeddings gives (`kmeans`), what
spectral clustering of the paper's affinity of all pairs, exp(-5 G), gives (`rdx`), and what NMF of the first encoder's
embeddings gives (`nmf`). These cannot say that nothing differs.

Embeddings are kept in `--out`. results/diff.csv has the rows.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.decomposition import NMF
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

import relax
from encoders import Encoder
from experiments.data.datasets import caltech101
from experiments.data.pictures import chosen
from experiments.named import encoder_named
from experiments.options import Options
from experiments.record import write_results
from relax.auditing.neighbours import unit
from relax.differences.affinity import BETA, difference
from relax.differences.ranks import rank_table

SIDE = 128
HUES = np.array([(1.0, 0.45, 0.45), (0.45, 1.0, 0.45), (0.45, 0.45, 1.0), (1.0, 0.9, 0.35)])
CORNER = (slice(90, 126), slice(66, 126))  # of the label
HIDDEN = (slice(88, 128), slice(64, 128))
POOL = 1200  # photographs among which those of a run are chosen
SHARE = 0.2  # of the pictures with the label
KINDS = ("tint", "mark", "colour", "equal")

Labels = NDArray[np.int64]
Spaces = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Drawn:
    """Photographs with what may be planted in them, drawn for `POOL` of them, of which `count` are used.

    Attributes:
        names: With the class as folder.
        pixels: (N, 128, 128, 3) uint8 squares.
        hues: (N,) numbers of their tints.
        carries: (N,) whether they get the label.
    """

    names: list[str]
    pixels: NDArray[np.uint8]
    hues: Labels
    carries: NDArray[np.bool_]

    @classmethod
    def of(cls, data: Path, count: int, seed: int) -> Drawn:
        """Photographs of all classes."""
        images, labels, names = caltech101(data, "train")
        random = np.random.default_rng(seed)
        places = np.sort(random.permutation(np.flatnonzero(labels >= 0))[:POOL])
        hues, carries = random.integers(len(HUES), size=POOL), random.random(POOL) < SHARE
        used = np.array(chosen(range(POOL), count))
        titles = [f"{names[labels[place]]}/{place:04}.png" for place in places[used]]
        return cls(titles, np.stack([_square(images[place]) for place in places[used]]), hues[used], carries[used])

    def case(self, kind: str) -> tuple[NDArray[np.uint8], Labels]:
        """The pictures of a case, and the hue of each, or whether it carries the label; zeros for nothing planted."""
        if kind == "tint":
            tinted = self.pixels.mean(3, keepdims=True) * HUES[self.hues][:, None, None]
            return tinted.clip(0, 255).astype(np.uint8), self.hues
        if kind == "mark":
            marked = self.pixels.copy()
            board = (np.indices((36, 60)).sum(0) // 6 % 2)[..., None]
            marked[self.carries, CORNER[0], CORNER[1]] = np.where(board > 0, (255, 230, 0), (200, 0, 40))
            return marked, self.carries.astype(np.int64)
        return self.pixels, np.zeros(len(self.pixels), np.int64)


def _square(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = Image.fromarray(pixels)
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    cut = picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(cut)


def folder_of(out: Path, kind: str, names: list[str], pixels: NDArray[np.uint8]) -> Path:
    """The pictures as files, written once."""
    folder = out / "pictures" / kind
    for name, each in zip(names, pixels, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if not (folder / name).exists():
            Image.fromarray(each).save(folder / name)
    return folder


class Behind(nn.Module):
    """A network that sees its pictures changed, or whose embedding is turned."""

    def __init__(
        self, network: nn.Module, before: Callable[[Tensor], Tensor], after: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.network, self.before, self.after = network, before, after

    def forward(self, pixels: Tensor) -> Tensor:
        """The embeddings."""
        embeddings: Tensor = self.after(self.network(self.before(pixels)))
        return embeddings


def changed(encoder: Encoder, kind: str, turned: bool = False) -> Encoder:
    """The encoder that is blind to what a case plants, or turned; it takes pixels in [0, 1]."""

    def grey(pixels: Tensor) -> Tensor:
        return pixels.mean(1, keepdim=True).expand(-1, 3, -1, -1)

    def without_corner(pixels: Tensor) -> Tensor:
        hidden, (height, width) = pixels.clone(), pixels.shape[-2:]
        rows, columns = (
            slice(part.start * side // SIDE, part.stop * side // SIDE)
            for part, side in zip(HIDDEN, (height, width), strict=True)
        )
        hidden[:, :, rows, columns] = 0.5
        return hidden

    def rotated(embeddings: Tensor) -> Tensor:
        draws = torch.randn(2 * (embeddings.shape[1],), generator=torch.Generator().manual_seed(0))
        rotation: Tensor = torch.linalg.qr(draws)[0]
        return embeddings @ rotation

    before = {"tint": grey, "colour": grey, "mark": without_corner}.get(kind, lambda pixels: pixels)
    behind = Behind(_OnPixels(encoder), before, rotated if turned else lambda embeddings: embeddings)
    return Encoder(behind, name=f"{encoder.name} {'turned' if turned else f'blind to {kind}'}", device="cpu")


class _OnPixels(nn.Module):
    """An encoder, preprocessing included, as a network."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = [encoder]

    def forward(self, pixels: Tensor) -> Tensor:
        """The embeddings."""
        embeddings: Tensor = self.encoder[0](pixels)
        return embeddings


def cases(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each planted case of each encoder, and for each real pair."""
    drawn = Drawn.of(args.data, args.count, args.seed)
    for spec in args.encoders:
        encoder = encoder_named(spec)
        for kind in args.kinds:
            pixels, truth = drawn.case(kind)
            folder = folder_of(args.out, "colour" if kind == "equal" else kind, drawn.names, pixels)
            twins = [(kind, changed(encoder, kind))]
            if kind == "equal":
                twins = [("equal", encoder), ("turned", changed(encoder, kind, turned=True))]
            for case, twin in twins:
                explain = args.explain if kind == "mark" else 0
                differences, spaces = compared(folder, encoder, twin, args.out / spec / case, explain, args)
                order = np.array([drawn.names.index(path) for path in differences.paths])
                yield {"case": case, "encoders": spec, **measured(differences, truth[order], kind, spaces, args.seed)}
    folder = folder_of(args.out, "colour", drawn.names, drawn.pixels)
    for pair in args.real:
        a, b = (relax.load_encoder(spec) if spec == "sscd" else encoder_named(spec) for spec in pair.split(","))
        differences, spaces = compared(folder, a, b, args.out / pair.replace(",", "-"), args.explain, args)
        differences.save(args.out / f"{pair.replace(',', '-')}.html")
        differences.save(args.out / f"{pair.replace(',', '-')}.json")
        nothing = np.zeros(len(differences), np.int64)
        yield {"case": "real", "encoders": pair, **measured(differences, nothing, "real", spaces, args.seed)}


def compared(
    folder: Path, a: Encoder, b: Encoder, out: Path, explain: int, args: argparse.Namespace
) -> tuple[relax.Differences, Spaces]:
    """The differences of a case, from archives that are kept, and the embeddings."""
    archives = [relax.make_archive(folder, each, out / side) for each, side in ((a, "a"), (b, "b"))]
    differences = relax.diff_encoders(archives, explain=explain, masks=args.masks, layout=args.layout, seed=args.seed)
    return differences, (np.asarray(archives[0].embeddings), np.asarray(archives[1].embeddings))


def measured(differences: relax.Differences, truth: Labels, kind: str, spaces: Spaces, seed: int) -> dict[str, Any]:
    """The numbers of a case."""
    noise, groups = differences.settings["noise"], differences.groups
    of_a = [group.members for group in groups if group.side == 0]
    row: dict[str, Any] = {
        "pictures": len(differences),
        "shared": _rounded(differences.agreement["shared neighbours"].value),
        "shared_by_noise": "/".join(f"{share:.3f}" for share in noise["shared"]),
        "cka": _rounded(differences.agreement["CKA"].value),
        "groups_a": len(of_a),
        "groups_b": len(groups) - len(of_a),
        "strongest": _rounded(groups[0].strength) if groups else None,
        "noise": _rounded(noise["needed"]),
        "beyond_noise": _rounded(float(differences.beyond_noise.mean())),
    }
    if kind in ("tint", "mark"):
        row |= _truth("", of_a, truth, kind)
        if kind == "mark":
            row["auroc"] = _rounded(float(roc_auc_score(truth, differences.scores[0])))
            row |= on_mark(differences, truth)
        for name, members in others(spaces, max(2, len(of_a)), seed).items():
            row |= _truth(f"{name}_", members, truth, kind)
    return row


def _truth(name: str, groups: list[Labels], truth: Labels, kind: str) -> dict[str, Any]:
    """How pure groups are, over their pictures, and of a mark how many of the purest group carry it."""
    shares = [np.bincount(truth[members]).max() / len(members) for members in groups]
    sizes = [len(members) for members in groups]
    row: dict[str, Any] = {f"{name}purity": _rounded(float(np.average(shares, weights=sizes))) if groups else None}
    if kind == "mark":
        best = max(groups, key=lambda members: (truth[members].mean(), len(members)), default=None)
        row[f"{name}with_mark"] = None if best is None else _rounded(float(truth[best].mean()))
        row[f"{name}recall"] = None if best is None else _rounded(float(truth[best].sum() / truth.sum()))
    return row


def on_mark(differences: relax.Differences, truth: Labels) -> dict[str, Any]:
    """Share of the difference, and of the first encoder's own map, on the mark, of probed pictures that carry it."""
    parts = [part for group in differences.groups if group.side == 0 for part in group.parts if truth[part.picture]]
    difference_shares: list[float] = []
    own_shares: list[float] = []
    for part in parts:
        beyond, error, own = part.beyond.importance, part.beyond.standard_error, part.near.importance
        for values, shares in (
            (np.where(beyond > 2 * error, beyond, 0), difference_shares),
            (np.maximum(own - own.mean(), 0), own_shares),
        ):
            if values.sum() > 0:
                shares.append(float(values[CORNER].sum() / values.sum()))
    return {
        "maps": len(parts),
        "on_mark": _rounded(float(np.mean(difference_shares))) if difference_shares else None,
        "on_mark_a": _rounded(float(np.mean(own_shares))) if own_shares else None,
        "area": _rounded(36 * 60 / SIDE**2),
    }


def others(spaces: Spaces, number: int, seed: int) -> dict[str, list[Labels]]:
    """Groups, so many, by other means: k-means of A, the paper's spectral clustering of all pairs, NMF of A."""
    a, b = spaces
    labels = {"kmeans": KMeans(number, n_init=4, random_state=seed).fit_predict(unit(a))}
    tables = [rank_table(space.astype(np.float64)) for space in (a, b)]
    near, far = (np.maximum(table, 1) for table in tables)
    dense = np.exp(-BETA * difference(near, far))
    clustering = SpectralClustering(number, affinity="precomputed", random_state=seed, n_init=4)
    labels["rdx"] = clustering.fit_predict((dense + dense.T) / 2)
    positive = np.maximum(a - a.min(0), 0)
    labels["nmf"] = NMF(number, init="nndsvda", max_iter=400, random_state=seed).fit_transform(positive).argmax(1)
    return {name: [np.flatnonzero(of == label) for label in np.unique(of)] for name, of in labels.items()}


def _rounded(value: float) -> float:
    return round(value, 3)


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("caltech101.zip")
    parser.add_argument("--out", type=Path, required=True, help="folder of pictures and embeddings")
    parser.add_argument("--encoders", nargs="+", default=("default", "efficientnet-lite0"))
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS, help="planted cases")
    parser.add_argument("--real", nargs="*", default=("default,sscd", "sscd,efficientnet-lite0"), help="pairs A,B")
    parser.add_count(400, "photographs, evenly spaced over the classes")
    parser.add_argument("--explain", type=int, default=1, help="groups that are probed, of three pictures each")
    parser.add_masks(128, "of each probe")
    parser.add_argument("--layout", default="pca", help="of the pages of real pairs: pca, tsne")
    parser.add_seed()
    parser.add_name("diff")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for row in cases(args):
        rows.append(row)
        print(row, flush=True)
        columns = dict.fromkeys(column for each in rows for column in each)
        table = [{column: each.get(column) for column in columns} for each in rows]
        write_results(args.name, table, {"seed": args.seed, "count": args.count, "masks": args.masks, "rows": rows})


if __name__ == "__main__":
    main()
