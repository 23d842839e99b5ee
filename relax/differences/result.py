"""The result: scores of every picture, the groups on which two encoders differ, the parts that make the difference.

differences.groups[0]                # which encoder, how many pictures, how strong, what chance would give
differences.save("diff.html")        # or .json, .csv, .npz
relax.Differences.load("diff.npz")
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.differences.columns import Excess
from relax.differences.findings import findings
from relax.differences.likeness import Agreement
from relax.differences.parts import Part
from relax.differences.ranks import Ranks
from relax.differences.saving import packed, unpacked
from relax.files import written_aside
from relax.text import csv_text

ENDINGS = (".html", ".json", ".csv", ".npz")
SIDES = ("A", "B")

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Group:
    """Pictures that one encoder takes for near to one another and the other does not.

    Attributes:
        name: "A1" for the strongest that encoder A takes for near, "B1" for that of B.
        side: 0 if the first encoder takes them for near, 1 for the second.
        members: (m,) numbers of its pictures in the sample, the most central first: from the largest sum of
            differences, as affinities, to the others of the group.
        joined: Numbers of the pictures outside the sample most of whose differences lead into the group.
        near: Share of a member's nearest that are members, by the encoder that takes them for near; in [0, 1]. Of its k
            nearest, or of as many as the group has other pictures, if these are more.
        far: The same by the other encoder.
        chance: The same for a random group of this size.
        low, high: Ends of the 95 % interval of the strength over pictures, the group being given.
        p: Chance of so strong a group where the encoders only drew other features.
        common: What the pictures have in common in folder and metadata.
        parts: Maps of its most central pictures; empty where none were asked for.
    """

    name: str
    side: int
    members: NDArray[np.int64] = field(repr=False)
    joined: NDArray[np.int64] = field(repr=False)
    near: float
    far: float
    chance: float
    low: float
    high: float
    p: float
    common: tuple[Excess, ...] = ()
    parts: tuple[Part, ...] = field(default=(), repr=False)

    @property
    def strength(self) -> float:
        """In [-1, 1]: the share of neighbours that the group keeps by one encoder, less that by the other."""
        return self.near - self.far

    def record(self) -> dict[str, Any]:
        """Its numbers, as JSON types."""
        return {
            "name": self.name,
            "near_by": SIDES[self.side],
            "pictures": len(self.members) + len(self.joined),
            "in_the_sample": len(self.members),
            **{name: getattr(self, name) for name in ("strength", "low", "high", "near", "far", "chance", "p")},
            "common": [vars(excess) for excess in self.common],
            "parts": [
                {
                    "picture": part.picture,
                    "slope": part.slope,
                    "correlation": part.correlation if math.isfinite(part.correlation) else None,
                    "same_frame": part.same_frame,
                }
                for part in self.parts
            ],
        }


@dataclass(frozen=True)
class Differences:
    """On which pictures two encoders differ.

    Attributes:
        encoders: Names of A and B.
        root: The folder of the pictures.
        paths: (N) relative to it.
        names: (N) as reports show them: a hash for a path that names a patient.
        sample: (n,) numbers of the pictures among which neighbours and ranks are counted.
        nearest: (2, N, k) numbers of the nearest pictures of the sample by A, and by B, nearest first.
        elsewhere: (2, N, k) int32 their ranks by the other encoder, from 1.
        scores: (2, N) in [0, 1]: how much further than by A the pictures near by A are by B, and the reverse; see
            `relax.differences.affinity.picture_scores`.
        limit: The score above which a twentieth of the pictures lie where the encoders only drew other features.
        groups: Those beyond chance, of A and B together from the strongest.
        agreement: "shared neighbours" and "CKA" over the sample.
        layouts: (2, N, 2) maps of both spaces, for viewing only.
        settings: How it was made, and what noise gives, as JSON types.
    """

    encoders: tuple[str, str]
    root: Path
    paths: tuple[str, ...] = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    sample: NDArray[np.int64] = field(repr=False)
    nearest: NDArray[np.int64] = field(repr=False)
    elsewhere: Ranks = field(repr=False)
    scores: Values = field(repr=False)
    limit: float
    groups: tuple[Group, ...]
    agreement: dict[str, Agreement]
    layouts: Values = field(repr=False)
    settings: dict[str, Any] = field(repr=False)

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        groups = ", ".join(f"{group.name} {group.strength:.2f}" for group in self.groups) or "none beyond chance"
        return f"Differences of {' and '.join(self.encoders)} over {len(self):,} pictures; groups: {groups}"

    @property
    def shared(self) -> Values:
        """(N,) share of a picture's k nearest that both encoders have."""
        shares: Values = (self.elsewhere[0] <= self.nearest.shape[2]).mean(1)
        return shares

    @property
    def beyond_noise(self) -> NDArray[np.bool_]:
        """(N,) whether a picture's score, by A or by B, exceeds the limit."""
        beyond: NDArray[np.bool_] = np.any(self.scores > self.limit, axis=0)
        return beyond

    @property
    def group_of(self) -> list[str | None]:
        """(N) name of the strongest group of each picture; None for pictures of none."""
        of: list[str | None] = [None] * len(self)
        for group in reversed(self.groups):
            for picture in (*group.members, *group.joined):
                of[picture] = group.name
        return of

    def record(self) -> dict[str, Any]:
        """All but the numbers of single pictures, as JSON types."""
        return {
            "encoders": dict(zip(SIDES, self.encoders, strict=True)),
            "pictures": len(self),
            "findings": list(findings(self)),
            "agreement": {name: value.record() for name, value in self.agreement.items()},
            "groups": [
                {**group.record(), "most_central": [self.names[row] for row in group.members[:10]]}
                for group in self.groups
            ],
            "settings": self.settings,
        }

    def table(self) -> str:
        """CSV with a row for each picture: its scores, what the encoders share of its neighbours, and its group."""
        ranks = self.elsewhere.mean(2)
        rows: list[tuple[object, ...]] = [
            ("path", "group", "shared", "near_by_a_only", "near_by_b_only", "beyond_noise", "rank_by_b", "rank_by_a")
        ]
        beyond = self.beyond_noise
        for picture, (name, group) in enumerate(zip(self.names, self.group_of, strict=True)):
            numbers = (self.shared[picture], *self.scores[:, picture])
            rounded = [round(float(number), 4) for number in numbers]
            further = [round(float(rank), 1) for rank in ranks[:, picture]]
            rows.append((name, group or "", *rounded, "yes" if beyond[picture] else "no", *further))
        return csv_text(rows)

    def save(self, path: str | Path) -> Path:
        """Write it, whole or not at all: a page (.html), the record (.json), a table (.csv), or all of it (.npz).

        The .npz holds the paths of the pictures as they are, to find them again, as an archive does; the others hold a
        hash for a path that names a patient.

        Raises:
            ValueError: If the ending is another.
            OSError: If the file cannot be written.
        """
        path = Path(path)
        ending = path.suffix.lower()
        if ending not in ENDINGS:
            raise ValueError(f"path must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}; got {path}")
        if ending == ".html":
            from relax.differences.page import differences_report
            from relax.report.page import write_report

            return write_report(differences_report(self), path)
        if ending == ".npz":
            content = packed(self)
        else:
            text = self.table() if ending == ".csv" else json.dumps(self.record(), indent=2, allow_nan=False) + "\n"
            content = text.encode()
        with written_aside(path) as aside:
            aside.write_bytes(content)
        return path

    @classmethod
    def load(cls, path: str | Path) -> Differences:
        """Read the .npz that `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no such file, or is damaged.
        """
        values = unpacked(path)
        values["groups"] = tuple(
            Group(**{**group, "common": tuple(Excess(**each) for each in group["common"])})
            for group in values["groups"]
        )
        values["agreement"] = {name: Agreement(**each) for name, each in values["agreement"].items()}
        return cls(**values)
