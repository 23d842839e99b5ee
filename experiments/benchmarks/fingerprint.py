"""Did a change of the code move a number? The SHA-256 of the maps of some seventy settings.

    python -m experiments.benchmarks.fingerprint --out before.json
    python -m experiments.benchmarks.fingerprint --out after.json --compare before.json

Every region, fill, design, estimator, preset, measure, kind of reference and method once, with few masks, on one small
photograph through the bundled encoder (a random vision transformer for patches and attention); then a probe, a pair, a
comparison of encoders, a trust check and an evaluation. Only public functions are called, so that this one file runs
on both versions. Digests are comparable on one machine with one version of torch.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import torch

import relax

MASKS = 300  # more than a block of every design, and no multiple of one
MAPS = ("importance", "uncertainty", "standard_error")


def digest(*arrays: Any) -> str:
    """SHA-256 over the bytes of arrays, numbers and texts."""
    total = sha256()
    for array in arrays:
        total.update(np.ascontiguousarray(array).tobytes() if not isinstance(array, str) else array.encode())
    return total.hexdigest()[:16]


def maps_of(explanation: relax.Explanation) -> str:
    """Digest of the three maps."""
    return digest(*(getattr(explanation, name) for name in MAPS))


def fingerprints() -> Iterator[tuple[str, str]]:
    """Name and digest of every result, one after the other."""
    image, other = skimage.data.chelsea()[::3, ::3], skimage.data.astronaut()[::4, ::4]
    encoder = relax.load_encoder("default", device="cpu")
    transformer = relax.load_encoder("random:timm:vit_tiny_patch16_224", device="cpu")
    for name, settings in explanations(other):
        model = transformer if settings.get("regions") == "patches" else encoder
        yield f"explain {name}", maps_of(relax.explain(image, model, **{"masks": MASKS, **settings}))
    for method in sorted(relax.baselines.METHODS):
        if method == "rise":
            continue
        model = transformer if method.startswith("attention") else encoder
        yield f"method {method}", maps_of(relax.explain(image, model, method=method, masks=MASKS // 6))
    yield from questions(image, other, encoder)


def explanations(other: np.ndarray) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and keywords of `relax.explain`, one choice changed at a time."""
    yield "default", {}
    for regions in ("authors-grid", "windows", "superpixels", "patches"):
        yield f"regions {regions}", {"regions": regions}
    for fill in ("blur", "noise", 0.25, (0.1, 0.5, 0.9)):
        yield f"fill {fill}", {"fill": fill}
    yield "fill drop", {"regions": "patches", "fill": "drop"}
    yield "fill image", {"fill": other}
    for design in ("sobol", "antithetic", "independent"):
        for estimator in ("controlled", "plain"):
            yield f"design {design} {estimator}", {"design": design, "estimator": estimator}
    yield "plain", {"estimator": "plain"}
    for preset in ("paper", "paper-rise"):
        yield f"preset {preset}", {"preset": preset}
    for measure in ("l2", "dot", "rbf"):
        yield f"similarity {measure}", {"similarity": measure}
        yield f"corpus {measure}", {"similarity": measure, "reference": relax.Corpus([other, other[::-1]])}
    yield "reference", {"reference": other}
    yield "references", {"reference": [other, other[::-1]]}
    yield "corpus minus foil", {"reference": relax.Corpus([other]), "foil": relax.Corpus([other[::-1], other[::2]])}
    yield "cells and keep", {"cells": 11, "keep": 0.3, "seed": 5}
    yield "tolerance", {"tolerance": 0.02, "masks": 2000}
    yield "given masks", {"masks": torch.rand(64, 1, 96, 96, generator=torch.Generator().manual_seed(3))}
    yield "batches", {"batch_size": 17}


def questions(image: np.ndarray, other: np.ndarray, encoder: Any) -> Iterator[tuple[str, str]]:
    """Name and digest of what goes beyond one map."""
    probe = relax.probe(image, encoder, masks=MASKS)
    yield "probe", maps_of(probe.explain())
    yield "probe l2 to another", maps_of(probe.explain(reference=other, similarity="l2"))
    yield "repeat", digest(probe.repeat(3).weighted_votes(), probe.repeat(3).votes())
    pair = relax.explain_pair(image, other, encoder, masks=MASKS)
    for side in ("a", "b"):
        for part in ("to_other", "to_itself", "beyond"):
            yield f"pair {side} {part}", maps_of(getattr(getattr(pair, side), part))
    both = relax.compare_encoders(image, ["default", "random:default"], masks=MASKS)
    yield from ((f"encoder {name}", maps_of(explanation)) for name, explanation in both.explanations.items())
    yield "trust", digest(str(relax.assess(image, encoder, masks=64)))
    evaluation = relax.evaluate([image], None, encoder, methods=["relax", "random"], masks=64)
    for outcome in evaluation.outcomes:
        yield f"evaluate {outcome.method}", digest(json.dumps(outcome.values))


def main() -> None:
    """Write the digests, and compare them with earlier ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the .json file to write")
    parser.add_argument("--compare", type=Path, help="an earlier one; exit 1 where a digest differs")
    args = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    torch.set_num_threads(1)
    digests = {}
    for name, value in fingerprints():
        digests[name] = value
        print(f"{value}  {name}", flush=True)
    args.out.write_text(json.dumps(digests, indent=1) + "\n")
    if args.compare is not None:
        before = json.loads(args.compare.read_text())
        different = sorted(name for name in {*digests, *before} if digests.get(name) != before.get(name))
        print(f"{len(digests) - len(different)} of {len(digests)} the same", *different, sep="\n  ")
        sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
