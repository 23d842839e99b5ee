"""Embed the tiles of a slide in a stream: memory does not grow with the slide, and a kill loses a few seconds.

Tiles are read by a few threads that are a batch ahead of the encoder. Every few seconds the new embeddings are written
to a part beside the result, OUT.parts, from which the next call continues; at the end the parts are joined.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from encoders import Encoder
from encoders.identity import differences, identity
from relax.estimators.budget import Budget, Progress, within_memory
from relax.files import written_aside
from relax.io.images import ImageSource
from relax.lock import sole_run
from relax.progress import Silent, shown
from relax.provenance import surroundings
from relax.readahead import ahead
from relax.records import read_json
from relax.scene import EncoderSource, load_encoder
from relax.settings import BatchSize
from relax.slides.defaults import LEAST_AREA, LEAST_TISSUE, TILE_MPP, TILE_SIZE
from relax.slides.opening import open_slide
from relax.slides.slide import Slide
from relax.slides.store import read_tiles, write_tiles
from relax.slides.tiles import SlideTiles, TileGrid, lay_tiles
from relax.slides.tissue import Tissue, find_tissue

PART_SECONDS, PART_BYTES = 10.0, 16_000_000  # a part ends at whichever comes first
MAGNIFICATION = 10.0  # of an objective, times micrometres per pixel: 40x has 0.25
ENDING = ".parts"

Features = NDArray[np.float32]


def embed_slide(
    path: str | Path,
    encoder: EncoderSource,
    out: str | Path,
    *,
    mpp: float | None = None,
    tile_mpp: float = TILE_MPP,
    tile_size: int = TILE_SIZE,
    least_tissue: float = LEAST_TISSUE,
    saturation: float | None = None,
    least_area: float = LEAST_AREA,
    tissue: ImageSource | None = None,
    batch_size: BatchSize = "auto",
    progress: Progress | Silent | None = None,
) -> SlideTiles:
    """Embed the tiles of a slide that hold tissue, and write them with their places to an HDF5 file.

    Args:
        path: The slide; see `open_slide`.
        encoder: A spec, an `Encoder`, a module or a function.
        out: The file to write, such as slide.h5, in the layout of TRIDENT. If it is there already, and was made from
            this slide in this way, it is returned as it is.
        mpp: Micrometres per pixel of the slide's finest level; None takes what the file says.
        tile_mpp: Micrometres per pixel of a tile.
        tile_size: Its side in pixels; the encoder resizes it to its own input.
        least_tissue: The share of a tile that must be tissue, in [0, 1].
        saturation: Tissue is what is more saturated than this; None is Otsu's threshold. See `find_tissue`.
        least_area: Of a piece of tissue, in square millimetres.
        tissue: A mask over the whole slide that takes the place of the rule.
        batch_size: Tiles in one forward pass, or "auto".
        progress: Called with (tiles done, tiles in all); otherwise as for `relax.explain`.

    Returns:
        The tiles.

    Raises:
        ImageError: If the slide cannot be used, or holds no tissue.
        ValueError: If a choice is impossible, or `out` or its parts were made from something else.
        EncoderError: If the encoder fails.
        OSError: If `out` cannot be written, or another run is writing it (`relax.lock.InUse`).
        ImportError: If the extra `[pathology]` is not installed.
    """
    started, path, out = time.monotonic(), Path(path), Path(out)
    with open_slide(path, mpp=mpp) as slide:
        tissue_map = find_tissue(slide, saturation=saturation, least_area=least_area, mask=tissue)
        grid = lay_tiles(slide, tissue_map, mpp=tile_mpp, size=tile_size, least_tissue=least_tissue)
        network, budget = load_encoder(encoder), Budget.of(None, None, batch_size)
        record = _record(path, slide, network, grid, tissue_map, least_tissue)
        if out.exists():
            return _finished(out, record)
        with sole_run(parts_folder(out), "relax slide embed"), shown(progress, "tiles") as report:
            parts = _Parts(parts_folder(out), record)
            _embed(slide, grid, network, budget, parts, report)
            seconds = time.monotonic() - started
            provenance = {**record, **surroundings(network.device, seconds)}
            shape = (len(grid), parts.width)
            write_tiles(out, parts.read(), shape, grid.corners, _attributes(slide, grid), provenance)
    shutil.rmtree(parts_folder(out), ignore_errors=True)
    return read_tiles(out)


def parts_folder(out: Path) -> Path:
    """Where the embeddings of an unfinished run lie."""
    return out.with_name(out.name + ENDING)


def _embed(
    slide: Slide, grid: TileGrid, encoder: Encoder, budget: Budget, parts: _Parts, progress: Progress | None
) -> None:
    """Embed the tiles that no part holds yet."""
    first = encoder.view(torch.zeros(1, encoder.channels or 3, grid.size, grid.size))
    size = budget.batch(first.to(encoder.device))
    views = ahead(partial(_view, slide, grid, encoder), range(parts.count, len(grid)), 2 * size)
    try:
        if progress is not None:
            progress(parts.count, len(grid))
        while batch := list(islice(views, size)):
            pixels = torch.cat(batch)
            chunks, _ = within_memory(partial(_chunks, encoder, pixels), len(pixels))
            parts.add(torch.cat(chunks).numpy())
            if progress is not None:
                progress(parts.count, len(grid))
    finally:
        parts.write()
        views.close()  # type: ignore[attr-defined]


def _view(slide: Slide, grid: TileGrid, encoder: Encoder, number: int) -> torch.Tensor:
    """(1, C, h, w) one tile as the encoder takes it."""
    pixels = torch.from_numpy(grid.read(slide, number).copy()).permute(2, 0, 1)[None].float() / 255
    if encoder.channels == 1:
        pixels = (pixels * pixels.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return encoder.view(pixels)


def _chunks(encoder: Encoder, pixels: torch.Tensor, size: int) -> list[torch.Tensor]:
    return [encoder.embed(part).cpu() for part in pixels.split(size)]


class _Parts:
    """Embeddings of the first tiles of a grid, in files that a next run continues."""

    def __init__(self, folder: Path, record: dict[str, Any]) -> None:
        """Continue what is in the folder.

        Raises:
            ValueError: If it belongs to another run, or is damaged.
        """
        self.folder, self.pending, self.since = folder, list[Features](), time.monotonic()
        about = folder / "record.json"
        if about.exists():
            _check_same(read_json(about.read_bytes()), record, folder)
        else:
            with written_aside(about) as aside:
                aside.write_text(json.dumps(record), encoding="utf-8")
        self.files = sorted(folder.glob("[0-9]*.npy"))
        shapes = [self._open(file).shape for file in self.files]
        self.count = sum(shape[0] for shape in shapes)
        self.width = shapes[0][1] if shapes else 0

    def add(self, features: Features) -> None:
        """Add the embeddings of the next tiles, and write a part if it is time."""
        self.pending.append(features)
        self.count, self.width = self.count + len(features), features.shape[1]
        if time.monotonic() - self.since > PART_SECONDS or sum(part.nbytes for part in self.pending) > PART_BYTES:
            self.write()

    def write(self) -> None:
        """Write what is pending as one part."""
        if self.pending:
            file = self.folder / f"{len(self.files):06d}.npy"
            with written_aside(file) as aside, aside.open("wb") as stream:
                np.save(stream, np.concatenate(self.pending))
            self.files.append(file)
            self.pending = []
        self.since = time.monotonic()

    def read(self) -> Iterator[Features]:
        """The embeddings, one part at a time."""
        for file in self.files:
            yield np.asarray(self._open(file))

    def _open(self, file: Path) -> Features:
        try:
            array = np.lib.format.open_memmap(file, mode="r")
            if array.dtype == np.float32 and array.ndim == 2:
                return array
        except ValueError:
            pass
        raise ValueError(f"{file} is damaged: delete {self.folder}, and embed the slide again")


def _record(
    path: Path, slide: Slide, encoder: Encoder, grid: TileGrid, tissue: Tissue, least_tissue: float
) -> dict[str, Any]:
    """What makes the tiles, as JSON types: whatever differs here makes other ones."""
    status = path.stat()
    record = {
        "slide": {
            "name": slide.name,
            "bytes": status.st_size,
            "width": slide.width,
            "height": slide.height,
            "levels": [[level.width, level.height] for level in slide.levels],
            "mpp": slide.mpp,
            "mpp_source": slide.mpp_source,
            "reader": slide.reader,
        },
        "encoder": identity(encoder),
        "tiles": {
            "count": len(grid),
            "mpp": grid.mpp,
            "size": grid.size,
            "span": grid.span,
            "least_tissue": least_tissue,
        },
        "tissue": tissue.rule,
    }
    as_json: dict[str, Any] = json.loads(json.dumps(record))
    return as_json


def _check_same(stored: Any, record: dict[str, Any], place: Path) -> None:
    """Refuse tiles of another slide, encoder or choice."""
    different = [name for name in ("slide", "tiles", "tissue") if stored.get(name) != record[name]]
    if differences(stored.get("encoder") or {}, record["encoder"]):
        different.append("encoder")
    if different:
        raise ValueError(
            f"{place} was made with another {' and '.join(different)}: name another file to write to (--out), or "
            "delete it"
        )


def _finished(out: Path, record: dict[str, Any]) -> SlideTiles:
    """The tiles in a file that is there already."""
    tiles = read_tiles(out)
    _check_same(tiles.record, record, out)
    return tiles


def _attributes(slide: Slide, grid: TileGrid) -> dict[str, Any]:
    """As TRIDENT names them."""
    return {
        "patch_size": grid.size,
        "patch_size_level0": grid.span,
        "level0_magnification": MAGNIFICATION / slide.mpp,
        "target_magnification": MAGNIFICATION / grid.mpp,
        "overlap": 0,
        "name": Path(slide.name).stem,
        "level0_width": slide.width,
        "level0_height": slide.height,
    }
