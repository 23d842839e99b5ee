"""The committed results are all drawn, and what is drawn are their numbers."""

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from experiments.studies import figures


def draw(monkeypatch):
    monkeypatch.setattr("sys.argv", ["figures"])
    figures.main()


def test_every_figure_is_drawn_from_the_committed_results(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures, "IMAGES", tmp_path)

    draw(monkeypatch)

    assert "left out" not in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {f"results-{name}.png" for name in figures.FIGURES}
    for path in tmp_path.iterdir():
        assert np.asarray(Image.open(path).convert("L")).std() > 5, f"{path.name} is empty"


def test_an_experiment_without_results_is_left_out_and_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures, "IMAGES", tmp_path)
    monkeypatch.setattr(figures, "RESULTS", tmp_path)
    monkeypatch.setattr(figures, "FIGURES", {"planted": figures.planted})

    draw(monkeypatch)

    assert capsys.readouterr().out == "planted: left out, shortcuts.json is not there\n"


def test_a_dot_stands_at_its_mean_with_its_interval_on_its_line():
    axes = Figure().subplots()
    rows = [
        {"line": "a", "series": "x", "mean": "0.5", "low": "0.4", "high": "0.7"},
        {"line": "b", "series": "x", "mean": "0.9", "low": "0.8", "high": "1.0"},
    ]

    figures.dots(axes, rows, "line", "series", ["a", "b"], ["x"], "mean", ends=("low", "high"))

    (container,) = axes.containers
    points, _, (bars,) = container
    assert points.get_xdata().tolist() == [0.5, 0.9]
    assert points.get_ydata().tolist() == [0, 1]
    np.testing.assert_allclose([segment[:, 0] for segment in bars.get_segments()], [[0.4, 0.7], [0.8, 1.0]])
