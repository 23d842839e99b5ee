"""What was written is told by names that lead to it."""

from pathlib import Path

import pytest

from relax.files import file_names


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        ([], "nothing"),
        (["cat.png"], "cat.png"),
        (["out/cat.npz", "out/cat.png"], "out/cat.npz, cat.png"),
        (["out/cat.npz", "out/cat.png", "page.html"], "out/cat.npz, cat.png, ./page.html"),
        (["cat.npz", "pages/cat.html", "pages/cat.css"], "cat.npz, pages/cat.html, cat.css"),
    ],
)
def test_a_folder_is_named_where_it_changes(paths, told):
    assert file_names([Path(path) for path in paths]) == told
