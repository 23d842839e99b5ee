"""Every map is judged by what it explains: a class by its probability, a similarity by that minus the foil's."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import relax
from encoders import load
from encoders.heads.kinds import LinearHead
from relax.cli.app import run
from relax.metrics import Trial, insertion
from relax.metrics.maps import spearman
from relax.scene import Scene
from relax.settings import Hiding
from tests.relax.baselines.small import Linear, drawn

SHAPE, STEPS = (3, 12, 12), 20
CLASSES = ("cat", "dog", "owl")
ITSELF, PREDICTED = "cosine to the image itself", "probability of the predicted class"


@pytest.fixture
def encoder():
    return load(Linear(SHAPE), device="cpu")


@pytest.fixture
def head(encoder):
    weight = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    bias = -weight @ encoder(drawn(1, *SHAPE, seed=7))[0]  # so that pictures of noise lie near the boundaries
    return LinearHead(CLASSES, weight, bias).made_for(encoder)


@pytest.fixture
def pictures():
    return [drawn(*SHAPE, seed=seed) for seed in range(3)]


def probability(head, encoder, pixels, index):
    embedding = encoder.network.weight.flatten(1) @ pixels.flatten()
    odds = (head.weight @ embedding + head.bias).exp()
    return float(odds[index] / odds.sum())


def insertion_by_definition(picture, importance, score):
    """Show the pixels from the most important on, over black, in 20 steps; the area under the score by trapezoids."""
    pixels = [divmod(int(place), SHAPE[2]) for place in np.argsort(-importance, axis=None)]
    ends = [round(step * len(pixels) / STEPS) for step in range(STEPS + 1)]
    shown, scores = torch.zeros(SHAPE), []
    for start, stop in zip([0, *ends], ends, strict=False):
        for row, column in pixels[start:stop]:
            shown[:, row, column] = picture[:, row, column]
        scores.append(score(shown))
    widths = np.diff(ends) / len(pixels)
    return sum(width * (a + b) / 2 for width, a, b in zip(widths, scores, scores[1:], strict=False))


@pytest.mark.parametrize("target", [None, "owl", 1])
@pytest.mark.parametrize("method", ["rise", "occlusion", "input-x-gradient"])
def test_a_map_of_a_class_is_judged_by_the_probability_of_that_class(encoder, head, pictures, method, target):
    evaluation = relax.evaluate(
        pictures[:1], None, encoder, methods=[method], metrics=["insertion"], masks=40, head=head, target=target
    )

    importance = relax.explain(pictures[0], encoder, method=method, masks=40, head=head, target=target).importance
    of_picture = [probability(head, encoder, pictures[0], index) for index in range(3)]
    index = int(np.argmax(of_picture)) if target is None else head.class_index(target)
    expected = insertion_by_definition(pictures[0], importance, lambda shown: probability(head, encoder, shown, index))
    (outcome,) = evaluation.outcomes
    if len(np.unique(importance)) == importance.size:  # occlusion has equal pixels, whose order is drawn
        assert outcome.values["insertion"] == pytest.approx(expected, abs=1e-5)
    trial = Trial.of(Scene.of(pictures[0], encoder, Hiding()), head=head, target=target)
    assert outcome.values["insertion"] == pytest.approx(insertion(trial, importance), abs=1e-6)
    assert outcome.score == f"probability of {CLASSES[index]!r}"


def test_methods_without_a_class_are_judged_by_the_similarity_and_ranked_apart(encoder, head, pictures):
    methods = ["relax", "rise", "input-x-gradient", "random"]

    evaluation = relax.evaluate(
        pictures, None, encoder, methods=methods, metrics=["insertion", "entropy"], masks=40, head=head
    )
    without = relax.evaluate(pictures, None, encoder, methods=["relax"], metrics=["insertion"], masks=40)

    assert evaluation.settings["scores"] == {"relax": ITSELF, **dict.fromkeys(methods[1:], PREDICTED)}
    values = [outcome.values["insertion"] for outcome in evaluation.outcomes if outcome.method == "relax"]
    assert values == pytest.approx([outcome.values["insertion"] for outcome in without.outcomes])
    means = {(mean.metric, mean.method): mean for mean in evaluation.summary()}
    assert means["insertion", "relax"].rank == 1
    assert sorted(means["insertion", method].rank for method in methods[1:]) == [1, 2, 3]
    assert sorted(means["entropy", method].rank for method in methods) == [1, 2, 3, 4]
    assert means["insertion", "rise"].score == PREDICTED
    assert means["entropy", "rise"].score == ""


def test_a_foil_is_subtracted_in_what_maps_are_judged_by(encoder, pictures):
    picture, reference, foil = pictures
    keywords = {"reference": reference, "foil": foil, "masks": 40}

    evaluation = relax.evaluate(
        [picture], None, encoder, methods=["relax", "random"], metrics=["insertion"], **keywords
    )

    def contrast(shown):
        shown, near, far = (encoder(pixels[None])[0].double() for pixels in (shown, reference, foil))
        similarities = [torch.cosine_similarity(shown, other, 0) if shown.any() else 0.0 for other in (near, far)]
        return float(similarities[0] - similarities[1])

    importance = relax.explain(picture, encoder, **keywords).importance
    values = {outcome.method: outcome.values for outcome in evaluation.outcomes}
    assert values["relax"]["insertion"] == pytest.approx(
        insertion_by_definition(picture, importance, contrast), abs=1e-5
    )
    assert values["random"]["insertion"] < values["relax"]["insertion"]  # a control explains nothing, foil or not
    assert " minus that to " in evaluation.settings["scores"]["relax"]


def test_explaining_again_keeps_the_class_of_the_picture(encoder, head, pictures):
    """A map of the changed encoder or picture is of the class that was explained, whatever is predicted then."""
    evaluation = relax.evaluate(
        pictures[:1], None, encoder, methods=["input-x-gradient"], metrics=["sanity", "robustness"], head=head
    )

    (outcome,) = evaluation.outcomes
    assert outcome.failure == ""
    embeddings = encoder.network.weight.flatten(1) @ pictures[0].flatten()
    order = [index for index in range(3) if index != int(head.logits(embeddings[None])[0].argmax())]
    maps = [
        relax.explain(pictures[0], encoder, method="input-x-gradient", head=head, target=target).importance.ravel()
        for target in (None, *order)
    ]
    correlations = [spearman(maps[0].astype(float), other.astype(float)) for other in maps[1:]]
    assert outcome.values["target-randomisation"] == pytest.approx(np.mean(correlations), abs=1e-6)
    assert -1 <= outcome.values["encoder-randomisation"] < 0.9
    # The logit of a linear network moves by at most the radius times the weights: its map of one class hardly changes.
    assert 0 < outcome.values["max-sensitivity"] < 0.2


def test_trust_keeps_the_class_of_the_picture_where_its_mirror_image_is_taken_for_another(encoder, head):
    def predicted(pixels):
        return int(head.logits(encoder(pixels[None]))[0].argmax())

    picture = next(
        each for each in (drawn(*SHAPE, seed=n) for n in range(50)) if predicted(each) != predicted(each.flip(-1))
    )
    keywords = {"method": "input-x-gradient", "head": head, "masks": None}

    trust = relax.assess(picture, encoder, **keywords)

    assert trust.mirrored == relax.assess(picture, encoder, target=predicted(picture), **keywords).mirrored
    of_own, of_mirror = (
        relax.explain(pixels, encoder, method="input-x-gradient", head=head, target=predicted(picture)).importance
        for pixels in (picture, picture.flip(-1))
    )
    assert trust.mirrored == pytest.approx(np.corrcoef(of_own.ravel(), of_mirror[:, ::-1].ravel())[0, 1], abs=1e-3)


def test_the_shift_of_the_embedding_judges_only_maps_of_the_picture_itself(encoder, head, pictures):
    by_family = relax.evaluate(
        pictures[:1], None, encoder, methods=["relax", "rise"], metrics=["faithfulness"], masks=40, head=head
    )

    assert ["representation-shift" in outcome.values for outcome in by_family.outcomes] == [True, False]
    with pytest.raises(ValueError, match="metric representation-shift is how far the embedding moves, which says"):
        relax.evaluate(pictures, None, encoder, methods=["rise"], metrics=["representation-shift"], head=head)
    with pytest.raises(ValueError, match="metric representation-shift is how far"):
        relax.evaluate(pictures, None, encoder, metrics=["representation-shift"], reference=pictures[1])


def test_one_image_is_not_judged_by_what_its_map_does_not_explain(encoder, head, pictures):
    scene = Scene.of(pictures[0], encoder, Hiding())
    similarity, of_cat = Trial.of(scene), Trial.of(scene, head=head, target="cat")
    cat = relax.explain(pictures[0], encoder, method="rise", masks=40, head=head, target="cat")
    itself, control = (relax.explain(pictures[0], encoder, method=method) for method in ("occlusion", "random"))

    with pytest.raises(ValueError, match="trial scores the cosine to the image itself, and the explanation explains "):
        relax.evaluate_image(cat, trial=similarity)
    with pytest.raises(ValueError, match="trial scores the probability of 'cat', and the explanation explains the sim"):
        relax.evaluate_image(itself, trial=of_cat)
    with pytest.raises(ValueError, match="explains class 'cat'"):
        relax.evaluate_image(cat, trial=Trial.of(scene, head=head, target="dog"))

    expected = insertion(of_cat, cat.importance.astype(float))
    assert relax.evaluate_image(cat, trial=of_cat, metrics=["insertion"])["insertion"] == pytest.approx(expected)
    assert relax.evaluate_image(control, trial=of_cat)
    assert relax.evaluate_image(control, trial=similarity)


def test_another_head_is_another_evaluation(encoder, head, pictures):
    other = LinearHead(CLASSES, head.weight * 2, head.bias).made_for(encoder)
    keywords = {"methods": ["random"], "metrics": ["insertion"]}

    first, second = (
        relax.evaluate(pictures[:1], None, encoder, head=each, **keywords).settings["head"] for each in (head, other)
    )

    assert (first["kind"], second["kind"]) == ("linear", "linear")
    assert first["checksum"] != second["checksum"]
    assert first["checksum"] == LinearHead(CLASSES, head.weight.clone(), head.bias.clone()).checksum


def test_the_command_says_what_maps_are_judged_by(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    Image.fromarray(pixels).save("photos/a.png")
    encoder = load("default", device="cpu")
    dim = encoder(relax.read_image("photos/a.png")).shape[1]
    weight = torch.randn(2, dim, generator=torch.Generator().manual_seed(0))
    LinearHead(("cat", "dog"), weight, torch.zeros(2)).made_for(encoder).save("probe")
    arguments = ["evaluate", "photos", "--head", "probe", "--target", "dog", "--masks", "12", "--device", "cpu"]

    assert run([*arguments, "--methods", "relax,rise", "--metrics", "insertion"]) == 0

    out = " ".join(capsys.readouterr().out.split())
    assert "faithfulness of relax: to the cosine to the image itself, ranked apart" in out
    assert "faithfulness of rise: to the probability of class 'dog', ranked apart" in out
    with Path("relax-out/evaluation.csv").open(newline="") as stream:
        rows = {row["method"]: row for row in csv.DictReader(stream) if row["metric"] == "insertion"}
    assert rows["rise"]["score"] == "probability of 'dog'"
    assert rows["relax"]["score"] == ITSELF
    assert 0 < float(rows["rise"]["value"]) < 1
    settings = json.loads(Path("relax-out/summary.json").read_text())["settings"]
    assert settings["scores"] == {"relax": ITSELF, "rise": "probability of class 'dog'"}
    assert run([*arguments, "--methods", "relax,rise", "--metrics", "insertion", "--quiet"]) == 0  # from its files

    assert run(["explain", "photos/a.png", "--head", "probe", "--method", "rise", "--masks", "12", "--quiet"]) == 0
    assert json.loads(Path("relax-out/a.json").read_text())["target"] in ("cat", "dog")
    capsys.readouterr()
    assert run(["explain", "photos/a.png", "--head", "probe", "--masks", "12"]) == 2
    assert "head makes no difference to relax, which explains similarity" in capsys.readouterr().err
    assert run(["compare", "photos/a.png", "--encoders", "default,random:default", "--head", "probe"]) == 2
    assert "--head and --target are for --methods; --encoders compares RELAX" in capsys.readouterr().err
