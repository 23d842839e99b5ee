"""`relax words explain`, `compare`, `similar`, `encoders`: which words of a text make its embedding."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from encoders.words.kinds import POOLINGS, TEXT_KINDS
from relax.cli.console import DONE, plain_table, print_table, progress_bar
from relax.cli.options import DEFAULT_OUT, OUT_PANEL, QUESTION_PANEL, Debug, Out, Quiet
from relax.cli.usage import check_out, choice, command_group, listed
from relax.cli.words_files import asked_question, read_lines, read_text, tell, text_errors, write_explained
from relax.cli.words_options import (
    COMPARE_EXAMPLES,
    EXPLAIN_EXAMPLES,
    SIMILAR_EXAMPLES,
    By,
    Cut,
    Device,
    Fill,
    Foil,
    Image,
    Json,
    Keep,
    Masks,
    Name,
    Pooling,
    Reference,
    Seed,
    Similarity,
    Text,
    TextEncoderSpec,
)
from relax.files import file_names, write_files
from relax.text import number, shortened
from relax.words.tables import ENCODER, FILLS, KEEP, MASKS, METHODS, PARTS

words_app = command_group("Texts: which words make the embedding of a sentence, and how close sentences are.")


@words_app.command(epilog=EXPLAIN_EXAMPLES)
def explain(
    text: Text,
    encoder: TextEncoderSpec = ENCODER,
    reference: Reference = None,
    foil: Foil = None,
    image: Image = None,
    similarity: Similarity = "cosine",
    method: Annotated[
        str, typer.Option(metavar="NAME", help=f"{', '.join(METHODS)}.", rich_help_panel=QUESTION_PANEL)
    ] = "relax",
    pooling: Pooling = "auto",
    by: By = "words",
    fill: Fill = "auto",
    masks: Masks = MASKS,
    keep: Keep = KEEP,
    cut: Cut = False,
    seed: Seed = 0,
    device: Device = "auto",
    name: Name = None,
    as_json: Json = False,
    out: Out = DEFAULT_OUT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Show which words make the embedding of a text, or bring it close to another text or to a picture.

    Writes STEM.png (the words in colours), STEM.json (every number, and how it was made) and STEM.html (a page, with
    the attention of every layer and head where the network tells it).
    """
    choice("--method", method, METHODS)
    question: dict[str, Any] = {
        "reference": reference, "foil": foil, "image": image, "similarity": similarity, "by": by, "fill": fill,
        "cut": cut,
    }  # fmt: skip
    with text_errors(debug):
        stem, content = read_text(text, name)
        check_out(out)
        asked = asked_question(content, encoder, pooling, device, seed, question)
        with progress_bar("subsets", visible=not quiet) as bar:
            task = bar.add_task("explaining", total=None)
            explained = asked.answered(
                method,
                masks=masks,
                keep=keep,
                seed=seed,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        if as_json:
            typer.echo(explained.to_json())
            return DONE
        files = write_explained(explained, asked, out / stem)
    if not quiet:
        tell(explained)
        typer.echo(f"written: {file_names(files)}")
    return DONE


@words_app.command(epilog=COMPARE_EXAMPLES)
def compare(
    text: Text,
    methods: Annotated[
        str, typer.Option(metavar="NAMES", help="Comma-separated.", rich_help_panel=QUESTION_PANEL)
    ] = ",".join(METHODS),
    encoder: TextEncoderSpec = ENCODER,
    reference: Reference = None,
    foil: Foil = None,
    image: Image = None,
    similarity: Similarity = "cosine",
    pooling: Pooling = "auto",
    by: By = "words",
    fill: Fill = "auto",
    masks: Masks = MASKS,
    keep: Keep = KEEP,
    cut: Cut = False,
    seed: Seed = 0,
    device: Device = "auto",
    name: Name = None,
    as_json: Json = False,
    out: Out = DEFAULT_OUT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Ask several methods which words matter, and hide the words in the order of each to see which is right.

    Writes STEM-compare.json and STEM-compare.html.
    """
    names = listed("--methods", methods, METHODS)
    question: dict[str, Any] = {
        "reference": reference, "foil": foil, "image": image, "similarity": similarity, "by": by, "fill": fill,
        "cut": cut,
    }  # fmt: skip
    with text_errors(debug):
        from relax.words.comparing import compare_text_methods
        from relax.words.page import text_page

        stem, content = read_text(text, name)
        check_out(out)
        asked = asked_question(content, encoder, pooling, device, seed, question)
        with progress_bar("subsets", visible=not quiet) as bar:
            task = bar.add_task("comparing", total=None)
            comparison = compare_text_methods(
                asked,
                names,
                masks=masks,
                keep=keep,
                seed=seed,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        explained = {key: json.loads(explanation.to_json()) for key, explanation in comparison.explanations.items()}
        record = json.dumps({**comparison.record(), "explanations": explained}, indent=2)
        if as_json:
            typer.echo(record)
            return DONE
        page = text_page(list(comparison.explanations.values()), None, comparison)
        files = write_files(out / stem, {"-compare.json": (record + "\n").encode(), "-compare.html": page.encode()})
    if not quiet:
        table = plain_table(["order of"], ["largest effect first", "smallest effect first"])
        for key in comparison.first:
            table.add_row(key, number(comparison.first[key], 1e-3), number(comparison.last[key], 1e-3))
        print_table("mean similarity while words are hidden: lower is better first, higher is better last", table)
        typer.echo(f"written: {file_names(files)}")
    return DONE


@words_app.command(epilog=SIMILAR_EXAMPLES)
def similar(
    texts: Annotated[
        list[str], typer.Argument(metavar="TEXT...", help="Two texts or more, or one .txt file with a text a line.")
    ],
    encoder: TextEncoderSpec = ENCODER,
    layout: Annotated[str, typer.Option(metavar="NAME", help="pca or tsne.", rich_help_panel=OUT_PANEL)] = "pca",
    pooling: Pooling = "auto",
    seed: Seed = 0,
    device: Device = "auto",
    name: Name = None,
    as_json: Json = False,
    out: Out = DEFAULT_OUT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Compare texts with each other: cosine beside Euclidean distance, nearest texts, and a map.

    Writes STEM-similar.png, STEM-similar.json and STEM-similar.html.
    """
    with text_errors(debug):
        from relax.plotting.drawing import file_of
        from relax.report.page import page
        from relax.words.page import similar_report
        from relax.words.similar import similar_texts

        stem, lines = read_lines(texts, name)
        check_out(out)
        with progress_bar("texts", visible=not quiet) as bar:
            task = bar.add_task("embedding", total=None)
            similarities = similar_texts(
                lines,
                encoder=encoder,
                layout=layout,
                pooling=pooling,
                seed=seed,
                device=device,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        record = json.dumps(similarities.record(), indent=2)
        if as_json:
            typer.echo(record)
            return DONE
        contents = {
            "-similar.png": file_of(similarities.plot()),
            "-similar.json": (record + "\n").encode(),
            "-similar.html": page(similar_report(similarities)).encode(),
        }
        files = write_files(out / stem, contents)
    if not quiet:
        table = plain_table(["text", "nearest by cosine", "nearest by distance"], ["cosine", "distance"])
        for place, (first, second) in enumerate(similarities.nearest.tolist()):
            row = [shortened(similarities.texts[each], 48) for each in (place, first, second)]
            table.add_row(
                *row,
                number(similarities.cosine[place, first], 1e-3),
                number(similarities.euclidean[place, second], 1e-3),
            )
        print_table(table)
        typer.echo(f"written: {file_names(files)}")
    return DONE


@words_app.command()
def encoders() -> int:
    """List the text encoders, the methods, and what can stand in place of a hidden word."""
    rows = [(kind.example, f"{kind.what}; {kind.notes}") for kind in TEXT_KINDS]
    sections = {
        "encoders (--encoder)": rows,
        "pooling (--pooling, ?pooling=)": list(POOLINGS.items()),
        "methods (--method)": [
            (row.name, f"{row.what}; {row.source}; passes: {row.passes}") for row in METHODS.values()
        ],
        "hidden as a whole (--by)": list(PARTS.items()),
        "in place of a hidden word (--fill)": list(FILLS.items()),
    }
    width = max(len(key) for pairs in sections.values() for key, _ in pairs)
    for title, pairs in sections.items():
        typer.echo(f"{title}\n" + "".join(f"  {key:<{width}}  {what}\n" for key, what in pairs))
    return DONE
