"""The result: three maps in the frame of the image, with their provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relax.maps import MAPS, layer_in_words, uncertainty_limit, where_certain
from relax.npz import read_npz
from relax.records import check_record
from relax.saved import Kind, Saved

if TYPE_CHECKING:  # matplotlib takes a while to load
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KIND = Kind("explanation", "a saved explanation", {"provenance": dict})

NUMBER = (float, int)
PROVENANCE: dict[str, Any] = {
    "image": str,
    "encoder": {"name": str},
    "masks": {"kind": str, "count": int},
    "method": str,
    "similarity": str,
    "map": str,
    "fill": (str, float, int, list),
    "tolerance": NUMBER,
    "converged": bool,
    "convergence": {"masks": list, "largest": list, "median": list},
    "stopped_early": {"after": int, "of": int},
    "cost": {"passes": NUMBER},
    "seconds": NUMBER,
    "command": str,
    "commit": str,
    "threads": int,
    "scale": {
        "cosine": {
            "masked": {"mean": NUMBER, "min": NUMBER, "max": NUMBER},
            "hidden": NUMBER,
            "shuffled": NUMBER,
            "references": NUMBER,
        },
        "unsteady": NUMBER,
    },
    "trust": dict,
    "read": dict,
    "unseen": {"share": NUMBER, "way_out": str},
    "within": {"named": str, "sha256": str, "share": NUMBER},
}
"""Types of the entries that figures and reports read."""


@dataclass(frozen=True)
class Explanation(Saved):
    """What in the picture determines its embedding, and how certain that is.

    Attributes:
        importance: (H, W) float32. Mean similarity to the reference over the masks that show the pixel,
            in the measure's own unit, never rescaled. Higher: showing this pixel brings the embedding
            closer. NaN where the encoder never saw the pixel, and outside `within`.
        uncertainty: (H, W) float32, 0 or more. Variance of that similarity: high where the pixel's
            effect depends on what else is visible. It does not shrink as masks are added.
        standard_error: (H, W) float32, 0 or more. Monte-Carlo error of the importance; shrinks as masks
            are added. NaN where it is undefined (masks that are not random).
        image: (H, W, 3) uint8, the picture in the same frame, for drawing only.
        provenance: How the maps were made, as JSON types. "convergence" has the error against the number of masks at
            each look; "stopped_early" is there if fewer masks were embedded than asked for.
        scores: (N,) float64, the similarity of each masked picture, in the order of the masks, from which the maps were
            made; None where there are none or they were not kept.
    """

    importance: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    standard_error: NDArray[np.float32]
    image: NDArray[np.uint8]
    provenance: dict[str, Any]
    scores: NDArray[np.float64] | None = None

    def __repr__(self) -> str:
        height, width = self.importance.shape
        record = self.provenance
        return (
            f"Explanation of {record.get('image', 'an image')}, {height} x {width} px, "
            f"through {(record.get('encoder') or {}).get('name')}{_inside(record)}: {record.get('similarity')}, "
            f"{(record.get('masks') or {}).get('count')} masks, {_stopped(record.get('stopped_early'))}"
            f"seed {record.get('seed')}\n"
            f"importance {_span(self.importance)}, uncertainty {_span(self.uncertainty)}, "
            f"median standard error {_median(self.standard_error):.2g}"
        )

    def u_relax(
        self, *, threshold: float | None = None, quantile: float | None = None, gamma: float | None = None
    ) -> NDArray[np.float32]:
        """Keep the importance where it is certain (U-RELAX).

        Give at most one of the three; the default is the median (`quantile=0.5`), as in the authors' package. A
        quantile always keeps that share of the pixels, however certain they are.

        Args:
            threshold: Largest uncertainty to keep, in the squared unit of the similarity.
            quantile: Keep this share of the pixels, the most certain ones, in [0, 1].
            gamma: Keep uncertainty up to gamma times its mean, 0 or more.

        Returns:
            (H, W) float32; NaN where the uncertainty is above the limit or unknown.

        Raises:
            ValueError: If more than one is given, or it is out of range.

        Source: RELAX (Wickstrøm et al., IJCV 2023), section on U-RELAX.
        """
        limit = self.uncertainty_limit(threshold=threshold, quantile=quantile, gamma=gamma)
        return where_certain(self, limit)

    def uncertainty_limit(
        self, *, threshold: float | None = None, quantile: float | None = None, gamma: float | None = None
    ) -> float:
        """The largest uncertainty that `u_relax` keeps under the same arguments; NaN if no pixel has one."""
        return uncertainty_limit(self.uncertainty, threshold=threshold, quantile=quantile, gamma=gamma)

    def convergence(self) -> dict[str, list[Any]]:
        """How the error fell while the masks came in: the standard error against the number of masks.

        The points are those of "convergence" in the provenance: looks at the running explanation. Where nobody looked,
        as at control variates without a tolerance, they are estimated anew from the scores, which takes a second or so.
        All are errors of the map at the encoder's input size.

        Returns:
            "masks", ascending; "largest" and "median" standard error of the importance over the pixels, in its unit.

        Raises:
            ValueError: If there is no error, as for masks that are not random and for most other methods.
        """
        kept: dict[str, list[Any]] = self.provenance.get("convergence") or {"masks": []}
        estimator = self.provenance.get("estimator") or (self.provenance.get("settings") or {}).get("estimator") or {}
        controlled = (
            estimator.get("name") == "controlled" and "within" not in self.provenance
        )  # no record of its pixels
        if len(kept["masks"]) <= 1 and self.scores is not None and controlled:
            import torch  # takes a while to load, and maps are read without it

            from relax.estimators.convergence import Convergence

            kept = Convergence.afterwards(torch.from_numpy(self.scores), self.provenance["masks"]).record() or kept
        if not kept["masks"]:
            raise ValueError(
                "there is no convergence: the masks are not random, or nobody looked at the error while they came in"
            )
        return kept

    def to_json(self) -> str:
        """The provenance and the range of each map, as JSON text."""
        height, width = self.importance.shape
        ranges = {name: _range(getattr(self, name)) for name in MAPS}
        return json.dumps({**self.provenance, "height": height, "width": width, "maps": ranges}, indent=2)

    def to_bytes(self) -> bytes:
        """The maps, image, provenance and scores, as the bytes of an `.npz` file."""
        arrays = {name: getattr(self, name) for name in (*MAPS, "image")}
        if self.scores is not None:
            arrays["scores"] = self.scores
        return KIND.packed({"provenance": self.provenance}, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Explanation:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is not a saved explanation, is damaged, would take more memory than
                `encoders.limits` says, or its format is newer than this version reads.
        """
        with KIND.reading(path) as record:
            _check_provenance(record["provenance"])
            arrays = read_npz(path, (*MAPS, "image"), ["scores"])
            scores = _checked_scores(arrays.pop("scores", None))
            return cls(**_checked_arrays(arrays), provenance=record["provenance"], scores=scores)

    def plot(self, kind: str = "overlay", ax: Axes | None = None, **options: Any) -> Figure:
        """Draw one panel, in axes of a figure of your own if given.

        Args:
            kind: One of the panels of `relax.figure`, such as "overlay", "importance" or "u_relax"; or "convergence",
                the error against the number of masks.
            ax: matplotlib's Axes to draw into, with a colour bar below; None makes a figure.
            options: Further keywords of `relax.figure`, such as `cmap` and `alpha`; `width` is 3.5 inches, the column
                of a paper, unless given. "convergence" takes `theme` alone.

        Returns:
            The figure.

        Raises:
            ValueError: As `relax.figure` does; for "convergence" if there is no such curve.
        """
        if kind == "convergence":
            from relax.plotting.convergence import convergence_plot

            return convergence_plot(self.convergence(), self.provenance, ax, **options)
        from relax.plotting.figure import figure  # matplotlib takes a while to load

        return figure(self, **{"panels": [kind], "ax": ax, "width": 3.5, **options})

    def _repr_html_(self) -> str:
        """The viewer of the reports, as notebooks display it; the figure where no script runs."""
        from relax.report.notebook import notebook_html  # matplotlib takes a while to load

        return notebook_html(self)

    def _repr_png_(self) -> bytes:
        """The figure, for notebooks on paper and viewers without HTML."""
        from relax.plotting.figure import figure_file  # matplotlib takes a while to load

        content: bytes = figure_file(self)
        return content


def _check_provenance(provenance: dict[str, Any]) -> None:
    try:
        check_record(provenance, PROVENANCE, "provenance")
    except ValueError as reason:
        raise ValueError(f"its provenance is not one ({reason})") from None


def _checked_arrays(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The maps and the image, in the byte order of this machine; ValueError if they are not of one picture."""
    shape = arrays[MAPS[0]].shape
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"{MAPS[0]} must be (H, W); got {shape}")
    if arrays["image"].shape != (*shape, 3):
        raise ValueError(f"{MAPS[0]} must have the shape of the image; got {shape} and {arrays['image'].shape}")
    checked = {}
    for name, values in arrays.items():
        dtype, expected = (np.uint8, (*shape, 3)) if name == "image" else (np.float32, shape)
        if values.dtype.newbyteorder("=") != dtype or values.shape != expected:
            raise ValueError(f"{name} must be {np.dtype(dtype)} {expected}; got {values.dtype} {values.shape}")
        least = -np.inf if name == MAPS[0] else 0
        if np.isinf(values).any() or (values < least).any():
            raise ValueError(
                f"{name} must be finite{'' if name == MAPS[0] else ' and 0 or more'}, or NaN where it is unknown"
            )
        checked[name] = values.astype(dtype, copy=False)
    return checked


def _checked_scores(scores: NDArray[Any] | None) -> NDArray[np.float64] | None:
    if scores is not None and (scores.dtype.newbyteorder("=") != np.float64 or scores.ndim != 1):
        raise ValueError(f"scores must be float64 (N,); got {scores.dtype} {scores.shape}")
    return None if scores is None else scores.astype(np.float64, copy=False)


def _range(values: NDArray[np.float32]) -> dict[str, float | None]:
    seen = values[np.isfinite(values)]
    if seen.size == 0:
        return {"min": None, "median": None, "max": None}
    return {"min": float(seen.min()), "median": float(np.median(seen)), "max": float(seen.max())}


def _span(values: NDArray[np.float32]) -> str:
    seen = _range(values)
    return "nowhere defined" if seen["min"] is None else f"{seen['min']:.5g} to {seen['max']:.5g}"


def _inside(record: dict[str, Any]) -> str:
    """Such as ", layer blocks.5"."""
    words = layer_in_words(record)
    return f", {words}" if words else ""


def _stopped(early: dict[str, Any] | None) -> str:
    return f"stopped early of {early.get('of')}, " if early else ""


def _median(values: NDArray[np.float32]) -> float:
    seen = values[np.isfinite(values)]
    return float(np.median(seen)) if seen.size else float("nan")
