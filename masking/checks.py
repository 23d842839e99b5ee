"""Checks of the numbers that masks are drawn with; torch is not imported here."""

from __future__ import annotations

MAX_CELLS = 64


def check_seed(seed: int) -> None:
    """Refuse a seed that no generator accepts."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number, 0 or more; got {_shown(seed)}")
    if seed >= 2**63:
        raise ValueError(f"seed must be below 2**63; got {_shown(seed)}")


def check_keep(keep: float) -> None:
    """Refuse a keep probability under which nothing or everything is hidden."""
    if not isinstance(keep, int | float) or not 0 < keep < 1:
        raise ValueError(f"keep is the chance that a cell stays visible, strictly between 0 and 1; got {_shown(keep)}")


def check_cells(cells: int, shorter_side: int = MAX_CELLS) -> None:
    """Refuse a number of cells per side that is not a positive integer or makes cells smaller than a pixel."""
    if isinstance(cells, bool) or not isinstance(cells, int) or cells < 1:
        raise ValueError(f"cells must be a whole number, 1 or more; got {_shown(cells)}")
    if cells > min(shorter_side, MAX_CELLS):
        limit = f"the shorter image side, here {shorter_side} px" if shorter_side < MAX_CELLS else str(MAX_CELLS)
        raise ValueError(f"cells must be between 1 and {limit}; got {_shown(cells)}")


def _shown(value: object) -> str:
    return repr(value)[:80] if isinstance(value, bool | int | float | str | None) else type(value).__name__
