"""Do the maps show that a picture is of another kind than those that are known?

    strangers = relax.strangers(colonoscopies, blood_smears, encoder)
    print(strangers)

Per picture: the mean of RELAX's uncertainty and of its importance over the pixels, and a number that needs no masks,
the mean cosine distance to the nearest known pictures. How well each separates the strange pictures from the known is
the area under the ROC curve. Do not trust the uncertainty to flag strange pictures before it has shown that it can.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from encoders import Encoder
from encoders.values import described, is_whole
from relax.estimators.budget import Progress
from relax.files import write_files
from relax.io.images import ImageSource, name_of, read_image
from relax.keywords import MaskingKeywords, shows
from relax.method import image_explainer
from relax.metrics.separation import auroc, auroc_interval
from relax.plotting.drawing import file_of
from relax.plotting.strangers import strangers_figure
from relax.progress import Silent, shown
from relax.scene import EncoderSource, loaded
from relax.settings import Request, Settings
from relax.text import csv_text

NEIGHBOURS = 10
EXPECTED = {"uncertainty": 1, "importance": -1, "distance": 1}  # 1: higher is expected of another kind


@dataclass(frozen=True)
class Sight:
    """One picture.

    Attributes:
        picture: Its name.
        strange: Whether it is of another kind.
        uncertainty: Mean over the pixels, in the unit of the measure, squared.
        importance: Mean over the pixels.
        distance: Mean cosine distance to the nearest known pictures, itself left out.
    """

    picture: str
    strange: bool
    uncertainty: float
    importance: float
    distance: float


@dataclass(frozen=True)
class Separation:
    """How well one number separates strange pictures from known ones.

    Attributes:
        by: "uncertainty", "importance" (lower is strange) or "distance".
        auroc: Area under the ROC curve; 0.5 = not at all, below 0.5 = in the wrong direction.
        low: Lower end of its 95 % bootstrap interval over pictures; NaN for fewer than two of a kind.
        high: Its upper end.
    """

    by: str
    auroc: float
    low: float
    high: float

    def __str__(self) -> str:
        flags = (
            "flags" if self.low > 0.5 else "points the wrong way for" if self.high < 0.5 else "cannot be told to flag"
        )
        return f"the {self.by} {flags} strange pictures (AUROC {self.auroc:.2f}, {self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Strangers:
    """Known and strange pictures as an encoder and its maps see them.

    Attributes:
        sights: One per picture, the known ones first.
        neighbours: How many known pictures a distance is the mean of.
    """

    sights: tuple[Sight, ...]
    neighbours: int

    def separations(self) -> list[Separation]:
        """How well each number separates the two kinds."""
        table = []
        for by, sign in EXPECTED.items():
            known, strange = (
                sign * np.array([getattr(sight, by) for sight in self.sights if sight.strange is kind])
                for kind in (False, True)
            )
            table.append(Separation(by, auroc(known, strange), *auroc_interval(known, strange)))
        return table

    def plot(self) -> Figure:
        """Draw a dot for each picture by each number, with how well it separates the kinds."""
        return strangers_figure(self)

    def save(self, folder: str | Path) -> list[Path]:
        """Write strange.csv (a row per picture), strange.json (the separations), strange.png. Returns the paths.

        Raises:
            OSError: If the folder cannot be written to.
        """
        columns = [field.name for field in fields(Sight)]
        rows = [[getattr(sight, column) for column in columns] for sight in self.sights]
        record = {
            "neighbours": self.neighbours,
            "separations": [
                {name: value if value == value else None for name, value in asdict(separation).items()}
                for separation in self.separations()
            ],
        }
        return write_files(
            Path(folder) / "strange",
            {
                ".csv": csv_text([columns, *rows]).encode(),
                ".json": (json.dumps(record, indent=2) + "\n").encode(),
                ".png": file_of(self.plot()),
            },
        )

    def __str__(self) -> str:
        return "\n".join(map(str, self.separations()))


@shows(MaskingKeywords)
def strangers(
    images: Sequence[ImageSource],
    strange: Sequence[ImageSource],
    encoder: EncoderSource = "default",
    *,
    neighbours: int = NEIGHBOURS,
    progress: Progress | Silent | None = None,
    **keywords: Unpack[MaskingKeywords],
) -> Strangers:
    """Does the uncertainty, or the distance to known pictures, show that a picture is of another kind?

    Args:
        images: The known pictures, two or more, as for `explain`.
        strange: Pictures of another kind, one or more.
        encoder: As for `explain`.
        neighbours: How many of the nearest known pictures the distance is the mean of; at most as many as there are.
        progress: Called with (pictures done, pictures) after each; otherwise as for `explain`.
        keywords: Keywords of `explain`.

    Raises:
        ImageError, EncoderError, ValueError: As for `explain`; or if there are too few pictures, or `neighbours` is
            below 1.
    """
    settings = Settings.of(keywords, MaskingKeywords, "strangers")
    network = loaded(encoder, settings.execution, settings.request)
    with shown(progress, "pictures") as report:
        return strangers_with(images, strange, network, settings, neighbours, report)


def strangers_with(
    images: Sequence[ImageSource],
    strange: Sequence[ImageSource],
    encoder: Encoder,
    settings: Settings,
    neighbours: int = NEIGHBOURS,
    progress: Progress | None = None,
) -> Strangers:
    """`strangers`, given a loaded encoder and checked settings."""
    if len(images) < 2 or not strange:
        raise ValueError(
            f"images must be two or more known pictures, and strange one or more; got {len(images)} and {len(strange)}"
        )
    if not is_whole(neighbours, 1):
        raise ValueError(f"neighbours must be a whole number, 1 or more; got {described(neighbours)}")
    explain = image_explainer(encoder, replace(settings, request=Request()))  # the similarity to each picture itself
    pictures = [*images, *strange]
    means, embeddings = [], []
    for picture in pictures:
        explanation = explain(picture)
        means.append((float(np.nanmean(explanation.uncertainty)), float(np.nanmean(explanation.importance))))
        embeddings.append(encoder(read_image(picture, channels=encoder.channels))[0].cpu().numpy())
        if progress is not None:
            progress(len(means), len(pictures))
    known, others = np.stack(embeddings[: len(images)]), np.stack(embeddings[len(images) :])
    distances = [*distance_to(known, known, neighbours, themselves=True), *distance_to(others, known, neighbours)]
    sights = tuple(
        Sight(name_of(picture), place >= len(images), *of_map, float(distance))
        for place, (picture, of_map, distance) in enumerate(zip(pictures, means, distances, strict=True))
    )
    return Strangers(sights, min(neighbours, len(images) - 1))


def distance_to(
    embeddings: NDArray[Any], known: NDArray[Any], neighbours: int, *, themselves: bool = False
) -> NDArray[np.float64]:
    """(N,) mean cosine distance of embeddings (N, D) to their nearest among the known (K, D), in [0, 2].

    `themselves`: the embeddings are the known ones, and none is its own neighbour.
    """
    first, second = (values / np.linalg.norm(values, axis=1, keepdims=True) for values in (embeddings, known))
    closeness = first.astype(np.float64) @ second.T.astype(np.float64)
    if themselves:
        np.fill_diagonal(closeness, -np.inf)
    nearest = np.sort(closeness, axis=1)[:, -min(neighbours, len(known) - themselves) :]
    distances: NDArray[np.float64] = 1 - nearest.mean(1)
    return distances
