"""An encoder from whose embeddings some directions are taken out, such as those in which a burnt-in mark moves them.

    encoder = relax.load_encoder("repaired:repair.safetensors")      # written by `relax repair`

The file holds orthonormal directions (k, D) and, as text, the spec of the encoder that they belong to, its checksum and
its pooling. An embedding keeps what is orthogonal to the directions, v - Q'Qv: it is
a linear map behind the network, so that methods that need gradients or layers work as before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from encoders.checksum import network_checksum
from encoders.contract import Built, ReadsText
from encoders.errors import EncoderError, one_line
from encoders.outputs import Part
from encoders.parsing import Spec, parse_spec
from encoders.places import file_named
from encoders.pooling import pool
from encoders.specs import build

if TYPE_CHECKING:
    from encoders.encoder import Encoder

FORMAT = "relax repair 1"
TOLERANCE = 1e-4  # of orthonormal directions in float32


@dataclass(frozen=True)
class Directions:
    """What is taken out of embeddings, and of whose.

    Attributes:
        values: (k, D) float32, orthonormal rows.
        encoder: The spec of the encoder, or its name where it has none.
        checksum: Of its network; "" where it has none.
        pooling: Its pooling.
    """

    values: Tensor
    encoder: str
    checksum: str
    pooling: str

    @classmethod
    def of(cls, encoder: Encoder, values: Tensor) -> Directions:
        """Those of an encoder."""
        return cls(values.float().cpu(), encoder.name, encoder.checksum or "", encoder.pooling)

    @classmethod
    def read(cls, path: str | Path) -> Directions:
        """What `to_bytes` gave, from a file.

        Raises:
            EncoderError: If there is no such file, or it is another.
        """
        file = file_named(path, "repair")
        try:
            with safe_open(file, "pt") as opened:
                said = opened.metadata() or {}
                if said.get("format") != FORMAT or "directions" not in opened.keys():  # noqa: SIM118, no mapping
                    raise EncoderError(f"{file} is no repair: name the .safetensors file that `relax repair` wrote")
                values = opened.get_tensor("directions")
        except (SafetensorError, OSError) as error:
            raise EncoderError(f"{file} cannot be read as a repair ({one_line(error)})") from error
        _check(values, file)
        return cls(values.float(), *(said.get(name, "") for name in ("encoder", "checksum", "pooling")))

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        said = {"encoder": self.encoder, "checksum": self.checksum, "pooling": self.pooling}
        data: bytes = save({"directions": self.values.contiguous()}, {"format": FORMAT, **said})
        return data


class Repaired(Part):
    """A network whose embeddings have no part along some directions.

    Attributes:
        network: The network.
        pooling: "auto", "cls" or "mean": how its tokens become an embedding.
        name: The encoder's name, for messages.
        directions: (k, D) orthonormal.
        checksum: Of the network and the directions; None where the network has none.
    """

    directions: Tensor

    def __init__(self, network: nn.Module, directions: Tensor, pooling: str, name: str) -> None:
        super().__init__()
        self.network, self.pooling, self.name = network, pooling, name
        self.register_buffer("directions", directions, persistent=False)
        known = network_checksum(network)
        content = directions.cpu().contiguous().numpy().tobytes()
        self.checksum = None if known is None else hashlib.sha256(known.encode() + content).hexdigest()
        if (kind := getattr(network, "opaque", None)) is not None:
            self.opaque = kind
        if isinstance(network, ReadsText):
            self.embed_text = partial(_texts_without, network, directions)

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (B, C, h, w) to (B, D)."""
        answer = self.network(pixels)
        vectors = pool(answer, self.network, len(pixels), pixels.shape[2:], self.pooling, self.name)
        return without(vectors, self.directions)


def _texts_without(network: ReadsText, directions: Tensor, prompts: Sequence[str]) -> Tensor:
    """K texts to (K, D) by a text tower, without the directions, as its images."""
    return without(network.embed_text(prompts), directions)


def without(vectors: Tensor, directions: Tensor) -> Tensor:
    """(N, D) vectors without their parts along orthonormal directions (k, D); dtype and device are the vectors'."""
    basis = directions.to(vectors)
    return vectors - (vectors @ basis.mT) @ basis


def repaired(encoder: Encoder, directions: Tensor) -> Encoder:
    """An encoder without directions (k, D); it shares the network.

    Raises:
        EncoderError: If the encoder is a function.
    """
    if not isinstance(encoder.network, nn.Module):
        raise EncoderError(
            f"encoder {encoder.name!r} is a function, whose embeddings can be repaired only where it ends"
        )
    network = Repaired(encoder.network, directions.to(encoder.device), encoder.pooling, encoder.name)
    other = encoder.with_network(network)
    other.others = tuple(repaired(further, directions) for further in encoder.others)
    return other


def build_repaired(spec: Spec) -> Built:
    """The encoder that a repair was made for, without its directions.

    Raises:
        EncoderError: If the file is none, or the encoder has other weights than then.
    """
    directions = Directions.read(spec.name)
    inner = parse_spec(directions.encoder)
    built = build(inner, directions.pooling, 0)
    if directions.checksum and network_checksum(built.network) != directions.checksum:
        raise EncoderError(
            f"repair {spec.name} is of other weights than encoder {directions.encoder!r} has now: repair it again"
        )
    return built._replace(
        network=Repaired(built.network, directions.values, directions.pooling, spec.text), pool=_refuse_pooling
    )


def _refuse_pooling(network: nn.Module, pooling: str, name: str) -> None:
    if pooling != "auto":
        raise EncoderError(f"pooling of {name} is that of the repair: leave it out; got {pooling!r}")


def _check(values: Tensor, file: Path) -> None:
    square = values.double() @ values.double().mT if values.ndim == 2 else None
    if square is None or not torch.allclose(square, torch.eye(len(values)).double(), atol=TOLERANCE):
        raise EncoderError(f"{file} must hold orthonormal directions (k, D); got {tuple(values.shape)}")
