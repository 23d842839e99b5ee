"""`relax.dissect`: from pictures with masks to a dissection."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from encoders.identity import identity
from encoders.values import described, is_number, is_whole
from relax.concepts.chance import corrected_p
from relax.concepts.counting import Progress, Seen, count, look
from relax.concepts.dissection import IOU, Dissection, Example
from relax.concepts.folder import ConceptSet, ConceptSource, read_concepts
from relax.concepts.overlap import Overlaps
from relax.concepts.ranking import rank_scores
from relax.concepts.reading import LayerMaps
from relax.progress import Silent, shown, unheard
from relax.provenance import surroundings
from relax.scene import EncoderSource, loaded
from relax.settings import Execution

QUANTILE, SIDE, SHUFFLES = 0.005, 112, 99
SHOWN, EACH = 12, 4  # detectors with pictures, and pictures of each


def dissect(
    concepts: ConceptSource | ConceptSet,
    encoder: EncoderSource = "default",
    *,
    layer: str | None = None,
    quantile: float = QUANTILE,
    iou: float = IOU,
    side: int = SIDE,
    shuffles: int = SHUFFLES,
    seed: int = 0,
    show: int = SHOWN,
    progress: Progress | Silent | None = None,
    pooling: str = "auto",
    view: str = "auto",
    device: str | torch.device = "auto",
) -> Dissection:
    """Which units of a layer detect which concepts: Network Dissection, without labels of pictures.

    A unit's area in a picture is where its activation, enlarged bilinearly, is among its highest `quantile` of all
    cells of all pictures. Its overlap with a concept is IoU, pixels in both by pixels in either, over all pictures.
    Above 0.04 the authors call it a detector, which in a small data set chance can do as well. So the masks are also
    laid on other pictures, `shuffles` times, and p says whether the overlap is beyond what any unit reaches then.

    Args:
        concepts: A folder of pictures and masks, see `relax.concepts.folder`, or (picture, {"name": mask}) for each.
        encoder: As for `relax.explain`; a module of torch whose layers are seen.
        layer: The layer, as `relax layers` names it; by default the last with a map of more than one cell.
        quantile: Share of a unit's cells that exceed its threshold, in (0, 1); 0.005 as published.
        iou: Limit of a detector, in [0, 1); 0.04 as published.
        side: Pixels of the longer side of the masks that areas are compared with, 112 as published, at most those
            that the encoder sees.
        shuffles: Orders of the pictures for p, whose smallest value is 1 / (shuffles + 1); 0 for none.
        seed: Of the shuffles, and of the cells drawn for AUC and AP.
        show: Detectors of which pictures are kept, 4 of each.
        progress: Called with (what is done, done, total); otherwise as for `relax.explain`.
        pooling: As for `relax.explain`.
        view: As for `relax.explain`.
        device: As for `relax.explain`.

    Returns:
        The dissection. Pictures that cannot be used are in `failed`; where the same picture stands twice, p is too low.

    Raises:
        ValueError: If an argument is impossible, the layer is not there, or no picture can be used.
        ConceptError, TruthError: If masks cannot be used; both are ValueErrors.
        EncoderError: If torch sees no layers in the encoder.
    """
    start = time.perf_counter()
    _check(quantile, iou, side, shuffles, show)
    given = read_concepts(concepts)
    reader = LayerMaps.of(loaded(encoder, Execution(pooling=pooling, view=view, device=device)), layer)
    with shown(progress, "pictures") as report:
        told = report or unheard
        seen = look(given, reader, quantile, side, seed, told)
        overlaps, parts = count(seen, given, reader, shuffles, seed, told)
    true = overlaps.iou()
    p = corrected_p(true, overlaps.shuffled_iou()) if shuffles else torch.full_like(true, torch.nan)
    auc, ap = rank_scores(seen.cells, seen.inside)
    masks = [seen.masks(place, len(given.concepts)).any((1, 2)) for place in range(len(seen.pictures))]
    record = {
        "what": "network dissection",
        "encoder": identity(reader.encoder),
        "layer": reader.layer.name,
        "units": reader.units,
        "grid": list(seen.grid),
        "masks": {"height": seen.size[0], "width": seen.size[1], "covered": "at least half of a pixel"},
        "concepts": given.name,
        "quantile": quantile,
        "iou": iou,
        "shuffles": shuffles,
        "seed": seed,
        "cells_ranked": len(seen.cells),
        "pictures": len(seen.pictures),
        "pictures_without_masks": len(given.without),
        **surroundings(reader.encoder.device, time.perf_counter() - start),
    }
    result = Dissection(
        given.concepts,
        reader.layer.name,
        true.numpy(),
        p.numpy(),
        auc,
        ap,
        parts.density().numpy(),
        seen.levels.numpy(),
        _shares(overlaps, seen),
        np.stack(masks).sum(0),
        seen.peaks,
        tuple(picture.name for picture in seen.pictures),
        seen.failed,
        iou,
        record,
    )
    return _with_examples(result, seen, reader, show)


def _with_examples(result: Dissection, seen: Seen, reader: LayerMaps, show: int) -> Dissection:
    """With the pictures of the best detectors, those beyond chance first; of the three best units without any."""
    ordered = sorted(result.units(), key=lambda detector: (not detector.beyond_chance, -detector.iou))
    ordered = [detector for detector in ordered[:show] if detector.named] or ordered[: min(show, 3)]
    wanted = {
        (detector.unit, int(place)): detector
        for detector in ordered
        for place in np.argsort(-result.peaks[:, detector.unit], kind="stable")[:EACH]
    }
    examples: dict[tuple[int, int], Example] = {}
    for place in sorted({place for _, place in wanted}):
        view, size = reader.view(seen.pictures[place].picture)
        maps = reader.maps(view)[0]
        read = seen.pictures[place].read(size)
        for (unit, picture), detector in wanted.items():
            if picture == place:
                mask = read.get(detector.concept, np.zeros(size, dtype=bool))
                examples[unit, place] = _example(result, reader, view, maps[unit], unit, place, mask)
    return replace(result, examples=tuple(examples[key] for key in wanted))


def _example(
    result: Dissection, reader: LayerMaps, view: Tensor, values: Tensor, unit: int, place: int, mask: Any
) -> Example:
    size = (int(view.shape[-2]), int(view.shape[-1]))
    enlarged = F.interpolate(values[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    share = reader.encoder.preprocess.view_of_mask(torch.from_numpy(mask)[None, None].float())[0, 0]
    return Example(
        unit,
        result.pictures[place],
        float(values.max()),
        shown_pixels(view),
        (enlarged.double() > result.thresholds[unit]).numpy(),
        (share >= 0.5).numpy(),
    )


def shown_pixels(view: Tensor) -> Any:
    """(h, w, 3) uint8 of a view (1, C, h, w): its first three channels, or grey."""
    pixels = view[0, :3] if view.shape[1] >= 3 else view[0, :1].expand(3, -1, -1)
    return (pixels.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()


def _shares(overlaps: Overlaps, seen: Seen) -> Any:
    return (overlaps.concepts / (len(seen.pictures) * seen.size[0] * seen.size[1])).numpy()


def _check(quantile: float, iou: float, side: int, shuffles: int, show: int) -> None:
    if not is_number(quantile) or not 0 < quantile < 1:
        raise ValueError(f"quantile is the share of cells above a threshold, in (0, 1); got {described(quantile)}")
    if not is_number(iou) or not 0 <= iou < 1:
        raise ValueError(f"iou is the limit of a detector, in [0, 1); got {described(iou)}")
    for name, value, least in (("side", side, 8), ("shuffles", shuffles, 0), ("show", show, 0)):
        if not is_whole(value, least):
            raise ValueError(f"{name} must be a whole number, {least} or more; got {described(value)}")
