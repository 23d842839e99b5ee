"""Groups within groups are those that were planted, and explain no more than chance where nothing was."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import relax
from relax.archive.archive import make_archive
from relax.influence.hierarchy.differences import differences
from relax.influence.hierarchy.grouping import scaled
from relax.influence.hierarchy.nested import nested_groups, placed
from relax.influence.hierarchy.standing import Halves, cloud_like, shares, standings
from relax.influence.rules.features import Features
from relax.influence.rules.tree import split_of

KINDS = {
    "dark-red": (70, 40, 40),
    "dark-green": (40, 70, 40),
    "light-red": (220, 160, 160),
    "light-green": (160, 220, 160),
}
EACH = 18


def colours(pixels):
    """An encoder whose embedding is brightness, then red against green by less, and a constant."""
    red, green, blue = F.adaptive_avg_pool2d(pixels, 1).flatten(1).T
    return torch.stack([red + green + blue - 1.4, 2 * (red - green), torch.ones_like(red)], 1)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Dark and light pictures, half of each red and half green; a column `lamp` is on for light ones."""
    folder = tmp_path_factory.mktemp("hierarchy")
    rng, rows = np.random.default_rng(0), ["path,lamp"]
    (folder / "photos").mkdir()
    for number in range(4 * EACH):
        kind = [*KINDS][number % 4]
        pixels = rng.normal(np.array(KINDS[kind]) + rng.normal(0, 3), 6, (16, 20, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"photos/{number:02}-{kind}.png")
        rows.append(f"{number:02}-{kind}.png,{'on' if 'light' in kind else 'off'}")
    (folder / "table.csv").write_text("\n".join(rows))
    return make_archive(folder / "photos", colours, folder / "archive", progress=False)


@pytest.fixture(scope="module")
def tree(archive):
    return relax.hierarchy(archive, [2, 4], metadata=archive.root.parent / "table.csv", progress=False)


def kinds_of(archive, node):
    return {archive.rows[row].path.split("-", 1)[1] for row in node.rows}


def test_two_groups_of_two_are_found_again(archive, tree):
    first, second = tree.within(), [tree.within(node.name) for node in tree.within()]

    assert sorted(sorted(kinds_of(archive, node)) for node in first) == [
        ["dark-green.png", "dark-red.png"], ["light-green.png", "light-red.png"],
    ]  # fmt: skip
    assert [node.pictures for node in first] == [2 * EACH] * 2
    assert sorted(len(kinds_of(archive, node)) for pair in second for node in pair) == [1] * 4
    assert [node.pictures for pair in second for node in pair] == [EACH] * 4
    assert [node.name for node in tree.walk()] == ["1", "1.1", "1.2", "2", "2.1", "2.2"]


def test_what_sets_them_apart_is_what_was_planted(archive, tree):
    for node in tree.within():
        light = "light-red.png" in kinds_of(archive, node)
        named = {each.feature: each for each in node.differences}
        assert named.keys() & {"brightness", "lamp = on", "lamp = off", "colour"}
        for feature, sign in (("brightness", 1), ("lamp = on", 1), ("lamp = off", -1)):
            if feature in named:
                assert (named[feature].standardised > 0) == (sign * (1 if light else -1) > 0)
    for node in tree.nodes[2:]:
        red = next(iter(kinds_of(archive, node))).endswith("red.png")
        named = {each.feature: each.standardised for each in node.differences}
        assert {"red", "green"} <= named.keys()
        assert (named["red"] > 0) == red == (named["green"] < 0)


def test_planted_groups_explain_nearly_all_and_more_than_chance(tree):
    two, four = tree.standings

    assert 0.5 < two.explained < 0.95 < four.explained < 1
    assert two.low <= two.explained <= two.high
    for each in (two, four):
        assert each.beyond_chance
        assert max(each.random, each.nothing) < each.low
    assert two.representatives < two.explained - 0.1  # a dark red picture does not stand for dark green ones
    assert four.representatives == pytest.approx(four.explained, abs=0.01)
    assert "of the variance of 24 embeddings that were held out" in tree.findings[0]


def test_random_embeddings_are_at_chance_and_say_so(archive):
    noise = np.random.default_rng(5).normal(size=archive.embeddings.shape).astype(np.float32)
    tree = relax.hierarchy(replace(archive, embeddings=noise), [2, 4], measures=False)

    assert not any(each.beyond_chance for each in tree.standings)
    assert all("no more than chance: read nothing into this level" in text for text in tree.findings)


def test_features_can_be_grouped_instead(archive):
    tree = relax.hierarchy(
        archive, [2], on="features", metadata=archive.root.parent / "table.csv", measures=False, progress=False
    )

    assert sorted(sorted(kinds_of(archive, node)) for node in tree.within()) == [
        ["dark-green.png", "dark-red.png"], ["light-green.png", "light-red.png"],
    ]  # fmt: skip
    assert tree.standings[0].beyond_chance
    assert tree.standings[0].nothing < 0.1


def test_a_representative_has_the_least_squared_distances(archive, tree):
    vectors = archive.embeddings / np.linalg.norm(archive.embeddings, axis=1, keepdims=True)
    grouped = np.setdiff1d(np.arange(len(archive)), held_out(archive))
    for node in tree.nodes:
        inside = np.intersect1d(node.rows, grouped)
        sums = [np.square(vectors[inside] - vectors[row]).sum() for row in inside]
        assert node.picture.row == inside[int(np.argmin(sums))]


def held_out(archive):
    return split_of(np.zeros(len(archive)), 0).held_out


def test_explained_variance_by_hand():
    """Means 1 and 9 of the groups, 5 of all; held out are 0 and 10: 1 + 1 of 25 + 25 is left."""
    known, groups = np.array([[0.0], [2], [8], [10]]), np.array([[0], [0], [1], [1]])
    held = np.array([[0.0], [10]])

    at = placed(held, known, groups)

    assert at.tolist() == [[0], [1]]
    assert shares(known, groups, held, at) == pytest.approx([1 - 2 / 50])
    halves = Halves(known, held, known, held)
    standing = standings(halves, groups, [{0: 1, 1: 2}], "ward", 0)[0]
    assert standing.representatives == pytest.approx(1 - (4 + 4) / 50)  # the pictures at 2 and 8
    assert (standing.groups, standing.pictures) == (2, 2)


@pytest.mark.parametrize("linkage", ["ward", "average"])
def test_levels_lie_within_each_other_and_count_by_size(linkage):
    points = np.array([0, 1, 2, 3, 100, 101, 102, 130, 131, 180])[:, None].astype(float)

    groups = nested_groups(points, [2, 3, 4], linkage)

    assert groups[:, 0].tolist() == [1] * 4 + [0] * 6
    assert groups[:, 2].tolist() == [0] * 4 + [1] * 3 + [2] * 2 + [3]
    for coarse, fine in ((0, 1), (1, 2)):
        assert len({*map(tuple, groups[:, [coarse, fine]].tolist())}) == fine + 2


@pytest.mark.parametrize("shape", [(400, 3), (40, 60)])
def test_a_cloud_has_the_mean_and_covariance_of_what_it_is_like(shape):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=shape) @ rng.normal(size=(shape[1], shape[1])) + 3
    clouds = np.vstack([cloud_like(vectors, rng) for _ in range(50)])

    assert np.trace(np.cov(clouds.T)) == pytest.approx(np.trace(np.cov(vectors.T)), rel=0.06)
    largest = np.linalg.eigvalsh(np.cov(vectors.T))[-1]
    assert np.abs(np.cov(clouds.T) - np.cov(vectors.T)).max() < 0.15 * largest


def test_a_difference_by_hand():
    """Means 1 and 3 with a variance of 1.25 together; the second feature is the same, the third unknown."""
    x = np.repeat([1.0, 3.0], 10) + np.tile([-0.5, 0.5], 10)
    features = Features(("x", "same", "unknown"), np.stack([x, np.ones(20), np.full(20, np.nan)], 1))
    group = np.arange(20) >= 10

    result = differences(features, group, ~group)

    assert [each.feature for each in result] == ["x"]
    assert result[0].standardised == pytest.approx(2 / np.sqrt(1.25))
    assert str(result[0]) == "more x (3.0, not 1.0)"


def test_features_are_scaled_by_the_grouped_and_unknown_ones_are_the_mean():
    values = np.array([[1.0, 5, np.nan], [3, 5, np.nan], [np.nan, 5, np.nan], [9, 5, 1]])

    np.testing.assert_allclose(scaled(values, np.array([0, 1, 2])), [[-1], [1], [0], [7]])


def test_it_is_drawn_written_and_recorded(tree, tmp_path):
    words = " ".join(text.get_text() for text in tree.plot().texts)
    record = json.loads(json.dumps(tree.record(), allow_nan=False))

    assert "2.1 · 25%" in words
    assert "more brightness" in " ".join(tree.lines())
    assert tree.lines()[1].startswith("    1.1: 18 pictures (25%), as ")
    assert [node["parent"] for node in record["nodes"]] == [None, "1", "1", None, "2", "2"]
    assert [level["groups"] for level in record["levels"]] == [2, 4]
    page = tree.save(tmp_path / "tree.html").read_text()
    assert "brightness" in page
    assert "As a tree" in page
    first = record["groups"][next(iter(record["groups"]))][0]
    assert set(first) == {"row", "picture", "stands out by", "value", "group", "pictures"}
    assert tree.save(tmp_path / "tree.png", width=5).stat().st_size > 5000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": [4, 2]}, "levels must be numbers of groups from 2 that increase"),
        ({"levels": [1, 2]}, "levels must be numbers of groups from 2 that increase"),
        ({"levels": []}, "levels must be numbers of groups from 2 that increase"),
        ({"levels": [2, 17]}, "levels must have at most 16 groups, 3 of the 48 grouped pictures in each; got 17"),
        ({"on": "colours"}, "on must be"),
        ({"linkage": "single"}, "linkage must be"),
        ({"on": "features", "measures": False}, "metadata must be given where measures is False"),
    ],
)
def test_what_cannot_be_grouped_is_refused(archive, options, message):
    with pytest.raises(ValueError, match=message):
        relax.hierarchy(archive, **options)
