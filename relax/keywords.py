"""The flat keywords of the public functions, for type checkers and `help`; defaults and checks: `relax.settings`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from relax.settings import DEFAULTS, BatchSize, Fill, Token, Within

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from relax.baselines.scalar import Head
    from relax.directions import DirectionSource
    from relax.references import Reference

Function = TypeVar("Function", bound=Callable[..., Any])


class HidingKeywords(TypedDict, total=False):
    """Keywords of `Hiding`."""

    regions: str
    cells: int
    keep: float
    fill: Fill
    seed: int
    design: str


class ExecutionKeywords(TypedDict, total=False):
    """Keywords of `Execution`."""

    pooling: str
    view: str
    device: str | torch.device
    batch_size: BatchSize
    precision: str | None


class WithinKeywords(TypedDict, total=False):
    """The keyword of a region of one picture, for functions that explain a picture."""

    within: Within


class MaskingKeywords(HidingKeywords, ExecutionKeywords, total=False):
    """Keywords for masked embeddings and the averages over them, in the whole of each of several pictures."""

    masks: int | Tensor | None
    estimator: str
    preset: str | None


class LayerKeywords(TypedDict, total=False):
    """Keywords of what is explained inside the network."""

    layer: str | None
    token: Token


class ProbeKeywords(MaskingKeywords, LayerKeywords, WithinKeywords, total=False):
    """`MaskingKeywords` for one picture."""


class PairKeywords(MaskingKeywords, LayerKeywords, total=False):
    """`MaskingKeywords` with the measure, of the embedding or inside the network."""

    similarity: str


class LinksKeywords(ExecutionKeywords, LayerKeywords, total=False):
    """Keywords of links between the hard cells of two pictures."""

    similarity: str
    cells: int
    keep: float
    fill: Fill
    seed: int
    design: str
    masks: int | None


class QuestionKeywords(PairKeywords, total=False):
    """`PairKeywords` with what is compared with, and how exactly."""

    tolerance: float | None
    reference: Reference
    foil: Reference
    dimension: int | None
    direction: DirectionSource


class CompareKeywords(QuestionKeywords, WithinKeywords, total=False):
    """Keywords shared by the methods or encoders of a comparison."""


class EvaluateKeywords(QuestionKeywords, total=False):
    """`QuestionKeywords` with a head, one class of which is then explained."""

    head: Head | None
    target: str | int | None


class ExplainKeywords(EvaluateKeywords, WithinKeywords, total=False):
    """All keywords of `relax.explain`, which documents them."""

    method: str


class PromiseKeywords(ExecutionKeywords, total=False):
    """Keywords of cells that are shown or hidden whole, and of the map that they are ranked by."""

    regions: str
    cells: int
    seed: int
    masks: int


class CellKeywords(PromiseKeywords, total=False):
    """`PromiseKeywords` with the measure."""

    similarity: str


class AuditKeywords(ExecutionKeywords, total=False):
    """Keywords of an audit."""

    masks: int
    seed: int


def shows(keywords: type, **defaults: Any) -> Callable[[Function], Function]:
    """Make `help` and `inspect.signature` show the keywords that a function takes as `**keywords`, with their defaults.

    Args:
        keywords: The TypedDict of `**keywords`.
        defaults: Those of the function where they differ from `DEFAULTS`.
    """

    def decorate(function: Function) -> Function:
        plain = inspect.signature(function)
        parameters = [p for p in plain.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        parameters += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default={**DEFAULTS, **defaults}[name])
            for name in keywords.__annotations__
        ]
        function.__signature__ = plain.replace(parameters=parameters)  # type: ignore[attr-defined]
        return function

    return decorate
