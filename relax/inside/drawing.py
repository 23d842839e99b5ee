"""The figure of an `Inside`: which maps it draws, and the words beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from encoders.values import described, is_whole
from relax.inside.stage import Stage
from relax.inside.tables import MOST_CHANNELS, ORDERS
from relax.plotting.inside import LayerRow, layers_figure
from relax.text import names_of, nearest, number, one_of, shortened

if TYPE_CHECKING:  # which imports this module
    from relax.inside.result import Inside


def inside_figure(
    inside: Inside, layers: Sequence[str] | None = None, *, by: str = "energy", channels: int = 3, **options: object
) -> Figure:
    """As `Inside.plot`."""
    if not is_whole(channels) or not 1 <= channels <= MOST_CHANNELS:
        raise ValueError(f"channels must be a whole number from 1 to {MOST_CHANNELS}; got {described(channels)}")
    one_of("by", by, ORDERS)
    record = inside.provenance
    encoder = shortened(str((record.get("encoder") or {}).get("name")), 80)
    caption = [f"encoder {encoder}", f"channels sorted by {by}", "the colours of each map span that map alone"]
    rows = [_row(stage, by, int(channels)) for stage in _chosen(inside, layers)]
    name = shortened(str(record.get("image", "")), 80)
    return layers_figure(inside.view, rows, name, caption, **options)  # type: ignore[arg-type]


def _chosen(inside: Inside, layers: Sequence[str] | None) -> list[Stage]:
    if layers is None:
        return list(inside.stages)
    known = [stage.name for stage in inside.stages]
    for name in names_of("layers", layers):
        if name not in known:
            raise ValueError(f"layers must be among {', '.join(known)}; got {described(name)}{nearest(name, known)}")
    return [stage for stage in inside.stages if stage.name in layers]


def _row(stage: Stage, by: str, channels: int) -> LayerRow:
    values = None if by == "number" else getattr(stage, by)
    maps = [
        (
            f"channel {channel}",
            "" if values is None else f"{by} {number(float(values[channel]))}",
            stage.activations[channel],
        )
        for channel in stage.order(by)[:channels].tolist()
    ]
    depth, rows, columns = stage.activations.shape
    heading = f"{stage.name}: {stage.kind}, {depth} channels of {rows} x {columns} cells{_sees(stage)}"
    if stage.factors is None:
        return LayerRow(heading, maps)
    signed = stage.factors.method == "pca"
    count, shares = len(stage.factors.shares), stage.factors.shares
    title = "components 1 to 3 (PCA)" if signed else f"{count} parts (NMF)"
    note = f"shares {', '.join(f'{share:.0%}' for share in shares[: 3 if signed else count])}"
    return LayerRow(heading, maps, stage.factors.maps, title, note, signed)


def _sees(stage: Stage) -> str:
    """How much of the view the middle cell depends on."""
    if stage.field is None:
        return ""
    top, left, bottom, right = stage.field.box(stage.grid[0] // 2, stage.grid[1] // 2)
    return f", the middle one sees {bottom - top} x {right - left} px"
