"""The findings of an audit as sentences: the number, what it is compared with, and what it does not show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from relax.auditing.answers import Answer
from relax.auditing.clusters import Clusters
from relax.auditing.group_marks import GroupMarks
from relax.auditing.marks import Marks
from relax.auditing.positions import MIN_PICTURES
from relax.auditing.power import Power, power_in_words
from relax.auditing.predictability import Predictability
from relax.auditing.quality import CHECKS, Quality
from relax.auditing.result import Space
from relax.auditing.shortcuts import LEVEL, Region, Shortcuts
from relax.text import counted, listed

NAMED = 6  # groups in a sentence
STANDS_OUT = 2.0  # standard deviations within a map, averaged over the pictures


def findings(
    paths: Sequence[str],
    failed: int,
    encoder: str,
    space: Space,
    quality: Quality,
    columns: Sequence[Predictability],
    shortcuts: Shortcuts | None,
    marks: Marks | None,
    answer: Answer | None,
    within: Sequence[GroupMarks],
    power: Sequence[Power],
) -> tuple[str, ...]:
    """The main results, the most surprising first."""
    unusable = f"; {failed:,} could not be used and {'is' if failed == 1 else 'are'} listed below" if failed else ""
    sentences = [f"{len(paths):,} images were embedded by {encoder}{unusable}."]
    sentences += _about_shortcuts(shortcuts)
    sentences += _about_marks(paths, marks)
    sentences += [] if answer is None else [answer_in_words(answer)]
    sentences += _about_groups(within)
    sentences += _about_power(power)
    sentences += _about_preference(shortcuts)
    sentences += [column_in_words(column) for column in columns if column.p_corrected <= LEVEL]
    if unlinked := [column.column for column in columns if column.p_corrected > LEVEL]:
        sentences.append(
            f"No link between the embedding and {listed(unlinked)} was found; neighbours may not show every link."
        )
    sentences.append(clusters_in_words(space.clusters))
    sentences += [
        _about_duplicates(space),
        _about_outliers(paths, space),
        _about_quality(quality),
        _about_hubs(paths, space),
        _about_metrics(space),
    ]
    return tuple(sentences)


def clusters_in_words(clusters: Clusters) -> str:
    """Sizes and separation; the verdict on the silhouette follows Kaufman & Rousseeuw (1990), table 4."""
    if clusters.count == 1:
        return f"The space does not fall into clusters: all {clusters.sizes[0]:,} images have the same embedding."
    value = clusters.silhouette
    verdicts = (
        "no substantial structure",
        "a weak structure, perhaps artificial",
        "a reasonable structure",
        "a strong structure",
    )
    verdict = verdicts[int(np.searchsorted([0.25, 0.5, 0.7], value, side="right"))]
    sizes = listed([f"{size:,}" for size in clusters.sizes])
    return f"The space falls into {clusters.count} clusters of {sizes} images; mean silhouette {value:.2f}: {verdict}."


def column_in_words(column: Predictability) -> str:
    """How well the neighbours predict a column, compared with chance."""
    numbers = f"an R² of {column.score:.2f}"
    groups = f"a balanced accuracy of {column.score:.2f} over {column.groups} groups"
    measure = numbers if column.kind == "numbers" else groups
    return (
        f"{column.column} can be read off the embedding: nearest neighbours predict it with {measure} "
        f"({column.chance:.2f} when shuffled, p = {column.p_corrected:.3f}). This shows a link, not its cause."
    )


def region_in_words(region: Region, side: int) -> str:
    """Where a region is, with the evidence for it."""
    evidence = {
        "importance": "what the pictures show there is more important than the same place in their mirror images",
        "hiding": "hiding it moves embeddings towards another cluster, more than in the mirror images",
        "recurrence": "hiding it changes the embeddings of several pictures alike, more than in the mirror images",
    }[region.question]
    change = "" if np.isnan(region.moved) else f"; hiding it changes the cluster of {region.moved:.0%} of the pictures"
    return f"{place_in_words(region.peak, side)}: {evidence} (t = {region.t:.1f}, p = {region.p:.3f}){change}"


def place_in_words(cell: tuple[int, int], side: int) -> str:
    """Such as "top left", with the cell."""
    row, column = (min(2, 3 * place // side) for place in cell)
    down, across = ("top", "middle", "bottom")[row], ("left", "centre", "right")[column]
    return f"{down} {across} (row {cell[0] + 1}, column {cell[1] + 1} of {side})"


def _about_shortcuts(shortcuts: Shortcuts | None) -> list[str]:
    if shortcuts is None:
        return [
            f"Shortcuts were not tested: this takes {MIN_PICTURES} pictures or more, explained or hidden cell by cell."
        ]
    pictures = max(test.pictures for test in shortcuts.tests.values())
    if not shortcuts.regions:
        return [
            f"No place in the frame stood out over {pictures} pictures (smallest p = {shortcuts.p.min():.2f}): "
            "no sign of a shortcut in a fixed place. Rare, moving or symmetrical shortcuts can be missed."
        ]
    first = shortcuts.regions[0]
    count = len(shortcuts.regions)
    others = f" {count - 1} more {'region is' if count == 2 else 'regions are'} listed below." if count > 1 else ""
    return [
        f"Possible shortcut at {region_in_words(first, len(shortcuts.p))}. Check the examples before calling it "
        f"one: the test also finds whatever is always photographed in that place.{others}"
    ]


def _about_marks(paths: Sequence[str], marks: Marks | None) -> list[str]:
    if marks is None:
        return []
    count = len(marks.images)
    if marks.p > LEVEL:
        return [
            f"No detail recurs in {count} pictures that were compared with one another, at one place or anywhere "
            f"(p = {marks.p:.2f})."
        ]
    clear = f"; {len(marks.carriers)} of {count} show it clearly" if marks.carriers else ""
    first = f", beginning with {paths[marks.carriers[0]]}" if marks.carriers else ""
    return [
        f"Pictures share a detail, {'at one place' if marks.in_place else 'perhaps at different places'} "
        f"(p = {marks.p:.4f}){clear}. "
        f"Look at the examples{first}: labels and frames do this, and so do pictures of one scene."
    ]


def group_in_words(result: GroupMarks) -> str:
    """Which group shares a detail, with the evidence."""
    marks, group = result.marks, result.group
    where = "at one place" if marks.in_place else "perhaps at different places"
    return f"{group.column} {group.value} ({where}, {len(marks.carriers)} of {len(marks.images)} show it clearly)"


def _about_groups(within: Sequence[GroupMarks]) -> list[str]:
    """The groups that share a detail, the clearest first."""
    if not within:
        return []
    marked_groups = [result for result in within if result.p <= LEVEL]
    if not marked_groups:
        return [
            f"No detail recurs within any of {len(within)} groups that were asked one by one "
            f"(smallest p = {within[0].p:.2f})."
        ]
    rest = len(marked_groups) - NAMED
    more = f"; {rest} more stand{'s' * (rest == 1)} on the page" if rest > 0 else ""
    named = listed([group_in_words(result) for result in marked_groups[:NAMED]])
    return [
        f"Pictures share a detail within {len(marked_groups)} of {len(within)} groups that were asked one by one "
        f"(p at most {marked_groups[-1].p:.3f}, corrected): {named}{more}. "
        "A label or a frame that only one group has can stand in for that group; pictures of one scene do this, too."
    ]


def answer_in_words(answer: Answer) -> str:
    """Whether the encoder registers the detail."""
    verdict = (
        "changes the embeddings alike: the encoder registers it, so it may be a shortcut"
        if answer.p <= LEVEL
        else "does not change the embeddings alike: no sign that the encoder registers it"
    )
    return (
        f"Hiding that detail in {answer.pictures} pictures {verdict} (p = {answer.p:.4f}); they move by a cosine "
        f"distance of {answer.moved:.3f}, the same places without it by {answer.moved_others:.3f}."
    )


def _about_power(power: Sequence[Power]) -> list[str]:
    """For the first of the marks that were planted."""
    if not power:
        return []
    first = [result for result in power if result.mark == power[0].mark]
    return [f"What the tests could have seen: {power_in_words(first)} The page has more."]


def _about_preference(shortcuts: Shortcuts | None) -> list[str]:
    """A place that is important in the pictures and in their mirror images alike."""
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
        "an effect of how such pictures are framed, rather than of what they show there."
    ]


def _about_duplicates(space: Space) -> str:
    duplicates, count = space.duplicates, sum(len(group) for group in space.duplicates.groups)
    if not count:
        return f"No near-duplicates: no pair has a cosine of {duplicates.threshold:.4f} or more."
    return (
        f"{count:,} images form {counted(len(duplicates.groups), 'group')} of near-duplicates "
        f"(cosine {duplicates.threshold:.4f} or more), "
        f"{duplicates.extra:,} beyond one of each. A random split would put copies into both training and test set."
    )


def _about_outliers(paths: Sequence[str], space: Space) -> str:
    flagged, first = space.outliers.flagged, paths[space.outliers.ranked[0]]
    if not flagged:
        return (
            "No image is flagged as an outlier: none is extremely far from its neighbours for its cluster. "
            f"Still look at the ranked list; it begins with {first}."
        )
    return (
        f"{len(flagged):,} {'image lies' if len(flagged) == 1 else 'images lie'} unusually far from "
        f"{'its' if len(flagged) == 1 else 'their'} nearest neighbours; the most unusual image is {first}."
    )


def _about_quality(quality: Quality) -> str:
    if not quality.problems:
        return f"Checks of the pictures found nothing ({', '.join(check.name for check in CHECKS)})."
    counts = listed([f"{len(images):,} {name}" for name, images in quality.problems.items()])
    return f"Checks of the pictures found {counts}."


def _about_hubs(paths: Sequence[str], space: Space) -> str:
    hubs = space.hubs
    strength = "strong" if hubs.skewness > 1 else "mild" if hubs.skewness > 0.5 else "negligible"
    largest = f"{paths[hubs.hubs[0]]} is a neighbour of {hubs.occurrence[hubs.hubs[0]]} others; " if hubs.hubs else ""
    return (
        f"Hubness: {strength} (skewness {hubs.skewness:.2f}); {largest}{hubs.never / len(paths):.0%} of the images are "
        f"among no other's {hubs.k} nearest."
    )


def _about_metrics(space: Space) -> str:
    share = float(np.nanmean(space.agreement))
    asked = int(np.isfinite(space.agreement).sum())
    of = "" if asked == len(space.agreement) else f" of {asked:,} images drawn at random"
    meaning = "the choice hardly matters here" if share > 0.9 else "search results depend on the choice"
    return f"Cosine and L2 share {share:.0%} of the {space.hubs.k} nearest neighbours{of}: {meaning}."
