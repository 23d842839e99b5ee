"""What a repair does unless told otherwise, and what may hide a mark; free of torch, for the command line."""

from __future__ import annotations

from masking.tables import FILLS

DIRECTIONS, NEIGHBOURS, PICTURES, FILL = 4, 10, 200, "blur"
HIDING = [name for name, row in FILLS.items() if not row.drops]  # fills that show something
