"""The report that needs nothing but explanations: what they have in common, and how far each can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relax.maps import ExplanationLike
from relax.report.content import Exhibit, Grid, Report, Section

TITLE = "What made these embeddings"
NOISE = 6  # the largest and smallest of a hundred numbers that are nothing but noise lie about 5 errors apart


def plain_report(exhibits: Sequence[Exhibit], title: str = TITLE) -> Report:
    """A report on explanations: findings, a table, the gallery and what they have in common.

    Args:
        exhibits: The pictures; a lazy sequence is gone through once here and once by `write_report`.
        title: The heading.
    """
    rows = [Row.of(exhibit) for exhibit in exhibits]
    return Report(title, tuple(_findings(rows)), (_glance(rows),), exhibits, common([row.made for row in rows]))


@dataclass(frozen=True)
class Row:
    """What the report says of one picture beside its maps."""

    title: str
    low: float
    high: float
    uncertainty: float  # medians
    error: float
    seen: float  # share of the picture
    made: dict[str, Any]

    @classmethod
    def of(cls, exhibit: Exhibit) -> Row:
        """Look at the maps of a picture."""
        explanation: ExplanationLike = exhibit.explanation
        known = explanation.importance[np.isfinite(explanation.importance)]
        low, high = (float(known.min()), float(known.max())) if known.size else (np.nan, np.nan)
        spread, error = _median(explanation.uncertainty), _median(explanation.standard_error)
        seen = known.size / explanation.importance.size
        return cls(exhibit.title, low, high, spread, error, seen, explanation.provenance)

    @property
    def errors_apart(self) -> float:
        """How many standard errors lie between the lowest and the highest importance; NaN without an error."""
        return (self.high - self.low) / self.error if self.error > 0 else np.nan


def common(made: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The settings on which all agree, also inside of nested ones."""
    if not made:
        return {}
    found: dict[str, Any] = {}
    for name, value in made[0].items():
        others: list[Any] = [one.get(name) for one in made]
        if all(isinstance(other, dict) for other in others):
            found |= {name: inner} if (inner := common(others)) else {}
        elif all(other == value for other in others):
            found[name] = value
    return found


def _findings(rows: Sequence[Row]) -> list[str]:
    named = [(row, row.errors_apart) for row in rows if np.isfinite(row.errors_apart)]
    found = [_how(rows)] if rows else []
    if faint := [row for row, apart in named if apart < NOISE]:
        found.append(
            f"Nothing but noise? In {_names(faint)} the importance spans fewer than {NOISE} of its standard errors. "
            "Draw more masks before reading anything into the map."
        )
    if clear := [(row, apart) for row, apart in named if apart >= NOISE]:
        apart = sorted(value for _, value in clear)
        span = f"{apart[0]:.0f}" if round(apart[0]) == round(apart[-1]) else f"{apart[0]:.0f} to {apart[-1]:.0f}"
        found.append(
            f"The importance of {_names([row for row, _ in clear])} spans {span} of its standard errors: more than "
            "noise. Differences below two of them are not."
        )
    if late := [row for row in rows if row.made.get("converged") is False]:
        found.append(f"The masks ran out before the tolerance was reached in {_names(late)}.")
    if cut := [row for row in rows if row.seen < 1]:
        found.append(f"The encoder never saw a part of {_names(cut)}: those pixels are hatched.")
    return found


def _how(rows: Sequence[Row]) -> str:
    """One sentence on what was done."""
    pictures = "One picture was" if len(rows) == 1 else f"{len(rows):,} pictures were"
    made = common([row.made for row in rows])
    encoder, masks = (made.get("encoder") or {}).get("name"), (made.get("masks") or {}).get("count")
    who = f"the encoder {encoder}" if encoder else "several encoders"
    each = " each" if len(rows) > 1 else ""
    through = f" through {masks:,} masks{each}" if isinstance(masks, int) else ""
    return f"{pictures} shown to {who}{through}; compared by {made.get('similarity') or 'several measures'}."


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
                        (row.made.get("masks") or {}).get("count"),
                        row.made.get("seconds"),
                    )
                    for row in rows
                ),
                "Each value in the unit of its picture’s measure.",
            ),
        ),
    )


def _names(rows: Sequence[Row]) -> str:
    most = 3
    names = [row.title for row in rows[:most]]
    if len(rows) > most:
        return f"{', '.join(names)} and {len(rows) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _median(values: Any) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")
