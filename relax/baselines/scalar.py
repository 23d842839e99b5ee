"""The number to explain: similarity of an embedding to a reference, or a head's score of one class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from encoders import Encoder
from similarity import measure_named
from similarity.measures import measure_to
from similarity.references import mean_similarity


class Head(Protocol):
    """The interface of a head; `encoders` has the heads that come with the package."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes."""

    def scores(self, embeddings: Tensor) -> Tensor:
        """(N, D) to probabilities (N, K)."""

    def logits(self, embeddings: Tensor) -> Tensor:
        """(N, D) to logits (N, K)."""

    def class_index(self, name_or_index: str | int) -> int:
        """Index of the class of that name or number; raises ValueError if there is none."""

    def check(self, encoder: Encoder) -> None:
        """Raise ValueError if the head belongs to another encoder."""


@dataclass(frozen=True)
class Scalar:
    """One number per embedding.

    Attributes:
        name: What it measures, such as "cosine to the image itself".
        unit: Its unit, such as "cosine".
        function: (N, D) to (N,), differentiable where its parts are.
    """

    name: str
    unit: str
    function: Callable[[Tensor], Tensor]

    def __call__(self, embeddings: Tensor) -> Tensor:
        """(N, D) to (N,) float64; higher = closer, or more of the class."""
        return self.function(embeddings).double()


def similarity_to(reference: Tensor, reference_name: str, measure: str) -> Scalar:
    """Similarity to a reference (D,), which is held fixed."""
    with torch.inference_mode(False):
        fixed = reference.detach().clone()  # tensors made in inference mode cannot take part in gradients
    score = mean_similarity(measure, fixed)
    target = "the image itself" if reference_name == "itself" else reference_name
    return Scalar(f"{measure_to(measure)} {target}", measure, score)


def measure_for_gradients(measure: str, *, of_itself: bool) -> str:
    """The measure that gradient methods explain.

    An image's similarity to itself is at its maximum, where the gradient of cosine, L2 and RBF is 0 or undefined
    whatever the encoder. Label-free explanation uses the inner product <f(x), f(x')> with f(x) held fixed.

    Source: Label-Free Explainability for Unsupervised Models (Crabbé & van der Schaar, ICML 2022).
    """
    return "dot" if of_itself and measure_named(measure).stationary else measure


def class_score(head: Head, index: int, kind: str) -> Scalar:
    """The head's "probability" or "logit" of class number `index`."""
    score = head.scores if kind == "probability" else head.logits
    return Scalar(f"{kind} of {head.classes[index]!r}", kind, lambda embeddings: score(embeddings)[:, index])


def no_scalar(method: str) -> Scalar:
    """A placeholder for methods that explain no number."""

    def refused(embeddings: Tensor) -> Tensor:
        raise AssertionError(f"{method} explains no number")

    return Scalar("nothing", "none", refused)
