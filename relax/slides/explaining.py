"""Explain the embedding of a slide by its tiles: random subsets of them are shown, and no encoder is run.

The mean of the visible tiles' embeddings is a matrix product, so that thousands of subsets of thousands of tiles take
seconds. What the similarity is to second order in the tiles is known exactly (`relax.slides.subsets`); only the rest is
averaged over the subsets, by the project's control variates.
"""

from __future__ import annotations

import time
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders import Encoder
from encoders.values import described, is_whole
from relax.estimators.budget import CHECK, Progress
from relax.estimators.control import ControlledMoments
from relax.progress import Silent, shown
from relax.provenance import surroundings
from relax.references import Question, Reference, reference_name
from relax.scene import EncoderSource, load_encoder
from relax.slides.defaults import KEEP, MASKS
from relax.slides.map import SlideMap
from relax.slides.score import Pooled, TileScore
from relax.slides.subsets import Subsets
from relax.slides.tiles import SlideTiles

LEAST_MASKS = 64

TileReference: TypeAlias = "SlideTiles | Reference"


def explain_slide(
    tiles: SlideTiles,
    *,
    reference: TileReference = None,
    foil: TileReference = None,
    similarity: str = "cosine",
    weights: NDArray[np.floating[Any]] | Tensor | None = None,
    masks: int = MASKS,
    keep: float = KEEP,
    seed: int = 0,
    encoder: EncoderSource | None = None,
    progress: Progress | Silent | None = None,
) -> SlideMap:
    """Explain which tiles make the slide's embedding, the mean of the tiles', or its closeness to a reference.

    Args:
        tiles: The embedded tiles, as `embed_slide` or `read_tiles` gives them.
        reference: What the slide is compared with: None is its own embedding; another slide's tiles, whose mean
            embedding is taken; a vector (D,); or what `relax.explain` takes, a picture, several, a prompt or a
            `relax.Corpus`, which needs the encoder.
        foil: Likewise, whose similarity is subtracted.
        similarity: "cosine", "l2", "dot" or "rbf".
        weights: (N,) 0 or more, for a weighted mean, such as the attention of a network that pools tiles.
        masks: Number of random subsets.
        keep: Share of the tiles that a subset shows, in (0, 1). Small subsets ask how typical a tile is, large ones
            what it adds to the others. At 0.5 and without a reference all tiles are alike to second order.
        seed: The only source of randomness.
        encoder: For references that are pictures; None is the one that made the tiles.
        progress: Called with (subsets done, subsets in all); otherwise as for `relax.explain`.

    Returns:
        The map.

    Raises:
        ValueError: If a choice is impossible, or the reference has another number of dimensions than the tiles.
        ImageError, EncoderError: If a picture or the encoder cannot be used.
    """
    start = time.perf_counter()
    if not is_whole(masks, LEAST_MASKS):
        raise ValueError(f"masks must be {LEAST_MASKS} subsets or more; got {described(masks)}")
    if len(tiles) < 2:
        raise ValueError(f"a map needs two tiles or more; {tiles.name} has {len(tiles)}")
    score, question = tile_score(tiles, reference, foil, similarity, weights, encoder)
    pooled = score.pooled
    grid = Subsets(len(tiles), keep, seed)
    with shown(progress, "subsets") as report:
        moments = _moments(score, grid, masks, report)
    maps = {name: getattr(moments, name)[0].numpy() for name in ("importance", "uncertainty", "standard_error")}
    record = {
        "image": tiles.name,
        "encoder": tiles.record.get("encoder") or {"name": "of another tool"},
        "method": "relax",
        **question.record(),
        "scalar": f"{question.scalar}, of the mean of the tiles".replace("the image itself", "the slide itself"),
        "weights": "equal" if weights is None else "given",
        "masks": {**grid.recipe(), "count": masks},
        "fill": "none, hidden tiles are left out",
        "seed": seed,
        "estimator": moments.record(),
        "tiles": {"count": len(tiles), "span": tiles.span, **(tiles.record.get("tiles") or {})},
        "slide": tiles.record.get("slide") or {"name": tiles.name},
        **surroundings(torch.device("cpu"), time.perf_counter() - start),
    }
    return SlideMap(
        tiles.name,
        tiles.corners,
        tiles.span,
        tiles.slide_size,
        **maps,
        alone=score.of_each(pooled.alone()).numpy(),
        without=score.of_each(pooled.without()).numpy(),
        score=score.of_all,
        provenance=record,
    )


def tile_score(
    tiles: SlideTiles,
    reference: TileReference = None,
    foil: TileReference = None,
    similarity: str = "cosine",
    weights: NDArray[np.floating[Any]] | Tensor | None = None,
    encoder: EncoderSource | None = None,
) -> tuple[TileScore, Question]:
    """How close the slide is to the reference, as a function of its visible tiles; arguments of `explain_slide`."""
    question = _question(tiles, similarity, reference, foil, encoder)
    pooled = Pooled.of(tiles, weights)
    return TileScore(pooled, question.target(torch.device("cpu"), lambda: pooled.mean)), question


def slide_embedding(tiles: SlideTiles, weights: NDArray[np.floating[Any]] | Tensor | None = None) -> Tensor:
    """(D,) float64, the embedding of a slide: the (weighted) mean of its tiles'."""
    return Pooled.of(tiles, weights).mean


def _moments(score: TileScore, grid: Subsets, masks: int, progress: Progress | None) -> ControlledMoments:
    """The scores of all subsets."""
    moments = ControlledMoments(score.surrogate(grid))
    for start in range(0, masks, CHECK):
        stop = min(start + CHECK, masks)
        moments.add(score(grid.masks(start, stop)[:, 0, 0]))
        if progress is not None:
            progress(stop, masks)
    return moments


def _question(
    tiles: SlideTiles, similarity: str, reference: TileReference, foil: TileReference, encoder: EncoderSource | None
) -> Question:
    """Reference and foil as vectors."""
    sources = {"reference": reference, "foil": foil}
    names = tuple(
        f"{source.name} (slide)" if isinstance(source, SlideTiles) else reference_name(source)
        for source in sources.values()
    )
    vectors = {
        name: slide_embedding(source) if isinstance(source, SlideTiles) else source for name, source in sources.items()
    }
    network: Any = None
    if any(value is not None and not _is_vector(value) for value in vectors.values()):
        network = encoder_of(tiles, encoder)
    question = Question.of(similarity, vectors["reference"], vectors["foil"], network)
    width = tiles.features.shape[1]
    for name, vector in (("reference", question.reference), ("foil", question.foil)):
        if vector is not None and vector.shape[-1] != width:
            raise ValueError(
                f"{name} must have the {width} numbers that the tiles' embeddings have; got {vector.shape[-1]}: "
                "embed it with the same encoder"
            )
    return Question(similarity, _double(question.reference), _double(question.foil), (names[0], names[1]))


def _double(vector: Tensor | None) -> Tensor | None:
    return None if vector is None else vector.double().cpu()


def _is_vector(value: object) -> bool:
    return isinstance(value, np.ndarray | Tensor) and value.ndim == 1


def encoder_of(tiles: SlideTiles, encoder: EncoderSource | None = None) -> Encoder:
    """The caller's encoder, or the one that made the tiles."""
    if encoder is not None:
        return load_encoder(encoder)
    record = tiles.record.get("encoder") or {}
    if not record.get("name"):
        raise ValueError(
            f"the tiles of {tiles.name} do not say by which encoder they were made: name it (--encoder), or give the "
            "reference as an embedding"
        )
    return load_encoder(record["name"], pooling=record.get("pooling") or "auto")
