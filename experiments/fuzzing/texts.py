"""Damage to JSON and CSV that parses: odd entries, cells, columns and rows."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from experiments.fuzzing.mutations import ANY, Mutation, Rng, pick

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, 10**400, 1e308, float("inf"), float("-inf"), float("nan"), "", "x", " ", "0",
    [], {}, [[]], {"": None}, [1, 2, 3], "\x1b[31mred\x07", "two\nlines", "a" * 5000, "\ud800", "😀", "../../x", "=1+1",
)  # fmt: skip
"""Of JSON, and what Python takes for it."""
CELLS = (
    "", " ", "x", "-1", "1e999", "nan", "inf", "=1+1", "\x1b[31mred\x07", "two\nlines", '"', "a,b;c\td",
    "\0", "a" * 5000, "7" * 400, "\ufeff", "../../x", "é", "path", "value",
)  # fmt: skip


def json_entry(data: bytes, rng: Rng) -> bytes:
    """An entry, at any depth, that is odd, left out, or under another name; the rest stays."""
    record = json.loads(data)
    parent, key = pick(rng, list(_entries(record)) or [({"": record}, "")])
    change = int(rng.integers(6))
    if change == 0:
        del parent[key]
    elif change == 1 and isinstance(parent, dict):
        parent[pick(rng, ("", "x", f"{key}2"))] = parent.pop(key)
    else:
        parent[key] = pick(rng, ODD)
    return json.dumps(record).encode()


def json_whole(data: bytes, rng: Rng) -> bytes:
    """Another value in place of the whole, or one that is nested too deeply."""
    deep = b"[" * 100_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    return pick(rng, (*(json.dumps(value).encode() for value in ODD), *deep, b'{"a": 1, "a": 2}', data[1:-1]))


def csv_cell(data: bytes, rng: Rng) -> bytes:
    """A cell, of the header or below it, that is odd."""
    rows = _rows(data)
    row = rows[0] if rng.random() < 0.3 else pick(rng, rows)
    row[int(rng.integers(len(row)))] = pick(rng, CELLS)
    return _csv(rows)


def csv_row(data: bytes, rng: Rng) -> bytes:
    """A row or column too many or too few, rows in another order, or other separators."""
    rows = _rows(data)
    number, column = int(rng.integers(len(rows))), int(rng.integers(len(rows[0])))
    change = int(rng.integers(7))
    if change == 0:
        del rows[number]
    elif change == 1:
        rows.insert(number, list(rows[number]))
    elif change == 2:
        rows = [row[:column] + row[column + 1 :] for row in rows]
    elif change == 3:
        rows = [[*row, row[column]] for row in rows]
    elif change == 4:
        del rows[number][column]
    elif change == 5:
        rows[number].append(pick(rng, CELLS))
    else:
        return data.replace(b",", pick(rng, (b";", b"\t", b"|", b" ")))
    return _csv(rows)


def encoded(data: bytes, rng: Rng) -> bytes:
    """The text in another encoding."""
    text = data.decode().replace("a", "ä")
    return text.encode(pick(rng, ("utf-16", "utf-16-be", "latin-1", "utf-8-sig", "cp437", "utf-32")))


def line_of_json(data: bytes, rng: Rng) -> bytes:
    """One line of a journal with an odd entry."""
    lines = data.split(b"\n")
    full = [number for number, line in enumerate(lines) if line]
    number = pick(rng, full)
    lines[number] = pick(rng, (json_entry, json_whole, *ANY))(lines[number], rng)
    return b"\n".join(lines)


def _entries(value: Any) -> Any:
    """(parent, key) of every entry in a value of JSON."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in list(pairs):
        yield value, key
        yield from _entries(entry)


def _rows(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def _csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode(errors="surrogatepass")


JSON: tuple[Mutation, ...] = (json_entry, json_whole)
CSV: tuple[Mutation, ...] = (csv_cell, csv_row, encoded)
JOURNAL: tuple[Mutation, ...] = (line_of_json,)
