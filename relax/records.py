"""Check records that were read from files: every entry that is there has the type that its readers rely on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from encoders.errors import one_line
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


def read_record(path: Path, types: Mapping[str, Any], version: int, way_out: str) -> dict[str, Any]:
    """A record of JSON that has an entry `format`, and every entry that its readers rely on.

    Args:
        path: The file.
        types: As in `check_record`; none may be missing.
        version: The format that is read.
        way_out: What helps if it is damaged, in words.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged, or of another format.
    """
    try:
        record: dict[str, Any] = read_json(path.read_bytes())
        check_record(record, {"format": int})
        file_version = record.get("format", version)
        if file_version == version:
            check_record(record, types)
            if missing := missing_entries(record, types):
                raise ValueError(f"it lacks {', '.join(missing)}")
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): {way_out}") from None
    if file_version != version:
        raise ValueError(f"{path} has format {file_version}, and this version reads {version}: update it")
    return record


@contextmanager
def undamaged(path: Path, way_out: str) -> Iterator[None]:
    """Turn whatever a damaged file makes its reader raise into a ValueError that names it and what helps."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(f"{path} is damaged ({one_line(error, 120)}): {way_out}") from error


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
