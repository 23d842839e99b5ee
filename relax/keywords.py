"""The flat keywords of the public functions, for type checkers and `help`; defaults and checks: `relax.settings`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from relax.settings import DEFAULTS, BatchSize, Fill

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from relax.baselines.scalar import Head
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
    device: str | torch.device
    batch_size: BatchSize
    precision: str | None


class ProbeKeywords(HidingKeywords, ExecutionKeywords, total=False):
    """Keywords for masked embeddings and the averages over them."""

    masks: int | Tensor | None
    estimator: str
    preset: str | None


class PairKeywords(ProbeKeywords, total=False):
    """`ProbeKeywords` with the measure."""

    similarity: str


class CompareKeywords(PairKeywords, total=False):
    """Keywords shared by the methods or encoders of a comparison."""

    tolerance: float | None
    reference: Reference
    foil: Reference


class EvaluateKeywords(CompareKeywords, total=False):
    """`CompareKeywords` with a head, one class of which is then explained."""

    head: Head | None
    target: str | int | None


class ExplainKeywords(EvaluateKeywords, total=False):
    """All keywords of `relax.explain`, which documents them."""

    method: str


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
