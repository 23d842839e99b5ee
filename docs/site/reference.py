"""The reference: every public function, class and table, from signatures and docstrings.

The code is read by griffe (ISC), not imported, so that a page needs neither torch nor minutes. A function that takes
`**keywords` shows them one by one, as `help` does.
"""

from __future__ import annotations

import re
from ast import literal_eval
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import griffe

from relax import keywords
from relax.settings import DEFAULTS

PACKAGES = ("relax", "relax.baselines", "relax.metrics", "encoders", "masking", "similarity")
ROOT = Path(__file__).parent.parent.parent
WIDTH = 88  # characters of a signature in one line
STARS = {"variadic positional": "*", "variadic keyword": "**"}
ORDER = ("function", "class", "attribute")


@cache
def _loader() -> griffe.GriffeLoader:
    loader = griffe.GriffeLoader(search_paths=[ROOT], docstring_parser=griffe.Parser.google)
    for name in sorted({name.split(".")[0] for name in PACKAGES}):
        loader.load(name)
    loader.resolve_aliases(implicit=True, external=False)
    return loader


def package(name: str) -> str:
    """The page of one package: functions first, then classes, then tables."""
    module = _loader().modules_collection[name]
    members = {member: _target(module[member]) for member in import_module(name).__all__}
    members = {member: value for member, value in members.items() if value.kind.value in ORDER}
    order = sorted(members, key=lambda member: (ORDER.index(members[member].kind.value), member.lower()))
    entries = [_entry(f"{name}.{member}", members[member], "##") for member in order]
    return "\n\n".join([f"# `{name}`", _text(module.docstring.value if module.docstring else ""), *entries]) + "\n"


def _target(value: Any) -> Any:
    """What a name stands for, also where it is only another name for it."""
    value = value.final_target if value.is_alias else value
    if isinstance(value, griffe.Attribute) and isinstance(value.value, griffe.ExprName | griffe.ExprAttribute):
        return _target(_loader().modules_collection[value.value.canonical_path])
    return value


def _entry(name: str, value: Any, level: str) -> str:
    """A function, class, property or table."""
    parts = [f"{level} `{name if level == '##' else '.'.join(name.split('.')[-2:])}` {{ #{name} }}"]
    if value.is_function or (value.is_class and ("dataclass" in value.labels or "__init__" in value.members)):
        parts.append(_signature(name, value))
    if value.docstring:
        parts += [text for section in value.docstring.parse(warnings=False) if (text := _section(section))]
    elif isinstance(value, griffe.Attribute):
        parts.append(_table(name, value))
    if value.is_class:
        for member, inner in value.members.items():
            if not member.startswith("_") and inner.docstring and ("property" in inner.labels or inner.is_function):
                parts.append(_entry(f"{name}.{member}", inner, "###"))
    return "\n\n".join(parts)


def _table(name: str, value: griffe.Attribute) -> str:
    """A table with its keys, which only running the code tells (none needs torch); anything else as it is written."""
    if not isinstance(value.value, griffe.ExprDict | griffe.ExprDictComp):
        return f"`{value.value}`"
    module, _, attribute = name.rpartition(".")
    keys = ", ".join(f"`{key}`" for key in getattr(import_module(module), attribute))
    return f"A table with the keys {keys}."


def _signature(name: str, value: Any) -> str:
    """How it is called, as Python; in several lines where it is long."""
    words: list[str] = []
    for parameter in value.parameters:
        if parameter.name in ("self", "cls"):
            continue
        star = STARS.get(parameter.kind.value, "")
        if (star == "**" or parameter.kind is griffe.ParameterKind.keyword_only) and "*" not in "".join(words):
            words.append("*")
        if star == "**" and (keywords := _keywords(parameter)):
            defaults = {**DEFAULTS, **_shown(value)}
            words += [f"{keyword}={defaults[keyword]!r}" for keyword in keywords]
        else:
            default = "" if star or parameter.default is None else f"={_written(parameter.default)}"
            words.append(f"{star}{parameter.name}{default}")
    returns = f" -> {value.returns}" if value.is_function and value.returns is not None else ""
    line = f"{name}({', '.join(words)}){returns}"
    if len(line) > WIDTH:
        line = f"{name}(\n" + "".join(f"    {word},\n" for word in words) + f"){returns}"
    return f"```python\n{line}\n```"


def _keywords(parameter: griffe.Parameter) -> list[str]:
    """The keywords that `**keywords: Unpack[...]` stands for, by the TypedDict in `relax.keywords`."""
    annotation = parameter.annotation
    if not isinstance(annotation, griffe.ExprSubscript) or str(annotation.left) != "Unpack":
        return []
    return list(getattr(keywords, str(annotation.slice)).__annotations__)


def _shown(value: Any) -> dict[str, Any]:
    """The defaults of a function that differ from those of all, as its decorator `shows` has them."""
    calls = [decorator.value for decorator in value.decorators]
    calls = [call for call in calls if isinstance(call, griffe.ExprCall) and str(call.function) == "shows"]
    given = [argument for call in calls for argument in call.arguments if isinstance(argument, griffe.ExprKeyword)]
    return {argument.name: literal_eval(_written(argument.value)) for argument in given}


def _written(default: Any) -> str:
    """A default as it is written, or the value of the constant that it names."""
    try:
        return str(_target(_loader().modules_collection[default.canonical_path]).value)
    except (AttributeError, KeyError):  # no name; or one of several that one line assigns, which griffe passes over
        return str(default)


def _section(section: Any) -> str:
    """A section of a docstring."""
    kind = section.kind.value
    if kind == "text":
        return _text(section.value)
    if kind == "admonition":
        return f"**{section.title or section.value.kind}**: {_text(section.value.contents)}"
    heading = {"parameters": "Arguments"}.get(kind, kind.capitalize())
    return f"**{heading}**\n\n" + "\n\n".join(map(_item, section.value))


def _item(item: Any) -> str:
    """One argument, attribute or exception."""
    name, kind = getattr(item, "name", ""), item.annotation
    text = _text(item.description)
    term = name or (str(kind) if type(item).__name__ in ("DocstringRaise", "DocstringWarn") else "")
    return f"`{term}`\n:   " + text.replace("\n", "\n    ") if term else text


def _text(text: str) -> str:
    """A docstring's own words; what Markdown would take for HTML stays as it is."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(_name(part) if part.startswith("`") else part.replace("<", "&lt;") for part in parts)


def _name(code: str) -> str:
    """A public name, as a link to where it is described; any other code as it is."""
    package, _, member = code.strip("`").rpartition(".")
    return f"[{code}]({package}.md#{package}.{member})" if member in _public().get(package, ()) else code


@cache
def _public() -> dict[str, list[str]]:
    """The names that the pages describe, by package."""
    return {
        name: [member for member in import_module(name).__all__ if member not in ("baselines", "metrics")]
        for name in PACKAGES
    }
