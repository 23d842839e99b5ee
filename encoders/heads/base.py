"""The base of every head: class scores of embeddings, made for one encoder, stored without pickle."""

from __future__ import annotations

import hashlib
import json
import operator
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from encoders.encoder import Encoder
from encoders.errors import EncoderError
from encoders.heads.files import write_head_files
from encoders.identity import differences, identity


@dataclass(frozen=True, eq=False, repr=False)
class Head(ABC):
    """Class scores of embeddings. Its tensors are frozen copies; gradients flow to the embeddings.

    At every call, its tensors are moved to the device of the embeddings; `to` moves them once.

    Attributes:
        kind: "linear", "network", "prototype" or "knn".
        classes: K names, in the order of the columns of `scores`.
        dim: D of the embeddings that it takes.
        encoder: `encoders.identity.identity` of the encoder whose embeddings it was made from; None = unknown.
        training: How it was made, as JSON types; None = unknown.
    """

    kind: ClassVar[str]
    classes: tuple[str, ...]
    encoder: dict[str, Any] | None = field(default=None, kw_only=True)
    training: dict[str, Any] | None = field(default=None, kw_only=True)

    @property
    @abstractmethod
    def dim(self) -> int:
        """D of the embeddings that it takes."""

    @property
    def encoder_name(self) -> str | None:
        """Name of the encoder whose embeddings it was made from; None = unknown."""
        return None if self.encoder is None else self.encoder["name"]

    @property
    def checksum(self) -> str:
        """SHA-256 of everything that determines its scores."""
        digest = hashlib.sha256(json.dumps([self.kind, list(self.classes), self._settings()]).encode())
        for name, value in sorted(self._tensors().items()):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @abstractmethod
    def logits(self, embeddings: Tensor) -> Tensor:
        """(N, D) to (N, K) float32, every value finite; the softmax over K gives `scores`.

        They are W z + b (linear, network), cosine / temperature (prototype), or the logarithm of the share of the votes
        (knn), where a class without a vote gets that of the smallest float32, -87.3, and no gradient.

        Raises:
            EncoderError: If the embeddings are no float tensor (N, D).
        """

    def scores(self, embeddings: Tensor) -> Tensor:
        """Class probabilities.

        Args:
            embeddings: (N, D), as the encoder gives them: neither standardised nor of unit length.

        Returns:
            (N, K) float32 in [0, 1] on the embeddings' device; every row adds up to 1.

        Raises:
            EncoderError: If the embeddings are no float tensor (N, D).
        """
        return self.logits(embeddings).softmax(1)

    def class_index(self, name_or_index: str | int) -> int:
        """The column of a class. A text is a name first; if no class has that name, "3" is the number 3.

        Raises:
            EncoderError: If there is no such class, or two classes share the name.
        """
        count = len(self.classes)
        if isinstance(name_or_index, str):
            matches = [index for index, name in enumerate(self.classes) if name == name_or_index]
            if len(matches) == 1:
                return matches[0]
            if matches:
                raise EncoderError(f"class {name_or_index!r} is the name of {matches}: give one of the numbers")
            if not name_or_index.isdecimal():
                raise EncoderError(
                    f"class must be one of the head's {count}; got {name_or_index!r}: {self._first_classes()}"
                )
        index = int(name_or_index) if isinstance(name_or_index, str) else operator.index(name_or_index)
        if not 0 <= index < count:
            raise EncoderError(f"class must be a name, or a number from 0 to {count - 1}; got {name_or_index!r}")
        return index

    def check(self, encoder: Encoder) -> None:
        """Refuse any encoder but that of the embeddings it was made from, as far as that is known.

        Raises:
            EncoderError: If they differ in anything that determines embeddings.
        """
        recorded, current = self.encoder or {}, identity(encoder)
        for key in differences(recorded, current):
            raise EncoderError(
                f"head ({self.kind}) was made for encoder {self.encoder_name!r} with {key} "
                f"{_unlike(recorded[key], current[key])}; got {encoder.name!r} with "
                f"{_unlike(current[key], recorded[key])}: load it as it was then, or train a head for this one"
            )

    def to(self, device: str | torch.device) -> Self:
        """A copy with its tensors on a device."""
        moved: dict[str, Any] = {name: value.to(device) for name, value in self._tensors().items()}
        return replace(self, **moved)

    def made_for(self, encoder: Encoder | None) -> Self:
        """A copy that records the encoder whose embeddings it was made from; None = unknown."""
        return replace(self, encoder=None if encoder is None else identity(encoder))

    def save(self, path: str | Path) -> None:
        """Write PATH.safetensors and PATH.json, each whole or not at all; `load_head(path)` gives the head back.

        Raises:
            OSError: If a file cannot be written.
        """
        card = {
            "kind": self.kind,
            "classes": list(self.classes),
            "dim": self.dim,
            "settings": self._settings(),
            "encoder": self.encoder,
            "training": self.training,
        }
        write_head_files(path, self._tensors(), card)

    def __repr__(self) -> str:
        encoder = f", encoder={self.encoder_name!r}" if self.encoder_name else ""
        return f"{type(self).__name__}({len(self.classes)} classes, D={self.dim}{encoder})"

    def _settings(self) -> dict[str, Any]:
        """Its own numbers, apart from the tensors."""
        common = {field.name for field in fields(Head)} | set(self._tensors())
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in common}

    def _tensors(self) -> dict[str, Tensor]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def _keep(self, dtype: torch.dtype, **shapes: tuple[int, ...]) -> None:
        """Check the tensors of these names and replace them by frozen copies."""
        object.__setattr__(self, "classes", tuple(str(name) for name in self.classes))
        if len(self.classes) < 2:
            raise EncoderError(f"classes must be at least 2 names; got {len(self.classes)}")
        for name, shape in shapes.items():
            value = getattr(self, name)
            if tuple(value.shape) != shape:
                raise EncoderError(f"{name} must be {shape} for {len(self.classes)} classes; got {tuple(value.shape)}")
            if not value.isfinite().all():
                raise EncoderError(f"{name} must be finite; got NaN or infinity")
            with torch.inference_mode(False):  # otherwise gradients through the head would be refused
                object.__setattr__(self, name, value.detach().to(dtype, copy=True).contiguous())

    def _checked(self, embeddings: Tensor) -> Tensor:
        shape = tuple(embeddings.shape)
        if len(shape) != 2 or shape[1] != self.dim or not embeddings.is_floating_point():
            raise EncoderError(
                f"embeddings must be a float tensor (N, {self.dim}) for this head ({self.kind}); got {shape} "
                f"{embeddings.dtype}: embed with the encoder it was made for, {self.encoder_name!r}"
            )
        return embeddings.float()

    def _first_classes(self, count: int = 5) -> str:
        more = f", ... ({len(self.classes)} in all)" if len(self.classes) > count else ""
        return f"they are {', '.join(self.classes[:count])}{more}"


def _unlike(value: Any, other: Any) -> Any:
    """A value of an identity, of a dict only the entries that differ, to be shown."""
    if isinstance(value, dict) and isinstance(other, dict):
        return {name: entry for name, entry in value.items() if other.get(name) != entry}
    return value
