"""Pictures are chosen evenly over the sorted names, and always the same ones."""

import pytest
from PIL import Image

from experiments.data.pictures import chosen, photographs_in


def test_items_are_spaced_evenly_with_half_a_gap_at_the_ends():
    assert chosen(range(100), 4) == [12, 37, 62, 87]
    assert chosen(range(900), 3) == [150, 450, 750]


def test_without_an_offset_the_first_item_is_the_first_chosen():
    assert chosen(range(900), 20, offset=0) == list(range(0, 900, 45))


def test_of_too_few_items_all_are_chosen():
    """They used to be the first one, three times."""
    assert chosen("abc", 20) == ["a", "b", "c"]


def test_photographs_come_by_name_and_an_empty_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no \*\.jpg in .*empty"):
        photographs_in(tmp_path / "empty", 2)
    for name in ("b.jpg", "a.jpg", "c.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)

    assert [path.name for path in photographs_in(tmp_path, 2)] == ["a.jpg", "b.jpg"]
