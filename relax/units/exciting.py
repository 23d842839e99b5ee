"""The pictures of a folder that excite a unit most, with the place that does it.

found = relax.exciting_pictures("default", "photos", layer="layer3", units=[3, 17])
found.plot(); found.plot(crop=True)
found.values, found.names, found.boxes

Pictures stream through the encoder once; only the best of each unit are kept, and read again in the end.

Sources: Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014 (the best pictures, and what
of them the unit sees); Zhou et al., "Object Detectors Emerge in Deep Scene CNNs", ICLR 2015 (where the enlarged map is
high).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from encoders import Encoder, EncoderError
from encoders.identity import differences, identity, recipe
from encoders.trace import Layer
from encoders.values import described, is_whole, plain
from relax.archive.archive import Archive
from relax.estimators.budget import Budget, Progress
from relax.io.choice import name_within
from relax.io.images import read_image
from relax.io.sources import Row, sources_of
from relax.progress import Silent, shown
from relax.references import image_files
from relax.scene import EncoderSource, load_encoder
from relax.settings import BatchSize
from relax.units.asked import (
    Asked,
    Direction,
    Where,
    asked_direction,
    asked_units,
    checked_units,
    checked_where,
    layer_named,
    units_of,
)
from relax.units.best import Best
from relax.units.colours import as_colour, of_size
from relax.units.pictures import UnitPictures, UnitsInterrupted
from relax.units.places import high_places, moving_boxes
from relax.units.reading import Reading
from relax.units.real import archive_of, folder_title, spaced
from relax.units.request import SIDE, blank, size_of

PICTURES = 9  # of each unit, as in the figures of Zeiler & Fergus
MOST_PICTURES = 100
UNITS = 8  # that are taken where none is named, evenly spaced
ROWS = 8192  # embeddings of an archive at a time


@dataclass(frozen=True)
class Listed:
    """The pictures of a folder or an archive.

    Attributes:
        addresses: Of each.
        root: To which their names are relative.
        name: Of the folder.
        passed_over: Name, why and detail of each file that is not used, to which those that fail are added.
    """

    addresses: list[str]
    root: Path
    name: str
    passed_over: list[Row]

    @classmethod
    def of(cls, folder: str | Path | Archive, archive: Archive | None) -> Listed:
        """Those of an archive, or of a folder, which is walked.

        Raises:
            OSError, ValueError: If there is none.
        """
        if archive is not None:
            return cls(archive.paths, archive.root, folder_title(archive.root), list(archive.unusable()))
        named = check_folder(folder)
        pictures = [str(path) for path in image_files(named)]
        sources = sources_of(named)
        return cls(pictures, sources.root, folder_title(sources.root), sources.passed_over())

    def title(self, address: str) -> str:
        """The name of a picture in the folder, or a hash if it may be a patient's."""
        return name_within(self.root, os.path.relpath(address, self.root))


def exciting_pictures(
    encoder: EncoderSource,
    folder: str | Path | Archive,
    *,
    layer: str | None = None,
    units: int | Sequence[int] | None = None,
    direction: Direction | None = None,
    where: Where = "max",
    k: int = PICTURES,
    batch_size: BatchSize = "auto",
    device: str = "auto",
    progress: Progress | Silent | None = None,
) -> UnitPictures:
    """The pictures of a folder that excite units most, with the place marked.

    Args:
        encoder: A spec, an `Encoder`, a module or, for the embedding, a function.
        folder: A folder of pictures, or whatever else `relax.io.sources` reads; or an archive of `make_archive` by the
            same encoder, of which the embedding's units need no encoder passes.
        layer: Name of the layer, as `relax layers` lists them; None is the embedding.
        units: Numbers of channels of the layer, or of dimensions; by default eight, evenly spaced.
        direction: (D,) weights of the units instead, or a file of them (`relax.directions`): the projection onto it, at
            length 1.
        where: Of a layer with places, the value of a picture: "max", the largest, "mean", or a cell (row, column).
        k: Pictures of each unit, the best first.
        batch_size: Pictures in one forward pass, or "auto".
        device: Where an encoder that is given by its spec runs.
        progress: Called with (pictures done, pictures in total); otherwise as for `relax.explain`.

    Returns:
        k pictures per unit as the encoder sees them (of encoders of any size squeezed to 224 x 224 px), with their
        values and names. `places` are where the map, enlarged to the picture, has half of its largest value or more;
        `boxes` hold all pixels that move the value (of the strongest cell) by the gradient, where there is one.
        `how["passed_over"]` lists files that were passed over or left out, and why.

    Raises:
        EncoderError: If torch sees no layers, there is none of that name, or the encoder fails.
        ValueError: If there is no picture, none can be used, or an option is impossible.
        relax.UnitsInterrupted: On Ctrl-C, with the best so far.
    """
    k, loaded = _checked_k(k), load_encoder(encoder, device)
    budget = Budget.of(None, None, batch_size)
    if loaded.takes_volumes:
        raise EncoderError(f"folders of pictures are for encoders of pictures; {loaded.name!r} takes volumes")
    found_layer = layer_named(loaded, layer)
    asked = _asked(loaded, found_layer, units, direction, checked_where(where, found_layer))
    archive = archive_of(folder)
    if archive is not None and (changed := differences(archive.record["encoder"], identity(loaded))):
        raise ValueError(
            f"folder is an archive by encoder {archive.record['encoder']['name']!r}, which differs from "
            f"{loaded.name!r} in {', '.join(changed)}: name that encoder, or the folder of the pictures"
        )
    listed = Listed.of(folder, archive)
    pictures, name, failed = listed.addresses, listed.name, listed.passed_over
    best, stopped = Best(len(asked), k), False
    with shown(progress, "pictures") as report:
        try:
            if archive is not None and found_layer is None:
                _from_archive(archive, asked, best, report)
            else:
                _through(loaded, found_layer, asked, listed, best, budget, report)
        except KeyboardInterrupt:
            if not best.count:
                raise
            stopped = True
        if not best.count:
            first = f": {failed[-1][0]}: {failed[-1][2]}" if failed else ""
            raise ValueError(f"none of the {len(pictures)} pictures of {name} can be used{first}")
        how: dict[str, Any] = {
            "kind": "exciting",
            "encoder": recipe(loaded),
            "asked": asked[0].name if len(asked) == 1 else f"{len(asked)} units",
            "questions": [each.record() for each in asked],
            "value": asked[0].value,
            "pictures": best.count,
            "folder": name,
            "means": best.mean.tolist(),
            "passed_over": [list(row) for row in failed],
            "said": [f"the {k} highest of {best.count:,} pictures of {name}", asked[0].value],
        }
        if stopped:
            how["stopped_early"] = {"after": best.count, "of": len(pictures), "what": "pictures"}
            how["said"].append(f"stopped after {best.count:,} of {len(pictures):,} pictures")
        result = _shown(loaded, asked, listed, best, how)
    if stopped:
        raise UnitsInterrupted(result)
    return result


def check_folder(folder: object) -> str | Path:
    """A path.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(folder, str | os.PathLike):
        raise ValueError(f"folder must be a folder of pictures or an archive; got {described(folder)}")
    return Path(folder)


def _asked(encoder: Encoder, layer: Layer | None, units: Any, direction: Direction | None, where: Where) -> list[Asked]:
    if units is not None and direction is not None:
        raise ValueError("say units or direction, not both")
    count = units_of(encoder, layer, blank(encoder, size_of(encoder, None)))
    if direction is not None:
        return [asked_direction(layer, direction, count, where)]
    numbers = spaced(range(count), UNITS) if units is None else checked_units(units, count, layer)
    return asked_units(layer, numbers, where)


def _from_archive(archive: Archive, asked: Sequence[Asked], best: Best, report: Progress | None) -> None:
    """Units of the embedding, from the embeddings of an archive."""
    for start in range(0, len(archive), ROWS):
        features = torch.from_numpy(archive.embeddings[start : start + ROWS].copy())
        values = torch.stack([each.of(features) for each in asked])
        best.add(list(range(start, start + len(features))), values, values[..., None, None])
        if report is not None:
            report(start + len(features), len(archive))


def _through(
    encoder: Encoder,
    layer: Layer | None,
    asked: Sequence[Asked],
    listed: Listed,
    best: Best,
    budget: Budget,
    report: Progress | None,
) -> None:
    """Run pictures through the encoder, in a stream."""
    done = 0

    def counted(count: int) -> None:
        nonlocal done
        done += count
        if report is not None:
            report(done, len(listed.addresses))

    reading = Reading(encoder, layer, budget, listed.passed_over, listed.title, counted)
    for numbers, _, features in reading.features(listed.addresses):
        maps = torch.stack([each.map(features) for each in asked])
        best.add(numbers, torch.stack([each.of(features) for each in asked]), maps)


def _shown(encoder: Encoder, asked: Sequence[Asked], listed: Listed, best: Best, how: dict[str, Any]) -> UnitPictures:
    """The best pictures, read again."""
    size = encoder.preprocess.size or (SIDE, SIDE)
    views: dict[int, Tensor] = {}
    pictures, values, units, names, places, boxes = [], [], [], [], [], []
    for unit, each in enumerate(asked):
        hits = best.of(unit)
        for hit in hits:
            if hit.number not in views:
                views[hit.number] = encoder.view(read_image(listed.addresses[hit.number], channels=encoder.channels))
            view = views[hit.number]
            pictures.append(as_colour(of_size(view, size)))
            values.append(hit.value)
            units.append(each.name)
            names.append(listed.title(listed.addresses[hit.number]))
            if each.spatial:
                places.append(high_places(hit.map, size))
        if each.spatial:
            chosen = [views[hit.number] for hit in hits]
            scale = torch.tensor([[size[0] / view.shape[2], size[1] / view.shape[3]] * 2 for view in chosen])
            boxes.append(moving_boxes(encoder, each, chosen, [hit.cell for hit in hits]) * scale.double())
    return UnitPictures(
        torch.cat(pictures).clamp(0, 1).numpy(),
        np.array(values),
        tuple(units),
        tuple(names),
        how,
        torch.stack(places).numpy() if places else None,
        torch.cat(boxes).numpy() if boxes else None,
    )


def _checked_k(k: object) -> int:
    k = plain(k)
    if not is_whole(k, 1) or k > MOST_PICTURES:
        raise ValueError(f"k must be a whole number of pictures from 1 to {MOST_PICTURES}; got {described(k)}")
    return k
