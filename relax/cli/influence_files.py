"""What `relax influence` checks before it works, and writes and prints after."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from relax.cli.console import DONE, complain, plain_table, print_table
from relax.cli.early import check_early, check_there
from relax.cli.index import check_sheet, escaped
from relax.files import written_aside
from relax.io.choice import discreet_name
from relax.io.sources import names_several

if TYPE_CHECKING:  # numpy comes with it, and `relax --help` does not need it
    from relax.influence.answer import Answer


def check_asked(archive: Path, image: Path | None, sheet: Path | None, **named: Path | None) -> None:
    """Refuse what is not there, a picture that is several, and a sheet that cannot be written, before torch is loaded.

    Args:
        archive: A folder of `relax index`.
        image: The picture that is asked about, if there is one.
        sheet: A file to write.
        named: Other files by the option that names them: "head", "metadata".

    Raises:
        UsageError, ImageError, ValueError: The message names the argument.
    """
    head = named.pop("head", None)
    check_early({"archive": archive, **named}, {} if head is None else {"head": str(head)})
    if image is not None:
        if names_several(image):
            raise ValueError(f"IMAGE must be one picture, such as scan.dcm#frame=3; got {discreet_name(str(image))}")
        check_there(str(image))
    if sheet is not None:
        check_sheet(sheet, image)


def write_table(table: Path | None, text: str) -> None:
    """Write a CSV, if one is wanted."""
    if table is not None:
        with written_aside(table) as aside:
            aside.write_text(text, encoding="utf-8", newline="")
        complain(f"written: {table}")


def tell(answer: Answer, sheet: Path | None, *, as_json: bool, tree: Sequence[str] | None = None) -> int:
    """Write the sheet, if one is wanted, and print the answer: its sentences, then its pictures or the lines of a tree.

    Sentences that the tree says, too, are left out.
    """
    from rich.text import Text

    if sheet is not None:
        answer.save(sheet)
        complain(f"written: {sheet}")  # to stderr: the answer may go to another program
    if as_json:
        typer.echo(json.dumps(answer.record(), indent=2, allow_nan=False))
        return DONE
    if tree is not None:
        rules = [str(rule) for rule in getattr(answer, "rules", ())]
        print_table(*(each for each in answer.findings if each not in rules), "", *map(escaped, tree))
        return DONE
    parts: list[Any] = [*answer.findings]
    for heading, group in answer.groups.items():
        if not group:
            continue
        rows = plain_table([heading, "label"], [answer.unit or answer.quantity])
        for member in group:
            rows.add_row(Text(escaped(member.name)), Text(escaped(member.label)), Text(answer.shown(member)))
        parts += ["", rows]
    print_table(*parts)
    return DONE
