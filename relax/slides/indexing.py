"""The embedded tiles of a slide as an archive, which is searched and audited as that of a folder of pictures is.

The embeddings come from the .h5 file, and no encoder runs but on one tile, to see that it is the one that made them.
Pictures of tiles are read from the slide when they are asked for.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from encoders import Encoder
from encoders.identity import differences, identity
from relax.archive.archive import Archive, make_archive
from relax.archive.files import ImageRow
from relax.archive.parts import Parts
from relax.archive.stored import Stored
from relax.archive.update import check_same_root
from relax.files import written_aside
from relax.io.images import read_image
from relax.io.sources import digest_of, state_of
from relax.io.tiles import tile_address
from relax.lock import sole_run
from relax.scene import EncoderSource
from relax.slides.explaining import encoder_of
from relax.slides.opening import slide_name
from relax.slides.store import read_tiles
from relax.slides.tiles import SlideTiles
from relax.text import csv_text

ALIKE = 0.99  # cosine between a tile's embedding in the file and now
COLUMNS = "tiles.csv"


def index_tiles(
    tiles: str | Path,
    slide: str | Path,
    out: str | Path,
    *,
    encoder: EncoderSource | None = None,
    span: int | None = None,
    kind: str = "flat",
    metric: str = "cosine",
) -> Archive:
    """Make an archive of the embedded tiles of a slide, without embedding them again.

    Args:
        tiles: The .h5 file of `embed_slide`, TRIDENT or CLAM.
        slide: The slide itself. Pictures of tiles are read from it, now one, and later those that are shown.
        out: The folder to write to. Beside the files of an archive it holds tiles.csv, with the slide, the corner and
            the span of each tile, for the `metadata` of `relax.audit`.
        encoder: None is the one that made the tiles, by the file's own record.
        span: Side of a tile in pixels of level 0, for files that do not say it.
        kind: Of the index, as for `make_archive`.
        metric: "cosine" or "l2".

    Returns:
        The archive. A tile is called SLIDE#x=X&y=Y&span=SPAN&size=SIZE, which is an address for `relax.explain`, too.

    Raises:
        ImageError: If the slide cannot be read.
        ValueError: If the tiles are of another slide, the encoder is not the one that made them, or `out` belongs to
            another slide or encoder.
        OSError: If a file cannot be read or written.
        ImportError: If the extra `[pathology]` is not installed.
    """
    slide, out = Path(slide).absolute(), Path(out).absolute()
    if any(letter in str(tiles) for letter in "#&"):
        raise ValueError(f"{tiles}: an address of tiles has # and & between its parts: rename the file")
    read = read_tiles(tiles, span=span)
    size, network = read.size, encoder_of(read, encoder)
    _check_same(read, slide, network)
    names = [tile_address(Path(slide.name), left, top, read.span, size) for left, top in read.corners.tolist()]
    if len(set(names)) != len(names):
        raise ValueError(f"{tiles} lists a place twice: keep one of each")
    with sole_run(out, "relax slide index"):
        _keep(names, read, slide, out, network)
        header = ("path", "slide", "x", "y", "span")
        places = [(slide_name(slide), left, top, read.span) for left, top in read.corners.tolist()]
        with written_aside(out / COLUMNS) as aside:
            rows = ((name, *place) for name, place in zip(names, places, strict=True))
            aside.write_text(csv_text([header, *rows]), encoding="utf-8", newline="")
    address = f"{slide}#tiles={tiles}" + (f"&span={span}" if span else "")
    return make_archive(address, network, out, kind=kind, metric=metric, progress=False)


def _keep(names: list[str], tiles: SlideTiles, slide: Path, out: Path, encoder: Encoder) -> None:
    """Put the embeddings where a run that embeds pictures would have left them."""
    stored = Stored.read(out, encoder)
    check_same_root(stored.record, slide.parent, out)
    size, (bytes_, modified), digest = tiles.size, state_of(slide), digest_of(slide)
    with Parts(out, json.dumps(identity(encoder))) as parts:
        for name, features in zip(names, tiles.features, strict=True):
            row = ImageRow(name, bytes_, modified, sha256=digest, width=size, height=size)
            if not stored.is_current(row):
                parts.add(row, features)


def _check_same(tiles: SlideTiles, slide: Path, encoder: Encoder) -> None:
    """Refuse a slide or an encoder that gives one of the tiles another embedding than the file has."""
    recorded = tiles.record.get("encoder")
    if recorded and (different := differences(recorded, identity(encoder))):
        raise ValueError(
            f"the tiles of {tiles.name} were made by encoder {recorded.get('name')!r}, and {encoder.name!r} has "
            f"another {', '.join(different)}"
        )
    middle = len(tiles) // 2
    left, top = tiles.corners[middle].tolist()
    address = tile_address(slide, left, top, tiles.span, tiles.size)
    now = encoder(read_image(address, channels=encoder.channels))[0].cpu().numpy()
    stored = tiles.features[middle]
    lengths = float(np.linalg.norm(now) * np.linalg.norm(stored)) if now.shape == stored.shape else 0.0
    alike = float(now @ stored) / lengths if lengths else 0.0
    if alike < ALIKE:
        raise ValueError(
            f"the tile at x {left}, y {top} of {slide_name(slide)} through {encoder.name} is not what the tiles of "
            f"{tiles.name} hold (cosine {alike:.2f}): name the slide and the encoder (--encoder) that they were made of"
        )
