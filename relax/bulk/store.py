"""The maps of a run, read again.

    maps = relax.load_maps("maps")           # the folder of `relax explain photos --no-figure --out maps`
    maps["cats/tom.jpg"]                     # an Explanation, in the frame of the photograph
    for explanation in maps: ...             # one after the other
    maps.in_view("cats/tom.jpg")             # the three arrays alone, as the encoder saw it; the photograph is not read

Shards are plain Parquet files, so that DuckDB, Polars and pandas read them as well: `relax.bulk.rows` has the columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from relax.bulk.folder import is_run
from relax.bulk.plan import Plan, Planned
from relax.bulk.record import read_record
from relax.bulk.rows import view_maps
from relax.bulk.shards import Done, read_done, read_shard
from relax.explanation import Explanation
from relax.frame import Frame
from relax.io.images import name_of, read_with_record
from relax.io.regions.within import read_within
from relax.maps import MAPS
from relax.scene import digest_of, drawn
from relax.text import nearest


def load_maps(folder: str | Path, root: str | Path | None = None) -> StoredMaps:
    """The maps that `relax.explain_all` or `relax explain --no-figure` keeps in a folder, finished or not.

    Args:
        folder: The folder.
        root: The folder of the pictures, if they were moved: each is there under its name.

    Raises:
        ValueError: If it holds no such maps, or is damaged.
    """
    folder = Path(folder)
    if not is_run(folder):
        raise ValueError(f"{folder} is no run of maps: `relax explain DIR --no-figure --out {folder}` makes one")
    return StoredMaps(folder, Plan.open(folder), read_record(folder), None if root is None else Path(root))


@dataclass(frozen=True, eq=False)
class StoredMaps:
    """The maps of many pictures in the folder of a run.

    Attributes:
        folder: Of the run.
        plan: Its pictures.
        record: How it is made, as in run.json.
        root: The folder of the pictures, if they were moved: each is there under its name.
    """

    folder: Path
    plan: Plan
    record: dict[str, Any]
    root: Path | None = None

    def __repr__(self) -> str:
        failed = f", {len(self.failed):,} failed" if self.failed else ""
        missing = self.plan.pictures - len(self) - len(self.failed)
        return (
            f"StoredMaps in {self.folder}: {len(self):,} of {self.plan.pictures:,} pictures{failed}"
            f"{f', {missing:,} not done yet' if missing else ''}, through {self.record['encoder']['name']}"
        )

    def __len__(self) -> int:
        """Pictures with maps."""
        return sum(done.rows for done in self._done.values())

    @cached_property
    def names(self) -> list[str]:
        """Of the pictures with maps, in the order of the plan."""
        return [name for done in self._done.values() for name in self._table(done, ["name"])["name"].to_pylist()]

    @property
    def failed(self) -> dict[str, str]:
        """Why pictures have no maps, by name."""
        return {row.name: row.reason for done in self._done.values() for row in done.failed}

    def __iter__(self) -> Iterator[Explanation]:
        """The explanations, one after the other; only one shard is in memory.

        Raises:
            ValueError: As for `maps[name]`.
        """
        for done in self._done.values():
            planned = {picture.name: picture for picture in self.plan.shard(done.shard)}
            for batch in self._table(done).to_batches(max_chunksize=1):
                (row,) = batch.to_pylist()
                yield self._explanation(row, planned[row["name"]], done)

    def __getitem__(self, name: str) -> Explanation:
        """The explanation of a picture, in its frame; the picture is read again.

        Raises:
            KeyError: If it is not in the run, or has no maps; the text says which.
            ImageError: If the picture cannot be read any more.
            ValueError: If it is another than was explained, or a file of the run is damaged.
        """
        row, picture, done = self._find(name)
        return self._explanation(row, picture, done)

    def in_view(self, name: str) -> dict[str, NDArray[np.float32]]:
        """The importance, uncertainty and standard error of a picture in the frame of the encoder's view: (h, w) each.

        Raises:
            KeyError, ValueError: As for `maps[name]`.
        """
        return view_maps(self._find(name)[0])

    def tables(self) -> Iterator[pa.Table]:
        """The rows of one shard after the other, as pyarrow tables."""
        for done in self._done.values():
            yield self._table(done)

    @cached_property
    def _done(self) -> dict[int, Done]:
        records = ((number, read_done(self.folder, number)) for number in range(self.plan.shards))
        return {number: done for number, done in records if done is not None}

    @cached_property
    def _places(self) -> dict[str, int]:
        """Shard by name."""
        size = self.record["shard"]
        return {name: at // size for at, name in enumerate(self.plan.names())}

    def _table(self, done: Done, columns: list[str] | None = None) -> pa.Table:
        return read_shard(self.folder, done, columns)

    def _find(self, name: str) -> tuple[dict[str, Any], Planned, Done]:
        if name not in self._places:
            raise KeyError(f"{self.folder} has no picture {name!r}{nearest(name, self._places)}")
        number = self._places[name]
        done = self._done.get(number)
        table = None if done is None else self._table(done)
        rows = [] if table is None else table.filter(pa.compute.equal(table["name"], name)).to_pylist()
        if done is None or not rows:
            reason = self.failed.get(name, "it is not done yet")
            raise KeyError(f"{name!r} has no maps in {self.folder}: {reason}")
        (picture,) = (picture for picture in self.plan.shard(number) if picture.name == name)
        return rows[0], picture, done

    def _explanation(self, row: dict[str, Any], picture: Planned, done: Done) -> Explanation:
        how = json.loads(row["how"])
        how.pop("placed", None)
        address = picture.address if self.root is None else str(self.root / picture.name)
        pixels, read = read_with_record(address, channels=self.record["encoder"]["channels"])
        if digest_of(pixels) != how["image_sha256"]:
            raise ValueError(
                f"{name_of(address)} shows other pixels than were explained: run the command again, or name the folder "
                "of the pictures as they were"
            )
        frame = Frame((row["height"], row["width"]), tuple(row["seen"]), None, self._inside(address, pixels, read))
        maps = {
            name: frame.to_image(torch.from_numpy(values.astype(np.float64))) for name, values in view_maps(row).items()
        }
        versions = done.made.get("versions", self.record["versions"])
        seconds, created = done.made.get("pictures", {}).get(picture.name, (None, None))
        scores = None if row["scores"] is None else np.asarray(row["scores"], np.float64)
        return Explanation(
            **{name: maps[name] for name in MAPS},
            image=drawn(pixels),
            provenance={**how, "seconds": seconds, "created": created, "versions": versions},
            scores=scores,
        )

    def _inside(self, address: str, pixels: torch.Tensor, read: dict[str, Any]) -> NDArray[np.bool_] | None:
        """(H, W) the region that masks varied in; None for the whole picture."""
        named = self.record["settings"]["within"]
        within = read_within(tuple(named) if isinstance(named, list) else named, address, pixels, read)
        return None if within is None or within.inside.all() else within.inside
