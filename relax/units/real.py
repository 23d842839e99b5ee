"""What real pictures reach, and how like them a made picture is.

A made picture may reach a value that no real picture does, because it is nothing like one. How natural it is, is told
by its embedding: the distance to its k-th nearest real picture, ranked among the same distances of the real pictures,
each to the others. 0 % means that it lies farther out than every real picture, and 50 % that it lies as a usual one.
Since the picture was made for one encoder, which it may fool, another can be the judge.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from encoders import Encoder
from encoders.identity import differences, identity
from encoders.trace import Layer
from relax.archive.archive import Archive, load_archive
from relax.archive.files import RECORD
from relax.archive.record import check_same_encoder
from relax.estimators.budget import Budget, Progress
from relax.io.choice import discreet_name, name_within
from relax.io.sources import sources_of
from relax.references import image_files
from relax.scene import EncoderSource, load_encoder
from relax.units.asked import Asked
from relax.units.reading import Reading

MOST = 512  # real pictures that are run through an encoder, evenly spaced; and whose own distances are taken
NEIGHBOUR = 10  # the k of the k-th nearest
LEAST = 3  # real pictures, below which there is no rank
SHOWN = 5  # nearest pictures that are named


@dataclass(frozen=True)
class Real:
    """Real pictures.

    Attributes:
        name: Of the folder.
        pictures: Their addresses; those that were run through the encoder.
        values: (A, N) of each question the value of each picture.
        judge: The encoder that tells how natural a picture is.
        names: (M) of the pictures that it embedded.
        embeddings: (M, D) of length 1.
        own: (up to `MOST`) the distance of real pictures to their k-th nearest others.
    """

    name: str
    pictures: list[str]
    values: Tensor
    judge: Encoder
    names: Sequence[str]
    embeddings: Tensor
    own: Tensor

    @property
    def neighbour(self) -> int:
        """The k of the k-th nearest."""
        return min(NEIGHBOUR, len(self.embeddings) - 1)

    def natural(self, picture: Tensor) -> dict[str, Any]:
        """How like the real pictures a picture (1, C, h, w) in [0, 1] is, as JSON types.

        Returns:
            "distance" to its k-th nearest real picture (1 - cosine), "percentile" of the real pictures that lie as far
            from theirs or farther, in [0, 100], "nearest": names and cosines of the nearest.
        """
        embedding = F.normalize(self.judge(_channels(picture, self.judge.channels)).cpu(), dim=1)
        cosines = (self.embeddings @ embedding[0]).clamp(-1, 1)
        nearest = cosines.topk(min(SHOWN, len(cosines)))
        distance = float(1 - cosines.topk(self.neighbour).values[-1])
        return {
            "distance": distance,
            "percentile": float((self.own >= distance).float().mean() * 100),
            "nearest": [
                {"name": self.names[row], "cosine": float(cosine)}
                for row, cosine in zip(nearest.indices.tolist(), nearest.values, strict=True)
            ],
        }

    def record(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "name": self.name,
            "pictures": int(self.values.shape[1]),
            "judge": self.judge.name,
            "embedded": len(self.embeddings),
            "neighbour": self.neighbour,
            "distance": {"median": float(self.own.median()), "largest": float(self.own.max())},
        }


def real_pictures(
    named: str | Path | Archive,
    encoder: Encoder,
    asked: Sequence[Asked],
    judge: EncoderSource | None = None,
    progress: Progress | None = None,
    most: int = MOST,
) -> Real:
    """Real pictures, embedded, with their values.

    Args:
        named: An archive, its folder, or a folder of pictures, see `relax.io.sources`.
        encoder: That is asked.
        asked: The questions, all of one layer.
        judge: The encoder that tells how natural a picture is; by default that of the archive, or of a folder the one
            that is asked.
        progress: Called with (pictures done, pictures to do).
        most: How many pictures are run through an encoder, evenly spaced.

    Raises:
        ValueError: If there are fewer than three pictures that can be used.
    """
    archive = archive_of(named)
    if archive is not None:
        addresses, root, name = archive.paths, archive.root, folder_title(archive.root)
    else:
        assert not isinstance(named, Archive)  # noqa: S101  # else there is one
        addresses, root = [str(path) for path in image_files(named)], sources_of(named).root
        name = folder_title(root)
    chosen = spaced(addresses, most)
    same = archive is not None and not differences(archive.record["encoder"], identity(encoder))
    judging = encoder if judge is None else load_encoder(judge)
    if archive is not None and judge is None:
        judging = encoder if same else archive_encoder(archive)
    stored = archive is not None and judge is None  # embeddings of the judge
    known = asked[0].layer is None and same  # values, from embeddings of the archive
    shared = asked[0].layer is None and judging is encoder and not known and not stored
    counted = _counter(progress, len(chosen) * ((not known) + (not stored and not shared)))
    if archive is not None and known:
        features = torch.from_numpy(archive.embeddings[spaced(range(len(archive)), most)].copy())
    else:
        features, chosen = _features(chosen, encoder, asked[0].layer, counted, asked)
    values = torch.stack([each.of(features) for each in asked]) if asked[0].layer is None else features.T
    if archive is not None and stored:
        embeddings, named_ones = torch.from_numpy(archive.embeddings[:].copy()), archive.paths
    elif shared:
        embeddings, named_ones = features, chosen
    else:
        embeddings, named_ones = _features(spaced(addresses, most), judging, None, counted)
    if len(embeddings) < LEAST or values.shape[1] < 1:
        raise ValueError(f"real must hold {LEAST} pictures or more that can be used; {name} has {len(embeddings)}")
    embeddings = F.normalize(embeddings.float(), dim=1)
    names = [name_within(root, os.path.relpath(address, root)) for address in named_ones]
    return Real(name, chosen, values, judging, names, embeddings, own_distances(embeddings))


def own_distances(embeddings: Tensor, neighbour: int = NEIGHBOUR) -> Tensor:
    """(up to `MOST`,) distance (1 - cosine) of evenly spaced pictures to their k-th nearest others."""
    neighbour = min(neighbour, len(embeddings) - 1)
    rows = torch.tensor(spaced(range(len(embeddings)), MOST))
    cosines = (embeddings[rows] @ embeddings.T).clamp(-1, 1)
    cosines[torch.arange(len(rows)), rows] = -2  # itself
    return 1 - cosines.topk(neighbour, dim=1).values[:, -1]


def archive_of(named: str | Path | Archive) -> Archive | None:
    """The archive that is named; None for pictures."""
    if isinstance(named, Archive):
        return named
    return load_archive(named) if isinstance(named, str | Path) and (Path(named) / RECORD).is_file() else None


def archive_encoder(archive: Archive) -> Encoder:
    """The encoder that made an archive, once it is sure to be the same still.

    Raises:
        EncoderError, ValueError: If it cannot be loaded, or has changed since.
    """
    if archive.encoder is None:
        record = archive.record["encoder"]
        loaded = load_encoder(record["name"], pooling=record["pooling"], view=record.get("view", "auto"))
        check_same_encoder(record, loaded, archive.folder)
        archive.encoder = loaded
    return archive.encoder


def spaced(items: Sequence[Any], most: int) -> list[Any]:
    """At most so many of them, evenly spaced."""
    if len(items) <= most:
        return list(items)
    return [items[place * len(items) // most] for place in range(most)]


def folder_title(folder: Path) -> str:
    """The name of a folder, or a hash if it may be a patient's."""
    return discreet_name(folder.name or str(folder))


def _features(
    addresses: Sequence[str],
    encoder: Encoder,
    layer: Layer | None,
    counted: Callable[[int], None],
    asked: Sequence[Asked] = (),
) -> tuple[Tensor, list[str]]:
    """(N, D) embeddings of those that can be used, or (N, A) values of questions to a layer; and their addresses."""
    reading = Reading(encoder, layer, Budget.of(None, None, "auto"), report=counted)
    parts, kept = [], []
    for numbers, _, features in reading.features(addresses):
        parts.append(features if layer is None else torch.stack([each.of(features) for each in asked], 1))
        kept += [addresses[number] for number in numbers]
    return (torch.cat(parts) if parts else torch.empty(0, 1)), kept


def _counter(progress: Progress | None, total: int) -> Callable[[int], None]:
    """Takes how many pictures were finished since its last call, and reports their sum."""
    done = 0

    def count(pictures: int) -> None:
        nonlocal done
        done += pictures
        if progress is not None:
            progress(done, total)

    return count


def _channels(picture: Tensor, channels: int | None) -> Tensor:
    """A picture with as many channels as the judge takes."""
    if channels is None or picture.shape[1] == channels:
        return picture
    return picture.expand(-1, 3, -1, -1) if picture.shape[1] == 1 else picture.mean(1, keepdim=True)
