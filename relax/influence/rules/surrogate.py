"""What drives a cluster, a neighbourhood or a similarity, as a few rules over what people can say about pictures.

The rules are those of a small tree that stands in for the embedding (a surrogate): global rules by recursive
partitioning in the manner of GIRP (Yang, Rangarajan & Ranka, 2018), which partitions contributions; here the features
themselves are. Its fidelity says whether it may stand in at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from relax.archive.archive import Archive
from relax.auditing.neighbours import unit
from relax.influence.answer import Answer, Member, about, member_of
from relax.influence.labels import CLUSTERS, FOLDERS, labels_of
from relax.influence.query import Query, nearest_rows, opened, whole_number
from relax.influence.rules.branches import Branch, branches_of, lines_of
from relax.influence.rules.features import Features, measured_features, table_features
from relax.influence.rules.fidelity import Fidelity, fidelity_of
from relax.influence.rules.tree import LEAST, Rule, Target, answers_of, grown_rules, split_of
from relax.io.images import ImageSource
from relax.progress import Silent, shown
from relax.text import listed, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIMILARITY, NEIGHBOURHOOD = "similarity", "neighbourhood"
DEPTH, EXAMPLES, NEAR = 3, 4, 0.2
INSIDE, OUTSIDE = "near", "far"


@dataclass(frozen=True)
class SurrogateTree(Answer):
    """Rules, their fidelity, and held-out pictures for which each holds; `value` is the truth for numbers, else 1 or 0.

    Attributes:
        rules: The largest support first; exactly one holds for each picture.
        fidelity: On held-out pictures.
        features: Names of all that the rules could use.
    """

    title: ClassVar[str] = "Rules"

    rules: tuple[Rule, ...]
    fidelity: Fidelity
    features: tuple[str, ...]

    @property
    def quantity(self) -> str:
        """What the value of a picture is."""
        return "agrees with the rule" if self.fidelity.kind == "labels" else "similarity"

    def legend(self, heading: str) -> str:
        """A rule speaks for itself."""
        return heading

    def shown(self, member: Member) -> str:
        """The label, or the number."""
        return number(member.value, 0.01) if self.fidelity.kind == "numbers" else "" if member.value else "disagrees"

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The rules as a tree."""
        return branches_of(self.rules)

    def lines(self) -> list[str]:
        """The tree as lines of text."""
        return lines_of(self.branches)

    def plot_tree(self, **options: Any) -> Figure:
        """The rules as a drawn tree; `plot` shows pictures for each rule.

        Args:
            options: `width` in inches and `theme`, as for `relax.figure`.
        """
        from relax.plotting.rules import rules_figure

        return rules_figure(self, **options)

    def drawn(self) -> Figure:
        """The tree, for the page."""
        return self.plot_tree()

    def predict(self, features: Features) -> Target:
        """(N,) what the rules say of other pictures with the same features."""
        return answers_of(self.rules, features)

    def record(self) -> dict[str, Any]:
        """As for every answer, with rules and fidelity."""
        rules = [
            {
                "when": rule.when,
                "then": rule.answer,
                "support": rule.support,
                "pictures": rule.pictures,
                "confidence": None if np.isnan(rule.confidence) else rule.confidence,
            }
            for rule in self.rules
        ]
        fidelity = {**vars(self.fidelity), "beyond_chance": self.fidelity.beyond_chance}
        return {**super().record(), "rules": rules, "fidelity": fidelity}


def surrogate_tree(
    archive: Archive | str | Path,
    target: str | Path | Sequence[str | float | None] = CLUSTERS,
    *,
    query: ImageSource | None = None,
    metadata: str | Path | None = None,
    measures: bool = True,
    depth: int = DEPTH,
    k: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | Silent | None = None,
) -> SurrogateTree:
    """Rules that say what drives clusters, labels, a neighbourhood or a similarity, and how far they can be believed.

    Two thirds of the pictures are learned from; support, confidence and fidelity are counted on the others.

    Args:
        archive: Of `relax.make_archive`, or its folder.
        target: "clusters", "folders", "similarity" (the cosine to the query), "neighbourhood" (whether a picture is
            among the k nearest to the query), a table of labels, or a label or number per row.
        query: An image or embedding, for "similarity" and "neighbourhood".
        metadata: A CSV or Parquet with a column `path`, relative to the archive's root: its columns become features, as
            scores of concepts do.
        measures: Whether brightness, tint, sharpness and so on are measured and become features, which reads every
            picture.
        depth: Questions in a row at most.
        k: Of "neighbourhood"; None is a fifth of the pictures.
        seed: Of the split, the shuffles, and clusters.
        progress: Called with (pictures measured, pictures); otherwise as for `relax.explain`.

    Raises:
        ImageError: If the query cannot be used.
        ValueError: If an argument is impossible, there are fewer than 12 pictures, one label or no feature.
        FileNotFoundError: If there is no such table.
    """
    archive, depth = opened(archive), whole_number("depth", depth)
    truth, source, name = _target(archive, target, query, k, seed)
    rows = np.flatnonzero([value is not None for value in truth])
    values: Target = np.array([value for value in truth if value is not None])
    if len(rows) < LEAST:
        raise ValueError(f"rules need at least {LEAST} pictures with a value; got {len(rows)}")
    if len(np.unique(values)) < 2:
        raise ValueError(f"target must have at least two values to tell apart; all pictures have {values[0]}")
    features = features_of(archive, rows, metadata, measures, str(target), progress)
    values = values if values.dtype.kind == "U" else values.astype(np.float64)
    split = split_of(values, seed)
    rules = grown_rules(features, values, split, depth, seed)
    said = answers_of(rules, features)
    fidelity = fidelity_of(values[split.held_out], said[split.held_out], seed)
    groups = {
        f"{rule}: {rule.told}": _examples(archive, rule, features, rows, values, split.held_out, seed) for rule in rules
    }
    findings = [str(fidelity), *(str(rule) for rule in rules)]
    if features.left_out:
        findings.append(f"Left out: {listed(features.left_out)}, which name single pictures or have one value.")
    settings = about(archive, source, target=name, depth=depth, learned_from=len(split.learned), seed=seed)
    source_of_query = None if query is None or isinstance(query, np.ndarray) else query
    asked = "" if query is None else Query.of(archive, query).name
    return SurrogateTree(
        asked, source_of_query, groups, tuple(findings), settings, rules, fidelity, features.names
    )  # fmt: skip


def _target(
    archive: Archive, target: Any, query: ImageSource | None, k: int | None, seed: int
) -> tuple[Sequence[str | float | None], str, str]:
    """A value per row (None = unknown), where it is from, and its name."""
    if isinstance(target, str) and target in (SIMILARITY, NEIGHBOURHOOD):
        if query is None:
            raise ValueError(f"query must be given for the target {target}: similarity to what?")
        asked = Query.of(archive, query)
        return *(_similarities(archive, asked) if target == SIMILARITY else _near(archive, asked, k)), target
    if query is not None:
        raise ValueError(f"query is for the targets {SIMILARITY} and {NEIGHBOURHOOD}; got the target {target}")
    if not isinstance(target, str | Path) and all(value is None or isinstance(value, int | float) for value in target):
        if len(target) != len(archive):
            raise ValueError(f"target must have a value for each of the {len(archive):,} pictures; got {len(target):,}")
        return [None if value is None else float(value) for value in target], "given", "numbers"
    named = labels_of(archive, target, seed=seed)
    word = str(target) if target in (CLUSTERS, FOLDERS) else "labels"
    return named.of, named.source, word


def _similarities(archive: Archive, asked: Query) -> tuple[list[float | None], str]:
    cosines = unit(np.asarray(archive.embeddings)) @ unit(asked.embedding[None])[0]
    values: list[float | None] = cosines.tolist()
    if asked.row is not None:
        values[asked.row] = None
    return values, f"cosine to {asked.name}"


def _near(archive: Archive, asked: Query, k: int | None) -> tuple[list[str | None], str]:
    count = max(1, round(NEAR * len(archive))) if k is None else whole_number("k", k)
    near = set(nearest_rows(archive, asked, count).tolist())
    values: list[str | None] = [INSIDE if row in near else OUTSIDE for row in range(len(archive))]
    if asked.row is not None:
        values[asked.row] = None
    return values, f"the {len(near)} nearest to {asked.name}"


def features_of(
    archive: Archive,
    rows: Any,
    metadata: str | Path | None,
    measures: bool,
    target: str,
    progress: Callable[[int, int], None] | Silent | None,
) -> Features:
    """What is known of some rows: the columns of a table, but for the target's own, and the measures of each picture.

    Raises:
        ValueError: If nothing is asked for, or no column can be used.
        FileNotFoundError: If there is no such table.
    """
    if not measures and metadata is None:
        raise ValueError("metadata must be given where measures is False: rules need features")
    features = Features((), np.empty((len(rows), 0)))
    if metadata is not None:
        file, _, column = target.rpartition("#")
        own = column if file and Path(file) == Path(metadata) else ""
        features = features.beside(
            table_features(metadata, archive.root, [archive.rows[row].path for row in rows], own)
        )
    if measures:
        with shown(progress, "pictures") as report:
            features = features.beside(measured_features([archive.paths[row] for row in rows], report))
    if not features.names:
        raise ValueError(
            f"no column of {metadata} can be a feature: {listed(features.left_out) if features.left_out else 'none'}"
        )
    return features


def _examples(
    archive: Archive, rule: Rule, features: Features, rows: Any, values: Target, held_out: Any, seed: int
) -> tuple[Member, ...]:
    """A few held-out pictures for which a rule holds, drawn at random."""
    places = np.random.default_rng(seed).permutation(held_out[rule.holds(features)[held_out]])[:EXAMPLES]
    is_label = values.dtype.kind == "U"
    return tuple(
        member_of(
            archive,
            int(rows[place]),
            float(values[place] == rule.answer) if is_label else float(values[place]),
            str(values[place]) if is_label else None,
            {
                condition.feature: float(features.values[place, features.names.index(condition.feature)])
                for condition in rule.conditions
                if np.isfinite(features.values[place, features.names.index(condition.feature)])
            },
        )
        for place in sorted(places)
    )
