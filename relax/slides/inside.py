"""Look inside the tiles that matter: RELAX on their pixels, asked the question of the slide.

In each of the most important tiles, parts are hidden and the tile is embedded again; what keeps the tile's embedding
close to the slide's, or to the reference, is bright. The embedding of the slide itself would move by 1 / N of that, in
the same direction.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cosine_similarity

from relax.estimators.budget import Progress
from relax.explainer import explain
from relax.explanation import Explanation
from relax.references import Corpus
from relax.scene import EncoderSource
from relax.slides.explaining import TileReference, encoder_of, tile_score
from relax.slides.map import SlideMap
from relax.slides.slide import Slide
from relax.slides.tiles import SlideTiles

TOP, MASKS = 4, 1024
ALIKE = 0.99  # cosine between a tile's embedding in the file and now, below which the user is told


def explain_tiles(
    slide: Slide,
    tiles: SlideTiles,
    slide_map: SlideMap,
    *,
    top: int = TOP,
    reference: TileReference = None,
    foil: TileReference = None,
    similarity: str = "cosine",
    weights: NDArray[np.floating[Any]] | Tensor | None = None,
    encoder: EncoderSource | None = None,
    masks: int = MASKS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Iterator[Explanation]:
    """Explain the most important tiles of a slide, pixel by pixel.

    Args:
        slide: The slide, open.
        tiles: Its tiles.
        slide_map: Its map.
        top: How many tiles, the most important first.
        reference: As for `explain_slide`, of which the map came; and so the next four.
        foil: What is subtracted.
        similarity: The measure.
        weights: Of the tiles.
        encoder: None is the one that made the tiles.
        masks: Of each tile.
        seed: Of the masks.
        progress: Called with (tiles done, tiles in all).

    Yields:
        An explanation per tile; its provenance names the slide and the place under "image" and "tile".

    Raises:
        ImageError: If the slide cannot be read.
        ValueError: If the encoder is unknown, or the file does not say how tiles were read.

    Warns:
        UserWarning: If the encoder embeds a tile otherwise than the file has it.
    """
    network = encoder_of(tiles, encoder)
    score, _ = tile_score(tiles, reference, foil, similarity, weights, network)
    size = tiles.size
    goal, against = _as_argument(score.target.reference), _as_argument(score.target.foil)
    numbers = slide_map.top(top).tolist()
    for done, number in enumerate(numbers):
        left, top_edge = tiles.corners[number].tolist()
        pixels = slide.read(left, top_edge, (tiles.span, tiles.span), (size, size))
        _check_alike(network(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255)[0], tiles, number)
        explanation = explain(
            np.array(pixels), network, similarity=similarity, reference=goal, foil=against, masks=masks, seed=seed,
            progress=False,
        )  # fmt: skip
        record = {
            **explanation.provenance,
            "image": f"{tiles.name}, tile at x {left}, y {top_edge}",
            "tile": {"number": number, "corner": [left, top_edge], "span": tiles.span},
            "reference": slide_map.provenance["reference"].replace("itself", "the slide"),
        }
        if progress is not None:
            progress(done + 1, len(numbers))
        yield replace(explanation, provenance=record)


def _as_argument(vectors: Tensor | None) -> Tensor | Corpus | None:
    """What `relax.explain` takes for a vector (D,), or for the members of a corpus (K, D)."""
    if vectors is None:
        return None
    return vectors.float() if vectors.ndim == 1 else Corpus(vectors.float())


def _check_alike(embedding: Tensor, tiles: SlideTiles, number: int) -> None:
    stored = torch.from_numpy(tiles.features[number])
    if embedding.shape != stored.shape:
        raise ValueError(
            f"encoder gives {len(embedding)} numbers per tile, and the file has {len(stored)}: name the encoder that "
            "made it (--encoder)"
        )
    alike = float(cosine_similarity(embedding.cpu(), stored, dim=0))
    if alike < ALIKE:
        warnings.warn(
            f"{tiles.name}: the encoder embeds tile {number} otherwise than the file has it (cosine {alike:.2f}): was "
            "it made by another encoder, or from another slide?",
            stacklevel=3,
        )
