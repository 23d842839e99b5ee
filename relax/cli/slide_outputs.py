"""What `relax slide explain` reads and writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.errors import one_line
from relax.cli.console import UsageError, progress_bar
from relax.cli.usage import check_out
from relax.explanation import Explanation
from relax.files import file_names, with_ending, written_aside
from relax.plotting.drawing import file_of
from relax.report import write_report
from relax.slides.drawing import draw_map
from relax.slides.dropping import both_areas
from relax.slides.explaining import TileReference, explain_slide, tile_score
from relax.slides.geojson import write_geojson
from relax.slides.inside import MASKS as TILE_MASKS
from relax.slides.inside import explain_tiles
from relax.slides.map import SlideMap
from relax.slides.opening import open_slide
from relax.slides.overlay import write_overlay, write_values
from relax.slides.page import map_report
from relax.slides.slide import Slide
from relax.slides.store import read_tiles
from relax.slides.tiles import SlideTiles

FIGURE_PIXELS = 2000  # of the slide's longer side in the figure
ENDINGS = (".npz", ".geojson", "-overlay.tif", "-values.ome.tif")


def explain_and_write(
    path: Path,
    slide_path: Path | None,
    out: Path,
    sources: dict[str, str | None],
    *,
    weights: Path | None,
    encoder: str | None,
    top: int,
    drop: bool,
    report: bool,
    mpp: float | None,
    span: int | None,
    overwrite: bool,
    visible: bool,
    **options: Any,
) -> list[str]:
    """Explain the slide of a file of tiles, and write everything about it.

    Returns:
        Lines that say what came of it and what was written.

    Raises:
        UsageError: If options do not go together, or a file is there already.
        ImageError, ValueError, OSError: As the functions that do it.
    """
    if top and slide_path is None:
        raise UsageError("--top looks at the pixels of tiles: name the slide as well (--slide)")
    if report and slide_path is None:
        raise UsageError("--report shows the slide: name it as well (--slide)")
    if top < 0:
        raise UsageError(f"--top must be a number of tiles, 0 or more; got {top}")
    check_out(out)
    target = out / path.stem
    endings = (*ENDINGS, *((".png",) if slide_path else ()), *((".html",) if report else ()))
    existing = [with_ending(target, ending) for ending in endings if with_ending(target, ending).exists()]
    if existing and not overwrite:
        raise UsageError(f"{file_names(existing)} are there already: name another folder (--out), or give --overwrite")
    tiles = read_tiles(path, span=span)
    question: dict[str, Any] = {
        **{name: _reference(text) for name, text in sources.items()},
        "similarity": options.pop("similarity"),
        "weights": None if weights is None else _numbers(weights, "weights"),
        "encoder": encoder,
    }
    with progress_bar("subsets", visible=visible) as bar, _opened(slide_path, mpp) as slide:
        task = bar.add_task("explaining", total=None)
        slide_map = explain_slide(
            tiles, **question, **options, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
        inside: list[Explanation] = []
        if slide is not None:
            _check_same(slide, tiles)
            inside += explain_tiles(slide, tiles, slide_map, top=top, masks=TILE_MASKS, **question) if top else []
            picture = slide.picture(max(slide.width, slide.height) * slide.mpp / FIGURE_PIXELS)
            content = file_of(draw_map(slide_map, picture, inside))
            with written_aside(with_ending(target, ".png")) as aside:
                aside.write_bytes(content)
            if report:
                write_report(map_report(slide_map, picture, inside), with_ending(target, ".html"))
    files = [with_ending(target, ending) for ending in ENDINGS]
    slide_map.save(files[0])
    write_geojson(slide_map, files[1])
    write_overlay(slide_map, files[2])
    write_values(slide_map, files[3])
    lines = _dropped(slide_map, tiles, question) if drop else []
    return [repr(slide_map), *lines, f"written: {file_names([with_ending(target, ending) for ending in endings])}"]


def _reference(text: str | None) -> TileReference:
    """The tiles of a slide, a vector, or the name of a picture or prompt."""
    if text is None:
        return None
    suffix = Path(text).suffix.lower()
    if suffix in (".h5", ".hdf5"):
        return read_tiles(text, span=1)  # of which the places are not needed
    return _numbers(Path(text), "reference") if suffix == ".npy" else text


def _numbers(path: Path, name: str) -> NDArray[Any]:
    """A vector in a .npy file; no pickle is opened."""
    try:
        values = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise ValueError(f"{name} {path} is not there") from None
    except Exception as error:  # of any kind, as the header is Python's syntax
        raise ValueError(f"{name} {path} is no .npy file ({one_line(error, 120)})") from None
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        raise ValueError(f"{name} {path} must hold one vector of numbers; got {values.dtype} {values.shape}")
    return np.array(values)


@contextmanager
def _opened(path: Path | None, mpp: float | None) -> Iterator[Slide | None]:
    """The slide, if there is one."""
    if path is None:
        yield None
        return
    with open_slide(path, mpp=mpp) as slide:
        yield slide


def _check_same(slide: Slide, tiles: SlideTiles) -> None:
    """Refuse a slide that the tiles cannot be of."""
    size = tiles.slide_size
    if size is not None and size != (slide.width, slide.height):
        raise ValueError(
            f"--slide {slide.name} has {slide.width} x {slide.height} pixels, and the tiles are of a slide with "
            f"{size[0]} x {size[1]}: name the slide that was embedded"
        )


def _dropped(slide_map: SlideMap, tiles: SlideTiles, question: dict[str, Any]) -> list[str]:
    """How the similarity falls when tiles are dropped in the order of the map, and of others."""
    score, _ = tile_score(tiles, **question)
    orders = {
        "importance": slide_map.importance,
        "leave one out": slide_map.influence,
        "tile alone": slide_map.alone,
        **({"weights": score.pooled.weights.numpy()} if question["weights"] is not None else {}),
        "chance": np.random.default_rng(0).permutation(len(tiles)).astype(np.float64),
    }
    lines = ["mean similarity while tiles are dropped: most important first (lower is better), least first (higher)"]
    for name, values in orders.items():
        most, least = both_areas(score, values)
        lines.append(f"  {name:<14} {most:9.5f} {least:9.5f}")
    return lines
