"""`relax head train`: a head trained on labelled images, embedded once with a frozen encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, SOME_FAILED, complain, plain_table, print_table, progress_bar
from relax.cli.options import Debug, EncoderSpec, Quiet
from relax.cli.usage import choice, command_group, takes, usage_errors
from relax.io.errors import ImageError
from relax.io.sources import PASSED_OVER

if TYPE_CHECKING:  # torch comes with these, and `relax --help` does not need it
    from torch import Tensor

    from encoders import Encoder, Head
    from encoders.heads.data import LabelledImages
    from encoders.heads.training import TrainingRecord
    from relax.io.sources import Row

BATCH_SIZE = 32

TRAIN_EXAMPLES = """[bold]Examples[/bold]

relax head train photos --encoder timm:vit_small_patch14_dinov2.lvd142m --out probe
    photos/cat/*.jpg, photos/dog/*.jpg: a linear probe, in probe.safetensors and probe.json

relax head train labels.csv --kind knn --k 10 --out neighbours
    a CSV with the columns path,label; ten neighbours vote, and nothing is fitted
"""

head_app = command_group("Class probabilities on top of an encoder.")


@head_app.command(epilog=TRAIN_EXAMPLES)
@takes(("seed", "device", "batch_size", "pooling", "view"), batch_size=BATCH_SIZE)
def train(
    images: Annotated[
        str,
        typer.Argument(
            metavar="DIR|CSV", help="A folder per class (DIR#frame=all: every frame), or a CSV with columns path,label."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="PATH", help="Writes PATH.safetensors and PATH.json.")],
    options: dict[str, Any],
    encoder: EncoderSpec = "default",
    kind: Annotated[str, typer.Option(metavar="KIND", help="linear, knn or prototype.")] = "linear",
    k: Annotated[int, typer.Option("--k", metavar="N", help="Number of neighbours that vote, for knn.")] = 20,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Train a head: class probabilities from the embeddings of a frozen encoder.

    A fifth of every class, drawn with the seed, is held out for validation. Images that cannot be read are named and
    left out.
    """
    from encoders import load
    from encoders.heads.training import TRAINABLE
    from relax.cli.prepare import keep_passed_over
    from relax.io.sources import unusable

    choice("--kind", kind, TRAINABLE)
    batch_size = BATCH_SIZE if options["batch_size"] == "auto" else options["batch_size"]
    with usage_errors(debug=debug, of_images=True):
        data, passed_over = _plan(images, out, kind, k)
        network = load(encoder, device=options["device"], pooling=options["pooling"], view=options["view"])
    try:
        embeddings, bad = embed_images(data, network, batch_size, visible=not quiet)
        readable = data.without(bad)
        head, record = _train(kind, embeddings, readable, network, options["seed"], k, visible=not quiet)
        head.save(out)
    except (ValueError, OSError) as error:
        complain(str(error))
        return SOME_FAILED
    passed_over += [unusable(data.paths[index], error) for index, error in bad.items()]
    keep_passed_over(out.parent, passed_over, f"{out.name}-{PASSED_OVER}")
    if not quiet:
        print_record(record, head, out)
    return SOME_FAILED if bad else DONE


def embed_images(
    data: LabelledImages, encoder: Encoder, batch_size: int = BATCH_SIZE, *, visible: bool = False
) -> tuple[Tensor, dict[int, ImageError]]:
    """Embed every image that can be read; name those that cannot on stderr, with their number.

    Args:
        data: The images.
        encoder: One with a fixed input size.
        batch_size: Images in one forward pass.
        visible: Whether to draw a progress bar, if stderr is a terminal.

    Returns:
        (M, D) float32 on the CPU, in the order of the images that could be read, and why each of the
        others, by its position, could not.

    Raises:
        ValueError: If no image can be read, or the encoder fails.
    """
    import torch

    from relax.io.images import read_image

    bad: dict[int, ImageError] = {}

    def views() -> Iterator[Tensor]:
        for index, path in enumerate(data.paths):
            try:
                yield encoder.view(read_image(path, channels=encoder.channels))
            except ImageError as error:
                complain(f"{error}; left out")
                bad[index] = error
            bar.advance(task)

    embeddings = []
    with progress_bar("images", visible=visible) as bar:
        task = bar.add_task("embedding", total=len(data.paths))
        remaining = views()
        while batch := [*islice(remaining, batch_size)]:
            embeddings.append(encoder.embed(torch.cat(batch)).cpu())
    if bad:
        complain(f"{len(bad)} of {len(data.paths)} images could not be read and are left out")
    if not embeddings:
        raise ValueError("no image could be read, so there is nothing to train on")
    return torch.cat(embeddings), bad


def print_record(record: TrainingRecord, head: Head, out: Path) -> None:
    """Print images per class, accuracies and the files written to stdout."""
    from rich.text import Text

    from encoders.heads.files import head_paths
    from relax.metrics.summary import wilson

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


def _plan(images: str, out: Path, kind: str, k: int) -> tuple[LabelledImages, list[Row]]:
    """The images, and what is passed over, once the options are checked; no picture is read and no encoder loaded."""
    from encoders.heads.data import labelled_images
    from encoders.heads.files import head_paths
    from encoders.heads.training import check_counts, validation_count

    for path in head_paths(out):
        if path.is_dir() or path.resolve() == Path(images).resolve():
            raise ValueError(f"--out {out} would replace {path}: choose another name")
    source, choice = _folder_and_choice(images)
    folder = Path(source) if Path(source).is_dir() else Path(source).parent
    data, passed_over = expanded(labelled_images(source), folder, choice)
    check_counts(data.images)
    total = sum(count - validation_count(count) for count in data.images.values())
    if kind == "knn" and not 1 <= k < total:
        raise ValueError(f"--k must be from 1 to {total - 1}, below the number of training images {total}; got {k}")
    out.parent.mkdir(parents=True, exist_ok=True)
    return data, passed_over


def _folder_and_choice(images: str) -> tuple[str, str]:
    """The folder or CSV, and what is chosen of each picture in it: DIR#frame=all."""
    front, _, choice = images.rpartition("#")
    return (images, "") if not front or Path(images).exists() else (front, choice)


def expanded(data: LabelledImages, folder: Path, choice: str) -> tuple[LabelledImages, list[Row]]:
    """Each picture with the label of its file, and what is passed over: DICOM that is no picture, or came before.

    Raises:
        ImageError: If the choice is malformed.
    """
    from relax.io.sources import of_files

    by_file, sources = of_files(data.paths, folder, choice)
    sources.warn()
    paths = tuple(Path(address) for addresses in by_file for address in addresses)
    labels = tuple(label for addresses, label in zip(by_file, data.labels, strict=True) for _ in addresses)
    return replace(data, paths=paths, labels=labels), sources.passed_over()


def _train(
    kind: str, embeddings: Tensor, data: LabelledImages, encoder: Encoder, seed: int, k: int, *, visible: bool
) -> tuple[Head, TrainingRecord]:
    from encoders.heads.training import train_head

    with progress_bar("epochs", visible=visible and kind == "linear") as bar:
        task = bar.add_task("training", total=None)
        return train_head(
            kind,
            embeddings,
            data.labels,
            data.classes,
            seed=seed,
            k=k,
            encoder=encoder,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
