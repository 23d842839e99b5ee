"""Words and sentences lie where readers see them, in any script, and together cover all that is no white space."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relax.words.segments import sentences, words


def parts(text, of=words):
    return [text[start:end] for start, end in of(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The patient has no fever.", ["The", "patient", "has", "no", "fever."]),
        ("don't well-known 3.5 e.g. (no) “so”", ["don't", "well-known", "3.5", "e.g.", "(no)", "“so”"]),
        ("fever—and pain", ["fever—", "and", "pain"]),
        ("- & fox", ["-", "&", "fox"]),
        ("e\u0301tude", ["e\u0301tude"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("مرحبا بالعالم!", ["مرحبا", "بالعالم!"]),
        ("患者无发热。", ["患", "者", "无", "发", "热。"]),
        ("great😀👍🏽 👩‍⚕️!", ["great", "😀", "👍🏽", "👩‍⚕️!"]),
        ("a\tb\n\n c\u00a0d", ["a", "b", "c", "d"]),
        ("<b>no</b>", ["<b>", "no</", "b>"]),
        ("   ", []),
    ],
)
def test_words(text, expected):
    assert parts(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("He said “no.” Then he left…", ["He said “no.”", "Then he left…"]),
        ("3.5 mg daily.\nNo fever", ["3.5 mg daily.", "No fever"]),
        ("一。二！", ["一。", "二！"]),
        ("  \n ", []),
    ],
)
def test_sentences(text, expected):
    assert parts(text, sentences) == expected


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.text(max_size=30))
def test_words_cover_all_but_white_space_in_order_without_overlap(text):
    for of in (words, sentences):
        spans = of(text)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
        assert all(start < end for start, end in spans)
        outside = set(range(len(text))) - {place for start, end in spans for place in range(start, end)}
        assert all(text[place].isspace() for place in outside)
