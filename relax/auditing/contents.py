"""The audit as a report: chapters with charts, tables and rows of small pictures, and the gallery of explanations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from relax.auditing import charts
from relax.auditing.findings import clusters_in_words, region_in_words
from relax.auditing.gallery import Gallery
from relax.auditing.predictability import Value
from relax.auditing.result import Audit
from relax.auditing.shortcuts import LEVEL
from relax.report import Chart, Grid, Report, Section, Strip, Thumbnail

SHOWN = 6  # small pictures in a row
ROWS = 30  # of a table; the files beside the report have them all
STRIPS = 10  # rows of small pictures in a chapter


@dataclass(frozen=True)
class Contents:
    """Makes the report of an audit.

    Attributes:
        audit: What was found.
        pictures: Gives small pictures and explanations.
        colour_by: The metadata column of the second map; "" for none.
    """

    audit: Audit
    pictures: Gallery
    colour_by: str

    def report(self) -> Report:
        """Everything that the page shows."""
        chapters = [self._shortcuts(), self._columns(), self._layout(), self._clusters()]
        chapters += [self._duplicates(), self._outliers(), self._hubs(), self._failed()]
        return Report(
            title=f"Audit of {self.pictures.name}",
            findings=self.audit.findings,
            sections=tuple(chapter for chapter in chapters if chapter is not None),
            exhibits=self.pictures,
            settings=self.audit.settings,
        )

    def _shortcuts(self) -> Section | None:
        found = self.audit.shortcuts
        if found is None:
            return None
        side = len(found.p)
        caption = (
            "Each cell is a place in what the encoder sees. Left: how much more important, or how much more decisive "
            "for the cluster when hidden, a place is in the pictures than in their mirror images, on average. "
            f"Outlined: p at most {LEVEL} after correction for all places and questions."
        )
        why = (
            "Every encoder looks harder at some places than at others, and photographers put things in the middle. So "
            "each picture is compared with its own mirror image: what is left is due to what the pictures show at that "
            "place. What looks the same mirrored, such as the exact centre, cannot be found this way."
        )
        strips = [
            self._strip(
                f"Region {number}: {region_in_words(region, side)}",
                region.examples,
                partial(self.pictures.outlined, region=region),
                "The pictures in which it shows most; the outline is the region.",
            )
            for number, region in enumerate(found.regions[:STRIPS], start=1)
        ]
        chart = Chart(charts.shortcuts_chart(found), caption, "Grids of places with the evidence for a shortcut")
        return Section("Shortcuts: places that matter in many pictures", (why,), (chart, *strips))

    def _columns(self) -> Section | None:
        audit = self.audit
        if audit.metadata is None:
            return None
        missing = f" {audit.metadata.missing:,} images have no row in the table." if audit.metadata.missing else ""
        how = (
            "Each image's value is guessed from its nearest other images. The p-value is the share of shuffled columns "
            "that do as well, corrected for the number of columns (Holm). It takes images for independent: frames of "
            f"one video, or copies, make it too small. A link is not a cause.{missing}"
        )
        if not audit.columns:
            return Section("Metadata", ("No column holds groups of at least 5 images, or numbers.",))
        headers = ("column", "kind", "score", "shuffled", "p", "images", "groups", "share of the largest")
        rows = tuple(
            (one.column, one.kind, one.score, one.chance, one.p_corrected, one.images, one.groups or None, one.largest)
            for one in audit.columns
        )
        note = "Score: balanced accuracy for groups, R² for numbers."
        chart = Chart(charts.predictability_chart(audit.columns), note, "Bars: the score of each metadata column")
        return Section("Metadata that the embedding gives away", (how,), (chart, Grid("Columns", headers, rows, note)))

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
        how = (
            "Close dots are similar images. t-SNE and UMAP keep who is next to whom; sizes of and distances between "
            "their groups mean little. PCA keeps large distances."
        )
        return Section("Map of the space", (how,), blocks)

    def _clusters(self) -> Section:
        audit, clusters = self.audit, self.audit.space.clusters
        blocks: list[Chart | Strip] = [
            Chart(
                charts.clusters_chart(clusters),
                "The number of clusters is the one with the highest mean silhouette: 1 is tight and far apart.",
                "Silhouette by number of clusters, and cluster sizes",
            )
        ]
        if audit.maps:
            caption = (
                "Mean importance in each cluster: what the encoder sees, from the pictures that were explained. Each "
                "map was standardised first, so that every picture counts the same. An encoder's own preference "
                "for places is in these maps; the chapter on shortcuts takes it out."
            )
            chart = charts.importance_chart(audit.maps, audit.map_counts)
            blocks.append(Chart(chart, caption, "One mean importance map per cluster"))
        for number in range(clusters.count):
            members = np.flatnonzero(clusters.labels == number)
            members = members[np.argsort(members != clusters.nearest[number], kind="stable")]
            note = "The first is the closest to the centre."
            blocks.append(
                self._strip(f"Cluster {number}: {len(members):,} images", members[:SHOWN].tolist(), note=note)
            )
        return Section("Clusters", (clusters_in_words(clusters),), tuple(blocks))

    def _duplicates(self) -> Section:
        space = self.audit.space
        found = space.duplicates
        caption = "Left: a cosine distance of 0 is a copy. Right: how often each image is among another's nearest."
        chart = Chart(
            charts.neighbours_chart(found, space.hubs), caption, "Histograms of nearest distances and of hubness"
        )
        strips = [
            self._strip(
                f"Group {number}: {len(group)} images",
                group,
                note="" if len(group) <= SHOWN else f"The first {SHOWN}; duplicates.csv has all.",
            )
            for number, group in enumerate(found.groups[:STRIPS], start=1)
        ]
        more = f" The first {STRIPS} groups are shown." if len(found.groups) > STRIPS else ""
        how = (
            f"Pairs with a cosine of {found.threshold:.6f} or more, joined into groups. Unless given, the threshold is "
            f"a hundredth of the typical cosine distance to the nearest image.{more}"
        )
        return Section("Neighbours and near-duplicates", (how,), (chart, *strips))

    def _outliers(self) -> Section:
        found, paths = self.audit.space.outliers, self.audit.paths
        how = (
            "Flagged: the logarithm of the mean cosine distance to the nearest images is more than 3.5 robust standard "
            "deviations above the median. The local outlier factor (about 1 is usual) is given beside it."
        )
        if not found.flagged:
            return Section("Outliers", (how, "None."))
        rows = tuple(
            (paths[one], float(found.distance[one]), float(found.robust_z[one]), float(found.local_factor[one]))
            for one in found.flagged[:ROWS]
        )
        grid = Grid("Farthest first", ("image", "mean distance", "robust z", "local outlier factor"), rows)
        return Section("Outliers", (how,), (self._strip("Farthest", found.flagged[: 2 * SHOWN]), grid))

    def _hubs(self) -> Section | None:
        found, paths = self.audit.space.hubs, self.audit.paths
        if not found.hubs:
            return None
        how = (
            f"How often an image is among the {found.k} nearest of another; hubs are more than two standard deviations "
            "above the mean. A search returns hubs whatever one looks for."
        )
        rows = tuple((paths[one], int(found.occurrence[one])) for one in found.hubs[:ROWS])
        strip = self._strip("The largest hubs", found.hubs[:SHOWN])
        return Section("Hubs", (how,), (strip, Grid("Hubs", ("image", "times a neighbour"), rows)))

    def _failed(self) -> Section | None:
        failed = self.audit.failed
        if not failed:
            return None
        return Section(
            "Images that could not be used", (), (Grid("Left out", ("image", "why"), tuple(failed.items())),)
        )

    def _strip(
        self,
        title: str,
        images: Sequence[int],
        pixels: Callable[[int], NDArray[np.uint8] | None] | None = None,
        note: str = "",
    ) -> Strip:
        """Small pictures of the first images; one that is gone since it was embedded is left out."""
        show = pixels or self.pictures.small
        shown = ((one, show(one)) for one in images[: 2 * SHOWN])
        return Strip(
            title, tuple(Thumbnail(one, self.audit.paths[image]) for image, one in shown if one is not None), note
        )
