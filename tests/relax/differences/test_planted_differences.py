"""From a folder to a result: groups share the hue or mark that one encoder is blind to, and maps lie on the mark."""

import csv
import io
import json

import numpy as np
import pytest

import relax
from relax.differences.findings import findings
from relax.differences.pairing import Paired
from tests.relax.differences import planted

MASKS = 256


@pytest.fixture(scope="module")
def hues(tmp_path_factory):
    """Differences of an encoder and its colour-blind twin, and the hue of each picture; one folder of two."""
    folder = tmp_path_factory.mktemp("hues")
    pixels, hues, _ = planted.pictures(90)
    planted.write(folder / "photos" / "even", pixels[::2])
    planted.write(folder / "photos" / "odd", pixels[1::2])
    rows = ["path,hue"]
    rows += [f"{'even/' if number % 2 == 0 else 'odd/'}{number // 2:03}.png,{hues[number]}x" for number in range(90)]
    (folder / "table.csv").write_text("\n".join(rows))
    encoders = planted.Projection(planted.colour), planted.Projection(planted.grey)
    differences = relax.diff_encoders(
        folder / "photos", encoders, folder / "out", explain=0, groups=3, layout="pca", metadata=folder / "table.csv",
        seed=3, progress=False,
    )  # fmt: skip
    return differences, np.concatenate([hues[::2], hues[1::2]]), folder


@pytest.fixture(scope="module")
def marks(tmp_path_factory):
    """Differences of an encoder and one that does not see the corner with the mark, and who carries it."""
    folder = tmp_path_factory.mktemp("marks")
    pixels, _, carries = planted.pictures(90, 1, marked=0.25)
    planted.write(folder / "photos", pixels)
    encoders = planted.Projection(planted.colour), planted.Projection(planted.without_mark)
    return relax.diff_encoders(
        folder / "photos", encoders, folder / "out", explain=1, central=2, groups=6, masks=MASKS, layout="pca",
        progress=False,
    ), carries  # fmt: skip


def test_each_group_is_of_one_hue_and_by_the_encoder_that_sees_it(hues):
    differences, truth, _ = hues

    assert len(differences.groups) == 3
    for group in differences.groups:
        assert group.side == 0
        assert len(set(truth[group.members])) == 1
        assert group.p <= 0.05
        assert group.chance == (len(group.members) - 1) / 89
        assert group.far < group.low + group.far < group.near


def test_what_the_pictures_of_a_group_share_is_told_from_the_metadata(hues):
    differences, truth, _ = hues

    for group in differences.groups:
        (first, *_) = group.common
        assert (first.column, first.value, first.share) == ("hue", f"{truth[group.members[0]]}x", 1)
        assert first.overall == pytest.approx(np.mean(truth == truth[group.members[0]]))
        assert not [each for each in group.common if each.column == "folder"]


def test_the_group_with_the_mark_is_found_and_its_pictures_differ_most(marks):
    differences, carries = marks

    assert carries[differences.groups[0].members].all()
    order = np.argsort(-differences.scores[0])
    assert carries[order[:10]].mean() > 0.8


def test_the_difference_of_the_maps_lies_on_the_mark(marks):
    """Of what is above 0 by more than two standard errors, most lies where the mark is: an eighth of the picture."""
    differences, _ = marks

    for part in differences.groups[0].parts:
        beyond, error = part.beyond.importance, part.beyond.standard_error
        strong = np.where(beyond > 2 * error, beyond, 0)
        assert strong[planted.MARK].sum() / strong.sum() > 0.6
        assert part.far.provenance["image"] == differences.names[part.picture]
        assert part.same_frame


def test_the_map_beyond_is_the_residual_of_one_score_over_the_other(marks):
    """Importance is linear in the scores: beyond = near - offset - slope far, within the errors of the estimate."""
    part = marks[0].groups[0].parts[0]
    line = part.beyond.provenance["beyond"]

    expected = part.near.importance - line["offset"] - line["slope"] * part.far.importance

    assert np.abs(part.beyond.importance - expected).max() < 4 * part.near.standard_error.max()
    residual = part.near.scores - line["offset"] - line["slope"] * part.far.scores
    assert abs(np.corrcoef(residual, part.far.scores)[0, 1]) < 1e-6


def test_equal_encoders_differ_on_nothing(hues, tmp_path):
    _, _, folder = hues
    archive = relax.load_archive(folder / "out" / "archive-a")

    differences = relax.diff_encoders([archive, archive], redraws=19, groups=3, layout="pca", progress=False)

    assert differences.groups == ()
    assert differences.agreement["shared neighbours"].value == 1
    assert not differences.scores.any()
    assert differences.encoders == ("Projection (A)", "Projection (B)")
    assert "No group of pictures is near by one encoder and not by the other beyond chance" in " ".join(
        findings(differences)
    )


def test_two_archives_give_what_the_folder_gave_and_the_seed_decides(hues):
    differences, _, folder = hues
    archives = [folder / "out" / "archive-a", str(folder / "out" / "archive-b")]

    again = relax.diff_encoders(archives, explain=0, groups=3, layout="pca", seed=3, progress=False)

    np.testing.assert_array_equal(again.scores, differences.scores)
    assert [group.members.tolist() for group in again.groups] == [
        group.members.tolist() for group in differences.groups
    ]


def test_pictures_that_one_archive_lacks_or_that_changed_are_left_out(hues, tmp_path):
    _, _, folder = hues
    pixels, _, _ = planted.pictures(90)
    photos = planted.write(tmp_path / "photos" / "even", pixels[::2])
    planted.write(tmp_path / "photos" / "other", pixels[:2])
    (photos / "003.png").write_bytes((photos / "004.png").read_bytes())
    archive = relax.make_archive(tmp_path / "photos", planted.Projection(planted.grey), tmp_path / "a", progress=False)

    paired = Paired.of([folder / "out" / "archive-a", archive])

    assert paired.names == tuple(f"even/{number:03}.png" for number in range(45) if number != 3)
    assert paired.left_out == 90 + 47 - 2 * 44
    np.testing.assert_array_equal(
        paired.embeddings[1][4], archive.embeddings[[row.path for row in archive.rows].index("even/005.png")]
    )


def test_pictures_outside_the_sample_are_scored_and_join_groups(hues, monkeypatch):
    _, truth, folder = hues
    monkeypatch.setattr("relax.differences.running.sample_of", lambda count, seed: np.arange(0, count, 2))

    few = relax.diff_encoders(
        [folder / "out" / "archive-a", folder / "out" / "archive-b"], explain=0, groups=3, layout="pca",
        progress=False,
    )  # fmt: skip

    assert few.settings["sample"] == 45
    assert few.scores.shape == (2, 90)
    joined = [group for group in few.groups if len(group.joined)]
    assert joined
    for group in joined:
        assert not set(group.joined) & set(few.sample)
        assert (truth[group.joined] == truth[group.members[0]]).mean() > 0.9


def test_it_is_read_back_as_it_was(marks, tmp_path):
    differences, _ = marks

    again = relax.Differences.load(differences.save(tmp_path / "diff.npz"))

    assert again.record() == differences.record()
    for name in ("sample", "nearest", "elsewhere", "scores", "layouts"):
        np.testing.assert_array_equal(getattr(again, name), getattr(differences, name))
    for old, new in zip(differences.groups, again.groups, strict=True):
        np.testing.assert_array_equal(old.members, new.members)
        assert old.common == new.common
        for mine, theirs in zip(old.parts, new.parts, strict=True):
            np.testing.assert_array_equal(mine.beyond.importance, theirs.beyond.importance)
            assert mine.near.provenance == theirs.near.provenance


def test_what_pictures_share_is_read_back(hues, tmp_path):
    differences, _, _ = hues

    again = relax.Differences.load(differences.save(tmp_path / "diff.npz"))

    assert all(group.common for group in differences.groups)
    assert [group.common for group in again.groups] == [group.common for group in differences.groups]


def test_the_table_has_a_row_for_each_picture(hues):
    differences, _, _ = hues

    rows = list(csv.DictReader(io.StringIO(differences.table())))

    assert [row["path"] for row in rows] == list(differences.names)
    assert {row["group"] for row in rows} == {group.name for group in differences.groups}
    assert float(rows[5]["near_by_a_only"]) == pytest.approx(differences.scores[0, 5], abs=1e-4)
    assert float(rows[5]["shared"]) == pytest.approx(differences.shared[5], abs=1e-4)


def test_the_record_is_json_and_says_what_noise_gives(hues):
    record = json.loads(json.dumps(hues[0].record(), allow_nan=False))

    assert record["settings"]["noise"]["redraws"] == 20
    assert all(group["strength"] > record["settings"]["noise"]["needed"] for group in record["groups"])
    assert record["settings"]["seed"] == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoders": None}, "encoders must be two, A and B, to compare over a folder; got None"),
        ({"encoders": ["default"]}, "encoders must be two, A and B"),
        ({"redraws": 5}, "redraws must be a whole number, 19 or more; got 5"),
        ({"groups": 0}, "groups must be a whole number, 1 or more; got 0"),
        ({"explain": -1}, "explain must be a whole number, 0 or more; got -1"),
        ({"neighbours": 45}, "neighbours must be below 45, half of the pictures; got 45"),
    ],
)
def test_impossible_arguments_are_named(hues, changes, message):
    folder = hues[2]
    encoders = planted.Projection(planted.colour), planted.Projection(planted.grey)
    arguments = {"encoders": encoders, "out": folder / "out", "layout": "pca", "progress": False} | changes

    with pytest.raises(ValueError, match=message):
        relax.diff_encoders(folder / "photos", **arguments)


def test_archives_have_encoders_of_their_own(hues):
    archives = [hues[2] / "out" / "archive-a", hues[2] / "out" / "archive-b"]

    with pytest.raises(ValueError, match="encoders must be left out with archives, which have theirs"):
        relax.diff_encoders(archives, ["default", "sscd"])
    with pytest.raises(ValueError, match="archives must be two, one by each encoder; got 1"):
        relax.diff_encoders(archives[:1], progress=False)


def test_a_file_of_something_else_is_refused(hues, tmp_path):
    np.savez(tmp_path / "other.npz", how=np.array('{"format": 1}'))

    with pytest.raises(ValueError, match=r"other.npz is not a file of Differences.save: its record lacks encoders, "):
        relax.Differences.load(tmp_path / "other.npz")
    with pytest.raises(ValueError, match=r"path must end in .html, .json, .csv or .npz; got diff.txt"):
        hues[0].save("diff.txt")
