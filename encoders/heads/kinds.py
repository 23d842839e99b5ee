"""Heads: from an embedding to class probabilities, on top of a frozen encoder.

linear      multinomial logistic regression:           softmax(W z + b)
network     the classifier that a network came with:   softmax(W z + b)
prototype   class means of unit vectors, by cosine:    softmax(cos(z, p) / temperature)
knn         weighted vote of the k nearest by cosine:  weight exp(cos / temperature) each

Sources: k-NN with these weights: Wu et al., CVPR 2018 (section 3.4). Prototypes: Snell et al., NeurIPS 2017, here with
the cosine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from encoders.errors import EncoderError, one_line
from encoders.heads.base import Head
from encoders.heads.files import head_paths, read_head_files
from encoders.values import described, is_number, is_whole, plain


@dataclass(frozen=True, eq=False, repr=False)
class LinearHead(Head):
    """Logits W z + b.

    Attributes:
        weight: (K, D) float32.
        bias: (K,) float32.
    """

    kind: ClassVar[str] = "linear"
    weight: Tensor
    bias: Tensor

    def __post_init__(self) -> None:
        self._keep(torch.float32, weight=(len(self.classes), *self.weight.shape[1:2]), bias=(len(self.classes),))

    @property
    def dim(self) -> int:
        """D of the embeddings that it takes."""
        return int(self.weight.shape[1])

    def logits(self, embeddings: Tensor) -> Tensor:
        """W z + b: (N, D) to (N, K), see `Head.logits`."""
        z = self._checked(embeddings)
        return F.linear(z, self.weight.to(z.device), self.bias.to(z.device))


@dataclass(frozen=True, eq=False, repr=False)
class NetworkHead(LinearHead):
    """The last linear layer of a supervised network, see `encoders.heads.networks.network_head`."""

    kind: ClassVar[str] = "network"


@dataclass(frozen=True, eq=False, repr=False)
class PrototypeHead(Head):
    """Logits cos(z, prototype) / temperature; a zero embedding has cosine 0 to all.

    Attributes:
        prototypes: (K, D) float32 unit vectors; `encoders.heads.training.prototype_head` makes them.
        temperature: Above 0; lower gives more decided probabilities and the same order.
    """

    kind: ClassVar[str] = "prototype"
    prototypes: Tensor
    temperature: float = 0.1

    def __post_init__(self) -> None:
        _check_temperature(self.temperature)
        self._keep(torch.float32, prototypes=(len(self.classes), *self.prototypes.shape[1:2]))
        _check_unit("prototypes", self.prototypes)

    @property
    def dim(self) -> int:
        """D of the embeddings that it takes."""
        return int(self.prototypes.shape[1])

    def logits(self, embeddings: Tensor) -> Tensor:
        """cos(z, prototype) / temperature: (N, D) to (N, K), see `Head.logits`."""
        z = self._checked(embeddings)
        return _unit(z) @ self.prototypes.to(z.device).T / self.temperature


@dataclass(frozen=True, eq=False, repr=False)
class KnnHead(Head):
    """Each of the k nearest of a bank, by cosine, votes for its class with weight exp(cosine / temperature).

    Gradients flow through the weights of the votes, not through the choice of the neighbours.

    Attributes:
        bank: (M, D) float32 unit vectors; `encoders.heads.training.knn_head` makes them.
        labels: (M,) int64 in 0..K-1.
        k: Neighbours that vote, 1 to M.
        temperature: Above 0; lower listens more to the nearest.
    """

    kind: ClassVar[str] = "knn"
    bank: Tensor
    labels: Tensor
    k: int = 20
    temperature: float = 0.1

    def __post_init__(self) -> None:
        _check_temperature(self.temperature)
        count = len(self.bank)
        object.__setattr__(self, "k", plain(self.k))
        if not is_whole(self.k):
            raise EncoderError(f"k must be a whole number; got {described(self.k)}")
        if not 1 <= self.k <= count:
            raise EncoderError(
                f"k must be from 1 to {count}, the number of embeddings to choose from; got {self.k}: choose a "
                "smaller k or give more images"
            )
        self._keep(torch.float32, bank=(count, *self.bank.shape[1:2]))
        self._keep(torch.int64, labels=(count,))
        if self.labels.min() < 0 or self.labels.max() >= len(self.classes):
            raise EncoderError(f"labels must be class numbers from 0 to {len(self.classes) - 1}; got others")
        _check_unit("bank", self.bank)

    @property
    def dim(self) -> int:
        """D of the embeddings that it takes."""
        return int(self.bank.shape[1])

    def scores(self, embeddings: Tensor) -> Tensor:
        """Shares of the votes: (N, D) to (N, K) in [0, 1], exactly 0 for a class without a neighbour, see `Head`."""
        z = self._checked(embeddings)
        return self._votes(_unit(z) @ self.bank.to(z.device).T)

    def logits(self, embeddings: Tensor) -> Tensor:
        """The logarithm of `scores`, see `Head.logits`."""
        return self.scores(embeddings).clamp_min(torch.finfo(torch.float32).tiny).log()

    def leave_one_out(self) -> Tensor:
        """(M, K) scores of the bank itself, where no embedding votes on itself; needs k below M."""
        if self.k == len(self.bank):
            raise EncoderError(
                f"k must be below {len(self.bank)} where an embedding may not vote on itself; got {self.k}"
            )
        rows = []
        for start in range(0, len(self.bank), 1024):
            cosines = self.bank[start : start + 1024] @ self.bank.T
            cosines.diagonal(start).fill_(-torch.inf)
            rows.append(self._votes(cosines))
        return torch.cat(rows)

    def _votes(self, cosines: Tensor) -> Tensor:
        """(N, M) cosines to (N, K) shares. The softmax over the neighbours is exp(cosine / T), divided by its sum."""
        nearest = cosines.topk(self.k, dim=1)
        weights = (nearest.values / self.temperature).softmax(1)
        labels = self.labels.to(cosines.device)[nearest.indices]
        return weights.new_zeros(len(cosines), len(self.classes)).scatter_add(1, labels, weights)


KINDS: dict[str, type[Head]] = {head.kind: head for head in (LinearHead, NetworkHead, PrototypeHead, KnnHead)}


def load_head(path: str | Path) -> Head:
    """Read what `Head.save` wrote, on the CPU. No code is run from the files.

    Args:
        path: With or without one of the endings .safetensors and .json.

    Raises:
        EncoderError: If a file is missing or damaged, or the two do not belong together.
    """
    card, tensors = read_head_files(path)
    try:
        encoder = card["encoder"]
        known = encoder is not None and encoder["name"] is not None  # unknown was a row of nulls
        head = KINDS[card["kind"]](
            tuple(card["classes"]),
            **tensors,
            **card["settings"],
            encoder=encoder if known else None,
            training=card["training"],
        )
    except (KeyError, TypeError, IndexError, EncoderError) as error:
        reason = f"{type(error).__name__}: {one_line(error, 120)}"
        raise EncoderError(f"head {head_paths(path)[1]} does not fit its kind ({reason}): train it again") from error
    return head


def _unit(vectors: Tensor) -> Tensor:
    """(N, D) of length 1; a zero vector stays zero."""
    return F.normalize(vectors, dim=1)


def _check_unit(name: str, vectors: Tensor) -> None:
    """Vectors are refused rather than scaled here, so that a head read from disk is the head that was written."""
    norms = vectors.norm(dim=1)
    if ((norms - 1).abs() > 1e-4).logical_and(norms > 0).any():
        raise EncoderError(f"{name} must be unit vectors; got lengths from {norms.min():.3g} to {norms.max():.3g}")


def _check_temperature(temperature: float) -> None:
    temperature = plain(temperature)
    if not is_number(temperature) or not 0 < temperature < float("inf"):
        raise EncoderError(f"temperature must be above 0; got {described(temperature)}")
