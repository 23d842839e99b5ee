"""Results print as a line or two that say what they hold, never as arrays."""

import numpy as np
from PIL import Image

import relax
from relax.metrics import METRICS, Evaluation, Outcome
from relax.questions.comparison import Comparison
from tests.relax.report.test_report import explanation


def mean(pixels):
    return pixels.mean((2, 3)) + 0.1


PICTURE = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)


def test_a_probe():
    text = repr(relax.probe(PICTURE, mean, masks=64, cells=4))

    assert text == "Probe of array (20, 24, 3): 64 masked views, embedded by mean in 3 dimensions"


def test_an_archive(tmp_path):
    (tmp_path / "photos").mkdir()
    for shade in (10, 200):
        Image.fromarray(PICTURE // 2 + shade // 4).save(tmp_path / "photos" / f"{shade}.png")
    (tmp_path / "photos" / "bad.png").write_text("")

    text = repr(relax.make_archive(tmp_path / "photos", mean, tmp_path / "out"))

    assert text == (
        f"Archive of photos: 2 embeddings (D=3), 1 without one, by mean, flat index for cosine, in {tmp_path / 'out'}"
    )


def test_a_comparison():
    comparison = Comparison({"relax": explanation(), "lime": explanation()}, {"gradcam": "no layer"})

    image = explanation().provenance["image"]
    assert repr(comparison) == f"Comparison of 2 methods on {image}: relax, lime; failed: gradcam"
    assert repr(Comparison({}, {"x": "y"}, "encoders")) == "Comparison of 0 encoders: ; failed: x"


def test_an_evaluation():
    outcomes = (
        Outcome("a.png", "relax", {"entropy": 0.5}),
        Outcome("b.png", "relax", {}, failure="no"),
        Outcome("a.png", "random", {"entropy": 0.7}),
        Outcome("b.png", "random", {"entropy": 0.7}),
    )

    text = repr(Evaluation(outcomes, (METRICS["entropy"],), {}))

    assert text == "Evaluation of relax, random on 2 pictures, 1 of 4 maps failed\nby entropy"


def test_an_explanation_is_two_lines():
    assert len(repr(explanation()).split("\n")) == 2
