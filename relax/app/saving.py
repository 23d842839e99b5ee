"""A result as the files that `relax explain` writes, and as the command and the lines of Python that make it again."""

from __future__ import annotations

import io
import shlex
import zipfile
from collections.abc import Mapping
from typing import Any

from relax.app.explaining import Result
from relax.cli.options import OPTIONS, option_name
from relax.cli.outputs import OUTPUTS, OVERLAY, Output, chosen_outputs
from relax.io.choice import stem_of
from relax.plotting.tables import FORMATS
from relax.settings import DEFAULTS

WRITTEN = {output.ending: output for output in OUTPUTS}
OFFERED: dict[str, Output] = {
    **WRITTEN,
    **{f".{format}": chosen_outputs(format, overlay=False)[0] for format in FORMATS if f".{format}" not in WRITTEN},
    OVERLAY.ending: OVERLAY,
}
"""Files that can be saved, by ending; the first of them are those of `relax explain` without options."""
ALL = ".zip"


def saved(result: Result, ending: str) -> tuple[str, bytes]:
    """The name and the bytes of a file; of ".zip", all that `relax explain` writes.

    Raises:
        ValueError: If there is no such file.
    """
    stem = stem_of(result.asked.pictures["image"].address)
    if ending == ALL:
        return f"{stem}.zip", _archive({f"{stem}{end}": _content(result, end) for end in WRITTEN})
    if ending not in OFFERED:
        raise ValueError(f"file must be one of {', '.join([*OFFERED, ALL])}; got {ending!r}")
    return stem + ending, _content(result, ending)


def lines(result: Result) -> dict[str, str]:
    """What makes the result again, in the folder of the pictures: "command" and "python"."""
    files = {role: picture.argument for role, picture in result.asked.pictures.items()}
    keywords = dict(result.asked.keywords)
    if result.explanation.scores is not None:
        keywords["masks"] = result.explanation.provenance["masks"]["count"]
    return {
        "command": _command(files, result.asked.spec, keywords),
        "python": _python(files, result.asked.spec, keywords, stem_of(result.asked.pictures["image"].address)),
    }


def _command(files: Mapping[str, str], spec: str, keywords: Mapping[str, Any]) -> str:
    options = {} if spec == "default" else {"--encoder": spec}
    options |= {option_name(role): files[role] for role in ("reference", "foil") if role in files}
    options |= {option_name(name): _text(keywords[name]) for name in OPTIONS if name in keywords}
    parts = [part for option in options.items() for part in option]
    return shlex.join(["relax", "explain", _argument(files["image"]), *parts])


def _python(files: Mapping[str, str], spec: str, keywords: Mapping[str, Any], stem: str) -> str:
    pictures = {role: files[role] for role in ("reference", "foil") if role in files}
    given = {"encoder": spec, **pictures, **{name: keywords[name] for name in DEFAULTS if name in keywords}}
    arguments = ", ".join([repr(files["image"]), *(f"{name}={value!r}" for name, value in given.items())])
    return (
        f"import relax\n\nexplanation = relax.explain({arguments})\n"
        f"explanation.save({stem + '.npz'!r})\n"
        f"relax.figure(explanation).savefig({stem + '-figure.png'!r})\n"
    )


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _argument(name: str) -> str:
    """A file name that the command line does not take for an option."""
    return f"./{name}" if name.startswith("-") else name


def _content(result: Result, ending: str) -> bytes:
    if ending not in result.files:
        result.files[ending] = OFFERED[ending].content(result.explanation)
    return result.files[ending]


def _archive(contents: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return stream.getvalue()
