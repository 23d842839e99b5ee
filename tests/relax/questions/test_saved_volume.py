"""The explanation of a volume is read back with its pictures, from the volume where it was, beside it, or named."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import relax
from relax.cli.app import run

pytest.importorskip("nibabel", reason="the extra [medical] is not installed")

from relax.questions.saved_volume import load_volume
from relax.questions.volume import explain_volume
from tests.relax.io.volumes.test_nifti import nifti, quarter_means, stored_as


@pytest.fixture
def saved(tmp_path):
    """A volume stored as LPS, and four explained coronal slices of it, saved."""
    body = np.random.default_rng(0).random((12, 10, 8)).astype(np.float32)
    for folder in ("scans", "out"):
        (tmp_path / folder).mkdir()
    file = stored_as(tmp_path / "scans/a.nii.gz", "LPS", body)
    volume = explain_volume(file, quarter_means, axis="coronal", indices=[1, 4, 7, 9], window=(0.5, 1), masks=20)
    volume.save(tmp_path / "out/a")
    return volume, file, tmp_path / "out/a.json"


def test_maps_pictures_and_records_come_back(saved):
    volume, _, record = saved

    loaded = load_volume(record)

    assert (loaded.axis, sorted(loaded.slices), loaded.name) == ("coronal", [1, 4, 7, 9], "a.nii.gz")
    for index, explanation in volume.slices.items():
        again = loaded.slices[index]
        assert again.provenance == explanation.provenance
        np.testing.assert_array_equal(again.image, explanation.image)
        for name in ("importance", "uncertainty", "standard_error"):
            np.testing.assert_array_equal(getattr(again, name), getattr(explanation, name))
    np.testing.assert_array_equal(loaded.importance, volume.importance)


def test_a_volume_that_was_moved_is_found_beside_the_record_or_by_name(saved, tmp_path):
    _, file, record = saved
    file.rename(tmp_path / "b.nii.gz")

    with pytest.raises(FileNotFoundError, match=r"a\.nii\.gz, is not there: name it with --source"):
        load_volume(record)
    assert len(load_volume(record, tmp_path / "b.nii.gz").slices) == 4
    shutil.copy(tmp_path / "b.nii.gz", record.parent / "a.nii.gz")
    assert len(load_volume(record).slices) == 4


def test_a_volume_or_map_that_cannot_be_read_is_named(saved):
    _, file, record = saved

    (record.parent / "a-uncertainty.nii.gz").write_text("no map")
    with pytest.raises(relax.ImageError, match=r"a-uncertainty\.nii\.gz: is not a NIfTI file, or damaged"):
        load_volume(record)
    file.write_text("no volume")
    for read in (relax.read_volume, lambda path: relax.explain_volume(path, quarter_means)):
        with pytest.raises(relax.ImageError, match=r"scans/a\.nii\.gz: is not a NIfTI file, or damaged"):
            read(file)


def test_another_volume_and_a_damaged_record_are_refused(saved, tmp_path):
    _, _, record = saved
    other = nifti(tmp_path / "other.nii", np.random.default_rng(1).random((12, 10, 8)).astype(np.float32))

    with pytest.raises(ValueError, match="shows other pixels"):
        load_volume(record, other)
    for content in ("[]", '{"axis": "coronal", "volume": {}, "slices": []}', '{"axis": 3}', "{"):
        record.write_text(content)
        with pytest.raises(ValueError, match=r"a\.json is not the record of a volume"):
            load_volume(record)


def test_a_volume_prints_as_two_lines_and_a_record_without_its_parts_is_refused(saved):
    slices, file, path = saved
    encoder = relax.load_encoder(lambda volumes: volumes[:, 0, :2, 0, 0], size=(3, 3, 3), mean=0.0, std=1.0)
    whole = explain_volume(
        file, encoder, axis="coronal", window=(0.5, 1), masks=8, cells=2, similarity="l2", progress=False
    )

    assert repr(slices).startswith("VolumeExplanation of a.nii.gz, slice by slice, coronal slices 1 to 9 (4 of them), ")
    assert repr(whole).startswith("VolumeExplanation of a.nii.gz, at once, coronal slices 0 to ")
    assert "l2, 8 masks, seed 0\nimportance -" in repr(whole)
    assert repr(replace(slices, slices={})) == "VolumeExplanation of no coronal slice yet"

    for name in ("image", "image_sha256", "encoder"):
        record = json.loads(whole.save(path.with_suffix(""))[3].read_text())
        del record["slices"][0][name]
        path.write_text(json.dumps(record))
        with pytest.raises(ValueError, match=rf"a\.json is not the record of a volume \(slice 0 lacks {name}\)"):
            load_volume(path)


def test_the_command_makes_a_page_of_it(saved, tmp_path, capsys, monkeypatch):
    _, file, record = saved
    monkeypatch.chdir(tmp_path)

    assert run(["report", str(record), "--out", "page.html"]) == 0

    assert "written: page.html, 4 pictures" in capsys.readouterr().out
    page = (tmp_path / "page.html").read_text()
    assert "slice by slice: a.nii.gz" in page
    assert '"stack":"coronal slice"' in page
    assert str(tmp_path) not in page
    file.unlink()
    assert run(["report", str(record), "--out", "page2.html"]) == 1
    assert "name it with --source" in capsys.readouterr().err
    for arguments, message in (
        ([str(record), "x.npz"], "one volume or pair makes one page"),
        ([str(tmp_path), "--source", "a.nii"], "--source is for NAME.json of `relax volume`"),
    ):
        assert run(["report", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_saved_slices_of_one_file_get_the_page_of_a_stack_in_their_order(saved, tmp_path, capsys):
    volume, _, _ = saved
    files = [str(volume.slices[index].save(tmp_path / f"{9 - index}.npz")) for index in (4, 1)]

    assert run(["report", *files, "--out", str(tmp_path / "page.html")]) == 0

    page = (tmp_path / "page.html").read_text()
    assert '"stack":"coronal slice"' in page
    assert page.index("coronal=1<") < page.index("coronal=4<")


def test_the_volume_command_writes_the_page_as_well(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nifti(tmp_path / "a.nii", np.random.default_rng(0).random((9, 9, 3)).astype(np.float32))
    fast = ["--encoder", "random:timm:test_resnet", "--device", "cpu", "--masks", "4"]

    assert run(["volume", "a.nii", *fast, "--out", "out", "--report", "page.html"]) == 0

    assert "page.html" in capsys.readouterr().out
    assert '"stack":"axial slice"' in (tmp_path / "page.html").read_text()
    assert run(["volume", "a.nii", *fast, "--report", "out"]) == 2
    assert "--report must be a file" in capsys.readouterr().err
