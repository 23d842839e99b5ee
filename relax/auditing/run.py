"""The audit from a folder to a report: embed, analyse the space, look into single pictures, write.

Source of the idea that removing a region should not move a picture to another group: counterfactual tests of shortcut
learning (Geirhos et al., Nature Machine Intelligence 2, 2020).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from relax.archive.archive import make_archive
from relax.auditing.contents import Contents
from relax.auditing.findings import findings
from relax.auditing.gallery import Gallery
from relax.auditing.layout import METHODS
from relax.auditing.metadata import read_metadata
from relax.auditing.pictures import CELLS, Pictures
from relax.auditing.result import Audit
from relax.auditing.shortcuts import find_shortcuts
from relax.auditing.stages import (
    Stages,
    look_at_columns,
    look_at_maps,
    look_at_space,
    look_behind,
    means_by_cluster,
    spread_over,
)
from relax.auditing.tables import write_tables
from relax.provenance import surroundings
from relax.report import write_report
from relax.scene import EncoderSource, load_encoder
from relax.settings import BatchSize

LEAST = 10  # images


def audit(
    root: str | Path,
    encoder: EncoderSource = "default",
    out: str | Path = "relax-audit",
    *,
    metadata: str | Path | None = None,
    colour_by: str | None = None,
    explain: int = 24,
    hide: int = 96,
    masks: int = 512,
    clusters: int | None = None,
    duplicates: float | None = None,
    layouts: Sequence[str] = ("pca", "tsne"),
    seed: int = 0,
    pooling: str = "auto",
    device: str = "auto",
    batch_size: BatchSize = "auto",
    progress: Stages | None = None,
) -> Audit:
    """Look at how an encoder lays out a folder of images, and at what drives it.

    Written to `out`: report.html, the tables of `relax.auditing.tables`, the archive of embeddings and, in maps/, what
    single pictures gave. A second run uses what is there.

    Args:
        root: The folder; images in folders below it count too.
        encoder: A spec, an `Encoder`, a module or a function; see `relax.explain`.
        out: The folder to write to; made if need be.
        metadata: A CSV or Parquet with a column `path`, relative to `root`, and others to look for in the space.
        colour_by: The column that colours the second map; None is the most predictable one.
        explain: How many pictures are explained (and how many mirror images); 0 for none. A test needs 8.
        hide: How many pictures are embedded with one cell hidden after the other; 0 for none.
        masks: Masks of each explanation.
        clusters: How many; None is the number with the best silhouette.
        duplicates: Cosine from which a pair is a near-duplicate; None is relative to the typical neighbour.
        layouts: "pca", "tsne" and, with the extra `umap`, "umap".
        seed: The only source of randomness.
        pooling: "auto", "cls" or "mean", for encoders that return tokens or feature maps.
        device: "auto" takes a GPU where there is one.
        batch_size: Images in one forward pass: speed, not result.
        progress: Called with (stage, done, in all).

    Returns:
        What was found.

    Raises:
        ValueError: If an argument is impossible, or fewer than 10 images can be used.
        OSError: If a file cannot be read or written.
    """
    start, root, out = time.perf_counter(), Path(root), Path(out)
    tell = progress or (lambda stage, done, most: None)
    for name, number, least in (("explain", explain, 0), ("hide", hide, 0), ("masks", masks, 2)):
        if number < least:
            raise ValueError(f"{name} must be {least} or more; got {number}")
    if unknown := set(layouts) - set(METHODS):
        raise ValueError(f"layouts must be some of {', '.join(METHODS)}; got {', '.join(sorted(unknown))}")
    table = read_metadata(metadata) if metadata is not None else None
    if colour_by is not None and (table is None or colour_by not in table.columns):
        has = ", ".join(table.columns) if table else "none without metadata"
        raise ValueError(f"colour_by must be a column of the metadata ({has}); got {colour_by!r}")
    loaded = load_encoder(encoder, device, pooling)

    archive = make_archive(
        root, loaded, out, batch_size=batch_size, progress=lambda done, most: tell("embedding", done, most)
    )
    embeddings, paths = np.asarray(archive.embeddings), tuple(row.path for row in archive.rows)
    if len(paths) < LEAST:
        raise ValueError(f"an audit needs at least {LEAST} images that can be used; {root} has {len(paths)}")
    known = table.of(paths) if table else None

    space = look_at_space(embeddings, clusters, duplicates, layouts, seed, tell)
    columns = look_at_columns(embeddings, known, seed, tell)
    pictures = Pictures(root, loaded, out / "maps", masks, seed, batch_size)
    failed = dict(archive.failed)
    order = spread_over(space.clusters, seed)
    explained, maps, importance = look_at_maps(pictures, paths, order[:explain], failed, tell)
    hiding, moved = look_behind(pictures, paths, order[:hide], space.clusters, failed, tell)
    shortcuts = find_shortcuts({"importance": importance, "hiding": hiding}, moved, seed=seed)

    tell("writing", 0, 1)
    means, counts = means_by_cluster(maps, [int(space.clusters.labels[one]) for one in explained])
    settings = {
        "root": str(root),
        "encoder": {"name": loaded.name, "checksum": loaded.checksum, "pooling": loaded.pooling},
        "images": len(paths),
        "metadata": None if metadata is None else str(metadata),
        "explained": len(explained),
        "hidden": len(hiding.images),
        "masks": masks,
        "cells": CELLS,
        "fill": "mean",
        "neighbours": space.hubs.k,
        "clusters": clusters or "by silhouette",
        "duplicates": duplicates or "relative to the typical neighbour",
        "seed": seed,
        **surroundings(loaded.device, time.perf_counter() - start),
    }
    found = Audit(
        paths=paths,
        failed=failed,
        dimensions=embeddings.shape[1],
        space=space,
        metadata=known,
        columns=tuple(columns),
        explained=tuple(explained),
        maps=means,
        map_counts=counts,
        shortcuts=shortcuts,
        findings=findings(paths, len(failed), loaded.name, space, columns, shortcuts),
        settings=settings,
        report=out / "report.html",
    )
    write_tables(found, out)
    chosen = colour_by or (columns[0].column if columns else "")
    shown = Gallery(found, root, loaded, pictures.explain)
    write_report(Contents(found, shown, chosen).report(), found.report)
    tell("writing", 1, 1)
    return found
