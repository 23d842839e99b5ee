"""From what stands on the command line to keywords: options are given to commands, and wrong usage is refused.

@takes(HIDING, ESTIMATION, EXECUTION)
def pair(a: str, b: str, options: dict[str, Any], out: Out = DEFAULT_OUT) -> int: ...
"""

from __future__ import annotations

import inspect
import os
import traceback
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from relax.cli.console import WRONG_USAGE, UsageError
from relax.cli.early import check_early
from relax.cli.options import COMMAND_LINE_DEFAULTS, OPTIONS, Option, option_name
from relax.files import WriteError
from relax.io.errors import ImageError
from relax.settings import DEFAULTS, Settings
from relax.text import one_of


def command_group(words: str) -> typer.Typer:
    """An app of several commands, which without one of them prints its help: wrong usage."""
    group = typer.Typer(
        help=words,
        invoke_without_command=True,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @group.callback()
    def _alone(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())
            raise typer.Exit(WRONG_USAGE)

    return group


def takes(*groups: Iterable[str], **defaults: Any) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command the options of these groups; it receives their values as keywords of the public functions.

    Args:
        groups: Names of options.
        defaults: Those of the command where they differ from `relax.settings`.

    Returns:
        A decorator for a command with a parameter `options`, which the options replace.
    """
    names = [name for group in groups for name in group]
    values_without = {**DEFAULTS, **COMMAND_LINE_DEFAULTS, **defaults}

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @wraps(command)
        def run(**values: Any) -> int:
            options = checked({name: values.pop(name) for name in names})
            check_early(values, options)
            return command(options=options, **values)

        parameters = []
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            if parameter.name == "options":
                parameters += [_parameter(name, values_without[name]) for name in names]
            else:
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def checked(options: dict[str, Any]) -> dict[str, Any]:
    """The options as keywords, once `relax.settings` has found them valid.

    Raises:
        UsageError: Names the option and, for a misspelt word, suggests the nearest valid one.
    """
    plain = {name: value for name, value in options.items() if name != "head"}  # a path, loaded later
    try:
        Settings.of(plain)
    except ValueError as error:
        raise UsageError(in_option_words(error)) from None
    return {name: value or None if OPTIONS[name].several else value for name, value in options.items()}


def in_option_words(error: Exception, own: Container[str] = ()) -> str:
    """The text of an error, with the keyword that it begins with, of all commands or its own, as an option.

    A folder may be called masks, and what is wrong with it begins with its name.
    """
    keyword, separator, text = str(error).partition(" ")
    named = (keyword in OPTIONS or keyword in own) and (text.startswith("must ") or not os.path.lexists(keyword))
    return f"{option_name(keyword)}{separator}{text}" if named else str(error)


@contextmanager
def usage_errors(*, debug: bool = False, of_images: bool = False, own: Container[str] = ()) -> Iterator[None]:
    """Turn errors inside into wrong usage: exit code 2 and one line that begins with the option.

    An unusable image is not wrong usage (exit code 1), unless images are themselves options (`of_images`); nor is a
    result that cannot be written. Options of a command that no other has are its `own`.
    """
    try:
        yield
    except WriteError:
        raise
    except (ValueError, OSError, ImportError) as error:
        if isinstance(error, ImageError) and not of_images:
            raise
        if debug:
            traceback.print_exc()
        raise UsageError(in_option_words(error, own)) from None


def listed(option: str, text: str, words: Iterable[str]) -> list[str]:
    """Comma-separated names, each once.

    Raises:
        UsageError: If a name is not among the valid words.
    """
    names = dict.fromkeys(name.strip() for name in text.split(",") if name.strip())
    return [choice(option, name, words) for name in names]


def choice(option: str, value: str, words: Iterable[str]) -> str:
    """The value, if it is one of the valid words.

    Raises:
        UsageError: Names the option and its words, and suggests the nearest.
    """
    try:
        return one_of(option, value, words)
    except ValueError as error:
        raise UsageError(str(error)) from None


def check_out(out: Path) -> None:
    """Reject an --out that cannot be created or written to; nothing is created yet.

    Raises:
        OSError: With the reason.
    """
    existing = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise OSError(f"--out {out} cannot be a folder: {existing} is a file")
    if not os.access(existing, os.W_OK):
        raise OSError(f"--out {out} cannot be written to: permission denied")


def _parameter(name: str, default: Any) -> inspect.Parameter:
    option = OPTIONS[name]
    details: dict[str, Any] = {"metavar": option.metavar, "help": option.help, "rich_help_panel": option.panel}
    if option.read is not None:
        details["parser"] = option.read
    if default is None and option.without:
        details["show_default"] = option.without
    kind: Any = _type_of(option, default)
    annotation = Annotated[kind, typer.Option(option_name(name), **details)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _type_of(option: Option, default: Any) -> Any:
    if option.several:
        return list[str] | None
    if default is None:
        return str | None
    return type(default)
