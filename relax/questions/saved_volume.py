"""Read back the explanation of a volume: its maps, its record, and the volume that it explains."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from relax.explanation import Explanation
from relax.files import with_ending
from relax.io.choice import split_choice, unparse
from relax.io.explained import checked_source
from relax.io.picture import AXES
from relax.io.small import small_picture
from relax.io.volumes.opening import open_volume
from relax.io.volumes.volume import Volume
from relax.io.volumes.voxels import voxels_of
from relax.maps import MAPS
from relax.questions.volume import VolumeExplanation, sliced
from relax.records import check_record, read_json
from relax.scene import drawn

TYPES: dict[str, Any] = {"axis": str, "volume": dict, "slices": list}
SLICE: dict[str, Any] = {"image": str, "image_sha256": str, "encoder": {"channels": int}}
"""Of each slice, or of a whole volume; all of them are needed."""
_WHOLE = 1 << 30  # px: no picture is reduced


def is_saved_volume(path: Path) -> bool:
    """Whether it is the record that `VolumeExplanation.save` wrote, with its maps beside it."""
    return path.suffix == ".json" and all(_map_file(path, name).is_file() for name in MAPS)


def load_volume(path: str | Path, source: str | Path | None = None) -> VolumeExplanation:
    """Read what `VolumeExplanation.save` or `relax volume` wrote.

    Args:
        path: The record, NAME.json; the maps, NAME-importance.nii.gz and so on, lie beside it.
        source: The volume that was explained; None is where it was then, or beside the record.

    Raises:
        FileNotFoundError: If a map, or the volume, is not there.
        ImageError: If one of them cannot be read.
        ValueError: If the record is damaged, or the volume shows other pixels than were explained.
    """
    path = Path(path)
    try:
        record = read_json(path.read_bytes())
        check_record(record, TYPES)
        slices = {int(entry.pop("slice")): entry for entry in record["slices"]}
        axis, asked = str(record["axis"]), record["volume"].get("asked") or {}
        if axis not in AXES or not slices:
            raise ValueError("it names no slices of a plane")
        for index, entry in slices.items():
            check_record(entry, SLICE, f"slice {index}")
            if missing := [name for name in SLICE if entry.get(name) is None]:
                raise ValueError(f"slice {index} lacks {', '.join(missing)}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not the record of a volume ({error})") from None
    maps = {name: open_volume(_map_file(path, name), window=(0.5, 1.0)) for name in MAPS}
    file = Path(source) if source is not None else _source(path, str(next(iter(slices.values()))["image"]))
    opened = open_volume(f"{file}#{unparse(asked)}" if asked else file)
    if record.get("whole") is True:
        return _whole(opened, axis, next(iter(slices.values())), maps, file)
    explanations = {}
    for index, provenance in sorted(slices.items()):
        address = f"{file}#{unparse({**asked, axis: index})}"
        values = {name: volume.values(axis, index) for name, volume in maps.items()}
        blank = np.zeros((*values["importance"].shape, 3), np.uint8)
        bare = Explanation(values["importance"], values["uncertainty"], values["standard_error"], blank, provenance)
        checked_source(bare, address, split_choice(address)[1] or "nifti")
        explanations[index] = replace(bare, image=small_picture(address, _WHOLE))
    return VolumeExplanation(opened, axis, explanations)


def _whole(volume: Volume, axis: str, record: dict[str, Any], maps: dict[str, Volume], file: Path) -> VolumeExplanation:
    """The maps of a whole volume, if its voxels are those that were explained."""
    voxels = voxels_of(volume, axis, str(file), record["encoder"].get("channels"))
    if sha256(voxels.pixels.numpy().tobytes()).hexdigest() != record["image_sha256"]:
        raise ValueError(f"{file} shows other voxels than were explained: name the volume that was, with --source")
    importance, uncertainty, error = (
        np.stack([maps[name].values(axis, index) for index in range(maps[name].count(axis))]) for name in MAPS
    )
    explanation = Explanation(importance, uncertainty, error, drawn(voxels.pixels), record)
    return sliced(explanation, volume, axis, file)


def _map_file(record: Path, name: str) -> Path:
    return with_ending(record.with_suffix(""), f"-{name}.nii.gz")


def _source(record: Path, image: str) -> Path:
    """The volume where it was when it was explained, or else beside the record.

    Raises:
        FileNotFoundError: If it is at neither place.
    """
    recorded = Path(image.rpartition("#")[0])
    places = (recorded, record.parent / recorded.name)
    for place in places:
        if place.exists():
            return split_choice(str(place))[0]
    raise FileNotFoundError(f"{record}: the volume that was explained, {recorded}, is not there: name it with --source")
