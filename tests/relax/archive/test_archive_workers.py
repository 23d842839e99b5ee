"""What workers have embedded is continued, and comes to the same bytes; with Ray: tests/relax/test_crew.py."""

import json
import os
import signal

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from relax.archive import workers as archive_workers
from relax.archive.archive import load_archive, make_archive
from relax.archive.parts import kept_images
from relax.crew import Crew
from tests.relax.archive.test_archive import picture

COUNT = 74  # two shards; the last batch of the second is a picture alone


def network(folder):
    """A network that kills its process at its fourth batch if the folder holds "kill", and counts what it embeds there.

    It writes a part for each picture; sent by Ray as it is.
    """

    class Network:
        def __init__(self):
            self.folder, self.batches = str(folder), 0
            self.weights = torch.rand(5, 3, 3, 3, generator=torch.Generator().manual_seed(0))

        def __call__(self, pixels):
            import relax.archive.parts

            relax.archive.parts.PART_SECONDS = 0
            self.batches += 1
            if self.batches == 4 and os.path.exists(self.folder + "/kill"):
                os.unlink(self.folder + "/kill")
                os.kill(os.getpid(), signal.SIGKILL)
            with open(self.folder + "/seen", "ab") as file:
                file.write(bytes(len(pixels)))
            return torch.nn.functional.conv2d(pixels, self.weights).relu().mean((2, 3))

    return Network()


@pytest.fixture
def photos(tmp_path):
    for number in range(COUNT - 1):
        picture(tmp_path / "photos" / f"{number:02}.png", number)
    (tmp_path / "photos" / "73.png").write_bytes(b"no picture")
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """In each worker, too: this machine has as many processors as there are workers."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def contents(out):
    """Bytes of the embeddings, rows of the table, and the record without what tells of this run alone."""
    record = json.loads((out / "archive.json").read_text())
    own = ("seconds", "created", "workers", "command", "versions")
    kept = {name: value for name, value in record.items() if name not in own}
    return (out / "embeddings.npy").read_bytes(), pq.read_table(out / "images.parquet").to_pylist(), kept


def test_a_run_whose_driver_is_killed_goes_on_in_one_process(photos, tmp_path, monkeypatch):
    """The first shard is done by a worker, of which nothing but its parts is left."""
    make_archive(photos, network(tmp_path), tmp_path / "one", batch_size=8)

    def killed(self, encoder, make, items):
        yield make(encoder)(items[0])
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(Crew, "each", killed)
        patch.setattr("relax.crew.check_workers", lambda *_: None)
        with pytest.raises(SystemExit):
            make_archive(photos, network(tmp_path), tmp_path / "two", batch_size=8, workers=2)
    assert kept_images(tmp_path / "two") == 64
    (tmp_path / "seen").unlink()

    archive = make_archive(photos, network(tmp_path), tmp_path / "two", batch_size=8)

    assert (tmp_path / "seen").stat().st_size == 12  # a batch of eight, and one picture in a batch of four
    assert archive.changes.embedded == 9
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    np.testing.assert_array_equal(load_archive(tmp_path / "two").embeddings, archive.embeddings)


@pytest.mark.parametrize(("count", "workers", "shards"), [(80, 2, 2), (10_000, 2, 20), (3000, 4, 47), (1, None, 1)])
def test_shards_are_whole_batches_and_several_for_each_worker(count, workers, shards):
    parts = archive_workers.shards_of([(None, None)] * count, workers)

    assert [number for number, _ in parts] == list(range(shards))
    assert sum(len(rows) for _, rows in parts) == count
    assert all(len(rows) % 64 == 0 for _, rows in parts[:-1])
