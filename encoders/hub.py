"""Networks from torch.hub: a GitHub repository, or a local folder, with a hubconf.py.

Loading one runs the code in it. A folder on this machine is taken to be trusted by who names it; for a repository
torch.hub asks once, unless it is known to it, and without a terminal to answer it is refused.
"""

from __future__ import annotations

import ast
import contextlib
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from encoders.errors import EncoderError, one_line
from encoders.networks import drawn_from
from encoders.preprocess import Preprocess

MAX_RANDOM = 0.02  # share of the weight matrices that may be drawn at random, as an unused head

# torch.hub knows no preprocessing. This is what self-supervised networks on ImageNet (DINO, DINOv2, SwAV, VICReg,
# Barlow Twins) are evaluated with; ?size=...&resize=...&mean=...&std=... says otherwise.
USUAL = Preprocess(size=(224, 224), resize=256, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def hub_network(rest: str, arguments: dict[str, str]) -> tuple[nn.Module, Preprocess]:
    """Load REPO:NAME, where REPO is "owner/name", "owner/name:branch" or a local folder.

    Args:
        rest: What stands between "hub:" and the question mark.
        arguments: For the entry, as text: pretrained=true, weights=DEFAULT.

    Raises:
        EncoderError: If the entry cannot be had, or gives random weights.
    """
    repo, _, name = rest.rpartition(":")
    if not repo or not name:
        raise EncoderError(
            f"encoder must be hub:REPO:NAME, as hub:facebookresearch/dino:main:dino_vits16; got hub:{rest}"
        )
    values = {key: _value(text) for key, text in arguments.items()}
    network = _entry(repo, name, values)
    with drawn_from(1_000_003):
        share = _random_share(network, _entry(repo, name, values))
    if share > MAX_RANDOM:
        raise EncoderError(
            f"encoder 'hub:{rest}' gave weights of which {share:.0%} differ from one call to the next, so they are "
            "random: ask for trained ones, for instance with ?pretrained=true or ?weights=DEFAULT"
        )
    return network, USUAL


def _entry(repo: str, name: str, values: dict[str, Any]) -> nn.Module:
    local = Path(repo).expanduser()
    place = str(local) if local.is_dir() else repo
    source = "local" if local.is_dir() else "github"
    try:
        with contextlib.redirect_stdout(sys.stderr):  # it tells of its downloads where results belong
            network = torch.hub.load(place, name, source=source, trust_repo="check", **values)
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
    """Share of the weight matrices that differ between two loads from different seeds."""
    pairs = [
        (weight, again)
        for weight, again in zip(first.parameters(), second.parameters(), strict=True)
        if weight.ndim > 1
    ]
    return sum(not torch.equal(weight, again) for weight, again in pairs) / max(len(pairs), 1)


def _value(text: str) -> object:
    """What a text says as Python: "3" is 3, "true" is True, and what is no Python value stays text."""
    try:
        return ast.literal_eval({"true": "True", "false": "False", "none": "None"}.get(text.lower(), text))
    except (ValueError, SyntaxError):
        return text
