"""The classifier that a network came with, as a head on the encoder that is left; and all kinds of heads by name.

A supervised network ends in a linear layer. `network_head` takes that layer off: what is before it is the encoder, the
layer itself a head, and one after the other they are the network again, which is checked on one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import timm
import torch
import torchvision
from timm.data import ImageNetInfo, infer_imagenet_subset
from torch import Tensor, nn

from encoders.checkpoints.reading import read_checkpoint
from encoders.encoder import Encoder, copied
from encoders.errors import EncoderError
from encoders.heads.base import Head
from encoders.heads.kinds import KINDS, KnnHead, LinearHead, NetworkHead, PrototypeHead, load_head
from encoders.networks import drawn_from
from encoders.preprocess import Preprocess
from encoders.specs import load

__all__ = [
    "KINDS",
    "Head",
    "KnnHead",
    "LinearHead",
    "NetworkHead",
    "PrototypeHead",
    "load_head",
    "network_head",
]

MAX_ERROR = 1e-3  # of the largest class score, between the network and its two parts: float32 in another order
WAY_OUT = "train a head on its embeddings instead (relax head train)"


def network_head(
    spec: str | nn.Module,
    *,
    classes: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    device: str | torch.device = "auto",
    seed: int = 0,
) -> tuple[Encoder, Head]:
    """A network's own classifier: the encoder without its last linear layer, and that layer as a head.

    Args:
        spec: timm:NAME, torchvision:NAME, file:PATH?arch=NAME or random:... of the first two, see `encoders.load`; or a
            module from normalised pixels (B, C, h, w) to class scores (B, K) before the softmax, which is copied.
        classes: K names. None takes those of the library (torchvision's weights, timm's ImageNet lists), else
            "0" to "K-1", as for files, random weights and modules.
        preprocess: For a module: size, mean and std of its weights; None gives it pixels as they are. Names bring
            their own.
        device: As `encoders.load`.
        seed: What random weights are drawn from. For random:timm:NAME they are others than those of
            `encoders.load`, which draws a network without a classifier.

    Returns:
        The encoder, with the embedding that the last layer sees, and the head; `head.logits(encoder(pixels))`
        are the network's class scores.

    Raises:
        EncoderError: If the spec cannot be loaded, holds no classifier, or its class scores are no linear function
            of one embedding per image (two classifiers, or an activation behind the last layer).
    """
    if isinstance(spec, nn.Module):
        network, name, names = copied(spec), type(spec).__name__, None
        encoder = Encoder(network, name=name, preprocess=preprocess, device="cpu")
    else:
        if preprocess is not None:
            raise EncoderError(f"preprocess is for modules; {spec!r} brings its own: leave it out")
        encoder, names = _whole(spec.strip(), seed)
    return _split(encoder, classes or names, device)


def _split(whole: Encoder, classes: Sequence[str] | None, device: str | torch.device) -> tuple[Encoder, Head]:
    """Take the last linear layer off a network, in place."""
    network: Any = whole.network
    where, weight, bias = _last_layer(network, whole.name)
    pixels = _some_pixels(whole, network)
    expected = whole.embed(pixels)
    network.set_submodule(where, nn.Identity())
    names = tuple(classes or (str(index) for index in range(len(weight))))
    if len(names) != len(weight):
        raise EncoderError(f"classes must be {len(weight)} names for {whole.name!r}; got {len(names)}")
    encoder = whole.to(device)
    head = NetworkHead(names, weight, bias).made_for(encoder)
    if not _add_up(whole, head, pixels, expected):
        raise EncoderError(
            f"encoder {whole.name!r} must end in one linear layer; {where!r} is the last, but the class scores are no "
            f"linear function of what it sees: {WAY_OUT}"
        )
    return encoder, head


def _add_up(encoder: Encoder, head: Head, pixels: Tensor, expected: Tensor) -> bool:
    """Whether encoder and head, one after the other, give the class scores (N, K) that the network gave."""
    try:
        found = head.logits(encoder.embed(pixels))
    except EncoderError:  # what stood behind the last layer cannot work with what stood before it
        return False
    return found.shape == expected.shape and bool((found - expected).abs().max() <= MAX_ERROR * expected.abs().max())


def _last_layer(network: nn.Module, name: str) -> tuple[str, Tensor, Tensor]:
    """Where the last linear layer or 1 x 1 convolution is, its weight (K, D) and its bias (K,)."""
    layers = [(where, layer) for where, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    where, layer = layers[-1] if layers else ("", None)
    if layer is None or not where or (isinstance(layer, nn.Conv2d) and layer.kernel_size != (1, 1)):
        raise EncoderError(
            f"encoder {name!r} must end in a linear layer or a 1 x 1 convolution; got {type(layer).__name__} "
            f"at {where!r}: {WAY_OUT}"
        )
    weight = layer.weight.detach().flatten(1).float()
    return where, weight, weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach().float()


def _some_pixels(encoder: Encoder, network: nn.Module) -> Tensor:
    """(2, C, h, w) noise in [0, 1], to compare the network with its two parts."""
    first = next((layer for layer in network.modules() if isinstance(layer, nn.Conv2d)), None)
    channels = encoder.channels or len(encoder.mean or ()) or (first.in_channels if first else 3)
    size = encoder.preprocess.size or (64, 64)
    return torch.rand(2, channels, *size, generator=torch.Generator().manual_seed(0))


def _whole(spec: str, seed: int) -> tuple[Encoder, Sequence[str] | None]:
    """The network of a spec with its classifier, as an encoder that gives class scores, and names of the classes."""
    kind, _, rest = spec.partition(":")
    if kind == "file":
        return _from_file(spec, seed), None
    pretrained = kind != "random"
    library, _, name = (kind, _, rest) if pretrained else rest.partition(":")
    if library not in ("timm", "torchvision"):
        raise EncoderError(
            "network_head needs timm:NAME, torchvision:NAME, file:PATH?arch=NAME, random:... or a module; "
            f"got {spec!r}, which has no classifier that is known: {WAY_OUT}"
        )
    known = load(spec, device="cpu", seed=seed)  # says what is wrong with a spec, and knows its preprocessing
    with drawn_from(seed):
        network, names = (_of_torchvision if library == "torchvision" else _of_timm)(name, pretrained)
    whole = Encoder(network, name=spec, preprocess=known.preprocess, device="cpu", channels=known.channels)
    return whole, names if pretrained else None


def _of_torchvision(name: str, pretrained: bool) -> tuple[nn.Module, Sequence[str] | None]:
    weights = torchvision.models.get_model_weights(name).DEFAULT
    network = torchvision.models.get_model(name, weights=weights if pretrained else None)
    return network, weights.meta.get("categories")


def _of_timm(name: str, pretrained: bool) -> tuple[nn.Module, Sequence[str] | None]:
    network = timm.create_model(name, pretrained=pretrained)
    if network.num_classes == 0:
        raise EncoderError(f"encoder 'timm:{name}' was trained without a classifier: {WAY_OUT}")
    names = network.pretrained_cfg.get("label_names")
    subset = infer_imagenet_subset(network)
    if names is None and subset:
        info = ImageNetInfo(subset)
        names = [info.index_to_description(index) for index in range(network.num_classes)]
    return network, names


def _from_file(spec: str, seed: int) -> Encoder:
    """The encoder of a checkpoint, with the checkpoint's own last layer put back."""
    encoder = load(spec, device="cpu", seed=seed)
    network: Any = encoder.network
    path = spec.removeprefix("file:").rpartition("?")[0]
    tensors = read_checkpoint(path)
    where = _place_of_last_layer(network, encoder.name)
    prefix = encoder.report.part if encoder.report else ""
    weight, bias = tensors.get(f"{prefix}{where}.weight"), tensors.get(f"{prefix}{where}.bias")
    if weight is None or (weight.ndim != 2 and weight.shape[2:] != (1, 1)):
        raise EncoderError(
            f"checkpoint {path!r} must hold its classifier as {prefix + where + '.weight'!r}; it does not: {WAY_OUT}"
        )
    with drawn_from(seed):
        count, dim = weight.shape[:2]
        layer = nn.Linear(dim, count) if weight.ndim == 2 else nn.Conv2d(dim, count, (1, 1))
    layer.load_state_dict({"weight": weight, "bias": torch.zeros(count) if bias is None else bias})
    network.set_submodule(where, layer.requires_grad_(False))
    return Encoder(
        network,
        name=encoder.name,
        preprocess=encoder.preprocess,
        device="cpu",
        channels=encoder.channels,
        report=encoder.report,
    )


def _place_of_last_layer(network: nn.Module, name: str) -> str:
    """Where `encoders.networks` put nothing in place of the last layer."""
    config = getattr(network, "pretrained_cfg", None)  # timm's
    if config is not None:
        places = [config.get("classifier")]
    else:
        heads = ("fc", "classifier", "heads", "head")
        places = [where for where, layer in network.named_modules() if isinstance(layer, nn.Identity)]
        places = [where for where in places if where.split(".")[0] in heads][-1:]
    if not places or not isinstance(places[0], str):
        raise EncoderError(f"encoder {name!r} must end in one linear layer; it has {places or 'none'}: {WAY_OUT}")
    return places[0]
