"""The forms of input maximisation as a table: how a picture is written down, and how it is climbed. No torch here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Wobble:
    """How far each look at a picture may be from the picture; `relax.units.wobble` draws the looks.

    Attributes:
        looks: How many at once, of which the mean is climbed.
        smallest: Share of the side of the picture that a look shows at least; it is enlarged to the whole.
        largest: And at most; above 1, with a mirrored margin.
        turn: Degrees, to either side.
        noise: Standard deviation of normal noise on the pixels.
    """

    looks: int = 2
    smallest: float = 0.7
    largest: float = 1.05
    turn: float = 8.0
    noise: float = 0.05

    @property
    def still(self) -> bool:
        """Whether a look is the picture itself."""
        return self.smallest == self.largest == 1 and self.turn == 0 and self.noise == 0

    def record(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)


STILL = Wobble(looks=1, smallest=1.0, largest=1.0, turn=0.0, noise=0.0)


@dataclass(frozen=True)
class Form:
    """A form.

    Attributes:
        what: What it does, for help texts.
        source: Where it comes from.
        rate: Of Adam, in the unit of its numbers.
        wobble: How looks differ from the picture.
        natural: Whether it needs the statistics of natural pictures, which are of pictures in grey or colour.
    """

    what: str
    source: str
    rate: float
    wobble: Wobble
    natural: bool = True


FORMS = {
    "maco": Form(
        "phases of Fourier coefficients alone, with the magnitudes of natural pictures",
        "MACO (Fel et al., NeurIPS 2023)",
        0.2,
        Wobble(),
    ),
    "fourier": Form(
        "Fourier coefficients of decorrelated colours, all scales alike",
        "Feature Visualization (Olah, Mordvintsev & Schubert, Distill 2017)",
        0.1,
        Wobble(),
    ),
    "pixels": Form(
        "the pixels themselves, with a penalty on their squares: the textbook form, which fools networks",
        "Simonyan, Vedaldi & Zisserman 2013; Erhan et al. 2009",
        0.02,
        STILL,
        natural=False,
    ),
}
