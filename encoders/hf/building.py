"""Networks of `transformers`, an optional extra: images, and prompts where there is a text tower.

hf:USER/NAME            a model of the Hugging Face hub, or one that is in its cache
hf:FOLDER               a folder as `save_pretrained` writes it: config.json, the weights, preprocessor_config.json
random:hf:...           random weights for the same configuration

No code of a repository is run. A model with a classifier, decoder or other head gives its backbone. Of `FAMILIES` it is
known how their authors take one vector from them; of others, the caller says which.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from torch import nn

from encoders.choices import check_class_token, pooling_not_offered
from encoders.contract import Built
from encoders.errors import EncoderError, one_line
from encoders.hf.library import local, silent, transformers
from encoders.hf.loading import architecture_of, backbone_of, config_of, judged, model_of, source_of
from encoders.hf.networks import FAMILIES, Classified, HuggingFace, TwoTowers
from encoders.hf.processors import UnreadError, preprocess_of
from encoders.items import size_of
from encoders.libraries import fetching
from encoders.parsing import Spec
from encoders.preprocess import Preprocess

SAID = ("size", "mean", "std")  # items that say what a processor would


def build_hf(spec: Spec) -> Built:
    """A model of transformers, and what its image processor does.

    Args:
        spec: As at the top of this module. The items size, mean and std, all three, replace a processor that is not
            there or cannot be followed; a size makes the network interpolate its positions where it can.

    Raises:
        ImportError: If transformers is not installed.
        EncoderError: If the model or its weights cannot be had, lack weights, or their processor cannot be followed.
    """
    library, source = transformers(), source_of(spec.name)
    with fetching(f"hf:{spec.name}", spec.pretrained and not local(source)), silent():
        config = config_of(library, source, spec.name)
        model, info = model_of(backbone_of(library, config, spec.name), source, config, spec.pretrained)
    report, untrained = judged(model, info, spec.name)
    pooling = FAMILIES.get(config.model_type, "")
    network = (TwoTowers if pooling == "shared" else HuggingFace)(model, pooling, untrained)
    if isinstance(network, TwoTowers):
        network.source = source
    vision = getattr(config, "vision_config", config)
    if size := size_of(spec.items):
        _check_tiles(spec, size, getattr(vision, "patch_size", 1), network)
        if "interpolate_pos_encoding" in inspect.signature(getattr(model, network.entry)).parameters:
            network.options["interpolate_pos_encoding"] = True
    channels = int(getattr(vision, "num_channels", 3))
    preprocess = _preprocess(source, spec, channels)
    return Built(network, preprocess, report if spec.pretrained else None, pool=_pool, channels=channels)


def hf_classifier(spec: Spec, built: Built) -> tuple[nn.Module, Sequence[str] | None]:
    """The network with the classifier that it was saved with, and the names of its classes where they have names.

    Raises:
        EncoderError: If it was saved without one.
    """
    library, source = transformers(), source_of(spec.name)
    with fetching(f"hf:{spec.name}", spec.pretrained and not local(source)), silent():
        config = config_of(library, source, spec.name)
        if not architecture_of(config).endswith("ForImageClassification"):
            raise EncoderError(
                f"encoder 'hf:{spec.name}' was saved without a classifier: train a head on its embeddings instead "
                "(relax head train)"
            )
        model, info = model_of(getattr(library, architecture_of(config)), source, config, spec.pretrained)
    judged(model, info, spec.name)
    network = Classified(model, "logits")
    network.options = built.network.options  # type: ignore[assignment]
    names = [str(config.id2label[index]) for index in range(config.num_labels)]
    return network, None if names[:1] == ["LABEL_0"] else names


def _pool(network: nn.Module, pooling: str, name: str) -> None:
    """Settle how one vector is taken, and remove a pooler that is not used, which may be random."""
    assert isinstance(network, HuggingFace)  # noqa: S101
    if pooling == "auto":
        if not network.pooling:
            raise EncoderError(
                f"encoder {name!r} is a {network.model.config.model_type}, and how its authors take one vector is "
                'not known here: say pooling="cls" or "mean"'
            )
        if network.pooling == "pooler" and network.untrained:
            raise EncoderError(
                f"encoder {name!r} has no weights for its pooler ({network.untrained[0]}), which would be random: "
                'say pooling="cls" or "mean"'
            )
    elif network.pooling == "shared":
        raise pooling_not_offered(pooling, name)
    else:
        if pooling == "cls":
            check_class_token(network.cls_token, name)
        network.pooling = pooling
    pooler = getattr(network.model, "pooler", None)
    if network.pooling in ("cls", "mean") and isinstance(pooler, nn.Module):
        network.model.pooler = nn.Identity()


def _check_tiles(spec: Spec, size: tuple[int, int], patch: Any, network: HuggingFace) -> None:
    """Refuse a size of which a ViT would leave out the last rows and columns in silence."""
    if network.num_prefix_tokens and isinstance(patch, int) and any(side % patch for side in size):
        raise EncoderError(
            f"size of {spec.text!r} must be a multiple of its patches of {patch} px; got {spec.items['size']}: "
            f"take {max(patch, size[0] // patch * patch)}"
        )


def _preprocess(source: str, spec: Spec, channels: int) -> Preprocess:
    """What the processor does; nothing yet where the items of the spec say it all."""
    try:
        processor = _processor(source)
        if getattr(processor, "do_flip_channel_order", False):
            raise EncoderError(
                f"encoder {spec.text!r} wants blue before green before red, which no item can say: pass a function"
            )
        return preprocess_of(processor, channels)
    except UnreadError as error:
        if all(item in spec.items for item in SAID):
            return Preprocess()
        raise EncoderError(
            f"encoder {spec.text!r} has no image processor that can be followed ({error}): say what its network was "
            f"trained with, as in hf:{spec.name}?size=224&mean=0.5,0.5,0.5&std=0.5,0.5,0.5, with interpolation=bicubic "
            "where it is not bilinear"
        ) from error


def _processor(source: str) -> Any:
    try:
        with silent():
            return transformers().AutoImageProcessor.from_pretrained(
                source, local_files_only=local(source), trust_remote_code=False
            )
    except Exception as error:  # transformers raises anything
        raise UnreadError(f"none can be read, {one_line(error, 60)}") from error
