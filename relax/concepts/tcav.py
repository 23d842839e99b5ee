"""Testing with concept activation vectors (TCAV): does a concept move the score of these pictures, beyond chance?

result = relax.tcav("zebras", {"stripes": "stripes"}, "random", "timm:resnet50", layer="layer3", head="network", ...)
result["stripes"].score          share of the pictures whose score rises along the concept's vector
result["stripes"].meaningful     whether vector and score are both beyond chance
result.save("out")               a table, a record, a figure, a page, and the vectors, for `direction=`

Source: Kim et al., Interpretability Beyond Feature Attribution: Quantitative Testing with Concept Activation Vectors
(ICML 2018).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relax.concepts.significance import LEVEL
from relax.text import one_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ConceptScore:
    """One concept.

    Attributes:
        concept: Its name.
        pictures: How many it has.
        accuracy: Of its vectors on held-out pictures, mean over runs; 0.5 is chance.
        accuracy_p: Chance of so high an accuracy, from pictures that are no concept.
        score: TCAV score: share of the pictures in question whose score rises along the vector, mean over runs.
        spread: Standard deviation of the score over the runs.
        sensitivity: Mean cosine between the gradient of the score and the vector.
        p: Chance of a sensitivity as far from the mean, see `relax.concepts.significance`.
        corrected_p: The same for all concepts together, by Benjamini and Hochberg.
        published_p: Of the published t-test; NaN where there are too few shuffles for it.
        published_error: How often that test calls pictures significant that are no concept, here: should be 0.05.
        meaningful: Whether accuracy and sensitivity are both beyond chance.
        shuffled: (S,) sensitivities of pictures that are no concept.
        direction: (P,) the mean of its vectors, of length 1.
    """

    concept: str
    pictures: int
    accuracy: float
    accuracy_p: float
    score: float
    spread: float
    sensitivity: float
    p: float
    corrected_p: float
    published_p: float
    published_error: float
    shuffled: NDArray[np.float64] = field(repr=False)
    direction: NDArray[np.float64] = field(repr=False)

    @property
    def meaningful(self) -> bool:
        """Whether accuracy and sensitivity are both beyond chance."""
        return self.accuracy_p <= LEVEL and self.corrected_p <= LEVEL

    def __str__(self) -> str:
        if self.accuracy_p > LEVEL:
            return (
                f"{self.concept}: the layer does not tell its {self.pictures} pictures from others (accuracy of the "
                f"vector {self.accuracy:.0%}, p {self.accuracy_p:.2g}), so its score says nothing."
            )
        if self.corrected_p > LEVEL:
            return (
                f"{self.concept}: the layer knows it (accuracy {self.accuracy:.0%}), but it does not move the score "
                f"beyond chance (sensitivity {self.sensitivity:+.3f}, corrected p {self.corrected_p:.2g})."
            )
        way = "raises" if self.sensitivity > 0 else "lowers"
        return (
            f"{self.concept} {way} the score: TCAV score {self.score:.2f}, sensitivity {self.sensitivity:+.3f} "
            f"(corrected p {self.corrected_p:.2g}), accuracy of the vector {self.accuracy:.0%}."
        )


@dataclass(frozen=True)
class ConceptTest:
    """Concepts tested at one layer.

    Attributes:
        layer: Its name.
        target: What the score is, in words.
        scores: One per concept.
        pictures: Names of the pictures in question.
        failed: Why other pictures could not be used, by name.
        record: How it was made, as JSON types.
    """

    layer: str
    target: str
    scores: tuple[ConceptScore, ...]
    pictures: tuple[str, ...] = field(repr=False)
    failed: dict[str, str]
    record: dict[str, Any] = field(repr=False)

    def __getitem__(self, concept: str) -> ConceptScore:
        """The concept of that name."""
        names = [score.concept for score in self.scores]
        return self.scores[names.index(one_of("concept", concept, names))]

    def sentences(self) -> Iterator[str]:
        """The results in words."""
        moving = sum(score.meaningful for score in self.scores)
        yield (
            f"{moving} of {len(self.scores)} concepts move the {self.target} of "
            f"{len(self.pictures)} pictures beyond chance, at layer {self.layer!r}."
        )
        yield from map(str, self.scores)
        errors = [score.published_error for score in self.scores if np.isfinite(score.published_error)]
        if errors:
            yield (
                f"The published t-test, which should err in 5 % of cases, calls {np.mean(errors):.0%} of sets of "
                "pictures significant here that are no concept; it is not used."
            )

    def __str__(self) -> str:
        return "\n".join(self.sentences())

    def plot(self, **options: Any) -> Figure:
        """Each concept's sensitivity among those of pictures that are no concept; `width` in inches and `theme`."""
        from relax.concepts.charts import sensitivity_figure

        return sensitivity_figure(self, **options)

    def save(self, folder: str | Path) -> list[Path]:
        """Write tcav.csv, tcav.json, tcav.png, tcav.html and cavs.safetensors, which has a vector for each concept.

        With `layer=`, `direction="out/cavs.safetensors#stripes"` is that vector for `relax.explain`, of `cells="mean"`.

        Returns:
            Their paths.

        Raises:
            OSError: If one cannot be written.
        """
        from relax.concepts.tcav_files import save_test

        return save_test(self, Path(folder))
