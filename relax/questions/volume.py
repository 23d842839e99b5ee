"""Explain a volume, NIfTI or a DICOM series, and write the maps as NIfTI volumes that overlay it.

An encoder of volumes sees it at once, through masks in three axes: the map compares all its voxels. To an encoder of
pictures each slice is a picture of its own: a map compares positions within a slice, and across slices only as far as
their embeddings vary alike. All slices share one window and one seed, and thus the same masks.

Written volumes are float32 with the affine, both transforms with their codes, and the voxel sizes and units of the
source, so that viewers overlay them voxel by voxel. Slices that were not explained are NaN. Free text of the source's
header and its extensions, which may hold a patient's name or a whole DICOM header, are not copied.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack, cast

import numpy as np
from numpy.typing import NDArray

from encoders import Encoder
from relax.estimators.budget import Progress
from relax.explanation import Explanation
from relax.files import written_aside
from relax.io.choice import split_choice
from relax.io.datasets import Row
from relax.io.errors import ImageError
from relax.io.images import ImageSource, name_of
from relax.io.picture import AXES, Window
from relax.io.regions.within import slices_of
from relax.io.volumes.opening import open_volume
from relax.io.volumes.volume import Volume, axis_number
from relax.io.volumes.voxels import voxels_of
from relax.io.volumes.writing import write_volume
from relax.keywords import ExplainKeywords, shows
from relax.maps import MAPS
from relax.method import image_explainer
from relax.progress import Silent, shown
from relax.report import Exhibit, Report, stack_report
from relax.run import Interrupted
from relax.scene import EncoderSource, loaded
from relax.settings import Settings


@dataclass(frozen=True)
class VolumeExplanation:
    """The explanations of slices of one volume.

    Attributes:
        volume: The volume.
        axis: "sagittal", "coronal" or "axial".
        slices: The explanation of each slice, by slice number; of an encoder of volumes, the slices of its one map.
        whole: Whether an encoder of volumes saw them at once, so that their values can be compared.
    """

    volume: Volume
    axis: str
    slices: dict[int, Explanation]
    whole: bool = False

    def __repr__(self) -> str:
        numbers = sorted(self.slices)
        if not numbers:
            return f"VolumeExplanation of no {self.axis} slice yet"
        record = self.slices[numbers[0]].provenance
        span = f" {numbers[0]}" if len(numbers) == 1 else f"s {numbers[0]} to {numbers[-1]}"
        count = "" if len(numbers) == 1 or self.whole else f" ({len(numbers)} of them)"
        seen = f"at once, {self.axis} slice{span}" if self.whole else f"slice by slice, {self.axis} slice{span}{count}"
        values = np.concatenate([explanation.importance.ravel() for explanation in self.slices.values()])
        finite = values[np.isfinite(values)]
        importance = f"{finite.min():.5g} to {finite.max():.5g}" if finite.size else "nowhere defined"
        return (
            f"VolumeExplanation of {self.name}, {seen}, through {(record.get('encoder') or {}).get('name')}: "
            f"{record.get('similarity')}, {(record.get('masks') or {}).get('count')} masks, seed {record.get('seed')}\n"
            f"importance {importance}"
        )

    @property
    def importance(self) -> NDArray[np.float32]:
        """(X, Y, Z) in the stored order of the file; NaN in slices that were not explained."""
        return self.map("importance")

    @property
    def uncertainty(self) -> NDArray[np.float32]:
        """(X, Y, Z), as `importance`."""
        return self.map("uncertainty")

    @property
    def standard_error(self) -> NDArray[np.float32]:
        """(X, Y, Z), as `importance`."""
        return self.map("standard_error")

    def map(self, name: str) -> NDArray[np.float32]:
        """One of the maps of every explained slice, stacked: (X, Y, Z) float32 in the stored order of the file."""
        if name not in MAPS:
            raise ValueError(f"map must be one of {', '.join(MAPS)}; got {name!r}")
        return self.volume.placed(
            self.axis, {index: getattr(explanation, name) for index, explanation in self.slices.items()}
        )

    def report(self, title: str | None = None) -> Report:
        """The page of the slices, for `relax.write_report`: a viewer with a slider, and the profile over them.

        It holds the values of grey slices, at up to 320 px, so that window and level can be changed in it.
        """
        exhibits = [
            Exhibit(
                explanation,
                f"{self.axis} slice {index}",
                notes=(("Slice", f"{self.axis} {index}"),),
                values=None if self.volume.colours else self.volume.values(self.axis, index),
            )
            for index, explanation in sorted(self.slices.items())
        ]
        window = (self.volume.low, self.volume.high, self.volume.series.unit if self.volume.series else "")
        question = "What made this embedding" if self.whole else "What made these embeddings, slice by slice"
        name = title or f"{question}: {self.name}"
        return stack_report(exhibits, sorted(self.slices), f"{self.axis} slice", name, whole=self.whole, window=window)

    @property
    def name(self) -> str:
        """The name of the volume's file, or a hash if that identifies a patient."""
        address = str(next(iter(self.slices.values())).provenance["image"]) if self.slices else ""
        return Path(address.rpartition("#")[0]).name

    def save(self, target: str | Path) -> list[Path]:
        """Write TARGET-importance.nii.gz, -uncertainty, -standard_error, and TARGET.json with their provenance."""
        target = Path(target)
        written = [target.with_name(f"{target.name}-{name}.nii.gz") for name in MAPS]
        for name, path in zip(MAPS, written, strict=True):
            write_volume(self.map(name), self.volume, path, name)
        record = target.with_name(f"{target.name}.json")
        every = sorted(self.slices)[:1] if self.whole else sorted(self.slices)  # one record is that of all
        slices = [{"slice": index, **self.slices[index].provenance} for index in every]
        content = {"axis": self.axis, "whole": self.whole, "volume": self.volume.how, "slices": slices}
        with written_aside(record) as aside:
            aside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        return [*written, record]


@shows(ExplainKeywords)
def explain_volume(
    path: str | Path,
    encoder: EncoderSource = "default",
    *,
    axis: str | int = "axial",
    indices: slice | Iterable[int] | None = None,
    volume: int | None = None,
    window: Window | None = None,
    started: Callable[[str], None] | None = None,
    done: Callable[[VolumeExplanation], None] | None = None,
    progress: Progress | Silent | None = None,
    **keywords: Unpack[ExplainKeywords],
) -> VolumeExplanation:
    """Explain a volume at once, through an encoder of volumes, or its slices, through an encoder of pictures.

    The encoder decides: one that `relax.load_encoder` knows to take volumes (B, C, D, H, W) sees all of it, as
    `relax.read_volume` reads it, through masks that are soft random grids in three axes.

    Args:
        path: A NIfTI file (or a pair, Analyze, .mgz), or a DICOM series: a folder, a DICOMDIR or a file of several
            frames, with "#series=3" where there are several, as for `relax.read_series`.
        encoder: As for `relax.explain`.
        axis: The plane of the slices: "sagittal", "coronal" or "axial", whichever axis of the file that is. For an
            encoder of volumes, they lie one behind the other along D.
        indices: For an encoder of pictures. Numbers of the slices, from 0 (leftmost, rearmost, lowest); None is all of
            them, slice(10, 40, 5) every fifth from 10 to 35.
        volume: Which volume of a 4-D file, from 0.
        window: (centre, width), the same for all slices. None takes the display range of the header of a NIfTI, if the
            volume can be seen in it, else the percentiles 0.5 and 99.5 of the volume; of a DICOM series its first
            window, or the lowest and highest value.
        started: Called with the name of each slice before it starts.
        done: Called after each slice with everything explained so far, so that an interrupted run need not lose it.
        progress: As for `relax.explain`, starting over with each slice.
        keywords: Keywords of `relax.explain`. An encoder of volumes takes method "relax", regions "grid", a fill that
            is a word or a value, a reference that is an embedding, and masks (N, 1, D, H, W); `cells` is along each of
            the three axes, and control variates are used up to 10.

    Returns:
        The maps, stacked back into the volume.

    Raises:
        ImageError: If the volume or a slice cannot be read.
        ValueError, encoders.EncoderError: As for `relax.explain`; before the first pass if there is no such slice.
    """
    settings = Settings.of(keywords, ExplainKeywords, "explain_volume")
    network = loaded(encoder, settings.execution, settings.request)
    with shown(progress, "masks") as report:
        return explain_slices(
            path,
            network,
            settings,
            axis=axis,
            indices=indices,
            volume=volume,
            window=window,
            started=started,
            done=done,
            progress=report,
        )


def explain_slices(
    path: str | Path,
    encoder: Encoder,
    settings: Settings,
    *,
    axis: str | int,
    indices: slice | Iterable[int] | None,
    volume: int | None,
    window: Window | None,
    started: Callable[[str], None] | None = None,
    done: Callable[[VolumeExplanation], None] | None = None,
    progress: Progress | None = None,
) -> VolumeExplanation:
    """`explain_volume`, given a loaded encoder and checked settings."""
    opened = open_volume(path, volume, window)
    name = list(AXES)[axis_number(axis)]
    if encoder.takes_volumes:
        if indices is not None:
            raise ValueError(f"indices are for slices, and encoder {encoder.name!r} sees whole volumes: leave them out")
        return explain_whole(opened, encoder, settings, name, path, started=started, done=done, progress=progress)
    numbers = _slice_numbers(indices, opened.count(name), path, name)
    explain_image = image_explainer(encoder, settings)
    explained = VolumeExplanation(opened, name, {})
    regions = slices_of(settings.hiding.within, opened, name, numbers)
    if regions is not None and len(regions) < len(numbers):
        warnings.warn(
            f"{len(numbers) - len(regions)} of {len(numbers)} {name} slices have nothing of within, and are left out",
            stacklevel=2,
        )
    for index in numbers if regions is None else regions:
        address = _address(path, name, index)
        if started is not None:
            started(address)
        picture = opened.picture(name, index)
        source = picture.pixels if regions is None else Row(picture.pixels, address, regions[index])
        explanation = explain_image(cast(ImageSource, source), progress)
        record = {**explanation.provenance, "image": address, "read": picture.how}
        explained.slices[index] = replace(explanation, provenance=record)
        if done is not None:
            done(explained)
    return explained


def explain_whole(
    volume: Volume,
    encoder: Encoder,
    settings: Settings,
    axis: str,
    path: str | Path,
    *,
    started: Callable[[str], None] | None = None,
    done: Callable[[VolumeExplanation], None] | None = None,
    progress: Progress | None = None,
) -> VolumeExplanation:
    """`explain_volume` through an encoder of volumes."""
    _check_whole(settings)
    explain_image = image_explainer(encoder, settings)
    voxels = voxels_of(volume, axis, name_of(path), encoder.channels)
    if started is not None:
        started(voxels.name)
    stopped = None
    try:
        explanation = explain_image(voxels, progress)
    except Interrupted as stop:
        explanation, stopped = stop.explanation, stop
    explained = sliced(explanation, volume, axis, path)
    if done is not None:
        done(explained)
    if stopped is not None:
        stopped.explanations[:] = explained.slices.values()
        raise stopped
    return explained


def sliced(explanation: Explanation, volume: Volume, axis: str, path: str | Path) -> VolumeExplanation:
    """The slices along an axis of maps (D, H, W) of a whole volume."""
    record = explanation.provenance
    slices = {
        index: Explanation(*of_slice, {**record, "image": _address(path, axis, index)})
        for index, of_slice in enumerate(
            zip(
                explanation.importance,
                explanation.uncertainty,
                explanation.standard_error,
                explanation.image,
                strict=True,
            )
        )
    }
    return VolumeExplanation(volume, axis, slices, whole=True)


def _check_whole(settings: Settings) -> None:
    """Refuse what there is for pictures only; regions and fill are checked with the masks."""
    request, within = settings.request, settings.hiding.within
    if (request.method, request.head) != ("relax", None):
        raise ValueError(f'method must be "relax", without a head, for an encoder of volumes; got {request.method!r}')
    if within is not None:
        raise ValueError("within is for pictures, and the encoder takes volumes: leave it out")


def _address(path: str | Path, axis: str, index: int) -> str:
    """The name of a slice: the address of the volume, with the slice added to what it chooses."""
    name = name_of(path)
    return f"{name}{'&' if split_choice(str(path))[2] and '#' in name else '#'}{axis}={index}"


def _slice_numbers(indices: slice | Iterable[int] | None, count: int, path: str | Path, axis: str) -> Sequence[int]:
    """Numbers of the chosen ones of `count` slices, each once."""
    every = range(count)
    numbers = every[indices or slice(None)] if isinstance(indices, slice | None) else list(dict.fromkeys(indices))
    if not numbers:
        raise ValueError(f"indices must name at least one of the {count} {axis} slices; got {indices}")
    for index in numbers:
        if index not in every:
            raise ImageError(f"{name_of(path)}: {axis} slice must be from 0 to {count - 1}; got {index}")
    return numbers
