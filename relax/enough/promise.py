"""A promise over an archive: sets of cells that keep the similarity in a stated share of its pictures.

    promise = relax.promise_sets("photos", encoder, similarity_at_least=0.8, share=0.95)
    promise.save("promise.json")
    promised = relax.Promise.load("promise.json").sets_of("cat.png", encoder)
    promised.mask                     # (H, W) bool: from the map of the picture alone, no set was embedded

What is promised is a share of pictures, not a picture; and only of pictures such as those it was calibrated on. One
further pass shows whether the set of one picture keeps the similarity (`check=True`).
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders import Encoder
from encoders.identity import differences, identity
from relax.enough.cells import Cells
from relax.enough.game import Game
from relax.enough.rules import RULES, Ranked, sizes_at
from relax.files import written_aside
from relax.io.images import ImageSource
from relax.plotting.drawing import file_of
from relax.plotting.enough import promised_figure
from relax.records import read_record
from relax.references import Question
from relax.scene import EncoderSource, Scene, loaded
from relax.settings import Settings
from relax.text import number, shortened

FORMAT = 1
TYPES: dict[str, Any] = {
    "format": int,
    "rule": str,
    "level": (int, float),
    "similarity_at_least": float,
    "share": float,
    "settings": {"regions": str, "cells": int, "seed": int, "masks": int, "fills": list},
    "encoder": {"name": str},
    "calibration": {"pictures": int, "sha256": str},
    "held_out": dict,
}


@dataclass(frozen=True)
class PromisedSet:
    """The cells of one picture that a promise takes.

    Attributes:
        members: (n,) bool, by number of the cell.
        mask: (H, W) bool, their pixels in the frame of the picture.
        share: Of the pixels that the encoder sees, in [0, 1].
        similarities: By fill, with the set shown and all else hidden; None unless it was checked.
        image: (H, W, 3) uint8.
        name: Of the picture.
    """

    members: NDArray[np.bool_]
    mask: NDArray[np.bool_]
    share: float
    similarities: dict[str, float] | None
    image: NDArray[np.uint8]
    name: str

    def record(self) -> dict[str, Any]:
        """The numbers, as JSON types."""
        size = int(self.members.sum())
        return {
            "image": self.name,
            "size": size,
            "of": len(self.members),
            "share": self.share,
            "similarities": self.similarities,
        }

    def figure_file(self, promise: Promise, format: str = "png", theme: str = "light") -> bytes:
        """The picture and the cells that are taken of it, as the bytes of a figure."""
        caption = [*str(promise).splitlines(), str(self)]
        return file_of(promised_figure(self.image, self.mask, shortened(self.name, 120), caption, theme), format)

    def to_bytes(self) -> bytes:
        """Members and mask, as the bytes of an `.npz` file."""
        stream = io.BytesIO()
        np.savez_compressed(stream, members=self.members, mask=self.mask)
        return stream.getvalue()

    def __str__(self) -> str:
        size, of = int(self.members.sum()), len(self.members)
        words = f"{size} of {of} cells, {self.share:.0%} of the pixels"
        if self.similarities is None:
            return f"{words}; not embedded"
        return f"{words}; similarity {', '.join(f'{number(v)} ({fill})' for fill, v in self.similarities.items())}"


@dataclass(frozen=True)
class Promise:
    """A rule with its level, what it promises, and how that was checked.

    Attributes:
        rule: A key of `relax.enough.rules.RULES`.
        level: Of the rule; infinite where only all cells keep the promise.
        similarity_at_least: Cosine to the whole picture that a set has to keep, under every fill.
        share: Of pictures in which it does.
        confidence: That at least this share does; None promises the share in expectation.
        settings: Of the map, its cells and fills: "regions", "cells", "seed", "masks", "fills".
        encoder: Its identity.
        calibration: Number of "pictures" it was calibrated on, the "sha256" of their names, the "mean_share" of their
            cells, that of the "other_rules" at their levels for the same promise, and "pairs_at_least", the share of
            pairs of different pictures that are as similar as that.
        held_out: Number of further "pictures" it was checked on, in how many it was "kept", as "share" with "interval"
            (Clopper-Pearson, 95 %), "mean_share" of cells, and the same over random "splits"; empty if none was held
            out.
    """

    rule: str
    level: float
    similarity_at_least: float
    share: float
    confidence: float | None
    settings: Mapping[str, Any]
    encoder: Mapping[str, Any]
    calibration: Mapping[str, Any]
    held_out: Mapping[str, Any]

    def sets_of(
        self, image: ImageSource, encoder: EncoderSource | None = None, *, check: bool = False, device: str = "auto"
    ) -> PromisedSet:
        """The set of a picture, from its map alone.

        Args:
            image: As for `relax.explain`.
            encoder: That of the promise; None loads it by its name.
            check: Whether to embed the set, one pass for each fill.
            device: As for `relax.explain`.

        Raises:
            ImageError: If the image cannot be used.
            ValueError: If the encoder is another.
        """
        settings = Settings.of(
            {name: self.settings[name] for name in ("regions", "cells", "seed", "masks")}
            | {"device": device, **{name: self.encoder.get(name, "auto") for name in ("pooling", "view")}}
        )
        network = loaded(self.encoder["name"] if encoder is None else encoder, settings.execution)
        self.check_encoder(network)
        scene, cells = scene_of(image, network, settings, self.settings["fills"][0])
        ranked = Ranked.of(scene, cells, settings)
        members = np.zeros(cells.count, bool)
        members[ranked.order[: int(sizes_at(RULES[self.rule].levels(ranked), self.level))]] = True
        similarities = None
        if check:
            game = Game.of(scene, cells, Question.of("cosine", None, None, network), settings.hiding, self._fills)
            names = map(str, self.settings["fills"])
            similarities = dict(zip(names, map(float, game.scores(members[None])[0]), strict=True))
        mask, share = cells.in_picture(members, scene), float(members[cells.labels].mean())
        return PromisedSet(members, mask, share, similarities, scene.picture(), scene.name)

    def check_encoder(self, encoder: Encoder) -> None:
        """Refuse another encoder than that of the promise.

        Raises:
            ValueError: With what differs.
        """
        if different := differences(dict(self.encoder), identity(encoder)):
            raise ValueError(
                f"encoder must be that of the promise, {self.encoder['name']!r}; got {encoder.name!r}, which differs "
                f"in {', '.join(different)}: calibrate anew"
            )

    def save(self, path: str | Path) -> Path:
        """Write it as JSON, which appears whole or not at all. Returns the path."""
        with written_aside(path) as aside:
            aside.write_text(json.dumps(self.record(), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        return Path(path)

    def record(self) -> dict[str, Any]:
        """Everything, as JSON types."""
        level = str(self.level) if np.isinf(self.level) else self.level  # JSON has no infinity
        return {"format": FORMAT, **asdict(self), "level": level}

    @classmethod
    def load(cls, path: str | Path) -> Promise:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is damaged, or of another version.
        """
        way_out = "run relax promise again"
        record = read_record(Path(path), {**TYPES, "level": (int, float, str)}, FORMAT, way_out)
        level = record["level"]
        if record["rule"] not in RULES or (isinstance(level, str) and level not in ("inf", "-inf")):
            raise ValueError(f"{path} is damaged (rule {record['rule']!r}, level {level!r}): {way_out}")
        values: dict[str, Any] = {field.name: record.get(field.name) for field in fields(cls)}
        return cls(**{**values, "level": float(level)})

    @property
    def _fills(self) -> list[Any]:
        return list(self.settings["fills"])

    def __str__(self) -> str:
        limit, share = number(self.similarity_at_least), f"{self.share:.0%}"
        sure = "in expectation" if self.confidence is None else f"with confidence {self.confidence:g}"
        lines = [
            f"promise: similarity {limit} in {share} of pictures {sure}; rule {self.rule!r} at level "
            f"{number(self.level) if np.isfinite(self.level) else self.level}, from {self.calibration['pictures']} "
            f"pictures; {self.calibration['mean_share']:.0%} of the cells on average"
        ]
        if self.calibration["mean_share"] == 1:
            lines.append("it says nothing: only all of each picture keeps the promise")
        others = self.calibration.get("other_rules", {})
        if smaller := {name: size for name, size in others.items() if size < self.calibration["mean_share"]}:
            sizes = ", ".join(
                f"{name!r} {smaller[name]:.0%}" for name in sorted(smaller, key=lambda name: smaller[name])
            )
            lines.append(f"fewer cells for the same promise by another rule: {sizes}")
        pairs = self.calibration.get("pairs_at_least")
        if pairs is not None:
            lines.append(f"of pairs of different pictures {pairs:.1%} are as similar as {limit}")
        if self.held_out:
            low, high = self.held_out["interval"]
            lines.append(
                f"held out: kept in {self.held_out['kept']} of {self.held_out['pictures']} pictures, "
                f"{self.held_out['share']:.1%} (95 % interval {low:.1%} to {high:.1%}); over "
                f"{self.held_out['splits']['count']} random splits {self.held_out['splits']['share']:.1%}"
            )
        return "\n".join(lines)


def scene_of(image: ImageSource, encoder: Encoder, settings: Settings, fill: Any) -> tuple[Scene, Cells]:
    """A picture with its masks, and its cells."""
    scene = Scene.of(image, encoder, replace(settings.hiding, fill=fill), settings.estimation.estimator)
    return scene, Cells.of(scene, settings.hiding.regions, settings.hiding.cells)
