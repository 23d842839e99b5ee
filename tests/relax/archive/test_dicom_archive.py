"""An archive of DICOM is indexed, stopped, continued and audited, whatever its files are called.

`experiments.benchmarks.dicom_archive` kills the commands themselves, over 1,000 files.
"""

import csv
import json

import numpy as np
import pytest
import torch

import relax
from relax.archive.archive import make_archive
from relax.archive.parts import kept_images
from relax.io.sources import PASSED_OVER

pytest.importorskip("pydicom", reason="the extra [medical] is not installed")

from tests.dicom_objects import ct, ct_series, report, uid, ultrasound, written

pytestmark = pytest.mark.filterwarnings("default:.*passed over as no images:UserWarning")


class Quarters:
    """The mean colour of each quarter, until it is stopped."""

    def __init__(self):
        self.embedded, self.last = 0, 10**9

    def __call__(self, pixels):
        if self.embedded >= self.last:
            raise KeyboardInterrupt
        self.embedded += len(pixels)
        return torch.nn.functional.adaptive_avg_pool2d(pixels, 2).flatten(1) + 0.01


@pytest.fixture
def disk(tmp_path):
    """Twelve slices, three loops of four frames, and of the others a report, a copy and a file that is cut off."""
    files = ct_series(tmp_path / "disk" / "ct", 12, size=(24, 24))
    for number in range(3):
        written(tmp_path / "disk" / "us" / f"{number}", ultrasound(4, SOPInstanceUID=uid(f"9.{number}")))
    written(tmp_path / "disk" / "Quagmire", report())
    (tmp_path / "disk" / "z_copy").write_bytes(files[0].read_bytes())
    cut = written(tmp_path / "disk" / "cut", ct(40))
    cut.write_bytes(cut.read_bytes()[:-300])
    return tmp_path / "disk"


def test_an_index_that_was_stopped_goes_on_and_ends_as_an_undisturbed_one(disk, tmp_path):
    encoder, named = Quarters(), f"{disk}#frame=all"
    encoder.last = 7
    with pytest.raises(KeyboardInterrupt):
        make_archive(named, encoder, tmp_path / "out", progress=False)
    kept = kept_images(tmp_path / "out")
    encoder.last, encoder.embedded = 10**9, 0

    archive = make_archive(named, encoder, tmp_path / "out", progress=False)

    assert 0 < kept <= 7
    assert encoder.embedded == 24 - kept
    undisturbed = make_archive(named, Quarters(), tmp_path / "other", progress=False)
    assert [row.path for row in archive.rows] == [row.path for row in undisturbed.rows]
    np.testing.assert_array_equal(archive.embeddings, undisturbed.embeddings)
    assert archive.rows[-1].path == "us/2#frame=4"
    assert [path for path, _ in archive.failed] == ["cut"]
    encoder.embedded = 0
    assert make_archive(named, encoder, tmp_path / "out", progress=False).changes.unchanged == 24
    assert encoder.embedded == 0


def test_an_audit_of_it_lists_what_it_passes_over_and_finds_rows_of_files_for_their_frames(disk, tmp_path):
    (tmp_path / "table.csv").write_text("path,site\n" + "".join(f"us/{number},A\n" for number in range(3)))
    few = {"explain": 0, "hide": 0, "layouts": ["pca"], "progress": False}

    audit = relax.audit(f"{disk}#frame=all", Quarters(), tmp_path / "out", metadata=tmp_path / "table.csv", **few)

    assert len(audit.paths) == 24
    assert audit.metadata.missing == 12
    with (tmp_path / "out" / PASSED_OVER).open() as file:
        rows = {row["why"]: row["file"] for row in csv.DictReader(file)}
    assert set(rows) == {"no picture", "duplicate", "cannot be used"}
    assert rows["no picture"].startswith("dicom-")
    assert rows["duplicate"] == "z_copy"
    written_text = (tmp_path / "out" / "audit.json").read_text() + (tmp_path / "out" / PASSED_OVER).read_text()
    assert "Quagmire" not in written_text
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["images"] == 24
