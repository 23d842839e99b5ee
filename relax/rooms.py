"""The rooms have everyday names: make sure that ours are the ones that Python found."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

ROOMS = ("encoders", "masking", "similarity")


def check_rooms() -> None:
    """Refuse to start on another package's `encoders`, `masking` or `similarity`.

    Raises:
        ImportError: Names the foreign file and the way out.
    """
    home = Path(__file__).resolve().parent.parent
    for room in ROOMS:
        spec = find_spec(room)
        found = Path(spec.origin).resolve() if spec and spec.origin else None
        if found is None or found.parent.parent != home:
            raise ImportError(
                f"relax-explainer needs its own package {room!r}, but Python finds {found or 'none'}: "
                f"rename that file, or use an environment of its own for relax-explainer"
            )
