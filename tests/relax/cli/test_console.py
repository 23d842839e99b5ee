"""What cannot be printed is escaped."""

import io
import sys

from relax.cli.console import escape_what_cannot_be_printed, print_table


def test_names_in_any_script_are_printed_where_the_terminal_has_only_ascii(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)

    escape_what_cannot_be_printed()
    print_table("grün:日\udcff")

    out.flush()
    assert out.buffer.getvalue() == b"gr\\xfcn:\\u65e5\\udcff\n"
