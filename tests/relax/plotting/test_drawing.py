"""A figure is the same file every time, in every format, without a date in it, and a picture in notebooks."""

import hashlib
import io
import os
import subprocess
import sys

import pytest
from PIL import Image

import relax
from relax.plotting.drawing import FORMATS, file_of
from tests.paths import ROOT
from tests.relax.plotting.explanations import explanation

STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
DIGEST = """
import hashlib
from relax.plotting.drawing import FORMATS, file_of
from relax.plotting.figure import figure
from tests.relax.plotting.explanations import explanation
for format in FORMATS:
    print(format, hashlib.sha256(file_of(figure(explanation()), format)).hexdigest())
"""


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_written_without_a_date(format):
    content = file_of(relax.figure(explanation()), format)

    assert content.startswith(STARTS[format])
    for word in (b"CreationDate", b"ModDate", b"dc:date"):
        assert word not in content


def test_the_files_are_the_same_in_another_process():
    """Another seed of Python's hashes, another day."""
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT), "SOURCE_DATE_EPOCH": "86400"}
    done = subprocess.run(
        [sys.executable, "-c", DIGEST], capture_output=True, text=True, cwd=ROOT, env=environment, check=True
    )

    drawing = relax.figure(explanation())
    here = {format: hashlib.sha256(file_of(drawing, format)).hexdigest() for format in FORMATS}
    assert dict(line.split() for line in done.stdout.splitlines()) == here


def test_savefig_writes_the_same_bytes_to_a_path(tmp_path):
    drawing = relax.figure(explanation())

    for format in FORMATS:
        drawing.savefig(tmp_path / f"cat.{format}")
        assert (tmp_path / f"cat.{format}").read_bytes() == file_of(drawing, format)


def test_the_resolution_can_be_chosen():
    stream = io.BytesIO()

    relax.figure(explanation(), width=4).savefig(stream, format="png", dpi=50)

    assert Image.open(stream).width == 200
    assert Image.open(io.BytesIO(file_of(relax.figure(explanation(), width=4)))).width == 800


def test_the_letters_of_a_pdf_are_text():
    content = file_of(relax.figure(explanation()), "pdf")

    assert b"/TrueType" in content or b"/CIDFontType2" in content
    assert b"/Type3" not in content


def test_notebooks_show_a_figure_without_pyplot():
    assert relax.figure(explanation())._repr_png_().startswith(STARTS["png"])
    assert explanation()._repr_png_().startswith(STARTS["png"])


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match=r"format must be one of png, svg, pdf; got 'pgn': did you mean 'png'\?"):
        file_of(relax.figure(explanation()), "pgn")
