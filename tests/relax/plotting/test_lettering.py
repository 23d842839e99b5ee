"""Lines of text are as long as fits, and break where a reader would."""

import itertools

import pytest

from relax.plotting.lettering import broken, text_width


def test_lines_are_full_and_fit():
    lines = broken(["one", "two", "three", "four", "five", "six", "seven"], 0.8, 6)

    assert " ".join(lines) == "one two three four five six seven"
    assert all(text_width(line, 6) <= 0.8 for line in lines)
    for line, following in itertools.pairwise(lines):
        assert text_width(f"{line} {following.split()[0]}", 6) > 0.8


def test_phrases_stay_whole_if_they_can():
    width = text_width("seven masks", 6)

    assert broken(["cells 7", "seven masks", "a"], width, 6, separator=" · ") == ["cells 7", "seven masks", "a"]
    assert broken(["cells 7", "a"], 2, 6, separator=" · ") == ["cells 7 · a"]


def test_a_long_name_is_cut_after_a_mark():
    name = "folder_of_pictures/another_folder"

    assert broken([name], text_width("folder_of_pictures/ano", 6), 6) == ["folder_of_pictures/", "another_folder"]


def test_a_long_word_is_cut_at_a_letter_and_loses_none():
    lines = broken(["a", "W" * 50], 0.5, 6)

    assert "".join(lines) == "a " + "W" * 50
    assert all(text_width(line, 6) <= 0.5 for line in lines)


def test_nothing_has_no_lines():
    assert broken([""], 1, 6) == []


@pytest.mark.parametrize("text", ["$x^2$", "猫", "a\tb"])
def test_any_text_has_a_width(text):
    assert text_width(text, 6) > 0


def test_a_width_is_in_inches():
    """Ten digits of DejaVu Sans, whose digits are 0.636 em wide, at 72 points to the inch."""
    assert text_width("0123456789", 7.2) == pytest.approx(10 * 0.636 * 7.2 / 72, rel=0.08)
