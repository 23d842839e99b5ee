"""Marks within groups: do pictures of one folder, or of one value of the metadata, share a detail?

What stands in some pictures of one class is rare among all: half of a hundredth are too few of the pictures that are
compared there. So the largest groups are asked one by one, with pictures of their own, as `relax.auditing.marks` asks
all. The p-values are multiplied by the number of groups (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relax.auditing.duplicates import Duplicates
from relax.auditing.marks import Marks, find_marks
from relax.auditing.metadata import Metadata
from relax.auditing.predictability import Value
from relax.estimators.budget import Progress

PICTURES = 40  # of each group, at most one of every group of near-duplicates
MIN_GROUP = 20  # images in a group
GROUPS = 32  # the largest ones, at most
FOLDER = "folder"


@dataclass(frozen=True)
class Group:
    """Images with something in common: a folder, or a value of a column.

    Attributes:
        column: Name of the column; "folder" for where the files lie.
        value: What they have in common.
        images: Their indices.
    """

    column: str
    value: str
    images: tuple[int, ...]


@dataclass(frozen=True)
class GroupMarks:
    """What was found within one group: `marks` of its pictures, and `p` corrected for the number of groups."""

    group: Group
    marks: Marks
    p: float


def groups_of(names: Sequence[str], metadata: Metadata | None) -> list[Group]:
    """The largest groups: folders, then values of columns of words, each set of images once.

    Args:
        names: Of the images.
        metadata: Their columns; None without a table.
    """
    columns: dict[str, Sequence[Value]] = {FOLDER: [_folder(name) for name in names]}
    if metadata is not None:
        columns |= {name: values for name, values in metadata.columns.items() if _words(values)}
    groups: dict[tuple[int, ...], Group] = {}
    for column, values in columns.items():
        for value, images in _by_value(values).items():
            if MIN_GROUP <= len(images) < len(names):
                groups.setdefault(images, Group(column, value, images))
    return sorted(groups.values(), key=lambda group: -len(group.images))[:GROUPS]


def find_group_marks(
    root: Path,
    paths: Sequence[str],
    groups: Sequence[Group],
    duplicates: Duplicates,
    progress: Progress,
    *,
    level: float = 0.05,
    seed: int = 0,
) -> list[GroupMarks]:
    """Compare pictures of each group with one another.

    Args:
        root: The folder.
        paths: Of all images, relative to it.
        groups: Those to ask.
        duplicates: Of which groups only one image takes part.
        progress: Called with (groups done, groups).
        level: Largest corrected p at which carriers are named.
        seed: The only source of randomness.

    Returns:
        What was found in each group of which 8 pictures could be read, the smallest p first; of equals, the one that
        most pictures show clearly.
    """
    group_of = {image: number for number, images in enumerate(duplicates.groups) for image in images}
    results = []
    for place, group in enumerate(groups):
        progress(place, len(groups))
        order = np.random.default_rng([seed, place]).permutation(group.images).tolist()
        chosen = sorted(_one_of_each(order, group_of))
        marks = find_marks(root, paths, chosen, lambda done, total: None, level=level / len(groups), seed=seed)
        if marks is not None:
            results.append(GroupMarks(group, marks, min(1.0, marks.p * len(groups))))
    return sorted(results, key=lambda result: (result.p, -len(result.marks.carriers)))


def _one_of_each(order: Iterable[int], group_of: Mapping[int, int]) -> list[int]:
    """The first images of an order, one of every group of near-duplicates."""
    seen: set[int] = set()
    chosen: list[int] = []
    for image in order:
        number = group_of.get(image)
        if number is None or number not in seen:
            chosen.append(image)
            seen |= set() if number is None else {number}
        if len(chosen) == PICTURES:
            break
    return chosen


def _by_value(values: Sequence[Value]) -> dict[str, tuple[int, ...]]:
    images: dict[str, list[int]] = {}
    for image, value in enumerate(values):
        if value is not None and value != "":
            images.setdefault(str(value), []).append(image)
    return {value: tuple(members) for value, members in images.items()}


def _folder(name: str) -> str:
    """Of a name with slashes; of a member of a tar, its folder there. "" for a file on top."""
    return name.partition("#member=")[2].rpartition("/")[0] if "#member=" in name else name.rpartition("/")[0]


def _words(values: Sequence[Value]) -> bool:
    """Whether a column names groups: of numbers, few values mean little alike."""
    return any(isinstance(value, str) for value in values)
