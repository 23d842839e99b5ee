"""The classifier that a network came with, as a head on the encoder that is left.

A supervised network ends in a linear layer. `network_head` takes that layer off: what is before it is the encoder, the
layer itself a head, and one after the other they are the network again, which is checked on one batch. The functions
that build the whole network of a spec are named in `encoders.kinds.KINDS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from timm.data import ImageNetInfo, infer_imagenet_subset
from torch import Tensor, nn

from encoders.checkpoints.reading import read_checkpoint
from encoders.contract import Built, Classifier
from encoders.encoder import Encoder, copied
from encoders.errors import EncoderError
from encoders.heads.base import Head
from encoders.heads.kinds import NetworkHead
from encoders.kinds import KINDS, RANDOM, resolve
from encoders.layers import CLASSIFIERS, first_channels, timm_config
from encoders.networks import timm_network
from encoders.parsing import Spec, parse_spec
from encoders.preprocess import Preprocess
from encoders.seeds import drawn_from
from encoders.specs import build, pooling_of
from encoders.torchvision_networks import torchvision_network

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
        spec: A spec of a kind that has a classifier (timm, torchvision, hf, file), see `encoders.kinds.KINDS`; or a
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
        channels = first_channels(network)
        encoder = Encoder(network, name=name, preprocess=preprocess, device="cpu", channels=channels)
    else:
        if preprocess is not None:
            raise EncoderError(f"preprocess is for modules; {spec!r} brings its own: leave it out")
        encoder, names = _whole(spec, seed)
    return _split(encoder, classes or names, device)


def _split(whole: Encoder, classes: Sequence[str] | None, device: str | torch.device) -> tuple[Encoder, Head]:
    """Take the last linear layer off a network, in place."""
    network: Any = whole.network
    layer_name, weight, bias = _last_layer(network, whole.name)
    pixels = _noise(whole)
    expected = whole.embed(pixels)
    network.set_submodule(layer_name, nn.Identity())
    names = tuple(classes or (str(index) for index in range(len(weight))))
    if len(names) != len(weight):
        raise EncoderError(f"classes must be {len(weight)} names for {whole.name!r}; got {len(names)}")
    encoder = whole.to(device)
    head = NetworkHead(names, weight, bias).made_for(encoder)
    if not _add_up(whole, head, pixels, expected):
        raise EncoderError(
            f"encoder {whole.name!r} must end in one linear layer; {layer_name!r} is the last, but the class scores "
            f"are no linear function of what it sees: {WAY_OUT}"
        )
    return encoder, head


def _add_up(encoder: Encoder, head: Head, pixels: Tensor, expected: Tensor) -> bool:
    """Whether encoder and head, one after the other, give the class scores (N, K) that the network gave."""
    try:
        logits = head.logits(encoder.embed(pixels))
    except EncoderError:  # what follows the last layer cannot take what precedes it
        return False
    return logits.shape == expected.shape and bool((logits - expected).abs().max() <= MAX_ERROR * expected.abs().max())


def _last_layer(network: nn.Module, name: str) -> tuple[str, Tensor, Tensor]:
    """Name of the last linear layer or 1 x 1 convolution, its weight (K, D) and its bias (K,)."""
    layers = [(place, layer) for place, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    layer_name, layer = layers[-1] if layers else ("", None)
    if layer is None or not layer_name or (isinstance(layer, nn.Conv2d) and layer.kernel_size != (1, 1)):
        raise EncoderError(
            f"encoder {name!r} must end in a linear layer or a 1 x 1 convolution; got {type(layer).__name__} "
            f"at {layer_name!r}: {WAY_OUT}"
        )
    weight = layer.weight.detach().flatten(1).float()
    return layer_name, weight, weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach().float()


def _noise(encoder: Encoder) -> Tensor:
    """(2, C, h, w) noise in [0, 1], to compare the network with its two parts."""
    channels = encoder.channels or len(encoder.mean or ()) or 3
    size = encoder.preprocess.size or (64, 64)
    return torch.rand(2, channels, *size, generator=torch.Generator().manual_seed(0))


def _whole(text: str, seed: int) -> tuple[Encoder, Sequence[str] | None]:
    """The network of a spec with its classifier, as an encoder that gives class scores, and names of the classes."""
    spec = parse_spec(text)
    if not spec.kind.classifier:
        raise EncoderError(
            f"network_head needs {', '.join(_forms())} or a module; got {spec.text!r}, which has no classifier that is "
            f"known: {WAY_OUT}"
        )
    built = build(spec, pooling_of(spec, "auto"), seed)  # raises for a wrong spec, and has its preprocessing
    classifier: Classifier = resolve(spec.kind.classifier)
    with drawn_from(seed):
        network, names = classifier(spec, built)
    whole = Encoder(
        network,
        name=spec.text,
        preprocess=built.preprocess,
        device="cpu",
        channels=built.channels,
        report=built.report,
    )
    return whole, names if spec.pretrained else None


def _forms() -> list[str]:
    kinds = [kind for kind in KINDS if kind.classifier]
    return [*(kind.form for kind in kinds), *(f"{RANDOM}:{kind.random_form}" for kind in kinds if kind.random_form)]


def torchvision_classifier(spec: Spec, built: Built) -> tuple[nn.Module, Sequence[str] | None]:
    """The network as torchvision has it, and the categories of its default weights."""
    network, weights = torchvision_network(spec)
    return network, weights.meta.get("categories")


def timm_classifier(spec: Spec, built: Built) -> tuple[nn.Module, Sequence[str] | None]:
    """The network as timm has it, and the names in its configuration or of its ImageNet subset.

    Raises:
        EncoderError: If it was trained without a classifier.
    """
    network: Any = timm_network(spec)
    if network.num_classes == 0:
        raise EncoderError(f"encoder 'timm:{spec.name}' was trained without a classifier: {WAY_OUT}")
    names = network.pretrained_cfg.get("label_names")
    subset = infer_imagenet_subset(network)
    if names is None and subset:
        info = ImageNetInfo(subset)
        names = [info.index_to_description(index) for index in range(network.num_classes)]
    return network, names


def checkpoint_classifier(spec: Spec, built: Built) -> tuple[nn.Module, Sequence[str] | None]:
    """The network of a checkpoint, with the checkpoint's own last layer put back; its classes have no names.

    Raises:
        EncoderError: If the checkpoint has no last layer where the network had one.
    """
    network: Any = built.network
    tensors = read_checkpoint(spec.name)
    layer_name = _place_of_last_layer(network, spec.text)
    prefix = built.report.part if built.report else ""
    weight, bias = tensors.get(f"{prefix}{layer_name}.weight"), tensors.get(f"{prefix}{layer_name}.bias")
    if weight is None or (weight.ndim != 2 and weight.shape[2:] != (1, 1)):
        raise EncoderError(
            f"checkpoint {spec.name!r} must hold its classifier as {prefix + layer_name + '.weight'!r}; it does not: "
            f"{WAY_OUT}"
        )
    count, dim = weight.shape[:2]
    layer = nn.Linear(dim, count) if weight.ndim == 2 else nn.Conv2d(dim, count, (1, 1))
    layer.load_state_dict({"weight": weight, "bias": torch.zeros(count) if bias is None else bias})
    network.set_submodule(layer_name, layer.requires_grad_(False))
    return network, None


def _place_of_last_layer(network: nn.Module, name: str) -> str:
    """Name of the layer that its builder replaced by an identity."""
    if config := timm_config(network):
        last = config.get("classifier")
    else:
        identities = [place for place, layer in network.named_modules() if isinstance(layer, nn.Identity)]
        last = next((place for place in reversed(identities) if place.split(".")[0] in CLASSIFIERS), None)
    if not isinstance(last, str):
        raise EncoderError(f"encoder {name!r} must end in one linear layer; it has {last or 'none'}: {WAY_OUT}")
    return last
