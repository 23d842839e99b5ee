"""Everything a caller can choose, each keyword once: defaults are defined here, meanings in `relax.explain`.

There is one dataclass per concern: `Request` (what is explained), `Hiding` (what is hidden), `Estimation` (how maps are
estimated) and `Execution` (how the encoder is run). `Settings.of` builds them from the flat keywords of the public
functions and rejects invalid values before an encoder is loaded or an image read. Nothing here imports torch, so that
the command line has defaults and checks without waiting for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from encoders import POOLINGS, PRECISIONS, VIEWS
from encoders.choices import CLASS
from encoders.values import described, is_number, is_whole, plain, unreadable
from masking import DESIGNS, FILLS, REGIONS
from masking.checks import check_cells, check_keep, check_seed
from relax.baselines.methods import METHODS
from relax.box import box_of
from relax.estimators.defaults import DEFAULT_MASKS
from relax.text import nearest, one_of
from similarity.measures import MEASURES, PROJECTION

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from relax.baselines.scalar import Head
    from relax.directions import DirectionSource
    from relax.io.images import ImageSource
    from relax.references import Reference

Fill: TypeAlias = "str | float | Sequence[float] | ImageSource"
Within: TypeAlias = "ImageSource | Sequence[float] | None"
BatchSize: TypeAlias = int | Literal["auto"]
Token: TypeAlias = str | Sequence[int] | None

MAX_MASKS = 100_000  # with a tolerance, unless `masks` is given

HEAD = ("classes", "scores", "logits", "class_index", "check")  # of `relax.baselines.scalar.Head`

ESTIMATORS = {
    "auto": "controlled where possible",
    "controlled": "the paper's maps from fewer masks, by control variates",
    "plain": "the paper's averages",
}


@dataclass(frozen=True)
class Preset:
    """Several choices under one name, which override those given one by one.

    Attributes:
        what: Its meaning, for help texts.
        regions, design, estimator: The choices.
    """

    what: str
    regions: str
    design: str = "independent"
    estimator: str = "plain"


PRESETS = {
    "paper": Preset("masks of the authors' package and plain averages", "authors-grid"),
    "paper-rise": Preset("independent RISE masks and plain averages", "grid"),
}


@dataclass(frozen=True)
class _Concern:
    """Numbers and texts of numpy and torch become Python's own here, so that whatever is accepted can be saved."""

    def __post_init__(self) -> None:
        for setting in fields(self):
            object.__setattr__(self, setting.name, plain(getattr(self, setting.name)))


@dataclass(frozen=True)
class Request(_Concern):
    """What is explained: the similarity to a reference, or another quantity by another method, of the embedding or of
    what a layer returns.
    """

    method: str = "relax"
    head: Head | None = None
    target: str | int | None = None
    similarity: str = "cosine"
    reference: Reference = None
    foil: Reference = None
    dimension: int | None = None
    direction: DirectionSource = None
    layer: str | None = None
    token: Token = None

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("method", self.method, METHODS)
        if self.head is not None and not all(hasattr(self.head, name) for name in HEAD):
            raise ValueError(
                f"head must be what encoders.load_head or encoders.network_head gives; got {described(self.head)}: "
                "load it first"
            )
        if self.target is not None and not isinstance(self.target, str) and not is_whole(self.target):
            raise ValueError(f"target must be the name or number of a class; got {described(self.target)}")
        one_of("similarity", self.similarity, MEASURES)
        self._check_direction()
        object.__setattr__(self, "token", _plain_token(self.token))
        self._check_layer()

    @property
    def of_itself(self) -> bool:
        """Whether each picture is compared with itself."""
        return all(value is None for value in (self.reference, self.foil, self.dimension, self.direction))

    @property
    def shown(self) -> str | None:
        """The layer that the method shows in its map, if one is chosen."""
        return self.layer if METHODS[self.method].layer == "shown" else None

    @property
    def explained(self) -> tuple[str | None, Token]:
        """Layer and token whose output is explained; (None, None) for the embedding."""
        return (None, None) if self.shown is not None else (self.layer, self.token)

    def _check_direction(self) -> None:
        """Refuse directions and dimensions beside what would be another question."""
        given = [name for name in ("dimension", "direction") if getattr(self, name) is not None]
        if not given:
            return
        if self.dimension is not None and not is_whole(self.dimension):
            raise ValueError(f"dimension must be a whole number, 0 or more; got {described(self.dimension)}")
        others = [name for name in ("reference", "foil", "head") if getattr(self, name) is not None]
        if others := [*given[1:], *others]:
            raise ValueError(f"{given[0]} asks another question than {others[0]}: leave one of them out")
        if self.similarity not in ("cosine", PROJECTION):
            raise ValueError(
                f"{given[0]} is projected on, so similarity={self.similarity!r} has no effect: leave it out"
            )
        method = METHODS[self.method]
        if method.explains not in ("similarity", "either"):
            raise ValueError(f"{given[0]} makes no difference to {method.name}, which explains {method.explains}")

    def _check_layer(self) -> None:
        """Refuse layers and tokens that make no difference, or no sense."""
        if self.layer is not None and not isinstance(self.layer, str):
            raise ValueError(f"layer must be the name of a module, as relax layers lists; got {described(self.layer)}")
        given = next((name for name in ("layer", "token") if getattr(self, name) is not None), None)
        method = METHODS[self.method]
        if given is None:
            return
        if method.layer == "nothing":
            raise ValueError(f"{given} makes no difference to {method.name}: leave it out")
        if method.layer == "shown":
            if self.token is not None:
                raise ValueError(
                    f"token is for methods that explain what a layer returns; {method.name} shows a layer: leave it out"
                )
        elif self.head is not None:
            shown = ", ".join(name for name, other in METHODS.items() if other.layer == "shown" and other.takes_head)
            raise ValueError(
                f"{given} cannot be explained with a head, which takes the embedding: leave it out, or take a method "
                f"that shows a layer, {shown}"
            )


@dataclass(frozen=True)
class Hiding(_Concern):
    """What is hidden, and what hidden pixels show.

    Attributes:
        given: The caller's own masks, (N, 1, H, W) in [0, 1], instead of regions.
    """

    regions: str = "grid"
    cells: int = 7
    keep: float = 0.5
    fill: Fill = "mean"
    seed: int = 0
    design: str = "orthogonal"
    within: Within = None
    given: Tensor | None = field(default=None, metadata={"keyword": False})

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "fill", _plain_fill(self.fill))
        object.__setattr__(self, "within", _checked_within(self.within))
        one_of("regions", self.regions, REGIONS)
        one_of("design", self.design, DESIGNS)
        if self.drops and (not REGIONS[self.regions].patches or self.given is not None):
            source = "given masks" if self.given is not None else f"regions={self.regions!r}"
            raise ValueError(f'fill "drop" withholds patches, so it needs regions="patches"; got {source}')
        if self.drops and self.within is not None:
            raise ValueError(
                'within leaves the rest visible, and fill "drop" withholds whole patches: take another fill with '
                'regions="patches"'
            )
        check_cells(self.cells)
        check_keep(self.keep)
        check_seed(self.seed)
        _check_fill(self.fill)
        if self.given is not None:
            _check_given(self.given)

    @property
    def drops(self) -> bool:
        """Whether hidden patches are withheld from the network instead of filled."""
        return isinstance(self.fill, str) and self.fill in FILLS and FILLS[self.fill].drops

    @property
    def controllable(self) -> bool:
        """Whether expectations over all masks are known, so that control variates can be used."""
        return self.given is None and self.cells <= REGIONS[self.regions].controlled_cells


@dataclass(frozen=True)
class Estimation(_Concern):
    """How maps are estimated: from how many masks, and with which averages."""

    masks: int | None = None
    tolerance: float | None = None
    estimator: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("estimator", self.estimator, ESTIMATORS)
        if self.tolerance is not None and not (is_number(self.tolerance) and 0 < self.tolerance < math.inf):
            raise ValueError(
                f"tolerance is the largest acceptable standard error, above 0; got {described(self.tolerance)}"
            )
        object.__setattr__(self, "tolerance", None if self.tolerance is None else float(self.tolerance))
        if self.masks is not None and not is_whole(self.masks, 2):
            way_out = ": give masks themselves as a tensor (N, 1, H, W)" if hasattr(self.masks, "shape") else ""
            raise ValueError(f"masks must be a whole number, 2 or more; got {described(self.masks)}{way_out}")

    @property
    def count(self) -> int:
        """Number of masks; with a tolerance, their maximum."""
        if self.masks is not None:
            return self.masks
        return DEFAULT_MASKS if self.tolerance is None else MAX_MASKS


@dataclass(frozen=True)
class Execution(_Concern):
    """How the encoder is run: with which view of the picture, pooling, device, batch size and precision."""

    pooling: str = "auto"
    view: str = "auto"
    device: str | torch.device = "auto"
    batch_size: BatchSize = "auto"
    precision: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("pooling", self.pooling, POOLINGS)
        one_of("view", self.view, VIEWS)
        if self.precision is not None:
            one_of("precision", self.precision, PRECISIONS)
        automatic = isinstance(self.batch_size, str) and self.batch_size == "auto"
        if not automatic and not is_whole(self.batch_size, 1):
            got = described(self.batch_size)
            raise ValueError(f'batch_size must be a whole number, 1 or more, or "auto"; got {got}')


@dataclass(frozen=True)
class Settings:
    """Everything a caller can choose, checked."""

    request: Request = field(default_factory=Request)
    hiding: Hiding = field(default_factory=Hiding)
    estimation: Estimation = field(default_factory=Estimation)
    execution: Execution = field(default_factory=Execution)

    def __post_init__(self) -> None:
        if self.estimation.estimator == "controlled" and not self.hiding.controllable:
            source = f"{self.hiding.regions!r} with {self.hiding.cells}"
            raise ValueError(
                f'estimator "controlled" needs regions "grid" with at most {REGIONS["grid"].controlled_cells} cells; '
                f'got {"given masks" if self.hiding.given is not None else source}: choose "auto" or "plain"'
            )

    @property
    def count(self) -> int:
        """Number of masks; with a tolerance, their maximum."""
        return self.estimation.count if self.hiding.given is None else len(self.hiding.given)

    @classmethod
    def of(cls, keywords: Mapping[str, Any], allowed: type | None = None, function: str = "explain") -> Settings:
        """The settings of flat keywords.

        Args:
            keywords: Of a public function.
            allowed: The TypedDict of the keywords that the function takes; None is all keywords.
            function: Its name, for error messages.

        Raises:
            TypeError: If there is no such keyword.
            ValueError: If a value is invalid; the message begins with the keyword.
        """
        names = list(DEFAULTS if allowed is None else allowed.__annotations__)
        for name in keywords:
            if name not in names:
                raise TypeError(f"{function}() has no keyword {name!r}{nearest(name, names)}")
        values = dict(keywords)
        preset = values.pop("preset", None)
        if preset is not None:
            choices = PRESETS[one_of("preset", preset, PRESETS)]
            values |= {"regions": choices.regions, "design": choices.design, "estimator": choices.estimator}
        if hasattr(plain(values.get("masks")), "unsqueeze"):  # a tensor, told apart without importing torch
            values["given"] = values.pop("masks")
        return cls(*(_concern_of(concern, values) for concern in CONCERNS))

    def record(self) -> dict[str, Any]:
        """What determines the numbers, by keyword, as JSON types; `Question` records reference, foil and direction."""
        values = {**vars(self.request), **vars(self.hiding), **vars(self.estimation)}
        values |= {name: getattr(self.execution, name) for name in ("pooling", "view", "precision")}
        for name in ("method", "reference", "foil", "direction", "given"):
            del values[name]
        types = (str, int, float, bool, list, tuple, type(None))
        values["within"] = _within_record(values["within"])
        return {name: value if isinstance(value, types) else str(value) for name, value in values.items()}


CONCERNS: tuple[type, ...] = (Request, Hiding, Estimation, Execution)


DEFAULTS: dict[str, Any] = {
    "preset": None,
    **{
        setting.name: setting.default
        for concern in CONCERNS
        for setting in fields(concern)
        if setting.metadata.get("keyword", True)
    },
}
"""The default of every keyword."""


def _concern_of(concern: type, values: Mapping[str, Any]) -> Any:
    names = {setting.name for setting in fields(concern)}
    return concern(**{name: value for name, value in values.items() if name in names})


def _plain_fill(fill: Any) -> Any:
    """A colour, which may be an array or tensor of one axis, as numbers of Python; anything else as it is."""
    try:
        colour = fill.tolist() if getattr(fill, "ndim", None) == 1 and hasattr(fill, "tolist") else fill
    except Exception:  # a tensor without data, which is refused where pictures are
        return fill
    return type(colour)(map(plain, colour)) if type(colour) in (list, tuple) else colour


def _plain_token(token: Any) -> Any:
    """A token as "class" or numbers of Python."""
    if token is None or (isinstance(token, str) and token == CLASS):
        return token
    numbers = token.tolist() if hasattr(token, "tolist") else token
    places = tuple(map(plain, numbers)) if isinstance(numbers, list | tuple) else ()
    if len(places) not in (2, 3) or not all(map(is_whole, places)):
        raise ValueError(
            'token must be "class", or row and column of a cell or patch, from 0, such as (3, 7); got '
            f"{described(token)}"
        )
    return places


def _checked_within(within: Any) -> Any:
    """A box as four numbers; anything else that may name a region as it is."""
    if (box := box_of(within, "within")) is not None:
        return box
    if within is not None and not (
        isinstance(within, str | PathLike) or hasattr(within, "shape") or hasattr(within, "size")
    ):
        raise ValueError(f"within must be a mask (H, W), a box of four numbers or a file; got {described(within)}")
    return within


def _within_record(within: Any) -> Any:
    """What names a region, as JSON types; of an array its digest."""
    if within is None or isinstance(within, str | tuple):
        return list(within) if isinstance(within, tuple) else within
    if isinstance(within, PathLike):
        return str(within)
    array = within.detach().cpu().numpy() if hasattr(within, "detach") else within  # PIL images have bytes, too
    return f"{getattr(array, 'shape', None) or array.size} {sha256(array.tobytes()).hexdigest()}"


def _check_fill(fill: Fill) -> None:
    """Reject colours outside [0, 1], words that are neither a fill nor a file, and what is no picture either."""
    pictures = (str, list, tuple, Mapping, PathLike)
    if not (is_number(fill) or isinstance(fill, pictures) or any(hasattr(fill, name) for name in ("ndim", "size"))):
        raise ValueError(
            f"fill must be {', '.join(FILLS)}, a value or colour in [0, 1], or an image; got {described(fill)}"
        )
    if isinstance(fill, str) and fill not in FILLS and (guess := nearest(fill, FILLS)) and not Path(fill).exists():
        raise ValueError(
            f"fill must be {', '.join(FILLS)}, a value or colour in [0, 1], or an image; got {fill!r}, "
            f"which is not a file{guess}"
        )
    values = [fill] if isinstance(fill, int | float) else fill if isinstance(fill, list | tuple) else [0]
    if not values or not all(is_number(value) and 0 <= value <= 1 for value in values):
        raise ValueError(f"fill must lie in [0, 1], as the image's pixels do; got {described(fill)}")


def _check_given(masks: Tensor) -> None:
    """Reject tensors that do not hold ordinary numbers."""
    if reason := unreadable(masks):
        raise ValueError(f"masks must be a tensor (N, 1, H, W) of real numbers; got {reason}")
