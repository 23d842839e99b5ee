"""The studies of the truth of maps run at a small scale, and their statistics equal those worked out by hand."""

import zipfile
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from encoders.bundled import bundled_network
from experiments.data import datasets
from experiments.studies import choices, evidence, out_of_distribution, shortcuts, tolerance, trust
from relax.metrics import Evaluation, Outcome, metrics_named


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Look-alikes of every data set, two pictures each; the polyp is the left half, a white blood cell one corner."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    half = np.zeros((64, 80), np.uint8)
    half[:, :40] = 255

    def picture(path):
        pixels = rng.integers(60, 256, (64, 80, 3), dtype=np.uint8)
        pixels[:20, :20] = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)

    for split, count in (("train", 12), ("val", 2)):
        for number in range(count):
            picture(folder / "kvasir_seg" / split / "images" / f"{number:02}.jpg")
            (folder / "kvasir_seg" / split / "masks").mkdir(exist_ok=True)
            Image.fromarray(half).save(folder / "kvasir_seg" / split / "masks" / f"{number:02}.png")
    (folder / "bccd" / "annotations").mkdir(parents=True)
    for number, kind in enumerate(("WBC", "WBC", "RBC")):
        picture(folder / "bccd" / "images" / f"{number}.jpg")
        box = "<bndbox><xmin>5</xmin><ymin>5</ymin><xmax>30</xmax><ymax>30</ymax></bndbox>"
        text = f"<annotation><object><name>{kind}</name>{box}</object></annotation>"
        (folder / "bccd" / "annotations" / f"{number}.xml").write_text(text)
    for number in range(2):
        picture(folder / "imagenet_sample" / f"n{number}_thing.jpg")
    (folder / "cifar10").mkdir()
    with zipfile.ZipFile(folder / "cifar10" / "test.zip", "w") as archive:
        for number in range(2):
            stream = BytesIO()
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(stream, "png")
            archive.writestr(f"test/cat/{number}.png", stream.getvalue())
    return folder


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """All trained encoders, untrained: the bundled one under every name."""
    folder = tmp_path_factory.mktemp("encoders")
    state = bundled_network(pretrained=True).state_dict()
    for name in ("simclr", "vicreg", "supervised", "planted"):
        (folder / name).mkdir()
        save_file({key: value.contiguous() for key, value in state.items()}, folder / name / "weights.safetensors")
    return folder


@pytest.fixture
def run(run_experiment, data, encoders):
    """Run an experiment on the pictures and encoders of these tests."""
    return lambda experiment, name, *options: run_experiment(
        experiment, name, "--data", data, "--encoders-in", encoders, *options
    )


def evaluation(*values):
    """Pictures 0, 1, ... with (method a, method b) values of a metric where less is better."""
    outcomes = [
        Outcome(str(number), method, {"deletion": value})
        for number, pair in enumerate(values)
        for method, value in zip("ab", pair, strict=True)
    ]
    return Evaluation(tuple(outcomes), tuple(metrics_named(["deletion"])), {})


def test_a_method_is_better_where_its_interval_of_paired_gains_lies_above_zero():
    """a is lower, hence better, by 0.1, 0.2 and 0.1; then by 0.1, -0.1 and 0; and a NaN is no pair."""
    clear, open_question = (
        evaluation((0.4, 0.5), (0.1, 0.3), (0.9, 1.0), (np.nan, 0)),
        evaluation((1, 1.1), (1, 0.9), (1, 1)),
    )

    low, high = evidence.gains(clear, "a", "b")["deletion"]
    assert (low, high) == (pytest.approx(0.1), pytest.approx(0.2))
    assert evidence.compared([clear, clear, open_question], "a", ["b"]) == {
        "b": {"faithfulness": {"better": 2, "worse": 0, "undecided": 1}}
    }
    assert evidence.compared([clear], "b", ["a"])["a"]["faithfulness"]["worse"] == 1


def test_ranks_are_averaged_within_a_family_and_the_best_comes_first():
    rows = [
        {"family": "complexity", "method": method, "rank": rank}
        for method, rank in [("b", 3), ("b", 2), ("a", 1), ("a", 2), ("c", 0)]
    ]

    assert list(evidence.mean_ranks(rows)["complexity"].items()) == [("a", 1.5), ("b", 2.5)]


def test_evidence_covers_every_pair_and_does_not_do_it_twice(run, tmp_path, monkeypatch):
    options = ("--encoders", "default", "simclr", "--methods", "relax", "random", "--count", 2, "--masks", 32)
    options = (*options, "--metrics", "auc", "insertion", "sparseness", "--runs", tmp_path / "runs")

    rows, summary = run(evidence, "evidence", *options)

    pairs = {(row["dataset"], row["metric"]) for row in rows}
    assert pairs >= {(name, "insertion") for name in evidence.DATASETS}
    assert {name for name, metric in pairs if metric == "auc"} == {"kvasir", "bccd", "composed"}
    assert {row["images"] for row in rows} == {"2"}
    assert len(rows) == (3 * 3 + 2 * 2) * 2 * 2
    assert summary["failures"] == []
    assert sum(summary["relax_against"]["random"]["localisation"].values()) == 6
    monkeypatch.setattr(evidence.relax, "evaluate", None)  # a second run only reads
    reread, _ = run(evidence, "evidence", *options)
    assert reread == rows


def test_choices_judges_every_variant_on_the_same_pictures(run):
    rows, summary = run(choices, "choices", "--pairs", "kvasir-default", "--count", 1, "--masks", 32)

    methods = {row["method"] for row in rows}
    assert methods == set(choices.VARIANTS)
    assert {row["images"] for row in rows if row["metric"] == "insertion"} == {"1"}
    assert set(summary["against_default"]) == methods - {"relax"}
    mean = {row["method"]: float(row["mean"]) for row in rows if row["metric"] == "insertion"}
    assert len(set(mean.values())) > len(mean) / 2  # the variants do differ


def test_choices_are_made_for_the_named_variants_only(run):
    options = ("--count", 1, "--masks", 32, "--variants", "relax", "keep 0.5 and 0.9", "--name", "few")
    rows, summary = run(choices, "few", "--pairs", "composed-default", *options)

    assert {row["method"] for row in rows} == {"relax", "keep 0.5 and 0.9"}
    assert set(summary["against_default"]) == {"keep 0.5 and 0.9"}


def test_where_u_relax_shows_nothing_the_pixel_counts_least():
    assert choices.filled(np.array([[3.0, np.nan], [2.0, 4.0]], np.float32)).tolist() == [[3, 2], [2, 4]]


@pytest.fixture
def boxes(tmp_path, monkeypatch):
    """One picture with text, one with a black border."""
    table = tmp_path / "boxes.csv"
    lines = ["image,split,kind,xmin,ymin,xmax,ymax", "00,val,text,5,5,30,15", "01,val,black-border,0,0,20,20"]
    table.write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(datasets, "SHORTCUTS_FILE", table)


def test_shortcuts_are_measured_for_the_planted_mark_and_the_real_ones(run, boxes):
    rows, summary = run(shortcuts, "shortcuts", "--count", 2, "--masks", 32)

    real = [(row["encoder"], row["kind"]) for row in rows if row["part"] == "real"]
    assert real == [(name, kind) for name in shortcuts.REAL_ENCODERS for kind in ("text", "black-border")]
    planted = [row for row in rows if row["part"] == "planted"]
    assert len(planted) == len(shortcuts.PLANTED_ENCODERS) * 2 * (2 + len(shortcuts.METHODS))
    twins = {line["method"]: line for line in summary["misled_minus_twin"]}
    assert twins["relax"]["auc"] == 0  # both are the bundled encoder here
    assert all(0.01 < float(row["area"]) < 0.05 for row in planted)  # a disc of a fifth of the shorter side


def test_shortcuts_take_named_encoders_in_both_parts_and_need_no_twins(run, boxes):
    options = ("--encoders", "default", "--count", 1, "--masks", 32, "--name", "shortcuts_one")
    rows, summary = run(shortcuts, "shortcuts_one", *options)

    assert {(row["part"], row["encoder"]) for row in rows} == {("planted", "default"), ("real", "default")}
    assert summary["misled_minus_twin"] == []


def test_the_difference_of_the_twins_is_taken_picture_by_picture():
    rows = [
        {"part": "planted", "encoder": name, "method": "relax", "auc": value, "mass": 0.0}
        for name, values in (("planted", (0.9, 0.8)), ("simclr", (0.5, 0.6)))
        for value in values
    ]

    (line,) = shortcuts.misled_minus_twin(rows)

    assert (line["auc"], line["auc_low"], line["auc_high"]) == (0.3, 0.2, 0.4)


def test_out_of_distribution_judges_every_number_for_every_encoder(run):
    rows, summary = run(out_of_distribution, "out_of_distribution", "--count", 2, "--masks", 32)

    assert len(rows) == 3 * 3 * 2
    assert {(line["encoder"], line["kind"], line["by"]) for line in summary["auroc"]} == {
        (name, kind, by)
        for name in out_of_distribution.ENCODERS
        for kind in out_of_distribution.OTHERS
        for by in out_of_distribution.EXPECTED
    }


def test_trust_assesses_every_picture_and_compares_with_the_truth(run):
    rows, summary = run(trust, "trust", "--encoders", "default", "--count", 2, "--masks", 32)

    assert [row["encoder"] for row in rows] == ["default"] * 2
    assert all(-1 <= float(row[number]) <= 1 for row in rows for number in trust.NUMBERS)
    means = summary["encoders"]["default"]
    assert means["stability_low"] <= means["stability"] <= means["stability_high"] <= 1
    assert set(means["rank_correlation_with_auc"].values()) <= {-1, 0, 1}  # of two pictures


def test_tolerance_counts_the_masks_of_both_and_what_is_saved(run_experiment, data):
    options = ("--images", data / "imagenet_sample", "--count", 1, "--tolerances", 0.02, "--most", 1024)
    _, summary = run_experiment(tolerance, "tolerance", *options)

    (masks,) = summary["masks"]
    assert masks["default_median"] % 256 == masks["paper_median"] % 256 == 0
    assert masks["default_median"] <= masks["paper_median"] <= 1024
    assert masks["saved"]["median"] == round(1 - masks["default_median"] / masks["paper_median"], 3)
