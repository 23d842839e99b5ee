"""What is refused before torch is loaded, which takes seconds: specs of no encoder, and paths of nothing.

Nothing is read here. What passes may still be refused by what reads it, in the same words.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from encoders.places import check_spec
from masking.tables import FILLS
from relax.cli.console import SOME_FAILED, UsageError, complain
from relax.cli.options import encoder_specs
from relax.io.choice import discreet_name, split_choice
from relax.io.elsewhere import is_elsewhere
from relax.io.errors import ImageError
from relax.io.sources import names_several
from relax.text import PROMPT

NO_FILE = "no such file"


def check_early(values: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Refuse an encoder spec that cannot be one, and further pictures that are not there.

    Args:
        values: Of the command's own parameters by name; those of encoders are "encoder" and "encoders".
        options: Of those that it shares with others.

    Raises:
        UsageError: Names the spec, or the path.
    """
    for spec in (values.get("encoder"), *encoder_specs(values.get("encoders") or "")):
        if isinstance(spec, str):
            try:
                check_spec(spec)
            except ValueError as error:
                raise UsageError(str(error)) from None
    for name in ("reference", "foil"):
        named = [source for source in options.get(name) or [] if not source.startswith(PROMPT)]
        for path in absent(named):
            raise UsageError(f"{discreet_name(path)}: {NO_FILE}")
    fill = options.get("fill")
    if isinstance(fill, str) and fill not in FILLS and absent([fill]):
        raise no_fill(f"{fill}: {NO_FILE}")


def no_fill(reason: object) -> UsageError:
    """The error for a fill that is nothing, with what reading it as an image said."""
    words = ", ".join(FILLS)
    return UsageError(f"--fill must be {words}, a number, three numbers r,g,b or the path of an image; got {reason}")


def absent(addresses: Sequence[str]) -> list[str]:
    """Those whose file or folder is not there."""
    return [address for address in addresses if not _there(address)]


def all_absent(images: Sequence[str]) -> int | None:
    """The exit code where none of the pictures is there, each of which is reported; None where one is."""
    if len(absent(images)) < len(images):
        return None
    for image in images:
        complain(f"{discreet_name(image)}: {NO_FILE}")
    if len(images) > 1:
        complain(f"{len(images)} of {len(images)} images failed; see above")
    return SOME_FAILED


def check_there(*images: str) -> None:
    """Refuse the first picture that is not there.

    Raises:
        ImageError: Names it.
    """
    for image in absent(images):
        raise ImageError(f"{discreet_name(image)}: {NO_FILE}")


def _there(address: str) -> bool:
    """Whether it may be there: patterns are not looked up, nor what lies in a store."""
    path, kind, _ = split_choice(address)
    return kind is not None or os.path.lexists(path) or is_elsewhere(address) or names_several(address)
