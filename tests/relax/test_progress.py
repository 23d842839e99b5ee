"""Whoever runs something long in a notebook sees how far it is; nobody else is bothered. Run in a real kernel."""

import inspect
import re

import pytest

import relax
from relax.progress import duration, shown

CELLS = {
    "bar": "import numpy as np, relax\n"
    "def mean(pixels): return pixels.mean((2, 3)) + 0.1\n"
    "picture = np.random.default_rng(0).random((24, 20, 3)).astype('float32')\n"
    "explanation = relax.explain(picture, mean, masks=64, cells=4)",
    "viewer": "explanation",
    "silent": "probe = relax.probe(picture, mean, masks=64, cells=4, progress=False)",
    "own": "calls = []\n"
    "probe = relax.probe(picture, mean, masks=64, cells=4, progress=lambda done, total: calls.append(done))\n"
    "assert calls[-1] == 64",
    "words": "evaluation = relax.evaluate([picture], None, mean, methods=['random'], metrics=['entropy'])",
    "stopped": "from relax.progress import shown\n"
    "with shown(None, 'masks') as report:\n"
    "    report('<b>embedding', 1, 4)\n"
    "    raise KeyError('x')",
}


@pytest.fixture(scope="module")
def outputs():
    """What each cell shows when the notebook is saved, and what it showed at first."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS.values()])
    first = {}

    class Client(nbclient.NotebookClient):
        def output(self, outs, msg, display_id, cell_index):
            if msg["msg_type"] == "display_data":
                first.setdefault(list(CELLS)[cell_index], msg["content"]["data"])
            return super().output(outs, msg, display_id, cell_index)

    Client(notebook, timeout=120, allow_errors=True, kernel_name="python3").execute()
    saved = {
        name: [output for output in cell.outputs if output.output_type != "stream"]
        for name, cell in zip(CELLS, notebook.cells, strict=True)
    }
    return saved, first


def test_a_long_call_shows_a_bar_and_at_last_how_long_it_took(outputs):
    saved, first = outputs

    assert re.fullmatch(
        r'<div style="[^"]*"><progress max="1" value="1.0000".*64 of 64 masks</div>', first["bar"]["text/html"]
    )
    assert first["bar"]["text/plain"] == "64 of 64 masks"
    (bar,) = saved["bar"]
    assert re.fullmatch(r"done in \d+\.\d s", bar["data"]["text/plain"])
    assert "<progress" not in bar["data"]["text/html"]
    assert first["words"]["text/plain"] == "0 of 1 maps · array (24, 20, 3), random"


def test_false_or_a_function_of_ones_own_takes_its_place(outputs):
    saved, _ = outputs

    assert saved["silent"] == []
    assert saved["own"] == []


def test_an_error_ends_the_bar_and_words_are_no_html(outputs):
    saved, first = outputs

    bar, error = saved["stopped"]
    assert bar["data"]["text/plain"].startswith("stopped after")
    assert error["ename"] == "KeyError"
    assert "1 of 4 masks · &lt;b&gt;embedding" in first["stopped"]["text/html"]


def test_an_explanation_is_the_last_line_of_a_cell_as_viewer_figure_and_text(outputs):
    (shown_output,) = outputs[0]["viewer"]

    assert {"text/html", "image/png", "text/plain"} == set(shown_output["data"])
    assert "<iframe" in shown_output["data"]["text/html"]
    assert shown_output["data"]["text/plain"].startswith("Explanation of array (24, 20, 3), 24 x 20 px, through mean")


def test_outside_a_notebook_there_is_no_bar():
    with shown(None, "masks") as report:
        assert report is None
    with shown(False, "masks") as report:
        assert report is None
    with shown(print, "masks") as report:
        assert report is print


@pytest.mark.parametrize("progress", [True, 0, "bar", 3.5])
def test_what_is_neither_is_refused(progress):
    with pytest.raises(ValueError, match=r"progress must be a function of \(done, total\), or False for no bar; got "):
        relax.probe([[0.5]], progress=progress)


def test_every_public_function_with_progress_takes_false():
    """All of them but those that are themselves watched or write one file."""
    functions = {name: getattr(relax, name) for name in relax.__all__ if callable(getattr(relax, name))}
    types = {
        name: str(inspect.signature(function).parameters["progress"].annotation)
        for name, function in functions.items()
        if not inspect.isclass(function) and "progress" in inspect.signature(function).parameters
    }

    assert {name for name, kind in types.items() if "Silent" not in kind} == {"explaining", "write_report"}
    assert len(types) >= 11


def test_durations_are_read_at_a_glance():
    assert [duration(seconds) for seconds in (0.04, 59.94, 200.4, 3900)] == [
        "0.0 s",
        "59.9 s",
        "3 min 20 s",
        "1 h 5 min",
    ]
