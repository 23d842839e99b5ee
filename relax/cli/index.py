"""`relax index`: embed a folder of images and index the embeddings; `relax search`: the images closest to a query."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, SOME_FAILED, Stopped, complain, plain_table, print_table, progress_bar
from relax.cli.early import check_named, check_there
from relax.cli.options import EXECUTION, OUT_PANEL, SEVERAL, Debug, EncoderSpec, Quiet, RayAddress, Workers
from relax.cli.usage import choice, takes, usage_errors
from relax.io.choice import discreet_name, name_within
from relax.io.sources import PASSED_OVER, names_several

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from rich.table import Table

    from relax.archive.archive import Archive

INDEX_EXAMPLES = """[bold]Examples[/bold]

relax index photos --out photos-archive
    embed every image in photos and its subfolders; run again later, it updates what is new, changed or gone

relax index "scans#frame=all" --out scans-archive
    DICOM of any name, each frame of a loop as a picture; what is passed over (reports, duplicates) is listed

relax index scans --encoder timm:vit_small_patch14_dinov2.lvd142m --kind hnsw --out scans-archive
    another encoder, and an index that stays fast with a million images

relax index photos --workers 4 --out photos-archive
    four processes embed, by Ray: pip install "relax-explainer[ray]"

relax search photos-archive cat.png -k 5
    the five images closest to the cat
"""

SEARCH_EXAMPLES = """[bold]Examples[/bold]

relax search photos-archive cat.png
    the ten images of the archive closest to the cat; `relax index` makes archives

relax search photos-archive cat.png -k 1000 > neighbours.txt
    a thousand, one per line

relax search photos-archive cat.png -k 50 --sheet cat-hits.html
    a page of the pictures, to look at, sort, tag and save; .png, .svg and .pdf give a figure

relax search photos-archive cat.png --json | jq -r ".hits[].path"
    for other programs: query, encoder, measure, images, and of each hit rank, similarity, path and row
"""


@takes(EXECUTION)
def index(
    images: Annotated[str, typer.Argument(metavar="DIR", help=f"The folder of images, with its subfolders. {SEVERAL}")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The archive: created, continued or updated.")],
    options: dict[str, Any],
    encoder: EncoderSpec = "default",
    kind: Annotated[
        str,
        typer.Option(metavar="KIND", help="flat: exact; hnsw: fast; ivfpq: fast, in about 1/15 of the memory."),
    ] = "flat",
    metric: Annotated[str, typer.Option(metavar="METRIC", help="cosine, or l2 (negative distance).")] = "cosine",
    recursive: Annotated[bool, typer.Option(help="Whether to include subfolders of DIR.")] = True,
    workers: Workers = None,
    ray: RayAddress = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Embed a folder of images once, and keep the embeddings and an index over them.

    Writes index.faiss, images.parquet (one row per image), embeddings.npy, archive.json and, if need be,
    passed_over.csv. It can be stopped or killed
    at any time; the same command then continues. Run again later, it embeds only what is new or changed. Images that
    cannot be read are named.
    """
    from relax.archive.archive import make_by
    from relax.crew import Crew
    from relax.scene import load_encoder
    from similarity.kinds import KINDS, METRICS

    choice("--kind", kind, KINDS)
    choice("--metric", metric, METRICS)
    batch_size = options.pop("batch_size")
    try:
        with usage_errors(debug=debug, of_images=True), progress_bar("images", visible=not quiet) as bar:
            task = bar.add_task("searching for images", total=None)

            def progress(done: int, total: int) -> None:
                stage = "embedding" if done < total else "indexing"
                bar.update(task, description=stage, completed=done, total=total)

            crew = Crew(workers, ray, partial(load_encoder, encoder, **options))
            archive = make_by(
                crew,
                crew.load(),
                images,
                out,
                kind=kind,
                metric=metric,
                batch_size=batch_size,
                recursive=recursive,
                progress=progress,
            )
    except KeyboardInterrupt:
        raise Stopped(f"{_kept(out)}; run the same command to continue") from None
    for path, reason in archive.failed:
        complain(f"{name_within(archive.root, path)}: {reason}; left out")
    if (out / PASSED_OVER).is_file():
        complain(f"note: {out / PASSED_OVER} lists what is passed over or left out, and why")
    if not quiet:
        print_table(_summary(archive), f"written: {archive.index!r} in {out}")
    return SOME_FAILED if archive.failed else DONE


def search(
    archive: Annotated[Path, typer.Argument(metavar="ARCHIVE", help="A folder written by `relax index`.")],
    image: Annotated[
        Path,
        typer.Argument(metavar="IMAGE", help="The query image, such as us.dcm#frame=3; it need not be in the archive."),
    ],
    k: Annotated[int, typer.Option("-k", "--k", metavar="K", help="Number of images.", min=1)] = 10,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a sheet of the pictures as well: .html is a page, .png, .svg and .pdf are figures.",
            rich_help_panel=OUT_PANEL,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of lines.", rich_help_panel=OUT_PANEL)
    ] = False,
    debug: Debug = False,
) -> int:
    """List the images of an archive closest to a query image, closest first.

    One per line: similarity, path. The query is embedded with the archive's encoder.
    """
    check_there(str(image))
    with usage_errors(debug=debug, of_images=True):
        if names_several(image):
            raise ValueError(f"IMAGE must be one picture, such as scan.dcm#frame=3; got {discreet_name(str(image))}")
        if sheet is not None:
            check_sheet(sheet, image)
        check_named("ARCHIVE", archive)
        from relax.archive.archive import load_archive

        hits = load_archive(archive).search(image, k)
        if sheet is not None:
            hits.save(sheet)
            complain(f"written: {sheet}")  # to stderr: the list may go to another program
    if as_json:
        typer.echo(json.dumps(hits.record(), indent=2, allow_nan=False))
        return DONE
    for neighbour in hits:
        similarity = round(neighbour.similarity, 5) + 0  # never -0.00000
        typer.echo(f"{similarity:9.5f}  {escaped(discreet_name(neighbour.path))}")
    return DONE


def check_sheet(sheet: Path, image: Path | None) -> None:
    """Refuse a file that cannot become a sheet, before anything is embedded.

    Raises:
        ValueError: If its ending is none of a sheet's, it is a folder, or it is the query.
    """
    from relax.plotting.tables import FORMATS

    endings = ["." + name for name in ("html", *FORMATS)]
    if sheet.suffix.lower() not in endings:
        raise ValueError(f"--sheet must end in {', '.join(endings[:-1])} or {endings[-1]}; got {sheet}")
    if sheet.is_dir():
        raise ValueError(f"--sheet must be a file; {sheet} is a folder")
    if image is not None and sheet.resolve() == image.resolve():
        raise ValueError(f"--sheet {sheet} would replace the query: choose another name")


def escaped(path: str) -> str:
    """The path on one line: unprintable characters, which could move the cursor, are escaped as in Python source."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path)


def _summary(archive: Archive) -> Table:
    changes = archive.changes
    assert changes is not None  # noqa: S101  make_archive counts them
    speed = f"{changes.embedded / changes.seconds:,.0f}" if changes.embedded else "–"
    counts = {
        "images": len(archive),
        "new": changes.new,
        "changed": changes.changed,
        "unchanged": changes.unchanged,
        "removed": changes.removed,
        "failed": changes.failed,
    }
    table = plain_table(right=(*counts, "seconds", "images/s"))
    table.add_row(*(f"{count:,}" for count in counts.values()), f"{changes.seconds:.1f}", speed)
    return table


def _kept(out: Path) -> str:
    """What a stopped run leaves in its output folder."""
    from relax.archive.parts import kept_images

    kept = kept_images(out)
    return f"{kept:,} images are embedded and kept in {out}" if kept else f"nothing new was embedded for {out}"
