"""Concepts of an archive at several levels: groups within groups, each with its picture and what sets it apart.

Source: multilevel explanations in the manner of MAME (Natesan Ramamurthy et al., NeurIPS 2020), which joins local
explanations to a tree whose nodes each have a representative and a fidelity; here embeddings, or features that people
know, are joined by agglomerative clustering.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.values import described, is_whole
from relax.archive.archive import Archive
from relax.auditing.neighbours import unit
from relax.influence.answer import about, member_of
from relax.influence.hierarchy.differences import Difference, differences
from relax.influence.hierarchy.nested import LINKAGES, means_of, nested_groups, placed
from relax.influence.hierarchy.result import Hierarchy, Node
from relax.influence.hierarchy.standing import DRAWS, Halves, Standing, standings
from relax.influence.query import opened
from relax.influence.rules.features import Features
from relax.influence.rules.surrogate import features_of
from relax.influence.rules.tree import LEAST, split_of
from relax.progress import Silent, shown
from relax.text import listed, one_of

EMBEDDINGS, FEATURES = "embeddings", "features"
ON = {
    EMBEDDINGS: "pictures that the encoder embeds alike are together",
    FEATURES: "pictures with like measures and columns are together",
}
DEFAULT = (2, 4, 8)
MEAN_SIZE = 3  # grouped pictures per group of the last level, at least
SAMPLE = 5000  # pictures that are agglomerated, and whose features are compared


def hierarchy(
    archive: Archive | str | Path,
    levels: Sequence[int] | None = None,
    *,
    on: str = EMBEDDINGS,
    linkage: str = "ward",
    metadata: str | Path | None = None,
    measures: bool = True,
    seed: int = 0,
    progress: Callable[[int, int], None] | Silent | None = None,
) -> Hierarchy:
    """Groups of pictures within groups, with a picture for each, what sets it apart, and how far it stands for others.

    Two thirds of the pictures are grouped, at most 5,000 of them, drawn at random; all others are placed with the
    nearest mean of the last level. The share of variance that each level explains is counted on the held-out third.

    Args:
        archive: Of `relax.make_archive`, or its folder.
        levels: Numbers of groups, increasing, from 2; None is 2, 4 and 8, as far as the archive has pictures for them.
        on: What is grouped: "embeddings" of length 1, or "features" in standard deviations (unknown ones are the mean).
        linkage: "ward" or "average".
        metadata: A CSV or Parquet with a column `path`, relative to the archive's root: its columns become features.
        measures: Whether brightness, tint, sharpness and so on become features, which reads at most 5,000 pictures, or
            all if features are grouped.
        seed: Of the split, samples, and draws with nothing to find.
        progress: Called with (pictures measured, pictures), then (draws with nothing to find, all 19); otherwise as
            for `relax.explain`.

    Raises:
        ValueError: If an argument is impossible, there are too few pictures for the levels, or no feature.
        FileNotFoundError: If there is no such table.
    """
    archive = opened(archive)
    one_of("on", on, ON)
    one_of("linkage", linkage, LINKAGES)
    if len(archive) < LEAST:
        raise ValueError(f"a hierarchy needs at least {LEAST} pictures; got {len(archive)}")
    if on == FEATURES and not measures and metadata is None:
        raise ValueError("metadata must be given where measures is False: what is to be grouped?")
    rng = np.random.default_rng(seed)
    split = split_of(np.zeros(len(archive)), seed)
    grouped = np.sort(rng.permutation(split.learned)[:SAMPLE])
    cuts = _levels(levels, len(grouped))
    vectors = unit(np.asarray(archive.embeddings))
    if np.ptp(vectors, axis=0).max() < 1e-12:
        raise ValueError("embeddings must differ to be grouped; those of this archive are all the same")
    looked_at = np.arange(len(archive)) if on == FEATURES else np.sort(rng.permutation(len(archive))[:SAMPLE])
    features = Features((), np.empty((len(looked_at), 0)))
    if measures or metadata is not None:
        features = features_of(archive, looked_at, metadata, measures, "", progress)
    points = vectors if on == EMBEDDINGS else scaled(features.values, grouped)

    mine = points[grouped]
    groups = nested_groups(mine, cuts, linkage)
    everywhere = placed(points, mine, groups)
    everywhere[grouped] = groups
    medoids = [_medoids(vectors[grouped], groups[:, level]) for level in range(len(cuts))]
    inner = mine if on == EMBEDDINGS else vectors[grouped]
    halves = Halves(mine, points[split.held_out], inner, vectors[split.held_out])
    with shown(progress, "draws") as report:
        level_standings = standings(halves, groups, medoids, linkage, seed, report)

    names = _names(everywhere)
    nodes = _nodes(archive, names, everywhere, [{g: int(grouped[p]) for g, p in each.items()} for each in medoids],
                   features, looked_at)  # fmt: skip
    headings = [
        f"{standing.groups} groups, which explain {standing.explained:.0%} (chance {standing.nothing:.0%})"
        for standing in level_standings
    ]
    pictures = {
        heading: tuple(node.picture for node in nodes if node.level == level) for level, heading in enumerate(headings)
    }
    findings = [_finding(standing, on) for standing in level_standings]
    if len(grouped) < len(split.learned):
        findings.append(f"{len(grouped):,} pictures, drawn at random, were grouped; all others have the nearest mean.")
    if features.left_out:
        findings.append(f"Left out: {listed(features.left_out)}, which name single pictures or have one value.")
    settings = about(
        archive, "none", levels=list(cuts), on=on, linkage=linkage, grouped=len(grouped),
        held_out=len(split.held_out), draws=DRAWS, seed=seed,
    )  # fmt: skip
    return Hierarchy("", None, pictures, tuple(findings), settings, nodes, tuple(level_standings), names)


def scaled(values: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N, F) features minus the mean of some rows, in their standard deviations; 0 where unknown or all the same."""
    chosen = values[rows]
    known = np.isfinite(chosen).any(0)
    if not known.any():
        raise ValueError("features must be known for some picture to be grouped; got none")
    chosen, values = chosen[:, known], values[:, known]
    spread = np.nanstd(chosen, axis=0)
    usable = spread > 1e-12
    if not usable.any():
        raise ValueError("features must differ between pictures to be grouped; all are the same")
    standardised: NDArray[np.float64] = (values[:, usable] - np.nanmean(chosen[:, usable], axis=0)) / spread[usable]
    return np.nan_to_num(standardised)


def _levels(levels: Sequence[int] | None, grouped: int) -> tuple[int, ...]:
    most = grouped // MEAN_SIZE
    if levels is None:
        return tuple(level for level in DEFAULT if level <= most)
    whole = not isinstance(levels, str) and all(is_whole(level, 2) for level in levels)
    if not whole or not len(levels) or any(b <= a for a, b in pairwise(levels)):
        raise ValueError(
            f"levels must be numbers of groups from 2 that increase, such as 2, 4, 8; got {described(levels)}"
        )
    if levels[-1] > most:
        raise ValueError(
            f"levels must have at most {most} groups, {MEAN_SIZE} of the {grouped:,} grouped pictures in each; "
            f"got {levels[-1]}"
        )
    return tuple(int(level) for level in levels)


def _medoids(vectors: NDArray[np.float64], groups: NDArray[np.int64]) -> dict[int, int]:
    """Per group the place of the vector nearest to its mean: the least sum of squared distances to its members."""
    away = np.square(vectors - means_of(vectors, groups)[groups]).sum(1)
    return {
        group: int(members[away[members].argmin()])
        for group in range(int(groups.max()) + 1)
        for members in [np.flatnonzero(groups == group)]
    }


def _names(groups: NDArray[np.int64]) -> NDArray[np.str_]:
    """(N, L) names such as "2.1", counted by size within the group that is divided."""
    names = np.full(groups.shape, "", dtype=object)
    for level in range(groups.shape[1]):
        before = names[:, level - 1] if level else np.full(len(groups), "", dtype=object)
        for parent in np.unique(before.astype(str)):
            inside = before == parent
            parts, sizes = np.unique(groups[inside, level], return_counts=True)
            for rank, part in enumerate(parts[np.argsort(-sizes, kind="stable")], 1):
                whole = level > 0 and len(parts) == 1
                name = parent if whole else f"{parent}.{rank}" if parent else str(rank)
                names[inside & (groups[:, level] == part), level] = name
    return names.astype(str)


def _nodes(
    archive: Archive,
    names: NDArray[np.str_],
    groups: NDArray[np.int64],
    medoids: list[dict[int, int]],
    features: Features,
    looked_at: NDArray[np.int64],
) -> tuple[Node, ...]:
    nodes: dict[str, Node] = {}
    for level in range(names.shape[1]):
        for name in np.unique(names[:, level]).tolist():
            if name in nodes:
                continue
            inside = names[:, level] == name
            parent = name.rpartition(".")[0]
            around = names[:, level - 1] == parent if parent else np.ones(len(names), dtype=bool)
            apart = differences(features, inside[looked_at], (around & ~inside)[looked_at])
            row = medoids[level][int(groups[inside, level][0])]
            nodes[name] = _node(archive, name, level, parent, np.flatnonzero(inside), row, apart)
    return tuple(sorted(nodes.values(), key=lambda node: (node.level, [int(part) for part in node.name.split(".")])))


def _node(
    archive: Archive,
    name: str,
    level: int,
    parent: str,
    rows: NDArray[np.int64],
    row: int,
    apart: tuple[Difference, ...],
) -> Node:
    share = len(rows) / len(archive)
    notes: dict[str, Any] = {"group": name, "pictures": len(rows)}
    member = member_of(archive, row, share, "; ".join(map(str, apart)), notes)
    return Node(name, level, parent, len(rows), share, member, apart, rows)


def _finding(each: Standing, on: str) -> str:
    nothing = "a cloud without groups" if on == EMBEDDINGS else "features that were shuffled"
    text = (
        f"{each.groups} groups explain {each.explained:.1%} ({each.low:.1%} to {each.high:.1%}) of the variance of "
        f"{each.pictures} embeddings that were held out, their pictures alone {each.representatives:.1%}; random "
        f"groups of the same sizes {each.random:.1%}, {nothing} {each.nothing:.1%} (p = {each.p:.2f})."
    )
    text = text.replace("-", "−")
    return text if each.beyond_chance else f"{text} That is no more than chance: read nothing into this level."
