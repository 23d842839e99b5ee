"""The result: what every word of a text does, with its error and how it was made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders.errors import one_line
from relax.files import written_aside
from relax.records import check_record, read_json
from relax.words.tables import MOST_CHARACTERS, MOST_PARTS

if TYPE_CHECKING:  # matplotlib takes a while to load
    from matplotlib.figure import Figure

FORMAT = 1
LARGEST = 64 * 2**20  # bytes of a saved explanation
VALUES = ("importance", "uncertainty", "standard_error")
_RECORD: dict[str, Any] = {
    "format": int,
    "text": str,
    "words": list,
    "offsets": list,
    **dict.fromkeys(VALUES, list),
    "baseline": (int, float),
    "score": (int, float),
    "hidden": (int, float),
    "provenance": {
        "method": str,
        "similarity": str,
        "scalar": str,
        "fill": str,
        "by": str,
        "encoder": {"name": str},
        "estimator": {"name": str},
        "cost": {"passes": int},
    },
}

Values = NDArray[np.float64]


@dataclass(frozen=True)
class TextExplanation:
    """What each word (or token, or sentence) of a text does for its embedding.

    Attributes:
        text: The text.
        words: P parts of it, in its order.
        offsets: (P, 2) int64, where each begins and ends in the text, in characters.
        importance: (P,) float64. For "relax" the mean similarity over the random subsets of the words that show it, in
            the measure's own unit; for other methods what `relax.words.tables.METHODS` says. NaN where the encoder
            reads nothing of it.
        uncertainty: (P,) float64, 0 or more: the variance around that mean; NaN for other methods.
        standard_error: (P,) float64: the error of the importance by the subsets that were drawn; 0 where all subsets
            were taken, NaN for methods without one.
        baseline: The importance of a word that makes no difference: the mean similarity over all subsets for "relax",
            0 for others.
        score: The similarity of the whole text.
        hidden: The similarity with every word hidden.
        provenance: How it was made, as JSON types.
    """

    text: str
    words: tuple[str, ...]
    offsets: NDArray[np.int64]
    importance: Values
    uncertainty: Values
    standard_error: Values
    baseline: float
    score: float
    hidden: float
    provenance: dict[str, Any]

    def __len__(self) -> int:
        return len(self.words)

    def __repr__(self) -> str:
        record = self.provenance
        best = ", ".join(f"{self.words[place]!r}" for place in self.top(3))
        return (
            f"TextExplanation of {len(self):,} {record.get('by')}, {record.get('method')} through "
            f"{(record.get('encoder') or {}).get('name')}: {record.get('scalar')}, whole text {self.score:.4g}; "
            f"first {best}"
        )

    @property
    def effect(self) -> Values:
        """(P,) the importance less that of a word that makes no difference: above 0, showing the word brings closer."""
        above: Values = self.importance - self.baseline
        return above

    def top(self, count: int) -> NDArray[np.int64]:
        """(count,) numbers of the words with the largest effect, positive or negative, first the largest."""
        size = np.where(np.isfinite(self.effect), np.abs(self.effect), -1)
        return np.argsort(-size, kind="stable")[:count]

    def to_json(self) -> str:
        """All of it as JSON text; NaN is null."""
        record: dict[str, Any] = {
            "format": FORMAT,
            "text": self.text,
            "words": list(self.words),
            "offsets": self.offsets.tolist(),
            **{name: [_number(value) for value in getattr(self, name)] for name in VALUES},
            "baseline": self.baseline,
            "score": self.score,
            "hidden": self.hidden,
            "provenance": self.provenance,
        }
        return json.dumps(record, indent=2, allow_nan=False)

    def save(self, path: str | Path) -> Path:
        """Write all of it to one JSON file, which appears whole or not at all. Returns its path."""
        with written_aside(path) as aside:
            aside.write_text(self.to_json() + "\n", encoding="utf-8")
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> TextExplanation:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no such file or damaged.
        """
        path = Path(path)
        try:
            if path.stat().st_size > LARGEST:
                raise ValueError(f"it has more than {LARGEST:,} bytes")
            record = read_json(path.read_bytes())
            json.dumps(record, allow_nan=False)  # NaN and infinity are no JSON, though Python reads them
            check_record(record, _RECORD)
            return cls(**_checked(record))
        except FileNotFoundError:
            raise
        except (ValueError, KeyError, TypeError, OverflowError, OSError) as reason:
            raise ValueError(f"{path} is not a saved explanation of a text: {one_line(reason)}") from None

    def plot(self, *, theme: str = "light", width: float = 7.0) -> Figure:
        """Draw the text with its words coloured by their effect, their errors below.

        Args:
            theme: "light" or "dark".
            width: In inches, from 3 to 40.

        Returns:
            The figure, which notebooks show.
        """
        from relax.words.drawing import text_figure  # matplotlib takes a while to load

        return text_figure(self, theme=theme, width=width)

    def _repr_png_(self) -> bytes:
        """The figure, for notebooks."""
        from relax.plotting.drawing import file_of

        content: bytes = file_of(self.plot())
        return content


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _checked(record: dict[str, Any]) -> dict[str, Any]:
    """The fields of a record that was read; ValueError if they do not fit together."""
    if missing := [name for name in _RECORD if record.get(name) is None]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    if record["format"] != FORMAT:
        raise ValueError(f"its format is {record['format']}, and this version reads {FORMAT}")
    text, words = record["text"], record["words"]
    if len(text) > MOST_CHARACTERS or not 0 < len(words) <= MOST_PARTS:
        raise ValueError(f"it has {len(text):,} characters and {len(words):,} words")
    if not all(isinstance(word, str) for word in words):
        raise ValueError("its words must be texts")
    offsets = np.array(record["offsets"])
    if offsets.shape != (len(words), 2) or offsets.dtype.kind != "i":
        raise ValueError(f"its offsets must be whole numbers ({len(words)}, 2)")
    if offsets.min() < 0 or offsets.max() > len(text) or (offsets[:, 0] > offsets[:, 1]).any():
        raise ValueError("its offsets must lie in the text")
    values = {name: np.array(record[name], dtype=np.float64) for name in VALUES}
    if wrong := [name for name, array in values.items() if array.shape != (len(words),) or np.isinf(array).any()]:
        raise ValueError(f"{', '.join(wrong)} must be {len(words)} numbers or null")
    numbers = {name: float(record[name]) for name in ("baseline", "score", "hidden")}
    if not np.isfinite(list(numbers.values())).all():
        raise ValueError("baseline, score and hidden must be finite")
    return {
        "text": text,
        "words": tuple(words),
        "offsets": offsets.astype(np.int64),
        **values,
        **numbers,
        "provenance": record["provenance"],
    }
