"""The names that other code gives to the layers of a network, written as the network itself has them.

Three habits: a backbone saved as a row of its children ("4.0.conv1" is "layer1.0.conv1"), transformer blocks in chunks
("blocks.1.7" is block 7 of DINOv2's training code, which spreads chunks over machines), and shortcuts of a ResNet
called "shortcut" in place of "downsample", as ResNets for CIFAR have them (lightly, kuangliu/pytorch-cifar).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable

from torch import nn

CHUNKED = re.compile(r"^(.*?)\bblocks\.(\d+)\.(\d+)\.")


def unified(keys: Collection[str], own: Iterable[str]) -> dict[str, str]:
    """Every key of a checkpoint with its name in the words of the network; one to one.

    Args:
        keys: Of the checkpoint.
        own: Names of the network's weights. Where it has chunks or shortcuts itself, they stay.
    """
    text = "\n".join(own)
    names = {key: key for key in keys}
    if re.search(r"\bblocks\.\d+\.", text) and not re.search(r"\bblocks\.\d+\.\d+\.", text):
        names = _without_chunks(keys)
    if ".downsample." in text and ".shortcut." not in text:
        names = {key: name.replace(".shortcut.", ".downsample.") for key, name in names.items()}
    return names if len(set(names.values())) == len(names) else {key: key for key in keys}


def _without_chunks(keys: Collection[str]) -> dict[str, str]:
    """Blocks numbered through, in the order of the chunks and in them, whether a chunk counts anew or goes on."""
    blocks: defaultdict[str, set[tuple[int, int]]] = defaultdict(set)
    for key in keys:
        if match := CHUNKED.match(key):
            blocks[match[1]].add((int(match[2]), int(match[3])))
    places = {before: {block: place for place, block in enumerate(sorted(pairs))} for before, pairs in blocks.items()}

    def whole(match: re.Match[str]) -> str:
        return f"{match[1]}blocks.{places[match[1]][int(match[2]), int(match[3])]}."

    return {key: CHUNKED.sub(whole, key) for key in keys}


def in_sequence(network: nn.Module) -> tuple[dict[str, str], ...]:
    """The children's names by their number in a row: of all, of those but max pooling, and of those with weights."""
    children = list(network.named_children())
    rows = (
        [name for name, _ in children],
        [name for name, child in children if not isinstance(child, nn.MaxPool2d)],
        [name for name, child in children if child.state_dict()],
    )
    return tuple({str(number): name for number, name in enumerate(row)} for row in rows)


def renamed(name: str, numbers: dict[str, str]) -> str:
    """A dotted name with its first word replaced."""
    first, dot, remainder = name.partition(".")
    return numbers.get(first, first) + dot + remainder


def depths(names: Iterable[str]) -> dict[str, int]:
    """How many numbered blocks, of three weights or more, each part of a network has: {"blocks": 12, "layer1": 3}."""
    weights: defaultdict[str, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    for name in names:
        for number in re.finditer(r"(?<=[._])\d+(?=\.)", name):
            weights[name[: number.start() - 1]][int(number[0])] += 1
    return {part: sum(count >= 3 for count in blocks.values()) for part, blocks in weights.items()}
