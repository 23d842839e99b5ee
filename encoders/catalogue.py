"""What can be loaded: the kinds of spec with an example each, and the names behind them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from encoders.kinds import BUNDLED, ITEMS, KINDS, RANDOM_EXAMPLE, RANDOM_WHAT, SpecKind, random_forms
from encoders.names import names_of


@dataclass(frozen=True)
class EncoderRow:
    """One line of the list of encoders."""

    spec: str  # what `load` takes
    what: str
    notes: str


def available(pattern: str | None = None) -> list[EncoderRow]:
    """The encoders that `load` knows.

    Args:
        pattern: None for the bundled encoder and one row per kind of spec. A text lists every pretrained network of
            timm and torchvision, and every spec of one word, whose name holds it, whatever its case; with * ? [ it is a
            shell pattern for the whole name.

    Returns:
        Rows; none where no name fits.
    """
    return _by_kind() if pattern is None else _by_name(pattern)


def items() -> list[EncoderRow]:
    """What may follow the question mark of a spec, each with the kinds of spec that it is for."""
    return [EncoderRow(item, what, ", ".join(_takers(item))) for item, what in ITEMS.items()]


def _takers(item: str) -> list[str]:
    named = [kind.prefix for kind in KINDS if item in kind.items]
    return named or [kind.prefix for kind in KINDS if kind.arguments]


def _by_kind() -> list[EncoderRow]:
    rows = [EncoderRow(kind.example, kind.what, _notes(kind)) for kind in KINDS]
    return [*rows, EncoderRow(RANDOM_EXAMPLE, RANDOM_WHAT, f"a sanity check; {', '.join(random_forms())}")]


def _notes(kind: SpecKind) -> str:
    missing = kind.prefix == "default" and not BUNDLED.exists()
    return "its weights are missing from this installation" if missing else kind.notes


def _by_name(pattern: str) -> list[EncoderRow]:
    text = pattern.lower()
    shell_pattern = text if any(sign in text for sign in "*?[") else f"*{text}*"
    single = [kind for kind in KINDS if not kind.takes_name and fnmatchcase(kind.prefix, shell_pattern)]
    return [EncoderRow(kind.example, kind.what, _notes(kind)) for kind in single] + [
        EncoderRow(f"{kind.prefix}:{name}", f"{kind.prefix}, pretrained", "fetched once")
        for kind in KINDS
        if kind.names
        for name in names_of(kind).pretrained
        if fnmatchcase(name.lower(), shell_pattern)
    ]
