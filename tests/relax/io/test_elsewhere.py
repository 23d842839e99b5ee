"""Pictures in tars, in stores, in tables and found by patterns are the pictures that files of their own would be."""

import io
import json
import os
import tarfile

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

import relax
from relax.bulk.explaining import explain_all
from relax.io.sources import names_several, sources_of, state_of

FAST = {"masks": 16, "cells": 3}


def mean(pixels):
    """An encoder: the mean colour."""
    return pixels.mean((2, 3)) + pixels[:, :, ::2].amax((2, 3))


def png(seed):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 14, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def photos(tmp_path):
    """Three pictures and a text in a folder, with a tar of them."""
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b&c.png", "below/d.png")):
        (folder / name).write_bytes(png(number))
    (folder / "text.txt").write_text("no picture")
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        tar.add(folder, "photos")
    return folder


@pytest.fixture
def store(photos):
    """The same in the memory, as in a bucket."""
    memory = fsspec.filesystem("memory")
    for path in photos.rglob("*.png"):
        memory.pipe_file(f"/bucket/photos/{path.relative_to(photos)}", path.read_bytes())
    yield "memory://bucket/photos"
    memory.rm("/bucket", recursive=True)


def test_members_of_a_tar_have_addresses_and_are_read(photos, tmp_path):
    tar = str(tmp_path / "photos.tar")

    sources = sources_of(tar)

    assert names_several(tar)
    assert sources.pictures == [f"{tar}#member=photos/{name}" for name in ("a.png", "b&c.png", "below/d.png")]
    assert sources.name(sources.pictures[1]) == "photos.tar#member=photos/b&c.png"
    for address, name in zip(sources.pictures, ("a.png", "b&c.png", "below/d.png"), strict=True):
        assert not names_several(address)
        assert (relax.read_image(address) == relax.read_image(photos / name)).all()
        assert state_of(address) == ((photos / name).stat().st_size, os.stat(tar).st_mtime_ns)
    with pytest.raises(relax.ImageError, match=r"photos\.tar#member=e\.png: the tar has no such member"):
        relax.read_image(f"{tar}#member=e.png")


def test_objects_of_a_store_are_listed_and_read(photos, store):
    sources = sources_of(store)

    assert [sources.name(address) for address in sources.pictures] == ["a.png", "b&c.png", "below/d.png"]
    assert (relax.read_image(f"{store}/below/d.png") == relax.read_image(photos / "below" / "d.png")).all()
    assert sources_of(f"{store}/*.png").pictures == ["memory://bucket/photos/a.png", "memory://bucket/photos/b&c.png"]
    assert (relax.read_image(f"file://{photos}/a.png") == relax.read_image(photos / "a.png")).all()
    with pytest.raises(relax.ImageError, match=r"memory://bucket/photos/e\.png: no such object"):
        relax.read_image(f"{store}/e.png")
    with pytest.raises(relax.ImageError, match="pictures are read from file://, memory://, s3://"):
        relax.read_image("github://someone:project@main/cat.png")


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_table_lists_pictures_and_its_other_columns_stand_beside_the_maps(photos, tmp_path, ending):
    rows = [
        {"scan": "photos/a.png", "age": 40, "site": "x"},
        {"scan": str(photos / "below" / "d.png"), "age": 50, "site": "y"},
    ]
    table = tmp_path / f"list.{ending}"
    if ending == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), table)
    elif ending == "csv":
        table.write_text("scan,age,site\n" + "".join(f"{row['scan']},{row['age']},{row['site']}\n" for row in rows))
    else:
        table.write_text("".join(json.dumps(row) + "\n" for row in rows))

    with pytest.raises(relax.ImageError, match=r"has no column path or image .* but scan, age, site: name it as in"):
        sources_of(table)
    maps = explain_all(f"{table}#column=scan", mean, out=tmp_path / "out", **FAST)

    assert maps.names == ["photos/a.png", "photos/below/d.png"]
    (shard,) = maps.tables()
    assert shard["age"].to_pylist() == [40, 50]
    assert shard["site"].to_pylist() == ["x", "y"]
    assert (maps["photos/a.png"].image == relax.explain(photos / "a.png", mean, **FAST).image).all()


def test_a_table_without_a_path_in_a_row_is_refused(tmp_path):
    (tmp_path / "list.csv").write_text("path,age\na.png,3\n,4\n")

    with pytest.raises(relax.ImageError, match="column 'path' must hold the path of a picture in each row; got ''"):
        sources_of(tmp_path / "list.csv")


def test_a_pattern_finds_image_files(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)

    assert sources_of("photos/*").pictures == ["photos/a.png", "photos/b&c.png"]
    sources = sources_of("photos/**/*.p*g")
    assert sorted(map(sources.name, sources.pictures)) == ["a.png", "b&c.png", "below/d.png"]
    assert not names_several("photos/a.png")


def test_maps_of_the_same_pictures_are_the_same_wherever_they_lie(photos, store, tmp_path):
    (photos / "text.txt").unlink()
    runs = [
        explain_all(named, mean, out=tmp_path / name, **FAST)
        for name, named in {"folder": photos, "tar": tmp_path / "photos.tar", "store": store}.items()
    ]

    folder, tar, bucket = [next(maps.tables()) for maps in runs]
    for name in ("importance", "uncertainty", "standard_error", "scores"):
        assert folder[name] == tar[name] == bucket[name]
    explanation = runs[2][runs[2].names[0]]
    assert explanation.importance.shape == (12, 14)
