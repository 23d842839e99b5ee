"""Files of TRIDENT and CLAM are read as they are; those that reach for other files, or are no such, are refused."""

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")

from relax.slides.store import read_tiles, write_tiles  # noqa: E402

CORNERS = np.array([[0, 0], [512, 0], [512, 1024]], np.int64)
FEATURES = np.arange(12, dtype=np.float32).reshape(3, 4)


def written(path, features=FEATURES, coords=CORNERS, **attributes):
    with h5py.File(path, "w") as file:
        file["features"], file["coords"] = features, coords
        file["coords"].attrs.update(attributes)
    return path


TRIDENT = {
    "patch_size": 256,
    "patch_size_level0": 512,
    "level0_magnification": 40,
    "target_magnification": 20,
    "overlap": 0,
    "name": "TCGA-AA-0001",
    "savetodir": "somewhere",
    "level0_width": 4000,
    "level0_height": 3000,
}


@pytest.mark.parametrize("features", [FEATURES, FEATURES[None], FEATURES.astype(np.float16)])
def test_a_file_of_trident_is_read_as_it_is(tmp_path, features):
    tiles = read_tiles(written(tmp_path / "a.h5", features, **TRIDENT))

    np.testing.assert_array_equal(tiles.features, FEATURES)
    assert tiles.features.dtype == np.float32
    np.testing.assert_array_equal(tiles.corners, CORNERS)
    assert (tiles.span, tiles.slide_size, tiles.name) == (512, (4000, 3000), "TCGA-AA-0001")


@pytest.mark.parametrize(
    ("attributes", "span"),
    [
        ({"patch_size": 256, "level0_magnification": 40, "target_magnification": 10}, 1024),
        ({"patch_size": 256, "patch_level": 1, "downsample": 4.0}, 1024),  # CLAM
        ({"patch_size": 256, "patch_level": 0}, 256),
    ],
)
def test_the_size_of_a_tile_follows_from_what_the_file_says(tmp_path, attributes, span):
    assert read_tiles(written(tmp_path / "a.h5", **attributes)).span == span


def test_a_file_that_does_not_say_how_large_its_tiles_are_asks_for_it(tmp_path):
    path = written(tmp_path / "a.h5", patch_level=2)

    with pytest.raises(ValueError, match=r"a.h5 holds no embedded tiles: it does not say how large .* --tile-span"):
        read_tiles(path)
    assert read_tiles(path, span=300).span == 300


def test_what_is_written_is_read(tmp_path):
    record = {"slide": {"name": "b.svs"}, "encoder": {"name": "default"}, "tiles": {}, "tissue": {}}
    attributes = {"patch_size_level0": 448, "level0_width": 4000, "level0_height": 3000}

    write_tiles(tmp_path / "b.h5", iter([FEATURES[:1], FEATURES[1:]]), (3, 4), CORNERS, attributes, record)
    tiles = read_tiles(tmp_path / "b.h5")

    np.testing.assert_array_equal(tiles.features, FEATURES)
    assert (tiles.name, tiles.span, tiles.record["encoder"]["name"]) == ("b.svs", 448, "default")
    assert [path.name for path in tmp_path.iterdir()] == ["b.h5"]


def test_a_file_may_not_reach_for_another_one(tmp_path):
    """A link, an external store and a virtual dataset would read any file that the reader may read."""
    written(tmp_path / "secret.h5", **TRIDENT)
    (tmp_path / "raw").write_bytes(bytes(48))
    layout = h5py.VirtualLayout((3, 4), np.float32)
    layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "features", (3, 4))
    for number in range(3):
        path = tmp_path / f"{number}.h5"
        with h5py.File(path, "w") as file:
            file["coords"] = CORNERS
            file["coords"].attrs.update(TRIDENT)
            if number == 0:
                file["features"] = h5py.ExternalLink("secret.h5", "features")
            elif number == 1:
                file.create_dataset("features", (3, 4), np.float32, external=[(str(tmp_path / "raw"), 0, 48)])
            else:
                file.create_virtual_dataset("features", layout)

        with pytest.raises(ValueError, match="its features are no numbers in the file itself"):
            read_tiles(path)


def test_a_file_that_would_take_too_much_memory_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setenv("RELAX_MAX_FILE_BYTES", "1e6")
    with h5py.File(tmp_path / "large.h5", "w") as file:
        file.create_dataset("features", (2_000_000, 1000), np.float32, chunks=(1000, 1000), compression="gzip")
        file.create_dataset("coords", (2_000_000, 2), np.int64, chunks=(1000, 2), compression="gzip")

    with pytest.raises(ValueError, match=r"large.h5 would take 8.0 GB of memory to read, and the limit is 1 MB"):
        read_tiles(tmp_path / "large.h5")


@pytest.mark.parametrize(
    ("features", "coords", "message"),
    [
        (FEATURES[:2], CORNERS, r"features \(N, D\) and corners \(N, 2\)"),
        (np.full((3, 4), np.nan, np.float32), CORNERS, "features must be finite; 3 of 3 tiles"),
        (FEATURES, CORNERS + 0.5, "its coords are no whole pixels"),
        (np.array([[b"a"] * 4] * 3), CORNERS, "its features must be numbers"),
        (FEATURES.reshape(3, 2, 2), CORNERS, r"features \(N, D\)"),
    ],
)
def test_what_is_no_set_of_tiles_says_why(tmp_path, features, coords, message):
    with pytest.raises(ValueError, match=f"a.h5 holds no embedded tiles: .*{message}"):
        read_tiles(written(tmp_path / "a.h5", features, coords, **TRIDENT))


def test_other_files_are_refused_in_one_line(tmp_path):
    path = written(tmp_path / "a.h5", **TRIDENT)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    (tmp_path / "b.h5").write_text("no such file")

    for broken in (path, tmp_path / "b.h5"):
        with pytest.raises(ValueError, match="holds no embedded tiles: ") as error:
            read_tiles(broken)
        assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError):
        read_tiles(tmp_path / "c.h5")
