"""Maps of many pictures are those of `relax.explain`; a run that was stopped or damaged goes on as if it was not."""

import json
import resource
import shutil
from hashlib import sha256

import numpy as np
import pytest
import torch
from PIL import Image

import relax
from relax import provenance
from relax.bulk import work
from relax.bulk.explaining import explain_all
from relax.bulk.folder import MANIFEST
from relax.bulk.store import load_maps
from relax.cli.app import run as command
from relax.files import WriteError
from relax.lock import InUse, sole_run
from relax.maps import MAPS

FAST = {"masks": 16, "cells": 3}


class Colours:
    """An encoder: the mean colour, and that of the upper half; at a batch it may be stopped by an error."""

    def __init__(self, stop_at=0, error=None):
        self.batches, self.stop_at, self.error = 0, stop_at, error

    def __call__(self, pixels):
        self.batches += 1
        if self.batches == self.stop_at:
            raise self.error
        return torch.cat([pixels.mean((2, 3)), pixels[:, :, : pixels.shape[2] // 2].mean((2, 3))], 1)


@pytest.fixture
def photos(tmp_path):
    """Eight pictures in a folder and one below it."""
    for number in range(8):
        picture(tmp_path / "photos" / ("below" if number > 5 else "") / f"{number}.png", number)
    return tmp_path / "photos"


def picture(path, seed, size=(20, 24)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def files(out):
    """Checksum by name of every shard's file."""
    paths = sorted((out / "shards").rglob("*.parquet"))
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in paths}


def assert_maps(explanation, expected):
    for name in MAPS:
        np.testing.assert_allclose(getattr(explanation, name), getattr(expected, name), rtol=0, atol=2e-7)


def batches_of(photo):
    """How many batches the encoder sees of one picture."""
    counted = Colours()
    relax.explain(photo, counted, **FAST)
    return counted.batches


def test_each_map_is_that_of_explain(photos, tmp_path):
    """Through a crop, from a region, and in both types of numbers."""
    encoder = relax.load_encoder("random:timm:test_resnet")
    settings = {**FAST, "within": (4, 2, 20, 16)}

    maps = explain_all(photos, encoder, out=tmp_path / "out", shard=3, **settings)
    half = explain_all(photos / "0.png", encoder, out=tmp_path / "half", numbers="float16", **settings)

    assert maps.names == ["0.png", "1.png", "2.png", "3.png", "4.png", "5.png", "below/6.png", "below/7.png"]
    for name, explanation in zip(["0.png", "1.png"], maps, strict=False):
        expected = relax.explain(photos / name, encoder, **settings)
        assert_maps(explanation, expected)
        np.testing.assert_array_equal(explanation.image, expected.image)
        np.testing.assert_array_equal(explanation.scores, expected.scores)
        assert explanation.provenance.keys() == expected.provenance.keys() - {"threads"}  # differ between workers
        same = explanation.provenance.keys() - {"seconds", "created"}
        assert all(explanation.provenance[key] == expected.provenance[key] for key in same)
    assert maps.in_view("0.png")["importance"].shape == maps.in_view("1.png")["importance"].shape
    np.testing.assert_allclose(half["0.png"].importance, maps["0.png"].importance, rtol=2**-11)


def test_other_methods_and_measures_are_kept_too(photos, tmp_path):
    maps = explain_all(photos / "0.png", Colours(), out=tmp_path / "out", method="occlusion", cells=3)

    assert_maps(maps["0.png"], relax.explain(photos / "0.png", Colours(), method="occlusion", cells=3))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()], ids=["Ctrl-C", "killed"])
def test_a_run_that_was_stopped_goes_on_and_ends_as_if_it_was_not(photos, tmp_path, monkeypatch, error):
    explain_all(photos, Colours(), out=tmp_path / "undisturbed", shard=3, **FAST)
    if isinstance(error, SystemExit):
        monkeypatch.setattr(work.Worker, "_keep", lambda *_: [])  # a process that is killed keeps nothing

    stopping = Colours(14, error)
    with pytest.raises(type(error)):
        explain_all(photos, stopping, out=tmp_path / "out", shard=3, **FAST)
    between = files(tmp_path / "out")
    done = []
    maps = explain_all(photos, Colours(), out=tmp_path / "out", shard=3, **FAST,
                       progress=lambda count, of: done.append(count))  # fmt: skip

    assert 1 <= len(between) < 3
    assert files(tmp_path / "out") == files(tmp_path / "undisturbed")
    assert done[0] == 3
    assert sorted(maps.names) == sorted(load_maps(tmp_path / "undisturbed").names)
    assert not (tmp_path / "out" / "parts").exists()


def test_what_is_done_of_a_shard_is_not_done_again(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(work, "PART_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt):
        explain_all(photos, Colours(9, KeyboardInterrupt()), out=tmp_path / "out", **FAST)
    parts = sorted((tmp_path / "out" / "parts").iterdir())
    parts[0].write_bytes(parts[0].read_bytes()[:-9])
    counted = Colours()

    explain_all(photos, counted, out=tmp_path / "out", **FAST)

    assert len(parts) == 2
    assert counted.batches == 7 * batches_of(
        photos / "0.png"
    )  # eight pictures without the one of the part that is whole


def test_a_damaged_file_is_found_and_made_anew(photos, tmp_path):
    explain_all(photos, Colours(), out=tmp_path / "out", shard=3, **FAST)
    before = files(tmp_path / "out")
    damaged, lost = (tmp_path / "out" / "shards" / "000" / name for name in sorted(before)[:2])
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    lost.unlink()

    explain_all(photos, Colours(), out=tmp_path / "out", shard=3, **FAST)

    assert files(tmp_path / "out") == before


def test_a_full_disk_stops_the_run_with_a_word_and_the_next_goes_on(photos, tmp_path):
    """Files may not grow beyond 9 kB, as on a disk that is full; small ones still fit."""
    explain_all(photos, Colours(), out=tmp_path / "undisturbed", shard=3, **FAST)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, before[1]))
    try:
        with pytest.raises(WriteError, match=r"parquet cannot be written \(File too large\)"):
            explain_all(photos, Colours(), out=tmp_path / "out", shard=3, **FAST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    explain_all(photos, Colours(), out=tmp_path / "out", shard=3, **FAST)

    assert files(tmp_path / "out") == files(tmp_path / "undisturbed")


def test_pictures_that_cannot_be_used_are_noted_and_tried_again_on_request(photos, tmp_path):
    (photos / "3.png").write_bytes(b"no picture")
    out = tmp_path / "out"

    maps = explain_all(photos, Colours(), out=out, shard=3, **FAST)
    state = (photos / "3.png").stat()
    assert list(maps.failed) == ["3.png"]
    assert maps.failed["3.png"].startswith("not a PNG")
    assert len(maps) == 7
    with pytest.raises(KeyError, match=r"'3\.png' has no maps .*: not a PNG"):
        maps["3.png"]
    assert (out / "passed_over.csv").read_text().splitlines()[1].startswith("3.png,cannot be used,")
    (failed,) = json.loads((out / MANIFEST).read_text())["failed"]
    assert failed["name"] == "3.png"
    asked = []
    explain_all(photos, Colours(), out=out, shard=3, **FAST, progress=lambda done, of: asked.append(done))
    assert asked == [8]

    content = (photos / "2.png").read_bytes()[: state.st_size]
    shutil.copy(photos / "2.png", photos / "3.png")
    maps = explain_all(photos, Colours(), out=out, shard=3, retry_failed=True, **FAST)

    assert content
    assert maps.failed == {}
    np.testing.assert_array_equal(maps.in_view("3.png")["importance"], maps.in_view("2.png")["importance"])
    assert not (out / "passed_over.csv").exists()


def test_a_second_run_takes_what_is_new_or_changed_and_keeps_what_is_gone(photos, tmp_path):
    explain_all(photos, Colours(), out=tmp_path / "out", shard=3, **FAST)
    picture(photos / "a.png", 20)
    picture(photos / "1.png", 21, (30, 24))
    (photos / "0.png").unlink()
    counted = Colours()

    maps = explain_all(photos, counted, out=tmp_path / "out", shard=3, **FAST)

    assert counted.batches == 2 * batches_of(photos / "a.png")
    assert len(maps) == 9
    assert_maps(maps["1.png"], relax.explain(photos / "1.png", Colours(), **FAST))
    assert maps.in_view("0.png")["importance"].shape == (20, 24)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 1}, r"seed must be that of the run in .*out, 0; got 1: name another folder"),
        ({"reference": "photos/0.png"}, "reference must be that of the run in .*, 'itself'; got 'photos/0.png'"),
        ({"shard": 4}, "shard is the pictures in a shard, and must stay that of the run in .*, 3; got 4"),
        ({"encoder": "random:timm:test_resnet"}, "out holds maps through encoder 'Colours', and .* has another"),
    ],
)
def test_other_settings_are_refused(photos, tmp_path, monkeypatch, changed, message):
    monkeypatch.chdir(tmp_path)
    explain_all(photos / "0.png", Colours(), out="out", shard=3, **FAST)

    with pytest.raises(ValueError, match=message):
        explain_all(photos, **{"encoder": Colours(), "out": "out", "shard": 3, **FAST, **changed})


def test_an_encoder_that_fails_on_every_picture_ends_the_run(photos, tmp_path):
    def broken(pixels):
        raise RuntimeError("no weights")

    with pytest.raises(relax.EncoderError, match="no weights"):
        explain_all(photos, broken, out=tmp_path / "out", shard=3, **FAST)


def test_what_cannot_be_a_run_is_refused(photos, tmp_path):
    with pytest.raises(relax.ImageError, match="nowhere: no such file or folder"):
        explain_all(photos.parent / "nowhere", Colours(), out=tmp_path / "out")
    with pytest.raises(ValueError, match="numbers must be one of float32, float16; got 'float64'"):
        explain_all(photos, Colours(), out=tmp_path / "out", numbers="float64")
    with pytest.raises(ValueError, match="shard must be the number of pictures in a file, 1 or more; got 0"):
        explain_all(photos, Colours(), out=tmp_path / "out", shard=0)
    with pytest.raises(ValueError, match="is no run of maps"):
        load_maps(photos)
    with sole_run(tmp_path / "out", "another"), pytest.raises(InUse):
        _in_another_thread(lambda: explain_all(photos, Colours(), out=tmp_path / "out", **FAST))


def _in_another_thread(work):
    """The lock is held by whoever is in the same thread."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def test_one_map_of_a_run_is_loaded_by_its_name_and_all_make_a_page(photos, tmp_path, capsys):
    explain_all(photos, Colours(), out=tmp_path / "out", **FAST)

    assert_maps(relax.load(tmp_path / "out", "3.png"), relax.explain(photos / "3.png", Colours(), **FAST))
    with pytest.raises(ValueError, match=r"is a run of maps: use relax\.load_maps"):
        relax.load(tmp_path / "out")
    with pytest.raises(ValueError, match=r"name is of a picture in a run, which .*photos is not"):
        relax.load(photos, "3.png")

    (photos / "5.png").unlink()
    assert command(["report", str(tmp_path / "out"), "--out", str(tmp_path / "page.html")]) == 1
    page = (tmp_path / "page.html").read_text()
    assert page.count('class="exhibit"') == 7
    assert "below/6.png" in page
    assert "5.png: no such file" in capsys.readouterr().err


def test_pictures_that_were_moved_are_found_and_others_refused(photos, tmp_path):
    explain_all(photos, Colours(), out=tmp_path / "out", **FAST)
    photos.rename(tmp_path / "moved")

    maps = load_maps(tmp_path / "out", root=tmp_path / "moved")
    assert_maps(maps["below/6.png"], relax.explain(tmp_path / "moved" / "below" / "6.png", Colours(), **FAST))

    picture(tmp_path / "moved" / "0.png", 99)
    with pytest.raises(ValueError, match="shows other pixels than were explained"):
        maps["0.png"]
    with pytest.raises(KeyError, match=r"has no picture '0\.pgn': did you mean '0\.png'"):
        maps["0.pgn"]


def test_the_command_makes_continues_and_refuses(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fast = ["--encoder", "random:timm:test_resnet", "--masks", "8", "--cells", "3", "--out", "maps", "--shard", "5"]

    assert command(["explain", "photos", "--no-figure", *fast]) == 0
    assert "8          8       0         8" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "maps" / MANIFEST).read_text())
    assert manifest["command"] == f"relax explain photos --no-figure {' '.join(fast)}"
    assert manifest.get("commit") == provenance.commit()
    assert (manifest["workers"], manifest["threads"]) == (1, torch.get_num_threads())
    assert command(["explain", "photos", "--no-figure", *fast]) == 0
    assert "8          8       0         0" in capsys.readouterr().out
    assert command(["explain", "photos", "--no-figure", *fast, "--seed", "3"]) == 2
    assert "--seed must be that of the run" in capsys.readouterr().err
    assert command(["explain", "photos", "--no-figure", "--trust"]) == 2
    assert "--trust is for figures" in capsys.readouterr().err
    assert command(["explain", "nowhere", "--no-figure", *fast[:-4], "--out", "other"]) == 1
    assert "nowhere: no such file" in capsys.readouterr().err
    assert not (tmp_path / "other" / "run.json").exists()
