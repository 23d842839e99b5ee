"""Two workers of Ray, of one cluster, leave what one process leaves: archives, audits and evaluations, bit for bit."""

import json

import pytest
import torch

import relax
from relax.archive.archive import make_archive
from relax.archive.parts import part_files
from relax.cluster import connected
from tests.relax.archive.test_archive import picture
from tests.relax.archive.test_archive_workers import COUNT, contents, network, one_thread, photos

__all__ = ["one_thread", "photos"]  # fixtures
FAST = {"masks": 16, "batch_size": 8, "device": "cpu"}


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    with connected(2, None):
        yield


def edges():
    """A function without a checksum, sent by Ray as it is."""

    class Edges:
        def __call__(self, pixels):
            weights = torch.rand(6, 3, 3, 3, generator=torch.Generator().manual_seed(1)) - 0.5
            return torch.nn.functional.conv2d(pixels, weights).relu().mean((2, 3))

    return Edges()


def test_two_workers_of_which_one_is_killed_leave_the_same_archive(cluster, photos, tmp_path):
    make_archive(photos, network(tmp_path), tmp_path / "one", batch_size=8)
    (tmp_path / "seen").unlink()
    (tmp_path / "kill").touch()
    counted = []

    archive = make_archive(
        photos, network(tmp_path), tmp_path / "two", batch_size=8, workers=2, progress=lambda *now: counted.append(now)
    )

    assert not (tmp_path / "kill").exists()
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert json.loads((tmp_path / "two" / "archive.json").read_text())["workers"] == 2
    assert (tmp_path / "seen").stat().st_size <= COUNT + 8  # what was in parts is not embedded again
    assert counted[0] == (0, COUNT)
    assert counted[-1] == (COUNT, COUNT)
    assert [path for path, _ in archive.failed] == ["73.png"]
    assert not part_files(tmp_path / "two")


def test_an_audit_by_two_workers_finds_the_same(cluster, tmp_path):
    for number in range(12):
        picture(tmp_path / "photos" / f"{number:02}.png", number)
    how = {"explain": 2, "hide": 3, "layouts": ["pca"], "clusters": 2, **FAST}
    relax.audit(tmp_path / "photos", edges(), tmp_path / "one", **how)
    stages = []

    two = relax.audit(
        tmp_path / "photos", edges(), tmp_path / "two", workers=2, progress=lambda *now: stages.append(now), **how
    )

    tables = sorted(path.name for path in (tmp_path / "one").glob("*.csv"))
    assert len(tables) > 5
    for name in (*tables, "importance.npz", "embeddings.npy"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes(), name
    record = json.loads((tmp_path / "one" / "audit.json").read_text())
    assert json.loads((tmp_path / "two" / "audit.json").read_text())["findings"] == record["findings"]
    assert (two.settings["workers"], two.settings["threads"]) == (2, 1)
    assert [now for now in stages if now[0] == "explaining and hiding"][-1][1:] == (10, 10)


def test_an_evaluation_by_two_workers_has_the_same_scores(cluster, tmp_path):
    images = [picture(tmp_path / f"{number}.png", number) or str(tmp_path / f"{number}.png") for number in range(2)]
    (tmp_path / "broken.png").write_bytes(b"no picture")
    images.insert(1, str(tmp_path / "broken.png"))
    how = {"methods": ["relax", "random"], "metrics": ["deletion", "entropy"], **FAST}
    reference = relax.evaluate(images, None, edges(), out=tmp_path / "one", **how)

    two = relax.evaluate(images, None, edges(), out=tmp_path / "two", workers=2, **how)

    assert repr(two.outcomes) == repr(reference.outcomes)
    assert len(two.outcomes) == 5
    assert (tmp_path / "two" / "evaluation.csv").read_bytes() == (tmp_path / "one" / "evaluation.csv").read_bytes()
    assert (two.settings["workers"], two.settings["threads"]) == (2, 1)
    assert not list((tmp_path / "two").glob(".evaluation*"))
