"""A head on disk: PATH.safetensors holds its tensors, PATH.json everything else and the checksum of the tensors.

Both are written aside and renamed, so that an error leaves an older head as it was. Should the two ever come from
different runs, the checksum tells.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from encoders.errors import EncoderError, one_line
from encoders.files import read_json, written_together
from encoders.values import described

WEIGHTS, CARD = ".safetensors", ".json"
FORMAT = "relax-head"
VERSION = 1


def head_paths(path: str | Path) -> tuple[Path, Path]:
    """The two files of a head: "probe", "probe.json" and "probe.safetensors" all mean the same head."""
    path = Path(path).expanduser()
    stem = path.with_suffix("") if path.suffix in (WEIGHTS, CARD) else path
    return stem.with_name(stem.name + WEIGHTS), stem.with_name(stem.name + CARD)


def write_head_files(path: str | Path, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
    """Write the tensors and the card, both or none; the folder is made if need be.

    Args:
        path: As `head_paths` takes it.
        tensors: By name, on any device.
        card: JSON types; "format", "version" and "weights_sha256" are added here.

    Raises:
        WriteError: If a file cannot be written; what was there stays.
    """
    weights_path, card_path = head_paths(path)
    weights = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
    digest = hashlib.sha256(weights).hexdigest()
    text = json.dumps({"format": FORMAT, "version": VERSION, **card, "weights_sha256": digest}, indent=1)
    with written_together([weights_path, card_path]) as (weights_aside, card_aside):
        weights_aside.write_bytes(weights)
        card_aside.write_bytes((text + "\n").encode())


def read_head_files(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The card and the tensors, on the CPU.

    Raises:
        EncoderError: If one of the two files is missing, damaged, of another kind, or not of this head.
    """
    weights_path, card_path = head_paths(path)
    for file in (weights_path, card_path):
        if not file.is_file():
            raise EncoderError(f"head must be two files, {weights_path} and {card_path.name}; {file} is not there")
    try:
        card = read_json(card_path.read_bytes())
        weights = weights_path.read_bytes()
        tensors = load(weights)
    except (OSError, ValueError, SafetensorError) as error:
        reason = one_line(error, 120)
        raise EncoderError(f"head {weights_path} cannot be read ({reason}): train or copy it again") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise EncoderError(f"head {card_path} must be written by Head.save; its format is not {FORMAT!r}")
    if card.get("version") != VERSION:
        raise EncoderError(
            f"head {card_path} must have version {VERSION}; got {described(card.get('version'))}: use the release that "
            "made it"
        )
    if card.get("weights_sha256") != hashlib.sha256(weights).hexdigest():
        raise EncoderError(
            f"head {card_path} belongs to other weights than those in {weights_path.name}: train or copy both again"
        )
    return card, tensors
