"""k-NN evidence: the pictures of an archive nearest to a query, and the share of the decision that each carries.

The decision is that of a k-NN head (`encoders.heads.kinds.KnnHead`): a picture's vote weighs exp(cosine / temperature),
and a label has the sum of its pictures' votes. Without labels the shares say how the neighbourhood divides.

Source: Wu et al., CVPR 2018, section 3.4; deep k-nearest neighbours as explanation: Papernot & McDaniel, 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from encoders.values import described, is_number
from relax.archive.archive import Archive
from relax.auditing.neighbours import unit
from relax.influence.answer import Answer, about, counted, member_of
from relax.influence.labels import Labels, labels_of
from relax.influence.query import Query, nearest_rows, opened, whole_number
from relax.io.images import ImageSource
from relax.text import number

NEIGHBOURS, TEMPERATURE = 20, 0.1
NEAREST = "nearest pictures"


@dataclass(frozen=True)
class Evidence(Answer):
    """The nearest pictures of an archive, each with its share of the decision, as `value`; `notes` has the cosine.

    Attributes:
        decision: The share of each label, largest first; empty where the archive has no labels.
    """

    title: ClassVar[str] = "Nearest evidence"

    decision: dict[str, float]

    @property
    def quantity(self) -> str:
        """What the value of a picture is."""
        return "share of the decision"

    def shown(self, member: Any) -> str:
        """The share in per cent and the cosine."""
        return f"{member.value:.1%} · cosine {number(float(member.notes['cosine']), 0.01)}"

    def record(self) -> dict[str, Any]:
        """As for every answer, and the decision."""
        return {**super().record(), "decision": self.decision}


def evidence(
    archive: Archive | str | Path,
    query: ImageSource,
    *,
    k: int = NEIGHBOURS,
    labels: str | Path | Labels | None = None,
    temperature: float = TEMPERATURE,
    seed: int = 0,
) -> Evidence:
    """Which pictures of an archive are nearest to a query, and what share of a k-NN decision each carries.

    A picture of the archive is no evidence for itself and is left out.

    Args:
        archive: Of `relax.make_archive`, or its folder.
        query: An image as for `read_image`, or an embedding (D,).
        k: Pictures that vote; fewer if the archive is smaller.
        labels: "folders", "clusters", a table, or one per row, see `relax.influence.labels`; None is "folders" where
            there are some.
        temperature: A vote weighs exp(cosine / temperature); lower listens more to the nearest. Above 0.
        seed: For clusters.

    Raises:
        ImageError: If the picture cannot be used.
        ValueError: If an argument is impossible, or the encoder has changed.
    """
    archive, k = opened(archive), whole_number("k", k)
    if not is_number(temperature) or not 0 < temperature < float("inf"):
        raise ValueError(f"temperature must be above 0; got {described(temperature)}")
    named = labels_of(archive, labels, seed=seed)
    asked = Query.of(archive, query)
    rows = nearest_rows(archive, asked, k)
    if not len(rows):
        raise ValueError(f"archive {archive.folder} has no picture but the query itself")
    cosines = unit(np.asarray(archive.embeddings[rows])) @ unit(asked.embedding[None])[0]
    weights = np.exp((cosines - cosines.max()) / temperature)
    shares = weights / weights.sum()
    own = [named.of[row] for row in rows]
    decision = counted(own, shares.tolist()) if named.classes else {}
    members = tuple(
        member_of(archive, row, share, label, {"cosine": float(cosine)})
        for row, share, label, cosine in zip(rows, shares, own, cosines, strict=True)
    )
    return Evidence(
        asked.name,
        asked.source,
        {NEAREST: members},
        _findings(decision, shares, len(rows), len(archive), asked.row is not None),
        about(archive, named.source, k=len(rows), temperature=temperature, index=archive.index.kind),
        decision,
    )


def _findings(
    decision: dict[str, float], shares: np.ndarray[Any, Any], k: int, pictures: int, own: bool
) -> tuple[str, ...]:
    carried = int(np.searchsorted(np.cumsum(np.sort(shares)[::-1]), 0.5 - 1e-12)) + 1
    half = (
        f"{carried} of them carr{'ies' if carried == 1 else 'y'} half of the decision" if k > 1 else "it decides alone"
    )
    sentences = [f"The {k:,} nearest of {pictures:,} pictures vote; {half}."]
    if decision:
        ranked = [f"{name} {share:.1%}" for name, share in list(decision.items())[:5]]
        more = f" and {len(decision) - 5} more" if len(decision) > 5 else ""
        sentences.insert(0, f"Their votes: {', '.join(ranked)}{more}.")
    if own:
        sentences.append("The query is a picture of the archive; it does not vote on itself.")
    return tuple(sentences)
