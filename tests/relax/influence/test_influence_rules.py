"""Rules say what drives an embedding where something does, and that they are at chance where nothing does."""

import json

import numpy as np
import pytest
from PIL import Image
from torch.nn import functional as F

import relax
from relax.archive.archive import make_archive
from relax.influence.rules.branches import branches_of, lines_of
from relax.influence.rules.features import Features, column_features, measured_features
from relax.influence.rules.fidelity import fidelity_of
from relax.influence.rules.tree import Condition, Rule, answers_of, grown_rules, split_of

DARK, LIGHT = 80, 170  # of 255: the middles of two kinds of pictures


def mean_colours(pixels):
    """An encoder for pixels of any size: the mean colour of each half, minus grey."""
    return F.adaptive_avg_pool2d(pixels, (1, 2)).flatten(1) - 0.5


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Sixty pictures, dark and light in turn; table.csv has a site, which is which, and a number that says nothing."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "photos").mkdir()
    rng, rows = np.random.default_rng(0), ["path,site,age,name"]
    for number in range(60):
        shade = rng.normal(LIGHT if number % 2 else DARK, 8)
        pixels = rng.normal(shade, 12, (16, 20, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"photos/{number:02}.png")
        rows.append(f"{number:02}.png,{'AB'[number % 2]},{rng.integers(20, 80)},n{number}")
    (folder / "table.csv").write_text("\n".join(rows))
    return make_archive(folder / "photos", mean_colours, folder / "archive", progress=False)


@pytest.fixture(scope="module")
def tree(archive):
    """The rules for its clusters."""
    return relax.surrogate_tree(archive, progress=False)


@pytest.fixture
def table(archive):
    return archive.root.parent / "table.csv"


def test_clusters_of_dark_and_light_pictures_are_told_by_their_brightness(tree):
    assert len(tree.rules) == 2
    conditions = {rule.conditions[0] for rule in tree.rules}
    assert {condition.feature for condition in conditions} == {"brightness"}
    low, high = sorted(conditions, key=lambda condition: condition.low)
    assert DARK / 255 < low.high == high.low < LIGHT / 255
    assert {rule.confidence for rule in tree.rules} == {1.0}
    assert (tree.fidelity.value, tree.fidelity.p, tree.fidelity.pictures) == (1.0, 0.001, 20)
    assert tree.fidelity.beyond_chance
    assert tree.fidelity.chance == pytest.approx(0.5, abs=0.05)


def test_rules_for_random_labels_are_at_chance_and_say_so(archive):
    labels = np.random.default_rng(3).permutation(["a", "b"] * 30).tolist()

    tree = relax.surrogate_tree(archive, labels, progress=False)

    assert tree.fidelity.low < 0.5 < tree.fidelity.high
    assert not tree.fidelity.beyond_chance
    assert "no more than chance: read nothing into the rules" in tree.findings[0]


def test_a_column_of_a_table_is_a_rule(archive, table):
    table.with_name("copy.csv").write_bytes(table.read_bytes())  # the column itself would be left out

    tree = relax.surrogate_tree(archive, f"{table}#site", metadata=table.with_name("copy.csv"), measures=False)

    assert sorted(rule.when for rule in tree.rules) == ["site = B", "site is not B"] or sorted(
        rule.when for rule in tree.rules
    ) == ["site = A", "site is not A"]
    assert tree.features == ("site = A", "site = B", "age")
    assert "Left out: name" in tree.findings[-1]


def test_a_similarity_is_told_by_what_makes_it(archive):
    """The cosine to a light picture is near 1 for light pictures and near -1 for dark ones."""
    tree = relax.surrogate_tree(archive, "similarity", query=archive.paths[1], depth=1, progress=False)

    assert tree.fidelity.kind == "numbers"
    assert tree.fidelity.value > 0.95
    assert tree.fidelity.low <= tree.fidelity.value <= tree.fidelity.high
    answers = {rule.conditions[0].low > 0: rule.answer for rule in tree.rules}
    assert answers[True] > 0.9
    assert answers[False] < -0.9
    assert len(tree.rules) == 2


def test_a_neighbourhood_is_told_by_what_makes_it(archive):
    tree = relax.surrogate_tree(archive, "neighbourhood", query=archive.paths[1], k=29, progress=False)

    near = next(rule for rule in tree.rules if rule.answer == "near")
    assert near.when.startswith("brightness > ")
    assert near.confidence == 1


def test_the_rules_hold_for_other_pictures(tree):
    dark, light = (
        np.array([[0.0 if name != "brightness" else value for name in tree.features]]) for value in (0.2, 0.9)
    )

    said = tree.predict(Features(tree.features, np.vstack([dark, light])))

    assert said[0] != said[1]


def test_exactly_one_rule_holds_for_each_picture_also_where_values_are_unknown():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 3))
    target = np.where(np.nan_to_num(values[:, 0], nan=9) * values[:, 1] > 0, "yes", "no")
    values[rng.random((200, 3)) < 0.1] = np.nan
    features = Features(("a", "b", "c"), values)

    rules = grown_rules(features, target, split_of(target, 0), 4, 0)

    holds = np.stack([rule.holds(features) for rule in rules])
    assert (holds.sum(0) == 1).all()
    assert len(rules) > 3
    assert any("(or unknown)" in rule.when for rule in rules)
    assert sum(rule.support for rule in rules) == pytest.approx(1)


def test_the_rules_are_those_of_the_tree_of_scikit_learn():
    from sklearn.tree import DecisionTreeClassifier

    rng = np.random.default_rng(1)
    values = rng.normal(size=(150, 4)).astype(np.float32).astype(np.float64)
    target = np.where(values[:, 0] + values[:, 1] > 0.3, "yes", np.where(values[:, 2] > 0, "no", "perhaps"))
    features, split = Features(("a", "b", "c", "d"), values), split_of(target, 0)

    rules = grown_rules(features, target, split, 3, 0)

    peer = DecisionTreeClassifier(max_depth=3, min_samples_leaf=4, random_state=0)
    peer.fit(values[split.learned], target[split.learned])
    assert answers_of(rules, features).tolist() == peer.predict(values).tolist()


def test_support_and_confidence_are_counted_on_held_out_pictures():
    """Of the held-out rows, those above 0.5 are "yes" but for one, which the tree could not know."""
    values = np.linspace(0, 1, 60)[:, None]
    target = np.where(values[:, 0] > 0.5, "yes", "no")
    split = split_of(target, 0)
    wrong = split.held_out[-1]
    target[wrong] = "no"

    rules = grown_rules(Features(("x",), values), target, split, 2, 0)

    above = next(rule for rule in rules if rule.answer == "yes")
    assert (above.pictures, above.support, above.confidence) == (10, 0.5, 0.9)


def test_rules_that_share_conditions_are_a_tree_the_largest_branches_first():
    low, high = Condition("size", high=1.0), Condition("size", low=1.0)
    red, rest = Condition("red", low=0.5), Condition("red", high=0.5)
    rules = (
        Rule((low,), "a", 4, 0.4, 1.0),
        Rule((high, red), "b", 3, 0.3, 0.5),
        Rule((high, rest), "c", 3, 0.3, 0.0),
    )

    branches = branches_of(rules)

    assert [branch.support for branch in branches] == pytest.approx([0.6, 0.4])
    assert [branch.depth for branch in branches] == [2, 1]
    assert [line.partition(" →")[0] for line in lines_of(branches)] == [
        "├─ size > 1.0",
        "│  ├─ red > 0.50",
        "│  └─ red ≤ 0.50",
        "└─ size ≤ 1.0",
    ]
    assert lines_of(branches)[3] == "└─ size ≤ 1.0 → a: 40% of the held-out pictures (4), right for 100% (51% to 100%)"


def test_a_single_rule_is_a_tree_too():
    assert lines_of(branches_of([Rule((), 0.25, 2, 1.0, 0.3)])) == [
        "└─ always → 0.250: 100% of the held-out pictures (2), their mean 0.300"
    ]
    assert lines_of(branches_of([Rule((), "a")])) == ["└─ always → a: no held-out picture"]


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (Condition("age", high=40.25, span=60), "age ≤ 40"),
        (Condition("age", low=40.25, span=60), "age > 40"),
        (Condition("age", low=20, high=40.25, unknown=True, span=60), "20 < age ≤ 40 (or unknown)"),
        (Condition("site = A", low=0.5), "site = A"),
        (Condition("site = A", high=0.5), "site is not A"),
    ],
)
def test_a_condition_in_words(condition, text):
    assert str(condition) == text


def test_agreement_and_r_squared_worked_out_by_hand():
    labels = fidelity_of(np.array(["a", "a", "b", "b"]), np.array(["a", "b", "b", "b"]), 0)
    numbers = fidelity_of(np.array([0.0, 2, 4, 6]), np.array([0.0, 2, 4, 4]), 0)

    assert (labels.value, labels.largest) == (0.75, 0.5)
    assert labels.chance == pytest.approx(0.5, abs=0.03)
    assert numbers.value == pytest.approx(1 - 4 / 20)


def test_measures_are_those_of_flat_pictures(tmp_path):
    Image.new("RGB", (40, 30), (255, 0, 0)).save(tmp_path / "red.png")

    features = measured_features([str(tmp_path / "red.png"), str(tmp_path / "gone.png")])

    red = dict(zip(features.names, features.values[0], strict=True))
    flat = {name: red[name] for name in ("width", "height", "contrast", "entropy", "sharpness", "colour")}
    expected = {"width": 40, "height": 30, "contrast": 0, "entropy": 0, "sharpness": 0, "colour": 1}
    assert flat == pytest.approx(expected, abs=1e-9)
    assert (red["red"], red["green"], red["blue"]) == pytest.approx((2 / 3, -1 / 3, -1 / 3))
    assert red["brightness"] == pytest.approx(0.241**0.5)  # Finley's weight of red
    assert np.isnan(features.values[1]).all()


def test_columns_become_numbers():
    features = column_features({"age": [1, None, 3], "site": ["A", "B", None], "one": ["x"] * 3, "name": [*"abc"]})

    assert features.names == ("age", "site = A", "site = B", "name = a", "name = b", "name = c")
    np.testing.assert_array_equal(features.values[:, :3], [[1, 1, 0], [np.nan, 0, 1], [3, np.nan, np.nan]])
    assert features.left_out == ("one",)


def test_they_are_drawn_written_and_recorded(tree, tmp_path):
    words = " ".join(text.get_text() for text in tree.plot().texts)
    record = json.loads(json.dumps(tree.record(), allow_nan=False))

    assert "brightness >" in words
    assert "right for 100% (72% to 100%)" in words
    drawn = " ".join(text.get_text() for text in tree.plot_tree().texts)
    assert "→ cluster 0" in drawn
    assert "The rules agree for 100.0%" in drawn
    assert record["fidelity"]["value"] == 1
    assert {rule["then"] for rule in record["rules"]} == {"cluster 0", "cluster 1"}
    page = tree.save(tmp_path / "rules.html").read_text()
    assert "brightness" in page
    assert "As a tree" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("similarity",), "query must be given for the target similarity"),
        (("neighbourhod",), "metadata neighbourhod: no such file|neighbourhod"),
        ((["a"] * 60,), "target must have at least two values to tell apart; all pictures have a"),
        ((["a"] * 3,), "labels must be one for each of the 60 pictures; got 3"),
        (([1.0] * 3,), "target must have a value for each of the 60 pictures; got 3"),
        ((["a", "b"] + [None] * 58,), "rules need at least 12 pictures with a value; got 2"),
    ],
)
def test_what_cannot_be_told_is_refused(archive, arguments, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        relax.surrogate_tree(archive, *arguments, measures=True, progress=False)


def test_rules_without_features_are_refused(archive):
    with pytest.raises(ValueError, match="metadata must be given where measures is False"):
        relax.surrogate_tree(archive, measures=False)
