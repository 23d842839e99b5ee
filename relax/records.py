"""Check records that were read from files: every entry that is there has the type that its readers rely on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from encoders.files import read_json as read_json


def check_record(record: Any, types: Mapping[str, Any], name: str = "record") -> None:
    """Refuse a record with an entry of the wrong type; entries that are missing, null or unknown are fine.

    Args:
        record: What was read.
        types: By key: a type, a tuple of types, or such a mapping for a record inside.
        name: Of the record, for the message.

    Raises:
        ValueError: Names the entry.
    """
    if not isinstance(record, dict):
        raise ValueError(f"{name} must be a record; got {_kind(record)}")
    for key, expected in types.items():
        value = record.get(key)
        if value is None:
            continue
        if isinstance(expected, Mapping):
            check_record(value, expected, f"{name}.{key}")
        elif not isinstance(value, expected) or (isinstance(value, bool) and bool not in _several(expected)):
            wanted = " or ".join(WORDS[kind] for kind in _several(expected))
            raise ValueError(f"{name}.{key} must be {wanted}; got {_kind(value)}")


def missing_entries(record: Mapping[str, Any], types: Mapping[str, Any], inside: str = "") -> list[str]:
    """Names of the entries of `types` that a checked record lacks, such as "encoder.name", also in records inside."""
    missing: list[str] = []
    for key, expected in types.items():
        if record.get(key) is None:
            missing.append(f"{inside}{key}")
        elif isinstance(expected, Mapping):
            missing += missing_entries(record[key], expected, f"{inside}{key}.")
    return missing


WORDS: dict[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a record",
}


def _several(expected: Any) -> tuple[type, ...]:
    return expected if isinstance(expected, tuple) else (expected,)


def _kind(value: Any) -> str:
    return WORDS.get(type(value), "null")
