"""The options of an audit, checked before anything expensive starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relax.auditing.layout import METHODS
from relax.auditing.metadata import MetadataTable, read_metadata
from relax.settings import BatchSize, Settings


@dataclass(frozen=True)
class Options:
    """Options of `relax.auditing.run.audit`, where they are described.

    Raises:
        ValueError: If one of them is impossible; the message names it.
    """

    metadata: str | Path | None
    colour_by: str | None
    explain: int
    hide: int
    clusters: int | None
    duplicates: float | None
    layouts: Sequence[str]
    settings: Settings

    def __post_init__(self) -> None:
        for name, number in (("explain", self.explain), ("hide", self.hide)):
            if number < 0:
                raise ValueError(f"{name} must be 0 or more; got {number}")
        if (unknown := set(self.layouts) - set(METHODS)) or not self.layouts:
            raise ValueError(
                f"layouts must be some of {', '.join(METHODS)}; got {', '.join(sorted(unknown)) or 'none'}"
            )

    @property
    def seed(self) -> int:
        """The only source of randomness."""
        return self.settings.hiding.seed

    @property
    def batch_size(self) -> BatchSize:
        """Images in one forward pass."""
        return self.settings.execution.batch_size

    def read_table(self) -> MetadataTable | None:
        """The metadata table, if there is one.

        Raises:
            ValueError: If it cannot be used, or has no column `colour_by`.
            OSError: If it cannot be read.
        """
        table = read_metadata(self.metadata) if self.metadata is not None else None
        if self.colour_by is not None and (table is None or self.colour_by not in table.columns):
            columns = ", ".join(table.columns) if table else "none without metadata"
            raise ValueError(f"colour_by must be a column of the metadata ({columns}); got {self.colour_by!r}")
        return table
