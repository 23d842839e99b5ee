"""The kinds of encoder spec, as data: one row of `KINDS` each, from which specs are read, listed and explained.

A new kind is one row here, the builder that the row names, a test of that builder, and a line of the table in
README.md, which `tests/encoders/test_kinds.py` compares with the row. Nothing here imports torch, so that listing the
kinds need not wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

RANDOM = "random"  # before another spec: weights are drawn from the seed
RANDOM_EXAMPLE = "random:timm:resnet50"
RANDOM_WHAT = "random weights, drawn from the seed"
PREPROCESS_ITEMS = ("size", "resize", "mean", "std", "interpolation")  # see `encoders.items`
POOLING_ITEM = "pooling"
FILE_ITEMS = ("arch", "part", "stem_stride", "stem_padding", "stem_pool")  # see `encoders.checkpoints.network`

ITEMS = {
    "size": "pixels that the network sees, 224, 224x320 or 16x96x96 voxels; a network with positions is built for it",
    "resize": "pixels of the shorter side before the centre crop; 224x224 squeezes the whole image",
    "mean": "numbers in [0, 1], one a channel or one for all, which are subtracted",
    "std": "numbers, one a channel or one for all, by which the pixels are divided then",
    "interpolation": "bilinear, bicubic or nearest",
    POOLING_ITEM: "auto, cls or mean",
    "in_chans": "channels of the pictures; a checkpoint's own are recognised",
    "num_heads": "attention heads, which leave no trace in weights; those of MoCo v3 are recognised",
    "patch_size": "pixels of a patch",
    "act_layer": "activation: relu, gelu, quick_gelu, ...",
    "output_stride": "8, 16 or 32, of a convolutional network",
    "global_pool": "pooling of timm, avg with a norm behind it; fc_norm in a checkpoint is recognised",
    "arch": "the network of a checkpoint: a timm name or torchvision:NAME",
    "part": "text in the prefix of the weights to take instead of the preferred ones, as part=student",
    "stem_stride": "stride of a 3 x 3 stem that a checkpoint has in place of 7 x 7; 1 unless said",
    "stem_padding": "its padding; 1 unless said, 2 for solo-learn",
    "stem_pool": "true: max pooling behind it; false unless said",
    "quick_gelu": "whether open_clip's network has QuickGELU",
    "output": "name or position (0, 1, ...) of the output of an ONNX graph that is the embedding, if there are several",
    "layout": "NCHW or NHWC, how pictures lie in the input of an ONNX graph, where its shape leaves it open",
    "batch": "pictures in one run of an ONNX graph that was exported for that many and does not say so",
    "maps": "NCHW or NHWC, how feature maps lie in the output of an ONNX graph, where their shape leaves it open",
    "prefix": "class and register tokens before the patch tokens of an ONNX graph; 0 unless said",
}
"""What may follow a question mark, as ?size=224&in_chans=1. A kind of spec takes some of them; further ones are
arguments of the network's own constructor."""

BUNDLED = Path(__file__).with_name("default.safetensors")  # the weights of the kind "default"
BUNDLED_CARD = Path(__file__).with_name("default.json")


@dataclass(frozen=True)
class SpecKind:
    """One kind of spec.

    Attributes:
        prefix: The text before the first colon or question mark.
        form: The spec with placeholders in capitals; the prefix alone where nothing follows it.
        what: What it loads.
        notes: What to know before it is loaded.
        example: A spec of this kind.
        builder: "module:function" of the `encoders.contract.Builder`.
        random_form: The form behind "random:", where the network can be had with random weights; "" where it cannot.
        items: Names that may follow a question mark, as name=value&name=value, see `ITEMS`; none: a question mark is
            part of the name.
        arguments: Whether further items are allowed, which are arguments of the network's own constructor or entry
            point.
        architecture: Whether the spec may stand as arch= of a `file:` spec.
        names: "module:function" of the `encoders.names.Names` of its library; "" where there are none.
        classifier: "module:function" of the `encoders.contract.Classifier`, which gives the network with its own
            classifier; "" where there is none.
        file: What kind of file the name is the path of, see `encoders.places`: "checkpoint", "graph" or "repair"; "" of
            none.
    """

    prefix: str
    form: str
    what: str
    notes: str
    example: str
    builder: str
    random_form: str = ""
    items: tuple[str, ...] = ()
    arguments: bool = False
    architecture: bool = False
    names: str = ""
    classifier: str = ""
    file: str = ""

    @property
    def takes_name(self) -> bool:
        """Whether something must follow the prefix."""
        return self.form != self.prefix


KINDS = (
    SpecKind(
        prefix="default",
        form="default",
        what="the bundled ResNet-18-D at half width, SimCLR, 96 px",
        notes="in the package, works offline",
        example="default",
        builder="encoders.bundled:build_default",
        random_form="default",
        architecture=True,
    ),
    SpecKind(
        prefix="timm",
        form="timm:NAME",
        what="timm, pretrained, with its own preprocessing",
        notes="fetched once, or local-dir:FOLDER; the weights tag may be left out",
        example="timm:vit_small_patch14_dinov2.lvd142m",
        builder="encoders.networks:build_timm",
        random_form="timm:NAME",
        items=(*PREPROCESS_ITEMS, POOLING_ITEM),
        arguments=True,
        architecture=True,
        names="encoders.networks:timm_names",
        classifier="encoders.heads.networks:timm_classifier",
    ),
    SpecKind(
        prefix="torchvision",
        form="torchvision:NAME",
        what="torchvision, its default weights and their preprocessing",
        notes="fetched once",
        example="torchvision:resnet50",
        builder="encoders.torchvision_networks:build_torchvision",
        random_form="torchvision:NAME",
        items=(*PREPROCESS_ITEMS, POOLING_ITEM),
        arguments=True,
        architecture=True,
        names="encoders.torchvision_networks:torchvision_names",
        classifier="encoders.heads.networks:torchvision_classifier",
    ),
    SpecKind(
        prefix="hub",
        form="hub:REPO:NAME",
        what="an entry of a torch.hub repository or of a local folder",
        notes="runs its code",
        example="hub:facebookresearch/dino:main:dino_vits16",
        builder="encoders.hub:build_hub",
        items=(*PREPROCESS_ITEMS, POOLING_ITEM),
        arguments=True,
    ),
    SpecKind(
        prefix="open_clip",
        form="open_clip:MODEL:TAG",
        what="open_clip, reads prompts too",
        notes="fetched once; an extra",
        example="open_clip:ViT-B-32:laion2b_s34b_b79k",
        builder="encoders.open_clip_networks:build_open_clip",
        random_form="open_clip:MODEL",
        items=(*PREPROCESS_ITEMS, "quick_gelu"),
    ),
    SpecKind(
        prefix="hf",
        form="hf:NAME",
        what="transformers, by a name on the Hugging Face hub or a folder, reads prompts too",
        notes="fetched once; an extra",
        example="hf:facebook/dinov2-small",
        builder="encoders.hf.building:build_hf",
        random_form="hf:NAME",
        items=(*PREPROCESS_ITEMS, POOLING_ITEM),
        classifier="encoders.hf.building:hf_classifier",
    ),
    SpecKind(
        prefix="file",
        form="file:PATH?arch=NAME",
        what="a checkpoint of a lightly, MoCo, SimCLR, BYOL, SwAV, DINO or MAE run, or a plain backbone",
        notes="arch is a timm name or torchvision:NAME",
        example="file:run.ckpt?arch=resnet50",
        builder="encoders.checkpoints.network:build_from_checkpoint",
        items=(*FILE_ITEMS, *PREPROCESS_ITEMS, POOLING_ITEM),
        arguments=True,
        classifier="encoders.heads.networks:checkpoint_classifier",
        file="checkpoint",
    ),
    SpecKind(
        prefix="onnx",
        form="onnx:PATH",
        what="an ONNX graph from pictures to embeddings, run by ONNX Runtime",
        notes="an extra; no methods that need gradients or layers",
        example="onnx:encoder.onnx?size=224",
        builder="encoders.graphs.builders:build_onnx",
        items=("output", "layout", "batch", "maps", "prefix", *PREPROCESS_ITEMS, POOLING_ITEM),
        file="graph",
    ),
    SpecKind(
        prefix="sscd",
        form="sscd",
        what="Meta's SSCD for copy detection, a ResNet-50 trained without labels, 224 px",
        notes="an extra for Python 3.12 or newer; the weights are MIT, their package is for unmodified use only",
        example="sscd",
        builder="encoders.graphs.builders:build_sscd",
        items=("size", "resize", "interpolation"),
    ),
    SpecKind(
        prefix="repaired",
        form="repaired:PATH",
        what="another encoder without the directions in which a mark moves its embeddings",
        notes="written by `relax repair`",
        example="repaired:repair.safetensors",
        builder="encoders.repaired:build_repaired",
        file="repair",
    ),
)


def kind_of(prefix: str, kinds: Sequence[SpecKind] | None = None) -> SpecKind | None:
    """The kind with this prefix, of those of pictures unless another table is given; None where there is none."""
    return next((kind for kind in (KINDS if kinds is None else kinds) if kind.prefix == prefix), None)


def resolve(reference: str) -> Any:
    """The object of "module:name", importing the module."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


def forms(kinds: Sequence[SpecKind] | None = None) -> tuple[str, ...]:
    """Every form of spec, random ones last."""
    return (*(kind.form for kind in (KINDS if kinds is None else kinds)), *random_forms(kinds))


def random_forms(kinds: Sequence[SpecKind] | None = None) -> tuple[str, ...]:
    """The forms of spec for random weights."""
    table = KINDS if kinds is None else kinds
    return tuple(f"{RANDOM}:{kind.random_form}" for kind in table if kind.random_form)
