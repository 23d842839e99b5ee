"""Light and dark: the colours of everything in a figure that is not data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """Colours of paper and ink.

    Attributes:
        paper: Behind everything.
        ink: Titles and numbers.
        pale: Small print.
        unseen: Pixels that the encoder never saw.
        hatch: Their hatching, and thin frames.
    """

    paper: str
    ink: str
    pale: str
    unseen: str
    hatch: str


THEMES = {
    "light": Theme(paper="#ffffff", ink="#222222", pale="#666666", unseen="#e4e4e4", hatch="#a8a8a8"),
    "dark": Theme(paper="#15171b", ink="#ececec", pale="#a9aeb6", unseen="#2b2e34", hatch="#646a74"),
}
INK, PALE = THEMES["light"].ink, THEMES["light"].pale
