"""How often does an audit find a planted mark, and how often does it claim one where there is none?

    python -m experiments.studies.planted_audit --data DATA --out runs/planted_audit

Pictures of at most 360 px in three versions: as they are, with a printed label of 34 x 14 % at bottom left, and with
the label at a random place. A folder is all pictures, a random share of which carry the label. Two tests look for it:

places    the shortcut test of `relax.audit` on pictures hidden cell by cell, label at one place only: its two questions
          together, and "hiding" alone, which is all that there was before "recurrence". Found: p at most 0.05 at a cell
          that the label touches; other cells are told apart.
details   phase correlation of every two pictures, no encoder. Found: p at most 0.05.

Clean folders are random halves of the pictures as they are. The endoscopies are not clean: they have labels, position
boxes and borders of their own. results/planted_audit.csv has a row per folder and test; the JSON file the shares of
folders in which something is found. Pictures and their hidden versions are kept in `--out`, and used again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import relax
from experiments.data.datasets import imagenet_sample, kvasir_seg
from experiments.data.pictures import chosen
from experiments.data.planted import label
from experiments.options import Options
from experiments.record import write_results
from experiments.summaries import grouped
from relax.auditing.clusters import find_clusters
from relax.auditing.marks import compare_mirrored, fingerprints, luma_of, peaks
from relax.auditing.pictures import CELLS, Pictures
from relax.auditing.positions import mirror_of
from relax.auditing.shortcuts import LEVEL, CellEvidence, find_shortcuts, hiding_effects, recurrences
from relax.auditing.stages import change

POOL = {"imagenet": 64, "kvasir": 60}  # pictures evenly spaced over a data set, of which the first take part
LONGEST = 360  # px
VERSIONS = ("clean", "fixed", "moving")
FIXED = (0.82, 0.04)  # top and left of the label
TOUCHED = np.zeros((CELLS, CELLS), dtype=bool)  # cells of the grid
TOUCHED[5:, :3] = True
SHARES = (0.1, 0.25, 0.5, 1.0)
Hidden = tuple[NDArray[np.float32], NDArray[np.float32]]


def write_pictures(dataset: str, args: argparse.Namespace) -> Path:
    """The pictures of a data set in all versions, in a folder."""
    samples = imagenet_sample(args.data) if dataset == "imagenet" else kvasir_seg(args.data, "train")
    folder: Path = args.out / "pics" / dataset
    folder.mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(chosen(samples, POOL[dataset])[: args.count]):
        pixels = sample.pixels()
        scale = LONGEST / max(pixels.shape[:2])
        height, width = (round(side * scale) for side in pixels.shape[:2])
        small = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))
        rng = np.random.default_rng(number)
        anywhere = rng.uniform(0, 0.86), rng.uniform(0, 0.66)
        versions = {"clean": small, "fixed": label(small, *FIXED), "moving": label(small, *anywhere)}
        for version, picture in versions.items():
            if not (file := folder / name_of(number, version)).exists():
                Image.fromarray(picture).save(file)
    return folder


def name_of(number: int, version: str) -> str:
    """The file of a picture."""
    return f"{number:03}_{version}.png"


def folders(args: argparse.Namespace, kind: str) -> Iterator[tuple[float, NDArray[np.int64], NDArray[np.bool_]]]:
    """Share, pictures and which of them carry the label, for every folder of a kind: clean ones are random halves."""
    rng = np.random.default_rng(args.seed)
    if kind == "clean":
        for _ in range(args.draws):
            yield 0.0, rng.permutation(args.count)[: args.count // 2], np.zeros(args.count // 2, dtype=bool)
        return
    for share in SHARES:
        for _ in range(args.draws if share < 1 else 1):
            yield share, np.arange(args.count), rng.permutation(args.count) < round(share * args.count)


def places(dataset: str, folder: Path, spec: str, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows of the test of places."""
    encoder = relax.load_encoder(spec)
    store = Pictures(folder, encoder, args.out / f"maps_{spec}_{dataset}", 0, 0)
    hidden: dict[str, list[tuple[Hidden, Hidden]]] = {
        version: [
            (store.hide(name_of(number, version)), store.hide(name_of(number, version), mirror_of(number)))
            for number in range(args.count)
        ]
        for version in ("clean", "fixed")
    }
    for kind in ("clean", "fixed"):
        for share, numbers, carries in folders(args, kind):
            pairs = [hidden["fixed" if has else "clean"][number] for number, has in zip(numbers, carries, strict=True)]
            evidence = evidence_of(pairs, args.seed)
            for test, questions in (("places", evidence), ("places, hiding alone", {"hiding": evidence["hiding"]})):
                result = find_shortcuts(questions, seed=args.seed)
                assert result is not None
                row = {"test": test, "encoder": spec, "pictures": dataset, "kind": kind, "share": share}
                at_label, elsewhere = (float(result.p[cells].min()) for cells in (TOUCHED, ~TOUCHED))
                yield row | {"p": round(at_label, 4), "p_elsewhere": round(elsewhere, 4)}


def evidence_of(pairs: list[tuple[Hidden, Hidden]], seed: int) -> dict[str, CellEvidence]:
    """What `relax.audit` asks about pictures that were hidden cell by cell."""
    embeddings = np.stack([plain[0] for plain, _ in pairs])
    clusters = find_clusters(embeddings, seed=seed)
    centres = [clusters.centres_without(embeddings, image) for image in range(len(pairs))]
    sides = [[pair[side] for pair in pairs] for side in (0, 1)]
    effects = [
        np.stack([hiding_effects(*hidden, without)[0] for hidden, without in zip(side, centres, strict=True)])
        for side in sides
    ]
    alike = recurrences(*(np.stack([change(*hidden) for hidden in side]) for side in sides))
    grid, images = (len(pairs), CELLS, CELLS), tuple(range(len(pairs)))
    return {
        name: CellEvidence(values.reshape(grid), mirrored.reshape(grid), images)
        for name, (values, mirrored) in (("hiding", effects), ("recurrence", alike))
    }


def details(dataset: str, folder: Path, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows of the test of details that recur anywhere."""
    for version in ("clean", "fixed", "moving"):
        names = [name_of(number, kind) for kind in ("clean", version) for number in range(args.count)]
        plain, mirrored = fingerprints([luma_of(folder / name) for name in names])
        agreement, control = peaks(plain, plain), peaks(plain, mirrored)
        for share, numbers, carries in folders(args, version):
            rows = numbers + args.count * carries
            p, _ = compare_mirrored(agreement[np.ix_(rows, rows)], control[np.ix_(rows, rows)], seed=args.seed)
            row = {"test": "details", "encoder": "", "pictures": dataset, "kind": version, "share": share}
            yield row | {"p": round(p, 4), "p_elsewhere": np.nan}


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The share of folders in which something is found: at the cells of the label, and elsewhere."""
    columns = ("test", "encoder", "pictures", "kind", "share")
    return [
        dict(zip(columns, key, strict=True))
        | {
            "folders": len(group),
            "found": round(float(np.mean([row["p"] <= LEVEL for row in group])), 3),
            "found_elsewhere": round(float(np.mean([row["p_elsewhere"] <= LEVEL for row in group])), 3),
            "median_p": round(float(np.median([row["p"] for row in group])), 4),
        }
        for key, group in grouped(rows, *columns).items()
    ]


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("imagenet_sample and kvasir_seg")
    parser.add_argument("--out", type=Path, required=True, help="folder of the planted pictures and kept results")
    parser.add_argument("--pairs", nargs="+", default=("imagenet-default", "imagenet-sscd", "kvasir-default"))
    parser.add_count(40, "pictures of each data set")
    parser.add_argument("--draws", type=int, default=20, help="folders of each share")
    parser.add_seed()
    parser.add_name("planted_audit")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for dataset in dict.fromkeys(pair.partition("-")[0] for pair in args.pairs):
        folder = write_pictures(dataset, args)
        rows += details(dataset, folder, args)
        print(dataset, "details", flush=True)
        for spec in (pair.partition("-")[2] for pair in args.pairs if pair.startswith(f"{dataset}-")):
            rows += places(dataset, folder, spec, args)
            print(dataset, spec, flush=True)
    write_results(args.name, rows, {"seed": args.seed, "count": args.count, "found": summarise(rows)})


if __name__ == "__main__":
    main()
