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
from pathlib import Path
from typing import Any

import torch
from torch import nn

from encoders.checkpoints.report import CheckpointReport
from encoders.contract import Built
from encoders.errors import EncoderError, one_line
from encoders.hf.library import local, silent, transformers
from encoders.hf.networks import FAMILIES, Classified, HuggingFace, TwoTowers
from encoders.hf.processors import UnreadError, preprocess_of
from encoders.items import height_and_width
from encoders.kinds import Spec
from encoders.networks import fetching
from encoders.preprocess import Preprocess

SAID = ("size", "mean", "std")  # items that say what a processor would

UNUSED = ("mask_token", "position_ids", "relative_position_index", "num_batches_tracked")  # in an embedding


def build_hf(spec: Spec) -> Built:
    """A model of transformers, and what its image processor does.

    Args:
        spec: As at the top of this module. The items size, mean and std, all three, replace a processor that is not
            there or cannot be followed; a size makes the network interpolate its positions where it can.

    Raises:
        ImportError: If transformers is not installed.
        EncoderError: If the model or its weights cannot be had, lack weights, or their processor cannot be followed.
    """
    library, source = transformers(), _source(spec.name)
    with fetching(f"hf:{spec.name}", spec.pretrained and not local(source)), silent():
        config = _config(library, source, spec.name)
        model, info = _model(_backbone(library, config, spec.name), source, config, spec.pretrained)
    report, untrained = _judged(model, info, spec.name)
    pooling = FAMILIES.get(config.model_type, "")
    network = (TwoTowers if pooling == "shared" else HuggingFace)(model, pooling, untrained)
    if isinstance(network, TwoTowers):
        network.source = source
    vision = getattr(config, "vision_config", config)
    if "size" in spec.items:
        _check_tiles(spec, getattr(vision, "patch_size", 1), network)
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
    library, source = transformers(), _source(spec.name)
    with fetching(f"hf:{spec.name}", spec.pretrained and not local(source)), silent():
        config = _config(library, source, spec.name)
        if not _architecture(config).endswith("ForImageClassification"):
            raise EncoderError(
                f"encoder 'hf:{spec.name}' was saved without a classifier: train a head on its embeddings instead "
                "(relax head train)"
            )
        model, info = _model(getattr(library, _architecture(config)), source, config, spec.pretrained)
    _judged(model, info, spec.name)
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
        raise EncoderError(f'pooling={pooling!r} is not offered by {name!r}: choose "auto"')
    elif pooling == "cls" and network.cls_token is None:
        raise EncoderError(f'pooling="cls" needs a class token, which {name!r} has not: choose "auto" or "mean"')
    else:
        network.pooling = pooling
    pooler = getattr(network.model, "pooler", None)
    if network.pooling in ("cls", "mean") and isinstance(pooler, nn.Module):
        network.model.pooler = nn.Identity()


def _check_tiles(spec: Spec, patch: Any, network: HuggingFace) -> None:
    """Refuse a size of which a ViT would leave out the last rows and columns in silence."""
    sides = height_and_width(spec.items["size"])
    if network.num_prefix_tokens and isinstance(patch, int) and any(side % patch for side in sides):
        raise EncoderError(
            f"size of {spec.text!r} must be a multiple of its patches of {patch} px; got {spec.items['size']}: "
            f"take {max(patch, sides[0] // patch * patch)}"
        )


def _source(name: str) -> str:
    """The folder as a path, or the name on the hub as it is."""
    path = Path(name).expanduser()
    if path.is_dir():
        return str(path)
    if path.exists() or name.startswith((".", "~", "/")) or name.count("/") > 1:
        raise EncoderError(
            f"encoder 'hf:{name}' must name a folder with a config.json, or a model of the hub as USER/NAME; "
            f"got {'a file' if path.exists() else 'a path where nothing is'}: give the folder"
        )
    return name


def _config(library: Any, source: str, name: str) -> Any:
    raw, _ = library.PretrainedConfig.get_config_dict(source, local_files_only=local(source))
    kind = raw.get("model_type", "")
    if kind == "timm_wrapper":
        spec = f"timm:local-dir:{name}" if local(source) else f"timm:hf-hub:{name}"
        raise EncoderError(f"encoder 'hf:{name}' is a network of timm in a wrapper: use {spec}")
    if kind not in library.CONFIG_MAPPING:
        way_out = "its own code, which is not run here" if "auto_map" in raw else "no network of this transformers"
        raise EncoderError(
            f"encoder 'hf:{name}' has the model_type {kind!r} and needs {way_out}: load it yourself and pass the module"
        )
    return library.AutoConfig.from_pretrained(
        source, local_files_only=local(source), trust_remote_code=False, return_dict=True
    )


def _backbone(library: Any, config: Any, name: str) -> Any:
    """The class of the network without any head; with CLIP's projection where it was saved so."""
    architecture = _architecture(config)
    projected = architecture.endswith("VisionModelWithProjection")
    kind = getattr(library, architecture) if projected else library.MODEL_MAPPING[type(config)]
    if not hasattr(kind, "get_image_features") and kind.main_input_name != "pixel_values":
        raise EncoderError(f"encoder 'hf:{name}' is a {config.model_type}, which reads no pictures")
    return kind


def _architecture(config: Any) -> str:
    return str((getattr(config, "architectures", None) or [""])[0])


def _model(kind: Any, source: str, config: Any, pretrained: bool) -> tuple[nn.Module, dict[str, Any]]:
    """A model of that class in float32, and how its weights matched; nothing where they are drawn at random."""
    if config.model_type == "vit_mae":
        config.mask_ratio = 0.0
    pooler = {name: True for name in ("add_pooling_layer",) if name in inspect.signature(kind).parameters}
    if not pretrained:
        return kind(config, **pooler).float(), {}
    model, info = kind.from_pretrained(
        source,
        config=config,
        local_files_only=local(source),
        weights_only=True,
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are refused here
        **pooler,
    )
    return model, info


def _judged(model: nn.Module, info: dict[str, Any], name: str) -> tuple[CheckpointReport, tuple[str, ...]]:
    """How the weights matched, and the names of random ones of the pooler; no other weight may be random or left over.

    Raises:
        EncoderError: If a weight is missing, is left over in the backbone, or has another shape.
    """
    missing, extra, other = (_used(info.get(f"{word}_keys", ())) for word in ("missing", "unexpected", "mismatched"))
    untrained = tuple(key for key in missing if "pooler." in key)
    missing = [key for key in missing if key not in untrained]
    prefix = f"{model.base_model_prefix}."
    parts = {weight.split(".")[0] for weight, _ in model.named_parameters()}
    backbone = [key for key in extra if key.startswith(prefix) or key.split(".")[0] in parts]
    problems = {"missing": missing, "left over": backbone, "of another shape": other}
    text = "; ".join(f"{len(keys)} {word} ({', '.join(keys[:3])})" for word, keys in problems.items() if keys)
    if text:
        raise EncoderError(
            f"encoder 'hf:{name}' has weights that do not fit its config.json: {text}; no weight may be random in "
            "silence: check the folder"
        )
    matched = tuple(key for key in model.state_dict() if key not in untrained)
    heads = tuple(key for key in extra if key not in backbone)
    return CheckpointReport("transformers", "", matched, (), (), heads, ()), untrained


def _used(keys: Any) -> list[str]:
    names = (key if isinstance(key, str) else key[0] for key in keys)  # a mismatch comes with both shapes
    return sorted(name for name in names if not name.endswith(UNUSED))


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
