"""A spec taken apart: "random:timm:resnet50?size=96" is of the kind timm, with a name and an item.

The kinds are the rows of `encoders.kinds`. Nothing here imports torch.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from encoders.errors import EncoderError, did_you_mean
from encoders.kinds import KINDS, RANDOM, SpecKind, forms, kind_of

_TIMM = next(kind for kind in KINDS if kind.prefix == "timm")


@dataclass(frozen=True)
class Spec:
    """A spec taken apart.

    Attributes:
        text: The whole spec.
        kind: Its row of `KINDS`.
        name: The text between the prefix and the question mark.
        items: The name=value pairs after the question mark.
        pretrained: False behind "random:".
    """

    text: str
    kind: SpecKind
    name: str = ""
    items: dict[str, str] = field(default_factory=dict)
    pretrained: bool = True


def parse_spec(text: str, kinds: Sequence[SpecKind] | None = None) -> Spec:
    """Take a spec apart.

    Args:
        text: The spec.
        kinds: Another table with the same grammar; None is that of pictures.

    Raises:
        EncoderError: If it is of no kind, lacks its name, or has an item that its kind does not take.
    """
    kinds = KINDS if kinds is None else kinds
    text = text.strip()
    prefix, tail = _cut(text)
    pretrained = prefix != RANDOM
    if not pretrained:
        prefix, tail = _cut(tail)
    kind = kind_of(prefix, kinds)
    if kind is None:
        raise _refused(text, _nearest(prefix, tail, pretrained, kinds), kinds)
    if not pretrained and not kind.random_form:
        raise _refused(text, f"{kind.form} has no random weights", kinds)
    name, pairs = _apart(tail) if kind.items else (tail, [])
    items = dict(pairs)
    if bool(name) != kind.takes_name:
        way_out = f"nothing follows {prefix}" if name else f"a name must follow, as in {kind.example}"
        raise _refused(text, way_out, kinds)
    spec = Spec(text, kind, name, items, pretrained)
    _check_items(spec)
    names = [item for item, _ in pairs]
    if len(names) > len(items):
        repeated = next(item for item in names if names.count(item) > 1)
        raise EncoderError(f"encoder {text!r} has the item {repeated!r} more than once: keep one")
    return spec


def parse_architecture(text: str, items: dict[str, str]) -> Spec:
    """The arch= of a `file:` spec, which is a spec or the bare name of a timm network, for random weights.

    Args:
        text: The value of arch=.
        items: Items for the builder.
    """
    prefix, _, name = text.partition(":")
    kind = kind_of(prefix)
    if kind is None or not kind.architecture or bool(name) != kind.takes_name:
        kind, name = _TIMM, text
    return Spec(text, kind, name, items, pretrained=False)


def _cut(text: str) -> tuple[str, str]:
    """The text before the first colon or question mark, and what follows; a question mark stays with that."""
    prefix = re.split("[:?]", text, maxsplit=1)[0]
    return prefix, text[len(prefix) :].removeprefix(":")


def _apart(tail: str) -> tuple[str, list[tuple[str, str]]]:
    """The name before the last question mark, and the items after it; a question mark without items is of the name."""
    name, mark, items = tail.rpartition("?")
    pairs = [pair for pair in items.split("&") if pair]
    if not mark or not pairs or not all("=" in pair for pair in pairs):
        return tail, []
    return name, parse_qsl(items, keep_blank_values=True)


def _check_items(spec: Spec) -> None:
    unknown = sorted(spec.items.keys() - set(spec.kind.items))
    if unknown and not spec.kind.arguments:
        hint = did_you_mean(unknown[0], spec.kind.items, "leave it out")
        raise EncoderError(
            f"encoder {spec.text!r} has the item {unknown[0]!r}; known are {', '.join(spec.kind.items)}: {hint}"
        )


def _nearest(prefix: str, tail: str, pretrained: bool, known: Sequence[SpecKind]) -> str:
    """The way out for a prefix that is none: the same spec with the nearest right one."""
    name = tail.partition("?")[0]
    kinds = [kind for kind in known if kind.takes_name == bool(name) and (pretrained or kind.random_form)]
    prefixes = [*(kind.prefix for kind in kinds), *([RANDOM] if name and pretrained else [])]
    close = difflib.get_close_matches(prefix.lower(), prefixes, n=1)
    before, after = "" if pretrained else f"{RANDOM}:", f":{tail}" if name else tail
    if close:
        return f"did you mean {before}{close[0]}{after}?"
    if prefix and not name and known is KINDS:
        return f"a network's name needs its library before it, as in {before}{_TIMM.prefix}:{prefix}"
    return "relax encoders lists them with examples" if known is KINDS else f"take {known[0].example}"


def _refused(text: str, way_out: str, kinds: Sequence[SpecKind]) -> EncoderError:
    choices = ", ".join(forms(kinds))
    return EncoderError(f"encoder must be one of {choices}, a module or a function; got {text!r}: {way_out}")
