"""The network of a `file:` spec: built by name with random weights, then filled from the checkpoint."""

from __future__ import annotations

from encoders.checkpoints.layouts import load_weights
from encoders.checkpoints.reading import read_checkpoint
from encoders.contract import Builder, Built
from encoders.errors import EncoderError
from encoders.kinds import Spec, parse_architecture, resolve


def build_from_checkpoint(spec: Spec) -> Built:
    """The network that arch= names, with the weights of the file; see `load_weights` for part=.

    Raises:
        EncoderError: If no network is named, the file cannot be read, or too much does not fit.
    """
    path, arch = spec.name, spec.items.get("arch", "")
    if not arch:
        raise EncoderError(
            f"encoder 'file:{path}' needs the network's name: file:{path}?arch=resnet50, or any timm "
            "name, or arch=torchvision:NAME"
        )
    size = {name: value for name, value in spec.items.items() if name == "size"}
    architecture = parse_architecture(arch, size)
    builder: Builder = resolve(architecture.kind.builder)
    built = builder(architecture)
    report = load_weights(built.network, read_checkpoint(path), path=path, arch=arch, part=spec.items.get("part", ""))
    return built._replace(report=report)
