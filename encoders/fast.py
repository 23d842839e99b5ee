"""The fast form of a network: a private copy with the same output, and faster ways to run it that round.

On a processor, images are laid out channels last and every batch norm directly behind a convolution is folded into its
weights (`encoders.folding`). The copy is verified: one whose output differs from the network's is discarded, and so is
one in OpenVINO (`encoders.converted`). The network itself is never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

import torch
from torch import Tensor, nn

from encoders.converted import Converted
from encoders.devices import half_type
from encoders.folding import fold_batch_norms

Run = Callable[[Tensor], Tensor]  # normalised pixels (B, C, h, w) to whatever the network returns

ROUNDING = 1e-4  # largest difference of a copy's output to the network's, in units of its largest value


class Way(StrEnum):
    """How a batch is run, in words of the record."""

    EXACT = "exact"
    HALF = "autocast"
    CONVERTED = "OpenVINO"
    CONVERTED_HALF = "OpenVINO, bfloat16"

    @property
    def rounds(self) -> bool:
        """Whether products are in half precision."""
        return self in (Way.HALF, Way.CONVERTED_HALF)


@dataclass
class Forms:
    """What encoders on one network share.

    Attributes:
        passes_expected: How many passes they were told to expect.
        seconds: How long a batch took, by its shape and the way that it was run.
    """

    passes_expected: int = 0
    seconds: dict[tuple[torch.Size, Way], float] = field(default_factory=dict)
    _state: Hashable = None
    _form: FastForm | None = None

    def of(self, network: object, copied: Callable[[nn.Module], nn.Module], device: torch.device) -> FastForm | None:
        """The fast form of a network; None without layers that torch sees, and while hooks are on them."""
        state = state_of(network) if isinstance(network, nn.Module) and not hasattr(network, "opaque") else None
        if state is None:
            return None
        if self._form is None or self._state != state:
            self._state, self._form = state, FastForm(cast(nn.Module, network), copied, device)
        return self._form


class FastForm:
    """A network ready to run fast on one device; the copy is made for the first batch of more than one image.

    Attributes:
        half: The 16-bit type that the device multiplies; None where it has none.
        applied: What was changed in the copy, in words; empty where there was nothing to gain.
        failure: Why the network is not in OpenVINO, though that was tried; None otherwise.
        layout: Memory format of pixels that spares a conversion.
    """

    def __init__(self, network: nn.Module, copied: Callable[[nn.Module], nn.Module], device: torch.device) -> None:
        self.half = half_type(device)
        self.applied: tuple[str, ...] = ()
        self._original = self._network = network
        self._compiled: Run | None = None
        self._compiled_shape: torch.Size | None = None
        self._converted: Converted | None = None
        self.failure: Exception | None = None
        # With a single convolution, as in a ViT, there is nothing to gain.
        several = sum(isinstance(module, nn.Conv2d) for module in network.modules()) > 1
        several &= not any(isinstance(module, nn.Conv3d) for module in network.modules())  # volumes have another layout
        self._copied = copied if several else None
        self.layout = torch.channels_last if several and device.type == "cpu" else torch.contiguous_format

    @property
    def ways(self) -> list[Way]:
        """The ways that there are beside the exact one: those in OpenVINO after `convert`."""
        ways = [Way.HALF] if self.half is not None else []
        if self._converted is not None:
            ways += [Way.CONVERTED] + ([Way.CONVERTED_HALF] if self.half == torch.bfloat16 else [])
        return ways

    def run(self, pixels: Tensor, way: Way) -> Tensor:
        """The network's output in one of `ways`, or exactly."""
        if way == Way.EXACT:
            return self.exact(pixels)
        if way == Way.HALF:
            return self.rounded(pixels)
        if self._converted is None or tuple(pixels.shape[1:]) != self._converted.size:
            return self.exact(pixels)
        return self._converted.run(pixels, torch.bfloat16 if way.rounds else torch.float32)

    def exact(self, pixels: Tensor) -> Tensor:
        """The network's output in its own precision, up to rounding."""
        if pixels.device.type != "cuda":
            return self._run(pixels)
        # Otherwise convolutions round their inputs to 10 bits (TF32), which torch allows by default.
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
            return self._run(pixels)

    def rounded(self, pixels: Tensor) -> Tensor:
        """The network's output with its products in half precision; norms and sums stay in float32."""
        run = self._compiled if self._compiled is not None and pixels.shape == self._compiled_shape else self._run
        with torch.autocast(pixels.device.type, self.half):
            output = run(pixels)
        # A compiled network on a GPU writes every result to the same memory.
        return output.clone() if run is self._compiled and isinstance(output, Tensor) else output

    def compile(self, pixels: Tensor) -> None:
        """Compile `rounded` for batches of the shape of `pixels`; others run as before.

        Raises:
            Exception: Whatever the compiler raises; without one on this machine, for example.
        """
        if self._compiled_shape == pixels.shape:
            return
        options: dict[str, str | int | bool | Callable[..., object]]
        options = {"triton.cudagraphs": True} if pixels.device.type == "cuda" else {"freezing": True}
        self._compiled_shape = pixels.shape
        try:
            self._compiled = torch.compile(self._network, dynamic=False, options=options)
            if not isinstance(self.rounded(pixels), Tensor):
                raise TypeError("the network returns more than a tensor")  # whose memory would be written to again
        except Exception:
            self._compiled = None  # the shape stays, so that a failure is not repeated for every image
            raise

    def convert(self, pixels: Tensor) -> None:
        """Bring the network into OpenVINO, for pictures of the size of `pixels` (B, C, h, w), B > 1; tried once.

        Where that fails, or its output in float32 is not the network's, `failure` says why.
        """
        if self._converted is not None or self.failure is not None:
            return
        try:
            expected = self.exact(pixels.clone())  # on the copy with folded batch norms from here on
            # Traced on other pixels, so that numbers which it took for constants show.
            converted = Converted(self._network, pixels.flip(0, -1))
            if not _same(converted.run(pixels, torch.float32), expected):
                raise ArithmeticError("its output differs from the network's")
            self._converted = converted
        except Exception as error:  # foreign networks raise anything when traced, and converting is optional
            self.failure = error

    @property
    def compiled(self) -> bool:
        """Whether there is a compiled network."""
        return self._compiled is not None

    def _run(self, pixels: Tensor) -> Tensor:
        if len(pixels) == 1:  # too little to repay a copy, and the result shall not depend on whether one exists
            return cast(Tensor, self._original(pixels.contiguous()))
        if self._copied is not None:
            copied, self._copied = self._copied, None
            if not self._prepare(copied, pixels[:2].contiguous()):
                self.layout = torch.contiguous_format
        return cast(Tensor, self._network(pixels.contiguous(memory_format=self.layout)))

    def _prepare(self, copied: Callable[[nn.Module], nn.Module], pixels: Tensor) -> bool:
        """Run on a copy from now on, if its output for these pixels is the network's; returns whether it is."""
        try:
            expected = self._network(pixels.clone())  # copies: a network may write into its input
            with torch.inference_mode(False), torch.no_grad():
                copy = copied(self._network)
                folded = fold_batch_norms(copy, pixels.clone())
                copy.to(memory_format=self.layout)
            if not _same(copy(pixels.clone(memory_format=self.layout)), expected):
                return False
        except Exception:  # foreign networks raise anything when copied: run it as it is
            return False
        self._network = copy
        changes = {f"{folded} batch norms folded": folded > 0, "channels last": self.layout == torch.channels_last}
        self.applied = tuple(name for name, applies in changes.items() if applies)
        return True


def state_of(network: nn.Module) -> Hashable | None:
    """A value that changes when the network does (modules or weights); None while hooks are on its layers.

    A copy would not call the hooks and would not have new weights. Writes through `parameter.data` go unnoticed.
    """
    modules = list(network.modules())
    if any(module._forward_hooks or module._forward_pre_hooks for module in modules):
        return None
    owned = (weights for module in modules for weights in (module._parameters, module._buffers))
    tensors = [tensor for weights in owned for tensor in weights.values() if tensor is not None]
    versions = tuple((id(x), x.data_ptr(), 0 if x.is_inference() else x._version) for x in tensors)
    return tuple(id(module) for module in modules), versions


def _same(output: object, expected: object) -> bool:
    if not isinstance(output, Tensor) or not isinstance(expected, Tensor) or output.shape != expected.shape:
        return False
    limit = ROUNDING * expected.abs().max()
    return bool(((output - expected).abs() <= limit).all())
