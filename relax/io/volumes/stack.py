"""Put pictures together by where they lie in the patient: what belongs to a stack, in what order, and what is missing.

Neither names of files nor numbers of instances count. Nothing is repaired: what is missing, double or uneven is told.

Source: DICOM PS3.3, C.7.6.2.1.1 (ImagePositionPatient, ImageOrientationPatient, PixelSpacing and their equation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relax.io.errors import ImageError

Vector = NDArray[np.float64]
PLACING = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
"""The elements that say where a picture lies."""

_COSINES = 1e-3  # by which the direction cosines of one stack may differ: they are written in 16 characters
_SPACING = 1e-3  # the same for the distance of pixels, as a share
_EVEN = 0.01  # of a step, or mm, by which slices may lie off
_TILT = 0.1  # degrees between the normal and the step of the slices, from which it is told


@dataclass(frozen=True)
class Place:
    """Where a picture lies in the patient, in mm and the axes of DICOM: x to the left, y to the back, z to the head.

    Attributes:
        position: (3,) the centre of its first pixel.
        orientation: (6,) direction cosines along its rows, and along its columns.
        spacing: Between rows, and between columns.
        size: Rows and columns.
    """

    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, float]
    size: tuple[int, int]

    @classmethod
    def of(cls, position: object, orientation: object, spacing: object, size: tuple[int, int]) -> Place:
        """Of elements as a header has them.

        Raises:
            ImageError: If they say of no place in the patient.
        """
        values = (_numbers(position, 3), _numbers(orientation, 6), _numbers(spacing, 2))
        numbers = dict(zip(PLACING, values, strict=True))
        if lacking := [name for name, values in numbers.items() if values is None]:
            raise ImageError(f"has no place in the patient: it lacks {' and '.join(lacking)}")
        where, cosines, steps = (values for values in numbers.values() if values is not None)
        rows, columns = np.array(cosines[:3]), np.array(cosines[3:])
        if abs(rows @ columns) > 0.01 or abs(np.linalg.norm(np.cross(rows, columns)) - 1) > 0.01 or min(steps) <= 0:
            raise ImageError("has no place in the patient: its ImageOrientationPatient or PixelSpacing is impossible")
        return cls(where, cosines, (steps[0], steps[1]), size)

    @property
    def normal(self) -> Vector:
        """(3,) of length 1, at a right angle to rows and columns."""
        normal = np.cross(self.orientation[:3], self.orientation[3:])
        return np.asarray(normal / np.linalg.norm(normal), np.float64)

    def beside(self, other: Place) -> bool:
        """Whether both can belong to one stack: of one size, direction and distance of pixels."""
        return (
            self.size == other.size
            and np.allclose(self.orientation, other.orientation, rtol=0, atol=_COSINES)
            and np.allclose(self.spacing, other.spacing, rtol=_SPACING, atol=0)
        )

    def __str__(self) -> str:
        height, width = self.size
        plane = ("sagittal", "coronal", "axial")[int(np.abs(self.normal).argmax())]
        tilted = "" if np.abs(self.normal).max() > 1 - _COSINES else "oblique, nearly "
        return f"{width} x {height} px of {self.spacing[1]:.4g} x {self.spacing[0]:.4g} mm, {tilted}{plane}"


@dataclass(frozen=True)
class Stack:
    """Pictures of one size, direction and distance of pixels, in their order along the normal.

    Attributes:
        order: (S,) which of the pictures, by number.
        positions: (S, 3) in mm, in that order.
        doubles: Numbers in the order of slices that lie where the one before lies.
        gaps: Slice before each wider distance, with the distance in mm.
        tilt: Degrees between the normal and the way from the first slice to the last.
        crooked: mm by which the slice that lies farthest off the way from the first to the last lies off it.
        distance: Of neighbouring slices in mm, the median; NaN for a single slice.
    """

    order: tuple[int, ...]
    positions: Vector
    doubles: tuple[int, ...]
    gaps: tuple[tuple[int, float], ...]
    tilt: float
    crooked: float
    distance: float

    @property
    def even(self) -> bool:
        """Whether one step leads from each slice to the next, so that the stack is a volume."""
        return not self.doubles and not self.gaps and self.crooked <= _tolerance(self.distance)

    @property
    def notes(self) -> list[str]:
        """What is missing, double, uneven or tilted, in words; slices from 1, the lowest along the normal."""
        notes = []
        if self.doubles:
            first = self.doubles[0]
            notes.append(
                f"{len(self.doubles)} slices lie where another lies, the first of them slices {first} and {first + 1}"
            )
        missing = [(before, gap, round(gap / self.distance) - 1) for before, gap in self.gaps]
        notes += [
            f"{gap:.4g} mm between slices {before + 1} and {before + 2}, else {self.distance:.4g} mm"
            + (f": {count} {'seem' if count > 1 else 'seems'} to be missing" if count > 0 else ": they lie unevenly")
            for before, gap, count in missing[:3]
        ]
        if len(missing) > 3:
            notes.append(f"{len(missing) - 3} more uneven distances")
        if self.crooked > _tolerance(self.distance):
            notes.append(f"slices lie up to {self.crooked:.3g} mm off a straight line")
        elif self.tilt > _TILT:
            notes.append(f"slices are shifted against each other, by {self.tilt:.3g} degrees (a tilted gantry)")
        return notes


def stacks(places: Sequence[Place]) -> list[list[int]]:
    """Numbers of the pictures that lie beside each other, a list for each size, direction and distance of pixels."""
    groups: list[list[int]] = []
    for number, place in enumerate(places):
        group = next((group for group in groups if places[group[0]].beside(place)), None)
        if group is None:
            groups.append([number])
        else:
            group.append(number)
    return groups


def arranged(places: Sequence[Place]) -> Stack:
    """Put pictures that lie beside each other into the order of their positions along the normal."""
    positions = np.array([place.position for place in places], np.float64)
    along = positions @ places[0].normal
    order = np.argsort(along, kind="stable")
    positions, along = positions[order], along[order]
    steps = np.diff(along)
    typical = _typical(steps)
    doubles = tuple(int(number) + 1 for number in np.flatnonzero(steps <= _tolerance(typical)))
    uneven = (steps > _tolerance(typical)) & (np.abs(steps - typical) > _tolerance(typical))
    gaps = tuple((int(number), float(steps[number])) for number in np.flatnonzero(uneven))
    way = positions[-1] - positions[0]
    tilt = crooked = 0.0
    if np.linalg.norm(way) > 0 and len(places) > 1:
        direction = way / np.linalg.norm(way)
        tilt = float(np.degrees(np.arccos(np.clip(direction @ places[0].normal, -1, 1))))
        off = positions - positions[0]
        crooked = float(np.linalg.norm(off - np.outer(off @ direction, direction), axis=1).max())
    return Stack(tuple(order.tolist()), positions, doubles, gaps, tilt, crooked, typical)


def affine_of(place: Place, stack: Stack) -> Vector:
    """(4, 4) from (column, row, slice) of an even stack to mm, in the axes of DICOM.

    A single slice is as thick as the distance of its columns.
    """
    affine = np.eye(4)
    rows, columns = np.array(place.orientation[:3]), np.array(place.orientation[3:])
    affine[:3, 0], affine[:3, 1] = rows * place.spacing[1], columns * place.spacing[0]
    count = len(stack.order)
    way = stack.positions[-1] - stack.positions[0]
    affine[:3, 2] = way / (count - 1) if count > 1 else place.normal * place.spacing[1]
    affine[:3, 3] = stack.positions[0]
    return affine


def _typical(steps: Vector) -> float:
    """The distance of most neighbours: the median of those that are apart at all."""
    apart = steps[steps > 1e-4]
    return float(np.median(apart)) if apart.size else float("nan")


def _tolerance(distance: float) -> float:
    return _EVEN if np.isnan(distance) else _EVEN * max(1.0, distance)


def _numbers(value: object, count: int) -> tuple[float, ...] | None:
    try:
        numbers = tuple(float(part) for part in value)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None
