"""Damage to archives of arrays under right checksums: members of .npz and .pth, headers of .npy and safetensors."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile

from experiments.fuzzing.mutations import ANY, EXTREMES, FLOATS, Mutation, Rng, pick
from experiments.fuzzing.texts import ODD, json_entry

_SHAPE, _DTYPE = re.compile(rb"\([^)]*\)"), re.compile(rb"'descr': '([^']*)'")
SHAPES = (b"()", b"(0,)", b"(-1,)", b"(1000000000000,)", b"(3, 0)", b"(99999999999999999999,)", b"(2, 2, 2)", b"None")
DTYPES = ("<f8", ">f4", "|O", "<U9", "|V4", "<c16", "<i8", "|b1", "<M8[s]", "<U1000000000", "nonsense")


def _members(data: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(member.filename, archive.read(member)) for member in archive.infolist()]


def _zip(members: list[tuple[str, bytes]], compression: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return stream.getvalue()


def zip_member(data: bytes, rng: Rng) -> bytes:
    """A member damaged, left out, repeated or renamed; or two that change places."""
    members = _members(data)
    number, other = (int(rng.integers(len(members))) for _ in range(2))
    name, content = members[number]
    change = int(rng.integers(5))
    if change == 0:
        del members[number]
    elif change == 1:
        members[number] = pick(rng, ("", "x", "../x", f"{name}x", name.upper(), "a" * 3000)), content
    elif change == 2:
        members[number], members[other] = (name, members[other][1]), (members[other][0], content)
    else:
        members[number] = name, pick(rng, ANY)(content, rng)
    return _zip(members, pick(rng, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)))


def zip_directory(data: bytes, rng: Rng) -> bytes:
    """A number in the directory of an archive at an extreme: sizes, offsets, counts, flags, the way of packing."""
    starts = [match.start() for match in re.finditer(rb"PK\x01\x02|PK\x05\x06|PK\x03\x04", data)]
    start = pick(rng, starts) + 4 + 2 * int(rng.integers(20))
    size = pick(rng, (2, 4))
    return data[:start] + (pick(rng, EXTREMES) & (256**size - 1)).to_bytes(size, "little") + data[start + size :]


def npy_header(data: bytes, rng: Rng) -> bytes:
    """Another shape or type in the header of an array, in a whole archive."""
    members = _members(data)
    number = int(rng.integers(len(members)))
    name, content = members[number]
    if rng.random() < 0.5:
        content = _SHAPE.sub(pick(rng, SHAPES), content, count=1)
    else:
        kind = pick(rng, DTYPES).encode()
        content = _DTYPE.sub(lambda _: b"'descr': '" + kind + b"'", content, count=1)
    members[number] = name, content
    return _zip(members, zipfile.ZIP_DEFLATED)


def npy_value(data: bytes, rng: Rng) -> bytes:
    """A value of an array that is no number, infinite, negative or huge, in a whole archive."""
    members = [(name, content) for name, content in _members(data)]
    number = int(rng.integers(len(members)))
    name, content = members[number]
    head = 10 + int.from_bytes(content[8:10], "little")
    start = head + 4 * int(rng.integers(max(1, (len(content) - head) // 4)))
    members[number] = name, content[:start] + struct.pack("<f", pick(rng, FLOATS)) + content[start + 4 :]
    return _zip(members, zipfile.ZIP_DEFLATED)


def npz_record(data: bytes, rng: Rng) -> bytes:
    """The record of an explanation with an odd entry, in a whole archive."""
    import numpy as np

    with np.load(io.BytesIO(data)) as arrays:
        content = dict(arrays)
    content["how"] = np.array(json_entry(str(content["how"]).encode(), rng).decode(errors="replace"))
    stream = io.BytesIO()
    np.savez(stream, **content)
    return stream.getvalue()


def safetensors_header(data: bytes, rng: Rng) -> bytes:
    """The header with an odd entry: types, shapes, places, notes. Its length is right, except sometimes."""
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    entry = header[pick(rng, sorted(header))]
    key = pick(rng, sorted(entry)) if entry else "dtype"
    entry[key] = pick(rng, (*ODD, [0, 2**62], [-1, 4], [4, 0], [0, 0], [2**40], "F64", "BOOL", "I8", "BF16", "F8_E4M3"))
    text = json.dumps(header).encode()
    claimed = pick(rng, EXTREMES) if rng.random() < 0.15 else len(text)
    return struct.pack("<Q", claimed) + text + data[8 + size :]


NPZ: tuple[Mutation, ...] = (zip_member, zip_directory, npy_header, npy_value, npz_record)
PTH: tuple[Mutation, ...] = (zip_member, zip_directory)
SAFETENSORS: tuple[Mutation, ...] = (safetensors_header,)
