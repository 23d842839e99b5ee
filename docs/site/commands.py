"""Every command of the command line, from its own help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer

from relax.cli.app import app


def commands() -> str:
    """The page of all commands."""
    head = "# The command line\n\nEverything here is what `relax COMMAND --help` prints."
    return "\n\n".join([head, *_group("relax", typer.main.get_command(app))]) + "\n"


def _group(path: str, group: Any) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _group(f"{path} {name}", command)
        else:
            yield _command(f"{path} {name}", command)


def _command(path: str, command: Any) -> str:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    usage = " ".join([path, *(argument.metavar or argument.name.upper() for argument in arguments), "[OPTIONS]"])
    parts = [f"## `{path}`", f"```text\n{usage}\n```", _plain(command.help or "")]
    if command.epilog:
        examples = command.epilog.replace("[bold]Examples[/bold]", "").strip("\n")
        parts.append("```bash\n" + re.sub(r"^    ", "    # ", examples, flags=re.MULTILINE) + "\n```")
    parts += [_option(parameter) for parameter in (*arguments, *options)]
    return "\n\n".join(parts)


def _option(parameter: Any) -> str:
    names = ", ".join(parameter.opts) if parameter.param_type_name == "option" else parameter.metavar or parameter.name
    value = (
        f" {parameter.metavar}" if parameter.metavar and names != parameter.metavar and not parameter.is_flag else ""
    )
    default = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    said = "" if default in (None, False, ()) or parameter.required else f" Default: {default}."
    return f"`{names}{value}`\n:   {_plain(parameter.help or '')}{said}"


def _plain(text: str) -> str:
    """Help text without the marks of the terminal."""
    return re.sub(r"\[/?(?:bold|italic|dim)\]", "", text).replace("<", "&lt;").strip()
