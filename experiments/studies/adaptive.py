"""Would masks that are drawn where the residuals vary most need fewer passes? Bounded on recorded masks.

    python -m experiments.data.recordings --data DATA --out runs/recordings --cells 7      # for every encoder
    python -m experiments.studies.adaptive --recordings runs/recordings

A map averages what the surrogate leaves of the scores. Were masks drawn with probabilities proportional to the size of
what is left, s(mask), and weighted back, its squared error would be E[e^2 / s] E[s] / E[e^2] of what it is. Nobody has
s beforehand; here is the best case: all recorded masks predict it, by the surrogate's own features and the square of
how many cells are visible, cross-fitted, so that a mask does not predict itself. A ratio of 1 is no gain.

Source: optimal importance sampling, Owen, "Monte Carlo theory, methods and examples" (2013), section 9.1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.data.recordings import Recording
from experiments.options import Options
from experiments.record import write_results
from experiments.studies.learned import ridge
from experiments.summaries import grouped, median_and_range
from masking import GridSurrogate

FOLDS, LEAST = 4, 0.05  # parts that predict each other, and the least predicted square, as a share of the mean


def row_of(recording: Recording) -> dict[str, Any]:
    """How well the squares of what is left are predicted, and the squared error of the best sampling."""
    scores = recording.scores()
    features = GridSurrogate(recording.grid).features(0, len(scores))
    single = recording.grid.cells**2
    folds = list(torch.arange(len(scores)).tensor_split(FOLDS))
    left = scores - scores.mean()
    left = left - ridge(features, features[:1], left[:, None], folds, single).seen[:, 0]
    squares = left.square()
    visible = features[:, :single].sum(1, keepdim=True).square()
    features = torch.cat([features, visible - visible.mean()], 1)
    predicted = (
        squares.mean() + ridge(features, features[:1], (squares - squares.mean())[:, None], folds, single).seen[:, 0]
    )
    return {
        "encoder": recording.encoder,
        "image": recording.picture,
        "explained": round(1 - float(left.var() / scores.var()), 3),
        "squares_explained": round(1 - float((squares - predicted).square().mean() / squares.var()), 3),
        "squared_error_of_best_sampling": round(sampled(squares, predicted), 3),
    }


def sampled(squares: Tensor, predicted: Tensor) -> float:
    """The squared error under sampling by the root of the predicted squares, over that without."""
    size = predicted.clamp(min=LEAST * float(squares.mean())).sqrt()
    return float((squares / size).mean() * size.mean() / squares.mean())


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument(
        "--recordings", type=Path, default=Path("runs/recordings"), help="of experiments.data.recordings"
    )
    parser.add_argument("--cells", type=int, default=7)
    args = parser.parse_args()
    rows = [row_of(Recording.read(path)) for path in sorted(args.recordings.glob(f"*/*_{args.cells}.npz"))]
    summary = {
        encoder: {name: median_and_range([row[name] for row in mine]) for name in list(mine[0])[2:]}
        for (encoder,), mine in grouped(rows, "encoder").items()
    }
    write_results("adaptive", rows, summary)
    print(summary)


if __name__ == "__main__":
    main()
