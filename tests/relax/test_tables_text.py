"""No cell of a table that is written is a formula to a spreadsheet, numbers stay numbers, and text reads back."""

import csv
import io

import numpy as np
import pytest

from relax.text import cell_text, counted, csv_text

FORMULAS = [
    '=HYPERLINK("http://x","y")',
    "=cmd|' /C calc'!A0.png",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    "-",
    "--1",
    "-1.png",
    "+49 30 1234",
    "'=1",
    "'",
]


def cells(text):
    return [*csv.reader(io.StringIO(text, newline=""))]


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe_and_reads_back(text):
    ((cell,),) = cells(csv_text([[text]]))

    assert cell == f"'{text}"
    assert cell_text(cell) == text


@pytest.mark.parametrize("value", [-1, -0.5, np.float32(-2), "-1", "-0.25", "+3", "-1.5e-07", "-.5", "", None, True])
def test_numbers_stay_numbers(value):
    assert csv_text([[value, 0]]) == f"{'' if value is None else value},0\n"


@pytest.mark.parametrize("text", ["a.png", "a=b", "1-2", "Łódź", "a,b", 'a"b', " =1"])
def test_other_text_is_left_as_it_is(text):
    ((cell,),) = cells(csv_text([[text]]))

    assert cell == text == cell_text(cell)


def test_a_count_has_its_noun_in_the_singular_or_plural():
    told = [counted(1, "picture"), counted(2, "picture"), counted(1, "pass"), counted(1000, "pass"), counted(0, "tile")]
    assert told == ["1 picture", "2 pictures", "1 pass", "1,000 passes", "0 tiles"]
