"""Read the tensors of a checkpoint, without ever running code from it.

A checkpoint is nested: {"state_dict": ...}, {"student": ..., "teacher": ...}, with an optimizer beside it. It is
read into one flat table of dotted names ("teacher.backbone.cls_token"), in which
`encoders.checkpoints.layouts` finds the backbone.
"""

from __future__ import annotations

import argparse
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from encoders.errors import EncoderError, one_line
from encoders.limits import TooLarge, check_unfolded
from encoders.places import checkpoint_file
from encoders.values import printable

SAFETENSORS = (".safetensors",)
WRAPPERS = re.compile(r"\b(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")  # torch's own, at any depth
PICKLES = (".pth", ".pt", ".ckpt", ".th", ".bin", ".tar")


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint under their dotted names, on the CPU.

    Args:
        path: A safetensors file, or one that torch.save wrote (.pth, .pt, .ckpt, .th, .bin, .pth.tar), which is
            read with weights_only=True. Of Python objects only argparse.Namespace is let in, as which DINO and
            MAE keep their options.

    Raises:
        EncoderError: If there is no such file, it is of another kind or damaged, holds objects that only running
            its code could restore, holds no tensors, or would take more memory than `encoders.limits` says.
    """
    file = checkpoint_file(path)
    suffix = file.suffix.lower()
    if suffix not in SAFETENSORS + PICKLES:
        raise EncoderError(
            f"checkpoint must end in one of {', '.join(SAFETENSORS + PICKLES)}; got {file.name!r}: rename or convert it"
        )
    try:
        content = load_file(file) if suffix in SAFETENSORS else _read_pickle(file)
        tensors = {WRAPPERS.sub("", name): tensor for name, tensor in _flat(content)}
        for tensor in tensors.values():  # a single number can be stretched to any size
            check_unfolded(file, tensor.numel() * tensor.element_size())
    except EncoderError:
        raise
    except Exception as error:  # of any kind: what damaged bytes raise is endless
        raise _damaged(file, error) from error
    if not tensors:
        raise EncoderError(f"checkpoint {file.name!r} must hold a state dict; got no tensors: save model.state_dict()")
    return tensors


def _read_pickle(file: Path) -> object:
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            check_unfolded(file, sum(member.file_size for member in archive.infolist()))
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'torch.load' received a zip file that looks like a TorchScript archive")
            warnings.filterwarnings("ignore", "Detected pickle protocol")  # of damaged bytes, or read all the same
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        foreign = _foreign_objects(file)
        if not foreign:
            raise _damaged(file, error) from error
        raise EncoderError(
            f"checkpoint {file.name!r} must hold tensors only; it holds {', '.join(foreign)}, which could run code: "
            "if you trust it, load it yourself once and save its state_dict() alone"
        ) from error
    except RuntimeError as error:
        if "TorchScript" not in str(error):
            raise
        raise EncoderError(
            f"checkpoint {file.name!r} must hold a state dict; it is TorchScript, a network with its code: if you "
            "trust it, pass torch.jit.load(path) as the encoder"
        ) from error


def _foreign_objects(file: Path) -> list[str]:
    """Names of at most three of the objects for which torch refused the file."""
    try:
        names = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(str(file)))[:3]
        return [printable(name)[:80] for name in names]
    except Exception:
        return []  # an old format that torch cannot list, or no checkpoint at all


def _damaged(file: Path, error: Exception) -> EncoderError:
    if isinstance(error, TooLarge):
        return EncoderError(f"checkpoint {file.name!r} {error}")
    reason = one_line(error, 120)
    return EncoderError(f"checkpoint {file.name!r} cannot be read ({reason}): download or copy it again")


def _flat(content: object, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor in nested mappings. An optimizer numbers its tensors, so it drops out here."""
    if isinstance(content, Tensor):
        yield prefix.removesuffix("."), content
    elif isinstance(content, Mapping):
        for name, value in content.items():
            if isinstance(name, str):
                yield from _flat(value, f"{prefix}{name}.")
