"""How much a visitor may ask for, so that one cannot take the machine from the others."""

from __future__ import annotations

from dataclasses import dataclass

from relax.io.limits import max_bytes


@dataclass(frozen=True)
class Limits:
    """The limits of one server.

    Attributes:
        masks: Masks of one explanation, at most.
        at_once: Explanations that run at the same time; further ones wait in line.
        visitors: Open pages at the same time.
        silence: Seconds without a sign of life after which a visitor counts as gone. Pages in the background may
            speak once a minute only.
    """

    masks: int = 20_000
    at_once: int = 1
    visitors: int = 50
    silence: float = 300

    @property
    def upload(self) -> int:
        """Bytes of one file: no more than reading a picture may take, see `relax.io.limits`."""
        return max_bytes()
