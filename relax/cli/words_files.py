"""What `relax words` reads and writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relax.cli.console import UsageError, plain_table, print_table
from relax.cli.usage import usage_errors
from relax.files import write_files
from relax.text import number, shortened
from relax.words.tables import MOST_CHARACTERS

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from relax.words.explanation import TextExplanation
    from relax.words.question import TextQuestion


@contextmanager
def text_errors(debug: bool) -> Iterator[None]:
    """Everything that a command says is wrong is about its own arguments."""
    with usage_errors(debug=debug, of_images=True):
        yield


def read_text(text: str, name: str | None) -> tuple[str, str]:
    """The stem of the files and the text itself."""
    path = Path(text) if text.lower().endswith(".txt") and "\n" not in text else None
    stem = name or (path.stem if path else "text")
    if not stem.strip() or Path(stem).name != stem:
        raise UsageError(f"--name must be the name of files without a folder; got {shortened(stem, 60)!r}")
    return (stem, text) if path is None else (stem, text_of_file(path))


def text_of_file(path: Path) -> str:
    """The text of a file in UTF-8."""
    try:
        if path.stat().st_size > 4 * MOST_CHARACTERS + 4:
            raise UsageError(f"{path} must have at most {MOST_CHARACTERS:,} characters; it has more")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"{path} is not there: a text that ends in .txt is taken for the name of a file") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} must be UTF-8; byte {error.start:,} is not: save it as UTF-8") from None


def read_lines(texts: list[str], name: str | None) -> tuple[str, list[str]]:
    """The stem of the files and several texts: the arguments, or the lines of one file that have words."""
    if len(texts) == 1:
        stem, content = read_text(texts[0], name)
        if stem == (name or "text") and content == texts[0]:
            raise UsageError("texts must be two or more, or one .txt file with a text a line; got one")
        return stem, [line.strip() for line in content.splitlines() if line.strip()]
    stem, _ = read_text("", name)
    return stem, texts


def asked_question(
    text: str, encoder: str, pooling: str, device: str, seed: int, options: dict[str, Any]
) -> TextQuestion:
    """The question; a text that is none is refused before its encoder is loaded."""
    from encoders.words.loading import load_text_encoder
    from relax.words.question import TextQuestion, checked_text

    checked_text(text)
    return TextQuestion.of(text, load_text_encoder(encoder, device, pooling, seed), **options)


def write_explained(explained: TextExplanation, asked: TextQuestion, target: Path) -> list[Path]:
    """Figure, numbers and page."""
    from encoders import EncoderError
    from relax.plotting.drawing import file_of
    from relax.words.attention import TextAttention
    from relax.words.page import text_page

    attention = None
    tokens = asked.parts.tokens
    if tokens is not None:
        try:
            attention = TextAttention(tokens.pieces, tokens.special, asked.encoder.attentions(tokens))  # type: ignore[attr-defined]
        except EncoderError:  # a network that does not tell
            attention = None
    contents = {
        ".png": file_of(explained.plot()),
        ".json": (explained.to_json() + "\n").encode(),
        ".html": text_page([explained], attention).encode(),
    }
    return write_files(target, contents)


def tell(explained: TextExplanation) -> None:
    """The words of the largest effect, with their errors."""
    by = explained.provenance["by"]
    table = plain_table([by.removesuffix("s")], ["effect", "standard error"])
    for place in explained.top(10).tolist():
        value, error = float(explained.effect[place]), float(explained.standard_error[place])
        span = float(abs(explained.effect[explained.top(1)[0]])) / 100
        table.add_row(
            shortened(explained.words[place], 40), number(value, span), number(error) if error == error else "–"
        )
    record = explained.provenance
    print_table(
        f"{record['method']}: {shortened(record['scalar'], 120)}; all {by} shown {number(explained.score, 1e-3)}, all "
        f"hidden {number(explained.hidden, 1e-3)}",
        table,
    )
