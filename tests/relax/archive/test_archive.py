"""An archive holds every usable image of its folder once, with its embedding, whatever was killed or changed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import relax
from relax.archive import files as archive_files
from relax.archive import parts as archive_parts
from relax.archive.archive import load_archive, make_archive
from relax.archive.joining import _new_array
from relax.archive.parts import kept_images, part_files, read_part
from relax.files import WriteError, writing
from relax.io.errors import ImageError
from relax.io.images import read_image

SEEN = []  # the red of the top left pixel of every image that was embedded: pictures have one of their own


def quarters(pixels):
    """An encoder for pixels of any size: the mean colour of each quarter of the image."""
    SEEN.extend((pixels[:, 0, 0, 0] * 255).round().int().tolist())
    return F.adaptive_avg_pool2d(pixels, 2).flatten(1)


@pytest.fixture(autouse=True)
def nothing_seen():
    SEEN.clear()


@pytest.fixture
def photos(tmp_path):
    """Twelve pictures, two of them in a folder; picture N begins with a red of N."""
    for number in range(12):
        picture(tmp_path / "photos" / ("b/c" if number in (3, 4) else "") / f"{number:02}.png", number)
    return tmp_path / "photos"


def picture(path, number, size=(20, 24)):
    pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
    pixels[0, 0, 0] = number
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def files(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def names(archive):
    return [row.path for row in archive.rows]


def check(archive, root):
    """Every readable image is listed once, with the embedding that the encoder gives it alone."""
    usable = []
    for path in sorted(root.rglob("*.png")):
        try:
            usable.append((path.relative_to(root).as_posix(), read_image(path)))
        except ImageError:
            continue
    assert sorted(names(archive)) == sorted(name for name, _ in usable)
    images = dict(usable)
    expected = torch.cat([F.adaptive_avg_pool2d(images[name], 2).flatten(1) for name in names(archive)])
    np.testing.assert_allclose(archive.embeddings, expected, atol=1e-6)
    for position, row in enumerate(archive.rows):
        assert (row.height, row.width) == images[row.path].shape[-2:]
        similarities, ids = archive.index.search(archive.embeddings[position : position + 1], 1)
        assert ids[0, 0] == row.id
        assert similarities[0, 0] == pytest.approx(1 if archive.index.metric == "cosine" else 0, abs=1e-6)


def test_a_folder_becomes_four_files_that_say_the_same(photos, tmp_path):
    archive = make_archive(photos, quarters, tmp_path / "out", batch_size=5)

    assert files(tmp_path / "out") == ["archive.json", "embeddings.npy", "images.parquet", "index.faiss"]
    assert names(archive) == [*(f"{n:02}.png" for n in (0, 1, 2, 5, 6, 7, 8, 9, 10, 11)), "b/c/03.png", "b/c/04.png"]
    assert archive.paths == [str(photos / name) for name in names(archive)]
    check(archive, photos)
    table = pq.read_table(tmp_path / "out" / "images.parquet").to_pylist()
    assert [row["path"] for row in table] == names(archive)
    assert [row["id"] for row in table] == list(range(12))
    assert table[0]["size"] == (photos / "00.png").stat().st_size
    assert table[0]["modified"].value == (photos / "00.png").stat().st_mtime_ns
    assert {row["status"] for row in table} == {"ok"}
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "embeddings.npy"), archive.embeddings)
    record = json.loads((tmp_path / "out" / "archive.json").read_text())
    assert (record["root"], record["kind"], record["metric"], record["images"]) == (str(photos), "flat", "cosine", 12)
    assert record["encoder"]["name"] == "quarters"
    loaded = load_archive(tmp_path / "out")
    assert (loaded.rows, loaded.failed, loaded.root, len(loaded)) == (archive.rows, [], photos, 12)
    assert (archive.changes.new, archive.changes.embedded, archive.changes.failed) == (12, 12, 0)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_neighbours_are_those_of_all_similarities_without_the_image_itself(photos, tmp_path, metric):
    shutil.copy(photos / "05.png", photos / "copy.png")
    archive = make_archive(photos, quarters, tmp_path / "out", metric=metric)

    similarities, rows = archive.neighbours(4)

    exact = archive.embeddings.astype(np.float64)
    if metric == "cosine":
        exact = exact / np.linalg.norm(exact, axis=1, keepdims=True)
        table = exact @ exact.T
    else:
        table = -np.linalg.norm(exact[:, None] - exact[None], axis=2)
    table = table.round(9)  # the copies are equally close to everything, and then the first row comes first
    np.fill_diagonal(table, -np.inf)
    np.testing.assert_array_equal(rows, np.argsort(-table, axis=1, kind="stable")[:, :4])
    np.testing.assert_allclose(similarities, np.sort(table, axis=1)[:, ::-1][:, :4], atol=1e-6)
    assert archive.neighbours(20)[1].shape == (13, 20)
    assert (archive.neighbours(20)[1][:, 12:] == -1).all()


def test_search_takes_an_image_or_an_embedding(photos, tmp_path):
    archive = make_archive(photos, quarters, tmp_path / "out")

    for query in (photos / "07.png", archive.embeddings[5], torch.from_numpy(np.array(archive.embeddings[5]))):
        neighbours = archive.search(query, 3)
        assert [neighbours[0].path, neighbours[0].row] == [str(photos / "07.png"), 5]
        assert neighbours[0].similarity == pytest.approx(1, abs=1e-6)
        assert len(neighbours) == 3
    assert len(archive.search(photos / "07.png", 99)) == 12
    with pytest.raises(ValueError, match="quarters"):
        load_archive(tmp_path / "out").search(photos / "07.png")  # a function cannot be loaded by its name


KILLED = """
import sys, time
from relax.archive import parts as archive_parts
from relax.archive.archive import make_archive
from torch.nn import functional as F

archive_parts.PART_IMAGES = 3

def quarters(pixels):
    time.sleep(0.1)
    return F.adaptive_avg_pool2d(pixels, 2).flatten(1)

make_archive(sys.argv[1], quarters, sys.argv[2], batch_size=1)
"""


def test_after_sigkill_the_same_call_goes_on_and_ends_as_if_nothing_had_happened(photos, tmp_path):
    for number in range(12, 60):
        picture(photos / f"{number:02}.png", number)
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", KILLED, photos, out], cwd=Path(relax.__file__).parents[1])
    while kept_images(out) < 6:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {row.path for file in part_files(out) for row in read_part(file)[0]}
    assert 6 <= len(kept) < 60
    with pytest.raises(FileNotFoundError, match=rf"is not finished, {len(kept)} images are embedded: run relax index"):
        load_archive(out)

    resumed = make_archive(photos, quarters, out, batch_size=1)

    embedded = list(SEEN)
    assert len(embedded) == len(set(embedded)) == 60 - len(kept) == resumed.changes.embedded
    assert not {f"{number:02}.png" for number in embedded} & {Path(path).name for path in kept}
    whole = make_archive(photos, quarters, tmp_path / "whole", batch_size=1)
    assert resumed.rows == whole.rows
    assert len(set(names(resumed))) == 60
    np.testing.assert_array_equal(resumed.embeddings, whole.embeddings)
    np.testing.assert_array_equal(resumed.index.ids, whole.index.ids)
    assert files(out) == files(tmp_path / "whole")


@pytest.mark.parametrize("moved", range(4))
def test_an_update_killed_while_its_files_are_moved_is_finished_by_whoever_comes_next(
    photos, tmp_path, monkeypatch, moved
):
    out = tmp_path / "out"
    make_archive(photos, quarters, out)
    picture(photos / "new.png", 99)
    (photos / "01.png").unlink()
    moves, replace = [], Path.replace

    def killed(self, target):
        if self.parent.name == ".committed":
            if len(moves) == moved:
                raise SystemExit("killed")
            moves.append(self)
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(SystemExit):
            make_archive(photos, quarters, out)

    check(load_archive(out), photos)
    SEEN.clear()
    check(make_archive(photos, quarters, out), photos)
    assert SEEN == []


def test_an_update_killed_before_that_leaves_the_archive_as_it_was(photos, tmp_path, monkeypatch):
    out = tmp_path / "out"
    before = make_archive(photos, quarters, out)
    picture(photos / "new.png", 99)

    with monkeypatch.context() as patched:
        patched.setattr(archive_files.pq, "write_table", _killed_at("next", archive_files.pq.write_table))
        with pytest.raises(SystemExit):
            make_archive(photos, quarters, out)
    (out / ".next").mkdir(exist_ok=True)  # what a real kill leaves
    (out / ".next" / "images.parquet").write_text("half")

    assert load_archive(out).rows == before.rows
    SEEN.clear()
    after = make_archive(photos, quarters, out)
    check(after, photos)
    assert SEEN == []  # the new image lay in a part
    assert files(out) == ["archive.json", "embeddings.npy", "images.parquet", "index.faiss"]


def _killed_at(folder, write):
    def killed(table, path, **options):
        if Path(path).parent.name == f".{folder}":
            raise SystemExit("killed")
        write(table, path, **options)

    return killed


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_an_update_embeds_only_what_is_new_or_changed_and_forgets_what_is_gone(photos, tmp_path, kind):
    out = tmp_path / "out"
    before = make_archive(photos, quarters, out, kind=kind)
    SEEN.clear()
    picture(photos / "00a.png", 80)
    picture(photos / "05.png", 85, size=(30, 10))
    (photos / "06.png").unlink()
    os.utime(photos / "07.png", ns=(1, 1))  # touched, the same bytes

    after = make_archive(photos, quarters, out, kind=kind)

    assert sorted(SEEN) == [80, 85]
    changes = after.changes
    assert (changes.new, changes.changed, changes.unchanged, changes.removed, changes.failed) == (1, 1, 10, 1, 0)
    check(after, photos)
    old, new = ({row.path: row.id for row in archive.rows} for archive in (before, after))
    assert all(new[path] == old[path] for path in new.keys() & old.keys())
    assert new["00a.png"] == 12
    assert after.index.kind == kind

    (photos / "00a.png").unlink()
    make_archive(photos, quarters, out, kind=kind)
    picture(photos / "00b.png", 81)
    latest = make_archive(photos, quarters, out, kind=kind)
    assert {row.path: row.id for row in latest.rows}["00b.png"] == 13  # no id is given twice
    assert sorted(SEEN) == [80, 81, 85]
    stamp = (photos / "07.png").stat().st_mtime_ns
    assert next(row for row in latest.rows if row.path == "07.png").modified == stamp == 1


def test_objects_of_a_store_become_an_archive_and_are_read_again_to_see_whether_they_changed(photos, tmp_path):
    store = f"file://{photos}"
    local = make_archive(photos, quarters, tmp_path / "local")

    archive = make_archive(store, quarters, tmp_path / "out")

    assert names(archive) == names(local)
    np.testing.assert_array_equal(archive.embeddings, local.embeddings)
    assert archive.search(photos / "07.png", 1)[0].path.endswith("/07.png")
    assert archive.search(archive.paths[7], 1)[0].similarity == pytest.approx(1, abs=1e-6)
    picture(photos / "00.png", 90)  # of the same size in bytes, or not: its bytes tell
    SEEN.clear()
    again = make_archive(Path(store), quarters, tmp_path / "out")
    assert SEEN == [90]
    assert (again.changes.changed, again.changes.unchanged) == (1, 11)
    with pytest.raises(ValueError, match="is the archive of file:"):
        make_archive(f"{store}/b", quarters, tmp_path / "out")


def test_nothing_is_done_where_nothing_changed(photos, tmp_path):
    make_archive(photos, quarters, tmp_path / "out")
    SEEN.clear()
    stamps = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in ("index.faiss", "embeddings.npy")}

    archive = make_archive(photos, quarters, tmp_path / "out")

    assert SEEN == []
    assert (archive.changes.unchanged, archive.changes.embedded) == (12, 0)
    assert stamps == {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in stamps}


def test_another_kind_or_metric_makes_the_index_anew_and_embeds_nothing(photos, tmp_path):
    make_archive(photos, quarters, tmp_path / "out")
    SEEN.clear()

    archive = make_archive(photos, quarters, tmp_path / "out", kind="hnsw", metric="l2")

    assert SEEN == []
    assert (archive.index.kind, archive.index.metric, archive.record["kind"]) == ("hnsw", "l2", "hnsw")
    check(archive, photos)


def test_embeddings_of_different_encoders_never_meet(photos, tmp_path, monkeypatch):
    torch.manual_seed(0)
    first, second = (torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten()) for _ in range(2))
    second.register_buffer("weights", torch.ones(1))
    make_archive(photos, first, tmp_path / "out")

    with pytest.raises(
        ValueError, match=r"out holds embeddings of encoder 'Sequential', .* has another checksum: choose"
    ):
        make_archive(photos, second, tmp_path / "out")
    with pytest.raises(ValueError, match=r"holds embeddings of encoder 'Sequential', and 'quarters' has another name"):
        make_archive(photos, quarters, tmp_path / "out")

    def stops(pixels):
        if len(SEEN) > 3:
            raise KeyboardInterrupt
        return quarters(pixels)

    with pytest.raises(KeyboardInterrupt):
        make_archive(photos, stops, tmp_path / "half", batch_size=2)
    assert kept_images(tmp_path / "half") == 4
    with pytest.raises(ValueError, match="half holds embeddings of encoder 'stops'"):
        make_archive(photos, quarters, tmp_path / "half")


def test_a_folder_that_moved_is_the_same_and_another_one_is_not(photos, tmp_path):
    make_archive(photos, quarters, tmp_path / "out")
    picture(tmp_path / "other" / "x.png", 77)
    SEEN.clear()

    with pytest.raises(ValueError, match=rf"is the archive of {photos}; for .*other choose another folder"):
        make_archive(tmp_path / "other", quarters, tmp_path / "out")
    photos.rename(tmp_path / "moved")
    archive = make_archive(tmp_path / "moved", quarters, tmp_path / "out")

    assert SEEN == []
    assert archive.paths[0] == str(tmp_path / "moved" / "00.png")


@pytest.mark.filterwarnings("ignore:.*passed over as no images")
def test_what_cannot_be_used_is_listed_tried_again_and_never_in_the_way(photos, tmp_path):
    whole = (photos / "02.png").read_bytes()
    (photos / "02.png").write_bytes(whole[:-200])
    (photos / "empty.JPG").touch()
    (photos / "notes.txt").write_text("no image")
    (photos / ".hidden.png").write_text("no image")
    (photos / "folder.png").mkdir()
    picture(photos / ".cache" / "thumb.png", 90)
    (photos / "dangling.png").symlink_to(photos / "nowhere.png")

    (photos / "loop.png").symlink_to("loop.png")
    os.mkfifo(photos / "pipe.png")
    (photos / "null.png").symlink_to(os.devnull)

    named = r"loop.png \(a link to itself\), null.png \(a device\), pipe.png \(a named pipe\), 1 \.txt$"
    with pytest.warns(UserWarning, match=f"passed over as no images: {named}"):
        archive = make_archive(photos, quarters, tmp_path / "out", batch_size=4)

    assert [path for path, _ in archive.failed] == ["02.png", "dangling.png", "empty.JPG"]
    assert [re.split(r"[,:(]", reason)[0] for _, reason in archive.failed] == [
        "is damaged or truncated",
        "cannot be read",
        "the file is empty",
    ]
    assert len(archive) == 11
    assert load_archive(tmp_path / "out").failed == archive.failed
    rows = pq.read_table(tmp_path / "out" / "images.parquet").to_pylist()
    assert (rows[11]["path"], rows[11]["id"], rows[11]["status"]) == ("02.png", -1, "failed")
    (photos / "02.png").write_bytes(whole)
    mended = make_archive(photos, quarters, tmp_path / "out")
    assert [path for path, _ in mended.failed] == ["dangling.png", "empty.JPG"]
    assert (mended.changes.new, mended.changes.embedded) == (1, 1)
    assert "02.png" in names(mended)

    (photos / "02.png").write_bytes(b"broken later")
    broken = make_archive(photos, quarters, tmp_path / "out")
    assert "02.png" not in names(broken)
    assert len(broken.index) == len(broken) == 11


def test_hostile_names_come_through_or_are_named(photos, tmp_path):
    odd = ["a\nb.png", "no #1=2.png", "quote'\".png", "é中.png", "%s {x} [red].png", "\x1b[31m.png"]
    for number, name in enumerate(odd):
        picture(photos / name, 100 + number)
    Path(os.fsdecode(os.fsencode(photos) + b"/bad\xff.png")).write_bytes((photos / "00.png").read_bytes())

    archive = make_archive(photos, quarters, tmp_path / "out")

    assert set(odd) < set(names(archive))
    assert archive.failed == [("bad\\udcff.png", "the name is not valid Unicode: rename the file")]
    assert set(names(load_archive(tmp_path / "out"))) == set(names(archive))
    assert all(Path(path).is_file() for path in archive.paths)


def test_images_of_any_size_and_one_on_which_the_encoder_fails(photos, tmp_path):
    picture(photos / "wide.png", 50, size=(10, 90))
    picture(photos / "poison.png", 66)

    def quarters_or_nan(pixels):
        embeddings = quarters(pixels)
        embeddings[pixels[:, 0, 0, 0] * 255 == 66] = torch.nan
        return embeddings

    archive = make_archive(photos, quarters_or_nan, tmp_path / "out", batch_size=14)

    assert [path for path, _ in archive.failed] == ["poison.png"]
    assert "must return finite embeddings" in archive.failed[0][1]
    assert len(archive) == 13
    assert "wide.png" in names(archive)

    def always_nan(pixels):
        return quarters(pixels) * torch.nan

    SEEN.clear()
    with pytest.raises(ValueError, match="must return finite embeddings"):
        make_archive(photos, always_nan, tmp_path / "none", batch_size=4)
    assert len(SEEN) == 20  # a batch, then each of its images, in a pass of four; not all fourteen


def test_progress_counts_every_image_once(photos, tmp_path):
    (photos / "02.png").write_text("broken")
    reports = []

    make_archive(photos, quarters, tmp_path / "out", batch_size=5, progress=lambda *numbers: reports.append(numbers))

    assert reports[0] == (0, 12)
    assert reports[-1] == (12, 12)
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)


def test_only_the_folder_itself_where_folders_in_it_do_not_count(photos, tmp_path):
    archive = make_archive(photos, quarters, tmp_path / "out", recursive=False)

    assert len(archive) == 10
    assert not any("/" in name for name in names(archive))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"root": "nowhere"}, "root must be a folder of images; .*nowhere is not there"),
        ({"root": "photos/00.png"}, "root must be a folder of images; .* is a file"),
        ({"root": "bare"}, "bare holds no image"),
        ({"kind": "tree"}, "kind must be one of flat, hnsw, ivfpq; got 'tree'"),
        ({"kind": "ivfpq"}, "needs at least 624 vectors to train on; got 12"),
        ({"metric": "dot"}, "metric must be one of cosine, l2"),
        ({"batch_size": 0}, "batch_size must be a whole number"),
    ],
)
def test_what_cannot_be_is_refused_before_an_image_is_embedded(photos, tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    Path("bare").mkdir()
    arguments = {"root": "photos", **change}

    with pytest.raises(ValueError, match=message):
        make_archive(arguments.pop("root"), quarters, "out", **arguments)

    assert SEEN == []
    assert not Path("out").exists()


def test_damaged_or_mixed_files_are_refused_in_words(photos, tmp_path):
    out = tmp_path / "out"
    make_archive(photos, quarters, out)
    good = {path.name: path.read_bytes() for path in out.iterdir()}

    def with_file(name, data):
        for other, content in good.items():
            (out / other).write_bytes(content)
        (out / name).write_bytes(data)

    with_file("images.parquet", good["images.parquet"][:-20])
    with pytest.raises(ValueError, match=r"images\.parquet is damaged"):
        load_archive(out)
    with_file("archive.json", b"{")
    with pytest.raises(ValueError, match=r"archive\.json is damaged"):
        load_archive(out)
    with_file("archive.json", good["archive.json"].replace(b'"format": 1', b'"format": 9'))
    with pytest.raises(ValueError, match="has format 9, and this version reads 1"):
        load_archive(out)
    np.save(out / "embeddings.npy", np.zeros((3, 12), np.float32))
    (out / "archive.json").write_bytes(good["archive.json"])
    with pytest.raises(ValueError, match="do not belong together"):
        load_archive(out)
    with pytest.raises(FileNotFoundError, match=r"nothing holds no archive: run relax index DIR --out"):
        load_archive(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"format": 1}', "it lacks root"),
        (
            b'{"format": 1, "root": "a", "encoder": {"pooling": "cls"}, "metric": "cosine", "kind": "flat",'
            b' "next_id": 3, "dimension": 12}',
            r"it lacks encoder\.name",
        ),
        (b"[]", "must be a record; got a list"),
    ],
)
def test_a_record_that_cannot_be_used_is_refused_in_one_line(photos, tmp_path, content, reason):
    out = tmp_path / "out"
    make_archive(photos, quarters, out)
    (out / "archive.json").write_bytes(content)

    with pytest.raises(ValueError, match=rf"archive\.json is damaged \(.*{reason}.*\): delete .*out and make"):
        load_archive(out)


@pytest.mark.parametrize("damage", [b"PK\x03\x04", b"", b"\x80\x04."])
def test_embeddings_in_another_format_are_refused(photos, tmp_path, damage):
    """numpy would open an archive of arrays or a pickle as well."""
    out = tmp_path / "out"
    make_archive(photos, quarters, out)
    (out / "embeddings.npy").write_bytes(damage + (out / "embeddings.npy").read_bytes()[len(damage) :] * bool(damage))

    with pytest.raises(ValueError, match=r"embeddings\.npy is damaged \("):
        load_archive(out)


def test_an_embedding_that_is_not_finite_names_its_file(photos, tmp_path):
    out = tmp_path / "out"
    make_archive(photos, quarters, out)
    embeddings = np.load(out / "embeddings.npy")
    embeddings[3, 2] = np.nan
    np.save(out / "embeddings.npy", embeddings)

    with pytest.raises(ValueError, match=r"embeddings\.npy is damaged \(queries must be finite .*row 3"):
        load_archive(out).neighbours(2)


def test_whatever_bytes_of_a_table_are_changed_the_error_is_one_line(photos, tmp_path):
    """Parquet keeps no checksum, so that some changes only change a row."""
    make_archive(photos, quarters, tmp_path / "out")
    good, rng = (tmp_path / "out" / "images.parquet").read_bytes(), np.random.default_rng(0)
    refused = []
    for _ in range(200):
        damaged = bytearray(good)
        for place in rng.integers(len(good), size=rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        (tmp_path / "damaged.parquet").write_bytes(damaged)
        try:
            archive_files.read_rows(tmp_path / "damaged.parquet")
        except ValueError as error:
            refused.append(str(error))
    assert len(refused) > 50
    assert not [reason for reason in refused if "\n" in reason or "damaged.parquet is damaged (" not in reason]


@pytest.mark.skipif(sys.platform == "win32", reason="the size of files is not limited there")
def test_a_full_disk_is_told_before_the_embeddings_are_mapped(photos, tmp_path):
    """A limit on the size of files stands for a full disk: writing through the map would end the process."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**7, before[1]))
    try:
        with pytest.raises(WriteError) as error, writing("embeddings.npy"):
            _new_array(tmp_path / "x.npy", (10**6, 4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert str(error.value) == "embeddings.npy cannot be written (File too large)"


def test_parts_end_after_so_many_images_or_seconds(tmp_path, monkeypatch):
    row = archive_files.ImageRow("a.png", 1, 1)
    vector = np.arange(3, dtype=np.float32)
    monkeypatch.setattr(archive_parts, "PART_IMAGES", 2)

    with archive_parts.Parts(tmp_path, "{}") as parts:
        for _ in range(3):
            parts.add(row, vector)
        assert kept_images(tmp_path) == 2
        parts.since -= archive_parts.PART_SECONDS
        parts.add(row, vector + 1)
        assert kept_images(tmp_path) == 4
    rows, vectors, encoder = read_part(part_files(tmp_path)[1])

    assert (rows, encoder) == ([row, row], "{}")
    assert vectors.tolist() == [[0, 1, 2], [1, 2, 3]]
