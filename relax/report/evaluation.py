"""The report on an evaluation: which method is ahead, ranks, metrics and curves, and every number as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relax.plotting.drawing import file_of
from relax.plotting.strangers import SeparationLike, StrangersLike, strangers_figure
from relax.report.content import Chart, Grid, Report, Section

if TYPE_CHECKING:
    from relax.metrics import Evaluation

TITLE = "Which method explains this encoder best"


def evaluation_report(evaluation: Evaluation, title: str = TITLE, strangers: StrangersLike | None = None) -> Report:
    """The report on an evaluation, for `write_report`.

    Args:
        evaluation: From `relax.evaluate`, with at least one value.
        title: The heading.
        strangers: From `relax.strangers`, for a chapter on pictures of another kind.

    Raises:
        ValueError: If nothing was scored.
    """
    means = [mean for mean in evaluation.summary() if mean.images]
    if not means:
        raise ValueError("evaluation has no values to report: each of its maps failed")
    sections = [_ranks(evaluation), _metrics(evaluation), _curves(evaluation), _strange(strangers)]
    sections.append(_failures(evaluation))
    told = () if strangers is None else tuple(map(_sentence, strangers.separations()))
    findings = (_pictures(evaluation), *evaluation.sentences(), *told)
    return Report(title, findings, tuple(part for part in sections if part is not None), settings=evaluation.settings)


def _pictures(evaluation: Evaluation) -> str:
    pictures = len({outcome.image for outcome in evaluation.outcomes if not outcome.failure})
    encoder = (evaluation.settings.get("encoder") or {}).get("name", "")
    methods = ", ".join(dict.fromkeys(outcome.method for outcome in evaluation.outcomes if not outcome.failure))
    scored = f"{pictures} picture{'s were' if pictures != 1 else ' was'} scored"
    return f"{scored}{f' through encoder {encoder}' if encoder else ''} for {methods}."


def _ranks(evaluation: Evaluation) -> Section | None:
    if not evaluation.standings():
        return None
    chart = Chart(
        file_of(evaluation.plot("ranks")),
        "Rank of each method among the methods, 1 = best, averaged over the metrics of a family and over pictures. "
        "Filled: cannot be told from the best, by a permutation test of the ranks on the same pictures.",
        "Mean ranks with their intervals. " + " ".join(evaluation.sentences()),
    )
    paragraphs = (
        "A method is called ahead where its ranks on the same pictures are better beyond chance: if all methods of a "
        "family were alike, one would be called ahead at most once in 20 times. Maps are judged by what they explain, "
        "and compared only with maps of the same.",
    )
    return Section("Which method is ahead", paragraphs, (chart,))


def _metrics(evaluation: Evaluation) -> Section:
    headers = ("metric", "better", "method", "mean", "from", "to", "rank", "pictures", "passes a picture", "judged by")
    rows = tuple(
        (m.metric, m.direction, m.method, m.mean, m.low, m.high, m.rank, m.images, m.passes, m.score or None)
        for m in evaluation.summary()
        if m.images
    )
    chart = Chart(
        file_of(evaluation.plot("metrics")),
        "Mean over the pictures with its 95 % interval; ↑ higher is better, ↓ lower is better.",
        "The mean of each metric and method with its interval; the numbers are in the table below.",
    )
    note = (
        "From and to: the 95 % bootstrap interval over pictures, which says how the mean would differ for other "
        "pictures of the same kind, not for another encoder. Ranks are among methods that are judged by the same."
    )
    return Section("Metric by metric", blocks=(chart, Grid("Every metric and method", headers, rows, note)))


def _curves(evaluation: Evaluation) -> Section | None:
    if not evaluation.bands():
        return None
    chart = Chart(
        file_of(evaluation.plot("curves")),
        "Insertion shows the pixels that a map calls most important first, deletion hides them first; by regions in "
        "the second pair. Mean over pictures, band: 95 % interval.",
        "What is explained against the share of pixels shown or hidden, one line for each method.",
    )
    return Section("Curves of insertion and deletion", blocks=(chart,))


def _strange(strangers: StrangersLike | None) -> Section | None:
    if strangers is None:
        return None
    separations = strangers.separations()
    chart = Chart(
        file_of(strangers_figure(strangers)),
        "A dot for each picture, known ones above and strange ones below.",
        " ".join(map(_sentence, separations)),
    )
    rows = tuple((s.by, s.auroc, s.low, s.high) for s in separations)
    note = "AUROC: the share of pairs of a known and a strange picture in the expected order; 0.5 says nothing."
    grid = Grid("What separates the kinds", ("number", "AUROC", "from", "to"), rows, note)
    about = (
        "Numbers that might show that a picture is of another kind than those that are known. Do not trust one to flag "
        "strange pictures before it has shown that it can: below 0.5 it points the wrong way."
    )
    return Section("Pictures of another kind", (about,), (chart, grid))


def _sentence(separation: SeparationLike) -> str:
    text = str(separation)
    return f"{text[0].upper()}{text[1:]}."


def _failures(evaluation: Evaluation) -> Section | None:
    rows = tuple((outcome.image, outcome.method or None, outcome.failure) for outcome in evaluation.failures)
    return (
        Section("What failed", blocks=(Grid("Maps without values", ("picture", "method", "why"), rows),))
        if rows
        else None
    )
