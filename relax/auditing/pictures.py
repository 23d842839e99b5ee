"""The expensive part of an audit: encoder passes over single pictures, each result kept in a file for the next run.

A picture is explained (RELAX), and embedded with each cell of a grid hidden in turn. Both are done to the picture as it
is and to its mirror image, for the test of positions. A kept file is reused if pixels, weights and settings are the
same.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from encoders import Encoder
from relax.auditing.positions import mirrored_axes
from relax.estimators.budget import Budget, Progress
from relax.explanation import Explanation
from relax.files import written_aside
from relax.io.choice import name_within, stem_of
from relax.io.images import read_image
from relax.io.small import shrunk
from relax.npz import read_npz
from relax.provenance import surroundings
from relax.records import read_json
from relax.scene import Scene
from relax.settings import BatchSize, Hiding
from similarity import cosine

FRAME = 360  # px of the longer side of a kept map
MIRRORED_FRAME = 64  # px; the map of a mirror image is only averaged over cells
CELLS = 7  # along each side: of the masks, and of the grid that is hidden and tested


@dataclass(frozen=True)
class Pictures:
    """Computes, keeps and reloads the results of single pictures.

    Attributes:
        root: The audited folder.
        encoder: The encoder.
        folder: Where the results are kept.
        masks: Masks per explanation.
        seed: The only source of randomness.
        batch_size: Images in one forward pass; it affects speed, not the result.
        new_files: Files that were made in this run, by workers: those of a function, too, which is the same in one run.
    """

    root: Path
    encoder: Encoder
    folder: Path
    masks: int
    seed: int
    batch_size: BatchSize = "auto"
    new_files: set[Path] = field(default_factory=set, compare=False, repr=False)

    def explain(self, path: str, mirror: str = "", progress: Progress | None = None) -> Explanation:
        """RELAX of one picture, its maps in a frame of at most 360 px.

        Args:
            path: Relative to the folder.
            mirror: "" for the picture as it is, or "left-right", "top-bottom", "both".
            progress: Called with (masks done, total).

        Raises:
            ImageError: If the picture cannot be used.
        """
        start = time.perf_counter()
        scene, recipe, file = self._to_explain(path, mirror)
        if (kept := _kept_explanation(file, recipe, file in self.new_files)) is not None:
            return kept
        moments, image_embedding = scene.estimator(), scene.image_embedding
        for masks, embeddings in scene.passes(Budget.of(self.masks, None, self.batch_size), progress):
            moments.add(cosine(embeddings, image_embedding), masks)
        provenance = recipe | {
            "scale": scene.yardsticks.record(),
            "tolerance": None,
            "converged": None,
            "cost": {"passes": self.masks + 1, "in_words": "masks"},
            **surroundings(self.encoder.device, time.perf_counter() - start),
        }
        small = shrunk(scene.image, MIRRORED_FRAME if mirror else FRAME)
        explanation = replace(scene, image=small).explanation(moments, provenance)
        explanation.save(file)
        return explanation

    def hide(self, path: str, mirror: str = "") -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embed one picture as it is, and with each cell of a 7 x 7 grid hidden in turn.

        Returns:
            Embeddings (D,) and (49, D), row by row from the top left.

        Raises:
            ImageError: If the picture cannot be used.
        """
        scene, recipe, file = self._to_hide(path, mirror)
        if (kept := _kept_hidden(file, recipe, file in self.new_files)) is not None:
            return kept
        masks = cell_masks(scene.size).to(scene.view.device)
        batches = Budget.of(len(masks), None, self.batch_size).stretches(len(masks), scene.view)
        embeddings = [scene.embed(scene.masked(masks[start:stop])).cpu() for start, stop in batches]
        image_embedding, hidden = scene.image_embedding.cpu().numpy(), torch.cat(embeddings).numpy()
        with written_aside(file) as aside, aside.open("wb") as stream:
            np.savez(stream, how=np.array(_as_text(recipe)), own=image_embedding, hidden=hidden)
        return image_embedding, hidden

    def hide_box(
        self, path: str, box: tuple[float, float, float, float], mirror: str = ""
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embed one picture as it is, and with a box hidden.

        Args:
            path: Relative to the folder.
            box: (top, left, bottom, right) as shares of the picture, mirrored or not.
            mirror: See `explain`.

        Returns:
            Embeddings (D,) each.

        Raises:
            ImageError: If the picture cannot be used.
        """
        scene, _ = self._scene(path, mirror)
        mask = torch.ones(1, 1, *scene.size, device=scene.view.device)
        height, width = scene.image.shape[-2:]
        top, left, bottom, right = self.encoder.seen(height, width)
        rows = [round((share * height - top) / (bottom - top) * scene.size[0]) for share in box[::2]]
        columns = [round((share * width - left) / (right - left) * scene.size[1]) for share in box[1::2]]
        mask[..., max(0, rows[0]) : max(0, rows[1]), max(0, columns[0]) : max(0, columns[1])] = 0
        return scene.image_embedding.cpu().numpy(), scene.embed(scene.masked(mask))[0].cpu().numpy()

    def is_kept(self, what: str, path: str, mirror: str) -> bool:
        """Whether there is a result of `explain` or `hide`, as the argument says, that need not be computed again.

        Raises:
            ImageError: If the picture cannot be used.
        """
        if what == "explain":
            _, recipe, file = self._to_explain(path, mirror)
            return _kept_explanation(file, recipe, file in self.new_files) is not None
        _, recipe, file = self._to_hide(path, mirror)
        return _kept_hidden(file, recipe, file in self.new_files) is not None

    def file_of(self, what: str, path: str, mirror: str) -> Path:
        """Where a result of `explain` or `hide` is kept."""
        return self._file(path, mirror, ".npz" if what == "explain" else ".hidden.npz")

    def _to_explain(self, path: str, mirror: str) -> tuple[Scene, dict[str, Any], Path]:
        scene, recipe = self._scene(path, mirror)
        recipe |= {"method": "relax", "similarity": "cosine", "reference": "itself"}
        recipe["masks"] = {**recipe["masks"], "count": self.masks}
        return scene, recipe, self.file_of("explain", path, mirror)

    def _to_hide(self, path: str, mirror: str) -> tuple[Scene, dict[str, Any], Path]:
        scene, recipe = self._scene(path, mirror)
        recipe["masks"] = {"kind": "one cell hidden", "cells": CELLS}
        return scene, recipe, self.file_of("hide", path, mirror)

    def _scene(self, path: str, mirror: str) -> tuple[Scene, dict[str, Any]]:
        """The picture in the encoder's view, and everything that determines its results."""
        hiding = Hiding(cells=CELLS, seed=self.seed)
        pixels = read_image(self.root / path, channels=self.encoder.channels)
        if mirror:
            pixels = pixels.flip(mirrored_axes(mirror))
        scene = Scene.of(pixels, self.encoder, hiding)
        name = name_within(self.root, path)
        return scene, {**scene.record(hiding), "image": f"{name}, mirrored {mirror}" if mirror else name}

    def _file(self, path: str, mirror: str, ending: str) -> Path:
        """A unique name for every picture, readable and safe on every file system."""
        stem = "".join(
            letter if letter.isalnum() and letter.isascii() else "-" for letter in stem_of(str(self.root / path))
        )[:40]
        key = sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:12]
        return self.folder / f"{stem}-{key}{'.' + mirror if mirror else ''}{ending}"


def in_view(values: NDArray[np.float32], encoder: Encoder, cells: int) -> NDArray[np.float64]:
    """Average a map (H, W) of a picture over a grid on the part that the encoder sees: (cells, cells).

    Where the encoder sees padding only, it is the mean of the other cells.
    """
    height, width = values.shape
    top, left, bottom, right = encoder.seen(height, width)
    seen = torch.from_numpy(values).double()[
        max(0, round(top)) : min(height, round(bottom)), max(0, round(left)) : min(width, round(right))
    ]
    known = seen.isfinite()  # the edge of a crop may fall between pixels
    beyond = (-left, right - width, -top, bottom - height)  # where the view is padded
    seen, known = (F.pad(part, [max(0, round(side)) for side in beyond]) for part in (seen, known))
    sums = F.adaptive_avg_pool2d(torch.stack([seen.nan_to_num(0.0) * known, known.double()])[None], cells)[0]
    means = sums[0] / sums[1]
    return means.where(sums[1] > 0, means.nanmean()).numpy()


def cell_masks(size: tuple[int, int], cells: int = CELLS) -> Tensor:
    """(cells^2, 1, h, w) masks: each hides one cell of a grid on a view of `size`, row by row from the top left."""
    row, column = (torch.arange(pixels) * cells // pixels for pixels in size)
    place = row[:, None] * cells + column
    return (place != torch.arange(cells**2)[:, None, None]).float()[:, None]


def _kept_explanation(file: Path, recipe: dict[str, Any], own: bool) -> Explanation | None:
    try:
        kept = Explanation.load(file)
    except (OSError, ValueError):
        return None
    return kept if _same(recipe, {key: kept.provenance.get(key) for key in recipe}, own) else None


def _kept_hidden(
    file: Path, recipe: dict[str, Any], own: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    try:
        arrays = read_npz(file, ("how", "own", "hidden"))
        kept_recipe = read_json(str(arrays["how"]))
    except (OSError, ValueError):
        return None
    return (arrays["own"], arrays["hidden"]) if _same(recipe, kept_recipe, own) else None


def _same(recipe: dict[str, Any], kept: dict[str, Any], own: bool) -> bool:
    """Whether two recipes are equal; never for a function as encoder of another run, whose weights may be others."""
    return (own or recipe["encoder"]["checksum"] is not None) and _as_text(recipe) == _as_text(kept)


def _as_text(recipe: dict[str, Any]) -> str:
    return json.dumps(recipe, sort_keys=True)
