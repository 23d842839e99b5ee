"""A montage of a volume: slices with the importance over them, all on one colour scale, which is stated once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np

from encoders.values import described, is_whole
from relax.maps import MAPS, ExplanationLike
from relax.plotting.caption import recipe
from relax.plotting.kinds import Look
from relax.plotting.overlay import levels_of
from relax.plotting.scales import Limits, common_limits
from relax.plotting.sheet import Panel, Row, Sheet
from relax.text import number, shortened

MOST = 16  # slices, unless every how many is said


class VolumeLike(Protocol):
    """The part of `relax.questions.volume.VolumeExplanation` that is drawn."""

    @property
    def axis(self) -> str:
        """Of the slices."""

    @property
    def slices(self) -> Mapping[int, ExplanationLike]:
        """By slice number."""

    @property
    def whole(self) -> bool:
        """Whether the encoder saw them at once."""

    @property
    def name(self) -> str:
        """Of the volume."""


def montage_sheet(volume: VolumeLike, kind: str, every: int | None, look: Look, width: float) -> Sheet:
    """Every so many slices as panels of one kind, the last of which has the colour bar of all.

    Raises:
        ValueError: If there is no slice, or `every` is not a whole number above 0.
    """
    numbers = sorted(volume.slices)
    if not numbers:
        raise ValueError("explanation must have a slice; got a volume without any")
    if every is not None and not is_whole(every, 1):
        raise ValueError(f"every is how many slices lead from one to the next, 1 or more; got {described(every)}")
    step = every or -(-len(numbers) // MOST)
    shown = {index: volume.slices[index] for index in numbers[(len(numbers) - 1) % step // 2 :: step]}
    limits = {name: common_limits(name, list(volume.slices.values())) for name in MAPS}
    known = {name: ends for name, ends in limits.items() if ends is not None}
    look = replace(look, limits={**known, **(look.limits or {})}, levels=_levels(volume) if volume.whole else None)
    panels = [_panel(f"{volume.axis} {index}", look.panels(each, [kind])[0]) for index, each in shown.items()]
    first = next(iter(shown.values()))
    drawn = look.panels(first, [kind])[0]
    panels[-1] = replace(panels[-1], scale=drawn.scale, label=drawn.label)
    caption = _caption(volume, first, drawn, step)
    return Sheet([Row(panels, shortened(volume.name, 120))], [caption], look.colours, width)


def _levels(volume: VolumeLike) -> Limits | None:
    """The levels of the whole map, by which all slices are tinted and outlined alike; None if it is constant."""
    values = np.stack([explanation.importance for explanation in volume.slices.values()])
    clear, full = levels_of(values) if np.isfinite(values).any() else (0.0, 0.0)
    return (clear, full) if clear < full else None


def _panel(title: str, panel: Panel) -> Panel:
    """A panel without bar and words, which the last one has for all."""
    return replace(panel, title=title, scale=None, label="", note="")


def _caption(volume: VolumeLike, first: ExplanationLike, drawn: Panel, step: int) -> list[str]:
    count = len(volume.slices)
    slices = f"every {step} of {count} {volume.axis} slices" if step > 1 else f"{count} {volume.axis} slices"
    manner = "seen at once, by masks in three axes" if volume.whole else "each a picture of its own to the encoder"
    phrases = [f"{drawn.title}: {slices}, {manner}", *recipe(first.provenance)]
    if (scale := drawn.scale) is not None:
        ends = f"{number(scale.low, scale.span)} to {number(scale.high, scale.span)}"
        phrases.append(f"one colour scale for all slices of the volume, {ends}")
        if drawn.note:
            phrases.append(f"in the volume {drawn.note}" if volume.whole else f"in each slice {drawn.note}")
    return phrases
