"""What differs between two encoders, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relax.differences.result import Differences, Group


def findings(differences: Differences) -> tuple[str, ...]:
    """How alike the encoders are, then each group; that nothing differs beyond chance, if so."""
    sentences = [_agreement(differences)]
    if not differences.groups:
        sentences.append(
            "No group of pictures is near by one encoder and not by the other beyond chance: none is stronger than the "
            f"strongest between two draws of one encoder's features, {differences.settings['noise']['needed']:.2f}."
        )
    sentences += [group_in_words(group, differences) for group in differences.groups[:6]]
    beyond = int(differences.beyond_noise.sum())
    sentences.append(
        f"{beyond:,} of {len(differences):,} pictures have neighbours that go further apart than those of 95 % of "
        "pictures do between two draws of one encoder's features."
    )
    return tuple(sentences)


def group_in_words(group: Group, differences: Differences) -> str:
    """A group in a sentence or two."""
    near, far = differences.encoders[group.side], differences.encoders[1 - group.side]
    count = len(group.members) + len(group.joined)
    text = (
        f"Group {group.name}: {count:,} pictures that {near} takes for near and {far} does not. Of a picture's "
        f"nearest, {group.near:.0%} are of the group by {near}, {group.far:.0%} by {far}, and {group.chance:.0%} by "
        f"chance; the difference is {group.strength:.2f} ({group.low:.2f} to {group.high:.2f}), p = {group.p:.3f}."
    )
    return f"{text} In common: {'; '.join(map(str, group.common[:2]))}." if group.common else text


def _agreement(differences: Differences) -> str:
    shared, cka = differences.agreement["shared neighbours"], differences.agreement["CKA"]
    own = ", ".join(
        f"{share:.0%} ({name})"
        for share, name in zip(differences.settings["noise"]["shared"], differences.encoders, strict=True)
    )
    k = differences.nearest.shape[2]
    return (
        f"The encoders share {shared.value:.0%} of a picture's {k} nearest ({shared.low:.0%} to {shared.high:.0%}); "
        f"unrelated ones would share {shared.chance:.1%}, two draws of one encoder's own features {own}. CKA is "
        f"{cka.value:.2f} ({cka.low:.2f} to {cka.high:.2f})."
    )
