"""What all results that are saved as one .npz share."""

import json
from functools import reduce

import numpy as np
import pytest

import relax
from encoders.limits import TooLarge
from relax.saved import READERS, Kind

KIND = Kind("links", "a saved thing", {"count": int, "of": {"name": str}}, optional={"of": {"words": list}}, version=2)
RECORD = {"count": 3, "of": {"name": "x"}}


def written(path, **changes):
    path.write_bytes(KIND.packed({**RECORD, **changes}, {"numbers": np.arange(3)}))
    return path


def test_a_record_is_read_back_with_its_format_and_kind(tmp_path):
    with KIND.reading(written(tmp_path / "a.npz")) as record:
        assert record == {"format": 2, "kind": "links", **RECORD}


def test_a_file_from_before_kinds_is_read(tmp_path):
    np.savez(tmp_path / "a.npz", how=np.array(json.dumps({"format": 1, **RECORD})))

    with KIND.reading(tmp_path / "a.npz") as record:
        assert record["format"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "inside"}, "is not a saved thing: it holds 'inside': use relax.Inside.load"),
        ({"kind": "other"}, "is not a saved thing: it holds 'other'$"),
        ({"format": 3}, "has format 3, this version reads up to 2: update relax-explainer"),
        ({"format": None}, "is not a saved thing: its record lacks format"),
        ({"count": None, "of": {}}, "is not a saved thing: its record lacks count, of.name"),
        ({"count": "3"}, "is not a saved thing: record.count must be a whole number; got text"),
        ({"of": {"name": "x", "words": 3}}, "is not a saved thing: record.of.words must be a list; got a whole number"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, changes, message):
    path = written(tmp_path / "a.npz", **changes)

    with pytest.raises(ValueError, match=f"^{path} {message}"), KIND.reading(path):
        pass


@pytest.mark.parametrize("error", [ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError])
def test_what_fails_while_it_is_used_is_an_error_of_the_file(tmp_path, error):
    with (
        pytest.raises(ValueError, match=r"a\.npz is not a saved thing: .*odd"),
        KIND.reading(written(tmp_path / "a.npz")),
    ):
        raise error("odd")


def test_a_file_that_is_too_large_says_so_and_one_that_is_gone_is_not_found(tmp_path):
    with pytest.raises(TooLarge, match=r"a\.npz would"), KIND.reading(written(tmp_path / "a.npz")):
        raise TooLarge("would not fit")
    with pytest.raises(FileNotFoundError), KIND.reading(tmp_path / "b.npz"):
        pass


@pytest.mark.parametrize("kind", READERS)
def test_every_reader_is_there_and_names_the_reader_of_another_kind(tmp_path, kind):
    load = reduce(getattr, READERS[kind].split(".")[1:], relax)
    other = next(name for name in READERS if name != kind)
    text = np.array(json.dumps({"format": 1, "kind": other}))
    np.savez(tmp_path / "a.npz", how=text, record=text)

    with pytest.raises(ValueError, match=f"it holds '{other}': use {READERS[other]}$"):
        load(tmp_path / "a.npz")
