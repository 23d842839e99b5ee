"""Tables made from the code when the site is built: every choice is told once, where it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from encoders import POOLINGS, PRECISIONS
from encoders.kinds import ITEMS
from encoders.words.kinds import POOLINGS as TEXT_POOLINGS
from encoders.words.kinds import TEXT_KINDS
from masking import DESIGNS, FILLS, REGIONS
from relax.baselines.methods import METHODS, Method
from relax.cli.options import COMMAND_LINE_DEFAULTS, OPTIONS, option_name
from relax.metrics.catalogue import METRICS
from relax.settings import DEFAULTS, ESTIMATORS, PRESETS
from relax.words.tables import FILLS as TEXT_FILLS
from relax.words.tables import METHODS as TEXT_METHODS
from similarity.measures import MEASURES

Words = Mapping[str, str]

VALUES: dict[str, Callable[[], Words]] = {
    "regions": lambda: {name: row.what for name, row in REGIONS.items()},
    "fill": lambda: {name: row.what for name, row in FILLS.items()},
    "design": lambda: {name: row.what for name, row in DESIGNS.items()},
    "similarity": lambda: {name: measure.unit for name, measure in MEASURES.items()},
    "estimator": lambda: ESTIMATORS,
    "preset": lambda: {name: preset.what for name, preset in PRESETS.items()},
    "pooling": lambda: POOLINGS,
    "precision": lambda: PRECISIONS,
}
"""The words that a setting takes, with their meanings."""

EXPLAINS = {
    "similarity": "the similarity",
    "class": "a class",
    "either": "the similarity, or a class",
    "nothing": "the network, not a question",
}


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def methods() -> str:
    """Every method: what it explains, needs, costs and cannot say."""
    heads = ["method", "explains", "needs", "passes for one picture", "what it cannot say"]
    return markdown(heads, [_method(method) for method in METHODS.values()])


def _method(method: Method) -> list[str]:
    cost = method.cost()
    passes = "the network decides" if cost is None else f"{cost:,}"
    words = "" if method.passes_in_words in (passes, "none") else f"<br>{method.passes_in_words}"
    needs = ", ".join(sorted(method.needs)) or "nothing"
    return [f"`{method.name}`<br>{method.source}", EXPLAINS[method.explains], needs, passes + words, method.silent]


def metrics() -> str:
    """Every metric: which way is better, what it needs, where it is from."""
    heads = ["metric", "family", "better", "needs", "source"]
    rows = [[f"`{row.name}`", row.family, row.direction, row.needs, row.source] for row in METRICS.values()]
    return markdown(heads, rows)


def items() -> str:
    """What may follow the question mark of a spec."""
    return markdown(["item", "what it says"], [[f"`{name}`", what] for name, what in ITEMS.items()])


def choices(words: Words) -> str:
    """The words that a setting takes."""
    return markdown(["value", "what it does"], [[f"`{name}`", what] for name, what in words.items()])


def setting(name: str) -> str:
    """The default of a setting, its option, and the words that it takes."""
    default, option = DEFAULTS[name], OPTIONS[name]
    without = f", which is {option.without}" if default is None and option.without else ""
    text = f"Default `{default!r}`{without} · option `{option_name(name)}`"
    if name in COMMAND_LINE_DEFAULTS:
        text += f", there `{COMMAND_LINE_DEFAULTS[name]}`"
    return f"{text}\n\n{choices(VALUES[name]())}" if name in VALUES else text


def text_encoders() -> str:
    """Every kind of text encoder."""
    rows = [[f"`{kind.form}`", kind.what, kind.notes] for kind in TEXT_KINDS]
    return markdown(["spec", "what it loads", "to know"], rows)


def text_methods() -> str:
    """Every method for texts."""
    rows = [[f"`{row.name}`<br>{row.source}", row.what, row.passes] for row in TEXT_METHODS.values()]
    return markdown(["method", "its number for a word", "passes for n words and N subsets"], rows)


TABLES: dict[str, Callable[[], str]] = {
    **{"methods": methods, "metrics": metrics, "items": items},
    **{"text-encoders": text_encoders, "text-methods": text_methods},
    "text-poolings": partial(choices, TEXT_POOLINGS),
    "text-fills": partial(choices, TEXT_FILLS),
}
SETTINGS: dict[str, Callable[[], str]] = {name: partial(setting, name) for name in DEFAULTS}
