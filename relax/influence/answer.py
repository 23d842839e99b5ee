"""What every answer of this room is: pictures of an archive in groups, each with a number, and sentences about them.

answer[0].name, answer[0].value
answer.save("answer.html")          # or .png, .svg, .pdf
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from relax.archive.archive import Archive
from relax.files import written_aside
from relax.io.choice import name_within
from relax.io.errors import ImageError
from relax.io.images import ImageSource
from relax.io.small import small_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Member:
    """A picture of an archive in an answer.

    Attributes:
        row: In images.parquet and embeddings.npy.
        path: Of the file.
        name: Its path in the folder, or a hash if that identifies a patient.
        label: "" where it is unknown.
        value: Its number, in the unit of the answer.
        notes: Further numbers and words by name.
    """

    row: int
    path: str
    name: str
    label: str
    value: float
    notes: Mapping[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer(ABC):
    """Pictures in groups, with what was asked and how it was answered.

    Attributes:
        query: Name of the picture or embedding that was asked about; "" for questions about all pictures.
        source: That picture; None where there is none.
        groups: The pictures by the heading of their group, most first.
        findings: The answer in sentences.
        settings: How it was made, as JSON types.
    """

    title: ClassVar[str]
    labelled: ClassVar[str] = "label"  # what the label of a picture is

    query: str
    source: ImageSource | None = field(repr=False)
    groups: Mapping[str, tuple[Member, ...]] = field(repr=False)
    findings: tuple[str, ...]
    settings: Mapping[str, Any] = field(repr=False)

    @property
    @abstractmethod
    def quantity(self) -> str:
        """What the value of a picture is."""

    @property
    def unit(self) -> str:
        """Of the values; "" for shares."""
        return ""

    def legend(self, heading: str) -> str:
        """What stands above the pictures of a group."""
        return f"{heading}: {self.quantity}" + (f" in {self.unit}" if self.unit else "")

    @abstractmethod
    def shown(self, member: Member) -> str:
        """The number of a picture as it stands above it."""

    @property
    def members(self) -> tuple[Member, ...]:
        """The pictures of all groups."""
        return tuple(member for group in self.groups.values() for member in group)

    def __getitem__(self, place: int) -> Member:
        return self.members[place]

    def __len__(self) -> int:
        return len(self.members)

    def small(self, member: Member | None, longest: int) -> NDArray[np.uint8] | None:
        """(h, w, 3) a small version of a picture, or with None of the query; None if there is none any more."""
        source = self.source if member is None else member.path
        try:
            return None if source is None else small_picture(source, longest)
        except ImageError:
            return None

    def record(self) -> dict[str, Any]:
        """The answer as JSON types: query, findings, groups with their pictures, and settings."""
        return {
            "question": self.title,
            "query": self.query,
            "findings": list(self.findings),
            "quantity": self.quantity,
            "groups": {
                heading: [
                    {
                        "row": member.row,
                        "picture": member.name,
                        self.labelled: member.label or None,
                        "value": member.value,
                        **member.notes,
                    }
                    for member in group
                ]
                for heading, group in self.groups.items()
            },
            "settings": dict(self.settings),
        }

    def drawn(self) -> Figure | None:
        """What a page shows above the numbers; None for nothing."""
        return None

    def plot(self, **options: Any) -> Figure:
        """The query, then the pictures of each group with their numbers and labels, as a figure.

        Args:
            options: `width` in inches and `theme`, as for `relax.figure`.
        """
        from relax.plotting.influence import answer_figure

        return answer_figure(self, **options)

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write the pictures: a figure (.png, .svg, .pdf) or a page (.html).

        Args:
            path: The file.
            options: Of `plot`; a page has none.

        Raises:
            ValueError: If the ending is another.
            OSError: If the file cannot be written.
        """
        from relax.plotting.influence import answer_file
        from relax.report.influence import answer_report
        from relax.report.page import write_report

        path = Path(path)
        if path.suffix.lower() == ".html" and not options:
            return write_report(answer_report(self), path)
        content = answer_file(lambda: self.plot(**options), path.suffix)
        with written_aside(path) as aside:
            aside.write_bytes(content)
        return path


def member_of(
    archive: Archive, row: int, value: float, label: str | None, notes: Mapping[str, str | float] | None = None
) -> Member:
    """The picture of a row of an archive."""
    path = archive.rows[row].path
    name = name_within(archive.root, path)
    return Member(int(row), archive.paths[row], name, label or "", float(value), dict(notes or {}))


def about(archive: Archive, labels: str, **settings: Any) -> dict[str, Any]:
    """The settings of an answer: the archive, where labels are from, and whatever else."""
    return {
        "encoder": archive.record["encoder"]["name"],
        "measure": archive.index.metric,
        "pictures": len(archive),
        "labels": labels,
        **settings,
    }


def largest(values: NDArray[np.float64], most: int) -> list[int]:
    """Places of the largest values, largest first; of equals the first."""
    return [int(place) for place in np.argsort(-values, kind="stable")[:most]]


def counted(labels: Iterable[str | None], shares: Sequence[float]) -> dict[str, float]:
    """The sum of the shares of each label, largest first; unknown ones under "unlabelled"."""
    sums: dict[str, float] = {}
    for label, share in zip(labels, shares, strict=True):
        name = label or "unlabelled"
        sums[name] = sums.get(name, 0.0) + float(share)
    return dict(sorted(sums.items(), key=lambda item: -item[1]))
