"""From a spec, a module or a function to an `Encoder`: the room's front door.

The kinds of spec are the rows of `encoders.kinds.KINDS`, which `relax encoders` prints. What a network must offer
stands in `encoders.contract.Network`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from encoders.choices import check_pooling, check_precision
from encoders.contract import Builder, Built
from encoders.encoder import Encoder, copied
from encoders.errors import EncoderError
from encoders.items import with_items
from encoders.kinds import POOLING_ITEM, RANDOM, Spec, forms, parse_spec, resolve
from encoders.networks import drawn_from


def load(
    spec: str | nn.Module | Callable[[Tensor], Tensor] | Encoder,
    *,
    device: str | torch.device = "auto",
    pooling: str = "auto",
    seed: int = 0,
    precision: str | None = None,
) -> Encoder:
    """Load an image encoder: frozen, in eval mode, with its preprocessing.

    Args:
        spec: A spec such as "default" or "timm:resnet50", see `encoders.kinds.KINDS`; a module, which is copied and
            never changed, and gets pixels as they are; a function from (B, C, H, W) to (B, D), used as it is; or an
            Encoder, passed through. Modules and functions are as `encoders.contract.Network` says.
            Items may follow, `?size=96&mean=0.5,0.5,0.5&num_heads=12`, see `encoders.kinds.ITEMS`: size, resize, mean,
            std, interpolation and pooling, where the weights were trained with others than the network's usual ones,
            and arguments of the network's own constructor; for a checkpoint also part, the prefix to take instead of
            the preferred one (part=student).
        device: A torch device, or "auto" = cuda, else mps, else cpu. "auto" leaves an Encoder where it is and
            gives a function its pixels on the CPU. "cuda:0,cuda:1", or "all" GPUs, share the masked views.
        pooling: "auto" = as the network's authors pool; "cls" = the class token; "mean" = the mean of the patch
            tokens or of the feature map. It goes before an item of the spec, and cannot be changed on an Encoder.
        seed: What random weights are drawn from; the global random state is left alone.
        precision: "exact" (float32), "auto" or "fast": how masked views may be embedded, see `encoders.passes`. None
            leaves an Encoder as it is; everything else is "exact".

    Returns:
        The encoder; its `report` says how the keys of a checkpoint matched.

    Raises:
        EncoderError: If the spec is not understood, weights cannot be had, or a checkpoint does not fit.
    """
    check_pooling(pooling)
    if isinstance(spec, Encoder):
        if pooling not in ("auto", spec.pooling):
            raise EncoderError(
                f"pooling of an Encoder cannot be changed, here {spec.pooling!r}; got {pooling!r}: load its spec again"
            )
        encoder = spec if str(device) == "auto" else spec.to(device)
        return encoder if precision is None else encoder.with_precision(precision)
    precision = check_precision(precision or "exact")
    if isinstance(spec, str):
        return _from_spec(parse_spec(spec), device, pooling, seed).with_precision(precision)
    if isinstance(spec, nn.Module):
        name = type(spec).__name__
        return Encoder(copied(spec), name=name, device=device, pooling=pooling, precision=precision)
    if callable(spec) and not isinstance(spec, type):
        return Encoder(spec, device=device, pooling=pooling, precision=precision)
    got = f"the class {spec.__name__}, not an object of it" if isinstance(spec, type) else type(spec).__name__
    raise EncoderError(f"encoder must be a spec ({', '.join(forms())}), a module, a function or an Encoder; got {got}")


def pooling_of(spec: Spec, pooling: str) -> str:
    """The caller's pooling, or where that is "auto" the item of the spec."""
    return check_pooling(spec.items.get(POOLING_ITEM, pooling)) if pooling == "auto" else pooling


def build(spec: Spec, pooling: str, seed: int) -> Built:
    """The network of a spec, pooling as wanted, with the preprocessing that the spec's items say."""
    builder: Builder = resolve(spec.kind.builder)
    with drawn_from(seed):
        built = builder(spec)
        if built.pool is not None:
            built.pool(built.network, pooling, spec.text.removeprefix(f"{RANDOM}:"))
    return built._replace(preprocess=with_items(built.preprocess, spec.items, built.channels))


def _from_spec(spec: Spec, device: str | torch.device, pooling: str, seed: int) -> Encoder:
    pooling = pooling_of(spec, pooling)
    built = build(spec, pooling, seed)
    return Encoder(
        built.network,
        name=spec.text,
        preprocess=built.preprocess,
        device=device,
        pooling=pooling,
        channels=built.channels,
        report=built.report,
    )
