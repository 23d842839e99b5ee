"""`relax index`: embed a folder of images and index the embeddings; `relax search`: what in it is close to an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, SOME_FAILED, Stopped, complain, plain_table, print_table, progress_bar
from relax.cli.options import EXECUTION, Debug, EncoderSpec, Quiet, choice, takes, usage_errors

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from rich.table import Table

    from relax.archive.archive import Archive

INDEX_EXAMPLES = """[bold]Examples[/bold]

relax index photos --out photos-archive
    embed every image in photos and its folders; the same command later takes up what is new, changed or gone

relax index scans --encoder timm:vit_small_patch14_dinov2.lvd142m --kind hnsw --out scans-archive
    another encoder, and an index that stays fast with a million images

relax search photos-archive cat.png -k 5
    the five images that are closest to the cat
"""

SEARCH_EXAMPLES = """[bold]Examples[/bold]

relax search photos-archive cat.png
    the ten images of the archive that are closest to the cat; `relax index` makes archives

relax search photos-archive cat.png -k 1000 > neighbours.txt
    a thousand, one a line
"""


@takes(EXECUTION)
def index(
    images: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of images; folders in it count, too.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The archive: created, continued or updated.")],
    settings: dict[str, Any],
    encoder: EncoderSpec = "default",
    kind: Annotated[
        str,
        typer.Option(metavar="KIND", help="flat: exact; hnsw: fast; ivfpq: fast, and some 15 times smaller in memory."),
    ] = "flat",
    metric: Annotated[str, typer.Option(metavar="METRIC", help="cosine, or l2 (negative distance).")] = "cosine",
    recursive: Annotated[bool, typer.Option(help="Whether folders in DIR count, too.")] = True,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Embed a folder of images once, and keep the embeddings and an index over them.

    Written: index.faiss, images.parquet (a row per image), embeddings.npy, archive.json.
    It can be stopped or killed at any time: the same command goes on from there.
    Run again, it embeds what is new or changed. Images that cannot be read are named.
    """
    from relax.archive.archive import make_archive
    from relax.scene import load_encoder
    from similarity.index import KINDS, METRICS

    choice("--kind", kind, KINDS)
    choice("--metric", metric, METRICS)
    batch_size = settings.pop("batch_size")
    try:
        with usage_errors(debug=debug, of_images=True), progress_bar("images", shown=not quiet) as bar:
            task = bar.add_task("looking for images", total=None)

            def progress(done: int, total: int) -> None:
                stage = "embedding" if done < total else "indexing"
                bar.update(task, description=stage, completed=done, total=total)

            archive = make_archive(
                images,
                load_encoder(encoder, **settings),
                out,
                kind=kind,
                metric=metric,
                batch_size=batch_size,
                recursive=recursive,
                progress=progress,
            )
    except KeyboardInterrupt:
        raise Stopped(f"{_kept(out)}: the same command goes on from there") from None
    for path, reason in archive.failed:
        complain(f"{path}: {reason}; left out")
    if not quiet:
        print_table(_summary(archive), f"written: {archive.index!r} in {out}")
    return SOME_FAILED if archive.failed else DONE


def search(
    archive: Annotated[Path, typer.Argument(metavar="ARCHIVE", help="The folder that `relax index` wrote.")],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The image to start from; it need not be in there.")],
    k: Annotated[int, typer.Option("-k", "--k", metavar="K", help="How many images.", min=1)] = 10,
    debug: Debug = False,
) -> int:
    """List the images of an archive that are closest to an image, closest first.

    One a line: similarity, path. The image is embedded with the archive's encoder.
    """
    from relax.archive.archive import load_archive

    with usage_errors(debug=debug, of_images=True):
        neighbours = load_archive(archive).search(image, k)
    for neighbour in neighbours:
        similarity = round(neighbour.similarity, 5) + 0  # never -0.00000
        typer.echo(f"{similarity:9.5f}  {escaped(neighbour.path)}")
    return DONE


def escaped(path: str) -> str:
    """The path on one line: what would move a terminal's cursor is written as in Python source."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in path)


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
    """What lies in the output folder of a run that was stopped."""
    from relax.archive.parts import kept_images

    kept = kept_images(out)
    return f"{kept:,} images are embedded and kept in {out}" if kept else f"nothing new was embedded for {out}"
