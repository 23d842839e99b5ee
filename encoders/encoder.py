"""A frozen network with its preprocessing and pooling: pixels in [0, 1] to one vector per image."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn

from encoders.devices import find_device
from encoders.errors import EncoderError, one_line
from encoders.pooling import check_pooling, pool
from encoders.preprocess import Preprocess
from encoders.report import CheckpointReport

Network = nn.Module | Callable[[Tensor], Tensor]


class Encoder:
    """Embeds images: `encoder(pixels)` resizes, normalises, runs the network and pools.

    The masking loop uses the halves: `view` once per image, then `embed` on every masked view. The network is
    put in eval mode and frozen here, in place: `encoders.load` hands over a copy, so nobody else's changes.

    Attributes:
        network: The network itself, public for methods that need its layers or gradients.
        name: The spec that it was loaded by, or the class name of a module or function.
        preprocess: Size, crop, mean and std of its weights.
        device: Where it runs.
        pooling: "auto", "cls" or "mean".
        channels: Channels that it needs, 3 for colour; None = not known.
        report: How the checkpoint's keys matched, for `file:` specs; None for all others.
    """

    def __init__(
        self,
        network: Network,
        *,
        name: str | None = None,
        preprocess: Preprocess | None = None,
        device: str | torch.device = "auto",
        pooling: str = "auto",
        channels: int | None = None,
        report: CheckpointReport | None = None,
    ) -> None:
        self.network = network
        self.name = name or str(getattr(network, "__name__", type(network).__name__))
        self.preprocess = preprocess or Preprocess()
        self.pooling = check_pooling(pooling)
        self.channels = channels
        self.report = report
        self._dtype = torch.float32
        if isinstance(network, nn.Module):
            self.device = find_device(device)
            self._dtype = _freeze(network, self.device)
        else:
            # What a function runs on is known to nobody but its author.
            self.device = torch.device("cpu") if str(device) == "auto" else find_device(device)
        self._prefix_tokens = int(getattr(network, "num_prefix_tokens", 0) or 0)

    @property
    def mean(self) -> tuple[float, ...] | None:
        """The colour that is 0 after normalising, one value in [0, 1] per channel; None where nothing is normalised."""
        return self.preprocess.mean

    @cached_property
    def checksum(self) -> str | None:
        """SHA-256 of the weights (names, dtypes, shapes, bytes), the same on every device; None for a function."""
        return state_checksum(self.network.state_dict()) if isinstance(self.network, nn.Module) else None

    def view(self, pixels: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] to (B, C, h, w) in [0, 1], as `Preprocess.view`."""
        _check_pixels("pixels", pixels)
        return self.preprocess.view(pixels)

    def seen(self, height: int, width: int) -> tuple[float, float, float, float]:
        """(top, left, bottom, right) in image pixels that the encoder sees, as `Preprocess.seen`."""
        return self.preprocess.seen(height, width)

    @torch.inference_mode()
    def embed(self, view: Tensor) -> Tensor:
        """Embed images that have the network's size already; nothing is resized here.

        Args:
            view: (B, C, h, w) in [0, 1], as `view` returns it, on any device.

        Returns:
            (B, D) float32 on `device`, every value finite.

        Raises:
            EncoderError: If the view has another size than the network needs, or the network fails, returns
                something else than one vector per image, or NaN or infinity.
        """
        return self.embed_with_gradients(view)

    def embed_with_gradients(self, view: Tensor) -> Tensor:
        """`embed` as a function that autograd can follow: gradients reach the pixels, never the frozen weights.

        Arguments, result and errors as for `embed`. A network that detaches what it computes gives no gradients.
        """
        self._check_view(view)
        view = view.to(self.device, self._dtype)
        try:
            features = self.network(self.preprocess.normalise(view))
        except torch.OutOfMemoryError:
            raise  # the caller may try a smaller batch
        except RuntimeError as error:
            shape = tuple(view.shape)
            raise EncoderError(
                f"encoder {self.name!r} failed on pixels of shape {shape} on {self.device}: {one_line(error)}"
            ) from error
        embedding = pool(features, len(view), self.pooling, self._prefix_tokens, self.name).float()
        if not torch.isfinite(embedding).all():
            raise EncoderError(
                f"encoder {self.name!r} must return finite embeddings; got NaN or infinity: check its weights "
                "and that pixels are in [0, 1]"
            )
        return embedding

    def __call__(self, pixels: Tensor) -> Tensor:
        """Embed images of any size: (B, C, H, W) in [0, 1] to (B, D) float32 on `device`."""
        return self.embed(self.view(pixels))

    def to(self, device: str | torch.device) -> Encoder:
        """The encoder itself if it is on `device` already, else a copy there; "auto" = cuda, else mps, else cpu."""
        if find_device(device) == self.device:
            return self
        return Encoder(
            copied(self.network) if isinstance(self.network, nn.Module) else self.network,
            name=self.name,
            preprocess=self.preprocess,
            device=device,
            pooling=self.pooling,
            channels=self.channels,
            report=self.report,
        )

    def __repr__(self) -> str:
        size = "any size" if self.preprocess.size is None else "{} x {} px".format(*self.preprocess.size)
        return f"Encoder({self.name!r}, {size}, pooling={self.pooling!r}, device='{self.device}')"

    def _check_view(self, view: Tensor) -> None:
        _check_pixels("view", view)
        size, channels = self.preprocess.size, self.channels
        if (size is None or view.shape[2:] == size) and (channels is None or view.shape[1] == channels):
            return
        height, width = size or ("h", "w")
        raise EncoderError(
            f"view must be (B, {channels or 'C'}, {height}, {width}) for encoder {self.name!r}; "
            f"got {tuple(view.shape)}: {_way_out(view, channels)}"
        )


def copied(module: nn.Module) -> nn.Module:
    """A copy that shares nothing with the module, whatever inference mode the caller is in."""
    try:
        with torch.inference_mode(False):
            return copy.deepcopy(module)
    except (RuntimeError, TypeError) as error:
        raise EncoderError(
            f"encoder {type(module).__name__!r} cannot be copied ({one_line(error)}): pass a function that calls it"
        ) from error


def state_checksum(state: dict[str, Tensor]) -> str:
    """SHA-256 over sorted names, dtypes, shapes and bytes of a state dict."""
    digest = hashlib.sha256()
    for name in sorted(name for name, value in state.items() if isinstance(value, Tensor)):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _freeze(network: nn.Module, device: torch.device) -> torch.dtype:
    """Eval mode, no gradients, on the device; gives the dtype that its pixels must have."""
    with torch.inference_mode(False):  # weights made in inference mode would refuse gradients for ever
        network.eval().requires_grad_(False).to(device)
    return next((p.dtype for p in network.parameters() if p.is_floating_point()), torch.float32)


def _check_pixels(argument: str, pixels: Tensor) -> None:
    if not isinstance(pixels, Tensor) or pixels.ndim != 4 or not pixels.is_floating_point() or 0 in pixels.shape:
        got = f"{tuple(pixels.shape)} {pixels.dtype}" if isinstance(pixels, Tensor) else type(pixels).__name__
        raise EncoderError(f"{argument} must be a float tensor (B, C, H, W) in [0, 1] with B, C, H, W >= 1; got {got}")


def _way_out(view: Tensor, channels: int | None) -> str:
    if channels is not None and view.shape[1] != channels:
        return "repeat or drop channels" if view.shape[1] != 1 else f"repeat the one channel {channels} times"
    return "call encoder.view(pixels) first, or the encoder itself: both resize"
