"""Find the backbone inside a checkpoint of a self-supervised run, and load it or refuse.

Every method wraps the network in its own way: `module.encoder_q.layer1...` (MoCo), `teacher.backbone.blocks...`
(DINO), `state_dict.backbone.4...` (lightly, whose backbone is an nn.Sequential of the network's children). All are
found by the same rule: the prefix under which most of the network's own names appear, in its own shapes. Where two
parts fit equally well (a student and a teacher), `PREFERENCE` decides. What is left over is a head that is known by
name, or it is unexpected; `encoders.checkpoints.report` judges.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from encoders.checkpoints.names import depths, in_sequence, renamed, unified
from encoders.checkpoints.report import CheckpointReport, judge
from encoders.errors import EncoderError

# Which part to take where several fit equally well: the one whose prefix matches first, as its authors evaluate it.
PREFERENCE = (
    r"(^|\.)online_",  # BYOL: the online network, not its target
    r"(^|[._])ema[._]",  # timm: the averaged weights
    r"^target_encoder\.",  # I-JEPA: the target encoder, not the context encoder
    # DINO: the teacher, not the student. MoCo: the query encoder, not the key encoder, which is its slow copy.
    r"^(?!.*(student|momentum|target|_k\.))",
)

# What the names give away about the method; all patterns of a row must be found.
LAYOUTS = (
    ("MoCo v3", r"(^|\.)base_encoder\."),
    ("MoCo", r"(^|\.)encoder_q\."),
    ("BYOL", r"(^|\.)online_(network|encoder)"),
    ("DINO", r"(^|\.)teacher(_backbone)?\."),
    ("I-JEPA", r"^target_encoder\."),
    ("MAE", r"(^|\.)decoder_(embed|blocks|pred)\b"),
    ("SwAV", r"(^|\.)prototypes\."),
    ("BYOL", r"(^|\.)backbone_momentum\.", r"(^|\.)prediction_head\."),
    ("MoCo", r"(^|\.)backbone_momentum\."),
    ("SimSiam", r"(^|\.)projection_head\.", r"(^|\.)prediction_head\."),
    ("solo-learn", r"(^|\.)(backbone|encoder)\.", r"(^|\.)classifier\.weight$", r"(^|\.)projector\."),
    ("SimCLR", r"(^|\.)(projection_head|projector)\."),
    ("SimCLR", r"(^|\.)(backbone|encoder)\.fc\.[02]\."),
)

# First words of the names of parts that are no backbone.
HEADS = re.compile(
    r"(fc|heads?|classifier|projection\w*|projet?ion|projector|prediction\w*|predictor|prototypes|decoder\w*|"
    r"mask_token|mask_embed|queue\w*|linear|mlp|criterion|n_averaged|\w+_head|head_\w+)(\.|$)"
)


PATCHES = "patch_embed.proj.weight"  # timm's name of the convolution that embeds the patches of a transformer


@dataclass(frozen=True)
class Backbone:
    """The backbone inside a checkpoint.

    Attributes:
        layout: The method whose names these are, or "plain backbone".
        part: The prefix under which it stands.
        weights: What stands there, under the names that the network gives it.
        others: Names of everything else in the checkpoint.
        bare: Whether it is a row of the children that have weights, with nothing between them.
    """

    layout: str
    part: str
    weights: dict[str, Tensor]
    others: tuple[str, ...]
    bare: bool = False


def load_weights(
    network: nn.Module, tensors: dict[str, Tensor], *, path: str, arch: str, part: str = ""
) -> CheckpointReport:
    """Fill a network, in place, with the backbone that a checkpoint holds.

    Args:
        network: Without its classification head.
        tensors: As `read_checkpoint` returns them.
        path: Where they came from, for messages.
        arch: How the user named the network, for messages.
        part: Take the part of the checkpoint whose prefix holds this text, instead of the preferred one.

    Raises:
        EncoderError: As `find_backbone` and `fill`.
    """
    return fill(network, find_backbone(network, tensors, path=path, part=part), path=path, arch=arch)


def find_backbone(network: nn.Module, tensors: dict[str, Tensor], *, path: str, part: str = "") -> Backbone:
    """The part of a checkpoint that most of the network's names and shapes fit; arguments as for `load_weights`.

    Raises:
        EncoderError: If no name of the checkpoint holds `part`.
    """
    shapes = _shapes(network)
    names = unified(tensors.keys(), shapes)
    tensors = {names[key]: value for key, value in tensors.items()}
    rows = ({}, *in_sequence(network))
    prefix, row = _find_part(tensors, shapes, rows, part, path)
    weights = {
        renamed(key.removeprefix(prefix), rows[row]): value for key, value in tensors.items() if key.startswith(prefix)
    }
    layout = next((row[0] for row in LAYOUTS if all(_any(pattern, tensors) for pattern in row[1:])), "plain backbone")
    others = tuple(key for key in tensors if not key.startswith(prefix))
    return Backbone(layout, prefix, weights, others, bare=row == len(rows) - 1)


def fill(network: nn.Module, backbone: Backbone, *, path: str, arch: str) -> CheckpointReport:
    """Load a backbone into its network, in place; arguments as for `load_weights`.

    Raises:
        EncoderError: If its patches have another size than the network's, which timm would resample, or too much does
            not fit, as `encoders.checkpoints.report.judge` says.
    """
    shapes = _shapes(network)
    _check_patch(backbone.weights, shapes, path, arch)
    fitted = _fitted_by_timm(network, backbone.weights, shapes)
    report = _compare(backbone, fitted, shapes)
    judge(report, path, arch)
    network.load_state_dict({name: fitted[name] for name in report.matched}, strict=False)
    return report


def _shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def _find_part(
    tensors: dict[str, Tensor],
    shapes: dict[str, tuple[int, ...]],
    rows: tuple[dict[str, str], ...],
    part: str,
    path: str,
) -> tuple[str, int]:
    """The best prefix, and which of `rows` numbers the children under it, the first where they have names.

    Where no shape fits, as those of another width, names alone decide, so that the report can say what differs.
    """
    fits = _fits(tensors, shapes, rows, part, by_shape=True) or _fits(tensors, shapes, rows, part, by_shape=False)
    if part and not fits:
        raise EncoderError(
            f"part must be in the names of checkpoint {path!r}; got {part!r}: leave it out, or look at "
            f"the names, as {next(iter(tensors))!r}"
        )
    prefix, row = min(fits, key=lambda fit: (-fits[fit], _preference(fit[0]), fit), default=("", 0))
    return prefix, row


def _fits(
    tensors: dict[str, Tensor],
    shapes: dict[str, tuple[int, ...]],
    rows: tuple[dict[str, str], ...],
    part: str,
    *,
    by_shape: bool,
) -> Counter[tuple[str, int]]:
    """How many of the network's names stand under each prefix and row."""
    fits: Counter[tuple[str, int]] = Counter()
    for key, value in tensors.items():
        for prefix, suffix in _splits(key):
            for row, numbers in enumerate(rows):
                name = renamed(suffix, numbers)
                fitting = name in shapes and (not by_shape or shapes[name] == tuple(value.shape))
                if fitting and (suffix != name) == (row > 0) and part in prefix:
                    fits[prefix, row] += 1
    return fits


def _splits(key: str) -> Iterable[tuple[str, str]]:
    """Every way to cut a dotted name into a prefix and a suffix: "a.b" is ("", "a.b") and ("a.", "b")."""
    yield "", key
    for dot in re.finditer(r"\.", key):
        yield key[: dot.end()], key[dot.end() :]


def _preference(prefix: str) -> int:
    return next((rank for rank, pattern in enumerate(PREFERENCE) if re.search(pattern, prefix)), len(PREFERENCE))


def _fitted_by_timm(
    network: nn.Module, weights: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    """The weights as timm's own filter for this family converts them, where that makes more of them fit.

    It resamples position embeddings to another image size and knows the names that the authors used.
    """
    convert = getattr(sys.modules.get(type(network).__module__), "checkpoint_filter_fn", None)
    if convert is None or not type(network).__module__.startswith("timm.") or _count(weights, shapes) == len(shapes):
        return weights
    try:
        fitted: dict[str, Tensor] = convert(dict(weights), network)
    except Exception:
        return weights  # it was written for other weights; the report will say what does not fit
    return fitted if _count(fitted, shapes) > _count(weights, shapes) else weights


def _count(weights: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(name in weights and tuple(weights[name].shape) == shape for name, shape in shapes.items())


def _check_patch(weights: dict[str, Tensor], shapes: dict[str, tuple[int, ...]], path: str, arch: str) -> None:
    """Refuse patches of another size: resampled, they see other details than they were trained on."""
    wanted = shapes.get(PATCHES, ())
    named = [weights[PATCHES]] if PATCHES in weights else weights.values()
    weight = next((value for value in named if value.ndim == 4 and tuple(value.shape[:2]) == wanted[:2]), None)
    if weight is not None and len(wanted) == 4 and tuple(weight.shape[2:]) != wanted[2:]:
        got, own = (
            f"{side[0]}" if side[0] == side[1] else f"{side[0]} x {side[1]}" for side in (weight.shape[2:], wanted[2:])
        )
        raise EncoderError(
            f"checkpoint {path!r} as arch={arch}: the weights have patch {got}, the network {own}: name the network it "
            f"was trained with, or give patch_size={got}"
        )


def _compare(backbone: Backbone, fitted: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]) -> CheckpointReport:
    weights, prefix = backbone.weights, backbone.part
    unequal = [name for name, shape in shapes.items() if name in fitted and tuple(fitted[name].shape) != shape]
    left = [name for name in fitted if name not in shapes]
    theirs, own = depths(name for name in fitted if not HEADS.match(name)), depths(shapes)
    return CheckpointReport(
        layout=backbone.layout,
        part=prefix,
        matched=tuple(name for name in shapes if name in fitted and name not in unequal),
        missing=tuple(name for name in shapes if name not in fitted and not _is_counter(name)),
        unexpected=tuple(name for name in left if not HEADS.match(name) and not _is_counter(name)),
        set_aside=tuple([prefix + name for name in left if HEADS.match(name)] + list(backbone.others)),
        mismatched=tuple(f"{name}: {tuple(fitted[name].shape)}, {shapes[name]}" for name in unequal),
        resampled=tuple(
            name
            for name in shapes
            if name in weights
            and name in fitted
            and weights[name].shape != fitted[name].shape
            # That of DINOv2's class token, which timm adds to the token.
            and not ("register_tokens" in weights and weights[name].shape[1] == fitted[name].shape[1] + 1)
        ),
        depths=tuple(
            f"depth {theirs[place]} against {count} ({place})"
            for place, count in own.items()
            if count and theirs.get(place, count) != count
        ),
    )


def _any(pattern: str, names: Iterable[str]) -> bool:
    return any(re.search(pattern, name) for name in names)


def _is_counter(name: str) -> bool:
    """How many batches a normalisation saw: no weight, and files of before 2018 lack it."""
    return name.endswith("num_batches_tracked")
