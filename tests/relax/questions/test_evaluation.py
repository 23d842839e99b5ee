"""`relax evaluate` scores the maps of `relax.explain`, writes all or nothing, goes on after a stop, says failures."""

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import relax
from relax import provenance
from relax.cli.app import run
from relax.explainer import explain_images
from relax.lock import sole_run
from relax.metrics import METRICS, Trial, auc, deletion, insertion
from relax.metrics.maps import spearman
from relax.references import Corpus
from relax.scene import Scene
from relax.settings import Hiding
from similarity.references import Target

CNN = "default"  # the bundled network, 64 px
FAST = ("--encoder", CNN, "--device", "cpu", "--masks", "12")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with three pictures, two of them with a mask."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for folder in ("photos", "masks"):
        Path(folder).mkdir()
    for number, name in enumerate(("a", "b", "c")):
        pixels = rng.integers(0, 255, (40, 50, 3)).astype(np.uint8)
        pixels[10:30, 5 + 10 * number : 25 + 10 * number] = (200, 40, 40)
        Image.fromarray(pixels).save(f"photos/{name}.png")
        if name != "c":
            mask = np.zeros((40, 50), np.uint8)
            mask[10:30, 5 + 10 * number : 25 + 10 * number] = 255
            Image.fromarray(mask).save(f"masks/{name}.png")
    return tmp_path


def rows(folder="relax-out"):
    with (Path(folder) / "evaluation.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def summary(folder="relax-out"):
    return json.loads((Path(folder) / "summary.json").read_text())


def assert_one_line(text, *parts):
    assert text.startswith("relax: ")
    assert text.count("\n") == 1
    for part in parts:
        assert part in text


def test_a_value_is_that_of_the_metric_for_the_map_of_explain(here):
    evaluation = relax.evaluate(
        ["photos/a.png"],
        ["masks/a.png"],
        CNN,
        methods=["relax", "centre"],
        metrics=["auc", "insertion"],
        masks=12,
        cells=5,
        fill="noise",
        seed=4,
        device="cpu",
    )

    encoder = relax.load_encoder(CNN, "cpu")
    truth = np.asarray(Image.open("masks/a.png")) > 0
    trial = Trial.of(Scene.of("photos/a.png", encoder, Hiding(cells=5, fill="noise", seed=4)))
    assert [outcome.method for outcome in evaluation.outcomes] == ["relax", "centre"]
    for outcome in evaluation.outcomes:
        keywords = {"masks": 12} if outcome.method == "relax" else {}
        explanation = relax.explain(
            "photos/a.png", encoder, method=outcome.method, cells=5, fill="noise", seed=4, **keywords
        )
        assert outcome.values == pytest.approx(
            {
                "auc": auc(explanation.importance, truth),
                "insertion": insertion(trial, trial.in_view(explanation.importance), seed=4),
            }
        )
        assert outcome.passes == explanation.provenance["cost"]["passes"]
        judged = relax.evaluate_image(explanation, truth, ["auc", "insertion"], trial=trial, seed=4)
        assert judged == pytest.approx(outcome.values)


def test_the_reference_that_is_explained_is_the_one_that_metrics_ask_for(here):
    evaluation = relax.evaluate(
        ["photos/a.png"], None, CNN, methods=["centre"], metrics=["insertion"], reference="photos/b.png", device="cpu"
    )

    encoder = relax.load_encoder(CNN, "cpu")
    scene = Scene.of("photos/a.png", encoder, Hiding())
    other = encoder(relax.read_image("photos/b.png"))[0]
    explanation = relax.explain("photos/a.png", encoder, method="centre")
    trial = Trial.of(scene)
    values = trial.in_view(explanation.importance)
    trial.target = Target("cosine", other)
    assert evaluation.outcomes[0].values["insertion"] == pytest.approx(insertion(trial, values))


def test_the_summary_holds_the_command_and_another_command_continues(here):
    command = ["evaluate", "photos/a.png", *FAST, "--methods", "random", "--metrics", "entropy"]
    made_by = {"commit": provenance.commit(), "workers": 1, "threads": torch.get_num_threads()}

    run(command)
    first, table = summary()["settings"], Path("relax-out/evaluation.csv")
    table.write_text(table.read_text().replace("passes,0.0", "passes,7.0"))
    run([*command, "--quiet"])

    assert first.items() >= {**made_by, "command": f"relax {shlex.join(command)}"}.items()
    assert summary()["settings"]["command"] == first["command"] + " --quiet"
    assert rows()[0]["value"] == "7.0"  # not computed again


def test_one_image_is_judged_by_what_is_given(here):
    importance = np.random.default_rng(0).random((40, 50))
    trial = Trial.of(Scene.of("photos/a.png", relax.load_encoder(CNN, "cpu"), Hiding()))

    bare = relax.evaluate_image(importance)
    labelled = relax.evaluate_image(importance, np.eye(40, 50, dtype=bool))
    seen = relax.evaluate_image(importance, trial=trial)

    assert set(bare) == {metric.name for metric in METRICS.values() if metric.family == "complexity"}
    assert set(labelled) - set(bare) >= {"auc", "pointing-game", "best-iou"}
    assert set(seen) - set(bare) >= {"insertion", "deletion"}
    assert trial.passes < 220
    with pytest.raises(ValueError, match="metric auc needs a mask or boxes for the picture, which this map comes"):
        relax.evaluate_image(importance, metrics=["auc"])


def test_the_command_writes_every_value_and_the_summary(here, capsys):
    code = run(
        ["evaluate", "photos", "--truth", "masks", *FAST, "--methods", "relax,random", "--metrics", "auc,entropy"]
    )

    assert code == 0
    out, err = capsys.readouterr()
    assert_one_line(err, "note: 1 of 3 pictures have no truth")
    assert "relax-out/evaluation.csv, curves.csv, summary.csv, summary.json, evaluation.png" in out.replace("\n", "")
    values_written = rows()
    assert [(row["image"], row["method"], row["metric"]) for row in values_written[:4]] == [
        ("a.png", "relax", "passes"),
        ("a.png", "relax", "auc"),
        ("a.png", "relax", "entropy"),
        ("a.png", "random", "passes"),
    ]
    assert [row["metric"] for row in values_written if row["image"] == "c.png"] == ["passes", "entropy"] * 2
    values = [float(row["value"]) for row in values_written if (row["method"], row["metric"]) == ("relax", "auc")]
    first = summary()["summary"][0]
    assert (first["metric"], first["method"], first["direction"], first["images"]) == ("auc", "relax", "higher", 2)
    assert first["mean"] == pytest.approx(np.mean(values))
    assert (first["low"], first["high"]) == pytest.approx((min(values), max(values)))
    assert first["passes"] == 13
    assert summary()["settings"]["seed"] == 0
    with Path("relax-out/summary.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert [float(row["mean"]) for row in table] == [row["mean"] for row in summary()["summary"]]
    assert {(row["metric"], row["rank"]) for row in table} >= {("auc", "1"), ("auc", "2")}


def test_without_truth_there_are_metrics_without_labels(here, capsys):
    assert run(["evaluate", "photos/a.png", *FAST, "--methods", "relax", "--quiet"]) == 0

    assert capsys.readouterr() == ("", "")
    names = {row["metric"] for row in rows()}
    assert {"insertion", "deletion", "entropy"} < names
    assert not names & {"auc", "max-sensitivity", "contrastive-insertion"}


def test_an_empty_mask_is_no_value_and_no_failure(here):
    Image.new("L", (50, 40)).save("masks/c.png")

    assert run(["evaluate", "photos", "--truth", "masks", *FAST, "--methods", "centre", "--metrics", "auc"]) == 0

    assert [row["value"] for row in rows() if row["image"] == "c.png"][1] == ""
    assert (summary()["summary"][0]["images"], summary()["summary"][0]["undefined"]) == (2, 1)


def test_what_fails_is_listed_and_the_rest_is_scored(here, capsys):
    Path("photos/d.png").write_bytes(b"no picture")
    Image.new("L", (9, 9), 255).save("masks/b.png")

    code = run(
        ["evaluate", "photos", "--truth", "masks", *FAST, "--methods", "attention,random", "--metrics", "auc,entropy"]
    )

    assert code == 1
    lines = capsys.readouterr().err.splitlines()
    assert any("photos/d.png: not a PNG" in line for line in lines)
    assert any("masks/b.png: the mask is 9 x 9 px, and the picture 50 x 40 px" in line for line in lines)
    assert any("a.png (and 1 more pictures): attention needs" in line for line in lines)
    assert {(row["image"], row["method"]) for row in rows()} == {("a.png", "random"), ("c.png", "random")}
    assert len(summary()["failures"]) == 4


def test_a_stopped_run_goes_on_where_it_was(here, capsys, monkeypatch):
    arguments = ["evaluate", "photos", *FAST, "--methods", "relax,random", "--metrics", "entropy,insertion"]
    assert run([*arguments, "--out", "whole"]) == 0
    calls = []

    def stopping(images, encoder, settings, progress):
        calls.append((Path(images[0]).name, settings.request.method))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return explain_images(images, encoder, settings, progress)

    monkeypatch.setattr("relax.questions.comparison.explain_images", stopping)
    capsys.readouterr()
    assert run(arguments) == 130
    assert "stopped; what is done is in relax-out" in capsys.readouterr().err
    assert len(rows()) == 3 * 3

    assert run(arguments) == 0

    order = [(name, method) for name in ("a.png", "b.png", "c.png") for method in ("relax", "random")]
    assert calls == [*order[:4], *order[3:]]
    key = lambda row: (row["image"], row["method"], row["metric"])  # noqa: E731
    resumed, whole = (sorted(rows(folder), key=key) for folder in ("relax-out", "whole"))
    assert list(map(key, resumed)) == list(map(key, whole))
    values, expected = ([float(row["value"]) for row in table] for table in (resumed, whole))
    assert values == pytest.approx(expected, abs=1e-6)  # not exact: convolutions round as their memory lies


def test_in_python_a_kill_loses_only_the_map_at_hand(here):
    """Stopped before the fourth map: three are kept; later only the others are made, and those of a changed file."""
    images = [
        *sorted(map(str, Path("photos").iterdir()))[:2],
        torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(0)),
    ]
    options = {"methods": ["random", "centre"], "metrics": ["entropy", "insertion"], "device": "cpu", "masks": 12}

    def stopping(done, total, name):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        relax.evaluate(images, None, CNN, out="kept", progress=stopping, **options)
    assert [file.name for file in Path("kept").glob(".evaluation-*.jsonl")]

    seen = []
    resumed = relax.evaluate(images, None, CNN, out="kept", progress=lambda *call: seen.append(call), **options)
    assert [done for done, _, _ in seen] == [3, 4, 5]
    assert not list(Path("kept").glob(".evaluation-*.jsonl"))
    assert len(rows("kept")) == 3 * 2 * 3
    fresh = relax.evaluate(images, None, CNN, progress=False, **options)
    values = [{(o.image, o.method): dict(o.values) for o in e.outcomes} for e in (resumed, fresh)]
    assert values[0].keys() == values[1].keys()
    for key, expected in values[1].items():
        assert values[0][key] == pytest.approx(expected, abs=1e-6)

    Image.new("RGB", (50, 40), (9, 99, 200)).save(images[0])
    seen.clear()
    relax.evaluate(images, None, CNN, out="kept", progress=lambda *call: seen.append(call), **options)
    assert [name for _, _, name in seen] == ["photos/a.png, random", "photos/a.png, centre"]


def test_another_picture_as_reference_is_what_maps_explain_and_are_judged_by(here, capsys):
    Image.open("photos/c.png").save("query.png")
    arguments = [
        "evaluate",
        "photos/a.png",
        *FAST,
        "--methods",
        "relax",
        "--metrics",
        "insertion",
        "--reference",
        "query.png",
    ]
    assert run(arguments) == 0
    assert "cosine to query.png" in capsys.readouterr().out

    scene = Scene.of("photos/a.png", relax.load_encoder(CNN, "cpu"), Hiding())
    query = scene.encoder(relax.read_image("query.png"))[0]
    explanation = relax.explain("photos/a.png", scene.encoder, reference="query.png", masks=12)
    trial = Trial(scene, Target("cosine", query), scene.image_embedding, {})
    (value,) = (float(row["value"]) for row in rows() if row["metric"] == "insertion")
    assert value == pytest.approx(insertion(trial, trial.in_view(explanation.importance)), abs=1e-5)

    Image.open("photos/b.png").save("query.png")  # of the same name
    assert run(arguments) == 0
    (changed,) = (float(row["value"]) for row in rows() if row["metric"] == "insertion")
    assert changed != value


KILLED = """
import os, signal, sys
from relax.cli.app import main
from relax.metrics.journal import Journal

add = Journal.add
count = int(sys.argv.pop(1))

def killed(self, outcome, digest):
    global count
    add(self, outcome, digest)
    count -= 1
    if count == 0:
        os.kill(os.getpid(), signal.SIGKILL)

Journal.add = killed
main()
"""


COUNTED = """
import sys
from pathlib import Path
from relax.cli.app import main
from relax.questions import comparison

explain_images = comparison.explain_images

def counted(images, encoder, settings, progress):
    print(Path(images[0]).name, settings.request.method)
    return explain_images(images, encoder, settings, progress)

comparison.explain_images = counted
main()
"""


def test_after_a_kill_the_same_command_goes_on_and_ends_as_if_nothing_had_happened(here):
    arguments = ["evaluate", "photos", *FAST, "--methods", "relax,random", "--metrics", "entropy", "--quiet"]
    assert run([*arguments, "--out", "whole"]) == 0
    environment = {**os.environ, "PYTHONPATH": str(Path(relax.__file__).parents[1])}
    killed = subprocess.run([sys.executable, "-c", KILLED, "3", *arguments], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL

    # In a process of its own as well: the record holds the versions of the libraries that are loaded.
    again = subprocess.run(
        [sys.executable, "-c", COUNTED, *arguments], env=environment, check=False, capture_output=True
    )

    assert again.returncode == 0
    assert again.stdout.decode().split() == ["b.png", "random", "c.png", "relax", "c.png", "random"]
    resumed, whole = ([(row["image"], row["method"], row["metric"]) for row in rows(f)] for f in ("relax-out", "whole"))
    assert resumed == whole
    assert sorted(path.name for path in Path("relax-out").iterdir()) == sorted(p.name for p in Path("whole").iterdir())


def test_on_a_full_disk_what_is_scored_is_kept_and_the_command_says_so(here, capsys, monkeypatch):
    arguments = ["evaluate", "photos", *FAST, "--methods", "relax,random", "--metrics", "entropy", "--quiet"]
    flush, synced = os.fsync, []

    def full(number):
        if len(synced) == 4:
            raise OSError(28, "No space left on device")
        synced.append(number)
        flush(number)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert run(arguments) == 1

    assert_one_line(
        capsys.readouterr().err,
        ".jsonl cannot be written (No space left on device): free some space",
        "; 4 maps are scored and kept: run the same command to continue",
    )
    assert run(arguments) == 0
    assert len(rows()) == 3 * 2 * 2


def test_a_second_run_in_the_same_folder_is_refused_before_it_starts(here, capsys):
    with sole_run(Path("relax-out"), "relax audit"):
        started = threading.Thread(target=lambda: codes.append(run(["evaluate", "photos", *FAST])))
        codes = []
        started.start()
        started.join()

    assert codes == [2]
    assert_one_line(capsys.readouterr().err, f"relax-out is in use by relax audit (process {os.getpid()} on ")


def test_other_settings_pictures_or_masks_are_computed_anew(here, monkeypatch):
    calls = []

    def counting(images, encoder, settings, progress):
        calls.append(Path(images[0]).name)
        return explain_images(images, encoder, settings, progress)

    monkeypatch.setattr("relax.questions.comparison.explain_images", counting)
    arguments = ["evaluate", "photos", "--truth", "masks", *FAST, "--methods", "random", "--metrics", "auc,entropy"]

    def explained_by(*more):
        calls.clear()
        assert run([*arguments, *more, "--quiet"]) == 0
        return list(calls)

    assert explained_by() == ["a.png", "b.png", "c.png"]
    assert explained_by() == []
    Image.fromarray(np.eye(40, 50, dtype=np.uint8) * 255).save("photos/b.png")
    assert explained_by() == ["b.png"]
    Image.fromarray(np.eye(40, 50, dtype=np.uint8)).save("masks/a.png")
    assert explained_by() == ["a.png"]
    assert explained_by("--seed", "1") == ["a.png", "b.png", "c.png"]
    assert explained_by("--seed", "1", "--methods", "random,centre") == ["a.png", "b.png", "c.png"]


def test_no_file_is_replaced_when_one_cannot_be_written(here):
    assert run(["evaluate", "photos", *FAST, "--methods", "random", "--metrics", "entropy"]) == 0
    before = {path.name: path.read_bytes() for path in Path("relax-out").iterdir()}
    Path("relax-out/summary.json").unlink()
    Path("relax-out/summary.json").mkdir()
    evaluation = relax.evaluate(["photos/a.png"], None, CNN, methods=["centre"], metrics=["entropy"], device="cpu")

    with pytest.raises(OSError, match=r"summary\.json"):
        evaluation.save("relax-out")

    after = {path.name: path.read_bytes() for path in Path("relax-out").iterdir() if path.is_file()}
    assert after == {name: content for name, content in before.items() if name != "summary.json"}


def test_sanity_and_robustness_explain_again_and_catch_the_control(here):
    evaluation = relax.evaluate(
        ["photos/a.png", "photos/b.png"],
        None,
        CNN,
        methods=["centre", "relax"],
        metrics=["sanity", "robustness"],
        masks=16,
        device="cpu",
    )

    values = {outcome.method: outcome.values for outcome in evaluation.outcomes if outcome.image == "photos/a.png"}
    assert values["centre"] == pytest.approx(
        {
            "max-sensitivity": 0,
            "seed-stability": 1,
            "encoder-randomisation": 1,
            "target-randomisation": 1,
        }
    )
    assert values["relax"]["seed-stability"] < 0.999
    assert values["relax"]["encoder-randomisation"] < 0.999
    itself, other = (
        relax.explain("photos/a.png", CNN, masks=16, device="cpu", reference=reference).importance
        for reference in (None, "photos/b.png")
    )
    assert values["relax"]["target-randomisation"] == pytest.approx(spearman(itself.ravel(), other.ravel()), abs=1e-4)
    assert values["relax"]["max-sensitivity"] > 0


@pytest.mark.parametrize(("place", "name"), [(0, "the corpus in contrast"), (1, "the foil in contrast")])
def test_what_is_wrong_in_contrast_is_named(here, place, name):
    contrast = ["photos/b.png", "photos/c.png"]
    contrast[place] = 0.5

    with pytest.raises(ValueError, match=f"^{name} must be an image, .*; got 0.5"):
        relax.evaluate(["photos/a.png"], None, CNN, metrics=["contrastive-insertion"], contrast=contrast, device="cpu")


def test_contrastive_metrics_ask_for_the_corpus_minus_the_foil(here):
    encoder = relax.load_encoder(CNN, "cpu")
    corpus, foil = Corpus(["photos/b.png"]), Corpus(["photos/c.png"])

    evaluation = relax.evaluate(
        ["photos/a.png"], None, encoder, methods=["centre"], metrics=["contrastive-insertion"], contrast=(corpus, foil)
    )

    near, far = (encoder(relax.read_image(f"photos/{name}.png"))[0] for name in "bc")
    trial = Trial.of(Scene.of("photos/a.png", encoder, Hiding()))
    trial.target = lambda z: torch.cosine_similarity(z, near[None]) - torch.cosine_similarity(z, far[None])
    importance = relax.explain("photos/a.png", encoder, method="centre").importance
    expected = insertion(trial, trial.in_view(importance))
    assert evaluation.outcomes[0].values["contrastive-insertion"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["nowhere"], ["nowhere"]),
        (["photos", "--methods", "relax,magic"], ["--methods must be one of", "'magic'"]),
        (["photos", "--metrics", "iou"], ["--metrics must be one of", "'iou'"]),
        (["photos", "--metrics", "auc"], ["metric auc needs masks or boxes"]),
        (["photos", "--truth", "photos"], ["photos has nothing for any of the images"]),
        (["photos/a.png", "--metrics", "target-randomisation"], ["give two or more images"]),
        (["photos", "--metrics", "contrastive-insertion"], ["contrastive-insertion needs a corpus and a foil"]),
        (["photos", "--corpus", "photos"], ["--corpus and --foil belong together"]),
        (["photos", "--encoder", "timm:nothing_of_that_name"], ["nothing_of_that_name"]),
        (["photos", "--masks", "0"], ["masks must be a whole number, 2 or more; got 0"]),
        (["photos", "--fill", "pink"], ["fill", "pink"]),
    ],
)
def test_wrong_usage_is_one_line_before_anything_is_written(here, capsys, arguments, parts):
    assert run(["evaluate", *arguments]) == 2

    assert_one_line(capsys.readouterr().err, *parts)
    assert not Path("relax-out").exists()


def test_a_folder_called_like_an_option_is_not_taken_for_it(here, capsys):
    Path("head").mkdir()

    assert run(["evaluate", "photos", "--truth", "head"]) == 2
    assert_one_line(capsys.readouterr().err, "relax: head has nothing for any of the images")
    assert run(["evaluate", "photos", "--masks", "0"]) == 2
    assert_one_line(capsys.readouterr().err, "relax: --masks must be a whole number")


def test_metrics_are_listed_with_their_direction_and_cost(capsys):
    assert run(["metrics"]) == 0

    out = capsys.readouterr().out
    assert "deletion                  faithfulness  lower is better; costs 21 passes" in out
    assert "max-sensitivity           robustness    lower is better; costs 6 explanations" in out


def test_arguments_that_do_not_fit_are_refused(here):
    with pytest.raises(ValueError, match="truths must be one per image, 2, with None where there is none; got 1"):
        relax.evaluate(["photos/a.png", "photos/b.png"], [None])
    with pytest.raises(ValueError, match="images must be one or more; got none"):
        relax.evaluate([])
    with pytest.raises(ValueError, match="methods must be one or more names; got none"):
        relax.evaluate(["photos/a.png"], methods=[])


def test_where_a_method_leaves_patches_out_metrics_show_the_mean(here):
    encoder = relax.load_encoder("random:timm:test_vit", "cpu")
    settings = {"regions": "patches", "fill": "drop", "masks": 12, "seed": 3}

    evaluation = relax.evaluate(["photos/a.png"], None, encoder, methods=["relax"], metrics=["deletion"], **settings)

    assert evaluation.failures == []
    importance = relax.explain("photos/a.png", encoder, **settings).importance
    trial = Trial.of(Scene.of("photos/a.png", encoder, Hiding(fill="mean")))
    assert evaluation.outcomes[0].values["deletion"] == pytest.approx(
        deletion(trial, trial.in_view(importance), seed=3), abs=1e-6
    )
