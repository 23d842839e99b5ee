"""The network of a `file:` spec: built by name and as the checkpoint shows it, then filled from the checkpoint."""

from __future__ import annotations

import warnings
from dataclasses import replace

from encoders.checkpoints.layouts import fill, find_backbone
from encoders.checkpoints.reading import read_checkpoint
from encoders.checkpoints.recognition import fit_stem, recognised
from encoders.contract import Builder, Built
from encoders.errors import EncoderWarning
from encoders.items import size_of
from encoders.kinds import resolve
from encoders.layers import settings_of
from encoders.parsing import Spec, parse_architecture
from encoders.places import check_architecture


def build_from_checkpoint(spec: Spec) -> Built:
    """The network that arch= names, with the weights of the file.

    Args:
        spec: Its item part= chooses among several copies, see `find_backbone`. Further items are arguments of the
            network's constructor; channels, heads and pooling that the checkpoint gives away need not be said, see
            `encoders.checkpoints.recognition`, and stand in the report with those that leave no trace in weights.

    Raises:
        EncoderError: If no network is named, it takes no such argument, the file cannot be read, or too much does not
            fit.
    """
    check_architecture(spec)
    path, arch = spec.name, spec.items["arch"]
    named = parse_architecture(arch, spec.items)
    architecture = replace(named, text=spec.text, kind=replace(named.kind, items=spec.kind.items, arguments=True))
    builder: Builder = resolve(architecture.kind.builder)
    built = builder(architecture)
    tensors = read_checkpoint(path)
    backbone = find_backbone(built.network, tensors, path=path, part=spec.items.get("part", ""))
    shown = recognised(backbone, built.network)
    changes = {name: text for name, text in shown.items() if name not in spec.items}
    if changes:
        built = builder(replace(architecture, items={**spec.items, **changes}))
    small = fit_stem(built.network, backbone, spec.items)
    settings = settings_of(built.network)
    report = fill(built.network, backbone, path=path, arch=arch)
    if small and size_of(spec.items) is None:
        _warn(f"checkpoint {path!r} has a 3 x 3 stem, that of small pictures: give their size, as size=32")
    if "in_chans" in changes and not {"mean", "std"} <= spec.items.keys() and built.channels == 1:
        _warn(
            f"checkpoint {path!r} has one channel, and the average of colour's mean and std: give its own, mean=&std="
        )
    return built._replace(report=replace(report, settings=settings))


def _warn(text: str) -> None:
    warnings.warn(text, EncoderWarning, stacklevel=2)
