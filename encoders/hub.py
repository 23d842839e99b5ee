"""Networks from torch.hub: a GitHub repository, or a local folder, with a hubconf.py.

Loading runs its code. A folder on this machine is trusted because the caller names it. For a repository that it does
not trust yet, torch.hub asks once; without a terminal to answer, it is refused.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from encoders.arguments import arguments_of
from encoders.contract import Built
from encoders.errors import EncoderError, one_line
from encoders.items import size_of
from encoders.layers import first_channels
from encoders.logits import warn_of_logits
from encoders.parsing import Spec
from encoders.preprocess import Preprocess
from encoders.seeds import drawn_from
from encoders.volumes import VolumePreprocess, convolved_axes

OTHER_SEED = 1_000_003  # unlikely to be the caller's: only random weights differ between two loads from other seeds
MAX_RANDOM = 0.02  # share of the weight matrices that may be drawn at random, as an unused head

PICTURES = (1, 2, 3, 4)  # channels of pictures; a first convolution for more may see something else than the pixels

# torch.hub knows no preprocessing. This is what self-supervised networks on ImageNet (DINO, DINOv2, SwAV, VICReg,
# Barlow Twins) are evaluated with; ?size=...&resize=...&mean=...&std=... says otherwise.
USUAL = Preprocess(size=(224, 224), resize=256, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def build_hub(spec: Spec) -> Built:
    """Load REPO:NAME, where REPO is "owner/name", "owner/name:branch" or a local folder.

    A network of volumes, whose first convolution is over three axes, has no usual preprocessing: its spec says it, as
    in ?size=16x96x96&mean=0.5&std=0.25.

    Args:
        spec: Items that are not about preprocessing or pooling are arguments of the entry: pretrained=true,
            weights=DEFAULT.

    Raises:
        EncoderError: If the entry cannot be had, or gives random weights.
    """
    repo, _, name = spec.name.rpartition(":")
    if not repo or not name:
        raise EncoderError(f"encoder must be {spec.kind.form}, as {spec.kind.example}; got hub:{spec.name}")
    arguments = arguments_of(spec)
    network = _entry(repo, name, arguments)
    with drawn_from(OTHER_SEED):
        share = _random_share(network, _entry(repo, name, arguments))
    if share > MAX_RANDOM:
        raise EncoderError(
            f"encoder 'hub:{spec.name}' gave weights of which {share:.0%} differ from one call to the next, so they "
            "are random: ask for trained ones, for instance with ?pretrained=true or ?weights=DEFAULT"
        )
    volumes = convolved_axes(network) == 3
    first = first_channels(network, "Conv3d" if volumes else "Conv2d")
    if volumes:
        return Built(network, VolumePreprocess(), channels=first)
    channels = first if first in PICTURES else 3
    warn_of_logits(network.eval(), spec.text, size_of(spec.items) or USUAL.size, channels)
    return Built(network, USUAL, channels=channels)


def _entry(repo: str, name: str, arguments: dict[str, Any]) -> nn.Module:
    folder = Path(repo).expanduser()
    repo_or_folder, source = (str(folder), "local") if folder.is_dir() else (repo, "github")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # it reports downloads on stdout, where results belong
            network = torch.hub.load(repo_or_folder, name, source=source, trust_repo="check", **arguments)
    except EOFError as error:
        raise EncoderError(
            f"encoder 'hub:{repo}:{name}' would run code of {repo}, which nobody here has trusted yet: if you do, call "
            f"torch.hub.load({repo!r}, {name!r}, trust_repo=True) once in Python"
        ) from error
    except Exception as error:
        raise EncoderError(
            f"encoder 'hub:{repo}:{name}' cannot be loaded ({type(error).__name__}: {one_line(error, 120)}): check the "
            "name and the connection, or give a local folder that has a hubconf.py"
        ) from error
    if not isinstance(network, nn.Module):
        raise EncoderError(f"encoder 'hub:{repo}:{name}' must be a torch module; got {type(network).__name__}")
    return network


def _random_share(first: nn.Module, second: nn.Module) -> float:
    """Share of the weight matrices that differ between two networks."""
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    differ = [not torch.equal(weight, other) for weight, other in pairs if weight.ndim > 1]
    return sum(differ) / max(len(differ), 1)
