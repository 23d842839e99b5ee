"""The experiments on speed, memory and error run at a small scale; of their times only the arithmetic is checked."""

import shutil

import numpy as np
import pytest
import torch

import relax
from experiments.benchmarks import index_recall, memory, onnx_speed, overhead, precision, speed
from experiments.data.pictures import SMEAR
from experiments.studies import coverage, designs, token_drop
from masking import DESIGNS, RandomGrid
from relax.scene import Scene
from relax.settings import Hiding


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder with the one picture that comes with the experiments."""
    folder = tmp_path_factory.mktemp("images")
    shutil.copy(SMEAR, folder / "smear.jpg")
    return folder


@pytest.fixture
def run(run_experiment):
    return run_experiment


@pytest.fixture
def scores(tmp_path):
    """A folder where `designs` keeps its scores."""
    return tmp_path / "scores"


def test_designs_are_compared_with_the_masks_of_the_paper(run, images, scores, monkeypatch):
    monkeypatch.setattr(designs, "TRUTH", 2048)
    monkeypatch.setattr(designs, "COUNT", 128)

    rows, summary = run(
        designs, "designs_default_5", "--images", images, "--count", 1, "--cells", 5, "--scores", scores
    )

    errors = summary["squared_error_against_paper"]
    assert {name.split(",")[0] for name in errors} == set(DESIGNS)
    assert errors["independent, plain, 128 masks"]["importance"] == {"ratio": 1, "low": 1, "high": 1}
    assert errors["orthogonal, controlled, 128 masks"]["importance"]["ratio"] < 1
    assert {int(row["masks"]) for row in rows} == {128, designs.RUNS * 128}


def test_pairs_of_runs_give_the_error_without_a_truth(run, images, scores, monkeypatch):
    """For independent masks it is the squared standard error as well, as a share of the variance."""
    monkeypatch.setattr(designs, "COUNT", 512)
    options = ("--images", images, "--count", 1, "--cells", 3, "--pairs", "--scores", scores)

    rows, summary = run(designs, "designs_default_3", *options)

    paper, ours = rows
    assert (paper["design"], ours["design"]) == (designs.PAPER[0], designs.DEFAULT[0])
    explanation = relax.explain(str(images / "smear.jpg"), masks=512, cells=3, preset="paper-rise")
    expected = np.square(explanation.standard_error).mean() / explanation.importance.var()
    assert float(paper["importance"]) == pytest.approx(expected, rel=0.8)
    assert float(ours["importance"]) < float(paper["importance"]) / 2
    ratio = summary["squared_error_against_paper"]["orthogonal, controlled, 512 masks"]["importance"]["ratio"]
    assert ratio == pytest.approx(float(ours["importance"]) / float(paper["importance"]), rel=1e-3)
    assert "default_1024_against_paper_3072" not in summary


def test_kept_scores_need_no_encoder(images, tmp_path):
    scene = Scene.of(str(images / "smear.jpg"), relax.load_encoder("default"), Hiding(cells=3))
    grid = RandomGrid(scene.size, 3, design="orthogonal")
    first = designs.Scores(scene, tmp_path).of(grid, 32)

    kept = designs.Scores(None, tmp_path).of(grid, 32)

    assert torch.equal(kept, first)
    assert first.std() > 0
    with pytest.raises(AttributeError):  # other masks: they would need it
        designs.Scores(None, tmp_path).of(grid, 33)


def test_coverage_counts_every_estimate_of_the_pool(run, images, monkeypatch):
    monkeypatch.setattr(coverage, "POOL", 500)
    monkeypatch.setattr(coverage, "SIZES", (100,))

    ((row,), summary) = run(coverage, "coverage", "--images", images, "--count", 1, "--truth", 1000)

    coverages = summary["coverage"]["100"]
    assert coverages["mean"] == coverages["lowest_image"] == float(row["coverage_100"])
    assert 0.8 < coverages["mean"] <= 1
    assert summary["truth_masks"] == 1000
    assert coverages["best_possible"] == round(coverage.best_possible(100, 1000), 4)


def test_the_best_coverage_falls_with_the_error_of_the_truth():
    """As many masks in the estimate as in the truth: the difference is sqrt(2) as wide; P(|Z| < 1.386) = 0.834."""
    assert coverage.best_possible(0, 3000) == pytest.approx(0.95, abs=1e-6)
    assert coverage.best_possible(3000, 3000) == pytest.approx(0.8342, abs=1e-4)


def test_overhead_is_the_ratio_of_neighbouring_rounds(run):
    rows, summary = run(overhead, "overhead", "--encoder", "default", "--masks", 64, "--rounds", 3)

    ratios = [float(row["explain_s"]) / float(row["bare_s"]) for row in rows]
    assert [float(row["ratio"]) for row in rows] == pytest.approx(ratios, rel=0.05)
    assert summary["ratio"]["min"] <= summary["ratio"]["median"] <= summary["ratio"]["max"]


def test_memory_is_measured_in_processes_of_their_own(run, monkeypatch):
    monkeypatch.setattr(memory, "COUNTS", (32, 64))
    monkeypatch.setattr(memory, "ENCODERS", ("default",))

    ((row,), summary) = run(memory, "memory")

    assert float(row["mib_at_1000"]) > 100  # torch alone takes more
    grown = float(row["mib_at_10000"]) / float(row["mib_at_1000"])
    assert summary["ratio"]["default"] == pytest.approx(grown, abs=1e-3)


def test_memory_is_taken_while_figures_are_written(run, monkeypatch):
    monkeypatch.setattr(memory, "FIGURES", 4)
    monkeypatch.setattr(memory, "EVERY", 2)

    rows, summary = run(memory, "memory_figures", "--figures")

    assert [int(row["figures"]) for row in rows] == [2, 4]
    first, last = (float(row["resident_mib"]) for row in rows)
    assert first > 100
    assert summary["grown_mib"] == pytest.approx(last - first, abs=0.11)
    assert summary["grown_kib_per_figure"] == pytest.approx(512 * summary["grown_mib"], abs=30)


def test_recall_is_counted_against_exact_search(run, monkeypatch):
    monkeypatch.setattr(index_recall, "CASES", (("falling", 2000, ("cosine",)),))

    rows, _ = run(index_recall, "index_recall")

    recalls = {row["kind"]: float(row["recall_at_10"]) for row in rows}
    assert recalls["flat"] == 1
    assert recalls["ivfpq"] <= recalls["ivfpq, compared exactly"] <= 1
    assert recalls["hnsw"] > 0.9


def test_the_clusters_of_vectors_are_clusters(tmp_path):
    index_recall.write_vectors(tmp_path / "vectors.npy", "falling", 400)

    vectors = np.load(tmp_path / "vectors.npy").astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors[0]
    assert vectors.shape == (400 + index_recall.QUERIES, index_recall.D)
    assert 0.3 < (cosines > 0.4).mean() < 0.7  # two clusters; within one, 1 / (1 + 0.7²) = 0.67 on average


def test_precisions_are_compared_with_exact(run):
    rows, summary = run(precision, "precision", "--encoders", "default", "--rounds", 1, "--masks", 64)

    assert {"plain", "folded, channels last", "exact"} <= {row["form"] for row in rows}
    agreement = summary["agreement"]["default"]
    assert agreement["exact"]["map_correlation"] == 1
    assert agreement["auto"]["map_correlation"] >= 0.999


def test_the_batch_and_the_name_of_the_files_can_be_chosen(run):
    options = ("--encoders", "random:timm:test_resnet", "--rounds", 1, "--masks", 16, "--batch-size", 3)

    rows, _ = run(precision, "precision_gpu", *options, "--device", "cpu", "--name", "precision_gpu")

    assert {row["batch"] for row in rows} == {"3"}


def test_dropped_tokens_are_compared_with_filled_ones(run):
    encoder = "random:timm:test_vit"
    rows, summary = run(token_drop, "token_drop", "--encoder", encoder, "--masks", 64, "--rounds", 2)

    ratios = [float(row["times_faster"]) for row in rows]
    assert summary["times_faster"]["median"] == pytest.approx(sum(ratios) / 2, abs=1e-3)
    assert all(-1 <= value <= 1 for value in summary["map_correlation"].values())


def test_speed_is_reported_beside_the_bare_network(run, images, monkeypatch):
    """The peer's error after 300 masks, which ours reaches with fewer."""
    for name, count in (("PEERS_MASKS", 300), ("THEIRS", 200), ("BLOCK", 64), ("TOTAL", 512)):
        monkeypatch.setattr(speed, name, count)
    options = ("--images", images, "--count", 1, "--encoders", "default", "--masks", 40, "--rounds", 1)
    rows, summary = run(speed, "speed", *options, "--peer-batches", 10)

    methods = {row["method"]: row for row in rows}
    assert methods["bare network"]["over_bare"] == "1.0"
    ours = {f"RELAX Explainer, {name}" for name in speed.PRECISIONS}
    assert ours | {"bare network, fastest exact form", "relax-xai", "relax-xai, batches of 10"} <= set(methods)
    reached = summary["default"]
    assert reached["importance"]["our_masks_to_it"][0] < speed.PEERS_MASKS
    for of_map in (reached["importance"], reached["uncertainty"]):
        assert of_map["our_masks_to_it"][0] % 64 == 0
        assert of_map["times_faster_to_it_exact"]["median"] > 0
    fastest = min(("relax-xai", "relax-xai, batches of 10"), key=lambda name: float(methods[name]["seconds"]))
    assert methods[reached["relax_xai_fastest"]]["seconds"] == methods[fastest]["seconds"]
    per_mask = float(methods[fastest]["seconds"]) / 40
    assert reached["relax_xai_seconds_for_3000"] == pytest.approx(per_mask * speed.PEERS_MASKS, rel=0.05)


def test_batches_of_the_peer_must_divide_the_masks(run, images, capsys):
    with pytest.raises(SystemExit):
        run(speed, "speed", "--images", images, "--masks", 40, "--peer-batches", 16, 20)

    assert "--peer-batches must divide the 40 masks of a round; got [16]" in capsys.readouterr().err


@pytest.mark.parametrize("masks", [5, 8])
def test_the_bare_network_sees_as_many_images_as_there_are_masks(masks):
    seen = []

    speed.bare(lambda pixels: seen.append(len(pixels)) or pixels, torch.zeros(1, 3, 2, 2), 4)(masks)

    assert seen == {5: [4, 1], 8: [4, 4]}[masks]


def test_onnx_runtime_is_measured_beside_torch_on_the_same_weights(run, monkeypatch):
    pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")
    monkeypatch.setattr(onnx_speed, "THREADS", (torch.get_num_threads(),))
    encoder = "random:timm:test_resnet"

    rows, summary = run(onnx_speed, "onnx_speed", "--encoder", encoder, "--masks", 4, "--rounds", 1)

    (row,) = rows
    assert summary["cosine"] >= 0.9999
    assert float(row["onnx_to_torch"]) == pytest.approx(float(row["onnx_ms"]) / float(row["torch_ms"]), abs=1e-3)
