"""The findings of an audit as sentences: the number, what it is measured against, and what it does not show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from relax.auditing.clusters import Clusters
from relax.auditing.positions import LEAST
from relax.auditing.predictability import Predictability
from relax.auditing.result import Space
from relax.auditing.shortcuts import LEVEL, Region, Shortcuts

STANDS_OUT = 2.0  # standard deviations within a map, on average over the pictures


def findings(
    paths: Sequence[str],
    failed: int,
    encoder: str,
    space: Space,
    columns: Sequence[Predictability],
    shortcuts: Shortcuts | None,
) -> tuple[str, ...]:
    """What a reader in a hurry should know, the most surprising first."""
    unread = f"; {failed:,} could not be used and {'is' if failed == 1 else 'are'} listed below" if failed else ""
    said = [f"{len(paths):,} images were embedded by {encoder}{unread}."]
    said += _about_shortcuts(shortcuts)
    said += _about_preference(shortcuts)
    said += [column_in_words(one) for one in columns if one.p_corrected <= LEVEL]
    if faint := [one.column for one in columns if one.p_corrected > LEVEL]:
        said.append(f"No link to the embedding was found for {listed(faint)}; a link of another kind may be there.")
    said.append(clusters_in_words(space.clusters))
    said += [_about_duplicates(space), _about_outliers(paths, space), _about_hubs(paths, space), _about_metrics(space)]
    return tuple(said)


def clusters_in_words(clusters: Clusters) -> str:
    """Sizes and how far apart; the words for a silhouette are those of Kaufman & Rousseeuw (1990), table 4."""
    value = clusters.silhouette
    words = (
        "no substantial structure",
        "a weak structure, perhaps artificial",
        "a reasonable structure",
        "a strong one",
    )
    word = words[int(np.searchsorted([0.25, 0.5, 0.7], value, side="right"))]
    sizes = listed([f"{size:,}" for size in clusters.sizes])
    return f"The space falls into {clusters.count} clusters of {sizes} images; mean silhouette {value:.2f}: {word}."


def column_in_words(one: Predictability) -> str:
    """How well the neighbours tell a column, against chance."""
    measure = "R²" if one.kind == "numbers" else f"balanced accuracy of {one.groups} groups"
    return (
        f"{one.column} can be read off the embedding: the nearest other images tell it with {measure} {one.score:.2f} "
        f"({one.chance:.2f} if it is shuffled, p = {one.p_corrected:.3f}). This shows a link, not its cause."
    )


def region_in_words(region: Region, side: int) -> str:
    """Where a region is and what speaks for it."""
    what = {
        "importance": "what the pictures show there is more important than the same place of their mirror images",
        "hiding": "hiding it moves embeddings towards another cluster, more than in mirror images",
    }[region.question]
    moved = "" if np.isnan(region.moved) else f"; the nearest cluster changes for {region.moved:.0%} of the pictures"
    return f"{place_in_words(region.peak, side)}: {what} (t = {region.t:.1f}, p = {region.p:.3f}){moved}"


def place_in_words(cell: tuple[int, int], side: int) -> str:
    """Top left and the like, with the cell."""
    row, column = (min(2, 3 * place // side) for place in cell)
    down, across = ("top", "middle", "bottom")[row], ("left", "centre", "right")[column]
    return f"{down} {across} (row {cell[0] + 1}, column {cell[1] + 1} of {side})"


def listed(names: Sequence[str], most: int = 12) -> str:
    """a, b and c; the rest is counted."""
    shown = list(names[:most])
    if len(names) > most:
        shown.append(f"{len(names) - most} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _about_shortcuts(shortcuts: Shortcuts | None) -> list[str]:
    if shortcuts is None:
        return [
            f"Shortcuts were not looked for: that takes {LEAST} pictures or more, explained or hidden cell by cell."
        ]
    pictures = max(test.pictures for test in shortcuts.tests.values())
    if not shortcuts.regions:
        return [
            f"No place in the frame stood out over {pictures} pictures (smallest p = {shortcuts.p.min():.2f}): "
            "no sign of a shortcut that stays in one place. Rare, wandering or symmetrical ones could be missed."
        ]
    first = shortcuts.regions[0]
    count = len(shortcuts.regions)
    others = f" {count - 1} more {'region is' if count == 2 else 'regions are'} listed below." if count > 1 else ""
    return [
        f"Possible shortcut at {region_in_words(first, len(shortcuts.p))}. Look at the examples before calling it "
        f"one: whatever is always photographed in that place is found too.{others}"
    ]


def _about_preference(shortcuts: Shortcuts | None) -> list[str]:
    """A place that is important in the pictures and in their mirror images alike: the encoder's doing."""
    if shortcuts is None or "importance" not in shortcuts.tests:
        return []
    test = shortcuts.tests["importance"]
    both = np.minimum(test.mean, test.mean - test.difference)
    if both.max() < STANDS_OUT:
        return []
    peak = np.unravel_index(int(both.argmax()), both.shape)
    return [
        f"{place_in_words((int(peak[0]), int(peak[1])), len(both)).capitalize()} is important whichever way the "
        f"pictures are mirrored ({both.max():.1f} standard deviations above a map's mean): a habit of the encoder, or "
        "of how such pictures are framed, rather than something that they show there."
    ]


def _about_duplicates(space: Space) -> str:
    found, count = space.duplicates, sum(len(group) for group in space.duplicates.groups)
    if not count:
        return f"No near-duplicates: no pair has a cosine of {found.threshold:.4f} or more."
    groups = f"{len(found.groups):,} group{'s' * (len(found.groups) != 1)}"
    return (
        f"{count:,} images form {groups} of near-duplicates (cosine {found.threshold:.4f} or more), "
        f"{found.extra:,} more than one of each. A random split would put copies into both training and test."
    )


def _about_outliers(paths: Sequence[str], space: Space) -> str:
    flagged = space.outliers.flagged
    if not flagged:
        return "No outliers: no image is unusually far from its nearest neighbours."
    return (
        f"{len(flagged):,} {'image lies' if len(flagged) == 1 else 'images lie'} unusually far from "
        f"{'its' if len(flagged) == 1 else 'their'} nearest neighbours; farthest is {paths[flagged[0]]}."
    )


def _about_hubs(paths: Sequence[str], space: Space) -> str:
    hubs = space.hubs
    strength = "strong" if hubs.skewness > 1 else "mild" if hubs.skewness > 0.5 else "hardly any"
    most = f"{paths[hubs.hubs[0]]} is a neighbour of {hubs.occurrence[hubs.hubs[0]]} images; " if hubs.hubs else ""
    return (
        f"Hubness: {strength} (skewness {hubs.skewness:.2f}); {most}{hubs.never / len(paths):.0%} of the images are "
        f"nobody's among the {hubs.k} nearest."
    )


def _about_metrics(space: Space) -> str:
    share = float(space.agreement.mean())
    meaning = "the choice hardly matters here" if share > 0.9 else "search results depend on the choice"
    return f"Cosine and L2 share {share:.0%} of the {space.hubs.k} nearest neighbours: {meaning}."
