"""Answers name the pictures of an archive that stand behind them, with planted truths, and are drawn and written."""

import csv
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import relax
from encoders.heads.training import knn_head
from relax.archive.archive import make_archive
from relax.influence.influential import HARMFUL, HELPFUL
from relax.influence.labels import labels_of
from relax.influence.query import Query, nearest_rows

KINDS = ("dark", "light")


def quarters(pixels):
    """An encoder for pixels of any size: the mean colour of each quarter of the image, minus grey."""
    return F.adaptive_avg_pool2d(pixels, 2).flatten(1) - 0.5


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Twelve dark and twelve light noisy pictures; dark/05.png is light, as if its label had been flipped."""
    root = tmp_path_factory.mktemp("answers") / "photos"
    rng = np.random.default_rng(0)
    for place, kind in enumerate(KINDS):
        (root / kind).mkdir(parents=True)
        for number in range(12):
            middle = 180 if place or number == 5 else 60
            colours = rng.normal(middle, 25, (2, 2, 3)).repeat(5, 0).repeat(6, 1)
            Image.fromarray(colours.clip(0, 255).astype(np.uint8)).save(root / kind / f"{number:02}.png")
    return root


@pytest.fixture(scope="module")
def archive(photos, tmp_path_factory):
    return make_archive(photos, quarters, tmp_path_factory.mktemp("answers") / "archive", progress=False)


def names(members):
    return [member.name for member in members]


def test_the_shares_are_those_of_a_knn_head(archive):
    rng = np.random.default_rng(1)
    query = rng.uniform(-0.3, 0.3, 12).astype(np.float32)

    answer = relax.evidence(archive, query, k=7, temperature=0.05)

    labels = labels_of(archive, "folders")
    head = knn_head(torch.from_numpy(np.array(archive.embeddings)), labels.numbers.tolist(), labels.classes, 7, 0.05)
    expected = dict(zip(labels.classes, head.scores(torch.from_numpy(query)[None])[0].tolist(), strict=True))
    assert {name: answer.decision.get(name, 0) for name in labels.classes} == pytest.approx(expected, abs=1e-5)
    assert sum(member.value for member in answer) == pytest.approx(1)
    assert [member.row for member in answer] == [hit.row for hit in archive.search(query, 7)]


def test_a_picture_of_the_archive_is_no_evidence_for_itself(archive, photos):
    answer = relax.evidence(archive, photos / "light/03.png", k=30)

    assert len(answer) == 23
    assert "light/03.png" not in names(answer)
    assert "it does not vote on itself" in answer.findings[-1]
    assert answer.decision["light"] > 0.5


def test_without_labels_there_is_no_decision(archive):
    answer = relax.evidence(archive, np.ones(12), k=3, labels=[None] * 24)

    assert answer.decision == {}
    assert {member.label for member in answer} == {""}


def test_a_query_between_two_pictures_is_half_of_each(archive):
    middle = (archive.embeddings[2] + archive.embeddings[17]) / 2

    answer = relax.decompose(archive, middle)

    assert [(member.row, round(member.value, 4)) for member in sorted(answer, key=lambda m: m.row)] == [
        (2, 0.5),
        (17, 0.5),
    ]
    assert answer.unexplained < 1e-9
    assert answer.stranger_than == 0
    assert np.abs(answer.residual).max() < 1e-6


def test_a_query_like_nothing_in_the_archive_is_left_unexplained(archive):
    """Far out along a direction of no picture: what is left is nearly everything."""
    answer = relax.decompose(archive, np.where(np.arange(12) % 2, 9, -9), most=3)

    assert answer.unexplained > 0.8
    assert answer.stranger_than == 1
    assert len(answer) <= 3
    assert answer.unexplained >= answer.unexplained_by_all


def test_only_the_nearest_can_be_parts_and_the_answer_says_so(archive):
    query = archive.embeddings[[2, 17]].mean(0)

    answer = relax.decompose(archive, query, among=4)

    near = {hit.row for hit in archive.search(query, 4)}
    assert {member.row for member in answer} <= near
    assert "Candidates are the 4 nearest of 24 pictures; the others are not looked at." in answer.findings


def test_influence_names_the_flipped_picture_as_the_most_harmful(archive, photos):
    answer = relax.influential(archive, photos / "light/03.png", most=4)

    assert (answer.label, answer.probability > 0.5) == ("light", True)
    assert answer.groups[HARMFUL][0].name == "dark/05.png"
    assert {member.label for member in answer.groups[HELPFUL]} == {"light", "dark"} or len(answer.groups[HELPFUL]) == 4
    assert "light/03.png" not in names(answer.members)
    assert all(member.value > 0 for member in answer.groups[HELPFUL])
    assert all(member.value < 0 for member in answer.groups[HARMFUL])


def test_the_other_answer_turns_the_signs_of_two_classes(archive, photos):
    """Of two classes the logits are opposite, so each picture's part in one is minus its part in the other."""
    dark, light = (
        relax.influential(archive, photos / "light/03.png", how="representer", label=kind).values for kind in KINDS
    )

    np.testing.assert_allclose(dark, -light, atol=1e-9)


@pytest.mark.parametrize("by", ["left-out-loss", "self-influence", "neighbours"])
def test_the_flipped_label_is_the_most_doubtful(archive, by):
    answer = relax.doubtful_labels(archive, by=by, most=3)

    assert answer[0].name == "dark/05.png"
    assert answer[0].notes["others say"] == "light"
    rows = [*csv.reader(answer.table().splitlines())]
    assert len(rows) == 25
    assert rows[1][:3] == ["1", "dark/05.png", "dark"]
    assert float(rows[1][3]) == pytest.approx(answer[0].value)
    assert [float(row[3]) for row in rows[1:]] == sorted((float(row[3]) for row in rows[1:]), reverse=True)


def test_a_given_head_is_compared(archive, tmp_path):
    from encoders.heads.training import train_linear

    labels = labels_of(archive, "folders")
    head, _ = train_linear(torch.from_numpy(np.array(archive.embeddings)), labels.numbers.tolist(), labels.classes)
    head.save(tmp_path / "head")

    answer = relax.influential(archive, np.full(12, 0.8), head=tmp_path / "head")

    assert answer.settings["agreement with the head"] > 0.8
    with pytest.raises(ValueError, match="head knows dark, light, the labels are a, b: they must agree"):
        relax.influential(archive, np.full(12, 0.8), head=head, labels=["a", "b"] * 12)


def test_labels_come_from_folders_tables_clusters_or_the_caller(archive, tmp_path):
    table = tmp_path / "table.csv"
    lines = [f"{row.path},{'x' if index % 2 else 'y'},{index}" for index, row in enumerate(archive.rows)]
    table.write_text("\n".join(["path,site,number", *lines]))

    assert labels_of(archive, None).classes == KINDS
    assert labels_of(archive, f"{table}#site").of[:3] == ("y", "x", "y")
    assert labels_of(archive, "clusters").classes[:2] == ("cluster 0", "cluster 1")
    assert labels_of(archive, ["a", None] * 12).of[:2] == ("a", None)
    with pytest.raises(
        ValueError, match=r"labels: table.csv has the columns site and number; name one, as in table.csv#s"
    ):
        labels_of(archive, table)
    with pytest.raises(ValueError, match="got 'sites'"):
        labels_of(archive, f"{table}#sites")
    with pytest.raises(ValueError, match="labels must be one for each of the 24 pictures; got 2"):
        labels_of(archive, ["a", "b"])


def test_unlabelled_pictures_take_no_part(archive):
    labels = [None if row == 3 else kind for row, kind in enumerate(labels_of(archive, "folders").of)]

    answer = relax.doubtful_labels(archive, labels=labels)

    assert np.isnan(answer.values[3])
    assert np.isfinite(np.delete(answer.values, 3)).all()
    assert len(answer.table().splitlines()) == 24


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: relax.evidence(a, np.ones(12), k=0), "k must be a whole number, 1 or more; got 0"),
        (lambda a: relax.evidence(a, np.ones(12), temperature=0), "temperature must be above 0; got 0"),
        (lambda a: relax.evidence(a, np.ones(5)), "finite embedding of 12 numbers, as this archive has; got 5"),
        (lambda a: relax.decompose(a, np.ones(12), most=0), "most must be a whole number"),
        (lambda a: relax.influential(a, np.ones(12), label="drak"), "label must be one of dark, light; got 'drak'"),
        (lambda a: relax.influential(a, np.ones(12), how="loo"), "how must be one of leave-one-out"),
        (lambda a: relax.influential(a, np.ones(12), penalty=0), "penalty must be above 0; got 0"),
        (lambda a: relax.doubtful_labels(a, by="loss"), "by must be one of left-out-loss"),
        (lambda a: relax.doubtful_labels(a, labels=["x"] * 24), "labels must be at least 2 to tell apart; got x"),
        (lambda a: relax.doubtful_labels(a, labels=["x", *["y"] * 23]), "at least 2 pictures.*'x' has 1"),
    ],
)
def test_what_cannot_be_asked_is_refused(archive, call, message):
    with pytest.raises(ValueError, match=message):
        call(archive)


def test_the_record_is_plain_json(archive, photos):
    record = json.loads(json.dumps(relax.evidence(archive, photos / "dark/01.png", k=2).record(), allow_nan=False))

    assert record["question"] == "Nearest evidence"
    assert [*record["groups"]] == ["nearest pictures"]
    assert record["groups"]["nearest pictures"][0].keys() == {"row", "picture", "label", "value", "cosine"}
    assert record["settings"]["labels"] == "folders"


def test_it_is_drawn_and_written(archive, photos, tmp_path):
    answer = relax.influential(archive, photos / "light/03.png", most=2)

    words = " ".join(text.get_text() for text in answer.plot().texts)
    page = answer.save(tmp_path / "answer.html").read_text()

    assert answer.save(tmp_path / "answer.png").read_bytes().startswith(b"\x89PNG")
    for heading in (HELPFUL, HARMFUL):
        assert heading in words
        assert heading in page
    assert "dark/05.png" in words
    assert re.search(r"The head says light \(\d", page)
    with pytest.raises(ValueError, match="format must be one of"):
        answer.save(tmp_path / "answer.txt")


def test_an_archive_far_from_memory_is_asked_for_its_nearest_only(archive):
    """The candidates are found by the index; the query's own row is not among them."""
    asked = Query.of(archive, archive.paths[4])

    rows = nearest_rows(archive, asked, 23)

    assert asked.row == 4
    assert sorted(rows) == [row for row in range(24) if row != 4]
