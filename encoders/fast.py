"""The same network, faster: a private copy that computes what the network computes.

On a processor the images lie channels last, and every batch norm directly behind a convolution is folded into its
weights. Which these are is found by watching one forward pass, not by knowing architectures, and is then proven: a
copy that does not give the network's own output is thrown away. The network itself is never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from encoders.devices import half_type

Run = Callable[[Tensor], Tensor]  # normalised pixels (B, C, h, w) to whatever the network returns

PRECISIONS = ("exact", "auto", "fast")
ROUNDING = 1e-4  # largest difference of a copy's output to the network's, in units of its largest value


@dataclass
class Forms:
    """What encoders on one network share.

    Attributes:
        passes_asked: How many passes they were asked for.
        gains: How many times faster half precision was, by the shape of a batch.
    """

    passes_asked: int = 0
    gains: dict[torch.Size, float] = field(default_factory=dict)
    _state: Hashable = None
    _form: FastForm | None = None

    def of(self, network: object, copied: Callable[[nn.Module], nn.Module], device: torch.device) -> FastForm | None:
        """The fast form of a network; None for a function, and while hooks watch the network's layers."""
        state = state_of(network) if isinstance(network, nn.Module) else None
        if state is None:
            return None
        if self._form is None or self._state != state:
            self._state, self._form = state, FastForm(cast(nn.Module, network), copied, device)
        return self._form


class FastForm:
    """A network ready to run fast on one device; the copy is made for the first batch of more than one image.

    Attributes:
        half: The 16-bit type of `rounded`; None where the device has none.
        applied: What was done to the copy, in words; empty where nothing could be gained.
        layout: How pixels lie that need not be laid out again.
    """

    def __init__(self, network: nn.Module, copied: Callable[[nn.Module], nn.Module], device: torch.device) -> None:
        self.half = half_type(device)
        self.applied: tuple[str, ...] = ()
        self._original = self._network = network
        self._compiled: Run | None = None
        self._compiled_shape: torch.Size | None = None
        # With a single convolution, as in a ViT, there is nothing to gain.
        several = sum(isinstance(module, nn.Conv2d) for module in network.modules()) > 1
        self._copied = copied if several else None
        self.layout = torch.channels_last if several and device.type == "cpu" else torch.contiguous_format

    def exact(self, pixels: Tensor) -> Tensor:
        """The network's output in its own precision, to rounding."""
        if pixels.device.type != "cuda":
            return self._run(pixels)
        # Else convolutions would round their inputs to 10 bits (TF32), which torch allows unless told otherwise.
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
            return self._run(pixels)

    def rounded(self, pixels: Tensor) -> Tensor:
        """The network's output with its products in half precision; norms and sums stay in float32."""
        run = self._compiled if self._compiled is not None and pixels.shape == self._compiled_shape else self._run
        with torch.autocast(pixels.device.type, self.half):
            output = run(pixels)
        # A compiled GPU network writes every result to the same place.
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
            self.rounded(pixels)
        except Exception:
            self._compiled = None  # the shape stays: what failed once is not tried for every image
            raise

    @property
    def compiled(self) -> bool:
        """Whether there is a compiled network."""
        return self._compiled is not None

    def _run(self, pixels: Tensor) -> Tensor:
        if len(pixels) == 1:  # does not repay a copy, and must not depend on whether there is one by now
            return cast(Tensor, self._original(pixels.contiguous()))
        if self._copied is not None:
            copied, self._copied = self._copied, None
            if not self._prepare(copied, pixels[:2].contiguous()):
                self.layout = torch.contiguous_format
        return cast(Tensor, self._network(pixels.contiguous(memory_format=self.layout)))

    def _prepare(self, copied: Callable[[nn.Module], nn.Module], pixels: Tensor) -> bool:
        """Run on a copy from now on, if it gives what the network gives for these pixels; says whether it does."""
        try:
            expected = self._network(pixels)
            with torch.inference_mode(False), torch.no_grad():
                copy = copied(self._network)
                folded = fold_batch_norms(copy, pixels.clone())
                copy.to(memory_format=self.layout)
            if not _same(copy(pixels.contiguous(memory_format=self.layout)), expected):
                return False
        except Exception:  # whatever a stranger's network may raise when it is copied: it is run as it is
            return False
        self._network = copy
        done = {f"{folded} batch norms folded": folded > 0, "channels last": self.layout == torch.channels_last}
        self.applied = tuple(name for name, true in done.items() if true)
        return True


def fold_batch_norms(network: nn.Module, pixels: Tensor) -> int:
    """Fold every batch norm that follows a convolution into it, in place; gives their number.

    Args:
        network: In eval mode.
        pixels: (B, C, h, w) that it takes, to watch what follows what.
    """
    pairs = _pairs(network, pixels)
    for convolution, norm in pairs:
        layers = cast(nn.Conv2d, network.get_submodule(convolution)), cast(nn.BatchNorm2d, network.get_submodule(norm))
        network.set_submodule(convolution, fuse_conv_bn_eval(*layers).requires_grad_(False))
        network.set_submodule(norm, nn.Identity())
    return len(pairs)


def state_of(network: nn.Module) -> Hashable | None:
    """Something that changes when the network does (modules or weights); None while hooks watch its layers.

    A copy would leave a hook without a call, and would not know of new weights. What is written through
    `parameter.data` cannot be seen.
    """
    modules = list(network.modules())
    if any(module._forward_hooks or module._forward_pre_hooks for module in modules):
        return None
    owned = (tensors for module in modules for tensors in (module._parameters, module._buffers))
    tensors = [one for some in owned for one in some.values() if one is not None]
    versions = tuple((id(one), one.data_ptr(), 0 if one.is_inference() else one._version) for one in tensors)
    return tuple(id(module) for module in modules), versions


def _pairs(network: nn.Module, pixels: Tensor) -> list[tuple[str, str]]:
    """Names of (convolution, batch norm): each called once, the second on the very tensor that the first returned."""
    names = {
        module: name
        for name, module in network.named_modules()
        if type(module) is nn.Conv2d or (type(module) is nn.BatchNorm2d and module.track_running_stats)
    }
    calls: list[tuple[nn.Module, Tensor, Tensor]] = []  # tensors are kept, so that none takes another's place

    def remember(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        calls.append((module, given[0], output))

    handles = [module.register_forward_hook(remember) for module in names]
    try:
        network(pixels)
    finally:
        for handle in handles:
            handle.remove()
    modules = [module for module, _, _ in calls]
    once = {module for module in modules if modules.count(module) == 1}
    made_by = {id(output): module for module, _, output in calls if isinstance(module, nn.Conv2d)}
    found = []
    for norm, given, _ in calls:
        convolution = made_by.get(id(given))
        if isinstance(norm, nn.BatchNorm2d) and convolution in once and norm in once:
            found.append((names[convolution], names[norm]))
    return found


def _same(found: object, expected: object) -> bool:
    if not isinstance(found, Tensor) or not isinstance(expected, Tensor) or found.shape != expected.shape:
        return False
    limit = ROUNDING * expected.abs().max()
    return bool(((found - expected).abs() <= limit).all())
