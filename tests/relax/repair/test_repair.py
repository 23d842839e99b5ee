"""A mark that lies in known directions is taken out of them, and every number of the chain by hand."""

import json

import numpy as np
import pytest
import torch

import relax
from relax.auditing.neighbours import unit
from relax.influence.labels import Named
from relax.repair.directions import directions_of, told, without
from relax.repair.marked import LEAST, Marks, Twins, _elsewhere, drawn
from relax.repair.steps import AS_IS, HIDDEN, QUESTIONS, REPAIRED, TAUGHT, Bench, Step
from tests.relax.repair.planted import MARKED, archive_of, write_pictures


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repair")
    marks = write_pictures(folder)
    return archive_of(folder), marks


@pytest.fixture(scope="module")
def repair(pictures):
    archive, marks = pictures
    return relax.repair_encoder(archive, marks, labels="folders", directions=3, fill="mean", neighbours=5)


def twins(present, absent, marked=None, rows=None, aside=None):
    present, absent = np.asarray(present, float), np.asarray(absent, float)
    rows = np.arange(len(present)) if rows is None else np.asarray(rows)
    marked = np.arange(len(present)) % 2 == 0 if marked is None else np.asarray(marked)
    return Twins(rows, marked, present, absent, np.full_like(present, np.nan) if aside is None else aside)


def test_a_mark_in_three_directions_is_gone_without_these_three(repair):
    """Hidden or pasted, it changes the three numbers of its block, so nothing is left of it."""
    assert repair.directions.shape == (3, 48)
    outside = np.delete(repair.directions, MARKED, axis=1)
    # Directions are of embeddings at length 1, whose other numbers move with the length, too: a little.
    assert np.abs(outside).max() < 0.2
    assert repair.step("told", AS_IS).value == 1
    assert repair.step("moved", REPAIRED).value < 0.1 * repair.step("moved", AS_IS).value
    assert repair.step("new neighbours", REPAIRED).value < 0.4 * repair.step("new neighbours", AS_IS).value


def test_what_the_head_owes_to_the_mark_is_gone_too(repair):
    """The mark tells the two folders in 9 of 10 pictures, and moving it misleads the head."""
    assert repair.step("accuracy lost", AS_IS).value > 0.3
    assert abs(repair.step("accuracy lost", REPAIRED).value) < 0.15
    assert repair.step("marked neighbours", AS_IS).value > 0.2
    assert abs(repair.step("marked neighbours", REPAIRED).value) < 0.1
    assert abs(repair.step("marked neighbours", HIDDEN).value) < 0.15


def test_the_first_direction_is_the_mean_difference_and_all_are_orthonormal():
    rng = np.random.default_rng(0)
    absent = rng.normal(size=(20, 6))
    present = absent + np.array([5.0, 0, 0, 0, 0, 0]) + 0.1 * rng.normal(size=(20, 6))
    some = twins(present, absent)

    directions = directions_of(some, 4)

    mean = (unit(present) - unit(absent)).mean(0)
    assert directions[0] == pytest.approx(mean / np.linalg.norm(mean))
    assert directions @ directions.T == pytest.approx(np.eye(4), abs=1e-12)
    assert len(directions_of(some, 99)) == 6


def test_without_takes_out_the_parts_along_the_directions():
    assert without(np.array([[3.0, 4.0, 5.0]]), np.array([[0.0, 1.0, 0.0]])).tolist() == [[3, 0, 5]]
    assert without(np.array([[3.0, 4.0]]), np.zeros((0, 2))).tolist() == [[3, 4]]


def test_twins_that_are_alike_are_told_by_a_coin():
    values = np.random.default_rng(1).normal(size=(40, 5))

    assert told(twins(values, values), np.zeros((0, 5))).tolist() == [0.5] * 40


def test_a_mark_that_adds_one_vector_is_told_until_that_is_taken_out():
    """The vector leads from (9, 0) to (72 ** 0.5, 3), which are of one length, in every picture."""
    rng = np.random.default_rng(2)
    absent = np.concatenate([rng.normal(size=(80, 6)), np.full((80, 1), 9.0), np.zeros((80, 1))], 1)
    present = absent.copy()
    present[:, 6:] = 72**0.5, 3
    some = twins(present, absent)

    assert told(some, np.zeros((0, 8))).mean() == 1
    assert told(some, directions_of(some, 1)).mean() == pytest.approx(0.5, abs=0.1)


def test_the_picture_and_its_twin():
    some = twins([[1, 0], [2, 0]], [[3, 0], [4, 0]], marked=[True, False])

    assert some.itself[:, 0].tolist() == [1, 4]
    assert some.twin[:, 0].tolist() == [3, 2]
    assert some.some(some.marked).rows.tolist() == [0]


def bench(neighbours=1, labels=None):
    """Four pictures at 0, 10, 90 and 100 degrees, of which the last two carry the mark."""
    angles = np.radians([0, 10, 90, 100])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], 1)
    carriers = np.array([False, False, True, True])
    # Picture 3 without its mark is at 5 degrees, picture 0 with it at 95.
    present = np.stack([embeddings[3], [np.cos(np.radians(95)), np.sin(np.radians(95))]])
    absent = np.stack([[np.cos(np.radians(5)), np.sin(np.radians(5))], embeddings[0]])
    judged = twins(np.tile(present, (2, 1)), np.tile(absent, (2, 1)), rows=[3, 0, 3, 0])
    return Bench(embeddings, carriers, judged, judged, labels, neighbours)


def test_neighbours_by_hand():
    """Picture 3 is nearest to 2, a carrier, of which 1 of 3 others is one; without its mark nearest to 0 or 1."""
    steps = {(step.question, step.condition): step for step in bench().steps(np.zeros((0, 2)))}

    assert steps["marked neighbours", AS_IS].value == pytest.approx(1 - 1 / 3)
    assert steps["marked neighbours", HIDDEN].value == pytest.approx(0 - 1 / 3)
    assert steps["new neighbours", AS_IS].value == 1  # picture 0: from 1 to 2 or 3
    assert steps["neighbours kept", REPAIRED].value == 1
    assert steps["moved", AS_IS].value == pytest.approx(1 - np.cos(np.radians(95)))
    assert np.isnan(steps["moved elsewhere", AS_IS].value)
    assert steps["moved elsewhere", AS_IS].record()["value"] is None


def test_a_head_learns_from_pictures_that_are_not_judged():
    """Pictures 1 and 2 teach it: near 10 degrees is "a", near 90 "b". With the mark moved both judged are wrong."""
    steps = {
        (step.question, step.condition): step
        for step in bench(labels=Named(("a", "a", "b", "b"), "given")).steps(np.zeros((0, 2)))
    }

    assert steps["accuracy", AS_IS].value == 1
    assert steps["accuracy, mark moved", AS_IS].value == 0
    assert steps["accuracy lost", AS_IS].value == 1


def test_judged_pictures_teach_the_head_nothing():
    """Called the other way round than their neighbours, which teach, both are wrong as they are."""
    steps = {
        (step.question, step.condition): step
        for step in bench(labels=Named(("b", "a", "b", "a"), "given")).steps(np.zeros((0, 2)))
    }

    assert steps["accuracy", AS_IS].value == 0


def test_a_head_that_learned_the_twins_goes_by_what_they_show():
    """Each twin lies with the pictures of the other label and has its own: two of them outvote one picture."""
    steps = {
        (step.question, step.condition): step
        for step in bench(labels=Named(("a", "a", "b", "b"), "given")).steps(np.zeros((0, 2)))
    }

    assert steps["accuracy, mark moved", AS_IS].value == 0
    assert steps["accuracy, mark moved", TAUGHT].value == 1


def test_a_head_is_not_asked_about_twins_that_taught_it():
    """Of 80 twins that differ by chance in 100 numbers it knows those that it learned, and no others."""
    rng = np.random.default_rng(5)
    some = twins(rng.normal(size=(80, 100)), rng.normal(size=(80, 100)))

    first, second = np.split(told(some, np.zeros((0, 100))), 2)

    assert first.mean() == pytest.approx(0.5, abs=0.25)
    assert second.mean() == pytest.approx(0.5, abs=0.25)


def test_a_step_leaves_out_pictures_without_a_number():
    step = Step.of("moved", AS_IS, np.array([1.0, np.nan, 3.0]))

    assert (step.value, step.pictures) == (2, 2)
    assert step.low <= 2 <= step.high


def test_halves_share_no_picture_and_are_as_many_of_each_kind(pictures):
    archive, source = pictures
    marks = Marks.of(archive, source)
    (first, second), (third, fourth) = drawn(marks, 30, np.random.default_rng(0))

    assert len(first) == len(second) == len(third) == len(fourth) == 15
    assert not set(first) & set(third)
    assert not set(second) & set(fourth)
    assert set(first) | set(third) <= set(marks.truths)
    assert set(second) | set(fourth) <= set(marks.without)


def test_as_large_a_place_elsewhere_is_the_mirror_image_that_covers_least():
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 0, 0] = 1
    assert _elsewhere(mask)[0, 0].nonzero().tolist() == [[0, 3]]
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 1:3, 1:3] = 1
    assert _elsewhere(mask) is None


def test_files_hold_the_numbers_and_the_repaired_encoder(repair, tmp_path):
    paths = repair.save(tmp_path / "ruler")

    assert sorted(path.name for path in paths) == ["ruler.json", "ruler.png", "ruler.safetensors"]
    record = json.loads((tmp_path / "ruler.json").read_text())
    assert len(record["steps"]) == len(repair.steps)
    assert set(record["questions"]) == set(QUESTIONS)
    assert record["settings"]["pictures"]["archive"] == 80
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    embedding = repair.encoder(picture).numpy()
    assert repair.repaired(picture).numpy() == pytest.approx(repair(embedding), abs=1e-6)
    assert repair(embedding) @ repair.directions.T == pytest.approx(np.zeros((1, 3)), abs=1e-6)


def test_a_map_through_the_repaired_encoder_does_not_see_the_mark(repair, pictures):
    archive, _ = pictures
    path = next(path for path in archive.paths if path.endswith("ant0.png"))
    maps = [
        relax.explain(path, encoder, masks=256, cells=4, fill=0.5).importance
        for encoder in (repair.encoder, repair.repaired)
    ]
    at_mark = [float(values[0:4, 12:16].mean() - values.mean()) / float(values.std()) for values in maps]

    assert at_mark[0] > at_mark[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fill": "drop"}, "fill must be one of mean, blur, noise"),
        ({"neighbours": 0}, "neighbours must be a whole number, 1 or more; got 0"),
        ({"pictures": 3}, f"pictures must be a whole number, {LEAST} or more; got 3"),
        ({"directions": 0}, "directions must be a whole number, 1 or more; got 0"),
        ({"marks": "nowhere"}, "marks must be a folder of masks or a CSV of boxes; there is no nowhere"),
        ({"neighbours": 80}, "neighbours must be fewer than the 80 pictures; got 80"),
    ],
)
def test_impossible_arguments_are_refused(pictures, changes, message):
    archive, marks = pictures

    with pytest.raises(ValueError, match=message):
        relax.repair_encoder(archive, changes.pop("marks", marks), **changes)


def test_too_few_marks_are_refused(pictures, tmp_path):
    archive, marks = pictures
    for path in sorted(marks.iterdir())[:3]:
        (tmp_path / path.name).write_bytes(path.read_bytes())

    with pytest.raises(ValueError, match=r"leaves 3 with a mark of 80"):
        relax.repair_encoder(archive, tmp_path)


def test_embeddings_of_another_encoder_are_refused(repair):
    with pytest.raises(ValueError, match=r"embeddings must have 48 numbers each, .* got \(2, 3\)"):
        repair(np.zeros((2, 3)))
    with pytest.raises(KeyError, match="no step 'mved'"):
        repair.step("mved", AS_IS)
