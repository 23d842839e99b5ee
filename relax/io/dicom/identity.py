"""Whether a path tells who somebody is: a name, a number, a date or a UID of a header, however people write it.

Zebedee_Quagmire, Mueller for Müller       names: each of their words, with or without accents, and all of them joined
1951-04-23, 23.4.51, 23-Apr-1951           dates: year first, day first or month first, with words, with two digits
PID 77-031 for PID-77031, 77031            numbers: with any separators, and without their letters
1_2_826_0_1                                UIDs: with any separators, and their last number
StElsewhere, MGH                           institutions: each of their words, and the initials of three and more

When in doubt it does: a path that is replaced by a hash harms nobody.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import partial

_LETTERS = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
_IN_TWO = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
_PARTICLES = re.compile(
    "al|am|an|ben|bin|da|das|de|del|den|der|di|do|dos|du|el|ibn|in|la|le|of|ten|ter|the|van|von|vom|zu|zum|zur|"
    "dr|jr|md|med|mr|mrs|ms|phd|prof|sr|anon|anonymi[sz]ed|anonymous|name|none|patient|test|unknown"
)
_PLACES = re.compile(
    f"{_PARTICLES.pattern}|cent(er|re|rum)|clini(c|cal|ca|co|que)|department|dept|fuer|general|health|hopital|hospital|"
    "imaging|institut|institute|infirmary|klini(k|ken|kum)|krankenhaus|medical|medicine|national|praxis|radiolog(ie|y)|"
    "regional|saint|sankt|sykehus|universitae?t|university|zentrum|ziekenhuis"
)
_NO_WORD = re.compile("(?!)")
_MONTHS = (  # the beginnings of their names in English, German, French, Spanish, Italian, Dutch and Norwegian
    *("jan|ene|gen", "feb|fev", "mar|maer|mrz|maa|mrt", "apr|abr|avr", "may|mai|mag|mei", "jun|juin|giu"),
    *("jul|juil|lug", "aug|ago|aou", "sep|set", "oct|okt|ott", "nov", "dec|dez|dic|des"),
)
_SHORT = 4  # letters of a word, below which it must stand alone
_SEPARATOR = r"[\W_]"


def tells_name(text: str, name: str) -> bool:
    """Whether the text holds a word of a person's name, or the whole name joined."""
    groups = [_words(group) for group in name.split("=")]  # letters, ideograms, phonetics
    return any(_tells_words(text, words, _PARTICLES) for words in groups)


def tells_place(text: str, place: str) -> bool:
    """Whether the text holds a word that tells an institution from others, or its initials."""
    words = _words(place)
    initials = ["".join(word[0] for word in words)] if len(words) > 2 else []
    return _tells_words(text, words, _PLACES) or _tells_words(text, initials, _NO_WORD)


def tells_number(text: str, number: str) -> bool:
    """Whether the text holds a number or UID, whatever separates its characters, or its digits alone."""
    characters = [character for character in _folded(number) if character.isalnum()]
    if len(characters) < 3:
        return False
    whole = rf"{_SEPARATOR}*".join(map(re.escape, characters))
    if len(characters) < 6:
        whole = rf"(?<!\d){whole}(?!\d)"
    runs = re.findall(r"\d{5,}", number)[-1:]  # the last: a UID begins with that of its maker
    digits = [rf"(?<!\d)0*{run.lstrip('0')}(?!\d)" for run in runs if len(run.lstrip("0")) > 3]
    return any(re.search(pattern, _folded(text)) for pattern in (whole, *digits))


def tells_date(text: str, date: str) -> bool:
    """Whether the text holds a date, given as DICOM writes it: YYYYMMDD, which a time may follow."""
    digits = re.sub(r"\D", "", date)[:8]
    if not re.fullmatch(r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", digits):
        return False
    return any(re.search(pattern, _folded(text)) for pattern in _forms_of_date(digits[:4], digits[4:6], digits[6:]))


def _forms_of_date(year: str, month: str, day: str) -> Iterator[str]:
    """Patterns of one date in folded text."""
    yield f"{year}{month}{day}|{day}{month}{year}|{month}{day}{year}"
    short, apart = year[2:], rf"{_SEPARATOR}{{1,3}}"
    either = rf"(?:{year}|{short})"
    months, days = (f"0?{int(part)}" for part in (month, day))
    name, days_named = rf"(?:{_MONTHS[int(month) - 1]})[^\W\d_]*", rf"{days}(?:st|nd|rd|th)?"
    orders = [(either, months, days), (days, months, either), (months, days, either)]
    joined = [short + month + day, day + month + short, month + day + short]
    named = [(days_named, name, either), (either, name, days_named), (name, days_named, either)]
    forms = [*joined, *map(apart.join, orders), *map(rf"{_SEPARATOR}{{0,3}}".join, named)]
    yield rf"(?<!\d)(?:{'|'.join(forms)})(?!\d)"


def _tells_words(text: str, words: list[str], ignored: re.Pattern[str]) -> bool:
    """Whether the text holds one of the words, or all of them joined, in this order or the other."""
    telling = [word for word in words if not any(map(ignored.fullmatch, _variants(word)))]
    joined = ["".join(words), "".join(reversed(words))] if telling and len(words) > 1 else []
    alone = {variant for word in _words(text) for variant in _variants(word)}
    holds = partial(_holds, [re.sub(rf"{_SEPARATOR}+", "", variant) for variant in _variants(text)], alone)
    return any(holds(variant) for word in (*telling, *joined) for variant in _variants(word))


def _holds(texts: list[str], alone: set[str], word: str) -> bool:
    """Whether a word stands in texts without separators; a short one must be a word of its own, or begin or end one."""
    if len(word) >= _SHORT or (len(word) > 1 and not word.isascii()):
        return any(word in text for text in texts)
    if len(word) < 3:
        return len(word) == 2 and word in alone
    return any(other.startswith(word) or other.endswith(word) for other in alone)


def _words(text: str) -> list[str]:
    """Runs of letters, parted before a capital that follows a small letter."""
    return re.findall(r"[^\W\d_]+", re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])", " ", unicodedata.normalize("NFC", text)))


def _variants(text: str) -> set[str]:
    """Folded, with accents left out and with them written as a second letter."""
    return {_folded(text), _folded(unicodedata.normalize("NFC", text).casefold().translate(_IN_TWO))}


def _folded(text: str) -> str:
    """In lower case and without accents; separators stay."""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    return "".join(character for character in plain if not unicodedata.combining(character))
