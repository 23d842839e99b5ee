"""`relax.find_concepts`: from a folder of pictures to groups of cells."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders.identity import identity
from encoders.values import described, is_whole
from relax.concepts.counting import Progress
from relax.concepts.dissecting import shown_pixels
from relax.concepts.found import FoundConcept, FoundConcepts
from relax.concepts.grouping import GROUPINGS, Groups, group, stability
from relax.concepts.reading import LayerMaps
from relax.concepts.removal import removal_effects
from relax.concepts.testing import Pictures
from relax.io.errors import ImageError
from relax.io.images import ImageSource, each_picture, name_of
from relax.progress import Silent, shown, unheard
from relax.provenance import surroundings
from relax.scene import EncoderSource, loaded
from relax.settings import Execution
from relax.text import one_of

HAS = 0.05  # share of its cells from which a picture has a concept
JUDGED = 30  # pictures in which concepts are removed
PATCHES, AROUND = 4, 2.0  # patches of a concept, and cells along the side of each
MOST_BYTES = 1 << 31  # of maps


def find_concepts(
    pictures: Pictures,
    encoder: EncoderSource = "default",
    *,
    layer: str | None = None,
    how: str = "clusters",
    count: int | None = None,
    judged: int = JUDGED,
    seed: int = 0,
    progress: Progress | Silent | None = None,
    pooling: str = "auto",
    view: str = "auto",
    device: str | torch.device = "auto",
) -> FoundConcepts:
    """Groups of cells that look alike to a layer, over a folder of pictures: concepts that nobody named.

    Each is shown by the patches that have most of it, with the share of the pictures that have it, with what the
    embedding loses without it, beside what it loses without as many other cells, and with how well it is found again
    from another start.

    Args:
        pictures: A folder, or pictures as `relax.read_image` takes them.
        encoder: As for `relax.explain`; a module of torch whose layers are seen.
        layer: As `relax layers` names it; by default the last with a map of more than one cell.
        how: "clusters" or "nmf", which needs a layer that is never negative; see `relax.concepts.grouping`.
        count: Number of groups; None chooses 2 to 10 clusters by the silhouette, and 6 factors.
        judged: Pictures, drawn with the seed, in which concepts are removed; 0 for none.
        seed: The only source of randomness; the other start has the next one.
        progress: Called with (what is done, done, total); otherwise as for `relax.explain`.
        pooling: As for `relax.explain`.
        view: As for `relax.explain`.
        device: As for `relax.explain`.

    Raises:
        ValueError: If an argument is impossible, no picture can be used, or the maps take more than 2 GB.
        EncoderError: If torch sees no layers in the encoder.
    """
    start = time.perf_counter()
    one_of("how", how, GROUPINGS)
    for name, value, least in (("judged", judged, 0), ("count", 2 if count is None else count, 2)):
        if not is_whole(value, least):
            raise ValueError(f"{name} must be a whole number, {least} or more; got {described(value)}")
    reader = LayerMaps.of(loaded(encoder, Execution(pooling=pooling, view=view, device=device)), layer)
    with shown(progress, "") as report:
        told = report or unheard
        read = _read(each_picture(pictures), reader, told)
        cells = read.maps.transpose(0, 2, 3, 1).reshape(-1, read.maps.shape[1])
        told("groups", 0, 2)
        groups = group(cells, how, count, seed)
        told("groups", 1, 2)
        again = stability(groups, group(cells, how, len(groups.vectors), seed + 1))
        labels = groups.labels.reshape(len(read.maps), *read.maps.shape[2:])
        effects = _effects(read, reader, labels, len(groups.vectors), judged, seed, told)
    record = {
        "what": "found concepts",
        "encoder": identity(reader.encoder),
        "layer": reader.layer.name,
        "grid": list(read.maps.shape[2:]),
        "how": how,
        "count": len(groups.vectors),
        "chosen": count is None,
        "judged": min(judged, len(read.maps)),
        "seed": seed,
        "pictures": len(read.names),
        **surroundings(reader.encoder.device, time.perf_counter() - start),
    }
    concepts = tuple(
        _concept(number, groups, labels, read, reader, effects[:, :, number], float(again.cosines[number]))
        for number in range(len(groups.vectors))
    )
    return FoundConcepts(
        reader.layer.name, concepts, labels, read.names, groups.quality, again.agreement, read.failed, record
    )


@dataclass(frozen=True)
class _Read:
    """Pictures with their maps (N, D, gh, gw)."""

    pictures: tuple[ImageSource, ...]
    names: tuple[str, ...]
    maps: NDArray[np.float32]
    failed: dict[str, str]


def _read(pictures: list[ImageSource], reader: LayerMaps, told: Progress) -> _Read:
    used, names, maps, failed = [], [], [], {}
    for place, picture in enumerate(pictures):
        told("pictures", place, len(pictures))
        name = name_of(picture)
        try:
            view, _ = reader.view(picture)
        except ImageError as error:
            failed[name] = str(error)
            continue
        maps.append(reader.maps(view)[0].numpy())
        used.append(picture)
        names.append(name)
        if maps[0].shape != maps[-1].shape:
            raise ValueError(
                f"pictures must give the layer the same cells; {name} gives {maps[-1].shape[1:]}, the first "
                f"{maps[0].shape[1:]}: say the size that the encoder sees, size=224, or view=squash"
            )
        if maps[0].nbytes * len(pictures) > MOST_BYTES:
            raise ValueError(
                f"maps of {len(pictures)} pictures would take {maps[0].nbytes * len(pictures) / 1e9:.1f} GB, and the "
                f"limit is {MOST_BYTES / 1e9:.1f}: choose fewer pictures or a later layer"
            )
    if not maps:
        raise ValueError(f"no picture can be used: {next(iter(failed.values()), 'there is none')}")
    return _Read(tuple(used), tuple(names), np.stack(maps), failed)


def _effects(
    read: _Read, reader: LayerMaps, labels: NDArray[np.int64], count: int, judged: int, seed: int, told: Progress
) -> NDArray[np.float64]:
    """(M, 2, K) what the embeddings of M pictures lose without each concept, and without as many other cells."""
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(labels))[:judged]
    effects = np.full((len(drawn), 2, count), np.nan)
    for place, picture in enumerate(drawn):
        told("removing", place, len(drawn))
        cells = np.stack([labels[picture] == number for number in range(count)])
        present = np.flatnonzero(cells.any((1, 2)))
        others = np.stack([rng.permutation(cells[number].ravel()).reshape(cells[0].shape) for number in present])
        view, _ = reader.view(read.pictures[picture])
        lost = removal_effects(reader, view, np.concatenate([cells[present], others]))
        effects[place, :, present] = lost.reshape(2, -1).T
    return effects


def _concept(
    number: int,
    groups: Groups,
    labels: NDArray[np.int64],
    read: _Read,
    reader: LayerMaps,
    effects: NDArray[np.float64],
    stable: float,
) -> FoundConcept:
    has = (labels == number).mean((1, 2))
    known = np.isfinite(effects[:, 0])
    importance, control = effects[known].mean(0) if known.any() else (np.nan, np.nan)
    strength = np.where(labels == number, groups.strength.reshape(labels.shape), -np.inf)
    best = strength.reshape(len(labels), -1)
    chosen = [int(place) for place in np.argsort(-best.max(1), kind="stable")[:PATCHES] if best[place].max() > -np.inf]
    patches = [
        patch_at(
            reader.view(read.pictures[place])[0], divmod(int(best[place].argmax()), labels.shape[2]), labels.shape[1:]
        )
        for place in chosen
    ]
    return FoundConcept(
        number,
        groups.vectors[number],
        float((labels == number).mean()),
        float((has >= HAS).mean()),
        float(importance),
        float(control),
        int(known.sum()),
        stable,
        tuple(patches),
        tuple(read.names[place] for place in chosen),
    )


def patch_at(view: Tensor, cell: tuple[int, int], grid: tuple[int, ...], around: float = AROUND) -> NDArray[np.uint8]:
    """(h, w, 3) what a view (1, C, h, w) shows around a cell, `around` cells wide, inside the view."""
    sides = []
    for place, cells, side in zip(cell, grid, view.shape[2:], strict=True):
        size = min(side, max(2, round(around * side / cells)))
        middle = (place + 0.5) * side / cells
        first = min(max(0, round(middle - size / 2)), side - size)
        sides.append(slice(first, first + size))
    pixels: NDArray[np.uint8] = shown_pixels(view[..., sides[0], sides[1]])
    return pixels
