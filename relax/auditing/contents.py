"""The audit as a report: chapters with charts, tables and rows of small pictures, and the gallery of explanations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from relax.auditing import charts
from relax.auditing.collection import collection_of
from relax.auditing.findings import answer_in_words, clusters_in_words, region_in_words
from relax.auditing.gallery import Gallery
from relax.auditing.group_marks import PICTURES as GROUP_PICTURES
from relax.auditing.outliers import LIMIT
from relax.auditing.predictability import MIN_GROUP, Value
from relax.auditing.quality import CHECKS
from relax.auditing.result import Audit
from relax.auditing.shortcuts import LEVEL
from relax.report import Chart, Grid, Report, Section, Strip, Thumbnail

THUMBNAILS = 12  # in a strip, at most
EXAMPLES = 6  # of a cluster's middle, of its rim, and of hubs
TABLE_ROWS = 30  # the files beside the report have all of them
STRIPS = 10  # rows of thumbnails in a chapter


@dataclass(frozen=True)
class Contents:
    """Composes the report of an audit.

    Attributes:
        audit: The results.
        pictures: Reads thumbnails and explanations.
        colour_by: The metadata column of the second map; "" for none.
    """

    audit: Audit
    pictures: Gallery
    colour_by: str

    def report(self) -> Report:
        """All chapters, with the gallery."""
        chapters = [self._shortcuts(), self._marks(), self._groups(), self._power(), self._columns(), self._clusters()]
        chapters += [self._duplicates(), self._outliers(), self._quality(), self._hubs(), self._failed()]
        return Report(
            title=f"Audit of {self.audit.settings['root'] or 'a folder'}",
            findings=self.audit.findings,
            sections=tuple(chapter for chapter in chapters if chapter is not None),
            exhibits=self.pictures,
            settings=self.audit.settings,
            collection=collection_of(self.audit, self.colour_by, self.pictures.small),
            space=self._layout(),
        )

    def _shortcuts(self) -> Section | None:
        shortcuts = self.audit.shortcuts
        if shortcuts is None:
            return None
        side = len(shortcuts.p)
        caption = (
            "Each cell is a place in the view of the encoder. Compared with mirror images, on average: how much more "
            "important a place is, how much more decisive for the cluster when hidden, and how much more alike the "
            "embeddings of several pictures change when it is hidden. "
            f"Outlined: p at most {LEVEL} after correction for all places and questions."
        )
        explanation = (
            "Every encoder weighs some places more than others, and photographers put things in the middle. So each "
            "picture is compared with its own mirror image: the difference is due to what the pictures show at that "
            "place. What looks the same when mirrored, such as the exact centre, cannot be found this way."
        )
        strips = [
            self._strip(
                f"Region {number}: {region_in_words(region, side)}",
                region.examples,
                partial(self.pictures.outlined, region=region),
                "The pictures with the largest difference there; the outline is the region.",
            )
            for number, region in enumerate(shortcuts.regions[:STRIPS], start=1)
        ]
        chart = Chart(charts.shortcuts_chart(shortcuts), caption, "Grids of places with the evidence for shortcuts")
        return Section("Shortcuts: places that matter in many pictures", (explanation,), (chart, *strips))

    def _marks(self) -> Section | None:
        marks = self.audit.marks
        if marks is None:
            return None
        explanation = (
            "Every two pictures were laid on each other, as they are and shifted until they agreed best, and so were "
            "pictures and mirror images. What only pictures share is a label, a logo, a frame, or the same scene. A "
            "mark that equals its mirror image, or changes its size, is not found this way. What is "
            "found is hidden where it stands, and the same places are hidden elsewhere, to ask the encoder."
        )
        result = (
            f"{len(marks.images):,} pictures were compared; p = {marks.one_place.p:.4f} at one place, "
            f"{marks.anywhere.p:.4f} anywhere, {marks.p:.4f} for the two together."
        )
        asked = () if self.audit.answer is None else (answer_in_words(self.audit.answer),)
        note = "The clearest first; the outline is where they agree most with others."
        strip = self._strip(
            "Pictures with the detail", marks.carriers, partial(self.pictures.marked, marks=marks), note
        )
        return Section("Details that recur", (explanation, result, *asked), (strip,) if marks.carriers else ())

    def _groups(self) -> Section | None:
        within = self.audit.group_marks
        if not within:
            return None
        marked_groups = [result for result in within if result.p <= LEVEL]
        explanation = (
            f"What only some pictures of one group have is rare among all. So {GROUP_PICTURES} pictures of each of the "
            f"largest {len(within)} folders and groups of the metadata were compared with one another, as above; p is "
            "corrected for the number of groups. Groups of very like things, or of one scene, are found as well."
        )
        strips = [
            self._strip(
                f"{result.group.column} {result.group.value}: p = {result.p:.4f}",
                result.marks.carriers,
                partial(self.pictures.marked, marks=result.marks),
                "The clearest first; the outline is where they agree most with others.",
            )
            for result in marked_groups[:STRIPS]
        ]
        headers = ("column", "group", "images", "compared", "p at one place", "p anywhere", "p", "show it clearly")
        rows = tuple(
            (
                *(result.group.column, result.group.value, len(result.group.images), len(result.marks.images)),
                *(result.marks.one_place.p, result.marks.anywhere.p, result.p, len(result.marks.carriers)),
            )
            for result in within
        )
        return Section("Details that recur within groups", (explanation,), (*strips, Grid("Groups", headers, rows)))

    def _power(self) -> Section | None:
        power = self.audit.power
        if not power:
            return None
        explanation = (
            "Marks were planted and the tests repeated, with these pictures and their own noise: for places, pictures "
            "change alike when a random cell is hidden; for details, a square of random blocks is pasted at one "
            "place or at random places, unless one was found already. Where a mark is rarely found, finding none says "
            "little: more pictures (--hide) help."
        )
        rows = tuple((row.test, row.mark, row.share, row.found) for row in power)
        headers = ("test", "planted", "share of the pictures", "share of the draws in which it is found")
        return Section("Which marks could have been seen", (explanation,), (Grid("Power", headers, rows),))

    def _columns(self) -> Section | None:
        audit = self.audit
        if audit.metadata is None:
            return None
        some = [column.asked for column in audit.columns if column.asked < column.images]
        asked = f" The values of {some[0]:,} images, drawn at random, were predicted from all others." if some else ""
        missing = f" {audit.metadata.missing:,} images have no row in the table." if audit.metadata.missing else ""
        explanation = (
            "The value of each image is predicted from its nearest other images. The p-value is the share of shuffled "
            "columns that score as well, corrected for the number of columns (Holm). It assumes independent images: "
            f"frames of one video, or copies, make it too small. A link is not a cause.{missing}{asked}"
        )
        if not audit.columns:
            return Section("Metadata", (f"No column holds numbers, or groups of at least {MIN_GROUP} images.",))
        headers = ("column", "kind", "score", "shuffled", "p", "images", "groups", "share of the largest group")
        rows = tuple(
            (
                *(column.column, column.kind, column.score, column.chance, column.p_corrected),
                *(column.images, column.groups or None, column.largest),
            )
            for column in audit.columns
        )
        note = "Score: balanced accuracy for groups, R² for numbers."
        chart = Chart(charts.predictability_chart(audit.columns), note, "Bars: the score of each metadata column")
        return Section(
            "Metadata that can be read off the embedding", (explanation,), (chart, Grid("Columns", headers, rows, note))
        )

    def _layout(self) -> Section:
        space = self.audit.space
        coloured: dict[str, Sequence[Value]] = {"cluster": space.clusters.labels.tolist()}
        if self.audit.metadata is not None and self.colour_by:
            coloured[self.colour_by] = self.audit.metadata.columns[self.colour_by]
        blocks = tuple(
            Chart(
                charts.space_chart(space.layouts, values, name),
                f"One dot per image, coloured by {name}.",
                f"Maps of the space in two dimensions, coloured by {name}",
            )
            for name, values in coloured.items()
        )
        explanation = (
            "Close dots are similar images. t-SNE and UMAP preserve neighbourhoods; the sizes of their groups and the "
            "distances between them mean little. PCA preserves large distances."
        )
        if arranged := [layout.arranged for layout in space.layouts if layout.arranged < len(layout.points)]:
            explanation += (
                f" Of so many images, t-SNE and UMAP arranged {arranged[0]:,}, drawn at random; each of the others "
                "stands amid its nearest ones among these, so a very small group may not show as one."
            )
        return Section("Map of the space", (explanation,), blocks)

    def _clusters(self) -> Section:
        audit, clusters = self.audit, self.audit.space.clusters
        blocks: list[Chart | Strip] = [
            Chart(
                charts.clusters_chart(clusters),
                "The number of clusters has the highest mean silhouette: 1 is compact and well separated.",
                "Silhouette by number of clusters, and cluster sizes",
            )
        ]
        if audit.maps:
            caption = (
                "Mean importance in each cluster, in the view of the encoder, over the explained pictures. Each map is "
                "standardised first, so that all pictures count the same. These maps contain the encoder's preference "
                "for certain places; the chapter on shortcuts removes it."
            )
            chart = charts.importance_chart(audit.maps, audit.map_counts)
            blocks.append(Chart(chart, caption, "One mean importance map per cluster"))
        for number in range(clusters.count):
            members = clusters.members(number)
            title = f"Cluster {number}: {len(members):,} images"
            if len(members) <= 2 * EXAMPLES:
                blocks.append(self._strip(title, members, note="From the nearest to the centre to the farthest."))
                continue
            blocks.append(self._strip(f"{title}, the most typical", members[:EXAMPLES], note="Nearest to the centre."))
            rim = members[: -EXAMPLES - 1 : -1]
            blocks.append(self._strip(f"Cluster {number}, its rim", rim, note="Farthest from the centre."))
        return Section("Clusters", (clusters_in_words(clusters),), tuple(blocks))

    def _duplicates(self) -> Section:
        space = self.audit.space
        duplicates = space.duplicates
        caption = "Left: at a cosine distance of 0 lie copies. Right: how often an image is a neighbour."
        chart = Chart(
            charts.neighbours_chart(duplicates, space.hubs),
            caption,
            "Histograms of the nearest distances and of hubness",
        )
        strips = [
            self._strip(
                f"Group {number}: {len(group)} images",
                group,
                note="" if len(group) <= THUMBNAILS else f"The first {THUMBNAILS}; duplicates.csv has all.",
            )
            for number, group in enumerate(duplicates.groups[:STRIPS], start=1)
        ]
        omitted = f" The first {STRIPS} groups are shown." if len(duplicates.groups) > STRIPS else ""
        explanation = (
            f"Pairs with a cosine of {duplicates.threshold:.6f} or more, joined into groups. The default threshold is "
            f"a hundredth of the typical cosine distance to the nearest image.{omitted}"
        )
        return Section("Neighbours and near-duplicates", (explanation,), (chart, *strips))

    def _outliers(self) -> Section:
        outliers, paths = self.audit.space.outliers, self.audit.paths
        flags = set(outliers.flagged)
        explanation = (
            "Ranked by the larger of two scores, each a logarithm in robust standard deviations (median and MAD): the "
            "mean cosine distance to the nearest images, within the cluster (z in its cluster; z is among all images), "
            "and the local outlier factor, about 1 where an image lies as close as its neighbours do. Flagged: the "
            f"distance is more than {LIMIT} above the median of its cluster. Some image always comes first; look "
            "before you call it wrong."
        )
        flagged = f"{len(outliers.flagged):,} flagged." if outliers.flagged else "None is flagged."
        scores = (
            *(outliers.score, outliers.distance, outliers.robust_z),
            *(outliers.cluster_z, outliers.local_factor),
        )
        rows = tuple(
            (rank, paths[image], *(float(values[image]) for values in scores), "yes" if image in flags else "no")
            for rank, image in enumerate(outliers.ranked[:TABLE_ROWS], start=1)
        )
        headers = (
            "rank",
            "image",
            "score",
            "mean distance",
            "z",
            "z in its cluster",
            "local outlier factor",
            "flagged",
        )
        grid = Grid("The most unusual images", headers, rows, "outliers.csv has all of them.")
        strip = self._strip("The most unusual images", outliers.ranked, note="The most unusual first.")
        return Section("Unusual images", (explanation, flagged), (strip, grid))

    def _quality(self) -> Section:
        problems = self.audit.quality.problems
        explanation = (
            "What is wrong with a picture by itself, whatever the encoder: measured at no more than 256 px. Sharpness, "
            "size and colour are compared with the other pictures of the folder."
        )
        rows = tuple((check.name, len(problems.get(check.name, ())), check.meaning) for check in CHECKS)
        strips = [self._strip(f"{name.capitalize()}: {len(images):,}", images) for name, images in problems.items()]
        grid = Grid("Checks", ("check", "images", "when"), rows, "quality.csv has the measures of all pictures.")
        return Section("Checks of the pictures", (explanation,), (grid, *strips))

    def _hubs(self) -> Section | None:
        hubs, paths = self.audit.space.hubs, self.audit.paths
        if not hubs.hubs:
            return None
        explanation = (
            f"How often an image is among the {hubs.k} nearest of another; hubs lie more than two standard deviations "
            "above the mean. A search returns hubs whatever the query."
        )
        rows = tuple((paths[image], int(hubs.occurrence[image])) for image in hubs.hubs[:TABLE_ROWS])
        strip = self._strip("The largest hubs", hubs.hubs[:EXAMPLES])
        return Section("Hubs", (explanation,), (strip, Grid("Hubs", ("image", "times a neighbour"), rows)))

    def _failed(self) -> Section | None:
        failed = self.audit.failed
        if not failed:
            return None
        return Section(
            "Images that could not be used", (), (Grid("Left out", ("image", "reason"), tuple(failed.items())),)
        )

    def _strip(
        self,
        title: str,
        images: Sequence[int],
        pixels: Callable[[int], NDArray[np.uint8] | None] | None = None,
        note: str = "",
    ) -> Strip:
        """Thumbnails of the first images, without those whose file has disappeared since it was embedded."""
        read = pixels or self.pictures.small
        thumbnails = ((read(image), int(image)) for image in images[:THUMBNAILS])
        paths = self.audit.paths
        return Strip(
            title,
            tuple(Thumbnail(small, paths[image], image) for small, image in thumbnails if small is not None),
            note,
        )
