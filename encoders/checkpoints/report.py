"""How a checkpoint fitted its network, and how much misfit is too much. No weight stays random in silence."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from encoders.errors import EncoderError, EncoderWarning

MAX_MISSING = 0.02  # share of the network's weights that the checkpoint may lack, with a warning
MAX_UNEXPECTED = 0.10  # share of the backbone's weights in the checkpoint that the network may lack

# Single weights that change what every image is embedded as: tokens, positions, norms of the whole, scales of layers.
STRUCTURE = re.compile(
    r"^(\w+_tokens?|class_embedding|pos_embed\w*|(fc_)?norm(_\w+)?\.(weight|bias))$|"
    r"(^|\.)(ls[12]\.gamma|gamma_?[12]?|relative_position_bias_table|rel_pos_[hw]|[qk]_norm\.(weight|bias))$"
)


@dataclass(frozen=True)
class CheckpointReport:
    """How the names of a checkpoint matched those of the network; every name as the network or the file has it.

    Attributes:
        layout: The method whose names these are ("DINO", "MoCo", ...), or "plain backbone".
        part: The prefix under which the weights were taken, "teacher.backbone." for instance.
        matched: Network weights that were loaded.
        missing: Network weights that the checkpoint lacks: they are random.
        unexpected: Weights of the backbone in the checkpoint for which the network has no place.
        set_aside: Heads, decoders, queues and other copies of the network.
        mismatched: "name: its shape in the checkpoint, in the network".
        resampled: Weights that timm fitted to another image size.
        depths: "depth: blocks in the checkpoint, against those of the network", where they differ.
        settings: Of the network, what leaves no trace in weights: heads, activation, stem, pooling.
    """

    layout: str
    part: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    set_aside: tuple[str, ...]
    mismatched: tuple[str, ...]
    resampled: tuple[str, ...] = ()
    depths: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        loaded = f"{self.layout}, part {self.part!r}: {len(self.matched)} weights loaded"
        misfits = [
            f"{len(names)} {word} ({_examples(names)})"
            for word in ("mismatched", "missing", "unexpected", "resampled")
            if (names := getattr(self, word))
        ]
        aside = [f"{len(self.set_aside)} set aside"] if self.set_aside else []
        settings = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        return ", ".join([loaded, *misfits, *aside]) + (f"; {settings}" if settings else "")

    @property
    def structural(self) -> tuple[str, ...]:
        """Missing and unexpected weights of which a single one makes another network."""
        return tuple(name for name in (*self.missing, *self.unexpected) if STRUCTURE.search(name))


def judge(report: CheckpointReport, path: str, arch: str) -> None:
    """Refuse a checkpoint that does not fit, and warn of one that fits with a gap.

    Raises:
        EncoderError: If any shape or depth differs, a weight that matches `STRUCTURE` or more than `MAX_MISSING` of the
            network's or `MAX_UNEXPECTED` of the checkpoint's weights have no partner. A smaller share, and resampled
            weights, are an `EncoderWarning`.
    """
    weights = len(report.matched) + len(report.missing) + len(report.mismatched)
    backbone = len(report.matched) + len(report.unexpected) + len(report.mismatched)
    problems = list(report.depths) + [
        f"{len(names)} of {total} weights {word} ({_examples(names)})"
        for word, names, total in (
            ("of another shape", report.mismatched, weights),
            ("missing", report.missing, weights),
            ("unexpected", report.unexpected, backbone),
        )
        if names
    ]
    text = f"checkpoint {path!r} as arch={arch} (read as {report.layout}, part {report.part!r}): {'; '.join(problems)}"
    if (
        report.mismatched
        or report.depths
        or report.structural
        or len(report.missing) > MAX_MISSING * weights
        or len(report.unexpected) > MAX_UNEXPECTED * backbone
    ):
        raise EncoderError(f"{text}: name the network it was trained with, size= for another image size")
    if problems:
        doubt = "the missing ones are random" if report.missing else "they are left out"
        warnings.warn(f"{text}: {doubt}", EncoderWarning, stacklevel=2)
    if report.resampled:
        warnings.warn(
            f"checkpoint {path!r} was trained at another image size: timm resampled {_examples(report.resampled)}; "
            "give its own with &size=",
            EncoderWarning,
            stacklevel=2,
        )


def _examples(names: Sequence[str], count: int = 3) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")
