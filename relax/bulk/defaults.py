"""Choices of a run with their defaults, free of torch, so that the command line can show them."""

from __future__ import annotations

SHARD = 32
"""Pictures in a shard: small enough that two workers end together, large enough that files are few."""
NUMBERS = {
    "float32": "as they were computed",
    "float16": "rounded to 11 binary digits, in half the space",
}
"""Types of the values of maps on the disk."""
