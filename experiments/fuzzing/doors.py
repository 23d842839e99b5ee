"""The ways in: the public functions that read files which anybody may have written.

A door reads a file and returns the numbers of its answer by name. It says which errors are documented, what a message
must name, and between which limits each number must lie; `judge.py` holds it to that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

D = 12  # of embeddings
ARCHITECTURE = "test_efficientnet"  # of timm's, the one with the fewest weights
JOURNAL = "journal.jsonl"
SMALL = 32  # px, of the picture that goes through an encoder

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Limits:
    """Between which limits numbers lie; NaN only where that means something."""

    low: float = -math.inf
    high: float = math.inf
    nan: bool = False


@dataclass(frozen=True)
class Door:
    """A way in.

    Attributes:
        read: From the path of the file to the numbers of the answer.
        errors: The documented ones.
        limits: Of the numbers, by name; those without any must be finite.
        named: What a message may name instead of the file, from its path.
    """

    read: Callable[[Path], Answer]
    errors: tuple[type[Exception], ...] = (ValueError,)
    limits: Mapping[str, Limits] = field(default_factory=dict)
    named: Callable[[Path], str] = str


def quarters(pixels: Tensor) -> Tensor:
    """An encoder (B, D) for pictures of any size: the mean colour of each quarter."""
    return torch.nn.functional.adaptive_avg_pool2d(pixels, 2).flatten(1)


def _picture(choice: str = "") -> Callable[[Path], Answer]:
    def read(path: Path) -> Answer:
        import relax

        return {"image": relax.read_image(f"{path}{choice}").numpy()}

    return read


def _series(path: Path) -> Answer:
    """A slice across all files of the folder."""
    import relax

    return {"image": relax.read_image(f"{path.parent}#coronal=2").numpy()}


def _series_name(path: Path) -> str:
    return _name(Path(f"{path.parent}#coronal=2"))


def _name(path: Path) -> str:
    from relax.io.choice import discreet_name

    return discreet_name(str(path))


def _pictured(choice: str = "") -> Door:
    from relax.io.errors import ImageError

    return Door(_picture(choice), (ImageError,), {"image": Limits(0, 1)}, _name)


def _explanation(path: Path) -> Answer:
    import relax

    explanation = relax.Explanation.load(path)
    repr(explanation)
    names = ("importance", "uncertainty", "standard_error", "image")
    return {name: getattr(explanation, name) for name in names}


def _report(path: Path) -> Answer:
    """As `relax report` does."""
    from relax.cli.report import SavedExhibits, exhibit_of
    from relax.report import plain_report, write_report

    exhibit_of(path)
    page = path.with_suffix(".html")
    write_report(plain_report(SavedExhibits([path])), page)
    return {"size": page.stat().st_size}


def _figure(path: Path) -> Answer:
    import matplotlib.pyplot as plt

    import relax

    explanation = relax.Explanation.load(path)
    drawing = relax.figure(explanation)
    drawing.canvas.draw()
    plt.close(drawing)
    return {"importance": explanation.importance}


def _archive(path: Path) -> Answer:
    import relax

    archive = relax.load_archive(path.parent, path.parent / "pictures")
    similarities, rows = archive.neighbours(3)
    nearest = archive.search(np.linspace(0, 1, archive.index.dimension), 2)
    return {
        "similarities": np.where(rows < 0, 0, similarities),
        "rows": rows,
        "nearest": [neighbour.similarity for neighbour in nearest],
    }


def _index(path: Path) -> Answer:
    from similarity.index import Index

    index = Index.load(path)
    queries = np.random.default_rng(1).normal(size=(4, index.dimension)).astype(np.float32)
    similarities, ids = index.search(queries, 3)
    return {"similarities": np.where(ids < 0, 0, similarities), "ids": ids}


def _head(path: Path) -> Answer:
    from encoders import load_head

    head = load_head(path)
    embeddings = torch.randn(4, head.dim, generator=torch.Generator().manual_seed(0))
    scores = head.scores(embeddings)
    return {"scores": scores.numpy(), "sums": scores.sum(1).numpy()}


def _checkpoint(path: Path) -> Answer:
    import relax

    encoder = relax.load_encoder(f"file:{path}?arch={ARCHITECTURE}", device="cpu")
    return {"embedding": encoder(torch.full((1, 3, SMALL, SMALL), 0.5)).numpy()}


def _metadata(path: Path) -> Answer:
    from relax.auditing.metadata import read_metadata

    metadata = read_metadata(path).of([f"{number:02}.png" for number in range(12)])
    columns = {  # what is not finite counts as unknown, see `relax.auditing.predictability`
        f"column {place}": [value for value in values if isinstance(value, float | int) and abs(value) < math.inf]
        for place, values in enumerate(metadata.columns.values())
    }
    return {"missing": metadata.missing, **{name: values for name, values in columns.items() if values}}


def _labels(path: Path) -> Answer:
    from encoders.heads.data import labelled_images

    return {"labels": labelled_images(path).labels}


def _evaluation(path: Path) -> Answer:
    from relax.metrics import read_outcomes

    outcomes, _ = read_outcomes(path.parent)
    return {"values": [value for outcome in outcomes for value in (*outcome.values.values(), outcome.passes)] or 0}


def _resumed(path: Path) -> Answer:
    from relax.metrics.journal import Journal

    journal = Journal(path.parent, {})
    journal.path.write_bytes(path.read_bytes())
    outcomes = journal.read({f"{number}.png": "digest" for number in range(6)})
    return {"values": [value for outcome in outcomes for value in (*outcome.values.values(), outcome.passes)] or 0}


def _slide(path: Path) -> Answer:
    from relax.slides.opening import open_slide

    with open_slide(path) as slide:
        return {"picture": slide.picture(4.0), "tile": slide.read(64, 64, (128, 128), (64, 64)), "mpp": slide.mpp}


def _slide_tiles(path: Path) -> Answer:
    import relax

    tiles = relax.read_tiles(path)
    return {"features": tiles.features, "corners": tiles.corners, "span": tiles.span}


def _slide_map(path: Path) -> Answer:
    import relax

    slide_map = relax.SlideMap.load(path)
    repr(slide_map)
    return {
        name: getattr(slide_map, name) for name in ("importance", "uncertainty", "standard_error", "alone", "without")
    }


def _text_explanation(path: Path) -> Answer:
    import relax

    explanation = relax.TextExplanation.load(path)
    repr(explanation)
    return {
        "importance": explanation.importance,
        "offsets": explanation.offsets,
        "score": explanation.score,
        "size": len(explanation.to_json()),
    }


def _file_name(path: Path) -> str:
    return path.name


def _folder(path: Path) -> str:
    return str(path.parent)


def _head_name(path: Path) -> str:
    return str(path.with_suffix(""))


MAP = Limits(nan=True)
SPREAD = Limits(0, nan=True)
COSINE = Limits(-1.0001, 1.0001)

PICTURE, FRAME, SLICE = _pictured(), _pictured("#frame=1"), _pictured("#axial=2")
SERIES = Door(_series, PICTURE.errors, PICTURE.limits, _series_name)
EXPLANATION = Door(
    _explanation, limits={"importance": MAP, "uncertainty": SPREAD, "standard_error": SPREAD, "image": Limits(0, 255)}
)
REPORT, FIGURE = Door(_report), Door(_figure, limits={"importance": MAP})
ARCHIVE = Door(_archive, (ValueError, OSError), {"similarities": COSINE, "nearest": COSINE}, _folder)
INDEX = Door(_index)
HEAD = Door(_head, limits={"scores": Limits(0, 1), "sums": Limits(0.999, 1.001)}, named=_head_name)
CHECKPOINT = Door(_checkpoint)
METADATA, LABELS = Door(_metadata), Door(_labels)
EVALUATION = Door(_evaluation, limits={"values": MAP}, named=_folder)
RESUMED = Door(_resumed, limits={"values": MAP})
SLIDE = Door(
    _slide, limits={"picture": Limits(0, 255), "tile": Limits(0, 255), "mpp": Limits(0.02, 20)}, named=_file_name
)
SLIDE_TILES = Door(_slide_tiles, limits={"span": Limits(1)})
SLIDE_MAP = Door(_slide_map)
TEXT_EXPLANATION = Door(_text_explanation, limits={"importance": Limits(nan=True)})
