"""The names of the networks of a library, remembered: asking timm itself means importing it, which takes ten seconds.

names = names_of(kind)                 asked once, then read from a file of the user's cache, one for each version
check_name("timm", "resnet5", names)   refuses what is none of them, with the nearest

The cache is $XDG_CACHE_HOME/relax-explainer or ~/.cache/relax-explainer. What cannot be written there or read from it
is asked anew. Nothing here imports torch.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from encoders.errors import EncoderError
from encoders.files import read_json, written_aside
from encoders.kinds import SpecKind, resolve
from encoders.libraries import unknown_name

FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "relax-explainer"
LARGEST = 2**20  # bytes of a file of names
TIMM_ELSEWHERE = ("local-dir:", "hf-hub:", "hf_hub:")  # timm's own schemes: a folder, or a model on the hub


@dataclass(frozen=True)
class Names:
    """The networks of a library.

    Attributes:
        networks: Names to list and to suggest.
        pretrained: Those with weights, in timm with their tags.
        earlier: Names of networks that are taken still and not listed.
    """

    networks: tuple[str, ...]
    pretrained: tuple[str, ...]
    earlier: tuple[str, ...] = ()


def names_of(kind: SpecKind) -> Names:
    """The names behind a kind of spec, from the cache or else from the library."""
    return remembered(kind) or known_names(kind, resolve(kind.names)())


def known_names(kind: SpecKind, names: Names) -> Names:
    """The names as the library itself tells them, which are kept for later processes, where that is possible."""
    if remembered(kind) is None:
        with suppress(OSError, PackageNotFoundError), written_aside(_file(kind)) as aside:
            aside.write_text(json.dumps(asdict(names)), encoding="utf-8")
    return names


def remembered(kind: SpecKind) -> Names | None:
    """The names in the cache, if they are those of the version that is installed."""
    try:
        file = _file(kind)
        if file.stat().st_size > LARGEST:
            return None
        content = read_json(file.read_bytes())
        lists = [content[field.name] for field in fields(Names)]
    except (OSError, ValueError, KeyError, TypeError, PackageNotFoundError):
        return None
    if not all(isinstance(names, list) and all(map(_is_name, names)) for names in lists):
        return None
    return Names(*map(tuple, lists))


def check_name(prefix: str, name: str, pretrained: bool, names: Names) -> None:
    """Refuse a name that the library does not have, or not with weights.

    Args:
        prefix: Of the spec: "timm" or "torchvision".
        name: Of the network; in timm a tag of the weights may follow after a point.
        pretrained: Whether its weights are asked for.
        names: What there is.

    Raises:
        EncoderError: With the nearest names.
    """
    if prefix == "timm" and name.startswith(TIMM_ELSEWHERE):
        return
    base, _, tag = name.partition(".") if prefix == "timm" else (name, "", "")
    if base not in names.networks and base not in names.earlier:
        raise EncoderError(unknown_name(f"{prefix}:{name}", base, list(names.networks)))
    tagged = [each for each in names.pretrained if each.partition(".")[0] == base]
    if tag and name not in tagged:
        raise EncoderError(unknown_name(f"{prefix}:{name}", name, tagged))
    if pretrained and not tagged:
        raise EncoderError(
            f"encoder '{prefix}:{name}' has no pretrained weights in {prefix}: load your own with "
            f"file:PATH?arch={base}, or random ones with random:{prefix}:{base}"
        )


def _file(kind: SpecKind) -> Path:
    return FOLDER / f"{kind.prefix}-{version(kind.prefix)}.json"


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.isprintable()
