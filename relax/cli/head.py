"""`relax head train`: a head from labelled images, embedded once with a frozen encoder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, SOME_FAILED, WRONG_USAGE, complain, plain_table, print_table, progress_bar
from relax.cli.options import Debug, EncoderSpec, Quiet, choice, takes, usage_errors

if TYPE_CHECKING:  # torch comes with these, and `relax --help` does not need it
    from torch import Tensor

    from encoders import Encoder, Head
    from encoders.heads.data import LabelledImages
    from encoders.heads.training import TrainingRecord

BATCH_SIZE = 32

TRAIN_EXAMPLES = """[bold]Examples[/bold]

relax head train photos --encoder timm:vit_small_patch14_dinov2.lvd142m --out probe
    photos/cat/*.jpg, photos/dog/*.jpg: a linear probe, in probe.safetensors and probe.json

relax head train labels.csv --kind knn --k 10 --out neighbours
    a CSV with the columns path,label: ten neighbours vote, nothing is fitted
"""

head_app = typer.Typer(
    help="Class probabilities on top of an encoder.",
    invoke_without_command=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@head_app.callback()
def _head(context: typer.Context) -> None:
    """Class probabilities on top of an encoder."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(WRONG_USAGE)


@head_app.command(epilog=TRAIN_EXAMPLES)
@takes(("seed", "device", "batch_size", "pooling"), batch_size=BATCH_SIZE)
def train(
    images: Annotated[str, typer.Argument(metavar="DIR|CSV", help="A folder per class, or a CSV with path,label.")],
    out: Annotated[Path, typer.Option(metavar="PATH", help="Written: PATH.safetensors and PATH.json.")],
    settings: dict[str, Any],
    encoder: EncoderSpec = "default",
    kind: Annotated[str, typer.Option(metavar="KIND", help="linear, knn or prototype.")] = "linear",
    k: Annotated[int, typer.Option("--k", metavar="N", help="Neighbours that vote, for knn.")] = 20,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Train a head: class probabilities from the embeddings of a frozen encoder.

    A fifth of every class, drawn from the seed, is kept for validation. Images that cannot be read are named and
    left out.
    """
    from encoders import load
    from encoders.heads.training import TRAINABLE

    choice("--kind", kind, TRAINABLE)
    batch_size = BATCH_SIZE if settings["batch_size"] == "auto" else settings["batch_size"]
    with usage_errors(debug=debug, of_images=True):
        data = _plan(images, out, kind, k)
        network = load(encoder, device=settings["device"], pooling=settings["pooling"])
    try:
        embeddings, bad = embed_images(data, network, batch_size, shown=not quiet)
        readable = data.without(bad)
        head, record = _train(kind, embeddings, readable, network, settings["seed"], k, shown=not quiet)
        head.save(out)
    except (ValueError, OSError) as error:
        complain(str(error))
        return SOME_FAILED
    if not quiet:
        print_record(record, head, out)
    return SOME_FAILED if bad else DONE


def embed_images(
    data: LabelledImages, encoder: Encoder, batch_size: int = BATCH_SIZE, *, shown: bool = False
) -> tuple[Tensor, list[int]]:
    """Embed every image that can be read; say on stderr which cannot, and how many.

    Args:
        data: The images.
        encoder: One that resizes to a size of its own.
        batch_size: Images in one forward pass.
        shown: Whether to draw progress, where somebody watches.

    Returns:
        (M, D) float32 on the CPU, in the order of the images that were read, and the positions of the others.

    Raises:
        ValueError: If no image can be read, or the encoder fails.
    """
    import torch

    from relax.io.errors import ImageError
    from relax.io.images import read_image

    bad: list[int] = []

    def views() -> Iterator[Tensor]:
        for index, path in enumerate(data.paths):
            try:
                yield encoder.view(read_image(path, channels=encoder.channels))
            except ImageError as error:
                complain(f"{error}; left out")
                bad.append(index)
            bar.advance(task)

    found, waiting = [], []
    with progress_bar("images", shown=shown) as bar:
        task = bar.add_task("embedding", total=len(data.paths))
        for view in views():
            waiting.append(view)
            if len(waiting) == batch_size:
                found.append(encoder.embed(torch.cat(waiting)).cpu())
                waiting = []
        if waiting:
            found.append(encoder.embed(torch.cat(waiting)).cpu())
    if bad:
        complain(f"{len(bad)} of {len(data.paths)} images could not be read and are left out")
    if not found:
        raise ValueError("no image could be read, so there is nothing to train on")
    return torch.cat(found), bad


def print_record(record: TrainingRecord, head: Head, out: Path) -> None:
    """Print images per class, accuracies and what was written to stdout."""
    from rich.text import Text

    from encoders.heads.files import head_paths

    images = plain_table(["class"], ["images"])
    for name, count in record.images.items():
        images.add_row(Text(name), f"{count:,}")
    results = plain_table([""], ["images", "accuracy", "always the largest class"])
    low, high = wilson(record.validation_accuracy, record.validation_images)
    results.add_row("train", f"{record.train_images:,}", f"{record.train_accuracy:.3f}", "")
    results.add_row(
        "validation",
        f"{record.validation_images:,}",
        f"{record.validation_accuracy:.3f} (95 %: {low:.3f} to {high:.3f})",
        f"{record.baseline:.3f}",
    )
    epochs = f"; epoch {record.best_epoch} of {record.epochs} was the best" if record.epochs else ""
    print_table(
        images,
        "",
        results,
        f"\n{record.kind} head for {head.encoder_name}{epochs}",
        "written: " + ", ".join(str(path) for path in head_paths(out)),
    )


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of `count` trials (Wilson, JASA 1927); it is never empty, even at 0 and 1."""
    z = 1.959964
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def _plan(images: str, out: Path, kind: str, k: int) -> LabelledImages:
    """Find what is wrong with the options before an image or an encoder is touched."""
    from encoders.heads.data import labelled_images
    from encoders.heads.files import head_paths
    from encoders.heads.training import check_counts, validation_count

    for path in head_paths(out):
        if path.is_dir() or path.resolve() == Path(images).resolve():
            raise ValueError(f"--out {out} would replace {path}: choose another name")
    data = labelled_images(images)
    check_counts(data.images)
    most = sum(count - validation_count(count) for count in data.images.values())
    if kind == "knn" and not 1 <= k < most:
        raise ValueError(f"--k must be from 1 to {most - 1}, below the {most} images that are trained on; got {k}")
    out.parent.mkdir(parents=True, exist_ok=True)
    return data


def _train(
    kind: str, embeddings: Tensor, data: LabelledImages, encoder: Encoder, seed: int, k: int, *, shown: bool
) -> tuple[Head, TrainingRecord]:
    from encoders.heads.training import train_head

    with progress_bar("epochs", shown=shown and kind == "linear") as bar:
        task = bar.add_task("training", total=None)
        return train_head(
            kind,
            embeddings,
            data.labels,
            data.classes,
            seed=seed,
            k=k,
            encoder=encoder,
            progress=lambda done, most: bar.update(task, completed=done, total=most),
        )
