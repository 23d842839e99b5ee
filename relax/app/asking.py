"""What a visitor can choose, and from a filled-in form to checked settings.

The page is built from the tables of the package, so that a new method or fill is there without a change. A form holds
words, numbers and the number of an encoder: it can name no file on this machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from encoders import Encoder
from encoders.values import described, is_number, is_whole
from masking import FILLS, REGIONS
from relax.app.limits import Limits
from relax.app.visitors import Picture
from relax.baselines.methods import METHODS
from relax.cli.options import COMMAND_LINE_DEFAULTS, OPTIONS, fill_value
from relax.settings import DEFAULTS, Settings
from similarity.measures import MEASURES

FIELDS = ("method", "masks", "tolerance", "cells", "keep", "fill", "seed", "regions", "similarity")
"""Keywords of `relax.explain` that a form may set."""

METHOD_NAMES = tuple(name for name, method in METHODS.items() if "head" not in method.needs)

EXAMPLES = {
    "chelsea.png": "a cat",
    "astronaut.png": "an astronaut",
    "coffee.png": "a cup of coffee",
    "retina.jpg": "a retina",
    "ihc.png": "stained tissue",
}
"""Pictures that come with scikit-image."""


@dataclass(frozen=True)
class Asked:
    """A question that can be answered, and asked again on the command line.

    Attributes:
        spec: Of the encoder.
        encoder: The encoder.
        keywords: Those of `relax.explain` that differ from the command line's defaults, without pictures.
        settings: The same, checked, with reference and foil.
        pictures: By role.
    """

    spec: str
    encoder: Encoder
    keywords: Mapping[str, Any]
    settings: Settings
    pictures: Mapping[str, Picture]


def asked(
    form: Mapping[str, Any],
    pictures: Mapping[str, Picture],
    encoders: Sequence[tuple[str, Encoder]],
    execution: Mapping[str, Any],
    limits: Limits,
) -> Asked:
    """The question of a form.

    Args:
        form: The number of the encoder under "encoder", and values of `FIELDS`; what is missing or None has its
            default.
        pictures: Of the visitor, by role.
        encoders: Specs and encoders that are served.
        execution: How encoders are run: keywords of `relax.explain`.
        limits: Of the server.

    Raises:
        ValueError: If a value is impossible; the message begins with its name.
    """
    if unknown := set(form) - {*FIELDS, "encoder"}:
        raise ValueError(f"{sorted(unknown)[0]} is no field of the form")
    number = form.get("encoder") or 0
    if not is_whole(number) or number >= len(encoders):
        raise ValueError(f"encoder must be the number of one that is served, 0 to {len(encoders) - 1}; got {number!r}")
    values = {name: form[name] for name in FIELDS if form.get(name) is not None}
    if "fill" in values:
        values["fill"] = _fill(values["fill"])
    if is_whole(masks := values.get("masks")) and masks > limits.masks:
        raise ValueError(f"masks must be {limits.masks:,} or fewer here; got {masks:,}")
    if values.get("method", "relax") not in METHOD_NAMES:
        raise ValueError(f"method must be one of {', '.join(METHOD_NAMES)}; got {described(values['method'])}")
    values = {**COMMAND_LINE_DEFAULTS, **execution, **values}
    given = {role: [pictures[role].source] for role in ("reference", "foil") if role in pictures}
    settings = Settings.of({**values, **given})
    plain = {**DEFAULTS, **COMMAND_LINE_DEFAULTS}
    spec, encoder = encoders[number]
    keywords = {name: value for name, value in values.items() if value != plain[name]}
    return Asked(spec, encoder, keywords, settings, dict(pictures))


def choices(specs: Sequence[str], limits: Limits) -> dict[str, Any]:
    """What the page offers, as JSON types."""
    return {
        "encoders": list(specs),
        "methods": [_method(name) for name in METHOD_NAMES],
        "fills": {name: row.what for name, row in FILLS.items()},
        "regions": {name: row.what for name, row in REGIONS.items()},
        "similarities": {name: row.unit for name, row in MEASURES.items()},
        "defaults": {name: DEFAULTS[name] for name in FIELDS},
        "help": {name: OPTIONS[name].help.split(":")[0] for name in ("cells", "keep", "seed")},
        "examples": {name: what for name, what in EXAMPLES.items() if _example(name).is_file()},
        "limits": {"masks": limits.masks, "upload": limits.upload},
    }


def example(name: str, target: Path) -> None:
    """Copy an example to a path.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in EXAMPLES:
        raise ValueError(f"example must be one of {', '.join(EXAMPLES)}; got {described(name)}")
    target.write_bytes(_example(name).read_bytes())


def _example(name: str) -> Path:
    with as_file(files("skimage.data") / name) as path:
        return path


def _method(name: str) -> dict[str, Any]:
    method = METHODS[name]
    return {
        "name": name,
        "family": method.family,
        "samples": method.samples,
        "cost": method.passes_in_words,
        "silent": method.silent,
        "question": method.explains != "nothing",
        "hides": method.hides != "nothing",
        "foil": name == "relax",
    }


def _fill(fill: Any) -> str | float | list[float]:
    """A word, a grey or a colour: never a path, which the command line would take."""
    value = fill_value(fill) if isinstance(fill, str) else fill
    if (isinstance(value, str) and value not in FILLS) or not (isinstance(value, str | list) or is_number(value)):
        raise ValueError(f"fill must be {', '.join(FILLS)}, a grey 0.5 or a colour 0.5,0.4,0.3; got {described(fill)}")
    return value
