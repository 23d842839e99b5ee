"""The page of differences: both spaces side by side and linked, the groups with their pictures and their maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relax.differences.findings import findings, group_in_words
from relax.io.errors import ImageError
from relax.io.small import small_picture
from relax.plotting.drawing import file_of
from relax.plotting.figure import figure
from relax.questions.comparison import Comparison
from relax.report.collection import Collection, Column, Linked, Plane
from relax.report.content import Chart, Exhibit, Grid, Report, Section, Strip, Thumbnail
from relax.text import number

if TYPE_CHECKING:
    from relax.differences.parts import Part
    from relax.differences.result import Differences, Group

THUMBNAILS = 12  # of a group
NEIGHBOURS = 6  # of a picture that is pointed at
SMALL = 256  # px of a thumbnail's longer side
WIDTH = 10.0  # inches of a row of maps


def differences_report(differences: Differences) -> Report:
    """The content of the page, for `write_report`."""
    probed = {part.picture: (group, part) for group in reversed(differences.groups) for part in group.parts}
    return Report(
        title=f"{differences.encoders[0]} and {differences.encoders[1]}: what each takes for near",
        findings=findings(differences),
        sections=(*(_group(group, differences) for group in differences.groups), *_table(differences)),
        exhibits=[_exhibit(group, part, differences) for group, part in probed.values()],
        settings=differences.settings,
        collection=_collection(differences, [*probed]),
        space=_space(differences),
        about_maps=bool(probed),
    )


def _space(differences: Differences) -> Section:
    text = (
        "Left the space of A, right that of B; each dot is a picture, in both. Point at a picture in one: its nearest "
        "by that encoder are ringed in both, and long lines on the other side are what the other encoder takes apart. "
        "Draw a box or a lasso in one, or choose a group beside the maps, and see where its pictures are in the other. "
        "Distances between far groups mean little on such maps."
    )
    return Section("The two spaces", (text,))


def _collection(differences: Differences, probed: list[int]) -> Collection:
    a, b = differences.encoders
    similar = tuple(
        # how near the ringed pictures are by the other encoder: ranks, of which lower is nearer
        ranks[:, :NEIGHBOURS].astype(np.float32)
        for ranks in differences.elsewhere
    )
    nearest = differences.nearest[:, :, :NEIGHBOURS]
    return Collection(
        names=differences.names,
        columns=(
            Column(
                "group",
                [name or "no group" for name in differences.group_of],
                "near by one encoder only; of several groups the strongest",
            ),
            Column(
                "near by A only", differences.scores[0].tolist(), f"of what {a} takes for near, how far it is by {b}"
            ),
            Column(
                "near by B only", differences.scores[1].tolist(), f"of what {b} takes for near, how far it is by {a}"
            ),
            Column("shared", differences.shared.tolist(), "share of the nearest that both encoders have"),
            Column("folder", [name.rpartition("/")[0] or "." for name in differences.names]),
        ),
        planes=(Plane(f"A: {a}", differences.layouts[0]), Plane(f"B: {b}", differences.layouts[1])),
        colour_by="group",
        neighbours=nearest[0],
        similarities=similar[0],
        linked=Linked(nearest[1], similar[1], "rank by the other encoder"),
        explained=probed,
        small=lambda picture: _small(differences, picture),
    )


def _small(differences: Differences, picture: int) -> NDArray[np.uint8] | None:
    try:
        return small_picture(differences.root / differences.paths[picture], SMALL)
    except ImageError:
        return None


def _group(group: Group, differences: Differences) -> Section:
    pictures = ((_small(differences, int(row)), int(row)) for row in group.members[:THUMBNAILS])
    thumbnails = tuple(Thumbnail(small, differences.names[row], row) for small, row in pictures if small is not None)
    strip = Strip("", thumbnails, "The most central first; choose the group beside the maps above to see all of them.")
    charts = tuple(_chart(group, part, differences) for part in group.parts)
    return Section(f"Group {group.name}", (group_in_words(group, differences),), (strip, *charts))


def _chart(group: Group, part: Part, differences: Differences) -> Chart:
    """Importance by both encoders, and what the first has beyond the second."""
    near, far = differences.encoders[group.side], differences.encoders[1 - group.side]
    name = differences.names[part.picture]
    maps = {near: part.near, far: part.far, f"{near} beyond {far}": part.beyond}
    drawn = figure(Comparison(maps, {}, "encoders"), panels=("overlay",), width=WIDTH)
    errors = ", ".join(number(float(np.nanmedian(each.standard_error))) for each in maps.values())
    frames = "" if part.same_frame else " The encoders see different parts of the picture: places are similar only."
    caption = (
        f"{name}: what brings it closer to the group by {near}, by {far}, and by {near} beyond what {far} "
        f"explains; median standard errors {errors}. Over the masks the two correlate "
        f"{part.correlation:.2f}.{frames}"
    )
    return Chart(file_of(drawn), caption, f"Maps of {name} by both encoders, and of their difference")


def _exhibit(group: Group, part: Part, differences: Differences) -> Exhibit:
    near, far = differences.encoders[group.side], differences.encoders[1 - group.side]
    notes = (
        ("group", group.name),
        ("importance above 0", f"brings it closer to the group by {near}, beyond what {far} explains"),
        ("correlation over the masks", f"{part.correlation:.2f}"),
    )
    return Exhibit(part.beyond, differences.names[part.picture], notes=notes)


def _table(differences: Differences) -> tuple[Section, ...]:
    if not differences.groups:
        return ()
    rows = tuple(
        (
            *(group.name, differences.encoders[group.side], len(group.members) + len(group.joined)),
            *(group.strength, group.low, group.high, group.near, group.far, group.chance, group.p),
            "; ".join(map(str, group.common)),
        )
        for group in differences.groups
    )
    headers = (
        *("group", "near by", "pictures", "strength", "from", "to", "kept by it", "kept by the other", "by chance"),
        *("p", "in common"),
    )
    note = (
        "Kept: the share of a picture's nearest that are of the group. Strength: the difference, with its 95 % "
        f"interval. Strength that noise reaches: {differences.settings['noise']['needed']:.2f}."
    )
    return (Section("All groups", (), (Grid("Groups", headers, rows, note),)),)
