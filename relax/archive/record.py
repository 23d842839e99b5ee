"""archive.json: how an archive was made, and by which encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from encoders import Encoder
from encoders.identity import differences, identity
from relax.archive.files import RECORD
from relax.records import read_record as read

FORMAT = 1
TYPES: dict[str, Any] = {
    "format": int,
    "root": str,
    "encoder": {"name": str},
    "metric": str,
    "kind": str,
    "next_id": int,
    "dimension": int,
}
"""Of the entries that are read again."""


def read_record(out: Path) -> dict[str, Any]:
    """archive.json.

    Raises:
        ValueError: If it is damaged, or of a later format.
    """
    return read(out / RECORD, TYPES, FORMAT, f"delete {out} and make the archive again")


def check_same_encoder(record: dict[str, Any], encoder: Encoder, out: Path) -> None:
    """Refuse an encoder whose embeddings cannot be mixed with those in `out`.

    Names are compared only for functions, which have no checksum.

    Args:
        record: The `identity` of the encoder that made the embeddings in `out`.
        encoder: The encoder in use.
        out: The folder, for the message.

    Raises:
        ValueError: Naming both.
    """
    current = identity(encoder)
    if different := differences(record, current):
        raise ValueError(
            f"{out} holds embeddings of encoder {record['name']!r}, and {current['name']!r} has another "
            f"{', '.join(different)}: choose another folder to write to, or delete this one"
        )
