"""From a spec, a module or a function to an `Encoder`: the room's front door.

The kinds of spec are the rows of `encoders.kinds.KINDS`, which `relax encoders` prints. What a network must offer
stands in `encoders.contract.Network`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from encoders.choices import check_pooling, check_precision
from encoders.contract import Builder, Built
from encoders.custom import Description, Numbers, custom_encoder
from encoders.encoder import Encoder
from encoders.errors import EncoderError
from encoders.items import with_items
from encoders.kinds import POOLING_ITEM, RANDOM, forms, resolve
from encoders.outputs import Output
from encoders.parsing import Spec, parse_spec
from encoders.seeds import drawn_from
from encoders.values import described, is_whole, plain


def load(
    spec: str | nn.Module | Callable[[Tensor], Any] | Encoder,
    device: str | torch.device = "auto",
    pooling: str = "auto",
    seed: int = 0,
    precision: str | None = None,
    *,
    view: str = "auto",
    size: int | tuple[int, ...] | None = None,
    resize: int | tuple[int, int] | None = None,
    mean: Numbers | None = None,
    std: Numbers | None = None,
    interpolation: str | None = None,
    channels: int | None = None,
    transform: object | None = None,
    output: Output | None = None,
) -> Encoder:
    """Load an image encoder: frozen, in eval mode, with its preprocessing.

        encoder = relax.load_encoder("timm:resnet50")
        encoder = relax.load_encoder(module, size=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
        encoder = relax.load_encoder(module, transform=evaluation_transform, output="pooler_output")

    Args:
        spec: A spec such as "default" or "timm:resnet50", see `encoders.kinds.KINDS`; a module, which is copied and
            never changed; a function from (B, C, H, W) to (B, D), used as it is, which may answer in numpy; or an
            Encoder, passed through. Modules and functions are as `encoders.contract.Network` says. A module may be
            Lightning's, which is copied without its trainer, or TorchScript; of what torch.compile returns, the module
            inside is taken.
            Items may follow a spec, `?size=96&mean=0.5,0.5,0.5&num_heads=12`, see `encoders.kinds.ITEMS`: size, resize,
            mean, std, interpolation and pooling, where the weights were trained with others than the network's usual
            ones, and arguments of the network's own constructor; for a checkpoint also part, the prefix to take instead
            of the preferred one (part=student).
        device: A torch device, or "auto" = cuda, else mps, else cpu. "auto" leaves an Encoder where it is and
            gives a function its pixels on the CPU. "cuda:0,cuda:1", or "all" GPUs, share the masked views.
        pooling: "auto" = as the network's authors pool; "cls" = the class token; "mean" = the mean of the patch
            tokens or of the feature map. It goes before an item of the spec, and cannot be changed on an Encoder.
        seed: What random weights are drawn from; the global random state is left alone.
        precision: "exact" (float32), "auto" or "fast": how masked views may be embedded, see `encoders.passes`. None
            leaves an Encoder as it is; everything else is "exact".
        view: How a picture gets to the size of any encoder, see `encoders.choices.VIEWS`: "pad" (all of it, with the
            mean pixel around it), "crop" (the middle), "squash" (all of it, squeezed). "auto" is the encoder's own way,
            and leaves an Encoder as it is.
        size: For a module or function, as all that follow: pixels that it sees, a square's side or (height, width).
            None gives it pictures at their own size. (depth, height, width) says that it takes volumes
            (B, C, D, H, W), as does a first convolution over three axes, of which a number is the side of a cube.
        resize: How a picture gets to `size`. None squeezes the whole picture; a number is the shorter side before a
            centre crop; a pair (height, width) is what the whole picture is squeezed to before the crop.
        mean: Subtracted from pixels in [0, 1], one number per channel or one for all. Without mean and std, which
            come together, nothing is normalised.
        std: Divides the difference.
        interpolation: "bilinear" (the default), "bicubic" or "nearest".
        channels: Number of channels that it takes: 1 turns colour into grey (luma, which the record says), 3
            repeats grey. None is that of the transform, else of a module's first convolution, else of mean, else
            unknown.
        transform: An evaluation transform of torchvision (v1, v2, or of its weights), timm or open_clip, read into
            size, resize, mean, std and interpolation instead of these.
        output: Which part of the answer is the embedding, where the answer is a dict, tuple, dataclass or ModelOutput:
            a name or number, or a function that takes the answer to the embedding. The name of a layer ("layer4")
            takes what that layer returns. None needs a tensor, or one alone.

    Returns:
        The encoder; its `report` says how the keys of a checkpoint matched, its `name` is the spec, or the name of the
        module's class or the function, with the output in brackets.

    Raises:
        ImportError: If the spec needs an extra that is not installed.
        EncoderError: If the spec is not understood, weights cannot be had, a checkpoint does not fit, a module cannot
            be copied, a step of the transform is random or not understood, or keywords for modules come with a spec.

    Warns:
        EncoderWarning: If a module or an entry of torch.hub returns the logits of its classifier, a checkpoint fits
            with a gap, or a graph does not say how its pictures were normalised.
    """
    check_pooling(pooling)
    seed = plain(seed)
    if not is_whole(seed):
        raise EncoderError(f"seed must be a whole number from 0 to 2**63 - 1; got {described(seed)}")
    description = Description(size, resize, mean, std, interpolation, channels, transform, output)
    if isinstance(spec, str | Encoder):
        _refuse(description, spec)
    if isinstance(spec, Encoder):
        if pooling not in ("auto", spec.pooling):
            raise EncoderError(
                f"pooling of an Encoder cannot be changed, here {spec.pooling!r}; got {pooling!r}: load its spec again"
            )
        automatic = isinstance(device, str) and device == "auto"
        encoder = (spec if automatic else spec.to(device)).with_view(view)
        return encoder if precision is None else encoder.with_precision(precision)
    precision = check_precision("exact" if precision is None else precision)
    if isinstance(spec, str):
        return _from_spec(parse_spec(spec), device, pooling, seed).with_precision(precision).with_view(view)
    if isinstance(spec, nn.Module) or (callable(spec) and not isinstance(spec, type | torch.export.ExportedProgram)):
        custom = custom_encoder(spec, description, device=device, pooling=pooling, precision=precision)
        return custom.with_view(view)
    if isinstance(spec, torch.export.ExportedProgram):
        raise EncoderError("encoder must be a module; got an ExportedProgram: pass its program.module()")
    got = f"the class {spec.__name__}, not an object of it" if isinstance(spec, type) else type(spec).__name__
    raise EncoderError(f"encoder must be a spec ({', '.join(forms())}), a module, a function or an Encoder; got {got}")


def _refuse(description: Description, spec: str | Encoder) -> None:
    """Refuse keywords for modules and functions where the encoder brings what they say."""
    if not description.said:
        return
    name = description.said[0]
    if isinstance(spec, Encoder):
        raise EncoderError(f"{name}= cannot be changed on an Encoder, here {spec.name!r}: load its module again")
    takes = name in parse_spec(spec).kind.items
    way_out = (
        f"write it into the spec, as in {spec}{'&' if '?' in spec else '?'}{name}=..." if takes else "leave it out"
    )
    raise EncoderError(f"{name}= is for modules and functions, and {spec!r} brings its own: {way_out}")


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
        seed=None if spec.pretrained else seed,
    )
