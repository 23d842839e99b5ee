"""Strange pictures are told from known ones by numbers whose separation is counted pair by pair."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import relax
from encoders import load
from relax.cli.app import run
from relax.metrics import auroc, auroc_interval, coverage
from relax.questions.strangers import distance_to
from tests.relax.baselines.small import drawn, small_cnn

MASKS = 24


def test_the_area_is_the_share_of_pairs_in_the_right_order():
    """Of the six pairs of (1, 2, 3) with (2.5, 3), four are in order and one is a tie."""
    known, other = np.array([1.0, 2, 3]), np.array([2.5, 3])

    assert auroc(known, other) == pytest.approx(4.5 / 6)
    low, high = auroc_interval(known, other)
    assert 0 <= low < 4.5 / 6 < high <= 1
    assert np.isnan(auroc_interval(known, other[:1])).all()
    assert np.isnan(auroc(known, np.array([])))


def test_the_distance_is_the_mean_over_the_nearest_others():
    """Unit vectors at 0, 60 and 90 degrees: cosines 1/2, 0 and cos 30."""
    angles = np.deg2rad([0, 60, 90])
    known = np.stack([np.cos(angles), np.sin(angles)], 1) * [[1], [2], [3]]

    np.testing.assert_allclose(distance_to(known, known, 1, themselves=True), [0.5, 1 - 0.75**0.5, 1 - 0.75**0.5])
    np.testing.assert_allclose(distance_to(known[:1], known, 2), [1 - (1 + 0.5) / 2])
    np.testing.assert_allclose(distance_to(known, known, 9, themselves=True)[0], 1 - (0.5 + 0) / 2, atol=1e-12)


def test_each_number_is_that_of_the_map_or_of_the_embeddings():
    encoder = load(small_cnn(), device="cpu")
    known, strange = [drawn(3, 16, 16, seed=seed) for seed in range(3)], [drawn(3, 16, 16, seed=9) * 0.1]

    answer = relax.strangers(known, strange, encoder, masks=MASKS, neighbours=1)

    assert [sight.strange for sight in answer.sights] == [False, False, False, True]
    explanation = relax.explain(strange[0], encoder, masks=MASKS)
    assert answer.sights[3].uncertainty == pytest.approx(float(explanation.uncertainty.mean()), rel=1e-5)
    assert answer.sights[3].importance == pytest.approx(float(explanation.importance.mean()), rel=1e-5)
    embeddings = np.stack([encoder(picture[None])[0].numpy() for picture in (*known, *strange)]).astype(float)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    assert answer.sights[3].distance == pytest.approx(1 - max(unit[:3] @ unit[3]), abs=1e-6)
    assert answer.sights[0].distance == pytest.approx(1 - max(unit[1:3] @ unit[0]), abs=1e-6)
    by_importance = answer.separations()[1]
    higher = [sight.importance > answer.sights[3].importance for sight in answer.sights[:3]]
    assert by_importance.auroc == pytest.approx(np.mean(higher))  # strange pictures are expected to have less
    assert "AUROC" in str(answer)


@pytest.mark.parametrize(
    ("images", "strange", "keywords", "message"),
    [
        (1, 1, {}, "images must be two or more known pictures, and strange one or more; got 1 and 1"),
        (2, 0, {}, "got 2 and 0"),
        (2, 1, {"neighbours": 0}, "neighbours must be a whole number, 1 or more; got 0"),
    ],
)
def test_too_few_pictures_or_neighbours_are_refused(images, strange, keywords, message):
    encoder, picture = load(small_cnn(), device="cpu"), drawn(3, 16, 16)

    with pytest.raises(ValueError, match=message):
        relax.strangers([picture] * images, [picture] * strange, encoder, masks=MASKS, **keywords)


def test_an_interval_covers_where_the_truth_lies_within_two_errors():
    importance, truth = np.zeros((1, 4)), np.array([[0.0, 1.9, 2.0, np.nan]])

    assert coverage(importance, np.ones((1, 4)), truth) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match=r"must have one size; got \(1, 4\), \(1, 4\) and \(4, 1\)"):
        coverage(importance, importance, truth.T)


def test_errors_of_relax_are_about_honest_and_methods_without_any_have_no_value():
    encoder = load(small_cnn(), device="cpu")
    pictures = [drawn(3, 16, 16, seed=seed) for seed in range(6)]

    evaluation = relax.evaluate(
        pictures, None, encoder, methods=["relax", "occlusion"], metrics=["coverage", "entropy"], masks=600
    )

    values = [outcome.values["coverage"] for outcome in evaluation.outcomes if outcome.method == "relax"]
    assert 0.85 < np.mean(values) <= 1
    assert not any("coverage" in outcome.values for outcome in evaluation.outcomes if outcome.method == "occlusion")
    assert evaluation.failures == []


def test_the_command_tells_strange_pictures_and_writes_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for folder, scale in (("photos", 255), ("smears", 40)):
        Path(folder).mkdir()
        for number in range(2):
            pixels = random.integers(0, scale, (40, 40, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(f"{folder}/{number}.png")

    common = ["--masks", "12", "--device", "cpu", "--methods", "random", "--metrics", "entropy"]
    assert run(["evaluate", "photos", "--strange", "smears", "--report", "page.html", *common]) == 0

    out = capsys.readouterr().out
    assert "strange pictures (AUROC" in out
    with Path("relax-out/strange.csv").open(newline="") as stream:
        assert [row["strange"] for row in csv.DictReader(stream)] == ["False", "False", "True", "True"]
    record = json.loads(Path("relax-out/strange.json").read_text())
    assert [row["by"] for row in record["separations"]] == ["uncertainty", "importance", "distance"]
    assert "<html" in Path("page.html").read_text()
