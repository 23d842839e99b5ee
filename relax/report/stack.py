"""The report on slices of a volume, or frames of a run: one viewer with a slider, and a profile over the slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from relax.plotting.drawing import file_of
from relax.plotting.profile import profile_figure
from relax.report.collection import Column, Windowing
from relax.report.content import Chart, Exhibit, Report, Section
from relax.report.plain import plain_report
from relax.text import number

TITLE = "What made these embeddings, slice by slice"
Window = tuple[float, float, str]
HOUNSFIELD = "HU"
CT = (
    ("lung", -600.0, 1500.0),
    ("soft tissue", 40.0, 400.0),
    ("bone", 400.0, 1800.0),
    ("brain", 40.0, 80.0),
    ("liver", 60.0, 160.0),
)
"""Level and width of windows in Hounsfield units, as radiologists have them."""
SPAN, MEAN, UNCERTAINTY = "span of the importance", "mean importance", "mean uncertainty"
ACROSS = (
    "Each slice is a picture of its own to the encoder: a map compares places within its slice. Across slices the "
    "profile shows where hiding parts moves the embedding more or less, not where more of a finding is."
)
AT_ONCE = (
    "The encoder saw the volume at once, and the masks hid parts of it in three axes: values can be compared within "
    "slices and across them."
)


@dataclass(frozen=True)
class Profile:
    """Numbers of each slice, NaN where its map has no value.

    Attributes:
        numbers: Of the slices, ascending.
        low, mean, high: Of the importance.
        uncertainty: Its mean.
    """

    numbers: Sequence[int]
    low: Sequence[float]
    mean: Sequence[float]
    high: Sequence[float]
    uncertainty: Sequence[float]

    @classmethod
    def of(cls, exhibits: Sequence[Exhibit], numbers: Sequence[int]) -> Profile:
        """Summarise the maps of each slice."""
        maps = [(exhibit.explanation.importance, exhibit.explanation.uncertainty) for exhibit in exhibits]
        low, mean, high, uncertainty = zip(
            *(
                (*(_known(importance, reduce) for reduce in (np.min, np.mean, np.max)), _known(uncertainty, np.mean))
                for importance, uncertainty in maps
            ),
            strict=True,
        )
        return cls(numbers, low, mean, high, uncertainty)


def stack_report(
    exhibits: Sequence[Exhibit],
    numbers: Sequence[int],
    word: str,
    title: str = TITLE,
    *,
    whole: bool = False,
    window: Window | None = None,
) -> Report:
    """The report on slices of one volume, for `write_report`.

    Args:
        exhibits: The slices; a lazy sequence is iterated twice here and once by `write_report`.
        numbers: Of the slices, ascending.
        word: What a slice is called, such as "axial slice" or "frame".
        title: The heading.
        whole: Whether the encoder saw the slices at once, as one volume.
        window: Values shown black and white at first, and their unit, where the exhibits hold values.

    Raises:
        ValueError: If there is not one ascending number for each slice.
    """
    if len(numbers) != len(exhibits) or [*numbers] != sorted(set(numbers)):
        raise ValueError(f"numbers must ascend, one for each of the {len(exhibits)} slices; got {[*numbers]}")
    plain = plain_report(exhibits, title)
    profile = Profile.of(exhibits, numbers)
    columns = (
        Column(MEAN, profile.mean),
        Column(SPAN, [high - low for low, high in zip(profile.low, profile.high, strict=True)], "highest minus lowest"),
        Column(UNCERTAINTY, profile.uncertainty),
    )
    assert plain.collection is not None  # noqa: S101  plain_report makes one
    collection = replace(
        plain.collection,
        columns=(Column("slice", [*numbers]), *columns, *plain.collection.columns),
        captions=[f"{word} {number}" for number in numbers],
        order="slice",
        stack=word,
        profile=(MEAN, SPAN, UNCERTAINTY),
        alike=whole,
        window=None if window is None else windowing(exhibits, *window),
    )
    chart = Chart(
        file_of(profile_figure(profile, word)),
        f"For each {word}: the importance, its mean as a line and from its lowest to its highest value as a band; and "
        "the mean uncertainty.",
        f"The importance and the uncertainty over the {len(numbers)} slices; the numbers are in the table.",
    )
    over = Section("Over the slices", (AT_ONCE if whole else ACROSS,), (chart,))
    findings = (at_once(exhibits, profile),) if whole else plain.findings
    return replace(plain, findings=findings, collection=collection, sections=(over, *plain.sections))


def at_once(exhibits: Sequence[Exhibit], profile: Profile) -> str:
    """What the map of a whole volume comes to, in a sentence or two."""
    record = next(iter(exhibits)).explanation.provenance
    low, high = float(np.nanmin(profile.low)), float(np.nanmax(profile.high))
    errors = np.concatenate([exhibit.explanation.standard_error.ravel() for exhibit in exhibits])
    known = errors[np.isfinite(errors)]
    times = (high - low) / float(np.median(known)) if known.size and np.median(known) > 0 else float("nan")
    span = "" if np.isnan(times) else f": {times:.0f} of its standard errors"
    noise = " Fewer than 6 are hardly more than noise: use more masks." if times < 6 else ""
    return (
        f"The volume was explained at once, for encoder {(record.get('encoder') or {}).get('name')} with "
        f"{(record.get('masks') or {}).get('count')} masks; its importance spans {number(low, high - low)} to "
        f"{number(high, high - low)}{span}.{noise}"
    )


def windowing(exhibits: Sequence[Exhibit], low: float, high: float, unit: str = "") -> Windowing | None:
    """The window on the values of slices; None where they hold none. Hounsfield units come with the presets of CT."""
    known = [values[np.isfinite(values)] for exhibit in exhibits if (values := exhibit.values) is not None]
    ends = [(float(values.min()), float(values.max())) for values in known if values.size]
    if not ends:
        return None
    least, most = min(low for low, _ in ends), max(high for _, high in ends)
    if least == most or low == high:
        return None
    return Windowing(low, high, least, most, unit, CT if unit == HOUNSFIELD else ())


def _known(values: np.ndarray, reduce: object) -> float:
    known = values[np.isfinite(values)]
    return float(reduce(known)) if known.size else float("nan")  # type: ignore[operator]
