"""A frozen network with its preprocessing and pooling: pixels in [0, 1] to one vector per image."""

from __future__ import annotations

import copy
from functools import cached_property, partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from encoders.checkpoints.report import CheckpointReport
from encoders.checks import check_weights
from encoders.checksum import network_checksum
from encoders.choices import check_pooling, check_precision, check_view
from encoders.contract import Network
from encoders.devices import find_device, find_devices, out_of_memory
from encoders.errors import EncoderError, one_line
from encoders.fast import FastForm, Forms, Way
from encoders.pooling import pool
from encoders.preprocess import Preprocess
from encoders.tokens import patch_grid, visible_only
from encoders.volumes import VolumePreprocess


class Encoder:
    """Embeds images: `encoder(pixels)` resizes, normalises, runs the network and pools.

    The masking loop uses the halves: `view` once per image, then `embed` on every masked view. The network is put in
    eval mode and frozen here, in place; `encoders.load` hands over a copy, so that the caller's stays as it is.

    Attributes:
        network: The network itself, as `encoders.contract.Network` says, public for methods that need its layers or
            gradients.
        name: The spec that it was loaded by, or the class name of a module or function, with its output in brackets.
        preprocess: Size, crop, mean and std of its weights.
        device: Where it runs; with several, where the embeddings come together.
        others: Copies on further devices, which share the masked views, see `encoders.passes`.
        pooling: "auto", "cls" or "mean".
        channels: Number of channels it needs, 3 for colour; None = unknown.
        precision: "exact", "auto" or "fast": how masked views may be embedded, see `encoders.passes`.
        seed: What random weights were drawn from; None where there are none or nobody said.
        view_kind: How pictures get to its size, a key of `encoders.choices.VIEWS`; "auto" is its own preprocessing.
        report: How the checkpoint's keys matched, for `file:` specs; None for all others.
        forms: The fast forms of the network, made on first use.
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
        precision: str = "exact",
        seed: int | None = None,
    ) -> None:
        self.network = network
        self.name = name or str(getattr(network, "__name__", type(network).__name__))
        self.preprocess = preprocess or Preprocess()
        self.pooling = check_pooling(pooling)
        self.channels = channels
        self.report = report
        self.seed = seed
        self.precision = check_precision(precision)
        self.view_kind, self._own = "auto", self.preprocess
        self.forms = Forms()
        self._dtype = torch.float32
        self.others: tuple[Encoder, ...] = ()
        if isinstance(network, nn.Module):
            self.device, *further = find_devices(device)
            self._dtype = _freeze(network, self.device)
            self.others = tuple(self._on(other) for other in further)
        else:
            # Only its author knows what a function runs on.
            automatic = isinstance(device, str) and device == "auto"
            self.device = torch.device("cpu") if automatic else find_device(device)

    @property
    def mean(self) -> tuple[float, ...] | None:
        """The colour that becomes 0 by normalising, here or in the network, a value in [0, 1] per channel; or None."""
        return self.preprocess.mean

    @cached_property
    def checksum(self) -> str | None:
        """SHA-256 of the weights (names, dtypes, shapes, bytes), the same on every device.

        For a network without parameters it covers the layers instead; None for a function, and where nothing identifies
        the network, see `encoders.checksum`.
        """
        return network_checksum(self.network)

    def view(self, pixels: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] to (B, C, h, w) in [0, 1], as `Preprocess.view`; volumes have depths before them."""
        self._check_pixels("pixels", pixels)
        return self.preprocess.view(pixels)

    def seen(self, height: int, width: int) -> tuple[float, float, float, float]:
        """(top, left, bottom, right) in image pixels of what the encoder sees, as `Preprocess.seen`."""
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
                anything but one vector per image, or NaN or infinity.
        """
        return self.checked(self.started(self.prepare(view)))

    def prepare(self, view: Tensor) -> Tensor:
        """The network's input: the pixels on `device`, normalised.

        A blend of prepared images is the prepared blend, so that masked views need not be prepared one by one.

        Args:
            view: (B, C, h, w) in [0, 1], as `view` returns it, on any device.

        Returns:
            (B, C, h, w) in the network's dtype.

        Raises:
            EncoderError: If the view has another size than the network needs.
        """
        self._check_view(view)
        return self.preprocess.normalise(view.to(self.device, self._dtype))

    @torch.inference_mode()
    def started(self, prepared: Tensor, way: Way = Way.EXACT) -> Tensor:
        """Embed what `prepare` returned, without waiting for a GPU to finish and without checking the values.

        In another way than exactly it is faster, at a small error. See `encoders.passes`.
        """
        form = self.form
        return self._embed(prepared, self.network if form is None else partial(form.run, way=way))

    def checked(self, embedding: Tensor) -> Tensor:
        """What `started` returned, after waiting for it; an EncoderError if a value is NaN or infinite."""
        if not torch.isfinite(embedding).all():
            raise EncoderError(
                f"encoder {self.name!r} must return finite embeddings; got NaN or infinity: check its weights "
                "and that pixels are in [0, 1]"
            )
        return embedding

    @torch.inference_mode()
    def embed_visible(self, view: Tensor, kept: Tensor) -> Tensor:
        """Embed one image N times, each time with only a subset of its patch tokens; see `encoders.tokens`.

        Args:
            view: (1, C, h, w) in [0, 1].
            kept: (N, K) indices of the patches to keep, in reading order.

        Returns:
            (N, D) float32 on `device`.

        Raises:
            EncoderError: If the network is no VisionTransformer of timm, or as for `embed`.
        """
        self.patch_grid(view)
        network = cast(nn.Module, self.network)
        prepared = self.prepare(view)
        return self.checked(self._embed(prepared, lambda pixels: visible_only(network, pixels, kept), len(kept)))

    def patch_grid(self, view: Tensor) -> tuple[int, int]:
        """(rows, columns) of patch tokens for a view (1, C, h, w); an EncoderError where there are none."""
        return patch_grid(self.network, (int(view.shape[-2]), int(view.shape[-1])), self.name)

    def embed_with_gradients(self, view: Tensor) -> Tensor:
        """`embed` with gradients: they reach the pixels, never the frozen weights.

        Arguments, result and errors as for `embed`. A network that detaches its output has no gradients.
        """
        return self.checked(self._embed(self.prepare(view), self.network))

    @torch.inference_mode()
    def compile(self, prepared: Tensor) -> None:
        """Compile the rounded form for batches of this shape; raises whatever the compiler raises."""
        form = self.form
        if form is not None and form.half is not None:
            form.compile(prepared.to(self.device, self._dtype, copy=True))

    @torch.inference_mode()
    def convert(self, prepared: Tensor) -> None:
        """Bring the network into OpenVINO, as `FastForm.convert`; not where its numbers have more or fewer bits."""
        form = self.form
        if form is not None and self.device.type == "cpu" and self._dtype == torch.float32:
            form.convert(prepared.to(self.device, self._dtype, copy=True))

    @property
    def form(self) -> FastForm | None:
        """The network's fast form; None for a function or an opaque network, and while hooks are on its layers."""
        return self.forms.of(self.network, copied, self.device)

    @property
    def opaque(self) -> str | None:
        """What the network is where torch sees neither its layers nor gradients, "an ONNX graph"; else None."""
        return getattr(self.network, "opaque", None)

    def _embed(self, prepared: Tensor, run: Network, count: int | None = None) -> Tensor:
        """What a network gets and what it returned are copied: it may write into both again, and nobody reads that."""
        try:
            features = run(prepared.to(self.device, self._dtype, copy=True))
        except Exception as error:  # foreign networks raise anything
            if out_of_memory(error) or isinstance(error, EncoderError):
                raise  # the caller may try a smaller batch
            shape = tuple(prepared.shape)
            text = one_line(error)
            if self.channels is None and "channels" in text:
                text += f": say channels= in load_encoder where it takes others than {shape[1]}"
            raise EncoderError(
                f"encoder {self.name!r} failed on pixels of shape {shape} on {self.device}, "
                f"{str(self._dtype).removeprefix('torch.')}: {text}"
            ) from error
        pooled = pool(features, self.network, count or len(prepared), prepared.shape[2:], self.pooling, self.name)
        return pooled.to(self.device, torch.float32, copy=True)

    def __call__(self, pixels: Tensor) -> Tensor:
        """Embed images of any size: (B, C, H, W) in [0, 1] to (B, D) float32 on `device`."""
        return self.embed(self.view(pixels))

    def to(self, device: str | torch.device) -> Encoder:
        """The encoder itself if it is on `device` already, else a copy on it; "auto" = cuda, else mps, else cpu."""
        if find_devices(device) == self.devices:
            return self
        return self._on(device)

    @property
    def takes_volumes(self) -> bool:
        """Whether it embeds volumes (B, C, D, H, W) instead of pictures (B, C, H, W)."""
        return isinstance(self.preprocess, VolumePreprocess)

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """All devices that it runs on."""
        return (self.device, *(other.device for other in self.others))

    def _on(self, device: str | torch.device) -> Encoder:
        other = Encoder(
            copied(self.network) if isinstance(self.network, nn.Module) else self.network,
            name=self.name,
            preprocess=self._own,
            device=device,
            pooling=self.pooling,
            channels=self.channels,
            report=self.report,
            precision=self.precision,
            seed=self.seed,
        )
        return other.with_view(self.view_kind)

    def with_precision(self, precision: str) -> Encoder:
        """The same encoder with another precision; the network is shared."""
        if precision == self.precision:
            return self
        other = copy.copy(self)
        other.precision, other.forms = check_precision(precision), self.forms
        return other

    def with_view(self, view: str) -> Encoder:
        """The same encoder with another way to bring pictures to its size; the network is shared.

        Args:
            view: A key of `encoders.choices.VIEWS`; "auto" leaves it as it is.

        Raises:
            EncoderError: If there is no such view, or the encoder takes pictures at their own size.
        """
        if check_view(view) in ("auto", self.view_kind):
            return self
        other = copy.copy(self)
        other.view_kind, other.preprocess, other.forms = view, self._own.fitted(view), self.forms
        return other

    def with_network(self, network: nn.Module) -> Encoder:
        """The same encoder on another network with the same weights, such as a part of it; frozen already."""
        other = copy.copy(self)
        other.network, other.forms = network, Forms()
        return other

    def __getstate__(self) -> dict[str, Any]:
        """All but the fast forms, which are made anew on first use."""
        return {**self.__dict__, "forms": Forms()}

    def __repr__(self) -> str:
        shape = self.preprocess.shape
        size = ("volumes of " if self.takes_volumes else "") + (
            "any size" if shape is None else f"{' x '.join(map(str, shape))} {'voxels' if self.takes_volumes else 'px'}"
        )
        return f"Encoder({self.name!r}, {size}, pooling={self.pooling!r}, device='{self.device}')"

    def _check_view(self, view: Tensor) -> None:
        self._check_pixels("view", view)
        size, channels = self.preprocess.shape, self.channels
        if (size is None or view.shape[2:] == size) and (channels is None or view.shape[1] == channels):
            return
        sides = size or ("d", "h", "w")[-view.ndim + 2 :]
        raise EncoderError(
            f"view must be (B, {channels or 'C'}, {', '.join(map(str, sides))}) for encoder {self.name!r}; "
            f"got {tuple(view.shape)}: {_advice(view, channels)}"
        )

    def _check_pixels(self, argument: str, pixels: Tensor) -> None:
        axes = 3 if self.takes_volumes else 2
        if isinstance(pixels, Tensor) and pixels.ndim == 2 + 5 - axes:
            raise EncoderError(_other_kind(self.name, argument, tuple(pixels.shape), volumes=axes == 3))
        if (
            not isinstance(pixels, Tensor)
            or pixels.ndim != 2 + axes
            or not pixels.is_floating_point()
            or (0 in pixels.shape)
        ):
            got = f"{tuple(pixels.shape)} {pixels.dtype}" if isinstance(pixels, Tensor) else type(pixels).__name__
            sides = "D, H, W" if axes == 3 else "H, W"
            raise EncoderError(
                f"{argument} must be a float tensor (B, C, {sides}) in [0, 1] with B, C, {sides} >= 1; got {got}"
            )


def copied(module: nn.Module) -> nn.Module:
    """A deep copy with ordinary tensors, even if the caller is in inference mode."""
    check_weights(module)
    try:
        with torch.inference_mode(False), torch.no_grad():  # else weights of TorchScript are no leaves
            return copy.deepcopy(module)
    except Exception as error:  # what a module holds besides layers raises anything: locks, files, loggers
        raise EncoderError(
            f"encoder {type(module).__name__!r} cannot be copied ({one_line(error)}): pass a function that calls it, "
            "lambda pixels: module(pixels)"
        ) from error


def _freeze(network: nn.Module, device: torch.device) -> torch.dtype:
    """Eval mode, no gradients, on the device; returns the dtype that its pixels must have."""
    with torch.inference_mode(False):  # weights made in inference mode could never have gradients
        for parameter in network.eval().parameters():  # TorchScript cannot do it for all at once
            parameter.requires_grad_(False)
        network.to(device)
    return next((weight.dtype for weight in network.parameters() if weight.is_floating_point()), torch.float32)


def _other_kind(name: str, argument: str, shape: tuple[int, ...], *, volumes: bool) -> str:
    """What is wrong where a volume comes to an encoder of pictures, or a picture to one of volumes."""
    if volumes:
        return (
            f"{argument} must be volumes (B, C, D, H, W), which encoder {name!r} takes; got pictures {shape}: "
            "relax.explain_volume gives it volumes, and size=(height, width) says that it takes pictures"
        )
    return (
        f"{argument} must be pictures (B, C, H, W), which encoder {name!r} takes; got volumes {shape}: "
        "relax.explain_volume gives it slices, and size=(depth, height, width) says that it takes volumes"
    )


def _advice(view: Tensor, channels: int | None) -> str:
    if channels is not None and view.shape[1] != channels:
        return "repeat or drop channels" if view.shape[1] != 1 else f"repeat the one channel {channels} times"
    return "call encoder.view(pixels) first, or the encoder itself: both resize"
