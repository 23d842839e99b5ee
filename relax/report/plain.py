"""The report on explanations alone: the settings they share, and how far each can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relax.maps import ExplanationLike, layer_in_words
from relax.report.collection import Collection, Column
from relax.report.content import Exhibit, Grid, Report, Section
from relax.report.text import without_folders
from relax.scale import doubts
from relax.text import listed

TITLE = "What made these embeddings"
NOISE = 6  # standard errors; the range of a hundred numbers of pure noise is about 5
NAMES = 3  # pictures named in a sentence


def plain_report(exhibits: Sequence[Exhibit], title: str = TITLE) -> Report:
    """A report on explanations: findings, a table, the gallery and the settings they share.

    Args:
        exhibits: The pictures; a lazy sequence is iterated once here and once by `write_report`.
        title: The heading.
    """
    rows = [Row.of(exhibit) for exhibit in exhibits]
    shared = common([row.provenance for row in rows])
    glance = _glance(rows)
    return Report(title, tuple(_findings(rows)), (glance,), exhibits, shared, _collection(rows, glance))


@dataclass(frozen=True)
class Row:
    """What the report says about one picture, besides its maps."""

    title: str
    low: float
    high: float
    uncertainty: float  # medians
    error: float
    seen: float  # share of the pixels
    doubts: tuple[str, ...]
    provenance: dict[str, Any]

    @classmethod
    def of(cls, exhibit: Exhibit) -> Row:
        """Summarise the maps of a picture."""
        explanation: ExplanationLike = exhibit.explanation
        known = explanation.importance[np.isfinite(explanation.importance)]
        low, high = (float(known.min()), float(known.max())) if known.size else (np.nan, np.nan)
        spread, error = _median(explanation.uncertainty), _median(explanation.standard_error)
        seen = known.size / explanation.importance.size
        return cls(
            exhibit.title,
            low,
            high,
            spread,
            error,
            seen,
            tuple(map(str, doubts(explanation))),
            without_folders(explanation.provenance),
        )

    @property
    def errors_apart(self) -> float:
        """How many standard errors lie between the lowest and the highest importance; NaN without an error."""
        return (self.high - self.low) / self.error if self.error > 0 else np.nan


def common(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The settings that all records share, nested ones included."""
    if not records:
        return {}
    shared: dict[str, Any] = {}
    for name, value in records[0].items():
        others: list[Any] = [record.get(name) for record in records]
        if all(isinstance(other, dict) for other in others):
            shared |= {name: inner} if (inner := common(others)) else {}
        elif all(other == value for other in others):
            shared[name] = value
    return shared


def _findings(rows: Sequence[Row]) -> list[str]:
    spans = [(row, row.errors_apart) for row in rows if np.isfinite(row.errors_apart) and not row.doubts]
    sentences = [_summary(rows)] if rows else []
    if doubtful := [row for row in rows if row.doubts]:
        sentences += [f"{row.title}: {'; '.join(row.doubts)}. Its map may say little." for row in doubtful[:NAMES]]
        if len(doubtful) > NAMES:
            sentences.append(f"The maps of {len(doubtful) - NAMES:,} more may say little: their figures say why.")
    if faint := [row for row, apart in spans if apart < NOISE]:
        sentences.append(
            f"Only noise? In {_listed(faint)} the importance spans fewer than {NOISE} of its standard errors. "
            "Use more masks before interpreting the map."
        )
    if clear := [(row, apart) for row, apart in spans if apart >= NOISE]:
        apart = sorted(value for _, value in clear)
        span = f"{apart[0]:.0f}" if round(apart[0]) == round(apart[-1]) else f"{apart[0]:.0f} to {apart[-1]:.0f}"
        sentences.append(
            f"The importance of {_listed([row for row, _ in clear])} spans {span} of its standard errors: more than "
            "noise. Differences of less than two standard errors are noise."
        )
    if unconverged := [row for row in rows if row.provenance.get("converged") is False]:
        sentences.append(f"The masks ran out before the tolerance was reached in {_listed(unconverged)}.")
    if within := [row for row in rows if row.provenance.get("within")]:
        sentences.append(
            f"Masks vary within a region of {_listed(within)} only: the rest is the photograph, always shown."
        )
    if cropped := [row for row in rows if row.seen < 1 and not row.provenance.get("within")]:
        sentences.append(f"The encoder never saw a part of {_listed(cropped)}: those pixels are hatched.")
    return sentences


def _summary(rows: Sequence[Row]) -> str:
    """One sentence on how the explanations were made."""
    pictures = "One picture was" if len(rows) == 1 else f"{len(rows):,} pictures were"
    shared = common([row.provenance for row in rows])
    encoder, masks = (shared.get("encoder") or {}).get("name"), (shared.get("masks") or {}).get("count")
    where = layer_in_words(shared)
    encoders = f"encoder {encoder}{f', {where}' if where else ''}" if encoder else "several encoders"
    each = " each" if len(rows) > 1 else ""
    masked = f" with {masks:,} masks{each}" if isinstance(masks, int) else ""
    return f"{pictures} explained for {encoders}{masked}; similarity: {shared.get('similarity') or 'several measures'}."


def _glance(rows: Sequence[Row]) -> Section:
    headers = ("picture", "importance from", "to", "median standard error", "median uncertainty", "masks", "seconds")
    return Section(
        "At a glance",
        blocks=(
            Grid(
                "Every picture",
                headers,
                tuple(
                    (
                        row.title,
                        row.low,
                        row.high,
                        row.error,
                        row.uncertainty,
                        (row.provenance.get("masks") or {}).get("count"),
                        row.provenance.get("seconds"),
                    )
                    for row in rows
                ),
                "Each value in the unit of its picture’s measure.",
            ),
        ),
    )


def _collection(rows: Sequence[Row], glance: Section) -> Collection:
    """The pictures, to be searched and sorted by what the table holds."""
    (table,) = (block for block in glance.blocks if isinstance(block, Grid))
    columns = tuple(Column(name, [row[place] for row in table.rows]) for place, name in enumerate(table.headers))[1:]
    return Collection([row.title for row in rows], columns, explained=range(len(rows)))


def _listed(rows: Sequence[Row]) -> str:
    return listed([row.title for row in rows], NAMES)


def _median(values: Any) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")
