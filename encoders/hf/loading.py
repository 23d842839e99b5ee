"""Models of transformers out of folders and the hub: configuration, class and weights, of which none may be random."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import nn

from encoders.checkpoints.report import CheckpointReport
from encoders.errors import EncoderError
from encoders.hf.library import local

UNUSED = ("mask_token", "position_ids", "relative_position_index", "num_batches_tracked")  # in an embedding


def source_of(name: str) -> str:
    """The folder as a path, or the name on the hub as it is.

    Raises:
        EncoderError: If it is a folder without configuration, a file, or a path where nothing is.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise EncoderError(
                f"encoder 'hf:{name}' must name a folder with a config.json; {str(path)!r} has none: save the model "
                "and its image processor with save_pretrained"
            )
        return str(path)
    if path.exists() or name.startswith((".", "~", "/")) or name.count("/") > 1:
        raise EncoderError(
            f"encoder 'hf:{name}' must name a folder with a config.json, or a model of the hub as USER/NAME; "
            f"got {'a file' if path.exists() else 'a path where nothing is'}: give the folder"
        )
    return name


def config_of(library: Any, source: str, name: str) -> Any:
    """The configuration beside the weights.

    Raises:
        EncoderError: If transformers has no such network, or it is one of timm or of the repository's own code.
    """
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


def backbone_of(library: Any, config: Any, name: str) -> Any:
    """The class of the network without any head; with CLIP's projection where it was saved so.

    Raises:
        EncoderError: If it reads no pictures.
    """
    architecture = architecture_of(config)
    projected = architecture.endswith("VisionModelWithProjection")
    kind = getattr(library, architecture) if projected else library.MODEL_MAPPING[type(config)]
    if not hasattr(kind, "get_image_features") and kind.main_input_name != "pixel_values":
        raise EncoderError(f"encoder 'hf:{name}' is a {config.model_type}, which reads no pictures")
    return kind


def architecture_of(config: Any) -> str:
    """Name of the class that the weights were saved from; "" where that was not written down."""
    return str((getattr(config, "architectures", None) or [""])[0])


def model_of(kind: Any, source: str, config: Any, pretrained: bool) -> tuple[nn.Module, dict[str, Any]]:
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


def judged(model: nn.Module, info: dict[str, Any], name: str) -> tuple[CheckpointReport, tuple[str, ...]]:
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
