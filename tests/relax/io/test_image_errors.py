"""What a library says of a damaged file becomes one line that anybody may read."""

import pytest

from relax.io.errors import in_one_line


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("cannot identify <_io.BytesIO object at 0x7ff6384b72e0>", "cannot identify <_io.BytesIO object>"),
        ("bad value 'Doe^Jane' in\n element", "bad value … in element"),
        ("a < b, and 3 > 2 at 0x10", "a < b, and 3 > 2 at 0x10"),
        ("", "RuntimeError"),
    ],
)
def test_a_message_has_no_address_no_quotation_and_no_line_break(said, told):
    assert in_one_line(RuntimeError(said)) == told
