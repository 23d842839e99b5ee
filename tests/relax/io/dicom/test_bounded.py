"""A file is asked for no more than it holds, and reads as any other."""

import contextlib
import tracemalloc

import pytest

from experiments.fuzzing.samples import SAMPLES
from relax.io.dicom.bounded import BoundedReader
from relax.io.errors import ImageError
from relax.io.images import read_image


@pytest.mark.parametrize("asked", [1 << 40, -1, None])
def test_what_is_asked_for_is_not_taken(tmp_path, asked):
    (tmp_path / "a").write_bytes(b"0123456789")
    tracemalloc.start()
    with BoundedReader(tmp_path / "a") as file:
        assert file.read(4) == b"0123"
        assert file.read(asked) == b"456789"
        assert file.read(asked) == b""
        file.seek(20)
        assert file.read(asked) == b""
        file.seek(2)
        assert file.read(3) == b"234"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("dicom", b"OB\0\0\x02\0\0\0", b"OB\0\0\xfe\xff\xff\x7f"),  # of the file meta information
        ("dicom", b"UI\x1a\0", b"UN\x1a\0\xff\xff\xff\x70"),  # of the data set
        ("tiff_rgb16", b"\x17\x01\x04\0\x01\0\0\0", b"\x17\x01\x04\0\x01\0\0\0\xff\xff\xff\x7f"),  # of the strip
    ],
)
def test_a_length_beyond_the_file_takes_no_memory(tmp_path, name, before, after):
    sample = next(sample for sample in SAMPLES if sample.name == name)
    sample.write(tmp_path)
    data = (tmp_path / sample.file).read_bytes()
    start = data.index(before)
    (tmp_path / sample.file).write_bytes(data[:start] + after + data[start + len(after) :])
    tracemalloc.start()
    with contextlib.suppress(ImageError):
        read_image(tmp_path / sample.file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1 << 26
