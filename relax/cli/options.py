"""The options that several commands share, each defined once: its name, its help, and how its text is parsed.

An option of this table sets the keyword of the same name of the public functions, whose default and checks are in
`relax.settings`. A command names the groups that it takes:

    @takes(HIDING, ESTIMATION, EXECUTION)
    def pair(a: str, b: str, options: dict[str, Any], out: Out = DEFAULT_OUT) -> int: ...
"""

from __future__ import annotations

import inspect
import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from encoders import POOLINGS, PRECISIONS
from masking import DESIGNS, FILLS, REGIONS
from relax.cli.console import UsageError
from relax.estimators.defaults import DEFAULT_MASKS
from relax.io.errors import ImageError
from relax.settings import DEFAULTS, ESTIMATORS, MAX_MASKS, PRESETS, Settings
from relax.text import one_of
from similarity.measures import MEASURES

QUESTION_PANEL, HIDING_PANEL, RUN_PANEL, OUT_PANEL = (
    "What is explained",
    "What is hidden",
    "How it is computed",
    "What is written",
)

DEFAULT_OUT = Path("relax-out")

IMAGE_HELP = "PNG, JPEG, TIFF, WebP or BMP, 8 or 16 bits; DICOM and NIfTI with the extra 'medical'."
EncoderSpec = Annotated[
    str,
    typer.Option(
        "--encoder", metavar="SPEC", help="The encoder; `relax encoders` lists them.", rich_help_panel=QUESTION_PANEL
    ),
]
Methods = Annotated[
    str,
    typer.Option(
        "--methods",
        metavar="NAMES",
        help="Comma-separated; `relax methods` lists them with their needs and costs.",
        rich_help_panel=QUESTION_PANEL,
    ),
]
Out = Annotated[
    Path,
    typer.Option("--out", metavar="DIR", help="Output folder; created if needed.", rich_help_panel=OUT_PANEL),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", help="No progress and no summary; errors are still printed.", rich_help_panel=OUT_PANEL),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=OUT_PANEL)]


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        help: What it does; names every word of its table.
        metavar: Placeholder for its value.
        panel: Heading under which the help lists it.
        read: Parses its text; None = the text itself.
        several: Whether it can be repeated.
        without: What its absence means, where the default of the keyword is None.
    """

    help: str
    metavar: str
    panel: str
    read: Callable[[str], Any] | None = None
    several: bool = False
    without: str = ""


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"must be a whole number; got {text!r}") from None


def number(text: str) -> float:
    """A number."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"must be a number; got {text!r}") from None


def whole_or_auto(text: str) -> int | str:
    """A whole number, or "auto"."""
    try:
        return text if text == "auto" else int(text)
    except ValueError:
        raise typer.BadParameter(f'must be a whole number or "auto"; got {text!r}') from None


def fill_value(text: str) -> str | float | list[float]:
    """The fill given as a word, a number, comma-separated numbers or a path."""
    if text in FILLS:
        return text
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        return text
    return values[0] if len(values) == 1 else values


def _rows(rows: Mapping[str, str]) -> str:
    """Names with their meanings, for a help text."""
    return "; ".join(f"{name}: {what}" for name, what in rows.items())


METHOD = ("method",)
HEAD = ("head", "target")
SIMILARITY = ("similarity",)
QUESTION = (*SIMILARITY, "reference", "foil")
HIDING = ("regions", "cells", "keep", "fill", "design", "seed")
ESTIMATION = ("masks", "estimator", "preset")
TOLERANCE = ("tolerance",)
EXECUTION = ("device", "batch_size", "precision", "pooling")

OPTIONS = {
    "method": Option(
        "A method other than relax, such as gradcam or lime; `relax methods` lists them.", "NAME", QUESTION_PANEL
    ),
    "head": Option(
        "Explain a class: a head trained by `relax head train`, or `network` for the network's own classifier.",
        "PATH",
        QUESTION_PANEL,
    ),
    "target": Option("The class of the head.", "CLASS", QUESTION_PANEL, without="the predicted one"),
    "similarity": Option(
        f"The measure: {_rows({name: measure.unit for name, measure in MEASURES.items()})}.", "MEASURE", QUESTION_PANEL
    ),
    "reference": Option(
        "Compare with this image instead of the image itself; repeat the option for the mean of several. A folder is a "
        "corpus: the mean similarity to its images. 'text:a cat' is a prompt, for open_clip encoders.",
        "IMAGE",
        QUESTION_PANEL,
        several=True,
    ),
    "foil": Option(
        "Subtract the similarity to this: what makes the image closer to the reference than to the foil. Given like "
        "--reference.",
        "IMAGE",
        QUESTION_PANEL,
        several=True,
    ),
    "pooling": Option(f"How encoders that return tokens or maps are pooled: {_rows(POOLINGS)}.", "HOW", QUESTION_PANEL),
    "regions": Option(
        f"What is hidden together: {_rows({name: row.what for name, row in REGIONS.items()})}.", "KIND", HIDING_PANEL
    ),
    "cells": Option("Regions along each side; more show finer detail.", "N", HIDING_PANEL, whole),
    "keep": Option("Probability that a region stays visible, in (0, 1).", "P", HIDING_PANEL, number),
    "fill": Option(
        f"What hidden pixels show: {_rows({name: row.what for name, row in FILLS.items()})}; or a grey 0.5, a colour "
        "0.5,0.4,0.3 or the path of an image.",
        "FILL",
        HIDING_PANEL,
        fill_value,
    ),
    "design": Option(
        f"How the masks of the grid depend on each other: {_rows({name: row.what for name, row in DESIGNS.items()})}. "
        "Changes the error, not what is estimated.",
        "DESIGN",
        HIDING_PANEL,
    ),
    "seed": Option("Same seed, same masks, same maps.", "N", RUN_PANEL, whole),
    "masks": Option(
        "Number of masks.",
        "N",
        RUN_PANEL,
        whole,
        without=f"{DEFAULT_MASKS}; with --tolerance as many as needed, at most {MAX_MASKS}",
    ),
    "tolerance": Option("Stop as soon as no pixel's standard error exceeds this.", "E", RUN_PANEL, number),
    "estimator": Option(f"How maps are averaged: {_rows(ESTIMATORS)}.", "NAME", RUN_PANEL),
    "preset": Option(
        f"Several choices at once: {_rows({name: preset.what for name, preset in PRESETS.items()})}.", "NAME", RUN_PANEL
    ),
    "device": Option(
        "auto, cpu, cuda, cuda:1, mps; several share the masked images: cuda:0,cuda:1, or all GPUs.",
        "DEVICE",
        RUN_PANEL,
    ),
    "batch_size": Option(
        "Images in one forward pass, or auto; changes the speed, not the result.", "N", RUN_PANEL, whole_or_auto
    ),
    "precision": Option(
        f"How exactly masked images are embedded: {_rows(PRECISIONS)}.",
        "HOW",
        RUN_PANEL,
    ),
}
COMMAND_LINE_DEFAULTS = {"precision": "exact"}  # in the library None, which keeps that of a loaded encoder


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
            options = {name: values.pop(name) for name in names}
            return command(options=checked(options), **values)

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


def in_option_words(error: Exception) -> str:
    """The text of an error, with the keyword that it begins with written as an option."""
    keyword, separator, text = str(error).partition(" ")
    return f"{option_name(keyword)}{separator}{text}" if keyword in OPTIONS else str(error)


@contextmanager
def usage_errors(*, debug: bool = False, of_images: bool = False) -> Iterator[None]:
    """Turn errors inside into wrong usage: exit code 2 and one line that begins with the option.

    An unusable image is not wrong usage (exit code 1), unless images are themselves options (`of_images`).
    """
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        if isinstance(error, ImageError) and not of_images:
            raise
        if debug:
            traceback.print_exc()
        raise UsageError(in_option_words(error)) from None


def option_name(keyword: str) -> str:
    """The option that sets a keyword."""
    return f"--{keyword.replace('_', '-')}"


def listed(option: str, text: str, words: Iterable[str] | None = None) -> list[str]:
    """Comma-separated names, each once.

    Raises:
        UsageError: If a name is not among the valid words.
    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    return names if words is None else [choice(option, name, words) for name in names]


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
