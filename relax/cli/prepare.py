"""What commands do before an image is read: check the options, cheapest checks first, and load the encoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from encoders import Encoder, Head
from encoders.inner import at_layer
from masking import FILLS
from relax.cli.console import complain, progress_bar
from relax.cli.early import no_fill
from relax.cli.usage import check_out
from relax.io.choice import discreet_name
from relax.io.errors import ImageError
from relax.io.images import read_image
from relax.io.sources import PASSED_OVER, Row, names_several, sources_of, write_passed_over
from relax.references import Corpus, image_files
from relax.scene import load_encoder
from relax.settings import Settings


def prepared(spec: str, options: dict[str, Any], out: Path) -> tuple[Encoder, Settings]:
    """Load the encoder, and the head if there is one, and turn options into settings.

    Folders among reference and foil become corpora, embedded once; `--head` becomes the head that it names.

    Args:
        spec: Of the encoder.
        options: Keywords of the public functions, as `relax.cli.usage.takes` gives them.
        out: The folder to write to, which must be one or possible to create.

    Returns:
        The encoder and the settings.

    Raises:
        UsageError: If the fill is not valid.
        ImageError, ValueError, OSError, ImportError: If the encoder, the head, reference, foil or the folder cannot be
            used.
    """
    keywords = dict(options)
    check_out(out)
    check_fill(keywords.get("fill"))
    for name in ("reference", "foil"):
        if keywords.get(name) is not None:
            keywords[name] = _with_corpora(keywords[name])
    encoder, head = load_with_head(spec, keywords.pop("head", None), keywords)
    encoder = _as_asked(encoder, keywords)
    for name in ("reference", "foil"):
        if isinstance(keywords.get(name), Corpus):
            keywords[name] = embedded(keywords[name], encoder, name)
    return encoder, Settings.of(keywords if head is None else {**keywords, "head": head})


def load_with_head(spec: str, head: str | None, keywords: dict[str, Any]) -> tuple[Encoder, Head | None]:
    """The encoder, and the head named by `--head`: a file of `relax head train`, or the network's own classifier."""
    device, pooling, precision = (keywords.get(name) for name in ("device", "pooling", "precision"))
    view = keywords.get("view") or "auto"
    if head == "network":
        if pooling not in (None, "auto"):
            raise ValueError(
                f'pooling must be "auto" for --head network, whose classifier needs its own; got {pooling!r}'
            )
        from encoders import network_head  # which imports timm and torchvision

        encoder, classifier = network_head(spec, device=device or "auto")
        encoder = encoder.with_view(view)
        return encoder if precision is None else encoder.with_precision(precision), classifier
    encoder = load_encoder(spec, device or "auto", pooling or "auto", precision=precision, view=view)
    if head is None:
        return encoder, None
    from encoders import load_head

    classifier = load_head(head)
    classifier.check(encoder)
    return encoder, classifier


def encoder_of(spec: str, options: dict[str, Any]) -> Encoder:
    """The encoder alone, as `prepared` loads it."""
    return _as_asked(load_with_head(spec, options.get("head"), options)[0], options)


def _as_asked(encoder: Encoder, keywords: dict[str, Any]) -> Encoder:
    """The encoder, or the layer of it that is explained."""
    asked: dict[str, Any] = {name: keywords[name] for name in ("method", "layer", "token") if name in keywords}
    return at_layer(encoder, *Settings.of(asked).request.explained)


def embedded(corpus: Corpus, encoder: Encoder, name: str) -> Corpus:
    """The corpus with its images embedded, under a progress bar."""
    with progress_bar("images") as bar:
        task = bar.add_task(f"embedding the {name}", total=len(corpus))
        return corpus.embedded(encoder, lambda done, total: bar.update(task, completed=done, total=total))


def check_fill(fill: Any) -> None:
    """Reject a fill that is neither a word, nor numbers, nor an image that can be read.

    Raises:
        UsageError: With the reason.
    """
    if isinstance(fill, str) and fill not in FILLS:
        try:
            read_image(fill)
        except ImageError as error:
            raise no_fill(error) from None


def named_pictures(named: Iterable[str | Path], leave_out: Path | None = None) -> tuple[list[str], list[Row]]:
    """The addresses of the pictures that are named, see `relax.io.sources`, and what is passed over.

    Args:
        named: Pictures, folders, and the like.
        leave_out: A folder to skip.

    Raises:
        ImageError: If one names no picture that can be read, or no or several series.
    """
    pictures: list[str] = []
    rows: list[Row] = []
    names = list(map(str, named))
    for name in names:
        if not names_several(name):
            pictures.append(name)
            continue
        sources = sources_of(name, leave_out=leave_out)
        sources.warn()
        if not sources.pictures and len(names) == 1:
            raise ImageError(f"{discreet_name(name)}: holds no picture that can be read")
        pictures += sources.pictures or [name]  # which fails in its turn
        rows += sources.passed_over()
    return pictures, rows


def keep_passed_over(out: Path, rows: Sequence[Row], name: str = PASSED_OVER) -> None:
    """Write what was passed over, and say where."""
    if rows:
        complain(f"note: {write_passed_over(out, rows, name)} lists what is passed over or left out, and why")


def _with_corpora(paths: list[str]) -> list[str] | Corpus:
    """The images, or a corpus if there is a folder among them."""
    folders = [path for path in paths if names_several(path)]
    if not folders:
        return paths
    if len(paths) == 1:
        return Corpus(paths[0])
    return Corpus([image for path in paths for image in (image_files(path) if path in folders else [path])])
