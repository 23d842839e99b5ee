"""The contracts of a network, of the builders that `encoders.kinds` names, and of the classifiers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from encoders.checkpoints.report import CheckpointReport
from encoders.parsing import Spec
from encoders.preprocess import Preprocess


class Network(Protocol):
    """What an `Encoder` runs: a module of torch, or any function.

    It is called on normalised pixels (B, C, h, w) of the size of its preprocessing (as they are where there is none),
    and returns one of

        (B, D)          a vector per image, taken as it is
        (B, T, D)       tokens, pooled by "cls" (token 0) or "mean" (of the tokens after the prefix tokens)
        (B, D, h, w)    feature maps, averaged over h and w; likewise (B, h, w, D), see `layers.channels_last`

    in any float dtype, every value finite: a tensor, a numpy array, or a dict, tuple or dataclass that holds a tensor,
    or several of which `encoders.load` is told the output to take (`outputs`). Each image's result depends on that
    image alone, and the same pixels give the same result: a map is made of thousands of calls, in batches of any size.

    A module is put in eval mode and frozen. It can be deep-copied: `encoders.load` copies it, so do several devices,
    and so does the fast form, which also folds batch norms. Its checksum is that of `encoders.checksum`. A function is
    called as it is, on float32 pixels on the encoder's device, and has no checksum. TorchScript is a module without
    layers to watch. The number of channels is that of a module's first convolution, unless `encoders.load` is told.

    Optional attributes, each read where it is needed and nowhere else:

        num_prefix_tokens                       class and register tokens before the patch tokens: `pooling`, `tokens`
        output_fmt                              "NCHW" or "NHWC", how its feature maps lie, in timm's words: `layers`
        embed_text(prompts)                     the text tower, see `ReadsText`: `encoders.text`
        cls_token, global_pool,                 pooling in timm's own head: `networks.pool_with_timm`
        pool_include_prefix, reset_classifier
        avgpool                                 pooling that torchvision built in: `torchvision_networks`
        fc, classifier, heads, head             the classifier, which is removed, becomes a head or is told about:
                                                `torchvision_networks`, `heads.networks`, `logits`
        pretrained_cfg, num_classes             timm's names of classes and of its first and last layers, its size:
                                                `heads.networks`, `layers`, `logits`
        conv1, maxpool, act1, relu,             stem, attention and pooling, which weights do not show: `layers`,
        num_heads, fc_norm, global_pool         `checkpoints.recognition`
        patch_embed, patch_drop                 of timm's VisionTransformer: `tokens`, `arguments`, `networks`
        opaque                                  what it is ("an ONNX graph"), where torch sees neither its layers nor
                                                gradients: `Encoder`, `fast`
        checksum                                what identifies it, where its weights are no tensors: `checksum`
    """

    def __call__(self, pixels: Tensor, /) -> Any:
        """Normalised pixels to vectors, tokens or feature maps."""


@runtime_checkable
class ReadsText(Protocol):
    """A network with a text tower."""

    def embed_text(self, prompts: Sequence[str]) -> Tensor:
        """K texts to (K, D), in the space of its images."""


class Built(NamedTuple):
    """What a builder returns.

    Attributes:
        network: On the CPU, without a classifier; weights are loaded, or drawn from torch's default generator.
        preprocess: What its weights were trained with.
        report: How a checkpoint matched; None where none was read.
        pool: Sets another pooling than "auto" in the network itself, given (network, pooling, name for messages), or
            raises an EncoderError; None leaves pooling to `encoders.pooling`, on what the network returns.
        channels: Of the pictures that it takes; None = unknown.
    """

    network: nn.Module
    preprocess: Preprocess
    report: CheckpointReport | None = None
    pool: Callable[[nn.Module, str, str], None] | None = None
    channels: int | None = 3


# Raises an EncoderError of one line; called inside `encoders.seeds.drawn_from`.
Builder = Callable[[Spec], Built]


# From a spec, and what its builder returned, to the network with the classifier that it came with, and the names of the
# classes where they have names. It may change what the builder returned, and raises and is called as a builder.
Classifier = Callable[[Spec, Built], tuple[nn.Module, Sequence[str] | None]]
