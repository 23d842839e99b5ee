"""The text of another's error, on one line that a terminal may show."""

import pytest

from encoders.errors import one_line


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("first\nsecond"), "first"),
        (ValueError("cannot be read:\n  no magic"), "cannot be read: no magic"),
        (KeyError("a"), "KeyError 'a'"),
        (ValueError(), "ValueError"),
        (ValueError("a \x1b[31mred\x07 name\x00"), "a ?[31mred? name?"),
        (ValueError("malformed <ast.Compare object at 0x7f3c4a32c340>"), "malformed <ast.Compare object>"),
        (ValueError("3 > 2 at 0x10"), "3 > 2 at 0x10"),
        (ValueError("x" * 300), "x" * 197 + "..."),
    ],
)
def test_an_error_of_a_library_is_one_printable_line(error: Exception, text: str) -> None:
    assert one_line(error) == text
