"""Where words and sentences lie in a text: places of characters, by Unicode's categories, for any script.

A word is a run of letters, digits and their combining marks, with an apostrophe, full stop or hyphen between two of
them ("don't", "3.5", "well-known"). Signs that touch a word belong to it ("fever.", "(no"), so that nothing but white
space lies between two words. A character of Chinese or Japanese is a word of its own, as most tokenizers have it, and
so is an emoji with its modifiers. Sentences end at . ! ? … and their like before white space, and at line breaks:
"Dr. Who" is cut in two.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import pairwise

JOINERS = "'’.-_·"  # inside a word, between two letters or digits
ENDS = ".!?…。！？｡؟।"
CLOSING = "\"'”’»)]}"  # behind the end of a sentence
ZERO_WIDTH_JOINER = "\u200d"
IDEOGRAMS = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))

Span = tuple[int, int]


def words(text: str) -> list[Span]:
    """(start, end) of every word, in the order of the text; white space lies outside."""
    spans: list[Span] = []
    for start, end in _between_spaces(text):
        cores = list(_cores(text, start, end)) or [(start, end)]
        # Signs before the first word of a run belong to it, all others to the word before them.
        edges = [start, *(core[0] for core in cores[1:]), end]
        spans += pairwise(edges)
    return spans


def sentences(text: str) -> list[Span]:
    """(start, end) of every sentence, without the white space around it."""
    spans: list[Span] = []
    start = 0
    for place, letter in enumerate(text):
        following = text[place + 1] if place + 1 < len(text) else " "
        ended = letter in "\n\r\u2028\u2029" or (_is_end(text, place) and following.isspace()) or letter in "。！？｡"
        if ended:
            spans += _stripped(text, start, place + 1)
            start = place + 1
    return spans + _stripped(text, start, len(text))


def _is_end(text: str, place: int) -> bool:
    """Whether a sentence ends here: at a full stop, or a closing quotation mark behind one."""
    while place > 0 and text[place] in CLOSING:
        place -= 1
    return text[place] in ENDS


def _stripped(text: str, start: int, end: int) -> list[Span]:
    part = text[start:end]
    inner = part.strip()
    first = start + len(part) - len(part.lstrip())
    return [(first, first + len(inner))] if inner else []


def _between_spaces(text: str) -> Iterator[Span]:
    start = None
    for place, letter in enumerate(text):
        if letter.isspace() and start is not None:
            yield start, place
            start = None
        elif not letter.isspace() and start is None:
            start = place
    if start is not None:
        yield start, len(text)


def _cores(text: str, start: int, end: int) -> Iterator[Span]:
    """Words without their signs, in a run without white space."""
    place = start
    while place < end:
        kind = _kind(text[place])
        stop = place + 1
        if kind == "letter":
            while stop < end and _goes_on(text, stop, end):
                stop += 1
            yield place, stop
        elif kind in ("ideogram", "picture"):
            while stop < end and _modifies(text, stop):
                stop += 1
            yield place, stop
        place = stop


def _goes_on(text: str, place: int, end: int) -> bool:
    """Whether a word that began before this character has it, too."""
    letter = text[place]
    if _kind(letter) in ("letter", "mark"):
        return True
    return letter in JOINERS and place + 1 < end and _kind(text[place + 1]) == "letter"


def _modifies(text: str, place: int) -> bool:
    """Whether a character changes the picture before it: a mark, a tone of skin, or what a joiner joins to it."""
    letter = text[place]
    return _kind(letter) == "mark" or unicodedata.category(letter) == "Sk" or text[place - 1] == ZERO_WIDTH_JOINER


def _kind(letter: str) -> str:
    category = unicodedata.category(letter)
    if any(low <= ord(letter) <= high for low, high in IDEOGRAMS):
        return "ideogram"
    if category[0] in "LN":
        return "letter"
    if category[0] == "M" or letter == ZERO_WIDTH_JOINER:
        return "mark"
    return "picture" if category == "So" else "sign"
