"""What a folder of sentence-transformers says about pooling and length: modules.json and what it names.

Source: the files that sentence-transformers writes; the poolings as its Pooling module computes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from encoders.errors import EncoderError
from encoders.files import read_json

MODES = {"cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max", "lasttoken": "last"}
LARGEST = 2**20  # bytes of such a file
Reader = Callable[[str], Path | None]  # from a name in the folder to the file, None where there is none


@dataclass(frozen=True)
class Pooling:
    """How one vector is made of tokens.

    Attributes:
        kind: A key of `encoders.words.kinds.POOLINGS` other than auto.
        unit: Whether it is brought to length 1.
        longest: Tokens that its authors read; None where they do not say.
        lower: Whether its authors write texts in small letters first.
    """

    kind: str
    unit: bool = False
    longest: int | None = None
    lower: bool = False

    def __call__(self, states: Tensor, attended: Tensor) -> Tensor:
        """States (B, T, D) of the last layer and whether tokens are attended to (B, T), to (B, D)."""
        seen = attended.to(states.dtype)[..., None]
        if self.kind == "cls":
            vectors = states[:, 0]
        elif self.kind == "last":
            places = attended.long().cumsum(1).argmax(1)
            vectors = states[range(len(states)), places]
        elif self.kind == "max":
            vectors = states.masked_fill(seen == 0, -1e9).amax(1)
        else:
            vectors = (states * seen).sum(1) / seen.sum(1).clamp(min=1e-9)
        return F.normalize(vectors, dim=-1) if self.unit else vectors


def published(read: Reader, spec: str) -> Pooling | None:
    """The pooling that modules.json asks for; None where there is no such file.

    Args:
        read: Finds a file of the folder.
        spec: For messages.

    Raises:
        EncoderError: If a file is damaged, or asks for what is not offered.
    """
    modules = _json(read, "modules.json", spec)
    if modules is None:
        return None
    if not isinstance(modules, list) or not all(isinstance(row, dict) for row in modules):
        raise EncoderError(f"encoder {spec!r} has a modules.json that lists no modules: save it anew")
    names = [str(row.get("type", "")).rpartition(".")[2] for row in modules]
    if names[:2] != ["Transformer", "Pooling"] or names[2:] not in ([], ["Normalize"]):
        raise EncoderError(
            f"encoder {spec!r} is made of {', '.join(names)}, and what is read is Transformer, Pooling and Normalize: "
            "pass a function, such as its own encode"
        )
    folder = str(modules[1].get("path", "1_Pooling"))
    if not folder.replace("_", "").isalnum():  # it must not lead out of the folder
        raise EncoderError(f"encoder {spec!r} keeps its pooling in {folder[:40]!r}, which is no folder's name")
    config = _json(read, f"{folder}/config.json", spec) or {}
    length = _json(read, "sentence_bert_config.json", spec)
    length = length if isinstance(length, dict) else {}
    longest = length.get("max_seq_length")
    return Pooling(
        _kind(config, spec),
        unit=len(names) == 3,
        longest=longest if isinstance(longest, int) and longest > 0 else None,
        lower=bool(length.get("do_lower_case", False)),
    )


def _kind(config: Any, spec: str) -> str:
    """The one pooling of a config, in the older form (a flag each) or the newer (a word)."""
    if not isinstance(config, dict):
        raise EncoderError(f"encoder {spec!r} has a configuration of its pooling that is no record: save it anew")
    word = config.get("pooling_mode")
    chosen = (
        [str(word)] if word else [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    )
    kinds = [MODES.get(name.removeprefix("pooling_mode_"), name if name in MODES.values() else None) for name in chosen]
    if len(kinds) != 1 or kinds[0] is None:
        raise EncoderError(
            f"encoder {spec!r} pools by {', '.join(chosen) or 'nothing'}, and what is read is one of "
            f"{', '.join(MODES)}: pass a function, such as its own encode"
        )
    return kinds[0]


def _json(read: Reader, name: str, spec: str) -> Any:
    path = read(name)
    if path is None:
        return None
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} bytes")
        return read_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise EncoderError(f"encoder {spec!r} has a {name} that cannot be read ({error}): save it anew") from error
