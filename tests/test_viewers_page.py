"""Every command and line of Python of the page on viewers runs, in order, on synthetic scans."""

import re
import shlex

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="the extra [medical] is not installed")
pytest.importorskip("openslide", reason="the extra [pathology] is not installed")

import nibabel

from experiments.data.slides import blobs, write_slide
from relax.cli.app import run
from relax.exports.kinds import EXPORTS, KEEP
from tests.dicom_objects import ct_series, ultrasound, written
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "viewers.md").read_text()


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ct_series(tmp_path / "scans", 2, size=(32, 40))
    written(tmp_path / "loop.dcm", ultrasound(size=(32, 40)))
    values = np.random.default_rng(0).normal(size=(16, 18, 6)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2, 2, 3, 1])), tmp_path / "brain.nii.gz")
    write_slide(tmp_path / "biopsy.tif", blobs(6, 6, seed=2, share=0.3))
    return tmp_path


def words_of(line, folder):
    """The words of a command, with the files of a pattern, as a shell gives them."""
    for word in shlex.split(line):
        yield from sorted(str(path.relative_to(folder)) for path in folder.glob(word)) if "*" in word else [word]


def test_the_page_on_viewers_runs(here):
    """With fewer masks than shown, so that it takes seconds."""
    blocks = re.findall(r"```(bash|python)\n(.*?)```", PAGE, flags=re.DOTALL)
    assert [kind for kind, _ in blocks].count("bash") == 5

    for kind, text in blocks:
        text = re.sub(r"masks(=| )\d+", r"masks\g<1>16", text)
        if kind == "python":
            exec(text, {})
            continue
        for line in text.strip().splitlines():
            assert run(list(words_of(line, here))[1:]) == 0, line

    named = [name for name in re.findall(r"`([a-z-]+/[a-z.-]+)`", PAGE) if not name.startswith("relax")]
    assert len(named) >= 4
    for name in (*named, "pacs/secondary-capture/0002.dcm", "loop-viewer/sr.dcm", "from-python/sr.dcm"):
        assert (here / name).stat().st_size > 300, name


def test_the_page_on_viewers_has_every_kind_and_what_is_kept():
    for name in (*EXPORTS, *KEEP):
        assert re.search(rf"^\| `{name}`", PAGE, flags=re.MULTILINE), name
