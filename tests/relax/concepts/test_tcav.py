"""TCAV finds concepts that are there, says so of none that are not, and agrees with captum where it should."""

import json

import numpy as np
import pytest
import torch
from captum.concept import TCAV, Classifier, Concept
from safetensors.numpy import load_file
from timm.models import VisionTransformer
from torch import nn
from torch.utils.data import DataLoader

import relax
from encoders import Encoder
from encoders.heads.kinds import LinearHead
from encoders.preprocess import Preprocess
from relax.concepts.significance import against_chance, corrected, trial_of
from relax.concepts.vectors import Space, concept_vector
from tests.relax.concepts.planted import SIDE, planted_encoder

CELL = 8


def pictures(count, kind, seed):
    """Noise of grey, with a block of stripes ("stripes"), a red cell ("red") or nothing."""
    rng = np.random.default_rng(seed)
    arrays = []
    for _ in range(count):
        pixels = rng.uniform(0.3, 0.7, (SIDE, SIDE, 1)).repeat(3, 2).astype(np.float32)
        top, left = rng.integers(1, 4, 2) * CELL
        if kind == "stripes":
            pixels[top : top + 16, left : left + 16] = 0.5 + 0.4 * np.tile([1.0, -1.0], CELL)[None, :, None]
        if kind == "red":
            pixels[top : top + CELL, left : left + CELL] = (1, 0, 0)
        arrays.append(pixels)
    return arrays


class Bent(nn.Module):
    """The planted network, whose answer is not linear in the layer, so that gradients differ between pictures."""

    def __init__(self):
        super().__init__()
        self.inner = planted_encoder().network

    def forward(self, pixels):
        return torch.tanh(3 * self.inner(pixels)).square()


@pytest.fixture(scope="module")
def encoder():
    return Encoder(Bent(), name="bent", preprocess=Preprocess(size=(SIDE, SIDE)), channels=3)


@pytest.fixture(scope="module")
def test_of_three(encoder):
    concepts = {"stripes": pictures(12, "stripes", 1), "red": pictures(12, "red", 2), "none": pictures(12, "", 3)}
    head = LinearHead(("other", "striped"), weight=torch.eye(8)[[1, 5]], bias=torch.zeros(2))
    return relax.tcav(
        pictures(6, "stripes", 4), concepts, pictures(40, "", 5), encoder,
        layer="inner.relu", head=head, target="striped", runs=3, shuffles=99, fit="means",
    )  # fmt: skip


def test_a_concept_that_is_there_scores_1_and_one_that_is_not_says_nothing(test_of_three):
    stripes, red, none = test_of_three.scores

    assert (stripes.score, stripes.accuracy) == (1, 1)
    assert stripes.sensitivity > 0.9
    assert stripes.meaningful
    assert red.accuracy == 1  # the layer knows it
    assert not red.meaningful  # but no gradient goes there
    assert not none.meaningful
    assert none.accuracy_p > 0.05
    assert "so its score says nothing" in str(none)
    assert "does not move the score beyond chance" in str(red)
    assert "stripes raises the score: TCAV score 1.00" in str(stripes)


def test_its_vector_points_at_the_unit_that_sees_it(test_of_three):
    assert np.argmax(test_of_three["stripes"].direction) == 5
    assert np.argmax(test_of_three["red"].direction) == 3
    assert test_of_three["stripes"].direction @ test_of_three["stripes"].direction == pytest.approx(1)


def test_it_is_written_with_vectors_that_can_be_read(test_of_three, tmp_path):
    paths = test_of_three.save(tmp_path)

    assert {path.name for path in paths} == {"tcav.csv", "tcav.json", "tcav.png", "tcav.html", "cavs.safetensors"}
    vectors = load_file(tmp_path / "cavs.safetensors")
    np.testing.assert_allclose(vectors["red"], test_of_three["red"].direction, rtol=1e-6)
    record = json.loads((tmp_path / "tcav.json").read_text())
    assert [row["meaningful"] for row in record["concepts"]] == [1, 0, 0]
    assert "stripes raises the score" in (tmp_path / "tcav.html").read_text()


@pytest.mark.parametrize("fit", ["logistic", "means"])
def test_the_vector_of_two_clouds_is_the_known_normal(fit):
    """Two clouds of equal spread in all directions, moved apart along (3, 4, 0)."""
    rng = np.random.default_rng(0)
    clouds = rng.normal(size=(2, 1500, 3))
    clouds[0] += (1.8, 2.4, 0)

    vector = concept_vector(*clouds, fit=fit, rng=rng)

    assert vector.direction @ (0.6, 0.8, 0) > 0.999
    assert vector.accuracy == pytest.approx(0.933, abs=0.02)  # the normal distribution function at 1.5


def test_a_space_of_fewer_numbers_keeps_distances_and_takes_directions_back():
    rng = np.random.default_rng(1)
    values, direction = rng.normal(size=(7, 50)), rng.normal(size=50)
    space = Space.of(values)

    inside = space.into(values)

    assert inside.shape == (7, 6)
    differences = (values[:, None] - values[None]) / space.scale
    np.testing.assert_allclose(
        np.linalg.norm(inside[:, None] - inside[None], axis=2), np.linalg.norm(differences, axis=2)
    )
    seen = space.turned(direction[None])[0]
    np.testing.assert_allclose(seen @ inside[0], direction @ space.back(inside[0]))


def folders(count, rng):
    """Pictures of which 8 are called a concept without being one, and gradients that share a direction, 6 numbers."""
    for seed in range(count):
        gradients = rng.normal((2, 0, 0, 0, 0, 0), size=(5, 6))
        yield seed, rng.normal(size=(32, 6)), gradients / np.linalg.norm(gradients, axis=1, keepdims=True)


def test_folders_that_are_no_concept_are_called_as_often_as_the_level_says():
    called = 0
    for seed, values, gradients in folders(200, np.random.default_rng(2)):
        options = {"runs": 3, "shuffles": 19, "fit": "means", "seed": seed, "report": None}
        called += against_chance(values[:8], values[8:], gradients, **options).p <= 0.05

    assert called <= 18  # expected 10; more than 18 with a chance below 1 %


def test_the_published_test_calls_them_far_more_often_and_that_is_told():
    called, told = 0, []
    for seed, values, gradients in folders(12, np.random.default_rng(3)):
        options = {"runs": 30, "shuffles": 60, "fit": "means", "seed": seed, "report": None}
        p, error = against_chance(values[:8], values[8:], gradients, **options).published()
        called, told = called + (p <= 0.05), [*told, error]

    assert called >= 2  # of 400 folders 53 % were, and 22 % with 10 runs; ours called 5.5 %
    assert np.mean(told) > 0.3


def test_the_score_and_the_derivatives_are_captums_for_the_same_vectors(encoder, tmp_path, monkeypatch):
    """captum keeps pickled activations in a folder; it is used here only, with a classifier that has our vector."""
    shown, stripes, others = pictures(5, "stripes", 7), pictures(9, "stripes", 8), pictures(18, "red", 9)
    result = relax.tcav(
        shown, {"stripes": stripes}, others, encoder,
        layer="inner.relu", dimension=5, cells="all", runs=1, shuffles=19, fit="means",
    )  # fmt: skip
    direction = torch.from_numpy(result["stripes"].direction).float()

    class Ours(Classifier):
        def __init__(self):
            pass

        def train_and_eval(self, dataloader, **kwargs):
            return None

        def weights(self):
            return torch.stack([direction, -direction])

        def classes(self):
            return [0, 1]

    def batches(images):
        return DataLoader(torch.from_numpy(np.stack(images)).movedim(3, 1), batch_size=4)

    network = encoder.network
    sets = [Concept(0, "stripes", batches(stripes)), Concept(1, "others", batches(others))]
    reference = TCAV(network, "inner.relu", classifier=Ours(), save_path=str(tmp_path))
    scores = reference.interpret(torch.from_numpy(np.stack(shown)).movedim(3, 1), [sets], target=5)["0-1"]["inner.relu"]

    assert result["stripes"].score == float(scores["sign_count"][0])
    assert float(scores["magnitude"][0]) > 0


def test_without_a_head_the_question_is_what_the_pictures_have_in_common(encoder):
    result = relax.tcav(
        pictures(6, "stripes", 4), {"stripes": pictures(12, "stripes", 1)}, pictures(24, "", 5), encoder,
        layer="inner.relu", runs=3, shuffles=19,
    )  # fmt: skip

    assert result.target == "projection on the mean embedding of these pictures"
    assert result["stripes"].meaningful


def test_p_values_are_corrected_for_the_number_of_concepts():
    np.testing.assert_allclose(corrected(np.array([0.01, 0.04, 0.5])), [0.03, 0.06, 0.5])


def test_a_set_of_pictures_against_itself_has_no_direction():
    same = np.ones((6, 3))

    trial = trial_of(same, same, np.eye(3), runs=2, fit="means", rng=np.random.default_rng(0))

    assert (trial.accuracy, trial.sensitivity) == (0.5, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concepts": {"two": 2}}, "concept 'two' must have 5 pictures or more, better 30; got 2"),
        (
            {"concepts": {"many": 7}},
            "random must have at least twice as many pictures as any concept, 'many' has 7; got 12",
        ),
        ({"concepts": {}}, 'concepts must be {"name": folder or pictures}'),
        ({"dimension": 99}, "dimension must be a number of the embedding, 0 to 7; got 99"),
        ({"dimension": 1, "direction": np.ones(8)}, "dimension and direction are different questions"),
        ({"direction": np.zeros(8)}, "direction must not be all zeros"),
        ({"direction": np.ones(7)}, "direction must be 8 finite numbers, not all 0"),
        ({"target": "x"}, "target is a class of a head, and there is no head"),
        ({"cells": "some"}, "cells must be one of mean, all"),
        ({"fit": "svm"}, "fit must be one of logistic, means"),
        ({"shuffles": 3}, "shuffles must be a whole number, 19 or more; got 3"),
        ({"layer": "inner.rellu"}, "did you mean 'inner.relu'"),
    ],
)
def test_questions_that_are_impossible_are_told(encoder, options, message):
    given = {"concepts": {"stripes": 6}, "layer": "inner.relu", **options}
    concepts = {name: pictures(count, "stripes", 1) for name, count in given.pop("concepts").items()}

    with pytest.raises(ValueError, match=message.replace("{", r"\{").replace("}", r"\}")):
        relax.tcav(
            pictures(2, "stripes", 4),
            concepts,
            pictures(12, "", 5),
            encoder,
            shuffles=given.pop("shuffles", 19),
            **given,
        )


def test_in_a_network_with_a_class_token_the_default_is_a_layer_that_moves_the_score():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = VisionTransformer(img_size=SIDE, patch_size=16, embed_dim=8, depth=3, num_heads=1, num_classes=0)
    vit = Encoder(network, name="vit", preprocess=Preprocess(size=(SIDE, SIDE)), channels=3)
    asked = (pictures(2, "stripes", 4), {"stripes": pictures(5, "stripes", 1)}, pictures(10, "", 5), vit)

    assert relax.tcav(*asked, shuffles=19, fit="means").layer == "blocks.1"
    with pytest.raises(ValueError, match=r"the cells of 'blocks\.2' do not move it: choose an earlier one"):
        relax.tcav(*asked, layer="blocks.2", shuffles=19)


def test_a_layer_that_the_score_does_not_depend_on_is_told(encoder):
    class Beside(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.beside = nn.Conv2d(3, 4, 8, 8), nn.Conv2d(3, 4, 8, 8)

        def forward(self, pixels):
            self.beside(pixels)
            return self.used(pixels).mean((2, 3))

    beside = Encoder(Beside(), name="beside", preprocess=Preprocess(size=(SIDE, SIDE)), channels=3)

    with pytest.raises(ValueError, match="the cells of 'beside' do not move it"):
        relax.tcav(
            pictures(2, "", 1), {"x": pictures(5, "", 2)}, pictures(10, "", 3), beside, layer="beside", shuffles=19
        )
