"""The audit from a folder to a report: embed, analyse the space, explain single pictures, write.

Source of the idea that removing a region should not move a picture to another group: counterfactual tests of shortcut
learning (Geirhos et al., Nature Machine Intelligence 2, 2020).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from encoders import Encoder
from encoders.identity import identity
from relax.archive.archive import make_by
from relax.archive.update import ListedImages, check_root, find_images
from relax.auditing.answers import ask_encoder
from relax.auditing.atlas import write_atlas
from relax.auditing.contents import Contents
from relax.auditing.findings import findings
from relax.auditing.forecast import Forecast, forecast
from relax.auditing.gallery import Gallery
from relax.auditing.group_marks import find_group_marks, groups_of
from relax.auditing.kept import Kept
from relax.auditing.marks import PICTURES, find_marks
from relax.auditing.metadata import MetadataTable
from relax.auditing.options import Options
from relax.auditing.pictures import CELLS, Pictures
from relax.auditing.power import power_of_details, power_of_places
from relax.auditing.quality import check_pictures
from relax.auditing.result import Audit, Space
from relax.auditing.shortcuts import LEVEL, CellEvidence, find_shortcuts
from relax.auditing.stages import (
    StageProgress,
    analyse_columns,
    analyse_space,
    distinct,
    explain_pictures,
    hide_cells,
    means_by_cluster,
    spread_over,
)
from relax.auditing.tables import write_tables
from relax.auditing.workers import make_ahead, with_mirror_images
from relax.crew import Crew
from relax.io.choice import folder_name, name_within
from relax.io.elsewhere import absolute
from relax.keywords import AuditKeywords, shows
from relax.lock import sole_run
from relax.progress import Silent, shown, unheard
from relax.provenance import surroundings
from relax.report import write_report
from relax.scene import EncoderSource, loaded
from relax.settings import Settings

MIN_IMAGES, MANY = 10, 500  # from which the audit says beforehand what it takes
MASKS = 512  # of each explanation


@shows(AuditKeywords, masks=MASKS)
def audit(
    root: str | Path,
    encoder: EncoderSource = "default",
    out: str | Path = "relax-out/audit",
    *,
    metadata: str | Path | None = None,
    colour_by: str | None = None,
    explain: int = 24,
    hide: int = 96,
    clusters: int | None = None,
    duplicates: float | None = None,
    layouts: Sequence[str] = ("pca", "tsne"),
    workers: int | None = None,
    ray: str | None = None,
    progress: StageProgress | Silent | None = None,
    told: Callable[[Forecast], None] | None = None,
    **keywords: Unpack[AuditKeywords],
) -> Audit:
    """Analyse how an encoder arranges a folder of images, and what drives that arrangement.

    Written to `out`: report.html, the tables of `relax.auditing.tables`, atlas.parquet for embedding-atlas, the archive
    of embeddings and, in maps/, the results of single pictures. A second run reuses them.

    Args:
        root: The folder, with all folders below it, or whatever else names several pictures (`relax.io.sources`).
        encoder: A spec, an `Encoder`, a module or a function; see `relax.explain`.
        out: The folder to write to, created if it does not exist.
        metadata: A CSV or Parquet with a column `path`, relative to `root`, and others to predict from the embedding.
        colour_by: The column that colours the second map; None is the most predictable one.
        explain: Number of pictures to explain, each also mirrored; 0 for none. The test for shortcuts needs 8.
        hide: Number of pictures to embed with each cell hidden in turn, also mirrored; 0 for none.
        clusters: Number of clusters; None is the number with the best silhouette.
        duplicates: Cosine from which a pair is a near-duplicate; None is relative to the typical neighbour.
        layouts: "pca", "tsne" and, with the extra `umap`, "umap".
        workers: Processes that embed and explain; more than one need Ray, the extra [ray]. The results do not depend on
            it.
        ray: The address of a Ray cluster, as for `relax.explain_all`.
        progress: Called with (stage, done, total); otherwise as for `relax.explain`.
        told: Called with a `Forecast` of time, memory and disk before anything is embedded; of 500 pictures or more.
        keywords: Keywords of `relax.explain`: `masks` (512 per explanation), `seed`, `pooling`, `device`, `batch_size`
            and `precision`.

    Returns:
        The results.

    Raises:
        ValueError: If an argument is impossible, or fewer than 10 images can be used.
        ImportError: If Ray is needed and is not installed.
        OSError: If a file cannot be read or written, or another run is writing to `out` (`relax.lock.InUse`).
    """
    start, out = time.perf_counter(), Path(out)
    settings = Settings.of({"masks": MASKS, **keywords}, AuditKeywords, "audit")
    options = Options(metadata, colour_by, explain, hide, clusters, duplicates, tuple(layouts), settings)
    table = options.read_table()
    crew = Crew(workers, ray, partial(loaded, encoder, settings.execution, settings.request))
    network = crew.load()
    check_root(root)
    with sole_run(out, "relax audit"), shown(progress, "") as report, crew.together():
        listing = find_images(absolute(root), True, out.absolute(), "flat", "cosine")
        if told is not None and len(listing[0]) >= MANY:
            foretold = forecast(listing[2].root, [*listing[0]], network, options, table, crew.workers or 1)
            if foretold is not None:
                told(foretold)
        return _audit(root, listing, crew, network, out, options, table, report or unheard, start)


def _audit(
    named: str | Path,
    listing: ListedImages,
    crew: Crew,
    network: Encoder,
    out: Path,
    options: Options,
    table: MetadataTable | None,
    report: StageProgress,
    start: float,
) -> Audit:
    """As `audit`, once its arguments are checked; no other run may write to `out` meanwhile."""
    seed = options.seed
    progress = partial(report, "embedding")
    archive = make_by(crew, network, named, out, batch_size=options.batch_size, progress=progress, listing=listing)
    root = archive.root
    embeddings, paths = np.asarray(archive.embeddings), tuple(row.path for row in archive.rows)
    if len(paths) < MIN_IMAGES:
        raise ValueError(f"an audit needs at least {MIN_IMAGES} images that can be used; {root} has {len(paths)}")
    names = tuple(name_within(root, path) for path in paths)
    values = table.of(paths, names) if table else None
    folder = Path(folder_name(root.resolve(), (root / path for path in paths))).name

    space = analyse_space(embeddings, options, out / "neighbours.npz", report)
    with Kept(out / "measures.parquet", {row.path: row.sha256 for row in archive.rows}) as kept:
        quality = check_pictures(root, paths, partial(report, "checking"), kept)
    columns = analyse_columns(embeddings, values, seed, report)
    pictures = Pictures(root, network, out / "maps", options.settings.count, seed, options.batch_size)
    failed = dict(archive.failed)
    order = spread_over(space.clusters, seed)
    ahead = with_mirror_images("explain", paths, order[: options.explain])
    ahead += with_mirror_images("hide", paths, order[: options.hide])
    make_ahead(crew, pictures, ahead, partial(report, "explaining and hiding"))
    maps, importance = explain_pictures(pictures, paths, order[: options.explain], failed, report)
    evidence, moved = hide_cells(pictures, paths, order[: options.hide], embeddings, space.clusters, failed, report)
    compared = distinct(order, space.duplicates)[:PICTURES]
    marks = find_marks(root, paths, compared, partial(report, "comparing"), level=LEVEL, seed=seed)
    answer = ask_encoder(pictures, paths, marks, partial(report, "asking"), seed=seed) if marks else None
    groups = groups_of(names, values)
    within = find_group_marks(
        root, paths, groups, space.duplicates, partial(report, "comparing within groups"), level=LEVEL, seed=seed
    )
    shortcuts = find_shortcuts({"importance": importance, **evidence}, moved, seed=seed)

    report("planting", 0, 1)
    power = power_of_details(root, paths, marks, seed=seed) if marks and marks.p > LEVEL else []
    if shortcuts and "recurrence" in shortcuts.tests:
        power = power_of_places(evidence["recurrence"], len(shortcuts.tests), seed=seed) + power

    means, counts = means_by_cluster(maps, [int(space.clusters.labels[image]) for image in importance.images])
    result = Audit(
        paths=names,
        failed={name_within(root, path): reason for path, reason in failed.items()},
        dimensions=embeddings.shape[1],
        space=space,
        quality=quality,
        metadata=values,
        columns=tuple(columns),
        explained=importance.images,
        maps=means,
        map_counts=counts,
        shortcuts=shortcuts,
        marks=marks,
        answer=answer,
        group_marks=tuple(within),
        power=tuple(power),
        findings=findings(
            names, len(failed), network.name, space, quality, columns, shortcuts, marks, answer, within, power
        ),
        settings={
            **_settings(folder, network, options, space, paths, importance, evidence),
            **surroundings(network.device, time.perf_counter() - start),
            **crew.record(),
        },
        report=out / "report.html",
    )
    write_tables(result, out)
    write_atlas(result, out / "atlas.parquet")
    column = options.colour_by or (columns[0].column if columns else "")
    gallery = Gallery(result, root, paths, network, pictures.explain)
    write_report(Contents(result, gallery, column).report(), result.report, progress=partial(report, "writing"))
    return result


def _settings(
    root: str,
    encoder: Encoder,
    options: Options,
    space: Space,
    paths: Sequence[str],
    importance: CellEvidence,
    evidence: dict[str, CellEvidence],
) -> dict[str, Any]:
    """How the audit was made, as JSON types."""
    return {
        "root": root,
        "encoder": identity(encoder),
        "images": len(paths),
        "metadata": None if options.metadata is None else Path(options.metadata).name,
        "explained": len(importance.images),
        "hidden": len(evidence["hiding"].images) if evidence else 0,
        "masks": options.settings.count,
        "cells": CELLS,
        "fill": "mean",
        "neighbours": space.hubs.k,
        "clusters": options.clusters or "by silhouette",
        "duplicates": options.duplicates or "relative to the typical neighbour",
        "seed": options.seed,
    }
