"""Damage that keeps to the structure of a format, so that it comes past checksums and into the readers behind them."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator

from experiments.fuzzing.archives import NPZ, PTH, SAFETENSORS
from experiments.fuzzing.mutations import ANY, EXTREMES, FLOATS, Mutation, Rng, flipped_bits, pick
from experiments.fuzzing.texts import CSV, JOURNAL, JSON

SIGNATURE = 8  # bytes of PNG


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Type and content of the chunks of a PNG."""
    chunks, start = [], SIGNATURE
    while start + 12 <= len(data):
        size, kind = struct.unpack(">I4s", data[start : start + 8])
        chunks.append((kind, data[start + 8 : start + 8 + size]))
        start += 12 + size
    return chunks


def _png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG of these chunks, with the right checksums."""
    parts = [
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_field(data: bytes, rng: Rng) -> bytes:
    """A field of the header at an extreme: width, height, bits, colour type, compression, filter, interlacing."""
    (kind, header), *rest = _chunks(data)
    fields = list(struct.unpack(">IIBBBBB", header))
    number = int(rng.integers(len(fields)))
    fields[number] = pick(rng, EXTREMES) & (0xFFFFFFFF if number < 2 else 0xFF)
    return _png([(kind, struct.pack(">IIBBBBB", *fields)), *rest])


def png_chunk(data: bytes, rng: Rng) -> bytes:
    """A chunk damaged under a right checksum, left out, repeated, moved or of another type."""
    chunks = _chunks(data)
    number = int(rng.integers(len(chunks)))
    kind, content = chunks.pop(number)
    change = int(rng.integers(5))
    if change == 0:
        chunks.insert(number, (kind, pick(rng, ANY)(content, rng)))
    elif change == 1:
        chunks[number:number] = [(kind, content)] * 2
    elif change == 2:
        chunks.insert(int(rng.integers(len(chunks) + 1)), (kind, content))
    elif change == 3:
        other = pick(rng, (b"tRNS", b"PLTE", b"acTL", b"eXIf", b"gAMA", b"iCCP", b"zTXt", b"sBIT", b"fdAT", b"ABCD"))
        chunks.insert(number, (other, content))
        chunks.insert(number, (kind, content))
    return _png(chunks)


def png_rows(data: bytes, rng: Rng) -> bytes:
    """The rows unpacked, damaged, and packed again under right checksums: filters and lengths of rows go wrong."""
    chunks = _chunks(data)
    rows = zlib.decompress(b"".join(content for kind, content in chunks if kind == b"IDAT"))
    packed = zlib.compress(pick(rng, ANY)(rows, rng))
    kept = [chunk for chunk in chunks if chunk[0] not in (b"IDAT", b"IEND")]
    return _png([*kept, (b"IDAT", packed), (b"IEND", b"")])


def jpeg_segment(data: bytes, rng: Rng) -> bytes:
    """The length or a byte of one of the segments before the picture: sizes, tables, EXIF."""
    starts, start = [], 2
    while start + 4 <= len(data) and data[start] == 0xFF and data[start + 1] != 0xDA:
        starts.append(start)
        start += 2 + struct.unpack(">H", data[start + 2 : start + 4])[0]
    start = pick(rng, [*starts, start])
    if rng.random() < 0.3:
        return data[: start + 2] + struct.pack(">H", pick(rng, EXTREMES) & 0xFFFF) + data[start + 4 :]
    changed = bytearray(data)
    changed[min(len(data) - 1, start + 4 + int(rng.integers(16)))] = pick(rng, EXTREMES) & 0xFF
    return bytes(changed)


def tiff_tag(data: bytes, rng: Rng) -> bytes:
    """Tag, type, count or value of an entry of the first directory."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack(f"{order}I", data[4:8])
    (count,) = struct.unpack(f"{order}H", data[start : start + 2])
    entry = start + 2 + 12 * int(rng.integers(count))
    fields = list(struct.unpack(f"{order}HHII", data[entry : entry + 12]))
    number = int(rng.integers(4))
    fields[number] = pick(rng, (*EXTREMES, 273, 279, 256, 258, 259, 3, 4, 5, 12)) & (
        0xFFFF if number < 2 else 2**32 - 1
    )
    return data[:entry] + struct.pack(f"{order}HHII", *fields) + data[entry + 12 :]


LONG = (b"OB", b"OW", b"OF", b"SQ", b"UT", b"UN", b"OD", b"OL", b"UC", b"UR")  # of 4 bytes of length in DICOM
ODD_VALUES = (
    b"", b"0 ", b"-1", b"1e999 ", b"nan ", b"inf ", b"1\\2\\3 ", b"\\ ", b"\xff\xfe\xfd\xfc", b"\x1b[31mred ",
    b"1.2.840.10008.1.2.99", b"99999999999999999999", b"MONOCHROME9 ", b"\0\0", b"\xff\xff", b"\x01\0\x02\0",
    b"A" * 5000,
)  # fmt: skip


def _elements(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Start, start of the value, and end of the elements of an explicit little-endian DICOM file."""
    start = 132
    while start + 8 <= len(data):
        is_long = data[start + 4 : start + 6] in LONG
        header = 12 if is_long else 8
        size = int.from_bytes(data[start + (8 if is_long else 6) : start + header], "little")
        if start + header + size > len(data):
            return
        yield start, start + header, start + header + size
        start += header + size


def dicom_element(data: bytes, rng: Rng) -> bytes:
    """The value, length, type or tag of an element; or the element left out, repeated."""
    start, value, stop = pick(rng, list(_elements(data)))
    front, element, rest = data[:start], data[start:stop], data[stop:]
    width = 4 if value - start == 12 else 2
    change = int(rng.integers(7))
    if change == 0:
        return front + rest
    if change == 1:
        return front + element * 2 + rest
    if change == 2:
        length = pick(rng, EXTREMES) & (256**width - 1)
        return data[: value - width] + length.to_bytes(width, "little") + data[value:]
    if change == 3:
        kind = pick(rng, (b"US", b"SS", b"DS", b"IS", b"CS", b"SQ", b"UN", b"OW", b"FD", b"PN", b"\0\0"))
        return data[: start + 4] + kind + data[start + 6 :]
    if change == 4:
        return front + flipped_bits(element[:8], rng) + element[8:] + rest
    content = pick(rng, ODD_VALUES) if change == 5 else pick(rng, ANY)(data[value:stop] or b"\0\0", rng)
    content = (content + b" " * (len(content) % 2))[: 256**width - 2]
    return data[: value - width] + len(content).to_bytes(width, "little") + content + rest


NIFTI_FIELDS = (  # offset and form in the header of NIfTI-1
    (0, "i"), *((40 + 2 * axis, "h") for axis in range(8)), (70, "h"), (72, "h"),
    *((76 + 4 * axis, "f") for axis in range(8)),
    (108, "f"), (112, "f"), (116, "f"), (124, "f"), (128, "f"), (252, "h"), (254, "h"),
    *((256 + 4 * number, "f") for number in range(18)),
)  # fmt: skip


def nifti_field(data: bytes, rng: Rng) -> bytes:
    """A field of the header at an extreme: sizes, type, offset, slope, display range, orientation."""
    offset, form = pick(rng, NIFTI_FIELDS)
    if form == "f":
        content = struct.pack("<f", pick(rng, FLOATS))
    else:
        size = struct.calcsize(form)
        content = (pick(rng, (*EXTREMES, 4, 16, 64, 128, 512, 1536, 2048)) & (256**size - 1)).to_bytes(size, "little")
    return data[:offset] + content + data[offset + len(content) :]


def inside_gzip(mutation: Mutation) -> Mutation:
    """The mutation of what is packed, under a right checksum."""

    def packed(data: bytes, rng: Rng) -> bytes:
        return gzip.compress(mutation(gzip.decompress(data), rng), mtime=0)

    packed.__name__ = f"{mutation.__name__}_packed"
    return packed


def last_numbers(data: bytes, rng: Rng) -> bytes:
    """The length of the footer of a Parquet file, or a byte of the footer itself."""
    size = int.from_bytes(data[-8:-4], "little")
    if rng.random() < 0.3:
        return data[:-8] + (pick(rng, EXTREMES) & 0xFFFFFFFF).to_bytes(4, "little") + data[-4:]
    start = len(data) - 8 - size
    return data[:start] + pick(rng, ANY)(data[start:-8], rng) + data[-8:]


def first_numbers(data: bytes, rng: Rng) -> bytes:
    """A size or count in the header of a faiss index: of vectors, dimensions, lists, links."""
    size = pick(rng, (4, 8))
    start = 4 + 4 * int(rng.integers(min(60, len(data) // 4 - 2)))
    return data[:start] + (pick(rng, EXTREMES) & (256**size - 1)).to_bytes(size, "little") + data[start + size :]


STRUCTURES: dict[str, tuple[Mutation, ...]] = {
    "png": (png_field, png_chunk, png_rows),
    "jpeg": (jpeg_segment,),
    "tiff": (tiff_tag,),
    "dicom": (dicom_element,),
    "nifti": (nifti_field,),
    "nifti.gz": (inside_gzip(nifti_field), inside_gzip(flipped_bits)),
    "npz": NPZ,
    "pth": PTH,
    "safetensors": SAFETENSORS,
    "json": JSON,
    "csv": CSV,
    "jsonl": JOURNAL,
    "parquet": (last_numbers,),
    "faiss": (first_numbers,),
}
"""By format, beside `mutations.ANY`."""
