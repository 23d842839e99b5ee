"""Folding batch norms into the convolutions before them: the same numbers with half the layers.

Which ones these are is observed in one forward pass, so that no architecture needs to be listed.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# Layers of timm that do what torch's do, one after its own padding, the other with dropout and activation behind it.
# Others that are derived from torch's may do anything with their weights.
PADS, ACTIVATES = ("timm.layers.conv2d_same", "Conv2dSame"), ("timm.layers.norm_act", "BatchNormAct2d")


def fold_batch_norms(network: nn.Module, pixels: Tensor) -> int:
    """Fold every batch norm that follows a convolution into it, in place; returns their number.

    Args:
        network: In eval mode.
        pixels: (B, C, h, w) that it takes, to watch what follows what.
    """
    pairs = _pairs(network, pixels)
    for convolution, norm in pairs:
        layers = cast(nn.Conv2d, network.get_submodule(convolution)), cast(nn.BatchNorm2d, network.get_submodule(norm))
        network.set_submodule(convolution, fuse_conv_bn_eval(*layers).requires_grad_(False))
        network.set_submodule(norm, _behind(layers[1]))
    return len(pairs)


def _pairs(network: nn.Module, pixels: Tensor) -> list[tuple[str, str]]:
    """Names of (convolution, batch norm): each called once, the second on the very tensor that the first returned."""
    names = {
        module: name
        for name, module in network.named_modules()
        if _is(module, nn.Conv2d, PADS) or (_is(module, nn.BatchNorm2d, ACTIVATES) and module.track_running_stats)
    }
    calls: list[tuple[nn.Module, Tensor, Tensor]] = []  # keeps the tensors alive, so that no two share an id

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
    producers = {id(output): module for module, _, output in calls if isinstance(module, nn.Conv2d)}
    pairs = []
    for norm, given, _ in calls:
        convolution = producers.get(id(given))
        if isinstance(norm, nn.BatchNorm2d) and convolution in once and norm in once:
            pairs.append((names[convolution], names[norm]))
    return pairs


def _is(module: nn.Module, kind: type[nn.Module], derived: tuple[str, str]) -> bool:
    """Whether it is a layer of torch itself, or the one of that name derived from it."""
    return type(module) is kind or (
        isinstance(module, kind) and (type(module).__module__, type(module).__name__) == derived
    )


def _behind(norm: nn.BatchNorm2d) -> nn.Module:
    """What a batch norm does after normalising."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    return nn.Sequential(cast(nn.Module, norm.drop), cast(nn.Module, norm.act))
