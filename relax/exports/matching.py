"""Which file each explanation is of, when a folder is named, or nothing: by what the explanation recorded.

The record has the address of its picture, or, where that would tell a patient, the beginning of the file's SHA-256
(`relax.io.choice.discreet_name`). Whether the file shows what was explained is looked at when it is opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import file_digest
from pathlib import Path

from encoders.values import described
from relax.io.choice import split_choice
from relax.io.gathering import gathered
from relax.maps import ExplanationLike

Source = str | Path | Sequence[str | Path] | None
_HASHED = re.compile(r"dicom-([0-9a-f]{12})")


def matched(explanations: Sequence[ExplanationLike], source: Source) -> list[str]:
    """The address of the source of each explanation.

    Args:
        explanations: One or more.
        source: Addresses, one for each; a folder, with "#series=3" if need be; one address for all; or None.

    Raises:
        ValueError: If there are not as many as explanations, or a source is not found, or not told.
    """
    if isinstance(source, Sequence) and not isinstance(source, str):
        if len(source) != len(explanations):
            raise ValueError(f"source must be one for each of {len(explanations)} explanations; got {len(source)}")
        return [*map(str, source)]
    if source is None:
        return [_recorded(explanation) for explanation in explanations]
    address = str(source)
    path, kind, choice = split_choice(address)
    if kind == "series" or path.is_dir():
        series = dict(part.split("=", 1) for part in choice.split("&") if "=" in part).get("series")
        files = list(gathered(path, series).entries)
        return [_address_among(explanation, files, _digests()) for explanation in explanations]
    return [_with_choice(explanation, address) for explanation in explanations]


def _recorded(explanation: ExplanationLike) -> str:
    address = str(explanation.provenance.get("image"))
    path, kind, _ = split_choice(address)
    if kind is None or not path.is_file():
        raise ValueError(
            f"source must name the file that was explained: the record has {described(address)}, which is no file here"
        )
    return address


def _with_choice(explanation: ExplanationLike, address: str) -> str:
    """The address, with the frame that was recorded if several explanations are of one file."""
    path, kind, choice = split_choice(address)
    frame = ((explanation.provenance.get("read") or {}).get("asked") or {}).get("frame")
    if kind != "dicom" or frame is None or "frame=" in choice:
        return address
    return f"{path}#{'&'.join(filter(None, (choice, f'frame={frame}')))}"


def _address_among(explanation: ExplanationLike, files: Sequence[Path], digest: Callable[[Path], str]) -> str:
    """The address of the file among these that the record names."""
    recorded = str(explanation.provenance.get("image"))
    front, _, choice = recorded.partition("#")
    hashed = _HASHED.fullmatch(front)
    if hashed:
        matches = [file for file in files if digest(file).startswith(hashed[1])]
    else:
        name = Path(front).name
        matches = [file for file in files if file == Path(front)] or [file for file in files if file.name == name]
    if len(matches) != 1:
        problem = f"has {len(matches)} files of this name" if matches else "has no such picture"
        raise ValueError(f"source must hold what was explained, {recorded}, and {problem}: name its file")
    return f"{matches[0]}#{choice}" if choice and choice != "name=hash" else str(matches[0])


def _digests() -> Callable[[Path], str]:
    """The SHA-256 of a file, computed once for each."""

    @cache
    def digest(file: Path) -> str:
        with file.open("rb") as content:
            return file_digest(content, "sha256").hexdigest()

    return digest
