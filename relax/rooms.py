"""A check that the everyday names of this project's packages are not taken by other packages."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

ROOMS = ("encoders", "masking", "similarity")


def check_rooms() -> None:
    """Refuse to start if `encoders`, `masking` or `similarity` would be imported from elsewhere.

    Raises:
        ImportError: If one would; the message names the file and the way out.
    """
    root = Path(__file__).resolve().parent.parent
    for room in ROOMS:
        spec = find_spec(room)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None or origin.parent.parent != root:
            raise ImportError(
                f"relax-explainer needs its own package {room!r}, but Python finds {origin or 'none'}: "
                f"rename that file, or use an environment of its own for relax-explainer"
            )
