"""From a folder or two archives to the pictures on which two encoders differ: embed, rank, group, judge, probe.

Source of the differences and of the grouping: RDX, see `relax.differences.affinity`; what is added is the noise against
which a group is judged (`relax.differences.redraws`), and the maps (`relax.differences.parts`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, Unpack

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.values import described, is_whole
from relax.archive.archive import Archive, make_archive
from relax.auditing.layout import MIN_IMAGES, lay_out
from relax.auditing.metadata import Metadata, read_metadata
from relax.differences import redraws as noise
from relax.differences.affinity import affinity, difference, links, picture_scores
from relax.differences.columns import excesses
from relax.differences.grouping import LEAST, difference_groups, strength_of
from relax.differences.likeness import cka, kept_links, shared_neighbours
from relax.differences.pairing import Paired
from relax.differences.parts import Part, mean_direction, part_of
from relax.differences.ranks import Ranks, Sight, rank_table, sample_of, sights
from relax.differences.redraws import LEVEL, REDRAWS, Redraws, redrawn
from relax.differences.result import SIDES, Differences, Group
from relax.io.choice import folder_name
from relax.io.errors import ImageError
from relax.keywords import AuditKeywords, shows
from relax.progress import Silent, shown, unheard
from relax.provenance import surroundings
from relax.scene import EncoderSource, loaded
from relax.settings import Settings

MASKS = 512  # of each probe
MOST_NEIGHBOURS, SHARE = 20, 10  # by default one picture in 10 of the sample, from 5 to 20

Source: TypeAlias = "str | Path | Sequence[Archive | str | Path]"
StageProgress = Callable[[str, int, int], None]


@shows(AuditKeywords, masks=MASKS)
def diff_encoders(
    pictures: Source,
    encoders: Sequence[EncoderSource] | None = None,
    out: str | Path = "relax-out/diff",
    *,
    neighbours: int | None = None,
    groups: int | None = None,
    redraws: int = REDRAWS,
    explain: int = 3,
    central: int = 3,
    metadata: str | Path | None = None,
    layout: str = "tsne",
    progress: StageProgress | Silent | None = None,
    **keywords: Unpack[AuditKeywords],
) -> Differences:
    """Find the pictures of an archive that one encoder takes for near and another does not, and what parts make that.

    Where `compare_encoders` shows the maps of one picture by several encoders, this compares how two encoders lay out
    many. Neighbours and ranks are counted among a sample of at most 2,000 pictures; every picture is scored against it.

    Args:
        pictures: A folder, as for `relax.make_archive`, or two archives of the same pictures, by A and by B.
        encoders: The two, A and B, for a folder; as for `relax.explain`. None for archives, which have theirs.
        out: Where the archives of a folder are kept, so that a later call embeds nothing again.
        neighbours: Nearest pictures of each, k; None is one in 10 of the sample, at least 5 and at most 20.
        groups: Number of groups by each encoder; None is the best of 1 to 12. Only those beyond chance are returned.
        redraws: How often each encoder's features are drawn again, to know what groups noise gives; 19 or more.
        explain: Groups whose parts are probed, the strongest first; 0 for none.
        central: Pictures of each of these groups, the most central first.
        metadata: A CSV or Parquet with a column `path` and others, to tell what the pictures of a group share.
        layout: Maps of the two spaces: "tsne", "pca" or, with the extra `umap`, "umap".
        progress: Called with (stage, done, total); otherwise as for `relax.explain`.
        keywords: Keywords of `relax.explain`: `masks` (512 per probe), `seed`, `pooling`, `device`, `batch_size` and
            `precision`.

    Returns:
        Scores of every picture, the groups beyond chance, and their maps.

    Raises:
        ValueError: If an argument is impossible, fewer than 20 pictures can be used, or an archive's encoder changed.
        OSError: If a file cannot be read or written.
    """
    start = time.perf_counter()
    settings = Settings.of({"masks": MASKS, **keywords}, AuditKeywords, "diff_encoders")
    for name, value, least in (("groups", groups, 1), ("neighbours", neighbours, 1)):
        if value is not None and not is_whole(value, least):
            raise ValueError(f"{name} must be a whole number, {least} or more; got {described(value)}")
    for name, value, least in (("redraws", redraws, noise.LEAST), ("explain", explain, 0), ("central", central, 1)):
        if not is_whole(value, least):
            raise ValueError(f"{name} must be a whole number, {least} or more; got {described(value)}")
    table = None if metadata is None else read_metadata(metadata)
    with shown(progress, "") as report:
        told: StageProgress = report or unheard
        paired = Paired.of(_archives(pictures, encoders, Path(out), settings, told))
        known = None if table is None else table.of(paired.paths, paired.names)
        seed = settings.hiding.seed
        sample = sample_of(len(paired.paths), seed)
        k = neighbours or min(MOST_NEIGHBOURS, max(5, len(sample) // SHARE))
        if k >= len(sample) // 2:
            raise ValueError(f"neighbours must be below {len(sample) // 2}, half of the pictures; got {k}")
        seen = sights(*paired.embeddings, sample, k, partial(told, "ranking"))
        spaces = (paired.embeddings[0][sample], paired.embeddings[1][sample])
        drawn = redrawn(spaces, k, count=groups, draws=redraws, seed=seed, progress=partial(told, "noise"))
        a, b = (rank_table(space.astype(np.float64)) for space in spaces)
        significant_groups, tried = _groups((a, b), seen, sample, k, groups, drawn, seed)
        significant_groups = _with_common(significant_groups, sample, paired, known)
        parts = partial(_parts, paired=paired, central=central, settings=settings, told=told, total=explain * central)
        significant_groups = [
            parts(group, place) if place < explain else group for place, group in enumerate(significant_groups)
        ]
        layouts = np.stack(
            [_layout(embeddings, layout, seed, told, place) for place, embeddings in enumerate(paired.embeddings)]
        )
        scores = np.stack([picture_scores(sight) for sight in seen])
        return Differences(
            encoders=paired.encoders,
            root=paired.root,
            paths=paired.paths,
            names=paired.names,
            sample=sample,
            nearest=np.stack([sight.nearest for sight in seen]),
            elsewhere=np.stack([sight.elsewhere for sight in seen]),
            scores=scores,
            limit=drawn.limit,
            groups=tuple(significant_groups),
            agreement={
                "shared neighbours": shared_neighbours(a, b, k),
                "CKA": cka(*spaces),
            },
            layouts=layouts,
            settings={
                **_record(paired, sample, k, groups, tried, drawn, explain, central, settings),
                **surroundings(_device(paired), time.perf_counter() - start),
            },
        )


def _archives(
    pictures: Source, encoders: Sequence[EncoderSource] | None, out: Path, settings: Settings, told: StageProgress
) -> Sequence[Archive | str | Path]:
    """The two archives: those given, or those of the folder, made or brought up to date."""
    if not isinstance(pictures, str | Path):
        if encoders is not None:
            raise ValueError("encoders must be left out with archives, which have theirs")
        return list(pictures)
    if encoders is None or isinstance(encoders, str) or not isinstance(encoders, Sequence) or len(encoders) != 2:
        raise ValueError(f"encoders must be two, A and B, to compare over a folder; got {described(encoders)}")
    archives = []
    for side, encoder in zip(SIDES, encoders, strict=True):
        network = loaded(encoder, settings.execution, settings.request)
        folder, size = out / f"archive-{side.lower()}", settings.execution.batch_size
        progress = partial(told, f"embedding by {side}")
        archives.append(make_archive(pictures, network, folder, batch_size=size, progress=progress))
    return archives


def _groups(
    tables: tuple[Ranks, Ranks],
    seen: tuple[Sight, Sight],
    sample: NDArray[np.int64],
    k: int,
    count: int | None,
    drawn: Redraws,
    seed: int,
) -> tuple[list[Group], int]:
    """Groups beyond chance of both encoders, the strongest first, and how many there were to choose from."""
    groups: list[Group] = []
    tried = 0
    for side, (near, far) in enumerate((tables, tables[::-1])):
        members, graph = difference_groups(near, far, k, count=count, seed=seed)
        tried += len(members)
        kept = [each for each in members if drawn.p_value(strength_of(near, far, each, k)) <= LEVEL]
        joined = _joined(seen[side], sample, kept)
        for place, (each, further) in enumerate(zip(kept, joined, strict=True), start=1):
            order = np.argsort(-np.asarray(graph[each][:, each].sum(1)).ravel(), kind="stable")
            strength, low, high = kept_links(near, far, each, k)
            groups.append(
                Group(
                    name=f"{SIDES[side]}{place}",
                    side=side,
                    members=sample[each[order]],
                    joined=further,
                    near=float(links(near, each, k).mean()),
                    far=float(links(far, each, k).mean()),
                    chance=(len(each) - 1) / (len(sample) - 1),
                    low=low,
                    high=high,
                    p=drawn.p_value(strength),
                )
            )
    return sorted(groups, key=lambda group: -group.strength), tried


def _joined(sight: Sight, sample: NDArray[np.int64], groups: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Of the pictures outside the sample, those of which more than half of the affinity leads into one group."""
    count = len(sight.nearest)
    outside = np.setdiff1d(np.arange(count), sample)
    label = np.full(count, -1)
    for place, members in enumerate(groups):
        label[sample[members]] = place
    ranks = np.arange(1, sight.nearest.shape[1] + 1)[None]
    far = sight.elsewhere[outside]
    weights = affinity(difference(np.broadcast_to(ranks, far.shape), far))
    total = weights.sum(1)
    into = label[sight.nearest[outside]]
    return [outside[(total > 0) & (2 * (weights * (into == place)).sum(1) > total)] for place in range(len(groups))]


def _with_common(
    groups: list[Group], sample: NDArray[np.int64], paired: Paired, metadata: Metadata | None
) -> list[Group]:
    common = excesses([group.members for group in groups], sample, paired.names, metadata)
    return [replace(group, common=each) for group, each in zip(groups, common, strict=True)]


def _parts(
    group: Group, place: int, *, paired: Paired, central: int, settings: Settings, told: StageProgress, total: int
) -> Group:
    """The group with the maps of its most central pictures that can still be read."""
    order = (group.side, 1 - group.side)
    encoders = tuple(paired.archives[side].network() for side in order)
    near, far = (paired.embeddings[side][group.members] for side in order)
    named = f"mean of the {len(group.members) - 1} other pictures of group {group.name}"
    parts: list[Part] = []
    for number, picture in enumerate(group.members[:central].tolist()):
        told("probing", place * central + number, total)
        references = mean_direction(near, number), mean_direction(far, number)
        try:
            source = paired.root / paired.paths[picture]
            both, name = (encoders[0], encoders[1]), paired.names[picture]
            parts.append(part_of(source, picture, both, references, name, named, settings))
        except ImageError:
            continue
    return replace(group, parts=tuple(parts))


def _device(paired: Paired) -> torch.device:
    encoder = paired.archives[0].encoder
    return torch.device("cpu") if encoder is None else encoder.device


def _layout(
    embeddings: NDArray[np.float32], method: str, seed: int, told: StageProgress, place: int
) -> NDArray[np.float64]:
    told("maps of the spaces", place, 2)
    return lay_out(embeddings, method if len(embeddings) >= MIN_IMAGES else "pca", seed=seed).points


def _record(
    paired: Paired,
    sample: NDArray[np.int64],
    k: int,
    groups: int | None,
    tried: int,
    drawn: Redraws,
    explain: int,
    central: int,
    settings: Settings,
) -> dict[str, Any]:
    """How it was made, as JSON types."""
    return {
        "root": Path(folder_name(paired.root, (paired.root / path for path in paired.paths))).name,
        "encoders": {side: archive.record["encoder"] for side, archive in zip(SIDES, paired.archives, strict=True)},
        "pictures": len(paired.paths),
        "left_out": paired.left_out,
        "sample": len(sample),
        "neighbours": k,
        "groups": groups or "the best of 1 to 12",
        "groups_tried": tried,
        "least_pictures_of_a_group": LEAST,
        "noise": {
            "redraws": drawn.shared.shape[1],
            "shared": [float(share) for share in drawn.shared.mean(1)],
            "strongest": [float(strength) for strength in np.median(drawn.strongest, axis=1)],
            "needed": drawn.needed,
            "limit": drawn.limit,
        },
        "explained": explain,
        "central": central,
        "masks": settings.count,
        "seed": settings.hiding.seed,
    }
