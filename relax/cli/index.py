"""`relax index`: embed a folder of images and index the embeddings; `relax search`: what in it is close to an image."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relax.cli.console import DONE, SOME_FAILED, Stopped, UsageError, complain, progress_bar
from relax.cli.options import DEVICE_HELP
from relax.cli.options import batch_size as whole_or_auto

if TYPE_CHECKING:  # torch comes with these, and `relax --help` does not need it
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


def index(
    images: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of images; folders in it count, too.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The archive: made, taken up again, or updated.")],
    encoder: Annotated[str, typer.Option(metavar="SPEC", help="Who looks; see `relax encoders`.")] = "default",
    kind: Annotated[
        str,
        typer.Option(metavar="KIND", help="flat: exact; hnsw: fast; ivfpq: fast, and some 15 times smaller in memory."),
    ] = "flat",
    metric: Annotated[str, typer.Option(metavar="METRIC", help="cosine, or l2 (negative distance).")] = "cosine",
    pooling: Annotated[
        str, typer.Option(metavar="HOW", help="auto, cls or mean, for encoders that return tokens or maps.")
    ] = "auto",
    device: Annotated[str, typer.Option(metavar="DEVICE", help=DEVICE_HELP)] = "auto",
    batch_size: Annotated[
        str, typer.Option(metavar="N", help="Images at a time, or auto: speed, not result.")
    ] = "auto",
    recursive: Annotated[bool, typer.Option(help="Whether folders in DIR count, too.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no table; errors are still said.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where in the code an error came from.")] = False,
) -> int:
    """Embed a folder of images once, and keep the embeddings and an index over them.

    Written: index.faiss, images.parquet (a row per image), embeddings.npy, archive.json.
    It can be stopped or killed at any time: the same command goes on from there.
    Run again, it embeds what is new or changed. Images that cannot be read are named.
    """
    from relax.archive.archive import make_archive
    from relax.scene import load_encoder

    try:
        with progress_bar("images", shown=not quiet) as bar:
            task = bar.add_task("looking for images", total=None)

            def progress(done: int, most: int) -> None:
                stage = "embedding" if done < most else "indexing"
                bar.update(task, description=stage, completed=done, total=most)

            archive = make_archive(
                images,
                load_encoder(encoder, device, pooling),
                out,
                kind=kind,
                metric=metric,
                batch_size=whole_or_auto(batch_size),
                recursive=recursive,
                progress=progress,
            )
    except (ValueError, OSError, ImportError) as error:
        if debug:
            traceback.print_exc()
        raise UsageError(str(error)) from None
    except KeyboardInterrupt:
        raise Stopped(f"{_kept(out)}: the same command goes on from there") from None
    for path, reason in archive.failed:
        complain(f"{path}: {reason}; left out")
    if not quiet:
        _print(_summary(archive), f"written: {archive.index!r} in {out}")
    return SOME_FAILED if archive.failed else DONE


def search(
    archive: Annotated[Path, typer.Argument(metavar="ARCHIVE", help="The folder that `relax index` wrote.")],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The image to start from; it need not be in there.")],
    k: Annotated[int, typer.Option("-k", "--k", metavar="K", help="How many images.", min=1)] = 10,
    debug: Annotated[bool, typer.Option("--debug", help="Show where in the code an error came from.")] = False,
) -> int:
    """List the images of an archive that are closest to an image, closest first.

    One a line: similarity, path. The image is embedded with the archive's encoder.
    """
    from relax.archive.archive import load_archive

    try:
        found = load_archive(archive).search(image, k)
    except (ValueError, OSError, ImportError) as error:
        if debug:
            traceback.print_exc()
        raise UsageError(str(error)) from None
    for neighbour in found:
        similarity = round(neighbour.similarity, 5) + 0  # never -0.00000
        typer.echo(f"{similarity:9.5f}  {printable(neighbour.path)}")
    return DONE


def printable(path: str) -> str:
    """The path on one line: what would move a terminal's cursor is written as in Python source."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in path)


def _summary(archive: Archive) -> Table:
    from rich.table import Table

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
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in (*counts, "seconds", "images/s"):
        table.add_column(title, justify="right")
    table.add_row(*(f"{count:,}" for count in counts.values()), f"{changes.seconds:.1f}", speed)
    return table


def _print(table: Table, note: str) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, 200)
    console.print(table)
    console.print(Text(note), soft_wrap=True)


def _kept(out: Path) -> str:
    """What lies in the output folder of a run that was stopped."""
    from relax.archive.parts import kept_images

    kept = kept_images(out)
    return f"{kept:,} images are embedded and kept in {out}" if kept else f"nothing new was embedded for {out}"
