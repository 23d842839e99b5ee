"""An ONNX graph as a network that an `Encoder` runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from encoders.devices import out_of_memory
from encoders.errors import EncoderError
from encoders.graphs.session import GraphFile, Provider, open_session, ports, providers_of, reason
from encoders.graphs.signature import read_signature
from encoders.layers import LAYOUTS, channels_last
from encoders.preprocess import levels_of


class OnnxGraph(nn.Module):
    """Calls a graph on pixels (B, C, h, w), in the layout, type and batches that it needs.

    Torch sees neither layers nor gradients in it. It runs where its pixels are. A copy, or what was pickled, opens the
    file again, which must still be the same.

    Attributes:
        opaque: What it is, for messages.
        name: The encoder's name, for messages.
        signature: How the graph is called.
        batch: Pictures in one run; None where any number will do.
        checksum: SHA-256 of the file and of its data files; where the graph has several outputs, the name of the
            embedding behind them.
        num_prefix_tokens: Class and register tokens before the patch tokens.
        output_fmt: How feature maps lie, in timm's words.
    """

    opaque = "an ONNX graph"
    output_fmt = "NCHW"

    def __init__(self, path: Path, name: str, items: Mapping[str, str] | None = None) -> None:
        """Open a graph.

        Args:
            path: The file; data files that belong to it lie beside it.
            name: The encoder's name, for messages.
            items: Those of `encoders.graphs.signature`, maps and prefix, see `encoders.kinds.ITEMS`.

        Raises:
            ImportError: If ONNX Runtime is not installed.
            EncoderError: If the file is no graph from pictures to embeddings, or leaves open what no item says.
        """
        super().__init__()
        items = items or {}
        self.name = name
        self._file = GraphFile.read(path.absolute(), name)
        self._providers: list[Provider] = []
        self._session: Any = None
        session = self._opened(torch.device("cpu"))
        outputs = ports(session.get_outputs())
        self.signature = read_signature(name, ports(session.get_inputs()), outputs, items)
        alone = 1 if self._file.scales_by_batch else None
        self.batch = self.signature.batch or alone
        self.checksum = _checksum(self._file.checksum, self.signature.embedding if len(outputs) > 1 else "")
        self.num_prefix_tokens = _prefix(name, items.get("prefix", "0"))
        self._maps_last = _maps_last(name, items.get("maps", ""))

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed pictures.

        Args:
            pixels: (B, C, h, w) on any device: in [0, 1] for a graph that takes uint8, else normalised.

        Returns:
            (B, D), (B, T, D) or (B, D, h, w) in the graph's own dtype, on the same device; without gradients.

        Raises:
            EncoderError: If the graph fails, or does not give one embedding per picture.
            MemoryError: If a smaller batch might fit.
        """
        session, pictures = self._opened(pixels.device), self._arranged(pixels)
        step = self.batch or len(pictures)
        runs = [self._run(session, pictures[start : start + step]) for start in range(0, len(pictures), step)]
        features = torch.from_numpy(np.concatenate(runs)).to(pixels.device)
        return self._channels_first(features, *pixels.shape[-2:]) if features.ndim == 4 else features

    def _opened(self, device: torch.device) -> Any:
        """The session for a device."""
        wanted = providers_of(device)
        if self._session is None or wanted != self._providers:
            if self._providers and GraphFile.read(self._file.path, self.name) != self._file:
                raise EncoderError(
                    f"encoder {self.name!r} was loaded from a file that has changed since then: load it again"
                )
            self._session, self._providers = open_session(self._file.path, device, self.name), wanted
        return self._session

    def _arranged(self, pixels: Tensor) -> NDArray[Any]:
        """The pixels as the graph takes them, on the processor."""
        pixels = pixels.detach().cpu()
        if self.signature.channels_last:
            pixels = pixels.permute(0, 2, 3, 1)
        if self.signature.dtype == torch.uint8:
            pixels = levels_of(pixels)
        arranged: NDArray[Any] = pixels.to(self.signature.dtype).contiguous().numpy()
        return arranged

    def _run(self, session: Any, pictures: NDArray[Any]) -> NDArray[Any]:
        """One run of the graph; too few pictures for its batch are filled up with the last of them."""
        missing = (self.batch or len(pictures)) - len(pictures)
        filled = np.concatenate([pictures, np.repeat(pictures[-1:], missing, 0)]) if missing else pictures
        try:
            (features,) = session.run([self.signature.embedding], {self.signature.picture: filled})
        except Exception as error:  # each of its errors has a type of its own, below Exception
            if out_of_memory(RuntimeError(str(error))):
                raise MemoryError(f"encoder {self.name!r}: {reason(error)}") from error
            raise EncoderError(
                f"encoder {self.name!r} failed on pictures of shape {filled.shape} {filled.dtype}: {reason(error)}"
            ) from error
        if features.shape[:1] != (len(filled),):
            raise EncoderError(
                f"encoder {self.name!r} must give one embedding per picture; its graph gave {features.shape} for "
                f"{len(filled)}: say batch=1 if it was exported for one picture at a time"
            )
        return np.asarray(features[: len(pictures)])

    def _channels_first(self, maps: Tensor, *size: int) -> Tensor:
        """Feature maps of pictures of that size as (B, D, h, w)."""
        last = channels_last(None, maps.shape, size) if self._maps_last is None else self._maps_last
        if last is None:
            raise EncoderError(
                f"encoder {self.name!r} gives maps {tuple(maps.shape)} of pictures of {size[0]} x {size[1]} px, "
                "which does not tell where the channels are: say maps=NCHW or maps=NHWC"
            )
        return maps.permute(0, 3, 1, 2) if last else maps

    def __getstate__(self) -> dict[str, Any]:
        """All but the session, which belongs to this process."""
        return {**self.__dict__, "_session": None}


def _checksum(file: str, output: str) -> str:
    return hashlib.sha256(f"{file} {output}".encode()).hexdigest() if output else file


def _prefix(name: str, text: str) -> int:
    if not text.isdecimal():
        raise EncoderError(f"prefix of encoder {name!r} must be a number of tokens, 0 or more; got {text!r}")
    return int(text)


def _maps_last(name: str, text: str) -> bool | None:
    if text and text.upper() not in LAYOUTS:
        raise EncoderError(f"maps of encoder {name!r} must be {' or '.join(LAYOUTS)}; got {text!r}")
    return LAYOUTS.get(text.upper())
