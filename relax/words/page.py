"""The page of a text: its words in their colours, the numbers, and what the network attends to, in one HTML file."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relax.files import written_aside
from relax.plotting.drawing import file_of
from relax.provenance import version_of
from relax.report.blocks import findings, section, settings
from relax.report.content import Chart, Grid, Report, Section
from relax.report.page import part, policy
from relax.report.text import embedded, escaped, visible, without_folders
from relax.text import number, shortened
from relax.words.attention import TextAttention
from relax.words.comparing import CHANCE, TextComparison
from relax.words.drawing import numbers_below
from relax.words.explanation import TextExplanation
from relax.words.similar import SimilarTexts
from relax.words.tables import METHODS

LEVELS = 8  # shades on either side of 0
NUMBERED = 200  # words up to which each has its numbers under it
MOST_WEIGHTS = 6 * 2**20  # of all heads; beyond, a page has the means over the heads alone
MOST_SQUARES = 1024  # tokens whose attention is shown at all
CERTAIN = 2.0  # standard errors by which a word must stand out


def text_page(
    explanations: Sequence[TextExplanation],
    attention: TextAttention | None = None,
    comparison: TextComparison | None = None,
) -> str:
    """The HTML of a page.

    Args:
        explanations: Of one text, by one method or several.
        attention: Of the network on that text; None leaves the chapter out.
        comparison: How the methods compare.
    """
    first = explanations[0]
    style = "\n".join([part("page.css"), part("print.css"), own("words.css")])
    script = "\n".join([part("page.js"), *([own("attention.js")] if attention else [])])
    body = [findings(_findings(first, comparison))]
    body.append(f'<section id="words"><h2>The words</h2>{"".join(map(_words, explanations))}</section>')
    body.append(section(_numbers(explanations), "numbers"))
    if comparison is not None:
        body.append(section(_compared(comparison), "methods"))
    if attention is not None:
        body.append(_attention(attention))
    links = {"findings": "Key findings", "words": "The words", "numbers": "In numbers"}
    links |= {"methods": "The methods"} if comparison else {}
    links |= {"attention": "Attention", "settings": "Settings"} if attention else {"settings": "Settings"}
    title = f"Which words make the embedding of “{shortened(first.text, 60)}”"
    today = datetime.now()
    return Template(part("page.html")).substitute(
        policy=policy(style, script),
        title=escaped(title),
        made=escaped(f"{today.day} {today:%B %Y} · relax-explainer {version_of('relax-explainer')}"),
        contents="".join(f'<li><a href="#{anchor}">{escaped(text)}</a></li>' for anchor, text in links.items()),
        body="\n".join(body),
        reading="",
        settings=settings(without_folders(first.provenance)),
        style=style,
        script=script,
    )


def write_text_page(
    path: str | Path,
    explanations: Sequence[TextExplanation],
    attention: TextAttention | None = None,
    comparison: TextComparison | None = None,
) -> Path:
    """Write that page, which appears whole or not at all; the arguments as for `text_page`. Returns its path."""
    content = text_page(explanations, attention, comparison).encode()
    with written_aside(path) as aside:
        aside.write_bytes(content)
    return Path(path)


def own(name: str) -> str:
    """A static file of this room."""
    return (files("relax.words") / "static" / name).read_text(encoding="utf-8")


def _findings(first: TextExplanation, comparison: TextComparison | None) -> list[str]:
    record, effect = first.provenance, first.effect
    by = record["by"]
    closest = [
        shortened(first.words[place], 40) for place in np.argsort(-np.nan_to_num(effect))[:3] if effect[place] > 0
    ]
    sentences = [
        f"The {record['scalar']} is {number(first.score, 1e-3)} with all {by} shown and {number(first.hidden, 1e-3)} "
        f"with all hidden ({record['fill']}), through {shortened(str(record['encoder']['name']), 60)}."
    ]
    if closest:
        sentences.append(f"What brings it closest: {', '.join(f'“{word}”' for word in closest)} ({record['method']}).")
    if (error := first.standard_error[first.standard_error > 0]).size:
        apart = int((np.abs(effect) > CERTAIN * first.standard_error).sum())
        median = number(float(np.median(error)))
        sentences.append(
            f"Of {len(first):,} {by} {apart:,} differ by more than two standard errors (median {median}) from one that "
            "makes no difference."
        )
    elif (record.get("estimator") or {}).get("name") == "exact":
        sentences.append("All subsets were taken, so the numbers have no error of sampling.")
    if (unread := int(np.isnan(effect).sum())) > 0:
        sentences.append(f"The encoder reads nothing of {unread:,} {by}: cut off, or dropped by its tokenizer.")
    if comparison is not None:
        names = [name for name in comparison.first if name != CHANCE]
        best = max(names, key=lambda name: comparison.last[name] - comparison.first[name])
        sentences.append(f"Hiding the {by} in its order moves the similarity as it should most under {best}.")
    return sentences


def _words(explained: TextExplanation) -> str:
    """The text with its words in colours, numbers below, and what the colours mean."""
    known = np.abs(explained.effect[np.isfinite(explained.effect)])
    limit = float(known.max(initial=0)) or 1.0
    numbers = numbers_below(explained) if len(explained) <= NUMBERED else [("", "")] * len(explained)
    spans = []
    for word, value, below in zip(explained.words, explained.effect, numbers, strict=True):
        level = "none" if np.isnan(value) else f"{round(value / limit * LEVELS):d}"
        small = "".join(f"<small>{escaped(text)}</small>" for text in below if text)
        spans.append(f'<span class="word"><bdi class="shade" data-level="{level}">{_plain(word)}</bdi>{small}</span>')
    record = explained.provenance
    meaning = METHODS[record["method"]].what if record["method"] in METHODS else ""
    scale = "".join(f'<span class="shade" data-level="{level}"></span>' for level in range(-LEVELS, LEVELS + 1))
    ends = f"<span>{number(-limit, limit / 10)}</span>{scale}<span>{number(limit, limit / 10)}</span>"
    above = ", less that of a word that makes no difference" if record["method"] == "relax" else ""
    return (
        f'<div class="told"><h3>{escaped(record["method"])}</h3><p class="note">{escaped(meaning + above)}.</p>'
        f'<p class="said-text" dir="auto">{" ".join(spans)}</p>'
        f'<p class="scale" role="img" aria-label="colours from {number(-limit, limit / 10)} to '
        f'{number(limit, limit / 10)}">{ends}</p></div>'
    )


def _plain(text: str) -> str:
    """A word of the text, escaped; deceptive characters are written out."""
    return html.escape(visible(text)) or "␀"


def _numbers(explanations: Sequence[TextExplanation]) -> Section:
    first = explanations[0]
    by = first.provenance["by"].removesuffix("s")
    if len(explanations) == 1:
        headers: tuple[str, ...] = ("place", by, "effect", "standard error", "uncertainty", "importance")
        columns = (first.effect, first.standard_error, first.uncertainty, first.importance)
    else:
        headers = ("place", by, *(explanation.provenance["method"] for explanation in explanations))
        columns = tuple(explanation.effect for explanation in explanations)  # type: ignore[assignment]
    rows: list[tuple[str | float | int | None, ...]] = [
        (place, visible(word), *(float(column[place - 1]) for column in columns))
        for place, word in enumerate(first.words, 1)
    ]
    baseline = f"The importance of a {by} that makes no difference is {number(first.baseline, 1e-3)}."
    note = baseline if len(explanations) == 1 else "Effects, each in the unit of its method."
    return Section("In numbers", blocks=(Grid("", headers, tuple(rows), note),))


def _compared(comparison: TextComparison) -> Section:
    rows = tuple(
        (name, comparison.first[name], comparison.last[name], comparison.last[name] - comparison.first[name])
        for name in comparison.first
    )
    hidden = Grid(
        "Hidden one after the other",
        ("order of", "largest effect first", "smallest effect first", "difference"),
        rows,
        "Mean similarity on the way: lower is better in the first column, higher in the second. No labels are needed.",
    )
    names = list(comparison.explanations)
    alike = Grid(
        "How alike the methods are",
        ("Spearman’s correlation", *names),
        tuple((name, *map(float, row)) for name, row in zip(names, comparison.alike, strict=True)),
    )
    return Section("The methods", blocks=(hidden, alike))


def _attention(attention: TextAttention) -> str:
    if len(attention.pieces) > MOST_SQUARES:
        return (
            '<section id="attention"><h2>Attention</h2><p>The text has too many tokens for a page that shows the '
            "attention between all of them: explain a part of it.</p></section>"
        )
    layers, heads = attention.weights.shape[:2]
    all_heads = attention.weights.numel() <= MOST_WEIGHTS
    data: dict[str, Any] = {
        "pieces": [visible(piece) for piece in attention.pieces],
        "layers": layers,
        "heads": heads if all_heads else 0,
        "mean": _bytes(attention.over_heads),
        "rollout": _bytes(attention.rollout),
        "each": _bytes(attention.weights) if all_heads else "",
    }
    left_out = "" if all_heads else "<p class='note'>The text is long: the means over the heads are shown alone.</p>"
    skeleton = own("attention.html")
    return (
        f'{skeleton}{left_out}<script type="application/json" id="attention-data">{embedded(data)}</script></section>'
    )


def _bytes(weights: Tensor) -> str:
    """Weights in [0, 1], to 1/255, as base64."""
    return base64.b64encode((weights * 255).round().clamp(0, 255).to(torch.uint8).numpy().tobytes()).decode()


def similar_report(similar: SimilarTexts) -> Report:
    """The page of several texts: both measures and the map as a figure, and each text's nearest ones.

    Args:
        similar: The texts.
    """
    equal = float(np.ptp(similar.lengths)) < 1e-4 * float(similar.lengths.max())
    order = np.argsort(np.where(np.eye(len(similar), dtype=bool), np.inf, -similar.cosine), axis=None)[:2]
    a, b = divmod(int(order[0]), len(similar))
    closest = f"“{shortened(similar.texts[a], 60)}” and “{shortened(similar.texts[b], 60)}”"
    told = [
        f"{len(similar):,} texts through {shortened(str(similar.encoder.get('name')), 60)}.",
        f"The closest two by the cosine ({number(float(similar.cosine[a, b]), 1e-3)}): {closest}.",
        "All embeddings have one length, so the cosine and the Euclidean distance put all pairs in the same order."
        if equal
        else f"The nearest text is the same by cosine and by Euclidean distance for {similar.agreement:.0%} of the "
        "texts: lengths of embeddings differ.",
    ]
    rows = []
    for place, text in enumerate(similar.texts[:MOST_SQUARES]):
        by_cosine, by_distance = similar.nearest[place].tolist()
        rows.append(
            (
                place + 1,
                shortened(visible(text), 200),
                shortened(visible(similar.texts[by_cosine]), 200),
                float(similar.cosine[place, by_cosine]),
                shortened(visible(similar.texts[by_distance]), 200),
                float(similar.euclidean[place, by_distance]),
                float(similar.lengths[place]),
            )
        )
    headers = ("number", "text", "nearest by cosine", "cosine", "nearest by distance", "distance", "length")
    chart = Chart(
        file_of(similar.plot()),
        "The cosine beside the Euclidean distance, light is close in both; and the texts on a map.",
        f"Two matrices of {len(similar)} texts, and a map of them.",
    )
    chapters = (
        Section("Cosine beside Euclidean distance", blocks=(chart,)),
        Section("Nearest texts", blocks=(Grid("", headers, tuple(rows)),)),
    )
    return Report(
        f"How close {len(similar):,} texts are",
        tuple(told),
        chapters,
        settings={"encoder": similar.encoder, "layout": similar.layout},
        about_maps=False,
    )
